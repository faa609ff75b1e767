// Layers of convolutional networks: convolution, pooling, and from images to features.
#pragma once
#include <autodiff/convolution.hpp>
#include <autodiff/pooling.hpp>

#include "module.hpp"

namespace xtape::nn {

/// Settings of Conv2d.
struct ConvolutionOptions {
  Size2 stride = 1;
  Size2 padding = 0;
  Size2 dilation = 1;
  std::size_t groups = 1;
  bool bias = true;
};

/// conv2d with parameters: x (N, in, H, W), y (N, out, Ho, Wo). The weight (out, in / groups, kh, kw) starts
/// as init::he_uniform, whose variance 2 / (in / groups·kh·kw) keeps the size of what passes through layers
/// with ReLU, the bias (out) at 0. Error for 0 channels, for groups that do not divide both, and for a
/// kernel, stride or dilation of 0.
template <class T>
class Conv2d : public Module<T> {
 public:
  Conv2d(std::size_t in, std::size_t out, Size2 kernel, const ConvolutionOptions& options = {});
  Tensor<T> forward(const Tensor<T>& x) override;
  void members(Members<T>& m) override;
  std::string describe() const override;

  Tensor<T> weight;
  Tensor<T> bias;  ///< empty without a bias
  Conv2dOptions options;
};

/// max_pool2d; a stride of 0, the default, means the kernel.
template <class T>
class MaxPool2d : public Module<T> {
 public:
  explicit MaxPool2d(Size2 size, Size2 step = 0)
      : kernel(size), stride(step.height == 0 && step.width == 0 ? size : step) {}
  Tensor<T> forward(const Tensor<T>& x) override { return max_pool2d(x, kernel, stride); }
  std::string describe() const override;

  Size2 kernel, stride;
};

/// (N, …) → (N, features). Error for a scalar.
template <class T>
struct Flatten : Module<T> {
  Tensor<T> forward(const Tensor<T>& x) override;
  std::string describe() const override { return "Flatten"; }
};

}  // namespace xtape::nn
