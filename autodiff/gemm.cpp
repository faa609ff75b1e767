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

// Up to this many multiplications the kernel without blocking is used; bench/README.md says what was
// measured.
constexpr std::size_t small_work = 4096;

}  // namespace

template <class T>
void gemm(bool ta, bool tb, std::size_t M, std::size_t N, std::size_t K, const T* A, const T* B,
          bool accumulate, T* C) {
  if (M * N * K <= small_work && (!tb || K * N <= gemm_packed_limit))
    return kernels<T>().gemm(ta, tb, M, N, K, A, B, accumulate, C);
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
