// See lapack.hpp: by LAPACK and CBLAS, which are column-major. A row-major matrix is their transposed one, so
// a lower triangle is their upper one, and A = Q R is Aᵀ = L Q.
#include "lapack.hpp"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include <cblas.h>

#include "../base/pool_vector.hpp"
#include "../kernels/gemm.hpp"

// What is used of LAPACK, which is in OpenBLAS; of Fortran's lengths of strings, one letter each, it makes no
// use.
extern "C" {
#define XTAPE_DECLARE(letter, T)                                                                             \
  void letter##potrf_(const char* uplo, const int* n, T* a, const int* lda, int* info);                      \
  void letter##getrf_(const int* m, const int* n, T* a, const int* lda, int* pivots, int* info);             \
  void letter##gelqf_(const int* m, const int* n, T* a, const int* lda, T* tau, T* work, const int* length,  \
                      int* info);                                                                            \
  void letter##orglq_(const int* m, const int* n, const int* k, T* a, const int* lda, const T* tau, T* work, \
                      const int* length, int* info);                                                         \
  void letter##syevd_(const char* job, const char* uplo, const int* n, T* a, const int* lda, T* w, T* work,  \
                      const int* length, int* integers, const int* integer_length, int* info);               \
  void letter##gesdd_(const char* job, const int* m, const int* n, T* a, const int* lda, T* s, T* u,         \
                      const int* ldu, T* vt, const int* ldvt, T* work, const int* length, int* integers,     \
                      int* info);
XTAPE_DECLARE(s, float)
XTAPE_DECLARE(d, double)
#undef XTAPE_DECLARE
}

namespace xtape::detail::lapack {
namespace {

int integer(std::size_t n) { return static_cast<int>(n); }
/// The step between rows, which may not be 0.
int stride(std::size_t n) { return integer(std::max<std::size_t>(n, 1)); }

/// Runs call(work, length): first as a question, how much it needs.
template <class T, class F>
void with_work(const F& call) {
  T best = 0;
  int length = -1;
  call(&best, &length);
  length = work_length(best);
  PoolVector<T> work(static_cast<std::size_t>(length));
  call(work.data(), &length);
}

template <class T>
void transpose_square(std::size_t n, T* a) {
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < i; ++j) std::swap(a[i * n + j], a[j * n + i]);
}

}  // namespace

template <class T>
int cholesky(std::size_t n, T* a) {
  const int order = integer(n), lda = stride(n);
  int info = 0;
  function_for<T>(spotrf_, dpotrf_)("U", &order, a, &lda, &info);
  for (std::size_t i = 0; i < n; ++i) {
    std::fill(a + i * n + i + 1, a + (i + 1) * n, T(0));
    // Some libraries let NaN pass.
    if (info == 0 && std::isnan(a[i * (n + 1)])) info = static_cast<int>(i + 1);
  }
  return info;
}

template <class T>
int lu(std::size_t n, T* a) {
  const int order = integer(n), lda = stride(n);
  PoolVector<int> rows(n);
  int info = 0;
  function_for<T>(sgetrf_, dgetrf_)(&order, &order, a, &lda, rows.data(), &info);
  for (std::size_t i = 0; i < n; ++i) a[n * n + i] = static_cast<T>(rows[i] - 1);
  return info;
}

template <class T>
void solve_large_triangular(bool lower, bool transpose, bool unit, std::size_t n, std::size_t k, const T* a,
                            T* b) {
  function_for<T>(cblas_strsm, cblas_dtrsm)(
      CblasRowMajor, CblasLeft, lower ? CblasLower : CblasUpper, transpose ? CblasTrans : CblasNoTrans,
      unit ? CblasUnit : CblasNonUnit, integer(n), integer(k), T(1), a, stride(n), b, stride(k));
}

template <class T>
void qr(std::size_t m, std::size_t n, T* a, T* r) {
  const int rows = integer(n), columns = integer(m), lda = stride(n);  // of Aᵀ = L Q
  int info = 0;
  PoolVector<T> tau(n);
  with_work<T>([&](T* work, const int* length) {
    function_for<T>(sgelqf_, dgelqf_)(&rows, &columns, a, &lda, tau.data(), work, length, &info);
  });
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) r[i * n + j] = j < i ? T(0) : a[i * n + j];
  with_work<T>([&](T* work, const int* length) {
    function_for<T>(sorglq_, dorglq_)(&rows, &columns, &rows, a, &lda, tau.data(), work, length, &info);
  });
}

template <class T>
int eigh(std::size_t n, T* v, T* w) {
  for (std::size_t i = 0; i < n; ++i)
    if (!is_finite(v + i * n, v + i * (n + 1) + 1)) return 1;
  const int order = integer(n), lda = stride(n);
  int info = 0;
  PoolVector<int> integers(3 + 5 * n);  // what it asks for with vectors
  const int integer_length = integer(integers.size());
  with_work<T>([&](T* work, const int* length) {
    function_for<T>(ssyevd_, dsyevd_)("V", "U", &order, v, &lda, w, work, length, integers.data(),
                                      &integer_length, &info);
  });
  transpose_square(n, v);
  return info != 0;
}

template <class T>
int svd(std::size_t m, std::size_t n, T* a, T* u, T* s, T* v) {
  if (!is_finite(a, a + m * n)) return 1;
  // Aᵀ = V S Uᵀ: their left vectors are V, and their right ones, transposed, are U in rows.
  const std::size_t k = std::min(m, n);
  const int rows = integer(n), columns = integer(m), lda = stride(n), ldu = stride(k);
  int info = 0;
  PoolVector<T> left(n * k);
  PoolVector<int> integers(8 * std::max<std::size_t>(k, 1));
  with_work<T>([&](T* work, const int* length) {
    function_for<T>(sgesdd_, dgesdd_)("S", &rows, &columns, a, &lda, s, left.data(), &lda, u, &ldu, work,
                                      length, integers.data(), &info);
  });
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < k; ++j) v[i * k + j] = left[j * n + i];
  return info != 0;
}

XTAPE_INSTANTIATE_FACTORISATIONS(float)
XTAPE_INSTANTIATE_FACTORISATIONS(double)

}  // namespace xtape::detail::lapack
