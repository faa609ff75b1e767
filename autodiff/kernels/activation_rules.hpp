// Rules of activations; see elementwise_rules.hpp.
#pragma once
#include "elementwise_rules.hpp"

namespace xtape::detail::ops {

template <class T>
struct Sigmoid {
  static constexpr const char* name = "sigmoid";
  static auto value(auto x) { return sigmoid(x); }
  static auto derivative_from_output(auto y) { return y * (T(1) - y); }
};

template <class T>
struct Tanh {
  static constexpr const char* name = "tanh";
  static auto value(auto x) { return tanh(x); }
  static auto derivative_from_output(auto y) { return T(1) - square(y); }
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

}  // namespace xtape::detail::ops
