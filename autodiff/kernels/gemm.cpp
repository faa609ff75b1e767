// The choice between CBLAS and the kernels for smaller products, and how large products are shared out.
#include "gemm.hpp"

#include <algorithm>
#include <limits>
#include <type_traits>

#ifndef XTAPE_WITHOUT_BLAS
#include <cblas.h>
#endif

#include "../base/pool_vector.hpp"
#include "../threads.hpp"
#include "kernel_table.hpp"

namespace xtape::detail {
namespace {

// Up to these many multiplications plain loops, then the kernel without blocking are used. Measured on one
// core of an EPYC with AVX-512, in ns, for C (M,N) = A (M,K) Bᵀ: 1x2x2 loops 5, kernel 14, CBLAS 52; 4x8x2
// 42, 24, 72; 8x8x8 204, 51, 108; 12x12x12 684, 296, 240.
constexpr std::size_t plain_work = 16, small_work = 512;

// OpenBLAS would cut a product by the number of threads, and round another way at the edges of the pieces. So
// it gets pieces whose sizes follow from those of the product, on one thread each. A piece has so many
// multiplications, or so many rows (or columns) where that would make more than four: the other matrix is
// packed anew for each piece. Measured on two cores of an EPYC against OpenBLAS with two threads, in µs for
// float: 32x784x128 45 and 42, 784x32x128 46 and 60, 650x3x400 30 and 50, 128x784x128 206 and 161,
// 512x512x512 1518 and 1455; on one core the worst is the fourth, 330 and 265.
constexpr std::size_t piece_rows = 128;

template <class T>
void plain_gemm(bool ta, bool tb, std::size_t M, std::size_t N, std::size_t K, const T* A, const T* B,
                bool accumulate, T* C) {
  const std::size_t a_row = ta ? 1 : K, a_col = ta ? M : 1;
  const std::size_t b_row = tb ? 1 : N, b_col = tb ? K : 1;
  for (std::size_t i = 0; i < M; ++i)
    for (std::size_t j = 0; j < N; ++j, ++C) {
      T sum = accumulate ? *C : T(0);
      for (std::size_t k = 0; k < K; ++k) sum += A[i * a_row + k * a_col] * B[k * b_row + j * b_col];
      *C = sum;
    }
}

// CBLAS counts in int. And it adds the products of some hundred elements of the inner dimension at a time to
// C, one after the other, so that a sum of millions would lose digits: no more of them in one call.
constexpr std::size_t most_int = std::numeric_limits<int>::max(), most_inner = std::size_t(1) << 16;

#ifdef XTAPE_WITHOUT_BLAS

template <class T>
void multiply(bool ta, bool tb, std::size_t M, std::size_t N, std::size_t K, const T* A, std::size_t lda,
              const T* B, std::size_t ldb, bool accumulate, T* C, std::size_t ldc) {
  const Kernels<T>& k = kernels<T>();
  if (M == 1) return k.gemv(!tb, tb ? N : K, tb ? K : N, B, ldb, A, ta ? lda : 1, accumulate, C, 1);
  if (N == 1) return k.gemv(ta, ta ? K : M, ta ? M : K, A, lda, B, tb ? 1 : ldb, accumulate, C, ldc);
  k.blocked_gemm(ta, tb, M, N, K, A, lda, B, ldb, accumulate, C, ldc);
}

#else

int cblas_int(std::size_t n) { return static_cast<int>(std::min(n, most_int)); }

// Up to these many multiplications the library's own kernel is as fast as OpenBLAS, and faster the smaller
// they are. Measured on one core of an EPYC with AVX2, in µs for float, own and OpenBLAS: 16x16x16 0.21 and
// 0.33, 64x64x32 3.9 and 5.1, 128x128x128 48 and 54, 512x512x512 3190 and 2960. To lay out B for a few rows
// does not pay.
constexpr std::size_t blocked_work = std::size_t(1) << 21, blocked_rows = 16;

/// y = A x or Aᵀ x for A (rows, columns), or y += …: for products with one row or one column, for which
/// cblas_gemm would copy the whole matrix for a single use. It adds few elements of the inner dimension at a
/// time, so that these are not to be more than most_gemv_inner.
constexpr std::size_t most_gemv_inner = 4096;
template <class T>
void blas_gemv(bool transpose, std::size_t rows, std::size_t columns, const T* A, std::size_t lda, const T* x,
               std::size_t x_step, bool accumulate, T* y, std::size_t y_step) {
  if (!accumulate)  // some versions of OpenBLAS multiply what was there, and 0 · NaN is NaN
    for (std::size_t i = 0; i < (transpose ? columns : rows); ++i) y[i * y_step] = T(0);
  function_for<T>(cblas_sgemv, cblas_dgemv)(CblasRowMajor, transpose ? CblasTrans : CblasNoTrans,
                                            cblas_int(rows), cblas_int(columns), T(1), A, cblas_int(lda), x,
                                            cblas_int(x_step), T(1), y, cblas_int(y_step));
}

template <class T>
void multiply(bool ta, bool tb, std::size_t M, std::size_t N, std::size_t K, const T* A, std::size_t lda,
              const T* B, std::size_t ldb, bool accumulate, T* C, std::size_t ldc) {
  if (M == 1 && K <= most_gemv_inner)
    return blas_gemv(!tb, tb ? N : K, tb ? K : N, B, ldb, A, ta ? lda : 1, accumulate, C, 1);
  if (N == 1 && K <= most_gemv_inner)
    return blas_gemv(ta, ta ? K : M, ta ? M : K, A, lda, B, tb ? 1 : ldb, accumulate, C, ldc);
  if (M * N * K <= blocked_work && (tb || M >= blocked_rows))
    return kernels<T>().blocked_gemm(ta, tb, M, N, K, A, lda, B, ldb, accumulate, C, ldc);
  function_for<T>(cblas_sgemm, cblas_dgemm)(CblasRowMajor, ta ? CblasTrans : CblasNoTrans,
                                            tb ? CblasTrans : CblasNoTrans, cblas_int(M), cblas_int(N),
                                            cblas_int(K), T(1), A, cblas_int(lda), B, cblas_int(ldb),
                                            T(accumulate), C, cblas_int(ldc));
}

#endif

/// Cuts the product until multiply() can take it. A stride that it cannot is of one row (or column) at last,
/// which has none.
template <class T>
void large_gemm(bool ta, bool tb, std::size_t M, std::size_t N, std::size_t K, const T* A, std::size_t lda,
                const T* B, std::size_t ldb, bool accumulate, T* C, std::size_t ldc) {
  const auto above = [](std::size_t size, std::size_t most, bool by_stride, std::size_t stride) {
    return size > most || (by_stride && stride > most_int && size > 1);
  };
  if (above(M, most_int, !ta, lda) || above(M, most_int, true, ldc)) {
    const std::size_t half = M / 2;
    large_gemm(ta, tb, half, N, K, A, lda, B, ldb, accumulate, C, ldc);
    return large_gemm(ta, tb, M - half, N, K, A + half * (ta ? 1 : lda), lda, B, ldb, accumulate,
                      C + half * ldc, ldc);
  }
  if (above(N, most_int, tb, ldb)) {
    const std::size_t half = N / 2;
    large_gemm(ta, tb, M, half, K, A, lda, B, ldb, accumulate, C, ldc);
    return large_gemm(ta, tb, M, N - half, K, A, lda, B + half * (tb ? ldb : 1), ldb, accumulate, C + half,
                      ldc);
  }
  if (above(K, most_inner, ta, lda) || above(K, most_inner, !tb, ldb)) {
    const std::size_t half = K / 2;
    PoolVector<T> second(M * N);
    large_gemm(ta, tb, M, N, half, A, lda, B, ldb, accumulate, C, ldc);
    large_gemm(ta, tb, M, N, K - half, A + half * (ta ? lda : 1), lda, B + half * (tb ? 1 : ldb), ldb, false,
               second.data(), N);
    for (std::size_t i = 0; i < M; ++i)
      for (std::size_t j = 0; j < N; ++j) C[i * ldc + j] += second[i * N + j];
    return;
  }
  multiply(ta, tb, M, N, K, A, lda, B, ldb, accumulate, C, ldc);
}

}  // namespace

template <class T>
void gemm(bool ta, bool tb, std::size_t M, std::size_t N, std::size_t K, const T* A, const T* B,
          bool accumulate, T* C) {
  multiply_adds += M * N * K;
  if (M * N * K <= plain_work && M * N <= plain_work) return plain_gemm(ta, tb, M, N, K, A, B, accumulate, C);
  static_assert(small_work <= gemm_packed_limit);
  if (M * N * K <= small_work) return kernels<T>().gemm(ta, tb, M, N, K, A, B, accumulate, C);
  const std::size_t lda = ta ? M : K, ldb = tb ? K : N;
  // OpenBLAS shares out a matrix times a vector from 9216 on.
  const std::size_t serial_work = M == 1 || N == 1 ? gemm_serial_work / 4 : gemm_serial_work;
  if (M * N * K <= serial_work) return large_gemm(ta, tb, M, N, K, A, lda, B, ldb, accumulate, C, N);
  const SerialBlas serial;
  // Pieces of rows of C, or of columns if it has more of these.
  const bool rows = M >= N;
  const std::size_t length = rows ? M : N;
  const std::size_t most =
      std::clamp(M * N * K / gemm_piece_work, std::size_t(1), std::max<std::size_t>(4, length / piece_rows));
  const std::size_t step = ((length - 1) / most / 16 + 1) * 16;
  parallel_for((length - 1) / step + 1, [&](std::size_t piece) {
    const std::size_t from = piece * step, n = std::min(step, length - from);
    if (rows)
      large_gemm(ta, tb, n, N, K, A + from * (ta ? 1 : K), lda, B, ldb, accumulate, C + from * N, N);
    else
      large_gemm(ta, tb, M, n, K, A, lda, B + from * (tb ? K : 1), ldb, accumulate, C + from, N);
  });
}

template <class T>
void gemm_rows(bool ta, bool tb, std::size_t M, std::size_t N, std::size_t K, const T* A, std::size_t lda,
               const T* B, std::size_t ldb, bool accumulate, T* C, std::size_t ldc) {
  multiply_adds += M * N * K;
  if (M * N == 0) return;
  // In pieces for which large_gemm() needs no memory, since threads may call this.
  for (std::size_t k = 0; k == 0 || k < K; k += most_inner)
    large_gemm(ta, tb, M, N, std::min(K - k, most_inner), A + k * (ta ? lda : 1),
               std::max<std::size_t>(lda, 1), B + k * (tb ? 1 : ldb), std::max<std::size_t>(ldb, 1),
               accumulate || k != 0, C, ldc);
}

#define XTAPE_INSTANTIATE(T)                                                                           \
  template void gemm(bool, bool, std::size_t, std::size_t, std::size_t, const T*, const T*, bool, T*); \
  template void gemm_rows(bool, bool, std::size_t, std::size_t, std::size_t, const T*, std::size_t,    \
                          const T*, std::size_t, bool, T*, std::size_t);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail
