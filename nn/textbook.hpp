// What the textbook says of dense layers: activations by name, with derivatives as formulas of values, and
// the layers of a derivation for the hints of compare_gradients. Nothing here is recorded.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include <autodiff/compare_gradients.hpp>
#include <autodiff/tensor.hpp>

namespace xtape {

/// g in a = g(z). The slope of leaky_relu is 0.01 and the alpha of elu 1, the defaults of the functions.
enum class Activation { identity, sigmoid, tanh, relu, leaky_relu, elu, gelu, silu, softplus };

/// "identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus".
const char* to_string(Activation g);

/// g'(z) as derivative() computes it, as a text: "a (1 − a)" of sigmoid.
const char* derivative_text(Activation g);

/// a = g(z), as a constant.
template <class T>
Tensor<T> activate(Activation g, const Tensor<T>& z);

/// g'(z), as a constant, with a = g(z) at hand; σ is the sigmoid, Φ and φ are the normal distribution and its
/// density:
///   identity    1
///   sigmoid     a (1 − a)
///   tanh        1 − a²
///   relu        1 where z > 0, else 0; so g'(0) = 0
///   leaky_relu  1 where z > 0, else 0.01
///   elu         1 where z > 0, else a + 1
///   gelu        Φ(z) + z φ(z)
///   silu        σ(z) + z σ(z) (1 − σ(z))
///   softplus    σ(z)
template <class T>
Tensor<T> derivative(Activation g, const Tensor<T>& z, const Tensor<std::type_identity_t<T>>& a);

}  // namespace xtape

namespace xtape::nn::hand {

/// The values of one layer a = g(W input + b), from which hints compute gradients, right and wrong ones. A
/// batch is in rows: input (N, in), z and a (N, out), W (out, in); or one sample of rank 1. The bias is what
/// z has beyond W input.
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

/// For CompareOptions::derivation: the loss of these layers, in whose derivation compare_gradients() looks
/// for the mistake. It is the linear form Σ dJ_da ⊙ a of the output, or Σ output_delta ⊙ z, which has the
/// gradients of every loss with this dJ_da; what lies in the loss itself, such as labels that are off by one,
/// is found with CompareOptions::loss alone. Error for layers whose shapes do not fit.
template <class T>
std::shared_ptr<const DerivationHints<T>> layer_hints(const DerivationContext<T>& context);

}  // namespace xtape::nn::hand
