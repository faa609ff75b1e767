// Products of matrices and vectors, by BLAS; factorisations, linear systems and what is made of them, by
// LAPACK.
#pragma once
#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

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
template <class T>
Tensor<T> einsum(const std::string& subscripts, std::span<const Tensor<T>> operands);
}  // namespace detail

/// NumPy's einsum: the sum over all subscripts that are not in the result, of the product of the operands:
/// einsum("bij,bjk->bik", {a, b}) is a product of matrices, einsum("ii->i", {a}) a diagonal. "..." stands for
/// axes that broadcast; without "->" the result has the letters that occur once, by the alphabet. Pairs are
/// contracted by matrix products, in the order with the least multiplications (up to six operands; beyond
/// that the cheapest pair first). Errors name the subscripts and what does not fit.
template <class T>
Tensor<T> einsum(const std::string& subscripts, const std::vector<Tensor<T>>& operands) {
  return detail::einsum(subscripts, std::span<const Tensor<T>>(operands));
}
template <class T>
Tensor<T> einsum(const std::string& subscripts, std::initializer_list<Tensor<T>> operands) {
  return detail::einsum(subscripts, std::span<const Tensor<T>>(operands.begin(), operands.size()));
}

/// Factorisations and linear systems, NumPy's names. A matrix is the last two axes, those before it are a
/// batch, which broadcasts. A right-hand side is a matrix (…,n,k), or a vector (n). All are differentiable to
/// any order, in both modes. Errors name what fails: the pivot, the order of the minor, the matrix of the
/// batch. NaN goes through solutions and determinants, as in NumPy; expm, eigh, svd, lstsq, pinv and
/// cholesky refuse it. A symmetric argument is read in its lower triangle, and gets a symmetric gradient.
namespace linalg {

struct TriangularOptions {
  bool lower = true;       ///< which triangle of A counts; the other is not read
  bool transpose = false;  ///< solve Aᵀ X = B
  bool unit = false;       ///< the diagonal is 1, and not read
};

/// L, lower, of A = L Lᵀ. Error where A is not positive definite. Gradient: Murray 2016, "Differentiation of
/// the Cholesky decomposition".
template <class T>
Tensor<T> cholesky(const Tensor<T>& A);
/// X of A X = B, A a triangle. Error where a diagonal element is 0.
template <class T>
Tensor<T> solve_triangular(const Tensor<T>& A, const Tensor<T>& B, const TriangularOptions& options = {});
/// X of L Lᵀ X = B, for L = cholesky(A).
template <class T>
Tensor<T> cho_solve(const Tensor<T>& L, const Tensor<T>& B);

/// X of A X = B, by LU factors, which the gradients use again: dB = A⁻ᵀ g, dA = -dB Xᵀ (Giles 2008,
/// "Collected matrix derivative results"). Error where A is singular: the pivot.
template <class T>
Tensor<T> solve(const Tensor<T>& A, const Tensor<T>& B);
/// A⁻¹. To solve systems, solve() is faster and more accurate.
template <class T>
Tensor<T> inv(const Tensor<T>& A);
/// The determinant, (…). Its gradient, the cofactors, is right for singular matrices, too; the second
/// derivative of a singular matrix is an error.
template <class T>
Tensor<T> det(const Tensor<T>& A);

template <class T>
struct SignAndLog {
  Tensor<T> sign, logabsdet;  ///< (…): sign · exp(logabsdet) is the determinant; sign is a constant
};
/// The sign and the logarithm of the absolute value of the determinant, which may overflow itself; 0 and -∞
/// of a singular matrix, whose gradient is an error. d log |det A| = A⁻ᵀ.
template <class T>
SignAndLog<T> slogdet(const Tensor<T>& A);
/// Aⁿ by squaring, of the inverse where n is negative.
template <class T>
Tensor<T> matrix_power(const Tensor<T>& A, int n);
/// exp(A) = Σ Aᵏ / k!, by Padé approximants and squaring (Higham 2005).
template <class T>
Tensor<T> expm(const Tensor<T>& A);

/// {Q, R} of A = Q R: A (…,m,n), Q (…,m,k) with QᵀQ = 1, R (…,k,n) upper triangular, k = min(m, n). Gradient:
/// Walter and Lehmann 2018; it needs the first k columns of A to be independent.
template <class T>
std::array<Tensor<T>, 2> qr(const Tensor<T>& A);

template <class T>
struct Eigen {
  Tensor<T> values, vectors;  ///< (…,n), ascending; (…,n,n), in columns
};
/// Eigenvalues and eigenvectors of a symmetric matrix. The gradient of what depends on the vectors is
/// infinite or NaN where two eigenvalues are equal (DetectAnomaly names it): they are not determined there.
template <class T>
Eigen<T> eigh(const Tensor<T>& A);
/// The eigenvalues alone.
template <class T>
Tensor<T> eigvalsh(const Tensor<T>& A);

template <class T>
struct SingularValues {
  Tensor<T> U, s, Vh;  ///< A (…,m,n), k = min(m, n): (…,m,k); (…,k), descending; (…,k,n)
};
/// A = U diag(s) Vh. Gradient: Townsend 2016, "Differentiating the singular value decomposition"; of what
/// depends on the vectors it is infinite or NaN where two singular values are equal, as for eigh().
template <class T>
SingularValues<T> svd(const Tensor<T>& A);
/// The singular values alone.
template <class T>
Tensor<T> svdvals(const Tensor<T>& A);
/// X of the least |A X - B|², the shortest one where there are several: A (…,m,n), B (…,m,k) or (m), X
/// (…,n,k) or (n). Singular values up to rcond times the largest count as 0; by default that is max(m, n)
/// times the type's epsilon. Gradient for constant rank: Golub and Pereyra 1973.
template <class T>
Tensor<T> lstsq(const Tensor<T>& A, const Tensor<T>& B, std::optional<double> rcond = {});
/// The pseudo-inverse A⁺ (…,n,m), with rcond as for lstsq().
template <class T>
Tensor<T> pinv(const Tensor<T>& A, std::optional<double> rcond = {});

}  // namespace linalg

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
