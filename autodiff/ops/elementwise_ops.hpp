// How elementwise operations are called, without their rules.
#pragma once
#include <type_traits>

#include "../kernels/op_number.hpp"
#include "../tensor.hpp"
#include "symbol.hpp"

namespace xtape::detail {

/// A tensor, or the symbol that stands for an element inside map().
template <class X>
inline constexpr bool is_traced = false;
template <class T>
inline constexpr bool is_traced<Tensor<T>> = true;
template <class T>
inline constexpr bool is_traced<Symbol<T>> = true;

template <class X>
concept Traceable = is_traced<X>;

#ifndef DOXYGEN  // which takes the class for its own base
/// The first traced type among the arguments of an operation: what it computes with and returns.
template <class A, class... Rest>
struct FirstTraced : FirstTraced<Rest...> {};
template <class A, class... Rest>
requires is_traced<std::remove_cvref_t<A>>
struct FirstTraced<A, Rest...> {
  using type = std::remove_cvref_t<A>;
};
template <class... A>
using Traced = typename FirstTraced<A...>::type;
#endif

/// Tensors of one element type, or symbols, mixed with numbers and xtensor expressions.
template <class... A>
concept Mixed = (is_traced<std::remove_cvref_t<A>> || ...) &&
                ((std::is_same_v<std::remove_cvref_t<A>, Traced<A...>> || Scalar<A> ||
                  (Expression<A> && std::is_constructible_v<Traced<A...>, const std::remove_cvref_t<A>&>)) &&
                 ...);

/// An argument as the type that the operation computes with; no copy where it is that already.
template <class X, class A>
decltype(auto) as(const A& a) {
  if constexpr (std::is_same_v<X, A>)
    return static_cast<const X&>(a);
  else
    return X(a);
}

// The operation on one operand with the numbers that it carries, or on two or three. Defined for tensors in
// elementwise.cpp, for symbols in map.cpp.
template <class T>
Tensor<T> elementwise(OpNumber op, const Tensor<T>& x, std::type_identity_t<T> p = 0,
                      std::type_identity_t<T> q = 0);
template <class T>
Tensor<T> elementwise(OpNumber op, const Tensor<T>& a, const Tensor<T>& b);
template <class T>
Tensor<T> elementwise(OpNumber op, const Tensor<T>& a, const Tensor<T>& b, const Tensor<T>& c);
template <class T>
Symbol<T> elementwise(OpNumber op, const Symbol<T>& x, std::type_identity_t<T> p = 0,
                      std::type_identity_t<T> q = 0);
template <class T>
Symbol<T> elementwise(OpNumber op, const Symbol<T>& a, const Symbol<T>& b);
template <class T>
Symbol<T> elementwise(OpNumber op, const Symbol<T>& a, const Symbol<T>& b, const Symbol<T>& c);

}  // namespace xtape::detail
