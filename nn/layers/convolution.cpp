// Parameters of convolutions.
#include "../convolution.hpp"

#include <algorithm>
#include <string>

#include <autodiff/layout.hpp>

#include "../init.hpp"

namespace xtape::nn {

namespace {

std::string sizes(auto height, auto width) { return std::to_string(height) + "x" + std::to_string(width); }

}  // namespace

template <class T>
Conv2d<T>::Conv2d(std::size_t in, std::size_t out, Size2 kernel, const ConvolutionOptions& with)
    : options{with.stride, with.padding, with.dilation, with.groups} {
  if (in == 0 || out == 0)
    throw Error("Conv2d", std::to_string(in) + " channels in and " + std::to_string(out) +
                              " out: both must be positive");
  if (std::min({kernel.height, kernel.width, with.stride.height, with.stride.width, with.dilation.height,
                with.dilation.width}) < 1 ||
      std::min(with.padding.height, with.padding.width) < 0)
    throw Error("Conv2d", "kernel, stride and dilation must be positive, the padding 0 or more");
  if (with.groups == 0 || in % with.groups != 0 || out % with.groups != 0)
    throw Error("Conv2d", "groups of " + std::to_string(with.groups) + " do not divide " +
                              std::to_string(in) + " channels in and " + std::to_string(out) + " out");
  weight = parameter(init::he_uniform<T>({out, in / with.groups, kernel.height, kernel.width}));
  if (with.bias) bias = parameter(init::zeros<T>({out}));
}

template <class T>
Tensor<T> Conv2d<T>::forward(const Tensor<T>& x) {
  return bias.defined() ? conv2d(x, weight, bias, options) : conv2d(x, weight, options);
}

template <class T>
void Conv2d<T>::members(Members<T>& m) {
  m.parameter("weight", weight);
  if (bias.defined()) m.parameter("bias", bias);
}

template <class T>
std::string Conv2d<T>::describe() const {
  const Shape& w = weight.shape();
  return "Conv2d(" + std::to_string(w[1] * options.groups) + ", " + std::to_string(w[0]) + ", " +
         sizes(w[2], w[3]) + (options.groups == 1 ? "" : ", " + std::to_string(options.groups) + " groups") +
         ")";
}

template <class T>
std::string MaxPool2d<T>::describe() const {
  return "MaxPool2d(" + sizes(kernel.height, kernel.width) + ")";
}

template <class T>
Tensor<T> Flatten<T>::forward(const Tensor<T>& x) {
  if (x.rank() == 0) throw Error("Flatten", "x of shape () has no first axis");
  std::size_t features = 1;
  for (std::size_t i = 1; i < x.rank(); ++i) features *= x.shape()[i];
  return reshape(x, {x.shape()[0], features});
}

template class Conv2d<float>;
template class Conv2d<double>;
template class MaxPool2d<float>;
template class MaxPool2d<double>;
template struct Flatten<float>;
template struct Flatten<double>;

}  // namespace xtape::nn
