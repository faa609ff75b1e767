// Mean, variance and standard deviation: what is behind reductions.hpp.
#pragma once
#include <algorithm>
#include <cmath>

#include "../base/pool_vector.hpp"
#include "../elementwise.hpp"
#include "../layout.hpp"
#include "reduction_ops.hpp"

namespace xtape::detail {

/// y = Σ x / count over the masked axes. Divided, not multiplied by 1 / count: the mean of ones is 1.
template <class T>
struct Mean {
  unsigned mask;
  bool keepdims;
  T count;
  static constexpr const char* name = "mean";
  bool operator==(const Mean&) const = default;
  Mean batched(const Shape&) const { return {mask << 1, keepdims, count}; }
  Tensor<T> decomposed(const Tensor<T>& x) const { return apply<T>(Sum<T>{mask, keepdims}, x) / count; }

  Shape shape(const Shape& x) const { return reduced_shape(x, mask, keepdims); }
  void compute(Target<T> y, const Tensor<T>& x) const {
    std::fill_n(y.data, y.size, T(0));
    add_sum(y.data, x.data(), x.shape(), mask);
    for (std::size_t i = 0; i < y.size; ++i) y.data[i] /= count;
  }
  static constexpr bool is_linear = true;
  void backward(Gradients<T>& d) const { d.add(0, Expand<T>{d.shape(0), mask, keepdims}, d.adjoint / count); }
};

/// The moments of each line along the masked axes, which lie side by side: (…, 4, inner), as Kernels::moments
/// writes them. They have no gradient of their own: what is computed with their help gives that of x.
template <class T>
Tensor<T> axis_mean(const Tensor<T>& x, unsigned mask) {
  const T count = static_cast<T>(x.size()) / static_cast<T>(reduced_count(x.shape(), mask));
  return apply<T>(Sum<T>{mask, true}, x) / count;
}

template <class T>
struct AxisMoments {
  unsigned mask;
  T epsilon = 0;
  static constexpr const char* name = "moments";
  bool operator==(const AxisMoments&) const = default;
  AxisMoments batched(const Shape&) const { return {mask << 1, epsilon}; }

  Shape shape(const Shape& x) const {
    Shape result{1, 4, 1};  // lines as each_slab() takes them
    for (std::size_t i = 0; i < x.size(); ++i)
      if (!(mask >> i & 1u)) result[mask != 0 && mask >> i == 0 ? 2 : 0] *= x[i];
    return result;
  }
  Tensor<T> decomposed(const Tensor<T>& x) const {
    const Tensor<T> mean = axis_mean(x, mask), squares = apply<T>(Sum<T>{mask, true}, square(x - mean));
    const Shape lines = shape(x.shape());
    const T count = static_cast<T>(x.size()) / static_cast<T>(lines[0] * lines[2]);
    std::vector<Tensor<T>> rows;
    for (const Tensor<T>& row : {mean, 0 * mean, squares, reciprocal(sqrt(squares / count + epsilon))})
      rows.push_back(reshape(row, Dims{lines[0], std::size_t{1}, lines[2]}));
    return concatenate<T>(rows, 1);
  }
  void compute(Target<T> y, const Tensor<T>& x) const {
    each_slab(x.shape(), mask, [&](std::size_t first, std::size_t at, std::size_t n, std::size_t inner) {
      T* const to = y.data + 4 * at;
      const std::size_t block = std::max<std::size_t>(64, part_size / inner), blocks = quotient_up(n, block);
      if (n * inner != x.size() || n * inner < parallel_size || blocks < 2)
        return kernels<T>().moments(to, x.data() + first, n, inner, epsilon);
      PoolVector<T> parts(blocks * 4 * inner);
      parallel_for(blocks, [&](std::size_t i) {
        kernels<T>().moments(&parts[4 * inner * i], x.data() + i * block * inner,
                             std::min(block, n - i * block), inner, epsilon);
      });
      for (std::size_t j = 0; j < inner; ++j) join(to + j, &parts[j], n, block, inner);
    });
  }

