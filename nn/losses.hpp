// Losses with named reductions. Targets are constants or recorded tensors of the prediction's shape.
#pragma once
#include <concepts>
#include <cstddef>
#include <optional>

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

/// Settings of binary_cross_entropy_with_logits.
template <class T>
struct BinaryCrossEntropyOptions {
  Tensor<T> pos_weight{};  ///< of targets 1 beside targets 0; broadcasts to z, so (C,) is one for each class
  Reduction reduction = Reduction::mean;
};
/// −(p y ln σ(z) + (1 − y) ln(1 − σ(z))) with p = pos_weight. Error for one that does not broadcast to z.
template <class T>
Tensor<T> binary_cross_entropy_with_logits(const Tensor<T>& z, const Tensor<std::type_identity_t<T>>& y,
                                           const BinaryCrossEntropyOptions<std::type_identity_t<T>>& options);

/// |a − y|; d/da = sign(a − y). Error when the shapes differ.
template <class T>
Tensor<T> l1_loss(const Tensor<T>& prediction, const Tensor<std::type_identity_t<T>>& target,
                  Reduction reduction = Reduction::mean);

/// ½ d² where |d| < delta, for d = a − y, else delta (|d| − ½ delta) (Huber, 1964). Error when the shapes
/// differ, and for a delta that is not positive.
template <class T>
Tensor<T> huber_loss(const Tensor<T>& prediction, const Tensor<std::type_identity_t<T>>& target,
                     double delta = 1, Reduction reduction = Reduction::mean);

/// t (ln t − i) for a target distribution t and the logarithms i of another, as log_softmax gives them; 0
/// where t = 0. As in PyTorch the mean is over all elements: Reduction::batch_mean is the divergence of
/// Kullback and Leibler (1951), Σ t ln(t / exp(i)) for each row, in the mean of the rows. Error when the
/// shapes differ.
template <class T>
Tensor<T> kl_div(const Tensor<T>& log_input, const Tensor<std::type_identity_t<T>>& target,
                 Reduction reduction = Reduction::mean);

/// −ln softmax(z)[label] for each row, the last axis, of logits z (…, C); d/dz = softmax(z) − onehot(label).
/// The labels are (…), integers from 0 to C − 1, or one-hot rows (N, C) of integers. PyTorch has the classes
/// in the second axis, where there are more than two: moveaxis(z, 1, -1) is what is needed here. Error for a
/// label out of range.
template <class T>
Tensor<T> cross_entropy(const Tensor<T>& logits, const Indices& labels,
                        Reduction reduction = Reduction::mean);

/// Settings of cross_entropy.
template <class T>
struct CrossEntropyOptions {
  /// The label of rows whose loss is 0, such as those that fill a batch up; they do not count in the mean.
  std::optional<std::ptrdiff_t> ignore_index{};
  double label_smoothing = 0;  ///< the share of the distribution that goes evenly to all classes
  Tensor<T> weight{};          ///< (C,), of each class: w
  Reduction reduction = Reduction::mean;
};
/// With ε = label_smoothing: −(1 − ε) w[label] ln p[label] − ε/C Σ w[c] ln p[c] for each row, p = softmax(z),
/// as in PyTorch. The mean is the sum divided by that of the w[label], so that the weights alone do not
/// change its size. Errors, besides those above: a mean where all labels are ignored (which is NaN in
/// PyTorch), a weight of another shape, an ε outside [0, 1].
template <class T>
Tensor<T> cross_entropy(const Tensor<T>& logits, const Indices& labels,
                        const CrossEntropyOptions<std::type_identity_t<T>>& options);

namespace detail {
template <class T>
Tensor<T> cross_entropy_of_rows(const Tensor<T>& logits, const Tensor<T>& rows, Reduction reduction);
}  // namespace detail

/// −Σ y ln softmax(z) for each row, with one-hot rows or other distributions y (…, C): a tensor or an xtensor
/// expression of floating-point numbers.
template <class T, class Rows>
requires std::same_as<Rows, Tensor<T>> ||(Expression<Rows>&& std::floating_point<typename Rows::value_type>)
    Tensor<T> cross_entropy(const Tensor<T>& logits, const Rows& rows,
                            Reduction reduction = Reduction::mean) {
  return detail::cross_entropy_of_rows<T>(logits, rows, reduction);
}

}  // namespace xtape::nn
