// Batch and layer normalisation, each as one node.
#pragma once
#include "tensor.hpp"

namespace xtape {

/// The mean and the variance (over n, not n − 1) of each feature, as constants of shape (F,).
template <class T>
struct Moments {
  Tensor<T> mean, variance;
};

/// y = gamma (x − mean) / √(variance + epsilon) + beta, with the mean and variance of each column of x (N,
/// F); gamma and beta are (F,) (Ioffe and Szegedy, 2015). A constant
/// column gives beta. `moments`, where given, receives them. Error for
/// other shapes, and for N = 0.
template <class T>
Tensor<T> batch_norm(const Tensor<T>& x, const Tensor<std::type_identity_t<T>>& gamma,
                     const Tensor<std::type_identity_t<T>>& beta, std::type_identity_t<T> epsilon = T(1e-5),
                     Moments<T>* moments = nullptr);

/// As batch_norm, with the mean and variance of each row of features, the last axis of x (…, F) (Ba et al.,
/// 2016).
template <class T>
Tensor<T> layer_norm(const Tensor<T>& x, const Tensor<std::type_identity_t<T>>& gamma,
                     const Tensor<std::type_identity_t<T>>& beta, std::type_identity_t<T> epsilon = T(1e-5));

}  // namespace xtape
