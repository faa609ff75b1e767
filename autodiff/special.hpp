// Special functions beside erf: its complement and inverse, the logarithm of the gamma function and its
// derivatives.
//
// As in elementwise.hpp, every function takes a tensor, or inside map() a symbol. x is the operand, y the
// result.
#pragma once
#include "elementwise.hpp"

namespace xtape {

/// 1 − erf(x), which keeps its digits where it is small; derivative −2/√π e^(−x²).
template <detail::Traceable X>
X erfc(const X& x) {
  return detail::elementwise(detail::OpNumber::Erfc, x);
}

/// The number whose error function is x; derivative √π/2 e^(y²). ±∞ at ±1, NaN beyond.
template <detail::Traceable X>
X erfinv(const X& x) {
  return detail::elementwise(detail::OpNumber::Erfinv, x);
}

/// ln |Γ(x)|; derivative digamma(x). ∞ at 0, −1, −2 …
template <detail::Traceable X>
X lgamma(const X& x) {
  return detail::elementwise(detail::OpNumber::LogGamma, x);
}

/// The derivative of order n of digamma(x); its own derivative is that of order n + 1. At 0, −1, −2 … it is ∞
/// for odd n, and for even n NaN, but ∓∞ at ±0. Error for a negative n, and for one above 1e6.
template <std::integral N, detail::Traceable X>
X polygamma(N n, const X& x) {
  if (std::cmp_less(n, 0)) throw Error("polygamma", "the order " + std::to_string(n) + " is negative");
  if (std::cmp_greater(n, 1000000))
    throw Error("polygamma", "the order " + std::to_string(n) + " is above 1000000");
  return detail::elementwise(detail::OpNumber::Polygamma, x, static_cast<typename X::value_type>(n));
}

/// Γ′(x) / Γ(x), the derivative of ln Γ; derivative polygamma(1, x). NaN at −1, −2 …, ∓∞ at ±0.
template <detail::Traceable X>
X digamma(const X& x) {
  return polygamma(0, x);
}

}  // namespace xtape
