// Special functions of single numbers, by Boost.Math: compiled once, for all instruction sets.
#pragma once

namespace xtape::detail::special {

/// ln |Γ(x)|: ∞ at 0 and below it at whole numbers, and at ±∞.
float lgamma(float x);
double lgamma(double x);
long double lgamma(long double x);

/// The derivative of order n of digamma, the derivative of ln Γ; n >= 0. At 0 and below it at whole numbers
/// it is ∞ for odd n, and for even n NaN, where it has another sign on each side; at ±0 the side's.
float polygamma(int n, float x);
double polygamma(int n, double x);
long double polygamma(int n, long double x);

/// The y with erf(y) = x: ±∞ at ±1, NaN beyond.
float erfinv(float x);
double erfinv(double x);
long double erfinv(long double x);

}  // namespace xtape::detail::special
