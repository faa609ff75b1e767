// Precompiled for the tests: what nearly all of them read. Each still includes what it uses.
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <autodiff/autodiff.hpp>
#include <nn/nn.hpp>
