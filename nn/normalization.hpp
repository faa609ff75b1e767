// Batch and layer normalisation as layers.
#pragma once
#include "module.hpp"

namespace xtape::nn {

/// Settings of BatchNorm1d and BatchNorm2d.
struct BatchNormOptions {
  double epsilon = 1e-5;
  double momentum = 0.1;  ///< the weight of a new batch in the running statistics
};

/// y = weight (x − mean) / √(variance + epsilon) + bias for each feature, axis 1 of x (Ioffe and Szegedy,
/// 2015). In training with the moments of the batch, over all other axes, which also go into the running
/// statistics: r ← (1 − momentum) r + momentum · moment, with the variance over n − 1 for n numbers, as in
/// PyTorch. In evaluation with the running statistics. A forward pass that checkpoint() runs twice counts
/// twice. Errors: other shapes, no features, and training with fewer than two numbers for each.
template <class T>
class BatchNorm : public Module<T> {
 public:
  Tensor<T> forward(const Tensor<T>& x) override;
  void members(Members<T>& m) override;
  std::string describe() const override;

  Tensor<T> weight, bias;               ///< gamma and beta, (features,)
  Tensor<T> running_mean, running_var;  ///< buffers, (features,); they start at 0 and 1

 protected:
  /// For x with so many axes after that of the features.
  BatchNorm(const char* name, std::size_t fewest_axes, std::size_t most_axes, std::size_t features,
            BatchNormOptions options);

 private:
  /// A number for each feature, in a shape that broadcasts to x.
  Tensor<T> along(const Tensor<T>& of_features, const Tensor<T>& x) const;
  Tensor<T> of_batch(const Tensor<T>& x);

  const char* name_;
  std::size_t fewest_axes_, most_axes_;
  BatchNormOptions options_;
};

/// BatchNorm for rows of features, x (N, features), and for sequences, (N, features, L).
template <class T>
class BatchNorm1d : public BatchNorm<T> {
 public:
  explicit BatchNorm1d(std::size_t features, BatchNormOptions options = {})
      : BatchNorm<T>("BatchNorm1d", 0, 1, features, options) {}
};

/// BatchNorm for images, x (N, features, H, W).
template <class T>
class BatchNorm2d : public BatchNorm<T> {
 public:
  explicit BatchNorm2d(std::size_t features, BatchNormOptions options = {})
      : BatchNorm<T>("BatchNorm2d", 2, 2, features, options) {}
};

/// y = weight (x − mean) / √(variance + epsilon) + bias with the moments of each row of features, the last
/// axis of x (…, features), in training and evaluation alike (Ba et al., 2016). Errors: other shapes, no
/// features.
template <class T>
class LayerNorm : public Module<T> {
 public:
  explicit LayerNorm(std::size_t features, double epsilon = 1e-5);
  Tensor<T> forward(const Tensor<T>& x) override;
  void members(Members<T>& m) override;
  std::string describe() const override;

  Tensor<T> weight, bias;  ///< gamma and beta, (features,)

 private:
  double epsilon_;
};

/// y = weight x / √(mean of x² + epsilon) over each row of features, the last axis of x (…, features) (Zhang
/// and Sennrich, 2019). Errors: other shapes, no features.
template <class T>
class RMSNorm : public Module<T> {
 public:
  explicit RMSNorm(std::size_t features, double epsilon = 1e-5);
  Tensor<T> forward(const Tensor<T>& x) override;
  void members(Members<T>& m) override { m.parameter("weight", weight); }
  std::string describe() const override { return "RMSNorm(" + std::to_string(weight.size()) + ")"; }

  Tensor<T> weight;  ///< (features,)

 private:
  double epsilon_;
};

}  // namespace xtape::nn
