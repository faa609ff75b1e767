// Loops over raw row-major arrays: elementwise with broadcasting, reductions, strided copies. No xtensor.
#pragma once
#include <array>
#include <cstddef>
#include <utility>

#include "shape.hpp"

namespace xtape::detail {

/// Dimensions and strides of N arrays walked together, with neighbouring dimensions merged where all allow.
template <std::size_t N>
struct Walk {
  std::size_t rank = 0;
  std::array<std::size_t, max_rank> sizes{};
  std::array<std::array<std::ptrdiff_t, max_rank>, N> strides{};

  Walk(const Shape& shape, const std::array<Dims, N>& from) {
    for (std::size_t i = 0; i < shape.size(); ++i) {
      if (shape[i] == 1) continue;
      bool merges = rank > 0;
      for (std::size_t k = 0; k < N && merges; ++k)
        merges = strides[k][rank - 1] == from[k][i] * static_cast<std::ptrdiff_t>(shape[i]);
      if (!merges) sizes[rank++] = 1;
      sizes[rank - 1] *= shape[i];
      for (std::size_t k = 0; k < N; ++k) strides[k][rank - 1] = from[k][i];
    }
    if (rank == 0) sizes[rank++] = 1;
  }

  /// Calls row(offsets) for each index of the outer dimensions; the innermost one is the row's.
  template <class Row>
  void rows(Row&& row) const {
    std::array<std::ptrdiff_t, N> offset{};
    std::array<std::size_t, max_rank> index{};
    for (;;) {
      row(offset);
      std::size_t d = rank - 1;
      for (;;) {
        if (d == 0) return;
        --d;
        for (std::size_t k = 0; k < N; ++k) offset[k] += strides[k][d];
        if (++index[d] < sizes[d]) break;
        for (std::size_t k = 0; k < N; ++k)
          offset[k] -= strides[k][d] * static_cast<std::ptrdiff_t>(sizes[d]);
        index[d] = 0;
      }
    }
  }
};

/// How many arrays an elementwise operation reads at most: the adjoint, three inputs and the output.
inline constexpr std::size_t max_operands = 5;

/// y[i] = f(x0[i·s0], x1[i·s1], …), or y[i] += …, for i < n, with the strides s. `op` is the operation's
/// struct.
template <class T>
using RowKernel = void (*)(const void* op, T* y, bool accumulate, std::size_t n, const T* const* x,
                           const std::ptrdiff_t* stride);

/// An array that an elementwise operation reads, with its own shape; null when the operation does not use it.
template <class T>
struct Operand {
  const T* data = nullptr;
  const Shape* shape = nullptr;
};

/// Runs a row kernel over y, contiguous and of `shape`, to which every operand broadcasts.
template <class T, std::size_t N>
void elementwise(T* y, bool accumulate, const Shape& shape, std::size_t size, RowKernel<T> kernel,
                 const void* op, const std::array<Operand<T>, N>& operands) {
  if (size == 0) return;
  bool flat = true;
  std::array<const T*, N> x{};
  std::array<std::ptrdiff_t, N> stride{};
  for (std::size_t k = 0; k < N; ++k) {
    x[k] = operands[k].data;
    if (!x[k]) continue;
    const bool same = *operands[k].shape == shape;
    stride[k] = same ? 1 : 0;
    flat &= same || element_count(*operands[k].shape, "elementwise") == 1;
  }
  if (flat) return kernel(op, y, accumulate, size, x.data(), stride.data());

  std::array<Dims, N> strides;
  for (std::size_t k = 0; k < N; ++k)
    strides[k] = x[k] ? broadcast_strides(*operands[k].shape, shape) : Dims(shape.size(), 0);
  const Walk<N> walk(shape, strides);
  const std::size_t inner = walk.rank - 1;
  for (std::size_t k = 0; k < N; ++k) stride[k] = walk.strides[k][inner];
  walk.rows([&](const std::array<std::ptrdiff_t, N>& offset) {
    std::array<const T*, N> row{};
    for (std::size_t k = 0; k < N; ++k)
      if (x[k]) row[k] = x[k] + offset[k];
    kernel(op, y, accumulate, walk.sizes[inner], row.data(), stride.data());
    y += walk.sizes[inner];
  });
}

/// y = scale · x, read with `strides` from x on, or y += …; y is contiguous of `shape`.
template <class T>
void copy_from_strided(T* y, bool accumulate, const T* x, const Shape& shape, const Dims& strides,
                       T scale = 1) {
  if (element_count(shape, "copy") == 0) return;
  const Walk<1> walk(shape, {strides});
  const std::size_t n = walk.sizes[walk.rank - 1];
  const std::ptrdiff_t stride = walk.strides[0][walk.rank - 1];
  walk.rows([&](const std::array<std::ptrdiff_t, 1>& offset) {
    const T* row = x + offset[0];
    if (accumulate)
      for (std::size_t i = 0; i < n; ++i) y[i] += scale * row[static_cast<std::ptrdiff_t>(i) * stride];
    else if (stride == 1 && scale == 1)
      std::copy_n(row, n, y);
    else
      for (std::size_t i = 0; i < n; ++i) y[i] = scale * row[static_cast<std::ptrdiff_t>(i) * stride];
    y += n;
  });
}

/// y += x for n contiguous numbers.
template <class T>
void add_in_place(T* y, const T* x, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] += x[i];
}

