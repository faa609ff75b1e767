// One function for each kind of operation; what is computed is what the mistake would compute.
#include "mistakes.hpp"

#include <algorithm>
#include <string_view>

#include "../elementwise.hpp"
#include "../indexing.hpp"
#include "../layout.hpp"
#include "../linalg.hpp"
#include "../reductions.hpp"
#include "../tape/adjoint_sums.hpp"

namespace xtape::detail {
namespace {

bool is_one_of(std::initializer_list<std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

/// g as the gradient of an input of this shape, which may have been repeated.
template <class T>
Tensor<T> summed_to(const Tensor<T>& g, const Shape& shape) {
  return g.shape() == shape ? g : sum_to_shape(g, shape);
}

/// The last two axes swapped.
template <class T>
Tensor<T> transposed_last(const Tensor<T>& x) {
  Axes axes{};
  for (std::size_t i = 0; i < x.rank(); ++i) axes.push_back(static_cast<std::ptrdiff_t>(i));
  std::swap(axes[x.rank() - 1], axes[x.rank() - 2]);
  return transpose(x, axes);
}

template <class T>
class Collector {
 public:
  using Graph = GradientGraph<T>;
  using Change = typename Graph::Change;

  Collector(const Graph& graph, std::size_t edge)
      : graph_(graph),
        edge_(edge),
        of_(graph.edges()[edge]),
        op_(graph.op_of(of_)),
        step_(graph.step_of(of_)),
        x_(graph.value(of_.from)),
        y_(graph.value(step_.output)) {}

  std::vector<Mistake<T>> run() {
    if (!x_.defined() || !y_.defined()) return {};
    if (step_.operation->row_call && step_.inputs.size() == 1)
      add_slopes();
    else if (is_one_of({"multiply", "divide", "where", "maximum", "minimum", "pow", "hypot", "atan2"}, op_))
      add_products();
    if (step_.operation->row_call && !(x_.shape() == y_.shape())) add_reductions();
    if (op_ == "softmax") add_softmax();
    if (op_ == "softmax" || op_ == "sigmoid") add_errors();
    if (op_ == "log_softmax") add_log_softmax();
    if (op_ == "logsumexp") add_other("softmax", "the softmax that is the derivative of logsumexp is missing",
                                      [](const Tensor<T>& g, const Tensor<T>& x) { return broadcast_like(g, x); });
    if (op_ == "cross_entropy") add_cross_entropy();
    if (op_ == "binary_cross_entropy" || op_ == "binary_cross_entropy_with_logits") add_binary();
    if (op_ == "squared_difference" && of_.input == 0) add_squared_difference();
    if (op_ == "max" || op_ == "min") add_extreme();
    if (op_ == "max_pool2d") add_pool();
    if (op_ == "conv2d") add_convolution();
    if (op_ == "embedding" || op_ == "take" || op_ == "gather") add_rows();
    if (op_ == "matmul" && of_.input < 2) add_matmul();
    if (op_ == "add" || op_ == "subtract") add_branches();
    if (op_ == "norm") add_norm();
    if (op_ == "slice" || op_ == "transpose" || op_ == "reshape") add_layout();
    return std::move(all_);
  }

 private:
  void add(const std::string& key, const std::string& text, Change change) {
    all_.push_back({op_ + "/" + key + "/" + std::to_string(of_.input), text, std::move(change)});
  }
  template <class F>
  void add_other(const std::string& key, const std::string& text, F f) {
    add(key, text, [f, x = x_](const Tensor<T>& g, const Tensor<T>&) { return f(g, x); });
  }
  void add_slope(const std::string& key, const std::string& text, const Tensor<T>& slope) {
    add(key, text, [slope](const Tensor<T>& g, const Tensor<T>&) { return g * slope; });
  }
  static Tensor<T> broadcast_like(const Tensor<T>& g, const Tensor<T>& x) {
    Shape shape = g.shape();
    for (std::size_t i = 0; shape.size() < x.rank(); ++i)
      if (i >= shape.size() || shape[i] != x.shape()[i]) {
        Shape wider;
        for (std::size_t k = 0; k < i; ++k) wider.push_back(shape[k]);
        wider.push_back(1);
        for (std::size_t k = i; k < shape.size(); ++k) wider.push_back(shape[k]);
        shape = wider;
      }
    return broadcast_to(reshape(g, Dims(shape)), x.shape());
  }

  // ---- one operand

  void add_slopes() {
    const Tensor<T>&z = x_, &a = y_;
    const Tensor<T> slope = graph_.contribution_with(edge_, ones<T>(y_.shape()), {});
    if (!slope.defined()) return;
    const std::string f = op_ == "pow" ? "the power" : op_, own = "the derivative of " + f;
    if (is_one_of({"negative"}, op_)) return;
    add_slope("missing", own + " is missing: the error is passed on without being multiplied by it", ones<T>(z.shape()));
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
    const auto is_matmul = [&](std::size_t k) { return std::string_view(graph_.program().steps[k].name()) == "matmul"; };
    const bool is_output = op_ == "sigmoid" && std::ranges::none_of(graph_.readers(step_.output), is_matmul);
    add_slope("twice", own + " is multiplied in twice" + (is_output ? "; with cross-entropy, a − y is δ already" : ""), square(slope));
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
      add_slope("1 / cosh", own + " is 1 / cosh²(z), and 1 / cosh(z) is used: the square is missing", 1 / cosh(z));
    }
    if (op_ == "relu") {
      // Elsewhere than at 0 these two are right, and then they are no mistake.
      add_slope("at 0 1", "correct except where ReLU is at 0: relu'(0) is 0, and the formula has 1 there (z >= 0 in place of z > 0)",
                z >= T(0));
      add_slope("at 0 ½", "correct except where ReLU is at 0: relu'(0) is 0, and the formula has ½ there",
                T(0.5) * ((z >= T(0)) + (z > T(0))));
      add_slope("z ≤ 0", "the mask of ReLU is inverted: the gradient is passed where z is negative", z <= T(0));
      add_slope("sign", "the sign of z is used as " + own, sign(z));
    }
    if (op_ == "leaky_relu" || op_ == "elu") {
      add_slope("relu", own + " is 0 for negative z in the formula: that is the derivative of ReLU", z > T(0));
      add_slope("other side", "the branches of " + own + " are swapped: the slope for negative z is used for positive z",
                where(z > T(0), slope_at_minus(slope), ones<T>(z.shape())));
      if (op_ == "elu") {
        add_slope("no alpha", own + " for negative z is a + alpha (a + 1), and a is used: + alpha is missing",
                  where(z > T(0), ones<T>(z.shape()), a));
        add_slope("exp", own + " is exp(z) for all z in the formula, for positive z, too, where it is 1", exp(z));
        add_slope("1 + a wrong", own + " for negative z is a + alpha, and alpha is left out or a sign is wrong", where(z > T(0), ones<T>(z.shape()), 1 - a));
      }
    }
    if (op_ == "gelu") {
      const Tensor<T> phi = T(0.5) * (1 + erf(z * T(0.70710678118654752)));
      const Tensor<T> density = exp(T(-0.5) * square(z)) * T(0.39894228040143268);
      add_slope("Φ", "the term z φ(z) of " + own + ", Φ(z) + z φ(z), is missing", phi);
      add_slope("z φ", "the term Φ(z) of " + own + ", Φ(z) + z φ(z), is missing", z * density);
      add_slope("Φ + φ", "the factor z is missing in " + own + ": Φ(z) + φ(z), and not Φ(z) + z φ(z)", phi + density);
      add_slope("φ", "the density φ(z) is used as " + own, density);
      const Tensor<T> s = sigmoid(T(1.702) * z);
      add_slope("approx", own + " is that of the approximation z σ(1.702 z)", s + T(1.702) * z * s * (1 - s));
    }
    if (op_ == "silu") {
      const Tensor<T> s = sigmoid(z);
      add_slope("σ", "the term z σ'(z) of " + own + ", σ(z) + z σ'(z), is missing", s);
      add_slope("z σ'", "the term σ(z) of " + own + ", σ(z) + z σ'(z), is missing", z * s * (1 - s));
      add_slope("σ'", own + " is that of the sigmoid alone: the product rule is forgotten", s * (1 - s));
      add_slope("σ + σ'", "the factor z is missing in " + own + ": σ(z) + σ'(z), and not σ(z) + z σ'(z)", s + s * (1 - s));
      add_slope("a + σ", own + " is a + σ(z) (1 − a), and a + σ(z) (1 + a) is used", a + s * (1 + a));
    }
    if (op_ == "softplus" || op_ == "log_sigmoid") {
      add_slope("σ(-z)", own + " is taken at −z", 1 - slope);
      if (op_ == "log_sigmoid") add_slope("−σ", "1 is not subtracted: the derivative of −ln σ(z) is σ(z) − 1, and σ(z) is used", -sigmoid(z));
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
    if (op_ == "reciprocal") {
      add_slope("-1/x", "the square is missing in the derivative −1/x² of 1/x", -a);
    }
    if (op_ == "pow") {
      add_slope("x^p", "the exponent of the derivative of the power is not lowered by one", slope * z);
      add_slope("p", "the power of x is missing in its derivative: the exponent alone is used", slope / pow(z, T(1)));
      add_slope("no p", "the exponent is not brought down as a factor", a / z);
    }
    if (op_ == "sin" || op_ == "cos") {
      add_slope("sin", "sin is used as " + own, sin(z));
      add_slope("cos", "cos is used as " + own, cos(z));
    }
    if (op_ == "abs") add_slope("x", "x is used as the derivative of |x|, which is its sign", z);
    add_slope("1/f'", "the error is divided by " + own + ", and not multiplied", 1 / slope);
    add_slope("z", "the error is multiplied by z in place of " + own, z);
    add_slope("a²", "the error is multiplied by the square of the value of " + f + " in place of its derivative", square(a));
    if (is_one_of({"sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "sin"}, op_))
      add_other_activations();
  }

  Tensor<T> slope_at_minus(const Tensor<T>& slope) const {
    // The slope for negative z, found where there is one.
    for (std::size_t i = 0; i < x_.size(); ++i)
      if (x_.data()[i] < 0) return full_like(slope, slope.data()[i]);
    return slope;
  }
  static Tensor<T> full_like(const Tensor<T>& like, T value) { return like * T(0) + value; }

  void add_other_activations() {
    const Tensor<T>&z = x_, &a = y_;
    const auto derivative = [&](const std::string& name, const Tensor<T>& slope) {
      if (name != op_)
        add_slope("of " + name, "the derivative of " + name + " is used, and the activation is " + op_, slope);
    };
    const Tensor<T> s = sigmoid(z), t = tanh(z);
    derivative("sigmoid", s * (1 - s));
    derivative("tanh", 1 - square(t));
    derivative("relu", z > T(0));
    if (op_ != "sigmoid") derivative("softplus", s);  // of sigmoid that is its value, see above
    derivative("silu", s + z * s * (1 - s));
    derivative("gelu", T(0.5) * (1 + erf(z * T(0.70710678118654752))) + z * exp(T(-0.5) * square(z)) * T(0.39894228040143268));
    derivative("elu", where(z > T(0), ones<T>(z.shape()), exp(minimum(z, T(0)))));
    derivative("leaky_relu (0.01)", where(z > T(0), ones<T>(z.shape()), full_like(z, T(0.01))));
    derivative("leaky_relu (0.1)", where(z > T(0), ones<T>(z.shape()), full_like(z, T(0.1))));
    if (op_ != "sigmoid" && op_ != "tanh")
      add_slope("σ formula", "the formula a (1 − a) of sigmoid is used with a, and the activation is " + op_, a * (1 - a));
    if (op_ != "tanh" && op_ != "sigmoid")
      add_slope("tanh formula", "the formula 1 − a² of tanh is used with a, and the activation is " + op_, 1 - square(a));
  }

  // ---- several operands

  const Graph* graph_ptr() const { return &graph_; }

  void add_products() {
    const Shape shape = x_.shape();
    const std::size_t other_input = of_.input == 0 ? 1 : 0;
    if (op_ == "where") {
      add("unmasked", "the mask of where() is forgotten: the gradient is passed everywhere",
          [shape](const Tensor<T>& g, const Tensor<T>&) { return summed_to(g, shape); });
      const Tensor<T> mask = graph_.value(step_.inputs[0].place);
      if (mask.defined())
        add("other branch", "the branches of where() are swapped (exchanged): the gradient is passed through the other one",
            [shape, mask, is_first = of_.input == 1](const Tensor<T>& g, const Tensor<T>&) {
              const Tensor<T> chosen = is_first ? equal(mask, 0) : 1 - equal(mask, 0);
              return summed_to(g * chosen, shape);
            });
      return;
    }
    if (step_.inputs.size() < 2) return;
    const Tensor<T> other = graph_.value(step_.inputs[other_input].place);
    if (!other.defined()) return;
    const std::string name = graph_.name(step_.inputs[other_input].place);
    const std::string factor = name.empty() ? "the other factor" : "the factor " + name;
    if (op_ == "maximum" || op_ == "minimum") {
      add("to both", "the gradient of " + op_ + " is passed to both operands, and not to the one that is chosen",
          [shape](const Tensor<T>& g, const Tensor<T>&) { return summed_to(g, shape); });
      add("other", "the gradient of " + op_ + " is passed to the operand that is not chosen",
          [shape](const Tensor<T>& g, const Tensor<T>& c) { return summed_to(g, shape) - c; });
      return;
    }
    const bool divides = op_ == "divide" && of_.input == 0;
    const std::string what = divides ? "the division by " + name : factor;
    if (op_ == "multiply" || op_ == "divide") {
      add("missing", what + " is missing: the gradient is passed on without it",
          [shape](const Tensor<T>& g, const Tensor<T>&) { return summed_to(g, shape); });
      if (op_ == "multiply" || divides)
        add("twice", what + " is applied twice",
            [shape, other, divides](const Tensor<T>& g, const Tensor<T>&) {
              return summed_to(divides ? g / square(other) : g * square(other), shape);
            });
      if (!(op_ == "divide" && of_.input == 1)) {
        add("own", "the product rule takes the operand itself, and not the other factor",
            [shape, x = x_](const Tensor<T>& g, const Tensor<T>&) { return summed_to(g * x, shape); });
        add("scale of mask", "the scale of the dropout (of " + name + ") is left out: the gradient is multiplied by 1 where it is not 0",
            [shape, other](const Tensor<T>& g, const Tensor<T>&) { return summed_to(g * (1 - equal(other, 0)), shape); });
        add("value", "the gradient is multiplied by the product itself",
            [shape, y = y_](const Tensor<T>& g, const Tensor<T>&) { return summed_to(g * y, shape); });
        add("one minus", "the gradient is multiplied by 1 − " + name + " in place of " + name,
            [shape, other, divides](const Tensor<T>& g, const Tensor<T>&) {
              return divides ? Tensor<T>() : summed_to(g * (1 - other), shape);
            });
        add("divided", divides ? "the gradient is multiplied by " + name + ", and not divided"
                               : "the gradient is divided by " + name + ", and not multiplied",
            [shape, other, divides](const Tensor<T>& g, const Tensor<T>&) {
              return summed_to(divides ? g * other : g / other, shape);
            });
      } else {  // of the divisor: −g a / b²
        const Tensor<T> b = x_;
        const auto form = [&](const char* key, const std::string& text, auto f) {
          add(key, text, [shape, other, b, f](const Tensor<T>& g, const Tensor<T>&) {
            return summed_to(f(g, other, b), shape);
          });
        };
        form("-a/b", "the square of the divisor is missing: −a / b, and not −a / b²",
             [](const auto& g, const auto& a, const auto& d) { return -g * a / d; });
        form("-1/b²", "the numerator is missing in the derivative of the quotient: −1 / b², and not −a / b²",
             [](const auto& g, const auto&, const auto& d) { return -g / square(d); });
        form("1/b", "the quotient rule of the divisor is forgotten: 1 / b is used, and not −a / b²",
             [](const auto& g, const auto&, const auto& d) { return g / d; });
        form("a", "the divisor is treated as a factor: a is used, and not −a / b²",
             [](const auto& g, const auto& a, const auto&) { return g * a; });
      }
    }
  }

  /// What a bias's gradient is summed over.
  void add_reductions() {
    const Shape shape = x_.shape(), wide = y_.shape();
    if (op_ != "add" && op_ != "subtract" && op_ != "multiply") return;
    const Tensor<T> other = step_.inputs.size() > 1 ? graph_.value(step_.inputs[1 - of_.input].place) : Tensor<T>();
    const auto full = [op = op_, input = of_.input, other, wide](const Tensor<T>& g) {
      return op == "subtract" && input == 1 ? -g : op == "multiply" ? g * other : g;
    };
    const auto summed = [&](const char* key, const std::string& text, auto f) {
      add(key, text, [full, f, shape, wide](const Tensor<T>& g, const Tensor<T>&) -> Tensor<T> {
        const Tensor<T> all = full(g);
        if (!(all.shape() == wide)) return {};
        const Tensor<T> result = f(all);
        if (!result.defined() || result.size() != element_count(shape, "hint")) return {};
        return reshape(result, Dims(shape));
      });
    };
    const std::string it = "the gradient of " + (graph_.name(of_.from).empty() ? "the bias" : graph_.name(of_.from));
    const std::string n = std::to_string(wide.size() ? wide[0] : 1);
    if (wide.size() < 2 || shape.size() >= wide.size() + 1) return;
    summed("mean", it + " is the mean over the batch of " + n + ", and not the sum over it", [](const Tensor<T>& g) { return mean(g, 0); });
    summed("first", it + " takes the first sample alone, and is not summed over the batch of " + n,
           [](const Tensor<T>& g) { return slice(g, 0); });
    summed("last", it + " takes the last sample alone, and is not summed over the batch of " + n,
           [](const Tensor<T>& g) { return slice(g, -1); });
    summed("largest", it + " takes the largest over the batch, and is not summed over it", [](const Tensor<T>& g) { return max(g, 0); });
    add("total", it + " is summed over all axes, without an axis, and not over the batch alone: each element is the total",
        [full, shape](const Tensor<T>& g, const Tensor<T>&) { return broadcast_to(sum(full(g)), shape); });
    add("mean of all", it + " is the mean over all axes, without an axis",
        [full, shape](const Tensor<T>& g, const Tensor<T>&) { return broadcast_to(mean(full(g)), shape); });
    if (wide.size() == 2) {
      summed("other axis", it + " is summed over the wrong axis: over axis 1, the features, and not over axis 0, the batch",
             [](const Tensor<T>& g) { return sum(g, 1); });
      summed("other mean", it + " is the mean over the wrong axis: over axis 1, the features",
             [](const Tensor<T>& g) { return mean(g, 1); });
      summed("other first", it + " is a column of δ, and not its sum over the batch", [](const Tensor<T>& g) { return slice(g, xt::all(), 0); });
    }
  }

  /// The derivative of what lies in the other branch.
  void add_branches() {
    if (step_.inputs.size() != 2) return;
    const std::size_t maker = graph_.maker(step_.inputs[1 - of_.input].place);
    if (maker == Graph::none) return;
    const Step& other = graph_.program().steps[maker];
    if (other.inputs.size() != 1 || !other.operation->row_call) return;
    for (std::size_t e = 0; e < graph_.edges().size(); ++e)
      if (graph_.edges()[e].step == maker) {
        const Tensor<T> slope = graph_.contribution_with(e, ones<T>(graph_.value(other.output).shape()), {});
        if (slope.defined() && slope.shape() == x_.shape() && x_.shape() == y_.shape())
          add("slope of the other", "the derivative of " + std::string(other.name()) + " is applied to both branches of the sum, to the skip connection (the direct path), too",
              [slope](const Tensor<T>&, const Tensor<T>& c) { return c * slope; });
      }
  }

  void add_matmul() {
    if (y_.rank() == 2 && y_.shape()[0] == y_.shape()[1])
      add("error not transposed", "the error " + graph_.gradient_name(step_.output) + " is not transposed, or is transposed where it should not be",
          [g_ = graph_ptr(), e = edge_](const Tensor<T>& g, const Tensor<T>&) { return g_->contribution_with(e, transpose(g), {}); });
    // c (M, K) = g (M, N) Bᵀ, where B (K, N): the sum is over N. Of a batch of one weight: parts of the sum.
    const Tensor<T> other = graph_.value(step_.inputs[1 - of_.input].place);
    if (!other.defined() || other.rank() != 2 || y_.rank() != 2) return;
    const std::size_t rows = y_.shape()[0];
    if (rows < 2) return;
    const bool is_weight = std::ranges::find(graph_.leaves(), of_.from) != graph_.leaves().end();
    if (!is_weight) return;
    const std::string it = "the gradient of " + graph_.name(of_.from);
    const auto rows_only = [&](const char* key, const std::string& text, std::size_t first, std::size_t last) {
      add(key, it + " " + text,
          [g_ = graph_ptr(), e = edge_, first, last, rows](const Tensor<T>& g, const Tensor<T>&) {
            const Tensor<T> mask = reshape(arange<T>(static_cast<T>(rows)), Dims{rows, std::size_t{1}});
            return g_->contribution_with(e, g * ((mask >= static_cast<T>(first)) * (mask < static_cast<T>(last))), {});
          });
    };
    const std::string n = std::to_string(rows);
    rows_only("first", "takes the first of the " + n + " samples alone: sum over all", 0, 1);
    rows_only("last", "takes the last of the " + n + " samples alone: add up (+=) over all " + n, rows - 1, rows);
    rows_only("all but last", "leaves out the last of the " + n + " samples", 0, rows - 1);
    rows_only("all but first", "leaves out the first of the " + n + " samples", 1, rows);
    if (rows > 3) rows_only("half", "takes the first half of the " + n + " samples alone", 0, rows / 2);
    const auto shifted = [&](const char* key, const std::string& text, auto f) {
      add(key, it + " " + text, [g_ = graph_ptr(), e = edge_, f](const Tensor<T>& g, const Tensor<T>&) {
        return g_->contribution_with(e, f(g), {});
      });
    };
    shifted("roll", "multiplies each sample's error by the input of another sample: the rows are shifted by one",
            [](const Tensor<T>& g) { return roll_rows(g, 1); });
    shifted("roll back", "multiplies each sample's error by the input of another sample: the rows are shifted by one",
            [](const Tensor<T>& g) { return roll_rows(g, -1); });
    shifted("reversed", "multiplies each sample's error by the input of another sample: the rows are in reverse order",
            [](const Tensor<T>& g) { return flip(g, 0); });
    shifted("sign", "takes the sign of the error alone", [](const Tensor<T>& g) { return sign(g); });
    shifted("abs", "takes the absolute value of the error", [](const Tensor<T>& g) { return abs(g); });
  }
  static Tensor<T> roll_rows(const Tensor<T>& g, int by) {
    const auto n = static_cast<std::ptrdiff_t>(g.shape()[0]);
    std::vector<std::ptrdiff_t> index;
    for (std::ptrdiff_t i = 0; i < n; ++i) index.push_back((i + by + n) % n);
    return take(g, Indices(index), 0);
  }

  // ---- softmax and losses

  std::ptrdiff_t softmax_axis() const {  // the one along which it sums to 1
    for (std::size_t axis = y_.rank(); axis-- > 0;) {
      const Tensor<T> total = sum(op_ == "log_softmax" ? exp(y_) : y_, static_cast<std::ptrdiff_t>(axis));
      bool ones = true;
      for (std::size_t i = 0; i < total.size(); ++i) ones = ones && std::abs(total.data()[i] - 1) < T(1e-5);
      if (ones) return static_cast<std::ptrdiff_t>(axis);
    }
    return -1;
  }
  void add_softmax() {
    const Tensor<T> p = y_;
    add("diagonal", "softmax is differentiated as if each output depended on its own logit alone: the diagonal p (1 − p) of its Jacobian, without −pᵢ pⱼ",
        [p](const Tensor<T>& g, const Tensor<T>&) { return g * p * (1 - p); });
    add("missing", "the derivative of softmax is missing: the gradient is passed on unchanged",
        [](const Tensor<T>& g, const Tensor<T>&) { return g; });
    add("no sum", "the sum Σ g p of the derivative of softmax is missing: p ⊙ g, and not p ⊙ (g − Σ g p)",
        [p](const Tensor<T>& g, const Tensor<T>&) { return g * p; });
    add("no p", "the factor p of the derivative of softmax is missing: g − Σ g p, and not p ⊙ (g − Σ g p)",
        [p, axis = softmax_axis()](const Tensor<T>& g, const Tensor<T>&) { return g - sum(g * p, axis, true); });
    add("sum of g", "the derivative of softmax sums g alone, without p: p ⊙ (g − Σ g)",
        [p, axis = softmax_axis()](const Tensor<T>& g, const Tensor<T>&) { return p * (g - sum(g, axis, true)); });
    if (p.rank() > 1)
      add("axis", "the derivative of softmax sums over another axis than softmax does",
          [p, axis = softmax_axis()](const Tensor<T>& g, const Tensor<T>&) {
            const std::ptrdiff_t other = axis == 0 ? 1 : axis - 1;
            return p * (g - sum(g * p, other, true));
          });
    add("p²", "the derivative of softmax has p² in place of p: p ⊙ (g − p Σ g)",
        [p, axis = softmax_axis()](const Tensor<T>& g, const Tensor<T>&) { return p * (g - p * sum(g, axis, true)); });
    add("plus", "a sign is wrong in the derivative of softmax: p ⊙ (g + Σ g p)",
        [p, axis = softmax_axis()](const Tensor<T>& g, const Tensor<T>&) { return p * (g + sum(g * p, axis, true)); });
  }
  /// Where the loss is a cross-entropy written out, what is passed on is w (p − y): the error.
  void add_errors() {
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
      form("error: z", "the " + f + " is forgotten in the error: z − " + name + " is used, and not p − " + name, z - y);
      form("error: again", "the error p − " + name + " is multiplied by the derivative p (1 − p) of " + f + " once more: with cross-entropy p − y is dL/dz already", d * p * (1 - p));
      form("error: rounded", "the decision, p rounded to 0 or 1, is used in the error in place of p", (p > T(0.5)) - y);
      form("error: sign", "the sign of the error alone is used", sign(d));
      if (op_ == "sigmoid") {
        form("error: y", "one term of the cross-entropy is missing, that of 1 − y: only y ln p is differentiated", -y * (1 - p));
        form("error: 1 − y", "one term of the cross-entropy is missing, that of y ln p: only (1 − y) ln(1 − p) is differentiated", (1 - y) * p);
        form("error: dp", "the derivative of the sigmoid is missing: dL/dp is used as dL/dz", d / (p * (1 - p)));
        form("error: no p", "the error is divided by p", d / p);
      } else {
        form("error: label only", "only the term of the label is there: the other classes get no gradient", d * y);
        form("error: y", "the Jacobian of softmax is taken as its diagonal: −y (1 − p), and not p − y", -y * (1 - p));
        form("error: y/p", "the derivative of softmax is missing: −y / p, dL/dp, is used as dL/dz", -y / p);
        form("error: jacobian", "the Jacobian of softmax is applied to p − y once more, which contains it already", p * (d - sum(d * p, softmax_axis(), true)));
        form("error: log", "ln p is used in place of p in the error", log(p) - y);
        form("error: others", "the term of the label is missing: only the other classes get a gradient", d * (1 - y));
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
  static T largest(const Tensor<T>& x) { return x.size() ? max(abs(x)).item() : T(0); }
  static std::vector<std::ptrdiff_t> rotated(std::size_t n, std::ptrdiff_t by) {
    std::vector<std::ptrdiff_t> index;
    const auto size = static_cast<std::ptrdiff_t>(n);
    for (std::ptrdiff_t i = 0; i < size; ++i) index.push_back((i + by + size) % size);
    return index;
  }
  void add_log_softmax() {
    const Tensor<T> p = exp(y_);
    const std::ptrdiff_t axis = softmax_axis();
    add("missing", "the derivative of log_softmax is missing, or its normaliser is treated as a constant: the term −p Σ g is left out",
        [](const Tensor<T>& g, const Tensor<T>&) { return g; });
    add("no p", "the factor p is missing in the derivative of log_softmax: g − Σ g, and not g − p Σ g",
        [axis](const Tensor<T>& g, const Tensor<T>&) { return g - sum(g, axis, true); });
    add("g p", "the Jacobian of softmax is taken as its diagonal, 1 − p: the sum over the classes is missing, g − p g, and not g − p Σ g",
        [p](const Tensor<T>& g, const Tensor<T>&) { return g - p * g; });
    add("diagonal", "the derivative of softmax is used, and the operation is log_softmax",
        [p, axis](const Tensor<T>& g, const Tensor<T>&) { return p * (g - sum(g * p, axis, true)); });
    if (p.rank() == 2)
      add("axis", "softmax is taken over the wrong axis in the gradient, the batch",
          [q = softmax(x_, axis == 0 ? 1 : 0), axis](const Tensor<T>& g, const Tensor<T>&) { return g - q * sum(g, axis, true); });
    add("no label", "the label is not subtracted: p alone is used, and not p − y",
        [p, axis](const Tensor<T>& g, const Tensor<T>&) { return -p * sum(g, axis, true); });
  }

  void add_cross_entropy() {
    const Handle& labels = graph_.handle(step_.inputs[2].place);
    const Tensor<T> z = x_, p = softmax(z, 1);
    const std::size_t N = z.shape()[0], C = z.shape()[1];
    const auto* const label = reinterpret_cast<const std::ptrdiff_t*>(labels.value->data);
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
    form("jacobian", "the derivative of softmax is applied to p − y, which contains it already: with cross-entropy p − y is dL/dz",
         p * (d - sum(d * p, 1, true)));
    form("diagonal again", "p − y is multiplied by the derivative p (1 − p) once more: with cross-entropy p − y is dL/dz already",
         d * p * (1 - p));
    form("only softmax", "the derivative of softmax is left out: −y / p, dL/dp, is used as dL/dz", -y / p);
    form("diagonal", "the Jacobian of softmax is taken as its diagonal: −y (1 − p), and not p − y", -y * (1 - p));
    form("label + 1", "the labels are off by one: the class after the label is subtracted", p - one_hot(1, 0));
    form("label − 1", "the labels are off by one: the class before the label is subtracted", p - one_hot(-1, 0));
    form("label + 1 again", "the labels are off by one: the class after the label is subtracted", p - one_hot(1, 0, true));
    form("label − 1 again", "the labels are off by one: the class before the label is subtracted", p - one_hot(-1, 0, true));
    form("label minus p only", "only the term of the label is there: the other classes get no gradient", d * y);
    form("others", "the term of the label is missing: only the other classes get a gradient", d * (1 - y));
    form("rows + 1", "the labels are shifted by one sample", p - one_hot(0, 1));
    form("rows − 1", "the labels are shifted by one sample", p - one_hot(0, -1));
    if (N > 1) form("axis", "softmax is taken over the wrong axis, the batch, in the gradient", softmax(z, 0) - y);
    form("sigmoid", "the sigmoid is used in place of softmax in the gradient: σ(z) − y", sigmoid(z) - y);
    form("logits", "softmax is forgotten in the gradient: the logits are used, z − y", z - y);
    form("log p", "ln p is used in place of p in the gradient: ln p − y", log(p) - y);
    form("squared", "the gradient of the squared error through softmax is used, and the loss is cross-entropy",
         p * (d - sum(d * p, 1, true)) * 2);
    form("exp", "the exponentials are not normalised in the gradient: exp(z) − y", exp(z) - y);
  }

  void add_binary() {
    const bool has_logits = op_ == "binary_cross_entropy_with_logits";
    if (of_.input != 0) return;
    const Tensor<T> y = graph_.value(step_.inputs[1].place), p = has_logits ? sigmoid(x_) : x_;
    if (!y.defined()) return;
    const auto form = [&](const char* key, const std::string& text, const Tensor<T>& slope) {
      add(key, text, [slope](const Tensor<T>& g, const Tensor<T>&) { return g * slope; });
    };
    if (has_logits) {
      form("no label", "the label is not subtracted: σ(z) is used, and not σ(z) − y", p);
      form("σ' again", "the derivative of the sigmoid is multiplied in once more: with cross-entropy σ(z) − y is dL/dz already", (p - y) * p * (1 - p));
      form("dp", "the derivative of the sigmoid is missing: dL/dp is used as dL/dz", (p - y) / (p * (1 - p)));
      form("logits", "the sigmoid is forgotten: z − y is used, and not σ(z) − y", x_ - y);
      form("y term", "one term of the cross-entropy is missing, that of 1 − y: only y ln p is differentiated", -y * (1 - p));
      form("1 − y term", "one term of the cross-entropy is missing, that of y ln p: only (1 − y) ln(1 − p) is differentiated", (1 - y) * p);
      form("one minus", "the label is swapped: σ(z) − (1 − y) is used", p - (1 - y));
    } else {
      form("p − y", "p − y is used as dL/dp: that is dL/dz, which contains the derivative of the sigmoid already; dL/dp is (p − y) / (p (1 − p))", p - y);
      form("y term", "one term of the cross-entropy is missing, that of 1 − y: −y / p alone", -y / p);
      form("1 − y term", "one term of the cross-entropy is missing, that of y: (1 − y) / (1 − p) alone", (1 - y) / (1 - p));
      form("sign", "a sign is wrong between the two terms of the cross-entropy: −y / p − (1 − y) / (1 − p)", -y / p - (1 - y) / (1 - p));
      form("no label", "the label is not subtracted in the gradient: 1 / (1 − p)", 1 / (1 - p));
      form("no 1 − p", "the factor 1 − p is missing in the denominator: (p − y) / p", (p - y) / p);
      form("no p", "the factor p is missing in the denominator: (p − y) / (1 − p)", (p - y) / (1 - p));
      form("logs", "the logarithms are not differentiated", -(y * log(p) + (1 - y) * log(1 - p)));
    }
  }

  void add_squared_difference() {
    const Tensor<T> y = graph_.value(step_.inputs[1].place);
    if (!y.defined() || !(y.shape() == x_.shape())) return;
    const auto form = [&](const char* key, const std::string& text, const Tensor<T>& slope) {
      add(key, text, [slope](const Tensor<T>& g, const Tensor<T>&) { return g * slope; });
    };
    form("no label", "the target is not subtracted: 2a is used, and not 2 (a − y)", 2 * x_);
    form("abs", "the absolute value of the difference is used: |a − y|", 2 * abs(x_ - y));
    form("sign", "the derivative of the absolute error is used, its sign, and the loss is the squared error", sign(x_ - y));
    form("square", "the squared error itself is used, and not its derivative", square(x_ - y));
    form("2", "the difference a − y is missing in the derivative of the squared error", y * T(0) + 2);
    form("plus", "a sign is wrong: a + y is used, and not a − y", 2 * (x_ + y));
    if (x_.rank() > 0 && x_.shape()[0] > 1) {
      form("rows + 1", "the targets are shifted by one sample", 2 * (x_ - roll_rows(y, 1)));
      form("rows − 1", "the targets are shifted by one sample", 2 * (x_ - roll_rows(y, -1)));
      form("reversed", "the targets are in reverse order", 2 * (x_ - flip(y, 0)));
    }
  }

  // ---- selections

  void add_extreme() {
    add("to all", "the gradient of " + op_ + " is passed to all elements, and not to the one that is chosen",
        [x = x_](const Tensor<T>& g, const Tensor<T>&) { return broadcast_like(g, x); });
  }
  void add_pool() {
    const std::size_t h = x_.shape()[2] / y_.shape()[2], w = x_.shape()[3] / y_.shape()[3];
    if (h * y_.shape()[2] != x_.shape()[2] || w * y_.shape()[3] != x_.shape()[3]) return;
    const Shape up{y_.shape()[0], y_.shape()[1], y_.shape()[2], 1, y_.shape()[3], 1},
        wide{y_.shape()[0], y_.shape()[1], y_.shape()[2], h, y_.shape()[3], w};
    const auto repeated = [up, wide, shape = x_.shape()](const Tensor<T>& g) {
      return reshape(broadcast_to(reshape(g, Dims(up)), wide), Dims(shape));
    };
    add("to all", "the gradient of the pooling is passed to all elements of the window, and not to the largest alone",
        [repeated](const Tensor<T>& g, const Tensor<T>&) { return repeated(g); });
    add("mean", "the gradient of the pooling is shared out over the window, as by average pooling, and not passed to the largest alone",
        [repeated, n = static_cast<T>(h * w)](const Tensor<T>& g, const Tensor<T>&) { return repeated(g) / n; });
    add("first", "the gradient of the pooling is passed to the first element of each window, and not to the largest",
        [repeated, up, wide, shape = x_.shape(), h, w](const Tensor<T>& g, const Tensor<T>&) {
          std::vector<T> mask(h * w, T(0));
          mask[0] = 1;
          const Tensor<T> one = broadcast_to(reshape(Tensor<T>(mask), Dims{std::size_t{1}, std::size_t{1}, std::size_t{1}, h, std::size_t{1}, w}), wide);
          return repeated(g) * reshape(one, Dims(shape));
        });
  }
  void add_convolution() {
    const std::size_t other = 1 - of_.input;
    if (of_.input > 1) return;
    const Tensor<T> operand = graph_.value(step_.inputs[other].place);
    if (!operand.defined()) return;
    const auto with = [&](const char* key, const std::string& text, const Tensor<T>& wrong) {
      add(key, text, [g_ = graph_ptr(), e = edge_, other, wrong](const Tensor<T>& g, const Tensor<T>&) {
        return g_->contribution_with(e, g, {{other, wrong.handle()}});
      });
    };
    if (of_.input == 0) {
      const Tensor<T> turned = flip(flip(operand, 2), 3);
      with("flipped", "the kernel is not flipped in the gradient of the convolution's input: it is a convolution with the kernel turned by 180°", turned);
      with("flipped h", "the kernel is flipped along one axis alone", flip(operand, 2));
      with("flipped w", "the kernel is flipped along one axis alone", flip(operand, 3));
      with("transposed", "the kernel is transposed, height and width swapped, in the gradient of the convolution's input",
           operand.shape()[2] == operand.shape()[3] ? transpose(operand, {0, 1, 3, 2}) : operand);
      if (operand.shape()[0] == operand.shape()[1])
        with("channels", "the channels of the kernel, in and out, are not swapped in the gradient of the convolution's input",
             transpose(operand, {1, 0, 2, 3}));
    } else {
      add("flipped", "the gradient of the kernel is flipped: turned by 180°",
          [](const Tensor<T>&, const Tensor<T>& c) { return flip(flip(c, 2), 3); });
      if (x_.shape()[2] == x_.shape()[3])
        add("transposed", "the gradient of the kernel is transposed, height and width swapped",
            [](const Tensor<T>&, const Tensor<T>& c) { return transpose(c, {0, 1, 3, 2}); });
      with("flipped input", "the input is flipped in the gradient of the kernel", flip(flip(operand, 2), 3));
      for (const bool last : {false, true})
        add(last ? "last" : "first", std::string("the gradient of the kernel takes the ") + (last ? "last" : "first") + " sample alone",
            [g_ = graph_ptr(), e = edge_, last](const Tensor<T>& g, const Tensor<T>&) {
              const std::size_t n = g.shape()[0];
              const Tensor<T> row = reshape(arange<T>(static_cast<T>(n)), Dims{n, std::size_t{1}, std::size_t{1}, std::size_t{1}});
              return g_->contribution_with(e, g * equal(row, last ? static_cast<T>(n - 1) : T(0)), {});
            });
    }
  }
  /// Rows that are read several times.
  void add_rows() {
    const Handle& indices = graph_.handle(step_.inputs[1].place);
    if (of_.input != 0 || !indices.value || !indices.value->integers) return;
    const auto* const index = reinterpret_cast<const std::ptrdiff_t*>(indices.value->data);
    const std::size_t n = indices.value->size;
    const auto keep = [&](const char* key, const std::string& text, const std::vector<char>& kept, bool averaged) {
      add(key, text, [kept, averaged, list = std::vector<std::ptrdiff_t>(index, index + n), n,
                      g_ = graph_ptr(), e = edge_](const Tensor<T>& g, const Tensor<T>&) {
        std::vector<T> weight(n);
        for (std::size_t i = 0; i < n; ++i)
          weight[i] = averaged ? 1 / static_cast<T>(std::ranges::count(list, list[i])) : static_cast<T>(kept[i]);
        if (g.size() % n != 0) return Tensor<T>();
        const Tensor<T> rows = reshape(g, Dims{n, g.size() / n}) * reshape(Tensor<T>(weight), Dims{n, std::size_t{1}});
        return g_->contribution_with(e, reshape(rows, Dims(g.shape())), {});
      });
    };
    std::vector<char> last(n, true), first(n, true);
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t k = 0; k < n; ++k)
        if (index[i] == index[k]) {
          if (k > i) last[i] = false;
          if (k < i) first[i] = false;
        }
    keep("last", "rows that are used several times are overwritten (=) and not added up (+=): the last use alone counts", last, false);
    keep("first", "rows that are used several times count once, with their first use: add up (+=) over all uses", first, false);
    keep("mean", "rows that are used several times get the mean of their gradients, and not the sum", {}, true);
  }
  void add_norm() {
    add("no division", "the division by the norm is missing: x is used, and not x / ‖x‖",
        [x = x_](const Tensor<T>& g, const Tensor<T>&) { return broadcast_like(g, x) * x; });
    add("squared", "the derivative of ‖x‖² is used, 2x, and the operation is ‖x‖",
        [x = x_](const Tensor<T>& g, const Tensor<T>&) { return 2 * broadcast_like(g, x) * x; });
    add("ones", "the derivative of the norm is missing", [x = x_](const Tensor<T>& g, const Tensor<T>&) { return broadcast_like(g, x); });
  }
  void add_layout() {
    if (op_ == "transpose" && y_.shape() == x_.shape())
      add("missing", "the gradient of transpose() is not transposed back", [](const Tensor<T>& g, const Tensor<T>&) { return g; });
    if (op_ == "reshape" && x_.rank() == 2 && y_.size() == x_.size() && !(x_.shape() == y_.shape()))
      add("order", "the gradient is reshaped in another order than the value",
          [shape = x_.shape()](const Tensor<T>& g, const Tensor<T>&) {
            return transpose(reshape(g, Dims{shape[1], shape[0]}));
          });
  }

  const Graph& graph_;
  std::size_t edge_;
  const typename Graph::Edge& of_;
  std::string op_;
  const Step& step_;
  const Tensor<T>&x_, &y_;
  std::vector<Mistake<T>> all_;
};

}  // namespace

template <class T>
std::vector<Mistake<T>> mistakes_at(const GradientGraph<T>& graph, std::size_t edge) {
  return Collector<T>(graph, edge).run();
}

template <class T>
std::vector<Mistake<T>> wrong_operands(const GradientGraph<T>& graph, std::size_t number) {
  std::vector<Mistake<T>> all;
  const auto& edge = graph.edges()[number];
  const Step& step = graph.step_of(edge);
  const std::string op = step.name();
  for (std::size_t i = 0; i < step.inputs.size(); ++i) {
    if (i == edge.input && !(step.operation->row_call && step.inputs.size() == 1)) continue;
    const std::uint32_t right = step.inputs[i].place;
    const Tensor<T>& own = graph.value(right);
    if (!own.defined() || own.size() < 2) continue;
    const auto add = [&](const std::string& key, const std::string& text, const Tensor<T>& wrong) {
      all.push_back({op + "/" + key, text, [&graph, number, i, wrong](const Tensor<T>& g, const Tensor<T>&) {
                       return graph.contribution_with(number, g, {{i, wrong.handle()}});
                     }});
    };
    const std::string name = graph.name(right);
    const auto defined = [&](std::uint32_t place) {
      return graph.maker(place) == GradientGraph<T>::none ? graph.name(place) : graph.formula(graph.maker(place));
    };
    if (op == "matmul" && own.rank() >= 2 && own.shape().end()[-1] == own.shape().end()[-2])
      add("transposed", name + " is not transposed", transposed_last(own));
    for (std::uint32_t p = 0; p < graph.program().places.size(); ++p) {
      const Tensor<T>& other = graph.value(p);
      if (p == right || !other.defined() || graph.name(p).empty()) continue;
      if (graph.name(p).find(' ') != std::string::npos) continue;
      const std::string what = "the value of " + defined(p);
      const std::string place = " is used in place of " + defined(right) +
                                (p == edge.from ? ": it is the operand itself, and not the other one" : p < right ? ", the value before it in place of the one after"
                                                                                                                            : ", a value after it, an output, in place of an input");
      if (other.shape() == own.shape()) add("other", what + place, other);
      if (op == "matmul" && own.rank() == 2 && other.rank() == 2 && other.shape()[0] == own.shape()[1] &&
               other.shape()[1] == own.shape()[0])
        add("other", what + ", transposed," + place, transposed_last(other));
    }
  }
  return all;
}

#define XTAPE_INSTANTIATE(T)                                                               \
  template std::vector<Mistake<T>> mistakes_at(const GradientGraph<T>&, std::size_t);      \
  template std::vector<Mistake<T>> wrong_operands(const GradientGraph<T>&, std::size_t);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail
