// The choice between CBLAS and the kernel for small products.
#include "gemm.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <type_traits>

#include <cblas.h>

#include "error.hpp"
#include "kernel_table.hpp"

namespace xtape::detail {
namespace {

// Up to these many multiplications plain loops, then the kernel without blocking are used. Measured on one
// core of an EPYC with AVX-512, in ns, for C (M,N) = A (M,K) Bᵀ: 1x2x2 loops 5, kernel 14, CBLAS 52; 4x8x2
// 42, 24, 72; 8x8x8 204, 51, 108; 12x12x12 684, 296, 240.
constexpr std::size_t plain_work = 16, small_work = 512;

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

}  // namespace

template <class T>
void gemm(bool ta, bool tb, std::size_t M, std::size_t N, std::size_t K, const T* A, const T* B,
          bool accumulate, T* C) {
  multiply_adds += M * N * K;
  if (M * N * K <= plain_work && M * N <= plain_work) return plain_gemm(ta, tb, M, N, K, A, B, accumulate, C);
  static_assert(small_work <= gemm_packed_limit);
  if (M * N * K <= small_work) return kernels<T>().gemm(ta, tb, M, N, K, A, B, accumulate, C);
  constexpr auto limit = static_cast<std::size_t>(std::numeric_limits<int>::max());
  if (M > limit || N > limit || K > limit)
    throw Error("matmul",
                "a dimension of " + std::to_string(std::max({M, N, K})) + " is more than CBLAS can count");
  const int m = static_cast<int>(M), n = static_cast<int>(N), k = static_cast<int>(K);
  const auto a_op = ta ? CblasTrans : CblasNoTrans, b_op = tb ? CblasTrans : CblasNoTrans;
  const int lda = ta ? m : k, ldb = tb ? k : n;
  const T beta = accumulate ? T(1) : T(0);
  if constexpr (std::is_same_v<T, float>)
    cblas_sgemm(CblasRowMajor, a_op, b_op, m, n, k, 1, A, lda, B, ldb, beta, C, n);
  else
    cblas_dgemm(CblasRowMajor, a_op, b_op, m, n, k, 1, A, lda, B, ldb, beta, C, n);
}

template void gemm(bool, bool, std::size_t, std::size_t, std::size_t, const float*, const float*, bool,
                   float*);
template void gemm(bool, bool, std::size_t, std::size_t, std::size_t, const double*, const double*, bool,
                   double*);

}  // namespace xtape::detail
