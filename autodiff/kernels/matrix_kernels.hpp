// Kernels of matrices and copies.
#pragma once
#include "batch_functions.hpp"
#include "kernel_table.hpp"

namespace xtape::detail {

/// y = scale · x, x of stride 0 or 1.
template <class B, class T>
void scale_row(T* y, bool accumulate, std::size_t n, const T* x, std::ptrdiff_t stride, T scale) {
  if (stride == 0) {
    const B number(scale * *x);
    for (std::size_t i = 0; i < n; i += B::size) store(y + i, n - i, accumulate, number);
  } else {
    for (std::size_t i = 0; i < n; i += B::size)
      store(y + i, n - i, accumulate, B(scale * load(x + i, n - i, B(T(0)))));
  }
}

/// Rows × columns batches of C, the last batch with `left` columns. A (i, k) lies at i · a_row + k · a_col.
template <class B, std::size_t rows, std::size_t columns, class T>
void gemm_tile(std::size_t K, const T* A, std::size_t a_row, std::size_t a_col, const T* right,
               std::size_t right_row, std::size_t left, bool accumulate, T* C, std::size_t N) {
  constexpr std::size_t W = B::size;
  B sum[rows][columns];
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c) sum[r][c] = T(0);
  for (std::size_t k = 0; k < K; ++k, A += a_col, right += right_row) {
    B b[columns];
    for (std::size_t c = 0; c < columns; ++c) b[c] = load(right + c * W, left - c * W, B(T(0)));
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < columns; ++c) sum[r][c] = xsimd::fma(B(A[r * a_row]), b[c], sum[r][c]);
  }
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c) store(C + r * N + c * W, left - c * W, accumulate, sum[r][c]);
}

template <class B, std::size_t rows, class T>
void gemm_rows(std::size_t N, std::size_t K, const T* A, std::size_t a_row, std::size_t a_col, const T* right,
               std::size_t right_row, bool accumulate, T* C) {
  constexpr std::size_t W = B::size;
  std::size_t j = 0;
  for (; j + W < N; j += 2 * W)
    gemm_tile<B, rows, 2>(K, A, a_row, a_col, right + j, right_row, N - j, accumulate, C + j, N);
  if (j < N) gemm_tile<B, rows, 1>(K, A, a_row, a_col, right + j, right_row, N - j, accumulate, C + j, N);
}

/// Products of small matrices, without blocking for caches. The rows of op(B) are read as batches: a
/// transposed B is laid out anew first. A single column is a row of the transposed product.
template <class B, class T>
void small_gemm(bool ta, bool tb, std::size_t M, std::size_t N, std::size_t K, const T* left, const T* right,
                bool accumulate, T* C) {
  if (N == 1 && M > 1 && (ta || M * K <= gemm_packed_limit))
    return small_gemm<B>(!tb, !ta, 1, M, K, right, left, accumulate, C);
  const std::size_t a_row = ta ? 1 : K, a_col = ta ? M : 1;
  std::size_t right_row = N;
  alignas(B) T packed[gemm_packed_limit];
  if (tb && N > 1) {
    for (std::size_t j = 0; j < N; ++j)
      for (std::size_t k = 0; k < K; ++k) packed[k * N + j] = right[j * K + k];
    right = packed;
  }
  std::size_t i = 0;
  for (; i + 4 <= M; i += 4)
    gemm_rows<B, 4>(N, K, left + i * a_row, a_row, a_col, right, right_row, accumulate, C + i * N);
  for (; i < M; ++i)
    gemm_rows<B, 1>(N, K, left + i * a_row, a_row, a_col, right, right_row, accumulate, C + i * N);
}

/// y (cols, rows) = scale · xᵀ, or y += …, number by number.
template <class B, class T>
void transpose_rest(T* y, std::size_t y_row, bool accumulate, const T* x, std::size_t x_row, std::size_t rows,
                    std::size_t cols, T scale) {
  for (std::size_t j = 0; j < cols; ++j)
    for (std::size_t i = 0; i < rows; ++i) {
      const T number = scale * x[i * x_row + j];
      y[j * y_row + i] = accumulate ? y[j * y_row + i] + number : number;
    }
}

#if XSIMD_WITH_SSE2
// Squares as wide as the smallest vectors, in registers.
static inline void transpose_square(float* y, std::size_t y_row, bool accumulate, const float* x,
                                    std::size_t x_row, float scale) {
  __m128 r[4];
  for (std::size_t i = 0; i < 4; ++i) r[i] = _mm_mul_ps(_mm_loadu_ps(x + i * x_row), _mm_set1_ps(scale));
  _MM_TRANSPOSE4_PS(r[0], r[1], r[2], r[3]);
  for (std::size_t j = 0; j < 4; ++j) {
    float* const to = y + j * y_row;
    _mm_storeu_ps(to, accumulate ? _mm_add_ps(_mm_loadu_ps(to), r[j]) : r[j]);
  }
}
static inline void transpose_square(double* y, std::size_t y_row, bool accumulate, const double* x,
                                    std::size_t x_row, double scale) {
  const __m128d a = _mm_mul_pd(_mm_loadu_pd(x), _mm_set1_pd(scale)),
                b = _mm_mul_pd(_mm_loadu_pd(x + x_row), _mm_set1_pd(scale));
  const __m128d r[2] = {_mm_unpacklo_pd(a, b), _mm_unpackhi_pd(a, b)};
  for (std::size_t j = 0; j < 2; ++j) {
    double* const to = y + j * y_row;
    _mm_storeu_pd(to, accumulate ? _mm_add_pd(_mm_loadu_pd(to), r[j]) : r[j]);
  }
}
#endif

/// Tile by tile, so that the lines of both sides stay in the first-level cache.
template <class B, class T>
void transpose(T* y, std::size_t y_row, bool accumulate, const T* x, std::size_t x_row, std::size_t rows,
               std::size_t cols, T scale) {
  constexpr std::size_t tile = 16;
  for (std::size_t i0 = 0; i0 < rows; i0 += tile)
    for (std::size_t j0 = 0; j0 < cols; j0 += tile) {
      const std::size_t height = rows - i0 < tile ? rows - i0 : tile,
                        width = cols - j0 < tile ? cols - j0 : tile;
      T* const to = y + j0 * y_row + i0;
      const T* const from = x + i0 * x_row + j0;
      std::size_t i1 = 0, j1 = 0;  // how far squares go
#if XSIMD_WITH_SSE2
      constexpr std::size_t side = 16 / sizeof(T);
      i1 = height / side * side;
      j1 = width / side * side;
      for (std::size_t j = 0; j < j1; j += side)
        for (std::size_t i = 0; i < i1; i += side)
          transpose_square(to + j * y_row + i, y_row, accumulate, from + i * x_row + j, x_row, scale);
#endif
      transpose_rest<B>(to + i1, y_row, accumulate, from + i1 * x_row, x_row, height - i1, j1, scale);
      transpose_rest<B>(to + j1 * y_row, y_row, accumulate, from + j1, x_row, height, width - j1, scale);
    }
}

}  // namespace xtape::detail
