// Activations of the textbook by name, with derivatives as formulas of values: nothing here is recorded.
#pragma once
#include "tensor.hpp"

namespace xtape {

/// g in a = g(z).
enum class Activation { identity, sigmoid, tanh, relu };

/// "identity", "sigmoid", "tanh", "relu".
const char* to_string(Activation g);

/// a = g(z), as a constant.
template <class T>
Tensor<T> activate(Activation g, const Tensor<T>& z);

/// g'(z), as a constant, with a = g(z) at hand:
///   identity  1
///   sigmoid   a (1 − a)
///   tanh      1 − a²
///   relu      1 where z > 0, else 0; so g'(0) = 0
template <class T>
Tensor<T> derivative(Activation g, const Tensor<T>& z, const Tensor<std::type_identity_t<T>>& a);

}  // namespace xtape
