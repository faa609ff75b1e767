// Kernels of moments, and of batch and layer normalisation: x̂ = (x − mean) · inverse, y = gamma x̂ + beta.
#pragma once
#include "batch_functions.hpp"
#include "kernel_table.hpp"
#include "reduction_kernels.hpp"

namespace xtape::detail {

/// Columns of a matrix (rows, n), `columns` batches side by side from `first` on, so that whole cache lines
/// are read.
template <class B, std::size_t columns>
struct ColumnGroup {
  using T = typename B::value_type;
  std::size_t rows, n, first;

  B get(const T* p, std::size_t c) const { return load(p + first + c * B::size, left(c), B(T(0))); }
  void set(T* p, std::size_t c, const B& x, bool accumulate = false) const {
    store(p + first + c * B::size, left(c), accumulate, x);
  }
  /// total[c] = Σ f(i, c) over the rows i.
  template <class F>
  void sum(B (&total)[columns], const F& f) const {
    add_rows(total, [&f](std::size_t i, B(&sums)[columns]) {
      for (std::size_t c = 0; c < columns; ++c) sums[c] += f(i, c);
    });
  }
  /// The total of what add(i, total) adds for each row i. Halves are added, which keeps the error small.
  template <std::size_t N, class F>
  void add_rows(B (&total)[N], const F& add) const {
    add_rows(total, add, 0, rows);
  }
  template <class F>
  void each(const F& f) const {
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t c = 0; c < columns; ++c) f(i, c);
  }

 private:
  template <std::size_t N, class F>
  void add_rows(B (&total)[N], const F& add, std::size_t from, std::size_t count) const {
    for (B& t : total) t = T(0);
    if (count > 64) {
      B second[N];
      add_rows(total, add, from, count / 2);
      add_rows(second, add, from + count / 2, count - count / 2);
      for (std::size_t k = 0; k < N; ++k) total[k] += second[k];
    } else {
      for (std::size_t i = from; i < from + count; ++i) add(i, total);
    }
  }
  std::size_t left(std::size_t c) const { return n - first - c * B::size; }
};

/// f(group) for all columns of (rows, n), four batches at a time as long as they last.
template <class B, class F>
void for_column_groups(std::size_t rows, std::size_t n, const F& f) {
  std::size_t j = 0;
  for (; j + 3 * B::size < n; j += 4 * B::size) f(ColumnGroup<B, 4>{rows, n, j});
  for (; j < n; j += B::size) f(ColumnGroup<B, 1>{rows, n, j});
}

/// The mean of a line in two parts, mean + rest, since its type may not hold that of its own numbers (such as
/// dates in float), and Σ (x − mean − rest)².
template <class B>
struct LineMoments {
  using T = typename B::value_type;
  B mean, rest, squares;

  /// From Σ d and Σ d² for d = x − mean, and 1/n. Whether the second is to be computed again, with a mean
  /// that has moved: where the mean was so far off that the difference would cancel digits, as for a line of
  /// one number.
  bool set(const B& sum, const B& square_sum, T share, bool may_move) {
    rest = sum * share;
    const B excess = rest * sum;
    squares = ops::maximum(square_sum - excess, B(T(0)));
    const auto near = excess * B(T(16)) < square_sum;  // not where these leave the range
    if (!may_move || xsimd::all(near)) return false;
    mean = ops::where(near, mean, mean + rest);
    return true;
  }
};

