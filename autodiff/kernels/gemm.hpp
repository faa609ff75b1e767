// Matrix products on raw row-major arrays: CBLAS, and a kernel of our own where its overhead would dominate.
#pragma once
#include <cstddef>

#include "../memory.hpp"

namespace xtape::detail {

/// The multiplications with an addition that gemm() has run for this thread since its start.
XTAPE_THREAD_LOCAL std::size_t multiply_adds = 0;

/// C (M,N) = op(A) (M,K) op(B) (K,N), or C += …; a transposed A is stored (K,M), a transposed B (N,K).
/// Error when a dimension exceeds what CBLAS counts with.
template <class T>
void gemm(bool transpose_a, bool transpose_b, std::size_t M, std::size_t N, std::size_t K, const T* A,
          const T* B, bool accumulate, T* C);

}  // namespace xtape::detail
