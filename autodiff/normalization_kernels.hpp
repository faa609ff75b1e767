// Kernels of batch and layer normalisation: x̂ = (x − mean) · inverse, y = gamma x̂ + beta.
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
  /// total[c] = Σ f(row, c); blocks of rows are summed first, which keeps the error small.
  template <class F>
  void sum(B (&total)[columns], const F& f) const {
    constexpr std::size_t block = 64;
    for (B& t : total) t = T(0);
    for (std::size_t start = 0; start < rows; start += block) {
      B part[columns];
      for (B& p : part) p = T(0);
      const std::size_t end = rows - start < block ? rows : start + block;
      for (std::size_t i = start; i < end; ++i)
        for (std::size_t c = 0; c < columns; ++c) part[c] += f(i * n, c);
      for (std::size_t c = 0; c < columns; ++c) total[c] += part[c];
    }
  }
  template <class F>
  void each(const F& f) const {
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t c = 0; c < columns; ++c) f(i * n, c);
  }

 private:
  std::size_t left(std::size_t c) const { return n - first - c * B::size; }
};

/// f(group) for all columns of (rows, n), four batches at a time as long as they last.
template <class B, class F>
void for_column_groups(std::size_t rows, std::size_t n, const F& f) {
  std::size_t j = 0;
  for (; j + 3 * B::size < n; j += 4 * B::size) f(ColumnGroup<B, 4>{rows, n, j});
  for (; j < n; j += B::size) f(ColumnGroup<B, 1>{rows, n, j});
}

template <class B, class T>
void batch_norm(T* y, T* mean, T* inverse, const T* x, const T* gamma, const T* beta, std::size_t rows,
                std::size_t n, T epsilon) {
  const T share = T(1) / static_cast<T>(rows);
  for_column_groups<B>(rows, n, [&]<std::size_t columns>(const ColumnGroup<B, columns>& group) {
    B center[columns], scale[columns], shift[columns];
    group.sum(center, [&](std::size_t row, std::size_t c) { return group.get(x + row, c); });
    for (B& c : center) c *= share;
    group.sum(scale, [&](std::size_t row, std::size_t c) {
      const B d = group.get(x + row, c) - center[c];
      return d * d;
    });
    for (std::size_t c = 0; c < columns; ++c) {
      const B inv = T(1) / xsimd::sqrt(scale[c] * share + epsilon);
      group.set(mean, c, center[c]);
      group.set(inverse, c, inv);
      scale[c] = group.get(gamma, c) * inv;
      shift[c] = group.get(beta, c);
    }
    group.each([&](std::size_t row, std::size_t c) {
      group.set(y + row, c, (group.get(x + row, c) - center[c]) * scale[c] + shift[c]);
    });
  });
}

template <class B, class T>
void batch_norm_gradient(T* dx, bool accumulate, T* dgamma, T* dbeta, const T* g, const T* x, const T* gamma,
                         const T* mean, const T* inverse, std::size_t rows, std::size_t n) {
  const T share = T(1) / static_cast<T>(rows);
  for_column_groups<B>(rows, n, [&]<std::size_t columns>(const ColumnGroup<B, columns>& group) {
    B center[columns], sums[columns], products[columns];
    for (std::size_t c = 0; c < columns; ++c) center[c] = group.get(mean, c);
    group.sum(sums, [&](std::size_t row, std::size_t c) { return group.get(g + row, c); });
    group.sum(products, [&](std::size_t row, std::size_t c) {
      return group.get(g + row, c) * (group.get(x + row, c) - center[c]);
    });
    B scale[columns];
    for (std::size_t c = 0; c < columns; ++c) {
      const B inv = group.get(inverse, c);
      group.set(dbeta, c, sums[c], true);
      group.set(dgamma, c, products[c] * inv, true);
      scale[c] = group.get(gamma, c) * inv;
      sums[c] *= share;
      products[c] *= share * inv * inv;
    }
    if (dx)
      group.each([&](std::size_t row, std::size_t c) {
        const B d = group.get(g + row, c) - sums[c] - (group.get(x + row, c) - center[c]) * products[c];
        group.set(dx + row, c, scale[c] * d, accumulate);
      });
  });
}

template <class B, class T>
void layer_norm(T* y, T* mean, T* inverse, const T* x, const T* gamma, const T* beta, std::size_t rows,
                std::size_t n, T epsilon) {
  const T share = T(1) / static_cast<T>(n);
  const B zero(T(0));
  for (std::size_t i = 0; i < rows; ++i, x += n, y += n) {
    const T center = pairwise_sum<B>(x, n, [](const B& a) { return a; }) * share;
    B squares = zero;
    for (std::size_t j = 0; j < n; j += B::size) {
      const B d = load(x + j, n - j, B(center)) - center;
      squares += d * d;
    }
    const T inv = (T(1) / xsimd::sqrt(B(xsimd::hadd(squares) * share + epsilon))).get(0);
    mean[i] = center;
    inverse[i] = inv;
    for (std::size_t j = 0; j < n; j += B::size) {
      const std::size_t left = n - j;
      store(y + j, left,
            B((load(x + j, left, zero) - center) * inv * load(gamma + j, left, zero) +
              load(beta + j, left, zero)));
    }
  }
}

template <class B, class T>
void layer_norm_gradient(T* dx, bool accumulate, T* dgamma, T* dbeta, const T* g, const T* x, const T* gamma,
                         const T* mean, const T* inverse, std::size_t rows, std::size_t n) {
  const T share = T(1) / static_cast<T>(n);
  const B zero(T(0));
  for (std::size_t i = 0; i < rows; ++i, x += n, g += n) {
    const T center = mean[i], inv = inverse[i];
    const auto normalized = [&](std::size_t j) { return (load(x + j, n - j, B(center)) - center) * inv; };
    B sums = zero, products = zero;
    for (std::size_t j = 0; j < n; j += B::size) {
      const std::size_t left = n - j;
      const B adjoint = load(g + j, left, zero), to = normalized(j),
              d = adjoint * load(gamma + j, left, zero);
      sums += d;
      products += d * to;
      store(dbeta + j, left, true, adjoint);
      store(dgamma + j, left, true, B(adjoint * to));
    }
    if (!dx) continue;
    const T mean_sum = xsimd::hadd(sums) * share, mean_product = xsimd::hadd(products) * share;
    for (std::size_t j = 0; j < n; j += B::size) {
      const std::size_t left = n - j;
      const B d = load(g + j, left, zero) * load(gamma + j, left, zero);
      store(dx + j, left, accumulate, B(inv * (d - mean_sum - normalized(j) * mean_product)));
    }
    dx += n;
  }
}

}  // namespace xtape::detail
