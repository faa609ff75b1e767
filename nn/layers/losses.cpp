// Losses: checks, reductions, and the choice of the operation that computes them.
#include "../losses.hpp"

#include <algorithm>

#include <autodiff/elementwise.hpp>
#include <autodiff/engine.hpp>
#include <autodiff/masks.hpp>
#include <autodiff/reductions.hpp>

namespace xtape::nn {
namespace {

using engine::ElementwiseLoss;

/// What a sum of losses is divided by.
template <class T>
T divisor(Reduction reduction, const Shape& losses) {
  switch (reduction) {
    case Reduction::mean:
      return static_cast<T>(engine::element_count(losses, "loss"));
    case Reduction::batch_mean:
      return losses.empty() ? T(1) : static_cast<T>(losses[0]);
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
  const T n = divisor<T>(reduction, losses.shape());
  return n == T(1) ? sum(losses) : sum(losses) / n;
}

/// weight · loss(a, b), reduced as one node; the weight is a power of two.
template <class T>
Tensor<T> elementwise_loss(ElementwiseLoss loss, const Tensor<T>& a, const Tensor<T>& b, Reduction reduction,
                           T weight = 1) {
  if (reduction != Reduction::none)
    return engine::loss_sum(loss, a, b, divisor<T>(reduction, a.shape()) / weight);
  const Tensor<T> losses = engine::losses(loss, a, b);
  return weight == T(1) ? losses : weight * losses;
}

template <class T>
void require_same_shape(const char* op, const Tensor<T>& prediction, const Tensor<T>& target) {
  if (!(prediction.shape() == target.shape()))
    throw Error(op, "shapes " + to_string(prediction.shape()) + " of the prediction and " +
                        to_string(target.shape()) + " of the target differ" +
                        (prediction.size() == target.size() ? ": reshape the target" : ""));
}

/// The labels that one-hot rows (N, C) stand for.
Indices labels_of_rows(const Indices& rows) {
  const std::size_t C = rows.shape()[1];
  std::vector<std::ptrdiff_t> labels;
  for (std::size_t i = 0; i < rows.size(); i += C) {
    const auto row = rows.values().begin() + static_cast<std::ptrdiff_t>(i);
    const auto end = row + static_cast<std::ptrdiff_t>(C);
    if (std::count(row, end, 1) != 1 || std::count(row, end, 0) + 1 != end - row)
      throw Error("cross_entropy",
                  "row " + std::to_string(i / C) + " of the integers of shape " + to_string(rows.shape()) +
                      " is not one-hot: give one label for each row of the logits, or a distribution as " +
                      "floating-point numbers");
    labels.push_back(std::find(row, end, 1) - row);
  }
  return labels;
}

}  // namespace

template <class T>
Tensor<T> mse_loss(const Tensor<T>& prediction, const Tensor<std::type_identity_t<T>>& target,
                   Reduction reduction) {
  require_same_shape("mse_loss", prediction, target);
  return elementwise_loss(ElementwiseLoss::squared_difference, prediction, target, reduction);
}

template <class T>
Tensor<T> half_squared_error(const Tensor<T>& prediction, const Tensor<std::type_identity_t<T>>& target,
                             Reduction reduction) {
  require_same_shape("half_squared_error", prediction, target);
  return elementwise_loss(ElementwiseLoss::squared_difference, prediction, target, reduction, T(0.5));
}

template <class T>
Tensor<T> binary_cross_entropy(const Tensor<T>& p, const Tensor<std::type_identity_t<T>>& y,
                               Reduction reduction) {
  require_same_shape("binary_cross_entropy", p, y);
  return elementwise_loss(ElementwiseLoss::binary_cross_entropy, p, y, reduction);
}

template <class T>
Tensor<T> binary_cross_entropy_with_logits(const Tensor<T>& z, const Tensor<std::type_identity_t<T>>& y,
                                           Reduction reduction) {
  require_same_shape("binary_cross_entropy_with_logits", z, y);
  return elementwise_loss(ElementwiseLoss::binary_cross_entropy_with_logits, z, y, reduction);
}

template <class T>
Tensor<T> binary_cross_entropy_with_logits(const Tensor<T>& z, const Tensor<std::type_identity_t<T>>& y,
                                           const BinaryCrossEntropyOptions<std::type_identity_t<T>>& o) {
  if (!o.pos_weight.defined()) return binary_cross_entropy_with_logits(z, y, o.reduction);
  require_same_shape("binary_cross_entropy_with_logits", z, y);
  const Tensor<T> weighted = o.pos_weight * y;
  if (!(weighted.shape() == z.shape()))
    throw Error("binary_cross_entropy_with_logits",
                "a pos_weight of shape " + to_string(o.pos_weight.shape()) +
                    " does not broadcast to the shape " + to_string(z.shape()) + " of the logits");
  return reduce((1 - y) * softplus(z) + weighted * softplus(-z), o.reduction);
}

template <class T>
Tensor<T> l1_loss(const Tensor<T>& prediction, const Tensor<std::type_identity_t<T>>& target,
                  Reduction reduction) {
  require_same_shape("l1_loss", prediction, target);
  return reduce(abs(prediction - target), reduction);
}

template <class T>
Tensor<T> huber_loss(const Tensor<T>& prediction, const Tensor<std::type_identity_t<T>>& target, double delta,
                     Reduction reduction) {
  require_same_shape("huber_loss", prediction, target);
  if (!(delta > 0)) throw Error("huber_loss", "delta " + engine::number_text(delta) + " is not positive");
  const T limit = static_cast<T>(delta);
  const Tensor<T> d = prediction - target, distance = abs(d);
  return reduce(where(distance < limit, square(d) / 2, limit * (distance - limit / 2)), reduction);
}

template <class T>
Tensor<T> kl_div(const Tensor<T>& log_input, const Tensor<std::type_identity_t<T>>& target,
                 Reduction reduction) {
  require_same_shape("kl_div", log_input, target);
  const Tensor<T> none = equal(target, T(0));  // 0 ln 0 = 0, and ln 0 is not computed for its gradient either
  return reduce(where(none, T(0), target * (log(where(none, T(1), target)) - log_input)), reduction);
}

template <class T>
Tensor<T> cross_entropy(const Tensor<T>& logits, const Indices& labels, Reduction reduction) {
  if (labels.shape().size() == 2 && labels.shape() == logits.shape())
    return reduce(engine::softmax_cross_entropy(logits, labels_of_rows(labels)), reduction);
  return reduce(engine::softmax_cross_entropy(logits, labels), reduction);
}

template <class T>
Tensor<T> cross_entropy(const Tensor<T>& logits, const Indices& labels,
                        const CrossEntropyOptions<std::type_identity_t<T>>& o) {
  if (labels.shape().size() == 2 && labels.shape() == logits.shape())
    return cross_entropy(logits, labels_of_rows(labels), o);
  const T smoothing = static_cast<T>(o.label_smoothing);
  if (!(smoothing >= 0 && smoothing <= 1))
    throw Error("cross_entropy",
                "the label smoothing " + engine::number_text(o.label_smoothing) + " is not in [0, 1]");
  const Indices kept = o.ignore_index ? engine::kept_labels(labels, *o.ignore_index) : labels;
  Tensor<T> losses = engine::softmax_cross_entropy(logits, kept);
  Tensor<T> weights;  // of the rows; empty where they are all 1
  if (o.weight.defined()) {
    if (const Shape classes{logits.shape(-1)}; !(o.weight.shape() == classes))
      throw Error("cross_entropy", "a weight of shape " + to_string(o.weight.shape()) +
                                       " for logits of shape " + to_string(logits.shape()) + ": it must be " +
                                       to_string(classes));
    weights = take(o.weight, kept, 0);
    losses = weights * losses;
  }
  if (smoothing > 0) {
    const Tensor<T> logs = log_softmax(logits, -1);
    const Tensor<T> even = mean(o.weight.defined() ? o.weight * logs : logs, -1);
    losses = (1 - smoothing) * losses - smoothing * even;
  }
  if (o.ignore_index) {
    const Tensor<T> mask = engine::kept_mask<T>(labels, *o.ignore_index, o.reduction == Reduction::mean);
    losses = where(mask, losses, T(0));
    weights = weights.defined() ? weights * mask : mask;
  }
  if (weights.defined() && o.reduction == Reduction::mean) return sum(losses) / sum(weights);
  return reduce(losses, o.reduction);
}

template <class T>
Tensor<T> detail::cross_entropy_of_rows(const Tensor<T>& logits, const Tensor<T>& rows, Reduction reduction) {
  if (rows.rank() == 1 && logits.rank() == 2)
    throw Error("cross_entropy",
                "the target of shape " + to_string(rows.shape()) +
                    " holds no rows: give class labels as integers, for instance std::vector<int>");
  require_same_shape("cross_entropy", logits, rows);
  if (logits.rank() == 0) throw Error("cross_entropy", "logits of shape () have no axis of classes");
  Tensor<T> logs = log_softmax(logits, -1);
  const T impossible = -std::numeric_limits<T>::infinity();
  if (engine::contains(logs, impossible))
    logs = where(equal(rows, T(0)) * equal(logs, impossible), T(0), logs);  // 0 ln 0 = 0
  return reduce(-sum(rows * logs, -1), reduction);
}

#define XTAPE_INSTANTIATE(T)                                                                          \
  template Tensor<T> mse_loss(const Tensor<T>&, const Tensor<T>&, Reduction);                         \
  template Tensor<T> half_squared_error(const Tensor<T>&, const Tensor<T>&, Reduction);               \
  template Tensor<T> binary_cross_entropy(const Tensor<T>&, const Tensor<T>&, Reduction);             \
  template Tensor<T> binary_cross_entropy_with_logits(const Tensor<T>&, const Tensor<T>&, Reduction); \
  template Tensor<T> cross_entropy(const Tensor<T>&, const Indices&, Reduction);                      \
  template Tensor<T> cross_entropy(const Tensor<T>&, const Indices&, const CrossEntropyOptions<T>&);  \
  template Tensor<T> binary_cross_entropy_with_logits(const Tensor<T>&, const Tensor<T>&,             \
                                                      const BinaryCrossEntropyOptions<T>&);           \
  template Tensor<T> l1_loss(const Tensor<T>&, const Tensor<T>&, Reduction);                          \
  template Tensor<T> huber_loss(const Tensor<T>&, const Tensor<T>&, double, Reduction);               \
  template Tensor<T> kl_div(const Tensor<T>&, const Tensor<T>&, Reduction);                           \
  template Tensor<T> detail::cross_entropy_of_rows(const Tensor<T>&, const Tensor<T>&, Reduction);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn
