// Elementwise operations: arithmetic, powers, exponentials, trigonometry, activations, order, selection.
//
// Every function takes tensors, or inside map() symbols. Where there are several operands they broadcast by
// NumPy's rule, and numbers and xtensor expressions mix in. The result has the broadcast shape; shapes that
// do not broadcast are an Error that names the function and both shapes. x is the operand, y the result.
#pragma once
#include <string>
#include <utility>

#include "base/text.hpp"
#include "ops/elementwise_ops.hpp"

namespace xtape {

// ---- arithmetic

/// Sum.
template <class A, class B>
requires detail::Mixed<A, B>
auto operator+(A&& a, B&& b) {
  using X = detail::Traced<A, B>;
  return detail::elementwise(detail::OpNumber::Add, detail::as<X>(a), detail::as<X>(b));
}

/// Difference.
template <class A, class B>
requires detail::Mixed<A, B>
auto operator-(A&& a, B&& b) {
  using X = detail::Traced<A, B>;
  return detail::elementwise(detail::OpNumber::Subtract, detail::as<X>(a), detail::as<X>(b));
}

/// Product, element by element.
template <class A, class B>
requires detail::Mixed<A, B>
auto operator*(A&& a, B&& b) {
  using X = detail::Traced<A, B>;
  return detail::elementwise(detail::OpNumber::Multiply, detail::as<X>(a), detail::as<X>(b));
}

/// Quotient.
template <class A, class B>
requires detail::Mixed<A, B>
auto operator/(A&& a, B&& b) {
  using X = detail::Traced<A, B>;
  return detail::elementwise(detail::OpNumber::Divide, detail::as<X>(a), detail::as<X>(b));
}

/// −x.
template <detail::Traceable X>
X operator-(const X& x) {
  return detail::elementwise(detail::OpNumber::Negative, x);
}

// x op= y rebinds x to the new tensor, which has the broadcast shape: no operation changes a value, and what
// x was before stays as it is. A leaf gets new values by assign().

/// x becomes x + y.
template <detail::Traceable X, class B>
requires detail::Mixed<X, B> X& operator+=(X& x, B&& y) { return x = x + std::forward<B>(y); }
/// x becomes x − y.
template <detail::Traceable X, class B>
requires detail::Mixed<X, B> X& operator-=(X& x, B&& y) { return x = x - std::forward<B>(y); }
/// x becomes x · y, element by element.
template <detail::Traceable X, class B>
requires detail::Mixed<X, B> X& operator*=(X& x, B&& y) { return x = x * std::forward<B>(y); }
/// x becomes x / y, element by element.
template <detail::Traceable X, class B>
requires detail::Mixed<X, B> X& operator/=(X& x, B&& y) { return x = x / std::forward<B>(y); }

// ---- functions of one operand

/// eˣ; derivative y.
template <detail::Traceable X>
X exp(const X& x) {
  return detail::elementwise(detail::OpNumber::Exp, x);
}

/// eˣ − 1, exact near 0; derivative y + 1.
template <detail::Traceable X>
X expm1(const X& x) {
  return detail::elementwise(detail::OpNumber::Expm1, x);
}

/// Natural logarithm; derivative 1/x. NaN below 0, −∞ at 0.
template <detail::Traceable X>
X log(const X& x) {
  return detail::elementwise(detail::OpNumber::Log, x);
}

/// ln(1 + x), exact near 0; derivative 1/(1 + x).
template <detail::Traceable X>
X log1p(const X& x) {
  return detail::elementwise(detail::OpNumber::Log1p, x);
}

/// Logarithm to base 2; derivative 1/(x ln 2).
template <detail::Traceable X>
X log2(const X& x) {
  return detail::elementwise(detail::OpNumber::Log2, x);
}

/// Logarithm to base 10; derivative 1/(x ln 10).
template <detail::Traceable X>
X log10(const X& x) {
  return detail::elementwise(detail::OpNumber::Log10, x);
}

/// x²; derivative 2x.
template <class X>
requires detail::Traceable<std::remove_cvref_t<X>>
auto square(
    X&& x) {  // xt::square takes everything as E&&: only what is written the same wins by its constraint
  return detail::elementwise(detail::OpNumber::Square, x);
}

/// √x; derivative 1/(2y), infinite at 0.
template <detail::Traceable X>
X sqrt(const X& x) {
  return detail::elementwise(detail::OpNumber::Sqrt, x);
}

/// Cube root; derivative 1/(3y²), infinite at 0.
template <detail::Traceable X>
X cbrt(const X& x) {
  return detail::elementwise(detail::OpNumber::Cbrt, x);
}

/// 1/x; derivative −y².
template <detail::Traceable X>
X reciprocal(const X& x) {
  return detail::elementwise(detail::OpNumber::Reciprocal, x);
}

/// |x|; derivative sign(x), 0 at 0.
template <detail::Traceable X>
X abs(const X& x) {
  return detail::elementwise(detail::OpNumber::Abs, x);
}

/// −1, 0 or 1; derivative 0.
template <detail::Traceable X>
X sign(const X& x) {
  return detail::elementwise(detail::OpNumber::Sign, x);
}

/// Sine, radians; derivative cos x.
template <detail::Traceable X>
X sin(const X& x) {
  return detail::elementwise(detail::OpNumber::Sin, x);
}

/// Cosine, radians; derivative −sin x.
template <detail::Traceable X>
X cos(const X& x) {
  return detail::elementwise(detail::OpNumber::Cos, x);
}

/// Tangent, radians; derivative 1 + y².
template <detail::Traceable X>
X tan(const X& x) {
  return detail::elementwise(detail::OpNumber::Tan, x);
}

/// Arc sine; derivative 1/√(1 − x²). NaN outside [−1, 1].
template <detail::Traceable X>
X asin(const X& x) {
  return detail::elementwise(detail::OpNumber::Asin, x);
}

/// Arc cosine; derivative −1/√(1 − x²). NaN outside [−1, 1].
template <detail::Traceable X>
X acos(const X& x) {
  return detail::elementwise(detail::OpNumber::Acos, x);
}

/// Arc tangent; derivative 1/(1 + x²).
template <detail::Traceable X>
X atan(const X& x) {
  return detail::elementwise(detail::OpNumber::Atan, x);
}

/// Hyperbolic sine; derivative cosh x.
template <detail::Traceable X>
X sinh(const X& x) {
  return detail::elementwise(detail::OpNumber::Sinh, x);
}

/// Hyperbolic cosine; derivative sinh x.
template <detail::Traceable X>
X cosh(const X& x) {
  return detail::elementwise(detail::OpNumber::Cosh, x);
}

/// Hyperbolic tangent; derivative 1 − y².
template <detail::Traceable X>
X tanh(const X& x) {
  return detail::elementwise(detail::OpNumber::Tanh, x);
}

/// Inverse hyperbolic sine; derivative 1/√(x² + 1).
template <detail::Traceable X>
X asinh(const X& x) {
  return detail::elementwise(detail::OpNumber::Asinh, x);
}

/// Inverse hyperbolic cosine; derivative 1/√(x² − 1). NaN below 1.
template <detail::Traceable X>
X acosh(const X& x) {
  return detail::elementwise(detail::OpNumber::Acosh, x);
}

/// Inverse hyperbolic tangent; derivative 1/(1 − x²). NaN outside [−1, 1].
template <detail::Traceable X>
X atanh(const X& x) {
  return detail::elementwise(detail::OpNumber::Atanh, x);
}

/// The largest whole number not above x; derivative 0.
template <detail::Traceable X>
X floor(const X& x) {
  return detail::elementwise(detail::OpNumber::Floor, x);
}

/// The smallest whole number not below x; derivative 0.
template <detail::Traceable X>
X ceil(const X& x) {
  return detail::elementwise(detail::OpNumber::Ceil, x);
}

/// The nearest whole number, the even one of two, as in NumPy; derivative 0.
template <detail::Traceable X>
X round(const X& x) {
  return detail::elementwise(detail::OpNumber::Round, x);
}

/// Error function; derivative 2/√π e^(−x²).
template <detail::Traceable X>
X erf(const X& x) {
  return detail::elementwise(detail::OpNumber::Erf, x);
}

/// Logistic function 1/(1 + e⁻ˣ); derivative y(1 − y).
template <detail::Traceable X>
X sigmoid(const X& x) {
  return detail::elementwise(detail::OpNumber::Sigmoid, x);
}

/// ln sigmoid(x), without overflow; derivative sigmoid(−x).
template <detail::Traceable X>
X log_sigmoid(const X& x) {
  return detail::elementwise(detail::OpNumber::LogSigmoid, x);
}

/// ln(1 + eˣ), without overflow; derivative sigmoid(x).
template <detail::Traceable X>
X softplus(const X& x) {
  return detail::elementwise(detail::OpNumber::Softplus, x);
}

/// max(x, 0); derivative 1 for x > 0, else 0 (0 at 0).
template <detail::Traceable X>
X relu(const X& x) {
  return detail::elementwise(detail::OpNumber::Relu, x);
}

/// x Φ(x), Φ the normal distribution function (the exact form); derivative Φ(x) + x φ(x).
template <detail::Traceable X>
X gelu(const X& x) {
  return detail::elementwise(detail::OpNumber::Gelu, x);
}

/// x sigmoid(x), s = sigmoid(x); derivative s (1 + x (1 − s)).
template <detail::Traceable X>
X silu(const X& x) {
  return detail::elementwise(detail::OpNumber::Silu, x);
}

/// x for x > 0, slope·x below; derivative 1 or slope (slope at 0).
template <detail::Traceable X>
X leaky_relu(const X& x, typename X::value_type slope = typename X::value_type(0.01)) {
  return detail::elementwise(detail::OpNumber::LeakyRelu, x, slope);
}

/// x for x > 0, alpha (eˣ − 1) below; derivative 1 or alpha eˣ.
template <detail::Traceable X>
X elu(const X& x, typename X::value_type alpha = 1) {
  return detail::elementwise(detail::OpNumber::Elu, x, alpha);
}

/// x limited to [low, high]; derivative 1 inside, the limits included, 0 outside. Error for low > high.
template <detail::Traceable X>
X clamp(const X& x, typename X::value_type low, typename X::value_type high) {
  if (!(low <= high))
    throw Error("clamp", "low " + detail::number_text(static_cast<double>(low)) + " is above high " +
                             detail::number_text(static_cast<double>(high)));
  return detail::elementwise(detail::OpNumber::Clamp, x, low, high);
}

/// clamp() by the name that NumPy gives it.
template <class X, Scalar L, Scalar H>
requires detail::Traceable<std::remove_cvref_t<X>>
auto clip(X&& x, L&& low, H&& high) {
  using T = typename std::remove_cvref_t<X>::value_type;
  return clamp(x, static_cast<T>(low), static_cast<T>(high));
}

// ---- functions of several operands

/// aᵇ. Derivatives b aᵇ⁻¹ (0 where b = 0) and aᵇ ln a (0 where a = 0).
template <class A, class B>
requires detail::Mixed<A, B>
auto pow(A&& a, B&& b) {
  using X = detail::Traced<A, B>;
  if constexpr (Scalar<B>)
    return detail::elementwise(detail::OpNumber::PowerScalar, detail::as<X>(a),
                               static_cast<typename X::value_type>(b));
  else
    return detail::elementwise(detail::OpNumber::Power, detail::as<X>(a), detail::as<X>(b));
}

/// What is left of a where b is taken away as often as it fits, with the sign of a, as C's fmod; derivatives
/// 1 and minus how often that is. NaN for b = 0 and infinite a.
template <class A, class B>
requires detail::Mixed<A, B>
auto fmod(A&& a, B&& b) {
  using X = detail::Traced<A, B>;
  return detail::elementwise(detail::OpNumber::Fmod, detail::as<X>(a), detail::as<X>(b));
}

/// The angle of the point (x, y) in radians; derivatives x/(x² + y²) and −y/(x² + y²).
template <class A, class B>
requires detail::Mixed<A, B>
auto atan2(A&& y, B&& x) {
  using X = detail::Traced<A, B>;
  return detail::elementwise(detail::OpNumber::Atan2, detail::as<X>(y), detail::as<X>(x));
}

/// √(a² + b²), without overflow or underflow on the way; derivatives a/y and b/y, 0 where y = 0. ∞ where an
/// operand is infinite, even beside NaN, as IEEE 754 has it.
template <class A, class B>
requires detail::Mixed<A, B>
auto hypot(A&& a, B&& b) {
  using X = detail::Traced<A, B>;
  return detail::elementwise(detail::OpNumber::Hypot, detail::as<X>(a), detail::as<X>(b));
}

/// ln(eᵃ + eᵇ), without overflow on the way; derivatives σ(a − b) and σ(b − a), NaN where a and b are the
/// same infinity.
template <class A, class B>
requires detail::Mixed<A, B>
auto logaddexp(A&& a, B&& b) {
  using X = detail::Traced<A, B>;
  return detail::elementwise(detail::OpNumber::LogAddExp, detail::as<X>(a), detail::as<X>(b));
}

/// The larger one, NaN if either is; equal operands share the gradient evenly.
template <class A, class B>
requires detail::Mixed<A, B>
auto maximum(A&& a, B&& b) {
  using X = detail::Traced<A, B>;
  return detail::elementwise(detail::OpNumber::Maximum, detail::as<X>(a), detail::as<X>(b));
}

/// The smaller one, NaN if either is; equal operands share the gradient evenly.
template <class A, class B>
requires detail::Mixed<A, B>
auto minimum(A&& a, B&& b) {
  using X = detail::Traced<A, B>;
  return detail::elementwise(detail::OpNumber::Minimum, detail::as<X>(a), detail::as<X>(b));
}

/// a where the mask is not 0, else b: a selection, so that what is not selected may be infinite or NaN, and
/// gets the gradient 0. The mask is a tensor, a comparison, or an xtensor expression of numbers or bools.
template <class M, class A, class B>
requires detail::Mixed<M, A, B>
auto where(M&& mask, A&& a, B&& b) {
  using X = detail::Traced<M, A, B>;
  return detail::elementwise(detail::OpNumber::Where, detail::as<X>(mask), detail::as<X>(a),
                             detail::as<X>(b));
}

// ---- comparisons: 1 or 0, constants without a gradient

/// 1 where a > b, else 0.
template <class A, class B>
requires detail::Mixed<A, B>
auto operator>(A&& a, B&& b) {
  using X = detail::Traced<A, B>;
  return detail::elementwise(detail::OpNumber::Greater, detail::as<X>(a), detail::as<X>(b));
}

/// 1 where a < b, else 0.
template <class A, class B>
requires detail::Mixed<A, B>
auto operator<(A&& a, B&& b) { return std::forward<B>(b) > std::forward<A>(a); }

/// 1 where a >= b, else 0.
template <class A, class B>
requires detail::Mixed<A, B>
auto operator>=(A&& a, B&& b) {
  using X = detail::Traced<A, B>;
  return detail::elementwise(detail::OpNumber::GreaterEqual, detail::as<X>(a), detail::as<X>(b));
}

/// 1 where a <= b, else 0.
template <class A, class B>
requires detail::Mixed<A, B>
auto operator<=(A&& a, B&& b) { return std::forward<B>(b) >= std::forward<A>(a); }

/// 1 where a and b are equal, else 0.
template <class A, class B>
requires detail::Mixed<A, B>
auto equal(A&& a, B&& b) {
  using X = detail::Traced<A, B>;
  return detail::elementwise(detail::OpNumber::Equal, detail::as<X>(a), detail::as<X>(b));
}

}  // namespace xtape
