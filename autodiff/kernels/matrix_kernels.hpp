// Kernels of copies.
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
