// Rules of sign, rounding, order, selection and comparison; see elementwise_rules.hpp.
#pragma once
#include "elementwise_rules.hpp"

namespace xtape::detail::ops {

template <class T>
struct Abs {
  static constexpr const char* name = "abs";
  static constexpr bool is_length = true;
  static constexpr bool is_cheap = true;
  static auto value(auto x) { return abs(x); }
  static auto derivative(auto x) { return sign(x); }
};

/// Rules of steps: constant between their jumps, with a derivative of 0 everywhere.
template <class T>
struct Steps {
  static constexpr bool is_cheap = true;
  static constexpr std::array keeps{none};
  template <int I>
  static auto gradient(auto g, auto, auto) {
    return T(0) * g;
  }
};

template <class T>
struct Sign : Steps<T> {
  static constexpr const char* name = "sign";
  static auto value(auto x) { return sign(x); }
};

template <class T>
struct Floor : Steps<T> {
  static constexpr const char* name = "floor";
  static auto value(auto x) { return floor(x); }
};

template <class T>
struct Ceil : Steps<T> {
  static constexpr const char* name = "ceil";
  static auto value(auto x) { return ceil(x); }
};

template <class T>
struct Round : Steps<T> {
  static constexpr const char* name = "round";
  static auto value(auto x) { return round(x); }
};

template <class T>
struct Fmod {
  static constexpr const char* name = "fmod";
  static constexpr bool has_cheap_gradient = true;
  static constexpr std::array keeps{none, a_ | b_ | y_};
  static constexpr std::array passes_adjoint{true, false};
  static auto value(auto a, auto b) { return fmod(a, b); }
  // y = a − n b with a whole n, the quotient without its fraction
  template <int I>
  static auto gradient(auto g, auto a, auto b, auto y) {
    if constexpr (I == 0)
      return g;
    else
      return -g * round((a - y) / b);
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
