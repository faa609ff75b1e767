// Losses with named reductions. Targets are constants or recorded tensors of the prediction's shape.
#pragma once
#include <concepts>

#include <autodiff/indexing.hpp>
#include <autodiff/tensor.hpp>

namespace xtape::nn {

/// What becomes of the losses of single elements (of rows, for cross_entropy).
enum class Reduction {
  mean,        ///< their mean
  sum,         ///< their sum
  batch_mean,  ///< their sum divided by the size of the first axis
  none         ///< they are returned as they are
};

/// (a − y)²; d/da = 2 (a − y). Error when the shapes differ.
template <class T>
Tensor<T> mse_loss(const Tensor<T>& prediction, const Tensor<std::type_identity_t<T>>& target,
                   Reduction reduction = Reduction::mean);

/// ½ (a − y)², summed unless said otherwise: the textbook's loss, with d/da = a − y as it stands.
template <class T>
Tensor<T> half_squared_error(const Tensor<T>& prediction, const Tensor<std::type_identity_t<T>>& target,
                             Reduction reduction = Reduction::sum);

/// −(y ln p + (1 − y) ln(1 − p)) for probabilities p; d/dp = (p − y) / (p (1 − p)). As in PyTorch, logarithms
/// end at −100 and the denominator at 1e-12, so that p = 0 and p = 1 give finite numbers.
template <class T>
Tensor<T> binary_cross_entropy(const Tensor<T>& p, const Tensor<std::type_identity_t<T>>& y,
                               Reduction reduction = Reduction::mean);

/// binary_cross_entropy for p = sigmoid(z), exact for all z; d/dz = sigmoid(z) − y.
template <class T>
Tensor<T> binary_cross_entropy_with_logits(const Tensor<T>& z, const Tensor<std::type_identity_t<T>>& y,
                                           Reduction reduction = Reduction::mean);

/// −ln softmax(z)[label] for each row of logits z (N, C); d/dz = softmax(z) − onehot(label). The labels are N
/// integers from 0 to C − 1, or one-hot rows (N, C) of integers. Error for a label out of range.
template <class T>
Tensor<T> cross_entropy(const Tensor<T>& logits, const Indices& labels,
                        Reduction reduction = Reduction::mean);

namespace detail {
template <class T>
Tensor<T> cross_entropy_of_rows(const Tensor<T>& logits, const Tensor<T>& rows, Reduction reduction);
}  // namespace detail

/// −Σ y ln softmax(z) for each row, with one-hot rows or other distributions y (N, C): a tensor or an xtensor
/// expression of floating-point numbers.
template <class T, class Rows>
requires std::same_as<Rows, Tensor<T>> ||(Expression<Rows>&& std::floating_point<typename Rows::value_type>)
    Tensor<T> cross_entropy(const Tensor<T>& logits, const Rows& rows,
                            Reduction reduction = Reduction::mean) {
  return detail::cross_entropy_of_rows<T>(logits, rows, reduction);
}

}  // namespace xtape::nn
