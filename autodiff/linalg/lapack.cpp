#include "lapack.hpp"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include <cblas.h>

#include "../base/pool_vector.hpp"

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

// Up to so many multiplications loops solve a triangle. Measured on one core of an EPYC with AVX2, in ns, for
// n and k of 8 and 1, 8 and 8, 16 and 2, 16 and 8: loops 58, 129, 187, 457, with a unit diagonal 35, 91, 141,
// 392, CBLAS with both 103, 127, 195, 216.
constexpr std::size_t plain_solve_work = 512;

/// The function of LAPACK or CBLAS for an element type.
template <class T, class F, class D>
auto function_for(F single, D both) {
  if constexpr (std::is_same_v<T, float>)
    return single;
  else
    return both;
}

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

/// The same by loops over rows of B, for small matrices: CBLAS takes longer to begin.
template <class T>
void substitute(bool lower, bool transpose, bool unit, std::size_t n, std::size_t k, const T* a, T* b) {
  const std::size_t row = transpose ? 1 : n, column = transpose ? n : 1;
  const bool forward = lower != transpose;
  for (std::size_t step = 0; step < n; ++step) {
    const std::size_t i = forward ? step : n - 1 - step;
    T* const from = b + i * k;
    if (!unit)
      for (std::size_t c = 0; c < k; ++c) from[c] /= a[i * (n + 1)];
    for (std::size_t left = step + 1; left < n; ++left) {  // rows do not wait for each other
      const std::size_t j = forward ? left : n - 1 - left;
      const T factor = a[j * row + i * column];
      T* const to = b + j * k;
      for (std::size_t c = 0; c < k; ++c) to[c] -= factor * from[c];
    }
  }
}

/// Factorisations by iteration may end with numbers where an element is infinite or NaN, or go on for ever.
template <class T>
bool is_finite(const T* first, const T* last) {
  return std::all_of(first, last, [](T x) { return std::isfinite(x); });
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
void cholesky_gradient(std::size_t n, const T* l, T* g) {
  // Murray 2016, figure 5: blocks of columns from the last to the first; R is left of the diagonal block D, B
  // below R, C below D. All of g above the diagonal stays what it is.
  constexpr std::size_t block = 64;
  const auto multiply = function_for<T>(cblas_sgemm, cblas_dgemm);
  const auto solve_right = function_for<T>(cblas_strsm, cblas_dtrsm);
  const int ld = stride(n);
  const std::size_t most = std::min(n, block);
  PoolVector<T> both(most * most), inner(most * most);
  for (std::size_t end = n; end > 0;) {
    const std::size_t begin = (end - 1) / block * block, size = end - begin, below = n - end;
    const int b = integer(size), m = integer(below), left = integer(begin);
    const T *R = l + begin * n, *D = R + begin, *B = l + end * n, *C = B + begin;
    T *gR = g + begin * n, *gD = gR + begin, *gB = g + end * n, *gC = gB + begin;
    if (below != 0) {
      solve_right(CblasRowMajor, CblasRight, CblasLower, CblasNoTrans, CblasNonUnit, m, b, T(1), D, ld, gC,
                  ld);
      multiply(CblasRowMajor, CblasTrans, CblasNoTrans, b, b, m, T(1), gC, ld, C, ld, T(0), both.data(), b);
      for (std::size_t i = 0; i < size; ++i)
        for (std::size_t j = 0; j <= i; ++j) gD[i * n + j] -= both[i * size + j];
      if (begin != 0) {
        multiply(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, left, b, T(-1), gC, ld, R, ld, T(1), gB, ld);
        multiply(CblasRowMajor, CblasTrans, CblasNoTrans, b, left, m, T(-1), gC, ld, B, ld, T(1), gR, ld);
      }
    }
    // Of the block itself: with P = half_lower(Dᵀ gD), S = D⁻ᵀ P D⁻¹, both halves of S + Sᵀ in the lower one.
    // What is above the diagonal of gD does not count, even where it is NaN.
    for (std::size_t i = 0; i < size; ++i) {
      std::copy_n(gD + i * n, i + 1, inner.data() + i * size);
      std::fill_n(inner.data() + i * size + i + 1, size - i - 1, T(0));
    }
    function_for<T>(cblas_strmm, cblas_dtrmm)(CblasRowMajor, CblasLeft, CblasLower, CblasTrans, CblasNonUnit,
                                              b, b, T(1), D, ld, inner.data(), b);
    for (std::size_t i = 0; i < size; ++i) {
      inner[i * size + i] /= 2;
      for (std::size_t j = i + 1; j < size; ++j) inner[i * size + j] = 0;
    }
    solve_right(CblasRowMajor, CblasLeft, CblasLower, CblasTrans, CblasNonUnit, b, b, T(1), D, ld,
                inner.data(), b);
    solve_right(CblasRowMajor, CblasRight, CblasLower, CblasNoTrans, CblasNonUnit, b, b, T(1), D, ld,
                inner.data(), b);
    for (std::size_t i = 0; i < size; ++i)
      for (std::size_t j = 0; j <= i; ++j) {
        gD[i * n + j] = i == j ? inner[i * size + i] : inner[i * size + j] + inner[j * size + i];
        both[i * size + j] = gD[i * n + j] * (i == j ? 2 : 1);
        both[j * size + i] = both[i * size + j];
      }
    if (begin != 0)
      multiply(CblasRowMajor, CblasNoTrans, CblasNoTrans, b, left, b, T(-1), both.data(), b, R, ld, T(1), gR,
               ld);
    end = begin;
  }
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < i; ++j) g[j * n + i] = g[i * n + j] /= 2;
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
void lu_solve(bool transpose, std::size_t n, std::size_t k, const T* factors, T* b) {
  // Aᵀ = P L U, in memory Uᵀ below and Lᵀ above the diagonal: A = Uᵀ Lᵀ Pᵀ.
  const auto exchange = [&](std::size_t i) {
    const auto with = static_cast<std::size_t>(factors[n * n + i]);
    if (with != i) std::swap_ranges(b + i * k, b + (i + 1) * k, b + with * k);
  };
  if (transpose) {
    for (std::size_t i = 0; i < n; ++i) exchange(i);
    solve_triangular(false, true, true, n, k, factors, b);
    solve_triangular(true, true, false, n, k, factors, b);
  } else {
    solve_triangular(true, false, false, n, k, factors, b);
    solve_triangular(false, false, true, n, k, factors, b);
    for (std::size_t i = n; i-- > 0;) exchange(i);
  }
}

template <class T>
void solve_triangular(bool lower, bool transpose, bool unit, std::size_t n, std::size_t k, const T* a, T* b) {
  if (n * n * k <= plain_solve_work) return substitute(lower, transpose, unit, n, k, a, b);
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

#define XTAPE_INSTANTIATE(T)                                                                \
  template void cholesky_gradient(std::size_t, const T*, T*);                               \
  template int cholesky(std::size_t, T*);                                                   \
  template int lu(std::size_t, T*);                                                         \
  template void lu_solve(bool, std::size_t, std::size_t, const T*, T*);                     \
  template void solve_triangular(bool, bool, bool, std::size_t, std::size_t, const T*, T*); \
  template void qr(std::size_t, std::size_t, T*, T*);                                       \
  template int eigh(std::size_t, T*, T*);                                                   \
  template int svd(std::size_t, std::size_t, T*, T*, T*, T*);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail::lapack
