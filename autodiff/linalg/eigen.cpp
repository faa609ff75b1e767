// See lapack.hpp: by Eigen, in builds without BLAS. Of its products it has its own, on one thread.
#include <utility>
#include <vector>

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <Eigen/LU>
#include <Eigen/QR>
#include <Eigen/SVD>

#include "lapack.hpp"

namespace xtape::detail::lapack {
namespace {

template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using Columns = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::ColMajor>;
template <class T>
using Vector = Eigen::Matrix<T, Eigen::Dynamic, 1>;
template <class M>
using View = Eigen::Map<M>;

Eigen::Index index(std::size_t n) { return static_cast<Eigen::Index>(n); }

template <class T>
View<Matrix<T>> matrix(T* a, std::size_t rows, std::size_t columns) {
  return {a, index(rows), index(columns)};
}
template <class T>
View<const Matrix<T>> matrix(const T* a, std::size_t rows, std::size_t columns) {
  return {a, index(rows), index(columns)};
}

/// A power of 2 by which elements are near 1: sums of their squares neither overflow nor vanish. 1 where
/// there is none, as for zeros and for what is not finite.
template <class T>
T scale_of(const T* a, std::size_t size) {
  T most = 0;
  for (std::size_t i = 0; i < size; ++i) most = std::max(most, std::abs(a[i]));
  if (!(most > 0) || !std::isfinite(most)) return 1;
  return std::ldexp(T(1), std::clamp(-std::ilogb(most), -std::numeric_limits<T>::max_exponent + 2,
                                     std::numeric_limits<T>::max_exponent - 2));
}

}  // namespace

template <class T>
int cholesky(std::size_t n, T* a) {
  auto A = matrix(a, n, n);
  const auto fails = [&](std::size_t order) {
    const Eigen::LLT<Matrix<T>, Eigen::Lower> llt(A.topLeftCorner(index(order), index(order)));
    if (llt.info() != Eigen::Success || !llt.matrixLLT().diagonal().array().isFinite().all()) return true;
    if (order == n) A = llt.matrixL();
    return false;
  };
  if (n == 0 || !fails(n)) return 0;
  std::size_t good = 0, bad = n;  // orders of leading minors
  while (bad - good > 1) {
    const std::size_t middle = good + (bad - good) / 2;
    (fails(middle) ? bad : good) = middle;
  }
  return static_cast<int>(bad);
}

template <class T>
int lu(std::size_t n, T* a) {
  // The memory of A by rows is that of Aᵀ by columns.
  if (n == 0) return 0;
  View<Columns<T>> A(a, index(n), index(n));
  const Eigen::PartialPivLU<Columns<T>> factors(A);
  A = factors.matrixLU();
  // Row p[i] has come to place i: as exchanges one after the other.
  const auto& p = factors.permutationP().indices();
  std::vector<Eigen::Index> rows(n), place(n);  // the row at each place, and its inverse
  for (std::size_t i = 0; i < n; ++i) rows[i] = place[i] = index(i);
  Vector<Eigen::Index> wanted(index(n));
  for (Eigen::Index i = 0; i < index(n); ++i) wanted[p[i]] = i;
  for (std::size_t i = 0; i < n; ++i) {
    const auto from = static_cast<std::size_t>(place[static_cast<std::size_t>(wanted[index(i)])]);
    a[n * n + i] = static_cast<T>(from);
    std::swap(place[static_cast<std::size_t>(rows[i])], place[static_cast<std::size_t>(rows[from])]);
    std::swap(rows[i], rows[from]);
  }
  for (std::size_t i = 0; i < n; ++i)
    if (a[i * (n + 1)] == 0) return static_cast<int>(i + 1);
  return 0;
}

template <class T>
void solve_large_triangular(bool lower, bool transpose, bool unit, std::size_t n, std::size_t k, const T* a,
                            T* b) {
  auto B = matrix(b, n, k);
  const auto solve = [&](const auto& A, bool is_lower) {
    if (is_lower)
      unit ? A.template triangularView<Eigen::UnitLower>().solveInPlace(B)
           : A.template triangularView<Eigen::Lower>().solveInPlace(B);
    else
      unit ? A.template triangularView<Eigen::UnitUpper>().solveInPlace(B)
           : A.template triangularView<Eigen::Upper>().solveInPlace(B);
  };
  const auto A = matrix(a, n, n);
  if (transpose)
    solve(A.transpose(), !lower);
  else
    solve(A, lower);
}

template <class T>
void qr(std::size_t m, std::size_t n, T* a, T* r) {
  if (n == 0) return;
  auto A = matrix(a, m, n);
  const T scale = scale_of(a, m * n);
  const Eigen::HouseholderQR<Matrix<T>> factors(A * scale);
  matrix(r, n, n) =
      Matrix<T>(factors.matrixQR().topRows(index(n)).template triangularView<Eigen::Upper>()) / scale;
  A = factors.householderQ() * Matrix<T>::Identity(index(m), index(n));
}

template <class T>
int eigh(std::size_t n, T* v, T* w) {
  for (std::size_t i = 0; i < n; ++i)
    if (!is_finite(v + i * n, v + i * (n + 1) + 1)) return 1;
  if (n == 0) return 0;
  auto V = matrix(v, n, n);
  const Eigen::SelfAdjointEigenSolver<Matrix<T>> solver(V);  // reads the lower triangle
  if (solver.info() != Eigen::Success) return 1;
  View<Vector<T>>(w, index(n)) = solver.eigenvalues();
  V = solver.eigenvectors();
  return 0;
}

template <class T>
int svd(std::size_t m, std::size_t n, T* a, T* u, T* s, T* v) {
  if (!is_finite(a, a + m * n)) return 1;
  const std::size_t k = std::min(m, n);
  if (k == 0) return 0;
  const Eigen::BDCSVD<Matrix<T>> solver(matrix(a, m, n), Eigen::ComputeThinU | Eigen::ComputeThinV);
  if (solver.info() != Eigen::Success) return 1;
  matrix(u, m, k) = solver.matrixU();
  View<Vector<T>>(s, index(k)) = solver.singularValues();
  matrix(v, n, k) = solver.matrixV();
  return 0;
}

XTAPE_INSTANTIATE_FACTORISATIONS(float)
XTAPE_INSTANTIATE_FACTORISATIONS(double)

}  // namespace xtape::detail::lapack
