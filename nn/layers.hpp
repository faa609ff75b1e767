// Layers: a dense one, and activations.
#pragma once
#include <autodiff/elementwise.hpp>
#include <autodiff/linalg.hpp>

#include "module.hpp"

namespace xtape::nn {

/// y = x Wᵀ + b: x (…, in), y (…, out). The weight (out, in) starts as init::xavier_uniform, the bias (out)
/// at 0. Error for 0 features.
template <class T>
class Linear : public Module<T> {
 public:
  Linear(std::size_t in, std::size_t out, bool with_bias = true);
  Tensor<T> forward(const Tensor<T>& x) override;
  void members(Members<T>& m) override;

  Tensor<T> weight;
  Tensor<T> bias;  ///< empty without a bias
};

/// 1 / (1 + e⁻ˣ)
template <class T>
struct Sigmoid : Module<T> {
  Tensor<T> forward(const Tensor<T>& x) override { return sigmoid(x); }
};

/// max(x, 0)
template <class T>
struct ReLU : Module<T> {
  Tensor<T> forward(const Tensor<T>& x) override { return relu(x); }
};

/// Hyperbolic tangent
template <class T>
struct Tanh : Module<T> {
  Tensor<T> forward(const Tensor<T>& x) override { return tanh(x); }
};

}  // namespace xtape::nn
