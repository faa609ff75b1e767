// Mistakes in softmax and in losses.
#include "collector.hpp"

namespace xtape::detail {

template <class T>
std::ptrdiff_t Collector<T>::softmax_axis() const {  // the one along which it sums to 1
  for (std::size_t axis = y_.rank(); axis-- > 0;) {
    const Tensor<T> total = sum(op_ == "log_softmax" ? exp(y_) : y_, static_cast<std::ptrdiff_t>(axis));
    bool ones = true;
    for (std::size_t i = 0; i < total.size(); ++i) ones = ones && std::abs(total.data()[i] - 1) < T(1e-5);
    if (ones) return static_cast<std::ptrdiff_t>(axis);
  }
  return -1;
}

template <class T>
void Collector<T>::add_softmax() {
  const Tensor<T> p = y_;
  add("diagonal",
      "softmax is differentiated as if each output depended on its own logit alone: the diagonal p (1 − p) "
      "of its Jacobian, without −pᵢ pⱼ",
      [p](const Tensor<T>& g, const Tensor<T>&) { return g * p * (1 - p); });
  add("missing", "the derivative of softmax is missing: the gradient is passed on unchanged",
      [](const Tensor<T>& g, const Tensor<T>&) { return g; });
  add("no sum", "the sum Σ g p of the derivative of softmax is missing: p ⊙ g, and not p ⊙ (g − Σ g p)",
      [p](const Tensor<T>& g, const Tensor<T>&) { return g * p; });
  add("no p", "the factor p of the derivative of softmax is missing: g − Σ g p, and not p ⊙ (g − Σ g p)",
      [p, axis = softmax_axis()](const Tensor<T>& g, const Tensor<T>&) {
        return g - sum(g * p, axis, true);
      });
  add("sum of g", "the derivative of softmax sums g alone, without p: p ⊙ (g − Σ g)",
      [p, axis = softmax_axis()](const Tensor<T>& g, const Tensor<T>&) {
        return p * (g - sum(g, axis, true));
      });
  if (p.rank() > 1)
    add("axis", "the derivative of softmax sums over another axis than softmax does",
        [p, axis = softmax_axis()](const Tensor<T>& g, const Tensor<T>&) {
          const std::ptrdiff_t other = axis == 0 ? 1 : axis - 1;
          return p * (g - sum(g * p, other, true));
        });
  add("p²", "the derivative of softmax has p² in place of p: p ⊙ (g − p Σ g)",
      [p, axis = softmax_axis()](const Tensor<T>& g, const Tensor<T>&) {
        return p * (g - p * sum(g, axis, true));
      });
  add("plus", "a sign is wrong in the derivative of softmax: p ⊙ (g + Σ g p)",
      [p, axis = softmax_axis()](const Tensor<T>& g, const Tensor<T>&) {
        return p * (g + sum(g * p, axis, true));
      });
}

template <class T>
void Collector<T>::add_errors() {
  const Tensor<T>& c = graph_.contribution(edge_);
  const Tensor<T>&z = x_, &p = y_;
  if (!c.defined() || !(c.shape() == p.shape()) || c.size() < 2) return;
  for (std::uint32_t at = 0; at < graph_.program().places.size(); ++at) {
    const Tensor<T>& y = graph_.value(at);
    if (graph_.maker(at) != Graph::none || !y.defined() || !(y.shape() == p.shape())) continue;
    const Tensor<T> d = p - y;
    double cd = 0, dd = 0;
    for (std::size_t i = 0; i < c.size(); ++i) {
      cd += static_cast<double>(c.data()[i]) * static_cast<double>(d.data()[i]);
      dd += static_cast<double>(d.data()[i]) * static_cast<double>(d.data()[i]);
    }
    if (!(dd > 0)) continue;
    const T w = static_cast<T>(cd / dd);
    if (largest(c - w * d) > T(1e-6) * largest(c)) continue;
    const auto form = [&](const char* key, const std::string& text, const Tensor<T>& error) {
      const Tensor<T> scaled = w * error;
      add(key, text, [scaled](const Tensor<T>&, const Tensor<T>&) { return scaled; });
    };
    const std::string f = op_, name = graph_.name(at);
    form("error: p", "the label is not subtracted: p is used, and not p − " + name, p);
    form("error: z", "the " + f + " is forgotten in the error: z − " + name + " is used, and not p − " + name,
         z - y);
    form("error: again",
         "the error p − " + name + " is multiplied by the derivative p (1 − p) of " + f +
             " once more: with cross-entropy p − y is dL/dz already",
         d * p * (1 - p));
    form("error: rounded", "the decision, p rounded to 0 or 1, is used in the error in place of p",
         (p > T(0.5)) - y);
    form("error: sign", "the sign of the error alone is used", sign(d));
    if (op_ == "sigmoid") {
      form("error: y",
           "one term of the cross-entropy is missing, that of 1 − y: only y ln p is differentiated",
           -y * (1 - p));
      form("error: 1 − y",
           "one term of the cross-entropy is missing, that of y ln p: only (1 − y) ln(1 − p) is "
           "differentiated",
           (1 - y) * p);
      form("error: dp", "the derivative of the sigmoid is missing: dL/dp is used as dL/dz",
           d / (p * (1 - p)));
      form("error: no p", "the error is divided by p", d / p);
    } else {
      form("error: label only", "only the term of the label is there: the other classes get no gradient",
           d * y);
      form("error: y", "the Jacobian of softmax is taken as its diagonal: −y (1 − p), and not p − y",
           -y * (1 - p));
      form("error: y/p", "the derivative of softmax is missing: −y / p, dL/dp, is used as dL/dz", -y / p);
      form("error: jacobian",
           "the Jacobian of softmax is applied to p − y once more, which contains it already",
           p * (d - sum(d * p, softmax_axis(), true)));
      form("error: log", "ln p is used in place of p in the error", log(p) - y);
      form("error: others", "the term of the label is missing: only the other classes get a gradient",
           d * (1 - y));
    }
    if (p.rank() > 0 && p.shape()[0] > 1) {
      form("error: rows", "the labels are shifted by one sample", p - roll_rows(y, 1));
      form("error: rows back", "the labels are shifted by one sample", p - roll_rows(y, -1));
      form("error: reversed", "the labels are in reverse order", p - flip(y, 0));
    }
    if (p.rank() == 2 && p.shape()[1] > 1) {
      const std::vector<std::ptrdiff_t> next = rotated(p.shape()[1], 1), before = rotated(p.shape()[1], -1);
      form("error: label + 1", "the labels are off by one", p - take(y, Indices(next), 1));
      form("error: label − 1", "the labels are off by one", p - take(y, Indices(before), 1));
    }
    return;
  }
}

template <class T>
void Collector<T>::add_log_softmax() {
  const Tensor<T> p = exp(y_);
  const std::ptrdiff_t axis = softmax_axis();
  add("missing",
      "the derivative of log_softmax is missing, or its normaliser is treated as a constant: the term −p Σ g "
      "is left out",
      [](const Tensor<T>& g, const Tensor<T>&) { return g; });
  add("no p", "the factor p is missing in the derivative of log_softmax: g − Σ g, and not g − p Σ g",
      [axis](const Tensor<T>& g, const Tensor<T>&) { return g - sum(g, axis, true); });
  add("g p",
      "the Jacobian of softmax is taken as its diagonal, 1 − p: the sum over the classes is missing, g − p "
      "g, and not g − p Σ g",
      [p](const Tensor<T>& g, const Tensor<T>&) { return g - p * g; });
  add("diagonal", "the derivative of softmax is used, and the operation is log_softmax",
      [p, axis](const Tensor<T>& g, const Tensor<T>&) { return p * (g - sum(g * p, axis, true)); });
  if (p.rank() == 2)
    add("axis", "softmax is taken over the wrong axis in the gradient, the batch",
        [q = softmax(x_, axis == 0 ? 1 : 0), axis](const Tensor<T>& g, const Tensor<T>&) {
          return g - q * sum(g, axis, true);
        });
  add("no label", "the label is not subtracted: p alone is used, and not p − y",
      [p, axis](const Tensor<T>& g, const Tensor<T>&) { return -p * sum(g, axis, true); });
}

template <class T>
void Collector<T>::add_cross_entropy() {
  const Handle& labels = graph_.handle(step_.inputs[2].place);
  const Tensor<T> z = x_, p = softmax(z, 1);
  const std::size_t N = z.shape()[0], C = z.shape()[1];
  const auto* const label = labels.value->elements<std::ptrdiff_t>();
  const auto one_hot = [&](std::ptrdiff_t by, std::ptrdiff_t rows, bool wraps = false) {
    Tensor<T> y = zeros<T>({N, C});
    const auto n = static_cast<std::ptrdiff_t>(N), c = static_cast<std::ptrdiff_t>(C);
    std::vector<T> numbers(N * C, T(0));
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      std::ptrdiff_t k = label[(i + rows + n) % n] + by;
      if (wraps) k = (k + c) % c;
      if (k >= 0 && k < c) numbers[static_cast<std::size_t>(i * c + k)] = 1;
    }
    return reshape(Tensor<T>(numbers), Dims{N, C});
  };
  const Tensor<T> y = one_hot(0, 0), d = p - y;
  const auto form = [&](const char* key, const std::string& text, const Tensor<T>& of_each) {
    add(key, text, [of_each](const Tensor<T>& g, const Tensor<T>&) { return unsqueeze(g, 1) * of_each; });
  };
  form("no label", "the label is not subtracted: p is used in place of p − y", p);
  form("jacobian",
       "the derivative of softmax is applied to p − y, which contains it already: with cross-entropy p − y "
       "is dL/dz",
       p * (d - sum(d * p, 1, true)));
  form("diagonal again",
       "p − y is multiplied by the derivative p (1 − p) once more: with cross-entropy p − y is dL/dz already",
       d * p * (1 - p));
  form("only softmax", "the derivative of softmax is left out: −y / p, dL/dp, is used as dL/dz", -y / p);
  form("diagonal", "the Jacobian of softmax is taken as its diagonal: −y (1 − p), and not p − y",
       -y * (1 - p));
  form("label + 1", "the labels are off by one: the class after the label is subtracted", p - one_hot(1, 0));
  form("label − 1", "the labels are off by one: the class before the label is subtracted",
       p - one_hot(-1, 0));
  form("label + 1 again", "the labels are off by one: the class after the label is subtracted",
       p - one_hot(1, 0, true));
  form("label − 1 again", "the labels are off by one: the class before the label is subtracted",
       p - one_hot(-1, 0, true));
  form("label minus p only", "only the term of the label is there: the other classes get no gradient", d * y);
  form("others", "the term of the label is missing: only the other classes get a gradient", d * (1 - y));
  form("rows + 1", "the labels are shifted by one sample", p - one_hot(0, 1));
  form("rows − 1", "the labels are shifted by one sample", p - one_hot(0, -1));
  if (N > 1)
    form("axis", "softmax is taken over the wrong axis, the batch, in the gradient", softmax(z, 0) - y);
  form("sigmoid", "the sigmoid is used in place of softmax in the gradient: σ(z) − y", sigmoid(z) - y);
  form("logits", "softmax is forgotten in the gradient: the logits are used, z − y", z - y);
  form("log p", "ln p is used in place of p in the gradient: ln p − y", log(p) - y);
  form("squared", "the gradient of the squared error through softmax is used, and the loss is cross-entropy",
       p * (d - sum(d * p, 1, true)) * 2);
  form("exp", "the exponentials are not normalised in the gradient: exp(z) − y", exp(z) - y);
}

