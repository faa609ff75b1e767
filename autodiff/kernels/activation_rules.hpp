// Elementwise operations continued: activations, selection and order, losses of single elements, comparisons.
#pragma once
#include "elementwise_rules.hpp"

namespace xtape::detail::ops {

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
  static auto value(auto x) { return minimum(x, T(-0.0)) - log1p(exp(-abs(x))); }
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
  static constexpr bool is_cheap = true;
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
  static constexpr bool is_cheap = true;
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
  auto value(auto x) const { return where(x > T(0), x, p * expm1(where(x > T(0), T(0), x))); }
  auto derivative(auto x) const { return where(x > T(0), T(1), p * exp(minimum(x, T(0)))); }
};

template <class T>
struct Gelu {
  static constexpr const char* name = "gelu";
  static constexpr T r = std::numbers::sqrt2_v<T> / 2;
  // 0 · ∞ is 0 here: Φ and φ fall faster than x grows.
  static auto value(auto x) {
    const auto phi = T(0.5) * (T(1) + erf(x * r));
    return where(equal(phi, T(0)), T(-0.0), x * phi);
  }
  // Φ(x) + x φ(x)
  static auto derivative(auto x) {
    const auto density = exp(T(-0.5) * square(x)) * (r * std::numbers::inv_sqrtpi_v<T>);
    return T(0.5) * (T(1) + erf(x * r)) + where(equal(density, T(0)), T(0), x * density);
  }
};

template <class T>
struct Silu {
  static constexpr const char* name = "silu";
  // 0 · ∞ is 0 here: the sigmoid falls faster than x grows.
  static auto value(auto x) {
    const auto s = sigmoid(x);
    return where(equal(s, T(0)), T(-0.0), x * s);
  }
  static auto derivative(auto x) {
    const auto s = sigmoid(x), slope = s * sigmoid(-x);
    return s + where(equal(slope, T(0)), T(0), x * slope);
  }
};

// ---- sign, order, selection

template <class T>
struct Abs {
  static constexpr const char* name = "abs";
  static constexpr bool is_length = true;
  static constexpr bool is_cheap = true;
  static auto value(auto x) { return abs(x); }
  static auto derivative(auto x) { return sign(x); }
};

template <class T>
struct Sign {
  static constexpr const char* name = "sign";
  static constexpr bool is_cheap = true;
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
  static constexpr bool is_cheap = true;
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
  static constexpr bool is_cheap = true;
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
  static constexpr bool is_cheap = true;
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
  static constexpr bool is_cheap = true;
  static constexpr std::array keeps{none, a_, a_};
  static auto value(auto m, auto a, auto b) { return where(equal(m, T(0)), b, a); }
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

template <class T>
struct SquaredDifference {
  static constexpr const char* name = "squared_difference";
  static constexpr bool is_cheap = true;
  static constexpr std::array keeps{a_ | b_, a_ | b_};
  static auto value(auto a, auto b) { return square(a - b); }
  template <int I>
  static auto gradient(auto g, auto a, auto b, auto) {
    if constexpr (I == 0)
      return T(2) * g * (a - b);
    else
      return T(2) * g * (b - a);
  }
};

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
  // z (1 − y) or −z y, so that an infinite logit on the right side costs nothing
  static auto value(auto z, auto y) {
    const auto wrong = where(z > T(0), T(1) - y, y);
    return where(equal(wrong, T(0)), T(0), abs(z) * wrong) + log1p(exp(-abs(z)));
  }
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
  static constexpr bool is_cheap = true;
  static auto value(auto a, auto b) { return where(a > b, T(1), T(0)); }
};
template <class T>
struct GreaterEqual {
  static constexpr const char* name = "greater_equal";
  static constexpr bool is_cheap = true;
  static auto value(auto a, auto b) { return where(a >= b, T(1), T(0)); }
};
template <class T>
struct Equal {
  static constexpr const char* name = "equal";
  static constexpr bool is_cheap = true;
  static auto value(auto a, auto b) { return where(equal(a, b), T(1), T(0)); }
};

}  // namespace xtape::detail::ops
