// Masks: where numbers are NaN or finite, logic on masks, and what is put where a mask says so.
//
// A mask is a tensor, or inside map() a symbol: where it is not 0 it holds, also where it is NaN, as in
// where(). What is made here is 1 or 0, a constant without a gradient, as comparisons give. Operands
// broadcast.
#pragma once
#include <limits>

#include "elementwise.hpp"

namespace xtape {

/// 1 where x is NaN, else 0.
template <class X>
requires detail::Traceable<std::remove_cvref_t<X>>
auto isnan(X&& x) { return equal(equal(x, x), 0); }

/// 1 where x is neither NaN nor infinite, else 0.
template <class X>
requires detail::Traceable<std::remove_cvref_t<X>>
auto isfinite(X&& x) {
  constexpr auto infinity = std::numeric_limits<typename std::remove_cvref_t<X>::value_type>::infinity();
  return (x < infinity) * (x > -infinity);
}

/// 1 where the mask does not hold, else 0.
template <detail::Traceable X>
X logical_not(const X& mask) {
  return equal(mask, 0);
}

/// 1 where both masks hold, else 0.
template <class A, class B>
requires detail::Mixed<A, B>
auto logical_and(A&& a, B&& b) {
  using X = detail::Traced<A, B>;
  return equal(equal(detail::as<X>(a), 0) + equal(detail::as<X>(b), 0), 0);
}

/// 1 where one of the masks holds, or both, else 0.
template <class A, class B>
requires detail::Mixed<A, B>
auto logical_or(A&& a, B&& b) {
  using X = detail::Traced<A, B>;
  return equal(equal(detail::as<X>(a), 0) * equal(detail::as<X>(b), 0), 0);
}

/// logical_not().
template <class X>
requires detail::Traceable<std::remove_cvref_t<X>>
auto operator!(X&& mask) { return equal(mask, 0); }
/// logical_and(). Both sides are computed.
template <class A, class B>
requires detail::Mixed<A, B>
auto operator&&(A&& a, B&& b) { return logical_and(std::forward<A>(a), std::forward<B>(b)); }
/// logical_or(). Both sides are computed.
template <class A, class B>
requires detail::Mixed<A, B>
auto operator||(A&& a, B&& b) { return logical_or(std::forward<A>(a), std::forward<B>(b)); }

/// x with `value` where the mask holds; there the derivative is 0. The mask is what where() takes.
template <class X, class M>
requires detail::Traceable<std::remove_cvref_t<X>> && detail::Mixed<X, M>
auto masked_fill(X&& x, M&& mask, typename std::remove_cvref_t<X>::value_type value) {
  return where(std::forward<M>(mask), value, std::forward<X>(x));
}

}  // namespace xtape
