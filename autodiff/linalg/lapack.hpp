// Factorisations and triangular solves of row-major matrices, by LAPACK and CBLAS, which are column-major: a
// row-major matrix is their transposed one, so a lower triangle is their upper one, and A = Q R is Aᵀ = L Q.
// Each returns LAPACK's info: 0, or what has failed.
#pragma once
#include <cstddef>

namespace xtape::detail::lapack {

/// L of A = L Lᵀ, whose lower triangle is in `a`, is written over it; the other triangle becomes 0. The order
/// of the leading minor that is not positive is returned.
template <class T>
int cholesky(std::size_t n, T* a);

/// The LU factors of Aᵀ over A, (n,n), and the rows that were exchanged, counted from 0, as numbers. The
/// number, from 1, of the first pivot that is 0 is returned; the factors are complete all the same.
template <class T>
int lu(std::size_t n, T* a, T* pivots);
/// X = A⁻¹ B, or A⁻ᵀ B, over B (n,k), from what lu() has written.
template <class T>
void lu_solve(bool transpose, std::size_t n, std::size_t k, const T* factors, const T* pivots, T* b);

/// X = op(A)⁻¹ B over B (n,k), A a triangle of (n,n).
template <class T>
void solve_triangular(bool lower, bool transpose, bool unit, std::size_t n, std::size_t k, const T* a, T* b);

/// A (m,n), m >= n, becomes Q (m,n), and R (n,n) is written: A = Q R.
template <class T>
int qr(std::size_t m, std::size_t n, T* a, T* r);

/// Of the symmetric A, whose lower triangle is read: `v` (n,n) holds A and becomes the eigenvectors, in
/// columns, w (n) the eigenvalues, ascending.
template <class T>
int eigh(std::size_t n, T* v, T* w);

/// A = U diag(s) Vᵀ of A (m,n), which is overwritten: u (m,k), s (k), descending, v (n,k), k = min(m, n).
template <class T>
int svd(std::size_t m, std::size_t n, T* a, T* u, T* s, T* v);

}  // namespace xtape::detail::lapack