template <class B, std::size_t columns, class T>
void column_moments(LineMoments<B> (&moments)[columns], const ColumnGroup<B, columns>& group, const T* x) {
  const T share = T(1) / static_cast<T>(group.rows);  // it need not be exact: what the mean lacks is computed
  B sums[2 * columns], means[columns];
  group.sum(means, [&](std::size_t i, std::size_t c) { return group.get(x + i * group.n, c); });
  for (std::size_t c = 0; c < columns; ++c) moments[c].mean = means[c] * share;
  bool moved = false;
  for (const bool may_move : {true, false}) {
    if (!may_move && !moved) return;
    for (std::size_t c = 0; c < columns; ++c) means[c] = moments[c].mean;
    group.add_rows(sums, [&](std::size_t i, B(&total)[2 * columns]) {
      for (std::size_t c = 0; c < columns; ++c) {
        const B d = group.get(x + i * group.n, c) - means[c];
        total[c] += d;
        total[columns + c] += d * d;
      }
    });
    for (std::size_t c = 0; c < columns; ++c)
      moved |= moments[c].set(sums[c], sums[columns + c], share, may_move);
  }
}

template <class B, class T>
LineMoments<B> row_moments(const T* x, std::size_t n, T share) {
  T center = pairwise_sum<B>(x, n, [](const B& a) { return a; }) * share;
  for (const bool may_move : {true, false}) {
    const auto deviation = [center](const B& a) { return a - center; };
    const T squares = pairwise_sum<B>(
        x, n, [&](const B& a) { return deviation(a) * deviation(a); }, center);
    LineMoments<B> moments{center, T(0), squares};
    // What the mean lacks shows where it is large beside the deviations.
    if (squares * share * 256 > center * center) return moments;
    if (!moments.set(B(pairwise_sum<B>(x, n, deviation, center)), B(squares), share, may_move))
      return moments;
    center = moments.mean.get(0);
  }
  return {};
}

/// 1/√variance, and 0 where that is 0: what does not vary is normalised to 0.
template <class B>
B inverse_deviation(const B& variance) {
  const B zero(typename B::value_type(0)), one(typename B::value_type(1));
  return ops::where(variance == zero, zero, one / xsimd::sqrt(variance));
}

template <class B, class T>
void moments(T* moments, const T* x, std::size_t n, std::size_t inner, T epsilon) {
  const T share = T(1) / static_cast<T>(n);
  if (inner == 1) {
    const LineMoments<B> line = row_moments<B>(x, n, share);
    moments[0] = line.mean.get(0);
    moments[1] = line.rest.get(0);
    moments[2] = line.squares.get(0);
    moments[3] = inverse_deviation(B(line.squares * share + epsilon)).get(0);
    return;
  }
  for_column_groups<B>(n, inner, [&]<std::size_t columns>(const ColumnGroup<B, columns>& group) {
    LineMoments<B> lines[columns];
    column_moments(lines, group, x);
    for (std::size_t c = 0; c < columns; ++c) {
      group.set(moments, c, lines[c].mean);
      group.set(moments + inner, c, lines[c].rest);
      group.set(moments + 2 * inner, c, lines[c].squares);
      group.set(moments + 3 * inner, c, inverse_deviation(B(lines[c].squares * share + epsilon)));
    }
  });
}

template <class B, class T>
void normalize_columns(T* y, const T* x, const T* gamma, const T* beta, const T* moments, std::size_t rows,
                       std::size_t n) {
  for_column_groups<B>(rows, n, [&]<std::size_t columns>(const ColumnGroup<B, columns>& group) {
    B center[columns], scale[columns], shift[columns];
    for (std::size_t c = 0; c < columns; ++c) {
      center[c] = group.get(moments, c);
      scale[c] = group.get(gamma, c) * group.get(moments + 3 * n, c);
      shift[c] = group.get(beta, c) - group.get(moments + n, c) * scale[c];
    }
    group.each([&](std::size_t i, std::size_t c) {
      group.set(y + i * n, c, (group.get(x + i * n, c) - center[c]) * scale[c] + shift[c]);
    });
  });
}

template <class B, class T>
void normalize_rows(T* y, const T* x, const T* gamma, const T* beta, const T* moments, std::size_t rows,
                    std::size_t n) {
  const B zero(T(0));
  const Line<B, true> line(n, 1, 1);
  for (std::size_t i = 0; i < rows; ++i, x += n, y += n, moments += 4) {
    const T mean = moments[0], inverse = moments[3], lack = moments[1] * inverse;
    line.each([&](std::size_t j, std::size_t left) {
      store(y + j, left,
            B(((load(x + j, left, zero) - mean) * inverse - lack) * load(gamma + j, left, zero) +
              load(beta + j, left, zero)));
    });
  }
}

