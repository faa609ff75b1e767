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

// Squares as wide as the smallest vectors, in registers.
#if XSIMD_WITH_SSE2
template <class T>
using SquareRow = xsimd::batch<T, xsimd::sse2>;
static inline void transpose_lanes(SquareRow<float>* r) {
  __m128 a = r[0], b = r[1], c = r[2], d = r[3];
  _MM_TRANSPOSE4_PS(a, b, c, d);
  r[0] = a, r[1] = b, r[2] = c, r[3] = d;
}
static inline void transpose_lanes(SquareRow<double>* r) {
  const __m128d a = r[0], b = r[1];
  r[0] = _mm_unpacklo_pd(a, b), r[1] = _mm_unpackhi_pd(a, b);
}
#elif XSIMD_WITH_NEON64
template <class T>
using SquareRow = xsimd::batch<T, xsimd::neon64>;
static inline void transpose_lanes(SquareRow<double>* r) {
  const float64x2_t a = r[0], b = r[1];
  r[0] = vtrn1q_f64(a, b), r[1] = vtrn2q_f64(a, b);
}
static inline void transpose_lanes(SquareRow<float>* r) {
  const auto odd = [](float32x4_t a, float32x4_t b) { return vreinterpretq_f64_f32(vtrn2q_f32(a, b)); };
  const auto even = [](float32x4_t a, float32x4_t b) { return vreinterpretq_f64_f32(vtrn1q_f32(a, b)); };
  SquareRow<double> left[2] = {even(r[0], r[1]), even(r[2], r[3])},
                    right[2] = {odd(r[0], r[1]), odd(r[2], r[3])};
  transpose_lanes(left);
  transpose_lanes(right);
  for (std::size_t i = 0; i < 2; ++i) {
    r[2 * i] = vreinterpretq_f32_f64(left[i]);
    r[2 * i + 1] = vreinterpretq_f32_f64(right[i]);
  }
}
#endif
#if XSIMD_WITH_SSE2 || XSIMD_WITH_NEON64
template <class B, class T>
void transpose_square(T* y, std::size_t y_row, bool accumulate, const T* x, std::size_t x_row, T scale) {
  constexpr std::size_t side = SquareRow<T>::size;
  SquareRow<T> r[side];
  for (std::size_t i = 0; i < side; ++i) r[i] = SquareRow<T>::load_unaligned(x + i * x_row) * scale;
  transpose_lanes(r);
  for (std::size_t j = 0; j < side; ++j) {
    T* const to = y + j * y_row;
    if (accumulate) r[j] += SquareRow<T>::load_unaligned(to);
    r[j].store_unaligned(to);
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
#if XSIMD_WITH_SSE2 || XSIMD_WITH_NEON64
      constexpr std::size_t side = SquareRow<T>::size;
      i1 = height / side * side;
      j1 = width / side * side;
      for (std::size_t j = 0; j < j1; j += side)
        for (std::size_t i = 0; i < i1; i += side)
          transpose_square<B>(to + j * y_row + i, y_row, accumulate, from + i * x_row + j, x_row, scale);
#endif
      transpose_rest<B>(to + i1, y_row, accumulate, from + i1 * x_row, x_row, height - i1, j1, scale);
      transpose_rest<B>(to + j1 * y_row, y_row, accumulate, from + j1, x_row, height, width - j1, scale);
    }
}

}  // namespace xtape::detail
