// Optimisers: they change parameters, never gradients.
#pragma once
#include <cstddef>
#include <vector>

#include <autodiff/tensor.hpp>

namespace xtape::nn {

/// What optimisers have in common: the parameters, and dropping their gradients.
template <class T>
class Optimizer {
 public:
  /// Error for a tensor that is no leaf.
  explicit Optimizer(std::vector<Tensor<T>> parameters);
  virtual ~Optimizer() = default;

  /// One update of every parameter that has a gradient.
  virtual void step() = 0;
  void zero_grad();
  /// α, the factor of the next step; schedules set it.
  virtual double learning_rate() const = 0;
  virtual void set_learning_rate(double rate) = 0;
  const std::vector<Tensor<T>>& parameters() const { return parameters_; }

 protected:
  std::vector<Tensor<T>> parameters_;
};

struct SGDOptions {
  double learning_rate = 0.1;
  double momentum = 0;
  bool nesterov = false;
  double weight_decay = 0;
};

/// Gradient descent: g ← g + λ w; v ← μ v + g; w ← w − α v (plain: w − α g; Nesterov: w − α (g + μ v)), as in
/// PyTorch. Error for a negative rate, momentum or decay.
template <class T>
class SGD : public Optimizer<T> {
 public:
  explicit SGD(std::vector<Tensor<T>> parameters, SGDOptions options = {});
  void step() override;
  double learning_rate() const override { return options.learning_rate; }
  void set_learning_rate(double rate) override { options.learning_rate = rate; }

  SGDOptions options;  ///< may be changed between steps

 private:
  std::vector<std::vector<T>> velocity_;
};

struct AdamOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
};

/// Adam (Kingma and Ba, 2015): m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g²,
/// w ← w − α m̂ / (√v̂ + ε) with m̂ = m / (1−β₁ᵗ), v̂ = v / (1−β₂ᵗ). Weight decay is added to g.
template <class T>
class Adam : public Optimizer<T> {
 public:
  explicit Adam(std::vector<Tensor<T>> parameters, AdamOptions options = {});
  void step() override;
  double learning_rate() const override { return options.learning_rate; }
  void set_learning_rate(double rate) override { options.learning_rate = rate; }

  AdamOptions options;  ///< may be changed between steps

 private:
  std::vector<std::vector<T>> mean_, square_;
  std::vector<std::size_t> steps_;
};

}  // namespace xtape::nn