/// Σ g and Σ g x̂ over the rows, for moments of columns or of rows.
template <class B, bool of_columns, class T>
void normalized_sums(T* sums, const T* g, const T* x, const T* moments, std::size_t rows, std::size_t n) {
  for_column_groups<B>(rows, n, [&]<std::size_t columns>(const ColumnGroup<B, columns>& group) {
    B center[columns], totals[2 * columns];
    if constexpr (of_columns)
      for (std::size_t c = 0; c < columns; ++c) center[c] = group.get(moments, c);
    group.add_rows(totals, [&](std::size_t i, B(&total)[2 * columns]) {
      for (std::size_t c = 0; c < columns; ++c) {
        const B adjoint = group.get(g + i * n, c), number = group.get(x + i * n, c);
        total[c] += adjoint;
        if constexpr (of_columns)
          total[columns + c] += adjoint * (number - center[c]);
        else
          total[columns + c] +=
              adjoint * ((number - moments[4 * i] - moments[4 * i + 1]) * moments[4 * i + 3]);
      }
    });
    for (std::size_t c = 0; c < columns; ++c) {
      B product = totals[columns + c];
      if constexpr (of_columns)
        product = (product - group.get(moments + n, c) * totals[c]) * group.get(moments + 3 * n, c);
      group.set(sums, c, totals[c]);
      group.set(sums + n, c, product);
    }
  });
}

template <class B, class T>
void normalize_columns_gradient(T* dx, bool accumulate, const T* g, const T* x, const T* gamma,
                                const T* moments, const T* sums, std::size_t rows, std::size_t n) {
  const T share = T(1) / static_cast<T>(rows);
  for_column_groups<B>(rows, n, [&]<std::size_t columns>(const ColumnGroup<B, columns>& group) {
    B center[columns], scale[columns], slope[columns], level[columns];
    for (std::size_t c = 0; c < columns; ++c) {
      const B inverse = group.get(moments + 3 * n, c);
      center[c] = group.get(moments, c);
      scale[c] = group.get(gamma, c) * inverse;
      slope[c] = group.get(sums + n, c) * share * inverse;
      level[c] = group.get(sums, c) * share - group.get(moments + n, c) * slope[c];
    }
    group.each([&](std::size_t i, std::size_t c) {
      const B d = group.get(g + i * n, c) - level[c] - (group.get(x + i * n, c) - center[c]) * slope[c];
      group.set(dx + i * n, c, scale[c] * d, accumulate);
    });
  });
}

template <class B, class T>
void normalize_rows_gradient(T* dx, bool accumulate, const T* g, const T* x, const T* gamma, const T* moments,
                             std::size_t rows, std::size_t n) {
  const Line<B, true> line(n, 1, 1);
  const T share = T(1) / static_cast<T>(n);
  const B zero(T(0));
  for (std::size_t i = 0; i < rows; ++i, x += n, g += n, dx += n, moments += 4) {
    const T center = moments[0], inv = moments[3], lack = moments[1] * inv;
    const auto adjoint = [&](std::size_t j, std::size_t left) {
      return B(load(g + j, left, zero) * load(gamma + j, left, zero));
    };
    const auto normalized = [&](std::size_t j, std::size_t left) {
      return B((load(x + j, left, B(center)) - center) * inv - lack);
    };
    const B sum = line.sum(adjoint) * share;
    const B product = line.sum([&](std::size_t j, std::size_t left) {
      return B(adjoint(j, left) * normalized(j, left));
    }) * share;
    line.each([&](std::size_t j, std::size_t left) {
      store(dx + j, left, accumulate, B(inv * (adjoint(j, left) - sum - normalized(j, left) * product)));
    });
  }
}

}  // namespace xtape::detail
