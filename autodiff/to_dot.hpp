// The recorded graph as a drawing.
#pragma once
#include <string>

#include "tensor.hpp"

namespace xtape {

/// The recording that leads to `output`, in Graphviz's language: a box for each operation with its shape, an
/// ellipse for each leaf, arrows in the direction of the forward pass.
template <class T>
std::string to_dot(const Tensor<T>& output);

}  // namespace xtape