 private:
  /// The moments of a line of n numbers from those of its blocks.
  void join(T* to, const T* parts, std::size_t n, std::size_t block, std::size_t inner) const {
    const T mean = parts[0];
    const auto each = [&](const auto& f) {
      double sum = 0;
      for (std::size_t start = 0; start < n; start += block) {
        const T* const part = parts + start / block * 4 * inner;
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
    const T variance = to[2 * inner] / static_cast<T>(n) + epsilon;
    to[3 * inner] = variance == 0 ? T(0) : 1 / std::sqrt(variance);
  }
};

/// dx = 2 g (x − mean) / divisor
template <class T>
struct VarianceGradient {
  static constexpr bool accumulates = true;
  unsigned mask;
  bool keepdims;
  T divisor;
  static constexpr const char* name = "var_gradient";
  bool operator==(const VarianceGradient&) const = default;
  VarianceGradient batched(const Shape&) const { return {mask << 1, keepdims, divisor}; }
  Tensor<T> decomposed(const Tensor<T>& g, const Tensor<T>& x, const Tensor<T>&) const {
    return (2 / divisor) * with_axes(g, x.shape(), mask) * (x - axis_mean(x, mask));
  }

  Shape shape(const Shape&, const Shape& x, const Shape&) const { return x; }
  void compute(Target<T> dx, const Tensor<T>& g, const Tensor<T>& x, const Tensor<T>& moments) const {
    each_slab_by_rows(
        x.shape(), mask, [&](std::size_t first, std::size_t at, std::size_t n, std::size_t inner) {
          const T *const mean = moments.data() + 4 * at, *const rest = mean + inner;
          for (std::size_t k = 0; k < n; ++k)
            for (std::size_t j = 0; j < inner; ++j) {
              const std::size_t i = first + k * inner + j;
              const T slope = 2 * g.data()[at + j] / divisor * (x.data()[i] - mean[j] - rest[j]);
              dx.data[i] = dx.accumulate ? dx.data[i] + slope : slope;
            }
        });
  }
  static constexpr unsigned keeps(unsigned i) {
    return i == 0 ? keep_input(1) | keep_input(2) : keep_input(0);
  }
  void tangent(Tangents<T>& t) const {
    const Tensor<T> g = t.input(0), moments = t.input(2);
    if (t.has(0)) t.add(*this, t.of(0), t.input(1), moments);
    if (t.has(1)) t.add(of_deviation(g, t.of(1)));
  }
  void backward(Gradients<T>& d) const {
    const Tensor<T>& h = d.adjoint;
    if (d.needs(0)) d.add(0, along(*this, h, d.input(1), d.input(2)));
    if (d.needs(1)) d.add(1, of_deviation(d.input(0), h));
  }

 private:
  /// 2 g (v − its mean) / divisor: how dx moves when x does by v, and a symmetric map of v.
  Tensor<T> of_deviation(const Tensor<T>& g, const Tensor<T>& v) const {
    const T count = static_cast<T>(v.size()) / static_cast<T>(g.size());
    return with_axes(2 * g / divisor, v.shape(), mask) * (v - apply<T>(Mean<T>{mask, true, count}, v));
  }
};

/// y = Σ (x − mean)² / divisor over the masked axes, which lie side by side.
template <class T>
struct Variance {
  unsigned mask;
  bool keepdims;
  T divisor;
  static constexpr const char* name = "var";
  bool operator==(const Variance&) const = default;
  Variance batched(const Shape&) const { return {mask << 1, keepdims, divisor}; }
  Tensor<T> decomposed(const Tensor<T>& x, const Tensor<T>&) const {
    return apply<T>(Sum<T>{mask, keepdims}, square(x - axis_mean(x, mask))) / divisor;
  }

  Shape shape(const Shape& x, const Shape&) const { return reduced_shape(x, mask, keepdims); }
  void compute(Target<T> y, const Tensor<T>& x, const Tensor<T>& moments) const {
    each_slab(x.shape(), mask, [&](std::size_t, std::size_t at, std::size_t, std::size_t inner) {
      for (std::size_t j = 0; j < inner; ++j)
        y.data[at + j] = moments.data()[4 * at + 2 * inner + j] / divisor;
    });
  }
  static constexpr unsigned keeps(unsigned) { return keep_input(0) | keep_input(1); }
  void tangent(Tangents<T>& t) const {
    t.add(along(VarianceGradient<T>{mask, keepdims, divisor}, t.of(0), t.input(0), t.input(1)));
  }
  void backward(Gradients<T>& d) const {
    d.add(0, VarianceGradient<T>{mask, keepdims, divisor}, d.adjoint, d.input(0), d.input(1));
  }
};

/// y = √v; the derivative is 0 where v is 0.
template <class T>
struct StandardDeviation {
  static constexpr const char* name = "std";
  StandardDeviation batched(const Shape&) const { return {}; }
  Tensor<T> decomposed(const Tensor<T>& v) const {
    const Tensor<T> at_zero = equal(v, 0);
    return where(at_zero, 0, sqrt(where(at_zero, 1, v)));
  }

  Shape shape(const Shape& v) const { return v; }
  void compute(Target<T> y, const Tensor<T>& v) const {
    std::transform(v.data(), v.data() + v.size(), y.data, [](T x) { return std::sqrt(x); });
  }
  static constexpr unsigned keeps(unsigned) { return keep_output; }
  void tangent(Tangents<T>& t) const {
    const Tensor<T> y = t.output(), at_zero = equal(y, 0);
    t.add(where(at_zero, 0, t.of(0) / (2 * where(at_zero, 1, y))));
  }
  void backward(Gradients<T>& d) const {
    const Tensor<T> y = d.output(), at_zero = equal(y, 0);
    d.add(0, where(at_zero, d.adjoint_slope(at_zero) / 2, d.adjoint / (2 * where(at_zero, 1, y))));
  }
};

}  // namespace xtape::detail
