// Precompiled for the tests: what nearly all of them read. Each still includes what it uses.
#include <string>
#include <vector>

#include <autodiff/autodiff.hpp>
#include <doctest/doctest.h>
#include <nn/nn.hpp>
