// Walks over raw row-major arrays that hand rows to the kernels: elementwise with broadcasting, reductions,
// strided copies. Large work is shared out among threads here, in blocks that depend on sizes alone: results
// are the same bits for any number of threads. No xtensor.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <utility>

#include "../base/pool_vector.hpp"
#include "../shape.hpp"
#include "../threads.hpp"
#include "kernel_table.hpp"

namespace xtape::detail {

/// Work is split into parts of about part_size elements, and is worth several threads from parallel_size on:
/// waking one takes as long as an exponential of some ten thousand numbers.
inline constexpr std::size_t part_size = 16384, parallel_size = 8 * part_size;

/// Elementwise work of several steps goes tile by tile, of so many elements; what is between the steps is in
/// registers, arrays of a tile each, in the caches. The kernel `sum` adds up parts of as many first.
inline constexpr std::size_t tile_size = 1024;

constexpr std::size_t quotient_up(std::size_t n, std::size_t by) { return (n + by - 1) / by; }

/// f(first, last) for blocks of `count` independent items with `elements` in total, on several threads where
/// that is worth it. f must not throw, record or allocate.
template <class F>
void for_blocks(std::size_t count, std::size_t elements, const F& f) {
  if (elements < parallel_size || count < 2) return f(std::size_t(0), count);
  const std::size_t block = std::max<std::size_t>(1, part_size / (elements / count));
  parallel_for(quotient_up(count, block),
               [&](std::size_t i) { f(i * block, std::min(count, (i + 1) * block)); });
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

  /// Where element i begins in each array.
  std::array<std::ptrdiff_t, N> offsets(std::size_t i) const {
    std::array<std::ptrdiff_t, N> result{};
    for (std::size_t d = rank; d-- > 0; i /= sizes[d])
      for (std::size_t k = 0; k < N; ++k)
        result[k] += static_cast<std::ptrdiff_t>(i % sizes[d]) * strides[k][d];
    return result;
  }
  /// Calls row(offsets) for each index of the outer dimensions; the innermost one, or several, are the row's.
  template <class Row>
  void rows(Row&& row, std::size_t inner = 1) const {
    rows(row, inner, 0, sizes[0]);
  }
  /// The same for the indices first <= i < last of the outermost dimension.
  template <class Row>
  void rows(Row&& row, std::size_t inner, std::size_t first, std::size_t last) const {
    std::array<std::ptrdiff_t, N> offset{};
    std::array<std::size_t, max_rank> index{};
    if (rank > inner) {
      index[0] = first;
      for (std::size_t k = 0; k < N; ++k) offset[k] = strides[k][0] * static_cast<std::ptrdiff_t>(first);
    }
    for (;;) {
      row(offset);
      std::size_t d = rank - inner;
      for (;;) {
        if (d == 0) return;
        --d;
        for (std::size_t k = 0; k < N; ++k) offset[k] += strides[k][d];
        if (++index[d] < (d == 0 ? last : sizes[d])) break;
        for (std::size_t k = 0; k < N; ++k)
          offset[k] -= strides[k][d] * static_cast<std::ptrdiff_t>(sizes[d]);
        index[d] = 0;
      }
    }
  }
  /// row(offsets, number of the row), on several threads where the `elements` in total are worth it.
  template <class Row>
  void numbered_rows(std::size_t elements, const Row& row, std::size_t inner = 1) const {
    std::size_t each = 1;  // rows to an index of the outermost dimension
    for (std::size_t d = 1; d + inner < rank; ++d) each *= sizes[d];
    for_blocks(rank > inner ? sizes[0] : 1, elements, [&](std::size_t first, std::size_t last) {
      std::size_t number = first * each;
      rows([&](const std::array<std::ptrdiff_t, N>& offset) { row(offset, number++); }, inner, first, last);
    });
  }
};

/// An array that an elementwise operation reads, with its own shape; null when the operation does not use it.
template <class T>
struct Operand {
  const T* data = nullptr;
  const Shape* shape = nullptr;
  std::size_t size = 0;
};

/// run_elementwise() of arrays that are shared out among threads, or walked along.
template <class T, std::size_t N, class F>
[[gnu::noinline]] void run_blocks(T* y, bool accumulate, std::size_t size, const F& shape_of,
                                  RowKernel<T> kernel, const void* op,
                                  const std::array<Operand<T>, N>& operands, bool flat,
                                  std::array<const T*, N> x, std::array<std::ptrdiff_t, N> stride) {
  if (flat)
    return for_blocks(size, size, [&](std::size_t first, std::size_t last) {
      std::array<const T*, N> part{};
      for (std::size_t k = 0; k < N; ++k)
        if (x[k]) part[k] = x[k] + (stride[k] == 0 ? 0 : first);
      kernel(op, y + first, accumulate, last - first, part.data(), stride.data());
    });

  const Shape shape = shape_of();
  std::array<Dims, N> strides;
  for (std::size_t k = 0; k < N; ++k)
    strides[k] = x[k] ? broadcast_strides(*operands[k].shape, shape) : Dims(shape.size(), 0);
  const Walk<N> walk(shape, strides);
  const std::size_t inner = walk.rank - 1;
  for (std::size_t k = 0; k < N; ++k) stride[k] = walk.strides[k][inner];
  const std::size_t n = walk.sizes[inner];
  walk.numbered_rows(size, [&](const std::array<std::ptrdiff_t, N>& offset, std::size_t number) {
    std::array<const T*, N> row{};
    for (std::size_t k = 0; k < N; ++k)
      if (x[k]) row[k] = x[k] + offset[k];
    kernel(op, y + number * n, accumulate, n, row.data(), stride.data());
  });
}

/// Runs a row kernel over y, contiguous with `size` elements; every operand broadcasts to its shape,
/// shape_of(). Inlined, as small arrays notice each call.
template <class T, std::size_t N, class F>
[[gnu::always_inline]] inline void run_elementwise(T* y, bool accumulate, std::size_t size, const F& shape_of,
                                                   RowKernel<T> kernel, const void* op,
                                                   const std::array<Operand<T>, N>& operands) {
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
  if (flat && size < parallel_size) return kernel(op, y, accumulate, size, x.data(), stride.data());
  run_blocks(y, accumulate, size, shape_of, kernel, op, operands, flat, x, stride);
}

/// y = x, read with `strides` from x on, or y += x; y is contiguous of `shape`.
template <class T>
void copy_from_strided(T* y, bool accumulate, const T* x, const Shape& shape, const Dims& strides) {
  const std::size_t size = element_count(shape, "copy");
  if (size == 0) return;
  const Walk<1> walk(shape, {strides});
  const Kernels<T>& kernel = kernels<T>();
  const std::size_t last = walk.rank - 1, n = walk.sizes[last];
  const std::ptrdiff_t stride = walk.strides[0][last];
  if (walk.rank > 1 && walk.strides[0][last - 1] == 1 && stride > 1) {  // columns lie side by side
    const std::size_t m = walk.sizes[last - 1];
    walk.numbered_rows(
        size,
        [&](const std::array<std::ptrdiff_t, 1>& offset, std::size_t number) {
          kernel.transpose(y + number * m * n, n, accumulate, x + offset[0], static_cast<std::size_t>(stride),
                           n, m, T(1));
        },
        2);
    return;
  }
  walk.numbered_rows(size, [&](const std::array<std::ptrdiff_t, 1>& offset, std::size_t number) {
    const T* const row = x + offset[0];
    T* const to = y + number * n;
    if (stride == 1 && !accumulate)
      std::copy_n(row, n, to);
    else if (stride == 0 || stride == 1)
      kernel.scale(to, accumulate, n, row, stride, T(1));
    else if (accumulate)
      for (std::size_t i = 0; i < n; ++i) to[i] += row[static_cast<std::ptrdiff_t>(i) * stride];
    else
      for (std::size_t i = 0; i < n; ++i) to[i] = row[static_cast<std::ptrdiff_t>(i) * stride];
  });
}

/// y += x for n contiguous numbers.
template <class T>
void add_in_place(T* y, const T* x, std::size_t n) {
  for_blocks(n, n, [&](std::size_t first, std::size_t last) {
    kernels<T>().scale(y + first, true, last - first, x + first, 1, T(1));
  });
}

/// Whether `strides` name another place for each element of `shape`.
inline bool are_apart(const Shape& shape, const Dims& strides) {
  std::array<std::pair<std::size_t, std::size_t>, max_rank> steps{};  // and how often they are taken
  std::size_t rank = 0;
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (shape[i] > 1) steps[rank++] = {static_cast<std::size_t>(std::abs(strides[i])), shape[i] - 1};
  std::sort(steps.begin(), steps.begin() + rank);
  std::size_t reached = 0;  // by the smaller ones together
  for (std::size_t i = 0; i < rank; ++i) {
    const auto [step, times] = steps[i];
    if (step <= reached) return false;
    reached += step * times;
  }
  return true;
}

/// Adds contiguous x of `shape` to the places of y that `strides` name.
template <class T>
void add_to_strided(T* y, const T* x, const Shape& shape, const Dims& strides) {
  const std::size_t size = element_count(shape, "copy");
  if (size == 0) return;
  const Walk<1> walk(shape, {strides});
  const std::size_t n = walk.sizes[walk.rank - 1];
  const std::ptrdiff_t stride = walk.strides[0][walk.rank - 1];
  const auto add = [=](T* to, const T* from, std::size_t count) {
    if (stride == 1) return add_in_place(to, from, count);
    for (std::size_t i = 0; i < count; ++i) to[static_cast<std::ptrdiff_t>(i) * stride] += from[i];
  };
  const std::size_t shared = are_apart(shape, strides) ? size : 0;  // else in the order of x
  if (walk.rank == 1)
    return for_blocks(n, shared, [&](std::size_t first, std::size_t last) {
      add(y + static_cast<std::ptrdiff_t>(first) * stride, x + first, last - first);
    });
  walk.numbered_rows(shared, [&](const std::array<std::ptrdiff_t, 1>& offset, std::size_t number) {
    add(y + offset[0], x + number * n, n);
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

/// The same by parts that several threads compute.
template <class T, class Part>
T sum_in_parallel(std::size_t n, const Part& part) {
  if (n < parallel_size) return sum_of_parts<T>(n, part_size, part);
  PoolVector<T> sums(quotient_up(n, part_size));
  parallel_for(sums.size(),
               [&](std::size_t i) { sums[i] = part(i * part_size, std::min(part_size, n - i * part_size)); });
  return sum_of_parts<T>(sums.size(), 1, [&](std::size_t i, std::size_t) { return sums[i]; });
}

/// fold(y, x, rows, n) takes the rows of x (rows, n) into y (n): by blocks of rows, on several threads, each
/// into `start` values of its own, which join(y, parts, blocks, n) takes into y.
template <class T, class Fold, class Join>
void fold_rows(T* y, const T* x, std::size_t rows, std::size_t n, T start, const Fold& fold,
               const Join& join) {
  const std::size_t block = std::max<std::size_t>(64, part_size / n), blocks = quotient_up(rows, block);
  if (rows * n < parallel_size || blocks < 2) return fold(y, x, rows, n);
  PoolVector<T> parts(blocks * n, start);
  parallel_for(blocks, [&](std::size_t i) {
    fold(parts.data() + i * n, x + i * block * n, std::min(block, rows - i * block), n);
  });
  join(y, parts.data(), blocks, n);
}

/// Reduces x of `shape` over the masked axes. fold(y, x, n) takes n contiguous numbers into *y;
/// rows(y, x, m, n) takes m rows of n numbers each into the n of y. y is contiguous and holds the start
/// values. Both are called on several threads when they are called with less than parallel_size numbers, and
/// may split the work themselves otherwise.
template <class T, class Fold, class Rows>
void reduce(T* y, const T* x, const Shape& shape, unsigned mask, const Fold& fold, const Rows& rows) {
  const std::size_t size = element_count(shape, "reduce");
  if (size == 0) return;
  Dims to = row_major_strides(reduced_shape(shape, mask, true));
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (mask >> i & 1u) to[i] = 0;
  const Walk<2> walk(shape, {to, row_major_strides(shape)});
  const std::size_t n = walk.sizes[walk.rank - 1];
  const bool folds = walk.strides[0][walk.rank - 1] == 0;
  // Of two dimensions that did not merge, one is summed.
  const std::size_t inner = !folds && walk.rank > 1 ? 2 : 1;
  const std::size_t m = inner == 2 ? walk.sizes[walk.rank - 2] : 1;
  const auto row = [&](const std::array<std::ptrdiff_t, 2>& offset, std::size_t) {
    if (folds)
      fold(y + offset[0], x + offset[1], n);
    else
      rows(y + offset[0], x + offset[1], m, n);
  };
  // Threads may not share a result, nor split work that is split already.
  const bool apart = walk.rank > inner && walk.strides[0][0] != 0 && m * n < parallel_size;
  walk.numbered_rows(apart ? size : 0, row, inner);
}

/// The masked axes behind which no other masked one lies but for those beside them: the last run of them.
inline unsigned last_run(const Shape& shape, unsigned mask) {
  unsigned run = 0;
  for (std::size_t i = shape.size(); i-- > 0;) {
    if (shape[i] == 1) continue;
    if (mask >> i & 1u)
      run |= 1u << i;
    else if (run != 0)
      break;
  }
  return run;
}

/// y += Σ f(x) over the masked axes; `sum` and `add_rows` sum f of contiguous numbers and of rows.
template <class T>
void add_sum(T* y, const T* x, const Shape& shape, unsigned mask,
             decltype(Kernels<T>::sum) sum = kernels<T>().sum,
             decltype(Kernels<T>::add_rows) add_rows = kernels<T>().add_rows) {
  const unsigned last = last_run(shape, mask);
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (mask >> i & ~(last >> i) & 1u && shape[i] != 1) {
      // Run by run: the parts of a sum would be added to y one after the other.
      const Shape between = reduced_shape(shape, last, true);
      PoolVector<T> parts(element_count(between, "sum"), T(0));
      add_sum(parts.data(), x, shape, last, sum, add_rows);
      return add_sum(y, parts.data(), between, mask & ~last);
    }
  const auto fold = [=](T* to, const T* from, std::size_t n) {
    *to += sum_in_parallel<T>(n, [=](std::size_t start, std::size_t m) { return sum(from + start, m); });
  };
  const auto rows = [=](T* to, const T* from, std::size_t m, std::size_t n) {
    fold_rows(to, from, m, n, T(0), add_rows, kernels<T>().add_rows);
  };
  if ((mask & (mask + 1)) == 0) {  // only leading axes, as for biases, or all
    std::size_t m = 1, n = 1;
    for (std::size_t i = 0; i < shape.size(); ++i) (mask >> i & 1u ? m : n) *= shape[i];
    if (n == 1)
      fold(y, x, m);
    else if (n != 0)
      rows(y, x, m, n);
    return;
  }
  reduce(y, x, shape, mask, fold, rows);
}

/// A shape as (outer, n, inner), where n are the elements of `axes` axes from a given one on.
struct Slabs {
  std::size_t outer = 1, n = 1, inner = 1;
  Slabs(const Shape& shape, std::size_t axis, std::size_t axes) {
    for (std::size_t i = 0; i < shape.size(); ++i)
      (i < axis ? outer : i < axis + axes ? n : inner) *= shape[i];
  }
  std::size_t size() const { return outer * n * inner; }
};

/// Calls f(first, result, n, inner) for each part (n, inner) of x whose first axis is the given one, or
/// `axes` of them from it on; `result` is where the part begins in an array without them. On several threads
/// where the parts are worth it; a single part is f's to split.
template <class F>
void for_each_slab(const Shape& shape, std::size_t axis, std::size_t axes, const F& f) {
  const Slabs x(shape, axis, axes);
  if (x.inner == 0) return;
  for_blocks(x.outer, x.size(), [&](std::size_t o, std::size_t last) {
    for (; o < last; ++o) f(o * x.n * x.inner, o * x.inner, x.n, x.inner);
  });
}

/// The same by groups of lines: f(first, result, n, inner, step) for `inner` lines side by side, each of n
/// numbers that are `step` apart. Groups are shared out, too; a single line is f's to split.
template <class F>
void for_each_lines(const Shape& shape, std::size_t axis, std::size_t axes, const F& f) {
  const Slabs x(shape, axis, axes);
  constexpr std::size_t batch = 16;  // at most so many lines are in one
  const std::size_t lines = std::max<std::size_t>(1, part_size / std::max<std::size_t>(1, x.n));
  const std::size_t width = quotient_up(lines, batch) * batch, groups = quotient_up(x.inner, width);
  for_blocks(x.outer * groups, x.size(), [&](std::size_t i, std::size_t last) {
    for (; i < last; ++i) {
      const std::size_t o = i / groups, begin = i % groups * width;
      f(o * x.n * x.inner + begin, o * x.inner + begin, x.n, std::min(width, x.inner - begin), x.inner);
    }
  });
}

}  // namespace xtape::detail
