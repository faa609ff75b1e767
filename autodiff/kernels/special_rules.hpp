// Rules of special functions; see elementwise_rules.hpp.
#pragma once
#include "elementwise_rules.hpp"

namespace xtape::detail::ops {

template <class T>
struct Erf {
  static constexpr const char* name = "erf";
  static auto value(auto x) { return erf(x); }
  static auto derivative(auto x) { return T(2) * std::numbers::inv_sqrtpi_v<T> * exp(-square(x)); }
};

template <class T>
struct Erfc {
  static constexpr const char* name = "erfc";
  static auto value(auto x) { return erfc(x); }
  static auto derivative(auto x) { return T(-2) * std::numbers::inv_sqrtpi_v<T> * exp(-square(x)); }
};

template <class T>
struct Erfinv {
  static constexpr const char* name = "erfinv";
  static auto value(auto x) { return erfinv(x); }
  // √π/2 e^(y²)
  static auto derivative_from_output(auto y) {
    return T(0.5) / std::numbers::inv_sqrtpi_v<T> * exp(square(y));
  }
};

template <class T>
struct LogGamma {
  static constexpr const char* name = "lgamma";
  static auto value(auto x) { return lgamma(x); }
  static auto derivative(auto x) { return polygamma(0, x); }
};

template <class T>
struct Polygamma : Parameters<T> {
  using Parameters<T>::p;  // the order: how often digamma is differentiated
  static constexpr const char* name = "polygamma";
  auto value(auto x) const { return polygamma(static_cast<int>(p), x); }
  auto derivative(auto x) const { return polygamma(static_cast<int>(p) + 1, x); }
};

}  // namespace xtape::detail::ops