template <class T>
void Collector<T>::add_binary() {
  const bool has_logits = op_ == "binary_cross_entropy_with_logits";
  if (of_.input != 0) return;
  const Tensor<T> y = graph_.value(step_.inputs[1].place), p = has_logits ? sigmoid(x_) : x_;
  if (!y.defined()) return;
  const auto form = [&](const char* key, const std::string& text, const Tensor<T>& slope) {
    add(key, text, [slope](const Tensor<T>& g, const Tensor<T>&) { return g * slope; });
  };
  if (has_logits) {
    form("no label", "the label is not subtracted: σ(z) is used, and not σ(z) − y", p);
    form("σ' again",
         "the derivative of the sigmoid is multiplied in once more: with cross-entropy σ(z) − y is dL/dz "
         "already",
         (p - y) * p * (1 - p));
    form("dp", "the derivative of the sigmoid is missing: dL/dp is used as dL/dz", (p - y) / (p * (1 - p)));
    form("logits", "the sigmoid is forgotten: z − y is used, and not σ(z) − y", x_ - y);
    form("y term", "one term of the cross-entropy is missing, that of 1 − y: only y ln p is differentiated",
         -y * (1 - p));
    form("1 − y term",
         "one term of the cross-entropy is missing, that of y ln p: only (1 − y) ln(1 − p) is differentiated",
         (1 - y) * p);
    form("one minus", "the label is swapped: σ(z) − (1 − y) is used", p - (1 - y));
  } else {
    form("p − y",
         "p − y is used as dL/dp: that is dL/dz, which contains the derivative of the sigmoid already; dL/dp "
         "is (p − y) / (p (1 − p))",
         p - y);
    form("y term", "one term of the cross-entropy is missing, that of 1 − y: −y / p alone", -y / p);
    form("1 − y term", "one term of the cross-entropy is missing, that of y: (1 − y) / (1 − p) alone",
         (1 - y) / (1 - p));
    form("sign", "a sign is wrong between the two terms of the cross-entropy: −y / p − (1 − y) / (1 − p)",
         -y / p - (1 - y) / (1 - p));
    form("no label", "the label is not subtracted in the gradient: 1 / (1 − p)", 1 / (1 - p));
    form("no 1 − p", "the factor 1 − p is missing in the denominator: (p − y) / p", (p - y) / p);
    form("no p", "the factor p is missing in the denominator: (p − y) / (1 − p)", (p - y) / (1 - p));
    form("logs", "the logarithms are not differentiated", -(y * log(p) + (1 - y) * log(1 - p)));
  }
}

