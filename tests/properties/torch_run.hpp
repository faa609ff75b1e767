// Runs a program with LibTorch.
#pragma once
#include "program.hpp"

namespace xtape::properties {

/// The loss, then the gradient of each leaf.
std::vector<std::vector<double>> torch_gradients(const Program& program);

}  // namespace xtape::properties
