// Mean, variance and standard deviation: what is behind reductions.hpp.
#pragma once
#include <algorithm>
#include <cmath>

#include "../base/pool_vector.hpp"
#include "reduction_ops.hpp"

namespace xtape::detail {

/// y = Σ x / count over the masked axes. Divided, not multiplied by 1 / count: the mean of ones is 1.
template <class T>
struct Mean {
  unsigned mask;
  bool keepdims;
  T count;
  static constexpr const char* name = "mean";

  Shape shape(const Shape& x) const { return reduced_shape(x, mask, keepdims); }
  void compute(Target<T> y, const Tensor<T>& x) const {
    const std::size_t n = element_count(shape(x.shape()), name);
    std::fill_n(y.data, n, T(0));
    add_sum(y.data, x.data(), x.shape(), mask);
    for (std::size_t i = 0; i < n; ++i) y.data[i] /= count;
  }
  void backward(Gradients<T>& d) const { d.add(0, Expand<T>{d.shape(0), mask, keepdims}, d.adjoint / count); }
};

/// y = Σ (x − mean)² / divisor over the masked axes, which lie side by side.
template <class T>
struct Variance {
  unsigned mask;
  bool keepdims;
  T divisor;
  ValueRef moments;  ///< of each line, (…, 3, inner): as Kernels::moments writes them
  static constexpr const char* name = "var";

  Variance(const Shape& x, unsigned axes, bool keep, T n)
      : mask(axes),
        keepdims(keep),
        divisor(n),
        moments(make_value({3, element_count(reduced_shape(x, axes, true), name)}, sizeof(T), name)) {}

  Shape shape(const Shape& x) const { return reduced_shape(x, mask, keepdims); }
  void compute(Target<T> y, const Tensor<T>& x) const {
    each_slab(x.shape(), [&](std::size_t first, std::size_t at, std::size_t n, std::size_t inner) {
      T* const to = of_lines() + 3 * at;
      const std::size_t block = std::max<std::size_t>(64, part_size / inner), blocks = quotient_up(n, block);
      if (n * inner != x.size() || n * inner < parallel_size || blocks < 2) {
        kernels<T>().moments(to, x.data() + first, n, inner);
      } else {
        PoolVector<T> parts(blocks * 3 * inner);
        parallel_for(blocks, [&](std::size_t i) {
          kernels<T>().moments(&parts[3 * inner * i], x.data() + i * block * inner,
                               std::min(block, n - i * block), inner);
        });
        for (std::size_t j = 0; j < inner; ++j) join(to + j, &parts[j], n, block, inner);
      }
      for (std::size_t j = 0; j < inner; ++j) y.data[at + j] = to[2 * inner + j] / divisor;
    });
  }
  static constexpr unsigned keeps(unsigned) { return keep_input(0); }
  void backward(Gradients<T>& d) const {
    const Tensor<T> x = d.input(0);
    if (d.creates_graph()) {
      // By deviations from a constant next to the mean, which lose no digits.
      Tensor<T> mean = Tensor<T>::uninitialized(reduced_shape(x.shape(), mask, true));
      each_slab(x.shape(), [&](std::size_t, std::size_t at, std::size_t, std::size_t inner) {
        std::copy_n(of_lines() + 3 * at, inner, mean.mutable_data() + at);
      });
      const Tensor<T> near = x - mean;
      const T count = static_cast<T>(x.size()) / static_cast<T>(mean.size());
      const Tensor<T> deviation = near - apply<T>(Mean<T>{mask, true, count}, near);
      return d.add(0, with_axes(2 * d.adjoint / divisor, x.shape(), mask) * deviation);
    }
    d.accumulate(0, [&](Target<T> dx) {
      each_slab(x.shape(), [&](std::size_t first, std::size_t at, std::size_t n, std::size_t inner) {
        const T *const mean = of_lines() + 3 * at, *const rest = mean + inner;
        const auto part = [&](std::size_t start, std::size_t end) {
          for (std::size_t k = start; k < end; ++k)
            for (std::size_t j = 0; j < inner; ++j) {
              const std::size_t i = first + k * inner + j;
              const T slope = 2 * d.adjoint.data()[at + j] / divisor * (x.data()[i] - mean[j] - rest[j]);
              dx.data[i] = dx.accumulate ? dx.data[i] + slope : slope;
            }
        };
        if (n * inner == x.size())
          for_blocks(n, x.size(), part);
        else
          part(0, n);
      });
    });
  }

 private:
  T* of_lines() const { return reinterpret_cast<T*>(moments->data); }
  template <class F>
  void each_slab(const Shape& x, const F& f) const {
    const AxisRun run(mask);
    for_each_slab(x, run.first, run.axes, f);
  }
  /// The moments of a line of n numbers from those of its blocks.
  static void join(T* to, const T* parts, std::size_t n, std::size_t block, std::size_t inner) {
    const T mean = parts[0];
    const auto each = [&](const auto& f) {
      double sum = 0;
      for (std::size_t start = 0; start < n; start += block) {
        const T* const part = parts + start / block * 3 * inner;
        sum += f(static_cast<double>(std::min(block, n - start)), double(part[0] - mean) + part[inner],
                 double(part[2 * inner]));
      }
      return sum;
    };
    const double rest = each([](double count, double off, double) { return count * off; }) / double(n);
    to[0] = mean;
    to[inner] = static_cast<T>(rest);
    to[2 * inner] = static_cast<T>(each([rest](double count, double off, double squares) {
      return squares + count * (off - rest) * (off - rest);
    }));
  }
};

/// y = √v; the derivative is 0 where v is 0.
template <class T>
struct StandardDeviation {
  static constexpr const char* name = "std";

  Shape shape(const Shape& v) const { return v; }
  void compute(Target<T> y, const Tensor<T>& v) const {
    std::transform(v.data(), v.data() + v.size(), y.data, [](T x) { return std::sqrt(x); });
  }
  static constexpr unsigned keeps(unsigned) { return keep_output; }
  void backward(Gradients<T>& d) const {
    const Tensor<T> y = d.output(), at_zero = equal(y, 0);
    d.add(0, where(at_zero, d.adjoint_slope(at_zero) / 2, d.adjoint / (2 * where(at_zero, 1, y))));
  }
};

}  // namespace xtape::detail
