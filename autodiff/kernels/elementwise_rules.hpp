// The rules of elementwise operations: each has its value and, right under it, its derivative; here
// arithmetic, powers, exponentials, logarithms and angles, in files beside this one activations, selection,
// special functions and losses. The same text runs on batches of numbers (one fused pass) and on the symbols
// of map (a program, so that gradients can be differentiated). No xtensor here.
//
// A unary operation gives `derivative(x)`, or `derivative_from_output(y)` where that needs less: what the
// rule keeps follows from which one it is. Others give gradient<I>(g, x…, y), the adjoint of input I for the
// adjoint g of the output, and name in `keeps` what it uses.
#pragma once
#include <array>
#include <cmath>
#include <concepts>
#include <limits>
#include <numbers>
#include <type_traits>

#include "special_functions.hpp"

namespace xtape::detail::ops {

using special::erfinv, special::lgamma, special::polygamma;
using std::abs, std::acos, std::acosh, std::asin, std::asinh, std::atan, std::atan2, std::atanh, std::cbrt,
    std::ceil, std::cos, std::cosh, std::erf, std::erfc, std::exp, std::expm1, std::floor, std::fmod,
    std::hypot, std::log, std::log10, std::log1p, std::log2, std::pow, std::sin, std::sinh, std::sqrt,
    std::tan, std::tanh;

// What numbers lack of the vocabulary that tensors have.
template <std::floating_point T>
T where(std::same_as<bool> auto condition, T a, std::type_identity_t<T> b) {
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
template <std::floating_point T>
T round(T x) {
  return std::nearbyint(x);  // half to even, unless somebody changed how this thread rounds
}

/// The numbers that an operation carries, such as a slope or a limit.
template <class T>
struct Parameters {
  T p = 0;
  T q = 0;
};

inline constexpr unsigned none = 0, a_ = 1, b_ = 2, c_ = 4, y_ = 1u << 31;

// ---- arithmetic

template <class T>
struct Add {
  static constexpr const char* name = "add";
  static constexpr bool is_cheap = true;
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
  static constexpr bool is_cheap = true;
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
  static constexpr bool is_cheap = true;
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
  static constexpr bool is_cheap = true;
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
  static constexpr bool is_cheap = true;
  static constexpr std::array keeps{none};
  static auto value(auto x) { return T(-1) * x; }  // xsimd's −x is 0 − x for AVX-512: 0 where x = 0, not −0
  template <int I>
  static auto gradient(auto g, auto, auto) {
    return -g;
  }
};

template <class T>
struct Reciprocal {
  static constexpr const char* name = "reciprocal";
  static constexpr bool is_cheap = true;
  static auto value(auto x) { return reciprocal(x); }
  static auto derivative_from_output(auto y) { return -square(y); }
};

// ---- powers, roots, exponentials, logarithms

template <class T>
struct Power {
  static constexpr const char* name = "pow";
  static constexpr std::array keeps{a_ | b_, a_ | b_ | y_};
  static auto value(auto a, auto b) { return pow(a, b); }
  // b aᵇ⁻¹, which at b = 0 has a derivative where a is positive, and is 0 also where a⁻¹ is infinite;
  // aᵇ ln a, 0 for a = 0, where ln would be infinite
  template <int I>
  static auto gradient(auto g, auto a, auto b, auto y) {
    if constexpr (I == 0) {
      const auto zero = where(a >= std::numeric_limits<T>::min(), T(0), where(equal(b, T(0)), T(1), T(0)));
      const auto base = where(equal(zero, T(0)), a, T(1));
      return g * where(equal(zero, T(0)), b * pow(base, b - T(1)), T(0));
    } else {
      return where(equal(a, T(0)), T(0), g * y * log(where(equal(a, T(0)), T(1), a)));
    }
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
  static constexpr bool is_cheap = true;
  static auto value(auto x) { return x * x; }
  static auto derivative(auto x) { return T(2) * x; }
};

template <class T>
struct Sqrt {
  static constexpr const char* name = "sqrt";
  static constexpr bool is_cheap = true;
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
  static constexpr bool has_cheap_gradient = true;
  static auto value(auto x) { return log(x); }
  static auto derivative(auto x) { return reciprocal(x); }
};

template <class T>
struct Log1p {
  static constexpr const char* name = "log1p";
  static constexpr bool has_cheap_gradient = true;
  static auto value(auto x) { return log1p(x); }
  static auto derivative(auto x) { return reciprocal(T(1) + x); }
};

template <class T>
struct LogAddExp {
  static constexpr const char* name = "logaddexp";
  static constexpr std::array keeps{a_ | b_, a_ | b_};
  // Of equal operands the difference is not taken: of infinite ones it is NaN.
  static auto value(auto a, auto b) {
    const auto y = maximum(a, b) + log1p(exp(-abs(a - b)));
    return where(equal(a, b), a + std::numbers::ln2_v<T>, y);
  }
  template <int I>
  static auto gradient(auto g, auto a, auto b, auto) {
    // Where both are −∞ no small step changes that: 0, as for logsumexp.
    const auto nothing = equal(maximum(a, b), -std::numeric_limits<T>::infinity());
    const auto difference = where(nothing, T(0), I == 0 ? a - b : b - a);
    return where(nothing, T(0), g * sigmoid(difference));
  }
};

template <class T>
struct Log2 {
  static constexpr const char* name = "log2";
  static constexpr bool has_cheap_gradient = true;
  static auto value(auto x) { return log2(x); }
  static auto derivative(auto x) { return std::numbers::log2e_v<T> / x; }
};

template <class T>
struct Log10 {
  static constexpr const char* name = "log10";
  static constexpr bool has_cheap_gradient = true;
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
  static constexpr bool has_cheap_gradient = true;
  static auto value(auto x) { return asin(x); }
  static auto derivative(auto x) { return reciprocal(sqrt((T(1) - x) * (T(1) + x))); }
};

template <class T>
struct Acos {
  static constexpr const char* name = "acos";
  static constexpr bool has_cheap_gradient = true;
  static auto value(auto x) { return acos(x); }
  static auto derivative(auto x) { return -reciprocal(sqrt((T(1) - x) * (T(1) + x))); }
};

template <class T>
struct Atan {
  static constexpr const char* name = "atan";
  static constexpr bool has_cheap_gradient = true;
  static auto value(auto x) { return atan(x); }
  static auto derivative(auto x) { return reciprocal(T(1) + square(x)); }
};

template <class T>
struct Atan2 {
  static constexpr const char* name = "atan2";
  static constexpr bool has_cheap_gradient = true;
  static constexpr std::array keeps{a_ | b_, a_ | b_};
  static auto value(auto a, auto b) { return atan2(a, b); }
  // b / (a² + b²) and −a / (a² + b²), with both divided by the larger one, so that no square leaves the range
  template <int I>
  static auto gradient(auto g, auto a, auto b, auto) {
    const auto larger = maximum(abs(a), abs(b)), p = a / larger, q = b / larger;
    const auto wanted = (I == 0 ? g * q : -g * p) / (square(p) + square(q)) / larger;
    return where(equal(larger, std::numeric_limits<T>::infinity()), T(0), wanted);
  }
};

template <class T>
struct Hypot {
  static constexpr const char* name = "hypot";
  static constexpr bool is_length = true;
  static constexpr bool has_cheap_gradient = true;
  static constexpr std::array keeps{a_ | y_, b_ | y_};
  // Beyond these limits squares would leave the range of T; powers of two, so that scaling by them is exact.
  static constexpr T large = T(sizeof(T) == 4 ? 0x1p48 : 0x1p384), small = 1 / large;
  static auto value(auto a, auto b) {
    constexpr T infinity = std::numeric_limits<T>::infinity();
    const auto longer = maximum(abs(a), abs(b));
    const auto scale = where(longer > large, small * small, where(longer < small, large * large, T(1)));
    const auto y = sqrt(square(a * scale) + square(b * scale)) / scale;
    return where(equal(abs(a), infinity), infinity, where(equal(abs(b), infinity), infinity, y));
  }
  template <int I>
  static auto gradient(auto g, auto a, auto b, auto y) {
    const auto divisor = where(equal(y, T(0)), T(1), y);
    if constexpr (I == 0)  // a / y first: g / y could leave the normal range
      return where(equal(y, T(0)), T(0), g * (a / divisor));
    else
      return where(equal(y, T(0)), T(0), g * (b / divisor));
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
struct Asinh {
  static constexpr const char* name = "asinh";
  static constexpr bool has_cheap_gradient = true;
  static auto value(auto x) { return asinh(x); }
  static auto derivative(auto x) { return reciprocal(hypot(x, T(1))); }
};

template <class T>
struct Acosh {
  static constexpr const char* name = "acosh";
  static constexpr bool has_cheap_gradient = true;
  static auto value(auto x) { return acosh(x); }
  static auto derivative(auto x) { return reciprocal(sqrt(x - T(1)) * sqrt(x + T(1))); }
};

template <class T>
struct Atanh {
  static constexpr const char* name = "atanh";
  static constexpr bool has_cheap_gradient = true;
  static auto value(auto x) { return atanh(x); }
  static auto derivative(auto x) { return reciprocal((T(1) - x) * (T(1) + x)); }
};

}  // namespace xtape::detail::ops
