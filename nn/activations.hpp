// Activations as layers.
#pragma once
#include <autodiff/elementwise.hpp>
#include <autodiff/engine.hpp>
#include <autodiff/reductions.hpp>

#include "module.hpp"

namespace xtape::nn {

/// 1 / (1 + e⁻ˣ)
template <class T>
struct Sigmoid : Module<T> {
  Tensor<T> forward(const Tensor<T>& x) override { return sigmoid(x); }
  std::string describe() const override { return "Sigmoid"; }
};

/// Hyperbolic tangent
template <class T>
struct Tanh : Module<T> {
  Tensor<T> forward(const Tensor<T>& x) override { return tanh(x); }
  std::string describe() const override { return "Tanh"; }
};

/// max(x, 0)
template <class T>
struct ReLU : Module<T> {
  Tensor<T> forward(const Tensor<T>& x) override { return relu(x); }
  std::string describe() const override { return "ReLU"; }
};

/// x Φ(x), Φ the normal distribution function
template <class T>
struct GELU : Module<T> {
  Tensor<T> forward(const Tensor<T>& x) override { return gelu(x); }
  std::string describe() const override { return "GELU"; }
};

/// x sigmoid(x)
template <class T>
struct SiLU : Module<T> {
  Tensor<T> forward(const Tensor<T>& x) override { return silu(x); }
  std::string describe() const override { return "SiLU"; }
};

/// ln(1 + eˣ)
template <class T>
struct Softplus : Module<T> {
  Tensor<T> forward(const Tensor<T>& x) override { return softplus(x); }
  std::string describe() const override { return "Softplus"; }
};

/// x for x > 0, slope·x below
template <class T>
struct LeakyReLU : Module<T> {
  explicit LeakyReLU(T negative_slope = T(0.01)) : slope(negative_slope) {}
  Tensor<T> forward(const Tensor<T>& x) override { return leaky_relu(x, slope); }
  std::string describe() const override {
    return "LeakyReLU(" + engine::number_text(static_cast<double>(slope)) + ")";
  }

  T slope;
};

/// x for x > 0, alpha (eˣ − 1) below
template <class T>
struct ELU : Module<T> {
  explicit ELU(T a = 1) : alpha(a) {}
  Tensor<T> forward(const Tensor<T>& x) override { return elu(x, alpha); }
  std::string describe() const override {
    return "ELU(" + engine::number_text(static_cast<double>(alpha)) + ")";
  }

  T alpha;
};

/// eˣ / Σ eˣ along an axis
template <class T>
struct Softmax : Module<T> {
  explicit Softmax(std::ptrdiff_t a = -1) : axis(a) {}
  Tensor<T> forward(const Tensor<T>& x) override { return softmax(x, axis); }
  std::string describe() const override { return "Softmax(" + std::to_string(axis) + ")"; }

  std::ptrdiff_t axis;
};

}  // namespace xtape::nn
