// Precompiled for the tests: what nearly all of them read.
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <autodiff/autodiff.hpp>
#include <nn/nn.hpp>
