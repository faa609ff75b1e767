// Products of matrices and vectors, by BLAS.
#pragma once
#include "ops/elementwise_ops.hpp"

namespace xtape {

/// NumPy's matmul: (M,K)(K,N) → (M,N); a vector on the left is a row, on the right a column, and its axis
/// leaves the result; leading axes are batches and broadcast. Derivatives g Bᵀ and Aᵀ g.
/// Error for scalars and where the inner dimensions differ.
template <class T>
Tensor<T> matmul(const Tensor<T>& a, const Tensor<T>& b);

/// NumPy's dot: the inner product of vectors; the product of matrices; otherwise the sum over the last axis
/// of a and the second to last (for a vector: the only) axis of b. A scalar multiplies.
template <class T>
Tensor<T> dot(const Tensor<T>& a, const Tensor<T>& b);

/// The products of all elements of a with all of b, both flattened: (size of a, size of b).
template <class T>
Tensor<T> outer(const Tensor<T>& a, const Tensor<T>& b);

/// y = x Wᵀ + b as one node: x (…, in), W (out, in), b (out), y (…, out). Derivatives: dx = g W,
/// dW = gᵀ x (the textbook's δ xᵀ, summed over the batch), db = Σ g.
template <class T>
Tensor<T> linear(const Tensor<T>& x, const Tensor<T>& W, const Tensor<T>& b);
/// Without a bias.
template <class T>
Tensor<T> linear(const Tensor<T>& x, const Tensor<T>& W);

namespace detail {
/// Tensors mixed with at least one xtensor expression.
template <class... A>
concept WithExpression = Mixed<A...> &&(Expression<A> || ...);
}  // namespace detail

// The same with xtensor expressions among the operands.
template <class A, class B>
requires detail::WithExpression<A, B>
auto matmul(A&& a, B&& b) {
  using X = detail::Traced<A, B>;
  return matmul(detail::as<X>(a), detail::as<X>(b));
}
template <class A, class B>
requires detail::WithExpression<A, B>
auto dot(A&& a, B&& b) {
  using X = detail::Traced<A, B>;
  return dot(detail::as<X>(a), detail::as<X>(b));
}
template <class A, class B>
requires detail::WithExpression<A, B>
auto outer(A&& a, B&& b) {
  using X = detail::Traced<A, B>;
  return outer(detail::as<X>(a), detail::as<X>(b));
}
template <class A, class B, class... C>
requires(detail::WithExpression<A, B, C...> && sizeof...(C) <= 1) auto linear(A&& x, B&& W, C&&... b) {
  using X = detail::Traced<A, B, C...>;
  return linear(detail::as<X>(x), detail::as<X>(W), detail::as<X>(b)...);
}

}  // namespace xtape
