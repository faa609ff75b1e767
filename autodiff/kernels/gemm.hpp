// Matrix products on raw row-major arrays: CBLAS, and a kernel of our own where its overhead would dominate.
#pragma once
#include <algorithm>
#include <cstddef>
#include <type_traits>

#include "../platform/compiler.hpp"
#include "../threads.hpp"

namespace xtape::detail {

/// The multiplications with an addition that gemm() has run for this thread since its start.
XTAPE_THREAD_LOCAL std::size_t multiply_adds = 0;

/// A part of a product that is shared out has so many multiplications. Up to gemm_serial_work, OpenBLAS does
/// not share out (it begins at 2^18), and switching its threads off, 30 ns, shows.
inline constexpr std::size_t gemm_piece_work = std::size_t(1) << 18, gemm_serial_work = std::size_t(1) << 15;

/// The function of CBLAS or LAPACK for an element type.
template <class T, class F, class D>
auto function_for(F single, D both) {
  if constexpr (std::is_same_v<T, float>)
    return single;
  else
    return both;
}

/// C (M,N) = op(A) (M,K) op(B) (K,N), or C += …; a transposed A is stored (K,M), a transposed B (N,K).
/// Error when a dimension exceeds what CBLAS counts with.
template <class T>
void gemm(bool transpose_a, bool transpose_b, std::size_t M, std::size_t N, std::size_t K, const T* A,
          const T* B, bool accumulate, T* C);

/// The same on one thread of matrices whose rows lie lda, ldb and ldc apart, as parts of larger ones do.
template <class T>
void gemm_rows(bool transpose_a, bool transpose_b, std::size_t M, std::size_t N, std::size_t K, const T* A,
               std::size_t lda, const T* B, std::size_t ldb, bool accumulate, T* C, std::size_t ldc);

/// product(i) for each i < count, which calls gemm with so many multiplications: products that gemm does not
/// cut are shared out whole. They are independent, and their dimensions are such as gemm takes.
template <class F>
void gemm_batch(std::size_t count, std::size_t multiplications, const F& product) {
  const std::size_t each = multiplications, group = std::max<std::size_t>(1, gemm_piece_work / (each + 1));
  // In small products, threads would wait for the lock that OpenBLAS takes for each.
  if (each <= gemm_serial_work || each >= 4 * gemm_piece_work || count * each < 2 * gemm_piece_work) {
    for (std::size_t i = 0; i < count; ++i) product(i);
    return;
  }
  const SerialBlas serial;
  parallel_for((count - 1) / group + 1, [&](std::size_t part) {
    for (std::size_t i = part * group; i < std::min(count, (part + 1) * group); ++i) product(i);
  });
}

}  // namespace xtape::detail
