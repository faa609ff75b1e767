// Kernels of matrix products: of small ones, and of those that need blocks.
#pragma once
#include "convolution_kernels.hpp"
#include "matrix_kernels.hpp"

namespace xtape::detail {

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

template <class B>
typename B::value_type sum_lanes(B x) {
  alignas(B) typename B::value_type lanes[B::size];
  x.store_aligned(lanes);
  for (std::size_t half = B::size / 2; half != 0; half /= 2)
    for (std::size_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  return lanes[0];
}

/// y += the sums of `rows` rows of A (rows, n), each times x.
template <class B, std::size_t rows, class T>
void dot_rows(const T* A, std::size_t lda, std::size_t n, const T* x, T* y, std::size_t y_step) {
  constexpr std::size_t W = B::size;
  B sum[rows][2];
  for (std::size_t r = 0; r < rows; ++r) sum[r][0] = sum[r][1] = B(T(0));
  std::size_t j = 0;
  for (; j + 2 * W <= n; j += 2 * W)
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t h = 0; h < 2; ++h)
        sum[r][h] = xsimd::fma(B::load_unaligned(A + r * lda + j + h * W), B::load_unaligned(x + j + h * W),
                               sum[r][h]);
  for (; j < n; j += W)
    for (std::size_t r = 0; r < rows; ++r)
      sum[r][0] = xsimd::fma(load(A + r * lda + j, n - j, B(T(0))), load(x + j, n - j, B(T(0))), sum[r][0]);
  for (std::size_t r = 0; r < rows; ++r) y[r * y_step] += sum_lanes(sum[r][0] + sum[r][1]);
}

/// y (n) += the sum of `rows` rows of A (rows, n), each times its number of x.
template <class B, std::size_t rows, class T>
void add_rows(const T* A, std::size_t lda, std::size_t n, const T* x, std::size_t x_step, T* y) {
  constexpr std::size_t W = B::size;
  B factor[rows];
  for (std::size_t r = 0; r < rows; ++r) factor[r] = B(x[r * x_step]);
  std::size_t j = 0;
  for (; j + W <= n; j += W) {
    B sum = B::load_unaligned(y + j);
    for (std::size_t r = 0; r < rows; ++r)
      sum = xsimd::fma(factor[r], B::load_unaligned(A + r * lda + j), sum);
    sum.store_unaligned(y + j);
  }
  if (j == n) return;
  B sum = load(y + j, n - j, B(T(0)));
  for (std::size_t r = 0; r < rows; ++r)
    sum = xsimd::fma(factor[r], load(A + r * lda + j, n - j, B(T(0))), sum);
  store(y + j, n - j, false, sum);
}

/// y = op(A) x for A (rows, columns), or y += …: elements of x and y lie x_step and y_step apart. Sums are of
/// so many elements at a time, which also stay in the first-level cache.
template <class B, class T>
void gemv(bool transpose, std::size_t rows, std::size_t columns, const T* A, std::size_t lda, const T* x,
          std::size_t x_step, bool accumulate, T* y, std::size_t y_step) {
  constexpr std::size_t part = 512;
  alignas(B) T line[part];
  if (!accumulate)
    for (std::size_t i = 0; i < (transpose ? columns : rows); ++i) y[i * y_step] = T(0);
  for (std::size_t j = 0; j < columns; j += part) {
    const std::size_t n = columns - j < part ? columns - j : part;
    if (transpose) {
      for (std::size_t first = 0; first < rows; first += part) {
        const std::size_t last = rows - first < part ? rows : first + part;
        for (std::size_t l = 0; l < n; ++l) line[l] = T(0);
        std::size_t i = first;
        for (; i + 8 <= last; i += 8) add_rows<B, 8>(A + i * lda + j, lda, n, x + i * x_step, x_step, line);
        for (; i < last; ++i) add_rows<B, 1>(A + i * lda + j, lda, n, x + i * x_step, x_step, line);
        for (std::size_t l = 0; l < n; ++l) y[(j + l) * y_step] += line[l];
      }
    } else {
      const T* from = x + j;
      if (x_step != 1) {
        for (std::size_t l = 0; l < n; ++l) line[l] = x[(j + l) * x_step];
        from = line;
      }
      std::size_t i = 0;
      for (; i + 4 <= rows; i += 4) dot_rows<B, 4>(A + i * lda + j, lda, n, from, y + i * y_step, y_step);
      for (; i < rows; ++i) dot_rows<B, 1>(A + i * lda + j, lda, n, from, y + i * y_step, y_step);
    }
  }
}

/// Some columns of op(B) (K,N) in panels of a batch, the last of which has `left` of them and then zeros.
template <class B, class T>
void pack_panels(T* panels, bool tb, std::size_t K, std::size_t left, const T* right, std::size_t ldb) {
  for (; left != 0; panels += K * B::size) {
    const std::size_t some = left < B::size ? left : B::size;
    if (tb) {
      if (some < B::size)
        for (std::size_t i = 0; i < K; ++i) B(T(0)).store_unaligned(panels + i * B::size);
      transpose<B>(panels, B::size, false, right, ldb, some, K, T(1));
    } else {
      for (std::size_t k = 0; k < K; ++k)
        load(right + k * ldb, some, B(T(0))).store_unaligned(panels + k * B::size);
    }
    right += some * (tb ? ldb : 1);
    left -= some;
  }
}

/// C (M,N) = op(A) op(B), or C += …, by blocks for which some panels of B are packed on the stack. Rows of
/// the matrices lie lda, ldb and ldc apart.
template <class B, class T>
void blocked_gemm(bool ta, bool tb, std::size_t M, std::size_t N, std::size_t K, const T* left,
                  std::size_t lda, const T* right, std::size_t ldb, bool accumulate, T* C, std::size_t ldc) {
  constexpr std::size_t W = B::size, rows = 128, columns = indexed_panels<B> * W, depth = indexed_depth<B>;
  alignas(B) T packed[columns * depth], whole[rows * columns];
  std::ptrdiff_t a_row[rows], a_column[depth], c_row[rows], whole_row[rows];
  for (std::size_t k = 0; k < depth && k < K; ++k)
    a_column[k] = static_cast<std::ptrdiff_t>(k * (ta ? lda : 1));
  for (std::size_t r = 0; r < rows && r < M; ++r) {
    a_row[r] = static_cast<std::ptrdiff_t>(r * (ta ? 1 : lda));
    c_row[r] = static_cast<std::ptrdiff_t>(r * ldc);
    whole_row[r] = static_cast<std::ptrdiff_t>(r * columns);
  }
  if (!accumulate)
    for (std::size_t i = 0; i < M; ++i)
      for (std::size_t j = 0; j < N; j += W) store(C + i * ldc + j, N - j, false, B(T(0)));
  for (std::size_t k = 0; k < K; k += depth) {
    const std::size_t deep = K - k < depth ? K - k : depth;
    for (std::size_t j = 0; j < N; j += columns) {
      const std::size_t wide = N - j < columns ? N - j : columns, panels = (wide + W - 1) / W;
      pack_panels<B>(packed, tb, deep, wide, right + (tb ? j * ldb + k : k * ldb + j), ldb);
      for (std::size_t i = 0; i < M; i += rows) {
        const std::size_t high = M - i < rows ? M - i : rows;
        const T* const a = left + (ta ? k * lda + i : i * lda + k);
        T* const c = C + i * ldc + j;
        const auto multiply = [&](T* to, const std::ptrdiff_t* row) {
          indexed_gemm<B>(to, row, W, high, deep, panels, a, a_row, a_column, false, packed, deep * W);
        };
        if (wide % W == 0) {
          multiply(c, c_row);
          continue;
        }
        // The kernel writes whole batches: what it gets here is a copy of the block.
        for (std::size_t r = 0; r < high; ++r)
          for (std::size_t l = 0; l < wide; l += W)
            load(c + r * ldc + l, wide - l, B(T(0))).store_unaligned(whole + r * columns + l);
        multiply(whole, whole_row);
        for (std::size_t r = 0; r < high; ++r)
          for (std::size_t l = 0; l < wide; l += W)
            store(c + r * ldc + l, wide - l, false, B::load_unaligned(whole + r * columns + l));
      }
    }
  }
}

}  // namespace xtape::detail