/// Adds contiguous x of `shape` to the places of y that `strides` name.
template <class T>
void add_to_strided(T* y, const T* x, const Shape& shape, const Dims& strides) {
  if (element_count(shape, "copy") == 0) return;
  const Walk<1> walk(shape, {strides});
  const std::size_t n = walk.sizes[walk.rank - 1];
  const std::ptrdiff_t stride = walk.strides[0][walk.rank - 1];
  walk.rows([&](const std::array<std::ptrdiff_t, 1>& offset) {
    T* row = y + offset[0];
    for (std::size_t i = 0; i < n; ++i) row[static_cast<std::ptrdiff_t>(i) * stride] += x[i];
    x += n;
  });
}

/// Sum of n contiguous numbers; halves are added, so the error grows with log n.
template <class T>
T contiguous_sum(const T* x, std::size_t n) {
  constexpr std::size_t lanes = 16;
  if (n > 1024) {
    const std::size_t half = n / 2 / lanes * lanes;
    return contiguous_sum(x, half) + contiguous_sum(x + half, n - half);
  }
  std::array<T, lanes> lane{};
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (std::size_t k = 0; k < lanes; ++k) lane[k] += x[i + k];
  T rest = 0;
  for (; i < n; ++i) rest += x[i];
  for (std::size_t width = lanes / 2; width > 0; width /= 2)
    for (std::size_t k = 0; k < width; ++k) lane[k] += lane[k + width];
  return lane[0] + rest;
}

/// Reduces x of `shape` over the masked axes. fold(y, x, n) takes n contiguous numbers into *y;
/// combine(y, x, n) takes each of n numbers into its own y. y is contiguous and holds the start values.
template <class T, class Fold, class Combine>
void reduce(T* y, const T* x, const Shape& shape, unsigned mask, const Fold& fold, const Combine& combine) {
  if (element_count(shape, "reduce") == 0) return;
  Dims to = row_major_strides(reduced_shape(shape, mask, true));
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (mask >> i & 1u) to[i] = 0;
  const Walk<2> walk(shape, {to, row_major_strides(shape)});
  const std::size_t n = walk.sizes[walk.rank - 1];
  const bool folds = walk.strides[0][walk.rank - 1] == 0;
  walk.rows([&](const std::array<std::ptrdiff_t, 2>& offset) {
    if (folds)
      fold(y + offset[0], x + offset[1], n);
    else
      combine(y + offset[0], x + offset[1], n);
  });
}

/// y += scale · sum of x over the masked axes.
template <class T>
void add_sum(T* y, const T* x, const Shape& shape, unsigned mask, T scale) {
  if ((mask & (mask + 1)) == 0) {  // only leading axes, as for biases, or all
    std::size_t rows = 1, row = 1;
    for (std::size_t i = 0; i < shape.size(); ++i) (mask >> i & 1u ? rows : row) *= shape[i];
    if (row == 1) {
      *y += scale * contiguous_sum(x, rows);
    } else {
      for (std::size_t i = 0; i < rows; ++i, x += row)
        for (std::size_t j = 0; j < row; ++j) y[j] += scale * x[j];
    }
    return;
  }
  reduce(
      y, x, shape, mask,
      [scale](T* to, const T* from, std::size_t n) { *to += scale * contiguous_sum(from, n); },
      [scale](T* to, const T* from, std::size_t n) {
        for (std::size_t i = 0; i < n; ++i) to[i] += scale * from[i];
      });
}

}  // namespace xtape::detail