template <class T>
void Collector<T>::add_squared_difference() {
  const Tensor<T> y = graph_.value(step_.inputs[1].place);
  if (!y.defined() || !(y.shape() == x_.shape())) return;
  const auto form = [&](const char* key, const std::string& text, const Tensor<T>& slope) {
    add(key, text, [slope](const Tensor<T>& g, const Tensor<T>&) { return g * slope; });
  };
  form("no label", "the target is not subtracted: 2a is used, and not 2 (a − y)", 2 * x_);
  form("abs", "the absolute value of the difference is used: |a − y|", 2 * abs(x_ - y));
  form("sign", "the derivative of the absolute error is used, its sign, and the loss is the squared error",
       sign(x_ - y));
  form("square", "the squared error itself is used, and not its derivative", square(x_ - y));
  form("2", "the difference a − y is missing in the derivative of the squared error", y * T(0) + 2);
  form("plus", "a sign is wrong: a + y is used, and not a − y", 2 * (x_ + y));
  if (x_.rank() > 0 && x_.shape()[0] > 1) {
    form("rows + 1", "the targets are shifted by one sample", 2 * (x_ - roll_rows(y, 1)));
    form("rows − 1", "the targets are shifted by one sample", 2 * (x_ - roll_rows(y, -1)));
    form("reversed", "the targets are in reverse order", 2 * (x_ - flip(y, 0)));
  }
}

#define XTAPE_INSTANTIATE(T)                                  \
  template std::ptrdiff_t Collector<T>::softmax_axis() const; \
  template void Collector<T>::add_softmax();                  \
  template void Collector<T>::add_errors();                   \
  template void Collector<T>::add_log_softmax();              \
  template void Collector<T>::add_cross_entropy();            \
  template void Collector<T>::add_binary();                   \
  template void Collector<T>::add_squared_difference();
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail
