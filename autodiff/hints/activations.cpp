// Wrong slopes of operations on one operand.
#include "../grad.hpp"
#include "collector.hpp"

namespace xtape::detail {

template <class T>
void Collector<T>::add_slopes() {
  const Tensor<T>&z = x_, &a = y_;
  const Tensor<T> slope = graph_.contribution_with(edge_, ones<T>(y_.shape()), {});
  if (!slope.defined()) return;
  const std::string f = op_ == "pow" ? "the power" : op_, own = "the derivative of " + f;
  if (is_one_of({"negative"}, op_)) return;
  add_slope("missing", own + " is missing: the error is passed on without being multiplied by it",
            ones<T>(z.shape()));
  if (op_ == "relu" || op_ == "leaky_relu" || op_ == "elu") {
    add("mask of g", "the mask of " + f + " is taken from the sign of the incoming gradient, and not from z",
        [p = op_](const Tensor<T>& g, const Tensor<T>&) { return g * (g > T(0)); });
    add("guided", own + " is applied to the incoming gradient as well: negative parts of it are dropped",
        [slope](const Tensor<T>& g, const Tensor<T>&) { return g * slope * (g > T(0)); });
  }
  add("at a", own + " is taken at its output, a, in place of z: f'(a)",
      [this_ = graph_ptr(), e = edge_, a](const Tensor<T>& g, const Tensor<T>&) {
        return this_->contribution_with(e, g, {{0, a.handle()}});
      });
  const auto is_matmul = [&](std::size_t k) {
    return std::string_view(graph_.program().steps[k].name()) == "matmul";
  };
  const bool is_output = op_ == "sigmoid" && std::ranges::none_of(graph_.readers(step_.output), is_matmul);
  add_slope("twice",
            own + " is multiplied in twice" + (is_output ? "; with cross-entropy, a − y is δ already" : ""),
            square(slope));
  add_slope("value", "the error is multiplied by the value of " + f + " in place of its derivative", a);
  if (op_ == "sigmoid") {
    add_slope("z (1 − z)", own + ", a (1 − a), is given z in place of a: z (1 − z)", z * (1 - z));
    add_slope("1 − a", "the factor a of " + own + ", a (1 − a), is missing: 1 − a", 1 - a);
    add_slope("(1 − a)²", own + " is a (1 − a), and (1 − a)² is used", square(1 - a));
    add_slope("a(1 − a)²", own + " is a (1 − a), and a (1 − a)² is used", a * square(1 - a));
    add_slope("a²(1 − a)", own + " is a (1 − a), and a² (1 − a) is used", square(a) * (1 - a));
    add_slope("a(1 + a)", own + " is a (1 − a), and a (1 + a) is used: a sign is wrong", a * (1 + a));
    add_slope("a²", own + " is a (1 − a), and a² is used", square(a));
    add_slope("1 − a²", own + " is a (1 − a), and 1 − a² is used, the formula of tanh", 1 - square(a));
    add_slope("1 + a²", own + " is a (1 − a), and 1 + a² is used", 1 + square(a));
    add_slope("a − 1", own + " is a (1 − a), and a − 1 is used", a - 1);
    add_slope("a(a − 1)", "the sign of " + own + " is reversed: a (a − 1), and not a (1 − a)", a * (a - 1));
    add_slope("e", own + " has its denominator without the square: exp(−z) / (1 + exp(−z))", exp(-z) * a);
  }
  if (op_ == "tanh") {
    add_slope("1 − z²", own + ", 1 − a², is given z in place of a: 1 − z²", 1 - square(z));
    add_slope("1 − a", "the square is missing in " + own + ": 1 − a, and not 1 − a²", 1 - a);
    add_slope("1 + a²", "a sign is wrong in " + own + ": 1 + a², and not 1 − a²", 1 + square(a));
    add_slope("(1 − a)²", own + " is 1 − a², and (1 − a)² is used", square(1 - a));
    add_slope("a(1 − a)", own + " is 1 − a², and a (1 − a) is used, the formula of sigmoid", a * (1 - a));
    add_slope("a²", own + " is 1 − a², and a² is used", square(a));
    add_slope("a² − 1", "the sign of " + own + " is reversed: a² − 1, and not 1 − a²", square(a) - 1);
    add_slope("1 / cosh", own + " is 1 / cosh²(z), and 1 / cosh(z) is used: the square is missing",
              1 / cosh(z));
  }
  if (op_ == "relu") {
    // Elsewhere than at 0 these two are right, and then they are no mistake.
    add_slope("at 0 1",
              "correct except where ReLU is at 0: relu'(0) is 0, and the formula has 1 there (z >= 0 in "
              "place of z > 0)",
              z >= T(0));
    add_slope("at 0 ½", "correct except where ReLU is at 0: relu'(0) is 0, and the formula has ½ there",
              T(0.5) * ((z >= T(0)) + (z > T(0))));
    add_slope("z ≤ 0", "the mask of ReLU is inverted: the gradient is passed where z is negative", z <= T(0));
    add_slope("sign", "the sign of z is used as " + own, sign(z));
  }
  if (op_ == "leaky_relu" || op_ == "elu") {
    add_slope("relu", own + " is 0 for negative z in the formula: that is the derivative of ReLU", z > T(0));
    add_slope("other side",
              "the branches of " + own + " are swapped: the slope for negative z is used for positive z",
              where(z > T(0), slope_at_minus(slope), ones<T>(z.shape())));
    if (op_ == "elu") {
      add_slope("no alpha", own + " for negative z is a + alpha (a + 1), and a is used: + alpha is missing",
                where(z > T(0), ones<T>(z.shape()), a));
      add_slope("exp", own + " is exp(z) for all z in the formula, for positive z, too, where it is 1",
                exp(z));
      add_slope("1 + a wrong", own + " for negative z is a + alpha, and alpha is left out or a sign is wrong",
                where(z > T(0), ones<T>(z.shape()), 1 - a));
    }
  }
  if (op_ == "gelu") {
    const Tensor<T> phi = T(0.5) * (1 + erf(z * T(0.70710678118654752)));
    const Tensor<T> density = exp(T(-0.5) * square(z)) * T(0.39894228040143268);
    add_slope("Φ", "the term z φ(z) of " + own + ", Φ(z) + z φ(z), is missing", phi);
    add_slope("z φ", "the term Φ(z) of " + own + ", Φ(z) + z φ(z), is missing", z * density);
    add_slope("Φ + φ", "the factor z is missing in " + own + ": Φ(z) + φ(z), and not Φ(z) + z φ(z)",
              phi + density);
    add_slope("φ", "the density φ(z) is used as " + own, density);
    const Tensor<T> s = sigmoid(T(1.702) * z);
    add_slope("approx", own + " is that of the approximation z σ(1.702 z)", s + T(1.702) * z * s * (1 - s));
  }
  if (op_ == "silu") {
    const Tensor<T> s = sigmoid(z);
    add_slope("σ", "the term z σ'(z) of " + own + ", σ(z) + z σ'(z), is missing", s);
    add_slope("z σ'", "the term σ(z) of " + own + ", σ(z) + z σ'(z), is missing", z * s * (1 - s));
    add_slope("σ'", own + " is that of the sigmoid alone: the product rule is forgotten", s * (1 - s));
    add_slope("σ + σ'", "the factor z is missing in " + own + ": σ(z) + σ'(z), and not σ(z) + z σ'(z)",
              s + s * (1 - s));
    add_slope("a + σ", own + " is a + σ(z) (1 − a), and a + σ(z) (1 + a) is used", a + s * (1 + a));
  }
  if (op_ == "softplus" || op_ == "log_sigmoid") {
    add_slope("σ(-z)", own + " is taken at −z", 1 - slope);
    if (op_ == "log_sigmoid")
      add_slope("−σ", "1 is not subtracted: the derivative of −ln σ(z) is σ(z) − 1, and σ(z) is used",
                -sigmoid(z));
    add_slope("σ'", own + " is the sigmoid, and that of the sigmoid is used", sigmoid(z) * (1 - sigmoid(z)));
  }
  if (op_ == "square") {
    add_slope("2", "the factor x of the derivative 2x of the square is missing", full_like(z, T(2)));
    add_slope("2 x²", "the square itself is used in its derivative: 2x², and not 2x", 2 * square(z));
  }
  if (op_ == "sqrt") {
    add_slope("½ √", "√x multiplies where " + own + " divides by it: ½ √x, and not 1 / (2 √x)", T(0.5) * a);
    add_slope("1 / 2x", own + " is 1 / (2 √x), and 1 / (2x) is used", T(0.5) / z);
    add_slope("1 / √", "the ½ of " + own + ", 1 / (2 √x), is missing", 1 / a);
  }
  if (op_ == "log") {
    add_slope("log", "the logarithm itself is used as its derivative, which is 1 / x", a);
    add_slope("x", "x multiplies where " + own + " divides by it: x, and not 1 / x", z);
    add_slope("1 / log", own + " is 1 / x, and 1 / ln x is used", 1 / a);
  }
  if (op_ == "exp") {
    add_slope("x", "x is used as " + own + ", which is exp(x)", z);
    add_slope("x exp", own + " is exp(x), and x exp(x) is used", z * a);
    add_slope("exp −", own + " is taken at −x: exp(−x)", exp(-z));
  }
  if (op_ == "reciprocal") { add_slope("-1/x", "the square is missing in the derivative −1/x² of 1/x", -a); }
  if (op_ == "pow") {
    add_slope("x^p", "the exponent of the derivative of the power is not lowered by one", slope * z);
    add_slope("p", "the power of x is missing in its derivative: the exponent alone is used", slope * z / a);
    add_slope("no p", "the exponent is not brought down as a factor", a / z);
  }
  if (op_ == "sin" || op_ == "cos") {
    add_slope("sin", "sin is used as " + own, sin(z));
    add_slope("cos", "cos is used as " + own, cos(z));
  }
  if (op_ == "abs") add_slope("x", "x is used as the derivative of |x|, which is its sign", z);
  add_slope("1/f'", "the error is divided by " + own + ", and not multiplied", 1 / slope);
  add_slope("z", "the error is multiplied by z in place of " + own, z);
  add_slope("a²",
            "the error is multiplied by the square of the value of " + f + " in place of its derivative",
            square(a));
  if (is_one_of({"sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "sin"}, op_))
    add_other_activations();
}

template <class T>
Tensor<T> Collector<T>::slope_at_minus(const Tensor<T>& slope) const {
  // The slope for negative z, found where there is one.
  for (std::size_t i = 0; i < x_.size(); ++i)
    if (x_.data()[i] < 0) return full_like(slope, slope.data()[i]);
  return slope;
}

template <class T>
void Collector<T>::add_other_activations() {
  const Tensor<T>&z = x_, &a = y_;
  const auto derivative = [&](const std::string& name, const auto& f) {
    if (name == op_) return;
    const EnableGrad on;
    const Tensor<T> x = parameter(z);
    add_slope("of " + name, "the derivative of " + name + " is used, and the activation is " + op_,
              grad(sum(f(x)), x));
  };
  derivative("sigmoid", [](const Tensor<T>& x) { return sigmoid(x); });
  derivative("tanh", [](const Tensor<T>& x) { return tanh(x); });
  derivative("relu", [](const Tensor<T>& x) { return relu(x); });
  if (op_ != "sigmoid")  // whose value it is, see above
    derivative("softplus", [](const Tensor<T>& x) { return softplus(x); });
  derivative("silu", [](const Tensor<T>& x) { return silu(x); });
  derivative("gelu", [](const Tensor<T>& x) { return gelu(x); });
  derivative("elu", [](const Tensor<T>& x) { return elu(x); });
  derivative("leaky_relu (0.01)", [](const Tensor<T>& x) { return leaky_relu(x, T(0.01)); });
  derivative("leaky_relu (0.1)", [](const Tensor<T>& x) { return leaky_relu(x, T(0.1)); });
  if (op_ != "sigmoid" && op_ != "tanh")
    add_slope("σ formula", "the formula a (1 − a) of sigmoid is used with a, and the activation is " + op_,
              a * (1 - a));
  if (op_ != "tanh" && op_ != "sigmoid")
    add_slope("tanh formula", "the formula 1 − a² of tanh is used with a, and the activation is " + op_,
              1 - square(a));
}

#define XTAPE_INSTANTIATE(T)                                               \
  template void Collector<T>::add_slopes();                                \
  template Tensor<T> Collector<T>::slope_at_minus(const Tensor<T>&) const; \
  template void Collector<T>::add_other_activations();
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail
