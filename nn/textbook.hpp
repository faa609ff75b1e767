// What the textbook says of dense layers: activations by name, with derivatives as formulas of values, and
// the layers of a derivation for the hints of compare_gradients. Nothing here is recorded.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include <autodiff/compare_gradients.hpp>
#include <autodiff/tensor.hpp>

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

namespace xtape::nn::hand {

/// The values of one layer a = g(W input + b), from which hints recompute gradients, right and wrong ones. A
/// batch is in rows: input (N, in), z and a (N, out), W (out, in); or one sample of rank 1.
template <class T>
struct LayerContext {
  std::string weight{};  ///< the name of the row with dJ/dW
  std::string bias{};    ///< the name of the row with dJ/db
  Tensor<T> input{};     ///< a of the layer before, or x
  Tensor<T> z{};
  Tensor<T> a{};  ///< computed from z when absent
  Activation activation = Activation::identity;
  Tensor<T> W{};
};

/// The layers whose derivation is checked, and where its derivatives begin.
template <class T>
struct DerivationContext {
  std::vector<LayerContext<T>> layers{};  ///< all of them, from the input to the output
  Tensor<T> dJ_da{};                      ///< of the last layer's a
  Tensor<T> output_delta{};               ///< dJ/dz of the last layer; dJ_da · g'(z) when absent
};

/// For CompareOptions::derivation: tries the usual mistakes of a derivation in these layers. Error for layers
/// whose shapes do not fit.
template <class T>
std::shared_ptr<const DerivationHints<T>> layer_hints(const DerivationContext<T>& context);

}  // namespace xtape::nn::hand
