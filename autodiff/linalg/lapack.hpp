// Factorisations and triangular solves of row-major matrices, by LAPACK and CBLAS (lapack.cpp) or, in a build
// without BLAS, by Eigen (eigen.cpp), and what both share (triangular.cpp). What can fail returns 0, or what
// has failed, > 0. Sizes are such as int counts: require_countable().
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace xtape::detail::lapack {

/// The numbers of work that LAPACK has asked for, in the element type: float, that does not hold every
/// integer, may have rounded them down.
template <class T>
int work_length(T asked) {
  const double next = static_cast<double>(std::nextafter(asked, std::numeric_limits<T>::infinity()));
  return static_cast<int>(std::clamp(next, 1.0, double(std::numeric_limits<int>::max())));
}

/// Factorisations by iteration may end with numbers where an element is infinite or NaN, or go on for ever.
template <class T>
bool is_finite(const T* first, const T* last) {
  return std::all_of(first, last, [](T x) { return std::isfinite(x); });
}

/// L of A = L Lᵀ, whose lower triangle is in `a`, is written over it; the other triangle becomes 0. The order
/// of the leading minor that is not positive is returned.
template <class T>
int cholesky(std::size_t n, T* a);

/// The symmetric gradient of A = L Lᵀ over g, that of L, of which the lower triangle counts: Murray 2016,
/// with a third of the multiplications that the formula takes as products of whole matrices.
template <class T>
void cholesky_gradient(std::size_t n, const T* l, T* g);

/// The LU factors of Aᵀ over A, (n,n), and in the row of n behind it those that were exchanged, counted from
/// 0, as numbers. The number, from 1, of the first pivot that is 0 is returned; the factors are complete all
/// the same.
template <class T>
int lu(std::size_t n, T* a);
/// X = A⁻¹ B, or A⁻ᵀ B, over B (n,k), from what lu() has written.
template <class T>
void lu_solve(bool transpose, std::size_t n, std::size_t k, const T* factors, T* b);

/// X = op(A)⁻¹ B over B (n,k), A a triangle of (n,n).
template <class T>
void solve_triangular(bool lower, bool transpose, bool unit, std::size_t n, std::size_t k, const T* a, T* b);
/// The same for matrices for which a loop would be slow.
template <class T>
void solve_large_triangular(bool lower, bool transpose, bool unit, std::size_t n, std::size_t k, const T* a,
                            T* b);

/// A (m,n), m >= n, becomes Q (m,n), and R (n,n) is written: A = Q R.
template <class T>
void qr(std::size_t m, std::size_t n, T* a, T* r);

/// Of the symmetric A, whose lower triangle is read: `v` (n,n) holds A and becomes the eigenvectors, in
/// columns, w (n) the eigenvalues, ascending.
template <class T>
int eigh(std::size_t n, T* v, T* w);

/// A = U diag(s) Vᵀ of A (m,n), which is overwritten: u (m,k), s (k), descending, v (n,k), k = min(m, n).
template <class T>
int svd(std::size_t m, std::size_t n, T* a, T* u, T* s, T* v);

/// What lapack.cpp and eigen.cpp both define, for an element type.
#define XTAPE_INSTANTIATE_FACTORISATIONS(T)                                                       \
  template int cholesky(std::size_t, T*);                                                         \
  template int lu(std::size_t, T*);                                                               \
  template void solve_large_triangular(bool, bool, bool, std::size_t, std::size_t, const T*, T*); \
  template void qr(std::size_t, std::size_t, T*, T*);                                             \
  template int eigh(std::size_t, T*, T*);                                                         \
  template int svd(std::size_t, std::size_t, T*, T*, T*, T*);

}  // namespace xtape::detail::lapack
