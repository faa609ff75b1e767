// The parameters and running statistics of normalisation; the formulas are autodiff's.
#include "../normalization.hpp"

#include <array>

#include <autodiff/arrange.hpp>
#include <autodiff/elementwise.hpp>
#include <autodiff/engine.hpp>
#include <autodiff/layout.hpp>
#include <autodiff/normalization.hpp>
#include <autodiff/reductions.hpp>

namespace xtape::nn {
namespace {

void require_settings(const char* op, std::size_t features, double epsilon) {
  if (features == 0) throw Error(op, "0 features: there must be one at least");
  if (!(epsilon >= 0)) throw Error(op, "epsilon " + engine::number_text(epsilon) + " is negative");
}

}  // namespace

template <class T>
BatchNorm<T>::BatchNorm(const char* name, std::size_t fewest_axes, std::size_t most_axes,
                        std::size_t features, BatchNormOptions options)
    : name_(name), fewest_axes_(fewest_axes), most_axes_(most_axes), options_(options) {
  require_settings(name, features, options.epsilon);
  if (!(options.momentum >= 0 && options.momentum <= 1))
    throw Error(name, "the momentum " + engine::number_text(options.momentum) + " is not in [0, 1]");
  weight = parameter(ones<T>({features}));
  bias = parameter(zeros<T>({features}));
  running_mean = zeros<T>({features});
  running_var = ones<T>({features});
}

template <class T>
Tensor<T> BatchNorm<T>::along(const Tensor<T>& of_features, const Tensor<T>& x) const {
  if (x.rank() == 2) return of_features;
  Dims dims(x.rank() - 1, 1);
  dims[0] = -1;
  return reshape(of_features, dims);
}

template <class T>
Tensor<T> BatchNorm<T>::forward(const Tensor<T>& x) {
  if (x.rank() < 2 + fewest_axes_ || x.rank() > 2 + most_axes_ || x.shape()[1] != weight.size()) {
    std::string shapes;
    for (std::size_t axes = fewest_axes_; axes <= most_axes_; ++axes)
      shapes += (shapes.empty() ? "(N, " : " or (N, ") + std::to_string(weight.size()) +
                std::array{")", ", L)", ", H, W)"}[axes];
    throw Error(name_, "x of shape " + to_string(x.shape()) + " is not " + shapes);
  }
  if (this->training()) return of_batch(x);
  const Tensor<T> scale = weight / sqrt(running_var + static_cast<T>(options_.epsilon));
  return (x - along(running_mean, x)) * along(scale, x) + along(bias, x);
}

template <class T>
Tensor<T> BatchNorm<T>::of_batch(const Tensor<T>& x) {
  const std::size_t count = x.size() / weight.size();
  if (count < 2)
    throw Error(name_, "x of shape " + to_string(x.shape()) + " has no variance between " +
                           (x.rank() == 2 ? "rows: train with two at least" : "numbers: train with more") +
                           ", or call eval()");
  const T epsilon = static_cast<T>(options_.epsilon);
  Moments<T> batch;
  Tensor<T> y;
  if (x.rank() == 2) {
    y = batch_norm(x, weight, bias, epsilon, &batch);
  } else {
    // As rows of features. With its two copies batch_norm takes about half the time that means, variances and
    // elementwise operations take in place, and keeps fewer arrays for the backward pass.
    const Tensor<T> last = moveaxis(x, 1, -1);
    const Tensor<T> rows = reshape(last, {-1, static_cast<std::ptrdiff_t>(weight.size())});
    y = batch_norm(rows, weight, bias, epsilon, &batch);
    y = moveaxis(reshape(y, Dims(last.shape())), -1, 1);
  }
  const T m = static_cast<T>(options_.momentum), n = static_cast<T>(count);
  const Tensor<T> mean = (1 - m) * running_mean + m * batch.mean;
  const Tensor<T> variance = (1 - m) * running_var + m * (batch.variance * n / (n - 1));
  running_mean.assign(mean);  // both or none
  running_var.assign(variance);
  return y;
}

template <class T>
void BatchNorm<T>::members(Members<T>& m) {
  m.parameter("weight", weight);
  m.parameter("bias", bias);
  m.buffer("running_mean", running_mean);
  m.buffer("running_var", running_var);
}

template <class T>
std::string BatchNorm<T>::describe() const {
  return std::string(name_) + "(" + std::to_string(weight.size()) + ")";
}

template <class T>
LayerNorm<T>::LayerNorm(std::size_t features, double epsilon) : epsilon_(epsilon) {
  require_settings("LayerNorm", features, epsilon);
  weight = parameter(ones<T>({features}));
  bias = parameter(zeros<T>({features}));
}

template <class T>
Tensor<T> LayerNorm<T>::forward(const Tensor<T>& x) {
  return layer_norm(x, weight, bias, static_cast<T>(epsilon_));
}

template <class T>
void LayerNorm<T>::members(Members<T>& m) {
  m.parameter("weight", weight);
  m.parameter("bias", bias);
}

template <class T>
std::string LayerNorm<T>::describe() const {
  return "LayerNorm(" + std::to_string(weight.size()) + ")";
}

template <class T>
RMSNorm<T>::RMSNorm(std::size_t features, double epsilon) : epsilon_(epsilon) {
  require_settings("RMSNorm", features, epsilon);
  weight = parameter(ones<T>({features}));
}

template <class T>
Tensor<T> RMSNorm<T>::forward(const Tensor<T>& x) {
  if (x.rank() == 0 || x.shape(-1) != weight.size())
    throw Error("RMSNorm",
                "x of shape " + to_string(x.shape()) + " is not (…, " + std::to_string(weight.size()) + ")");
  return weight * (x / sqrt(mean(square(x), -1, true) + static_cast<T>(epsilon_)));
}

template class BatchNorm<float>;
template class BatchNorm<double>;
template class LayerNorm<float>;
template class LayerNorm<double>;
template class RMSNorm<float>;
template class RMSNorm<double>;

}  // namespace xtape::nn
