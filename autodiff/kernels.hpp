// Walks over raw row-major arrays that hand rows to the kernels: elementwise with broadcasting, reductions,
// strided copies. What may later be shared out among threads passes through these functions. No xtensor.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "kernel_table.hpp"
#include "shape.hpp"
#include "threads.hpp"

namespace xtape::detail {

/// Flat work is done in parts of this many elements, by several threads from part_size · worth_threads
/// elements on: waking one takes as long as an exponential of some ten thousand.
inline constexpr std::size_t part_size = 16384, worth_threads = 8;

constexpr std::size_t part_count(std::size_t n) { return (n + part_size - 1) / part_size; }

/// f(part) for each part of n elements.
template <class F>
void for_parts(std::size_t n, const F& f) {
  const std::size_t parts = part_count(n);
  if (parts >= worth_threads) return parallel_for(parts, f);
  for (std::size_t part = 0; part < parts; ++part) f(part);
}

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

  /// Calls row(offsets) for each index of the outer dimensions; the innermost one, or several, are the row's.
  template <class Row>
  void rows(Row&& row, std::size_t inner = 1) const {
    std::array<std::ptrdiff_t, N> offset{};
    std::array<std::size_t, max_rank> index{};
    for (;;) {
      row(offset);
      std::size_t d = rank - inner;
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

/// An array that an elementwise operation reads, with its own shape; null when the operation does not use it.
template <class T>
struct Operand {
  const T* data = nullptr;
  const Shape* shape = nullptr;
  std::size_t size = 0;
};

/// Runs a row kernel over y, contiguous and of `shape`, to which every operand broadcasts.
template <class T, std::size_t N>
void elementwise(T* y, bool accumulate, const Shape& shape, std::size_t size, RowKernel<T> kernel,
                 const void* op, const std::array<Operand<T>, N>& operands) {
  if (size == 0) return;
  bool flat = true;
  std::array<const T*, N> x;
  std::array<std::ptrdiff_t, N> stride;
  for (std::size_t k = 0; k < N; ++k) {
    x[k] = operands[k].data;
    // Of one number or of as many as the result, an operand needs no walk: it broadcasts, so the shapes
    // agree.
    stride[k] = operands[k].size == size ? 1 : 0;
    flat &= !x[k] || operands[k].size == size || operands[k].size == 1;
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
  const Kernels<T>& kernel = kernels<T>();
  const std::size_t last = walk.rank - 1, n = walk.sizes[last];
  const std::ptrdiff_t stride = walk.strides[0][last];
  if (walk.rank > 1 && walk.strides[0][last - 1] == 1 && stride > 1) {  // columns lie side by side
    const std::size_t m = walk.sizes[last - 1];
    walk.rows(
        [&](const std::array<std::ptrdiff_t, 1>& offset) {
          kernel.transpose(y, n, accumulate, x + offset[0], static_cast<std::size_t>(stride), n, m, scale);
          y += m * n;
        },
        2);
    return;
  }
  walk.rows([&](const std::array<std::ptrdiff_t, 1>& offset) {
    const T* row = x + offset[0];
    if (stride == 1 && scale == 1 && !accumulate)
      std::copy_n(row, n, y);
    else if (stride == 0 || stride == 1)
      kernel.scale(y, accumulate, n, row, stride, scale);
    else if (accumulate)
      for (std::size_t i = 0; i < n; ++i) y[i] += scale * row[static_cast<std::ptrdiff_t>(i) * stride];
    else
      for (std::size_t i = 0; i < n; ++i) y[i] = scale * row[static_cast<std::ptrdiff_t>(i) * stride];
    y += n;
  });
}

/// y += x for n contiguous numbers.
template <class T>
void add_in_place(T* y, const T* x, std::size_t n) {
  kernels<T>().scale(y, true, n, x, 1, T(1));
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
    if (stride == 1)
      add_in_place(row, x, n);
    else
      for (std::size_t i = 0; i < n; ++i) row[static_cast<std::ptrdiff_t>(i) * stride] += x[i];
    x += n;
  });
}

/// The sum of part(start, size) over the parts of n numbers, each of `block` numbers but for the last: joined
/// in pairs, so that the error grows with log n, and in an order that depends on n alone.
template <class T, class Part>
T sum_of_parts(std::size_t n, std::size_t block, const Part& part, std::size_t start = 0) {
  if (n <= block) return part(start, n);
  const std::size_t half = (n / 2 + block - 1) / block * block;
  return sum_of_parts<T>(half, block, part, start) + sum_of_parts<T>(n - half, block, part, start + half);
}

/// How many contiguous numbers are summed at once.
inline constexpr std::size_t sum_block = 16384;

template <class T>
T contiguous_sum(const T* x, std::size_t n) {
  return sum_of_parts<T>(n, sum_block,
                         [x](std::size_t start, std::size_t m) { return kernels<T>().sum(x + start, m); });
}

/// Reduces x of `shape` over the masked axes. fold(y, x, n) takes n contiguous numbers into *y;
/// rows(y, x, m, n) takes m rows of n numbers each into the n of y. y is contiguous and holds the start
/// values.
template <class T, class Fold, class Rows>
void reduce(T* y, const T* x, const Shape& shape, unsigned mask, const Fold& fold, const Rows& rows) {
  if (element_count(shape, "reduce") == 0) return;
  Dims to = row_major_strides(reduced_shape(shape, mask, true));
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (mask >> i & 1u) to[i] = 0;
  const Walk<2> walk(shape, {to, row_major_strides(shape)});
  const std::size_t n = walk.sizes[walk.rank - 1];
  const bool folds = walk.strides[0][walk.rank - 1] == 0;
  // Of two dimensions that did not merge, one is summed.
  const std::size_t m = !folds && walk.rank > 1 ? walk.sizes[walk.rank - 2] : 1;
  walk.rows(
      [&](const std::array<std::ptrdiff_t, 2>& offset) {
        if (folds)
          fold(y + offset[0], x + offset[1], n);
        else
          rows(y + offset[0], x + offset[1], m, n);
      },
      !folds && walk.rank > 1 ? 2 : 1);
}

/// y += scale · sum of x over the masked axes.
template <class T>
void add_sum(T* y, const T* x, const Shape& shape, unsigned mask, T scale) {
  if ((mask & (mask + 1)) == 0) {  // only leading axes, as for biases, or all
    std::size_t rows = 1, n = 1;
    for (std::size_t i = 0; i < shape.size(); ++i) (mask >> i & 1u ? rows : n) *= shape[i];
    if (n == 1)
      *y += scale * contiguous_sum(x, rows);
    else
      kernels<T>().add_rows(y, x, rows, n, scale);
    return;
  }
  reduce(
      y, x, shape, mask,
      [scale](T* to, const T* from, std::size_t n) { *to += scale * contiguous_sum(from, n); },
      [scale](T* to, const T* from, std::size_t m, std::size_t n) {
        kernels<T>().add_rows(to, from, m, n, scale);
      });
}

/// Calls f(first, result, n, inner) for each part (n, inner) of x whose first axis is the given one; `result`
/// is where the part begins in an array without that axis.
template <class F>
void for_each_slab(const Shape& shape, std::size_t axis, const F& f) {
  std::size_t outer = 1, inner = 1;
  for (std::size_t i = 0; i < axis; ++i) outer *= shape[i];
  for (std::size_t i = axis + 1; i < shape.size(); ++i) inner *= shape[i];
  const std::size_t n = shape[axis];
  if (inner == 0) return;
  for (std::size_t o = 0; o < outer; ++o) f(o * n * inner, o * inner, n, inner);
}

}  // namespace xtape::detail
