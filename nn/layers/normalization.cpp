// The parameters and running statistics of normalisation; the formulas are autodiff's.
#include "../normalization.hpp"

#include <autodiff/elementwise.hpp>
#include <autodiff/engine.hpp>
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
BatchNorm1d<T>::BatchNorm1d(std::size_t features, BatchNormOptions options) : options_(options) {
  require_settings("BatchNorm1d", features, options.epsilon);
  if (!(options.momentum >= 0 && options.momentum <= 1))
    throw Error("BatchNorm1d", "the momentum " + engine::number_text(options.momentum) + " is not in [0, 1]");
  weight = parameter(ones<T>({features}));
  bias = parameter(zeros<T>({features}));
  running_mean = zeros<T>({features});
  running_var = ones<T>({features});
}

template <class T>
Tensor<T> BatchNorm1d<T>::forward(const Tensor<T>& x) {
  const T epsilon = static_cast<T>(options_.epsilon);
  if (x.rank() != 2 || x.shape()[1] != weight.size())
    throw Error("BatchNorm1d",
                "x of shape " + to_string(x.shape()) + " is not (N, " + std::to_string(weight.size()) + ")");
  if (!this->training()) return (x - running_mean) * (weight / sqrt(running_var + epsilon)) + bias;

  const std::size_t N = x.shape()[0];
  if (N < 2)
    throw Error("BatchNorm1d", "x of shape " + to_string(x.shape()) +
                                   " has no variance between rows: train with two at least, or call eval()");
  Moments<T> batch;
  Tensor<T> y = batch_norm(x, weight, bias, epsilon, &batch);
  const T m = static_cast<T>(options_.momentum), n = static_cast<T>(N);
  const Tensor<T> mean = (1 - m) * running_mean + m * batch.mean;
  const Tensor<T> variance = (1 - m) * running_var + m * (batch.variance * n / (n - 1));
  running_mean.assign(mean);  // both or none
  running_var.assign(variance);
  return y;
}

template <class T>
void BatchNorm1d<T>::members(Members<T>& m) {
  m.parameter("weight", weight);
  m.parameter("bias", bias);
  m.buffer("running_mean", running_mean);
  m.buffer("running_var", running_var);
}

template <class T>
std::string BatchNorm1d<T>::describe() const {
  return "BatchNorm1d(" + std::to_string(weight.size()) + ")";
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

template class BatchNorm1d<float>;
template class BatchNorm1d<double>;
template class LayerNorm<float>;
template class LayerNorm<double>;
template class RMSNorm<float>;
template class RMSNorm<double>;

}  // namespace xtape::nn
