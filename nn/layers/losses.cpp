// Losses: checks, reductions, and the choice of the operation that computes them.
#include "../losses.hpp"

#include <algorithm>

#include <autodiff/elementwise.hpp>
#include <autodiff/ops/cross_entropy.hpp>
#include <autodiff/reductions.hpp>

namespace xtape::nn {
namespace {

/// What a sum of losses is multiplied by.
template <class T>
T factor(Reduction reduction, const Shape& losses) {
  const auto over = [](std::size_t n) { return T(1) / static_cast<T>(n); };
  switch (reduction) {
    case Reduction::mean:
      return over(xtape::detail::element_count(losses, "loss"));
    case Reduction::batch_mean:
      return losses.empty() ? T(1) : over(losses[0]);
    case Reduction::sum:
    case Reduction::none:
      return T(1);
  }
  throw Error("loss", "the reduction is none of mean, sum, batch_mean and none");
}

template <class T>
Tensor<T> reduce(const Tensor<T>& losses, Reduction reduction) {
  if (reduction == Reduction::none) return losses;
  if (reduction == Reduction::mean) return mean(losses);
  const T scale = factor<T>(reduction, losses.shape());
  return scale == T(1) ? sum(losses) : sum(losses) * scale;
}

/// weight · Op(a, b), reduced as one node.
template <template <class> class Op, class T>
Tensor<T> elementwise_loss(const Tensor<T>& a, const Tensor<T>& b, Reduction reduction, T weight = 1) {
  if (reduction != Reduction::none)
    return xtape::detail::elementwise_sum<Op>(a, b, weight * factor<T>(reduction, a.shape()));
  const Tensor<T> losses = xtape::detail::elementwise<Op>(a, b);
  return weight == T(1) ? losses : weight * losses;
}

template <class T>
void require_same_shape(const char* op, const Tensor<T>& prediction, const Tensor<T>& target) {
  if (!(prediction.shape() == target.shape()))
    throw Error(op, "shapes " + to_string(prediction.shape()) + " of the prediction and " +
                        to_string(target.shape()) + " of the target differ" +
                        (prediction.size() == target.size() ? ": reshape the target" : ""));
}

}  // namespace

template <class T>
Tensor<T> mse_loss(const Tensor<T>& prediction, const Tensor<std::type_identity_t<T>>& target,
                   Reduction reduction) {
  require_same_shape("mse_loss", prediction, target);
  return elementwise_loss<xtape::detail::ops::SquaredDifference>(prediction, target, reduction);
}

template <class T>
Tensor<T> half_squared_error(const Tensor<T>& prediction, const Tensor<std::type_identity_t<T>>& target,
                             Reduction reduction) {
  require_same_shape("half_squared_error", prediction, target);
  return elementwise_loss<xtape::detail::ops::SquaredDifference>(prediction, target, reduction, T(0.5));
}

template <class T>
Tensor<T> binary_cross_entropy(const Tensor<T>& p, const Tensor<std::type_identity_t<T>>& y,
                               Reduction reduction) {
  require_same_shape("binary_cross_entropy", p, y);
  return elementwise_loss<xtape::detail::ops::BinaryCrossEntropy>(p, y, reduction);
}

template <class T>
Tensor<T> binary_cross_entropy_with_logits(const Tensor<T>& z, const Tensor<std::type_identity_t<T>>& y,
                                           Reduction reduction) {
  require_same_shape("binary_cross_entropy_with_logits", z, y);
  return elementwise_loss<xtape::detail::ops::BinaryCrossEntropyWithLogits>(z, y, reduction);
}

template <class T>
Tensor<T> cross_entropy(const Tensor<T>& logits, const Indices& labels, Reduction reduction) {
  if (labels.shape().size() == 2) {
    Tensor<T> rows = Tensor<T>::uninitialized(labels.shape());
    std::ranges::transform(labels.values(), rows.mutable_data(), [](auto i) { return static_cast<T>(i); });
    return detail::cross_entropy_of_rows(logits, rows, reduction);
  }
  return reduce(xtape::detail::softmax_cross_entropy(logits, labels), reduction);
}

template <class T>
Tensor<T> detail::cross_entropy_of_rows(const Tensor<T>& logits, const Tensor<T>& rows, Reduction reduction) {
  if (rows.rank() == 1 && logits.rank() == 2)
    throw Error("cross_entropy",
                "the target of shape " + to_string(rows.shape()) +
                    " holds no rows: give class labels as integers, for instance std::vector<int>");
  require_same_shape("cross_entropy", logits, rows);
  if (logits.rank() != 2)
    throw Error("cross_entropy", "logits of shape " + to_string(logits.shape()) + " are not (N, C)");
  Tensor<T> logs = log_softmax(logits, 1);
  const T impossible = -std::numeric_limits<T>::infinity();
  if (std::ranges::find(logs.data(), logs.data() + logs.size(), impossible) != logs.data() + logs.size())
    logs = where(equal(rows, T(0)) * equal(logs, impossible), T(0), logs);  // 0 ln 0 = 0
  return reduce(-sum(rows * logs, 1), reduction);
}

#define XTAPE_INSTANTIATE(T)                                                                          \
  template Tensor<T> mse_loss(const Tensor<T>&, const Tensor<T>&, Reduction);                         \
  template Tensor<T> half_squared_error(const Tensor<T>&, const Tensor<T>&, Reduction);               \
  template Tensor<T> binary_cross_entropy(const Tensor<T>&, const Tensor<T>&, Reduction);             \
  template Tensor<T> binary_cross_entropy_with_logits(const Tensor<T>&, const Tensor<T>&, Reduction); \
  template Tensor<T> cross_entropy(const Tensor<T>&, const Indices&, Reduction);                      \
  template Tensor<T> detail::cross_entropy_of_rows(const Tensor<T>&, const Tensor<T>&, Reduction);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn
