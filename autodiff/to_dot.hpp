// The recorded graph as a drawing.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "tensor.hpp"

namespace xtape {

/// The recording that leads to `output`, in Graphviz's language: a box for each operation with its shape, an
/// ellipse for each leaf, arrows in the direction of the forward pass. Leaves and recorded tensors among
/// `names` (a module's named_parameters(), say) have their names above the operation. `rankdir` is LR, from
/// left to right, or TB, from top to bottom.
template <class T>
std::string to_dot(const Tensor<T>& output,
                   const std::vector<std::pair<std::string, Tensor<std::type_identity_t<T>>>>& names = {},
                   const std::string& rankdir = "LR");

}  // namespace xtape
