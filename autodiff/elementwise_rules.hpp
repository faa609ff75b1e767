// Every elementwise operation: its value and, right under it, its derivative. The same text runs on numbers
// (one fused pass) and on Tensors (recorded, so that gradients can be differentiated). No xtensor here.
//
// A unary operation gives `derivative(x)`, or `derivative_from_output(y)` where that needs less: what the
// rule keeps follows from which one it is. Others give gradient<I>(g, x…, y), the adjoint of input I for the
// adjoint g of the output, and name in `keeps` what it uses.
#pragma once
#include <array>
#include <cmath>
#include <numbers>

#include "elementwise_ops.hpp"

namespace xtape::detail::ops {

using std::abs, std::acos, std::asin, std::atan, std::atan2, std::cbrt, std::cos, std::cosh, std::erf,
    std::exp, std::expm1, std::log, std::log10, std::log1p, std::log2, std::pow, std::sin, std::sinh,
    std::sqrt, std::tan, std::tanh;

// What numbers lack of the vocabulary that tensors have.
template <std::floating_point T>
T where(bool condition, T a, std::type_identity_t<T> b) {
  return condition ? a : b;
}
template <std::floating_point T>
bool equal(T a, T b) {
  return a == b;
}
template <std::floating_point T>
T maximum(T a, T b) {
  return a > b || a != a ? a : b;  // a NaN on either side comes through
}
template <std::floating_point T>
T minimum(T a, T b) {
  return a < b || a != a ? a : b;
}
template <std::floating_point T>
T sigmoid(T x) {
  return 1 / (1 + exp(-x));
}
template <std::floating_point T>
T sign(T x) {
  return x > 0 ? T(1) : x < 0 ? T(-1) : x;
}
template <std::floating_point T>
T square(T x) {
  return x * x;
}
template <std::floating_point T>
T reciprocal(T x) {
  return 1 / x;
}

inline constexpr unsigned none = 0, a_ = 1, b_ = 2, c_ = 4, y_ = 1u << 31;

// ---- arithmetic

template <class T>
struct Add {
  static constexpr const char* name = "add";
  static constexpr std::array keeps{none, none};
  static constexpr std::array passes_adjoint{true, true};
  static auto value(auto a, auto b) { return a + b; }
  template <int I>
  static auto gradient(auto g, auto, auto, auto) {
    return g;
  }
};

template <class T>
struct Subtract {
  static constexpr const char* name = "subtract";
  static constexpr std::array keeps{none, none};
  static constexpr std::array passes_adjoint{true, false};
  static auto value(auto a, auto b) { return a - b; }
  template <int I>
  static auto gradient(auto g, auto, auto, auto) {
    if constexpr (I == 0)
      return g;
    else
      return -g;
  }
};

template <class T>
struct Multiply {
  static constexpr const char* name = "multiply";
  static constexpr std::array keeps{b_, a_};
  static auto value(auto a, auto b) { return a * b; }
  template <int I>
  static auto gradient(auto g, auto a, auto b, auto) {
    if constexpr (I == 0)
      return g * b;
    else
      return g * a;
  }
};

template <class T>
struct Divide {
  static constexpr const char* name = "divide";
  static constexpr std::array keeps{b_, b_ | y_};
  static auto value(auto a, auto b) { return a / b; }
  template <int I>
  static auto gradient(auto g, auto, auto b, auto y) {
    if constexpr (I == 0)
      return g / b;
    else
      return -g * y / b;
  }
};

template <class T>
struct Negative {
  static constexpr const char* name = "negative";
  static constexpr std::array keeps{none};
  static auto value(auto x) { return -x; }
  template <int I>
  static auto gradient(auto g, auto, auto) {
    return -g;
  }
};

template <class T>
struct Reciprocal {
  static constexpr const char* name = "reciprocal";
  static auto value(auto x) { return reciprocal(x); }
  static auto derivative_from_output(auto y) { return -square(y); }
};

// ---- powers, roots, exponentials, logarithms

template <class T>
struct Power {
  static constexpr const char* name = "pow";
  static constexpr std::array keeps{a_ | b_, a_ | b_ | y_};
  static auto value(auto a, auto b) { return pow(a, b); }
  // b aᵇ⁻¹, 0 for b = 0; aᵇ ln a, 0 for a = 0, where ln would be infinite
  template <int I>
  static auto gradient(auto g, auto a, auto b, auto y) {
    if constexpr (I == 0)
      return g * where(equal(b, T(0)), T(0), b * pow(a, b - T(1)));
    else
      return where(equal(a, T(0)), T(0), g * y * log(where(equal(a, T(0)), T(1), a)));
  }
};

template <class T>
struct PowerScalar : Parameters<T> {
  using Parameters<T>::p;
  static constexpr const char* name = "pow";
  auto value(auto x) const { return pow(x, p); }
  auto derivative(auto x) const { return p * pow(x, p == 0 ? T(0) : p - 1); }
};

template <class T>
struct Square {
  static constexpr const char* name = "square";
  static auto value(auto x) { return x * x; }
  static auto derivative(auto x) { return T(2) * x; }
};

template <class T>
struct Sqrt {
  static constexpr const char* name = "sqrt";
  static auto value(auto x) { return sqrt(x); }
  static auto derivative_from_output(auto y) { return T(0.5) / y; }
};

template <class T>
struct Cbrt {
  static constexpr const char* name = "cbrt";
  static auto value(auto x) { return cbrt(x); }
  static auto derivative_from_output(auto y) { return T(1) / (T(3) * square(y)); }
};

template <class T>
struct Exp {
  static constexpr const char* name = "exp";
  static auto value(auto x) { return exp(x); }
  static auto derivative_from_output(auto y) { return y; }
};

template <class T>
struct Expm1 {
  static constexpr const char* name = "expm1";
  static auto value(auto x) { return expm1(x); }
  static auto derivative_from_output(auto y) { return y + T(1); }
};

template <class T>
struct Log {
  static constexpr const char* name = "log";
  static auto value(auto x) { return log(x); }
  static auto derivative(auto x) { return reciprocal(x); }
};

template <class T>
struct Log1p {
  static constexpr const char* name = "log1p";
  static auto value(auto x) { return log1p(x); }
  static auto derivative(auto x) { return reciprocal(T(1) + x); }
};

template <class T>
struct Log2 {
  static constexpr const char* name = "log2";
  static auto value(auto x) { return log2(x); }
  static auto derivative(auto x) { return std::numbers::log2e_v<T> / x; }
};

template <class T>
struct Log10 {
  static constexpr const char* name = "log10";
  static auto value(auto x) { return log10(x); }
  static auto derivative(auto x) { return std::numbers::log10e_v<T> / x; }
};

// ---- trigonometry

template <class T>
struct Sin {
  static constexpr const char* name = "sin";
  static auto value(auto x) { return sin(x); }
  static auto derivative(auto x) { return cos(x); }
};

template <class T>
struct Cos {
  static constexpr const char* name = "cos";
  static auto value(auto x) { return cos(x); }
  static auto derivative(auto x) { return -sin(x); }
};

template <class T>
struct Tan {
  static constexpr const char* name = "tan";
  static auto value(auto x) { return tan(x); }
  static auto derivative_from_output(auto y) { return T(1) + square(y); }
};

template <class T>
struct Asin {
  static constexpr const char* name = "asin";
  static auto value(auto x) { return asin(x); }
  static auto derivative(auto x) { return reciprocal(sqrt((T(1) - x) * (T(1) + x))); }
};

template <class T>
struct Acos {
  static constexpr const char* name = "acos";
  static auto value(auto x) { return acos(x); }
  static auto derivative(auto x) { return -reciprocal(sqrt((T(1) - x) * (T(1) + x))); }
};

template <class T>
struct Atan {
  static constexpr const char* name = "atan";
  static auto value(auto x) { return atan(x); }
  static auto derivative(auto x) { return reciprocal(T(1) + square(x)); }
};

template <class T>
struct Atan2 {
  static constexpr const char* name = "atan2";
  static constexpr std::array keeps{a_ | b_, a_ | b_};
  static auto value(auto a, auto b) { return atan2(a, b); }
  template <int I>
  static auto gradient(auto g, auto a, auto b, auto) {
    if constexpr (I == 0)
      return g * b / (square(a) + square(b));
    else
      return -g * a / (square(a) + square(b));
  }
};

template <class T>
struct Sinh {
  static constexpr const char* name = "sinh";
  static auto value(auto x) { return sinh(x); }
  static auto derivative(auto x) { return cosh(x); }
};

template <class T>
struct Cosh {
  static constexpr const char* name = "cosh";
  static auto value(auto x) { return cosh(x); }
  static auto derivative(auto x) { return sinh(x); }
};

template <class T>
struct Tanh {
  static constexpr const char* name = "tanh";
  static auto value(auto x) { return tanh(x); }
  static auto derivative_from_output(auto y) { return T(1) - square(y); }
};

template <class T>
struct Erf {
  static constexpr const char* name = "erf";
  static auto value(auto x) { return erf(x); }
  static auto derivative(auto x) { return T(2) * std::numbers::inv_sqrtpi_v<T> * exp(-square(x)); }
};

// ---- activations

template <class T>
struct Sigmoid {
  static constexpr const char* name = "sigmoid";
  static auto value(auto x) { return sigmoid(x); }
  static auto derivative_from_output(auto y) { return y * (T(1) - y); }
};

template <class T>
struct LogSigmoid {
  static constexpr const char* name = "log_sigmoid";
  static auto value(auto x) { return minimum(x, T(0)) - log1p(exp(-abs(x))); }
  static auto derivative(auto x) { return sigmoid(-x); }
};

template <class T>
struct Softplus {
  static constexpr const char* name = "softplus";
  static auto value(auto x) { return maximum(x, T(0)) + log1p(exp(-abs(x))); }
  static auto derivative(auto x) { return sigmoid(x); }
};

template <class T>
struct Relu {
  static constexpr const char* name = "relu";
  static constexpr std::array keeps{y_};
  static auto value(auto x) { return where(x <= T(0), T(0), x); }
  template <int I>
  static auto gradient(auto g, auto, auto y) {
    return where(y > T(0), g, T(0));
  }
};

template <class T>
struct LeakyRelu : Parameters<T> {
  using Parameters<T>::p;  // the slope for x < 0
  static constexpr const char* name = "leaky_relu";
  static constexpr std::array keeps{a_};
  auto value(auto x) const { return where(x > T(0), x, p * x); }
  template <int I>
  auto gradient(auto g, auto x, auto) const {
    return where(x > T(0), g, p * g);
  }
};

template <class T>
struct Elu : Parameters<T> {
  using Parameters<T>::p;  // the limit for x → −∞, negated
  static constexpr const char* name = "elu";
  auto value(auto x) const { return where(x > T(0), x, p * expm1(minimum(x, T(0)))); }
  auto derivative(auto x) const { return where(x > T(0), T(1), p * exp(minimum(x, T(0)))); }
};

template <class T>
struct Gelu {
  static constexpr const char* name = "gelu";
  static constexpr T r = std::numbers::sqrt2_v<T> / 2;
  static auto value(auto x) { return x * (T(0.5) * (T(1) + erf(x * r))); }
  // Φ(x) + x φ(x)
  static auto derivative(auto x) {
    return T(0.5) * (T(1) + erf(x * r)) + x * exp(T(-0.5) * square(x)) * (r * std::numbers::inv_sqrtpi_v<T>);
  }
};

template <class T>
struct Silu {
  static constexpr const char* name = "silu";
  static auto value(auto x) { return x * sigmoid(x); }
  static auto derivative(auto x) { return sigmoid(x) * (T(1) + x * sigmoid(-x)); }
};

// ---- sign, order, selection

template <class T>
struct Abs {
  static constexpr const char* name = "abs";
  static auto value(auto x) { return abs(x); }
  static auto derivative(auto x) { return sign(x); }
};

template <class T>
struct Sign {
  static constexpr const char* name = "sign";
  static constexpr std::array keeps{none};
  static auto value(auto x) { return sign(x); }
  template <int I>
  static auto gradient(auto g, auto, auto) {
    return T(0) * g;
  }
};

template <class T>
struct Maximum {
  static constexpr const char* name = "maximum";
  static constexpr std::array keeps{a_ | b_, a_ | b_};
  static auto value(auto a, auto b) { return maximum(a, b); }
  template <int I>
  static auto gradient(auto g, auto a, auto b, auto) {
    if constexpr (I == 0)
      return where(a > b, g, where(equal(a, b), T(0.5) * g, T(0)));
    else
      return where(b > a, g, where(equal(a, b), T(0.5) * g, T(0)));
  }
};

template <class T>
struct Minimum {
  static constexpr const char* name = "minimum";
  static constexpr std::array keeps{a_ | b_, a_ | b_};
  static auto value(auto a, auto b) { return minimum(a, b); }
  template <int I>
  static auto gradient(auto g, auto a, auto b, auto) {
    if constexpr (I == 0)
      return where(a < b, g, where(equal(a, b), T(0.5) * g, T(0)));
    else
      return where(b < a, g, where(equal(a, b), T(0.5) * g, T(0)));
  }
};

template <class T>
struct Clamp : Parameters<T> {
  using Parameters<T>::p;  // low
  using Parameters<T>::q;  // high
  static constexpr const char* name = "clamp";
  static constexpr std::array keeps{a_};
  auto value(auto x) const { return where(x < p, p, where(x > q, q, x)); }
  template <int I>
  auto gradient(auto g, auto x, auto) const {
    return where(x < p, T(0), where(x > q, T(0), g));
  }
};

template <class T>
struct Where {
  static constexpr const char* name = "where";
  static constexpr std::array keeps{none, a_, a_};
  static auto value(auto m, auto a, auto b) { return where(m != 0, a, b); }
  template <int I>
  static auto gradient(auto g, auto m, auto, auto, auto) {
    if constexpr (I == 0)
      return T(0) * g;
    else if constexpr (I == 1)
      return where(equal(m, T(0)), T(0), g);
    else
      return where(equal(m, T(0)), g, T(0));
  }
};

// ---- losses of single elements, for nn

/// −(y ln p + (1 − y) ln(1 − p)), with the limits of PyTorch: logarithms end at −100, the denominator at
/// 1e-12.
template <class T>
struct BinaryCrossEntropy {
  static constexpr const char* name = "binary_cross_entropy";
  static constexpr std::array keeps{a_ | b_, a_};
  static auto value(auto p, auto y) {
    return -(y * maximum(log(p), T(-100)) + (T(1) - y) * maximum(log1p(-p), T(-100)));
  }
  template <int I>
  static auto gradient(auto g, auto p, auto y, auto) {
    if constexpr (I == 0)
      return g * (p - y) / maximum(p * (T(1) - p), T(1e-12));
    else
      return g * (maximum(log1p(-p), T(-100)) - maximum(log(p), T(-100)));
  }
};

template <class T>
struct BinaryCrossEntropyWithLogits {
  static constexpr const char* name = "binary_cross_entropy_with_logits";
  static constexpr std::array keeps{a_ | b_, a_};
  static auto value(auto z, auto y) { return maximum(z, T(0)) - z * y + log1p(exp(-abs(z))); }
  template <int I>
  static auto gradient(auto g, auto z, auto y, auto) {
    if constexpr (I == 0)
      return g * (sigmoid(z) - y);
    else
      return -g * z;
  }
};

// Comparisons give 1 and 0 and have no derivative: their result is a constant.
template <class T>
struct Greater {
  static constexpr const char* name = "greater";
  static auto value(auto a, auto b) { return where(a > b, T(1), T(0)); }
};
template <class T>
struct GreaterEqual {
  static constexpr const char* name = "greater_equal";
  static auto value(auto a, auto b) { return where(a >= b, T(1), T(0)); }
};
template <class T>
struct Equal {
  static constexpr const char* name = "equal";
  static auto value(auto a, auto b) { return where(equal(a, b), T(1), T(0)); }
};

}  // namespace xtape::detail::ops
