// Backpropagation as the textbook derives it: every quantity of steps 1 to 5 by its name, in formulas of
// values. It uses no derivative of the tape, so each can be held against the other.
//
// Conventions: a batch is in the rows of x (N, in) and y (N, out), and W is (out, in); then δ is (N, out), Wᵀ
// δ is δ W in rows, and δ aᵀ summed over the batch is δᵀ a. An x (in,) with y (out,) is one sample, and the
// results have the shapes of the textbook: δ (out,), db = δ, dW = δ aᵀ.
#pragma once
#include <optional>
#include <vector>

#include <autodiff/compare_gradients.hpp>

#include "losses.hpp"
#include "textbook.hpp"

namespace xtape::nn::hand {

using xtape::Activation;
using xtape::derivative;

/// J of the outputs a and the targets y. `s` stands for the reduction; without one given it is that of the
/// loss of the same name in nn.
enum class Loss {
  half_squared_error,  ///< s Σ ½ (a − y)², summed (s = 1): dJ/da = a − y, as in the textbook
  mean_squared_error,  ///< s Σ (a − y)², the mean over all elements (s = 1/(N·out)): as mse_loss
  binary_cross_entropy,  ///< −s Σ (y ln a + (1 − y) ln(1 − a)), the mean over all elements; a = sigmoid(z)
  softmax_cross_entropy  ///< −s Σ y ln a, the mean over the batch (s = 1/N); a = softmax(z), y one-hot rows
};

/// Settings of layers() and two_layer().
struct Options {
  std::optional<Activation> output_activation{};  ///< of the last layer; that of the others when absent
  std::optional<Reduction> reduction{};           ///< of the losses; mean, sum or batch_mean
};

/// The gradient step of one layer.
template <class T>
struct LayerUpdate {
  Tensor<T> change_W, change_b;  ///< ΔW = −α dW, Δb = −α db
  Tensor<T> W, b;                ///< W + ΔW, b + Δb
};

/// A dense layer a = g(W a_previous + b).
template <class T>
struct Layer {
  Tensor<T> W;  ///< (out, in)
  Tensor<T> b;  ///< (out,)
  Activation activation = Activation::sigmoid;
};

/// What layers() computes. Entry l of each vector is of layer l + 1 in the textbook's counting.
template <class T>
struct Layers {
  Tensor<T> x, y;
  std::vector<Layer<T>> layers;
  std::vector<Tensor<T>> z;  ///< W a_previous + b
  std::vector<Tensor<T>> a;  ///< g(z); a.back() is the output
  Tensor<T> J;               ///< the loss
  std::vector<Tensor<T>>
      error;  ///< dJ/da: of the output from the loss, of a hidden layer Wᵀ δ of the next one
  std::vector<Tensor<T>> delta;  ///< dJ/dz = error · g'(z)
  std::vector<Tensor<T>> dW;     ///< δ a_previousᵀ, summed over the batch
  std::vector<Tensor<T>> db;     ///< δ, summed over the batch

  /// Step 5, with the learning rate α.
  std::vector<LayerUpdate<T>> updates(T alpha) const;
  /// For the hints of compare_gradients, whose rows are then named W1, b1, W2, …
  CompareOptions<T> compare_options() const;
  /// The layers as layer_hints takes them.
  DerivationContext<T> context() const;
};

/// Steps 1 to 4 for any number of layers. Errors, which name the quantity: shapes that do not fit, binary
/// cross-entropy of other outputs than a sigmoid's, rows of y that are no distribution for the softmax.
template <class T>
Layers<T> layers(const Tensor<T>& x, const Tensor<std::type_identity_t<T>>& y,
                 const std::vector<Layer<std::type_identity_t<T>>>& layers, Loss loss,
                 std::optional<Reduction> reduction = {});

/// The names of step 5 for two layers.
template <class T>
struct TwoLayerUpdate {
  Tensor<T> change_W2, change_W1, change_b2, change_b1;  ///< −α dW2, …
  Tensor<T> W2, W1, b2, b1;                              ///< the new ones
};

/// What two_layer() computes, by the textbook's names.
template <class T>
struct TwoLayer {
  Tensor<T> z1, a1, z2, a2, J;
  Tensor<T> dJ_da2;              ///< step 1
  Tensor<T> delta2;              ///< step 2: dJ/da2 · g'(z2)
  Tensor<T> hidden_error;        ///< step 3: W2ᵀ δ2 …
  Tensor<T> delta1;              ///< … · g'(z1)
  Tensor<T> dW2, dW1, db2, db1;  ///< step 4: δ2 a1ᵀ, δ1 xᵀ, δ2, δ1
  Layers<T> steps;               ///< the same as lists

  /// Step 5, with the learning rate α.
  TwoLayerUpdate<T> updates(T alpha) const;
};

/// Steps 1 to 4 for two layers: W1 (hidden, in), b1 (hidden,), W2 (out, hidden), b2 (out,). The activation is
/// that of both layers unless options.output_activation is given. Errors as for layers().
template <class T>
TwoLayer<T> two_layer(const Tensor<T>& x, const Tensor<std::type_identity_t<T>>& y,
                      const Tensor<std::type_identity_t<T>>& W1, const Tensor<std::type_identity_t<T>>& b1,
                      const Tensor<std::type_identity_t<T>>& W2, const Tensor<std::type_identity_t<T>>& b2,
                      Activation activation, Loss loss, const Options& options = {});

}  // namespace xtape::nn::hand
