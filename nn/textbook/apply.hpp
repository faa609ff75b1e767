// An activation by its name, on the tape.
#pragma once
#include <autodiff/elementwise.hpp>

#include "../textbook.hpp"

namespace xtape::nn::textbook {

[[noreturn]] inline void fail_as_unknown() {
  throw Error("activation",
              "it is none of identity, sigmoid, tanh, relu, leaky_relu, elu, gelu, silu and softplus");
}

/// a = g(z), recorded where z is.
template <class T>
Tensor<T> apply(Activation g, const Tensor<T>& z) {
  switch (g) {
    case Activation::identity:
      return z;
    case Activation::sigmoid:
      return sigmoid(z);
    case Activation::tanh:
      return tanh(z);
    case Activation::relu:
      return relu(z);
    case Activation::leaky_relu:
      return leaky_relu(z);
    case Activation::elu:
      return elu(z);
    case Activation::gelu:
      return gelu(z);
    case Activation::silu:
      return silu(z);
    case Activation::softplus:
      return softplus(z);
  }
  fail_as_unknown();
}

}  // namespace xtape::nn::textbook
