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
  /// total[c] = Σ f(i, c) over the rows i. Halves are added, which keeps the error small.
  template <class F>
  void sum(B (&total)[columns], const F& f) const {
    sum(total, f, 0, rows);
  }
  template <class F>
  void each(const F& f) const {
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t c = 0; c < columns; ++c) f(i, c);
  }

 private:
  template <class F>
  void sum(B (&total)[columns], const F& f, std::size_t from, std::size_t count) const {
    for (B& t : total) t = T(0);
    if (count > 64) {
      B second[columns];
      sum(total, f, from, count / 2);
      sum(second, f, from + count / 2, count - count / 2);
      for (std::size_t c = 0; c < columns; ++c) total[c] += second[c];
    } else {
      for (std::size_t i = from; i < from + count; ++i)
        for (std::size_t c = 0; c < columns; ++c) total[c] += f(i, c);
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

template <class B, class T>
void batch_norm(T* y, T* mean, T* inverse, const T* x, const T* gamma, const T* beta, std::size_t rows,
                std::size_t n, T epsilon) {
  const T share = T(1) / static_cast<T>(rows);
  for_column_groups<B>(rows, n, [&]<std::size_t columns>(const ColumnGroup<B, columns>& group) {
    B center[columns], scale[columns], shift[columns];
    group.sum(center, [&](std::size_t i, std::size_t c) { return group.get(x + i * n, c); });
    for (B& c : center) c *= share;
    group.sum(scale, [&](std::size_t i, std::size_t c) {
      const B d = group.get(x + i * n, c) - center[c];
      return d * d;
    });
    for (std::size_t c = 0; c < columns; ++c) {
      const B inv = T(1) / xsimd::sqrt(scale[c] * share + epsilon);
      group.set(mean, c, center[c]);
      group.set(inverse, c, inv);
      scale[c] = group.get(gamma, c) * inv;
      shift[c] = group.get(beta, c);
    }
    group.each([&](std::size_t i, std::size_t c) {
      group.set(y + i * n, c, (group.get(x + i * n, c) - center[c]) * scale[c] + shift[c]);
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
    group.sum(sums, [&](std::size_t i, std::size_t c) { return group.get(g + i * n, c); });
    group.sum(products, [&](std::size_t i, std::size_t c) {
      return group.get(g + i * n, c) * (group.get(x + i * n, c) - center[c]);
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
      group.each([&](std::size_t i, std::size_t c) {
        const B d = group.get(g + i * n, c) - sums[c] - (group.get(x + i * n, c) - center[c]) * products[c];
        group.set(dx + i * n, c, scale[c] * d, accumulate);
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
    const auto squared = [center](const B& a) { return (a - center) * (a - center); };
    const T squares = pairwise_sum<B>(x, n, squared, center);
    const T inv = (T(1) / xsimd::sqrt(B(squares * share + epsilon))).get(0);
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
  // First the columns: dx may take the place of g.
  for_column_groups<B>(rows, n, [&]<std::size_t columns>(const ColumnGroup<B, columns>& group) {
    B sums[columns], products[columns];
    group.sum(sums, [&](std::size_t i, std::size_t c) { return group.get(g + i * n, c); });
    group.sum(products, [&](std::size_t i, std::size_t c) {
      return group.get(g + i * n, c) * ((group.get(x + i * n, c) - mean[i]) * inverse[i]);
    });
    for (std::size_t c = 0; c < columns; ++c) {
      group.set(dbeta, c, sums[c], true);
      group.set(dgamma, c, products[c], true);
    }
  });
  if (!dx) return;
  constexpr std::size_t part = 64 * B::size;
  const T share = T(1) / static_cast<T>(n);
  const B zero(T(0));
  for (std::size_t i = 0; i < rows; ++i, x += n, g += n, dx += n) {
    const T center = mean[i], inv = inverse[i];
    const auto adjoint = [&](std::size_t j) {
      return B(load(g + j, n - j, zero) * load(gamma + j, n - j, zero));
    };
    const auto normalized = [&](std::size_t j) { return B((load(x + j, n - j, B(center)) - center) * inv); };
    B sums = zero, products = zero;
    for (std::size_t start = 0; start < n; start += part) {
      B some = zero, some_products = zero;
      for (std::size_t j = start; j < n && j < start + part; j += B::size) {
        some += adjoint(j);
        some_products += adjoint(j) * normalized(j);
      }
      sums += some;
      products += some_products;
    }
    const T mean_sum = xsimd::hadd(sums) * share, mean_product = xsimd::hadd(products) * share;
    for (std::size_t j = 0; j < n; j += B::size)
      store(dx + j, n - j, accumulate, B(inv * (adjoint(j) - mean_sum - normalized(j) * mean_product)));
  }
}

}  // namespace xtape::detail
