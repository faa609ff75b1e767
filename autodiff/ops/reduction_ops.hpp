// The operations behind reductions.hpp. Sum and Expand are each other's derivative.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>

#include "../elementwise.hpp"
#include "../kernels/kernels.hpp"
#include "../layout.hpp"
#include "../reductions.hpp"
#include "../tape/op.hpp"

namespace xtape::detail {

/// A reduced tensor with its axes back as size 1, so that it broadcasts against `wide`.
template <class T>
Tensor<T> with_axes(const Tensor<T>& reduced, const Shape& wide, unsigned mask) {
  return reshape(reduced, Dims(reduced_shape(wide, mask, true)));
}

/// The masked axes, where they lie side by side; none otherwise.
struct AxisRun {
  std::size_t first = 0, axes = 0;

  explicit AxisRun(unsigned mask) {
    if (mask == 0) return;
    while (!(mask >> first & 1u)) ++first;
    const unsigned run = mask >> first;
    if ((run & (run + 1)) == 0) axes = bit_count(run);
  }
};

template <class T>
struct Expand;

/// y = Σ x over the masked axes.
template <class T>
struct Sum {
  static constexpr bool accumulates = true;
  unsigned mask;
  bool keepdims;
  static constexpr const char* name = "sum";

  Shape shape(const Shape& x) const { return reduced_shape(x, mask, keepdims); }
  void compute(Target<T> y, const Tensor<T>& x) const {
    if (!y.accumulate) std::fill_n(y.data, element_count(shape(x.shape()), name), T(0));
    add_sum(y.data, x.data(), x.shape(), mask);
  }
  void backward(Gradients<T>& d) const { d.add(0, Expand<T>{d.shape(0), mask, keepdims}, d.adjoint); }
};

/// y = x, repeated along the masked axes of the shape `to`.
template <class T>
struct Expand {
  static constexpr bool accumulates = true;
  Shape to;
  unsigned mask;
  bool keepdims;
  static constexpr const char* name = "expand";

  Shape shape(const Shape&) const { return to; }
  void compute(Target<T> y, const Tensor<T>& x) const {
    copy_from_strided(y.data, y.accumulate, x.data(), to,
                      broadcast_strides(reduced_shape(to, mask, true), to));
  }
  void backward(Gradients<T>& d) const { d.add(0, Sum<T>{mask, keepdims}, d.adjoint); }
};

/// The largest or smallest element over the masked axes.
template <class T, bool largest>
struct Extreme {
  unsigned mask;
  bool keepdims;
  static constexpr const char* name = largest ? "max" : "min";

  Shape shape(const Shape& x) const { return reduced_shape(x, mask, keepdims); }
  void compute(Target<T> y, const Tensor<T>& x) const {
    constexpr T start = largest ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::infinity();
    const Kernels<T>& k = kernels<T>();
    const auto chosen = largest ? k.max : k.min;
    const auto fold = largest ? k.max_rows : k.min_rows;
    std::fill_n(y.data, element_count(shape(x.shape()), name), start);
    reduce(
        y.data, x.data(), x.shape(), mask,
        [&](T* to, const T* from, std::size_t n) {
          fold_rows(
              to, from, n, 1, start,
              [&](T* part, const T* at, std::size_t m, std::size_t) {
                const T pair[2] = {*part, chosen(at, m)};
                *part = chosen(pair, 2);
              },
              fold);
        },
        [&](T* to, const T* from, std::size_t m, std::size_t n) {
          fold_rows(to, from, m, n, start, fold, fold);
        });
  }
  static constexpr unsigned keeps(unsigned) { return keep_input(0) | keep_output; }
  void backward(Gradients<T>& d) const {
    const Tensor<T> x = d.input(0), y = d.output();
    if (const AxisRun run(mask); run.axes != 0 && !d.creates_graph())
      return d.accumulate(0, [&](Target<T> dx) {
        for_each_slab(x.shape(), run.first, run.axes,
                      [&](std::size_t first, std::size_t at, std::size_t n, std::size_t inner) {
                        kernels<T>().extreme_gradient(dx.data + first, dx.accumulate, d.adjoint.data() + at,
                                                      x.data() + first, y.data() + at, n, inner);
                      });
      });
    const Tensor<T> best = equal(x, with_axes(y, x.shape(), mask));
    const Tensor<T> share = best / apply<T>(Sum<T>{mask, true}, best);
    d.add(0, with_axes(d.adjoint, x.shape(), mask) * share);
  }
};

/// √Σ x² over the masked axes, by the plain sum of squares unless that leaves the normal range.
template <class T>
struct Norm {
  unsigned mask;
  bool keepdims;
  static constexpr const char* name = "norm";

  Shape shape(const Shape& x) const { return reduced_shape(x, mask, keepdims); }
  void compute(Target<T> y, const Tensor<T>& x) const {
    const std::size_t n = element_count(shape(x.shape()), name);
    std::fill_n(y.data, n, T(0));
    add_sum(y.data, x.data(), x.shape(), mask, kernels<T>().sum_of_squares, kernels<T>().add_squared_rows);
    constexpr T low = std::numeric_limits<T>::min() / std::numeric_limits<T>::epsilon();
    const bool normal = std::all_of(y.data, y.data + n, [](T s) { return s >= low && std::isfinite(s); });
    if (normal || x.size() == 0) {
      for (std::size_t i = 0; i < n; ++i) y.data[i] = std::sqrt(y.data[i]);
      return;
    }
    const Tensor<T> largest = apply<T>(Extreme<T, true>{mask, true}, abs(x.detach()));
    const Tensor<T> unit =
        where(equal(largest, 0) + equal(largest, std::numeric_limits<T>::infinity()), 1, largest);
    const Tensor<T> scaled = unit * sqrt(apply<T>(Sum<T>{mask, true}, square(x.detach() / unit)));
    std::copy_n(scaled.data(), n, y.data);
  }
  static constexpr unsigned keeps(unsigned) { return keep_input(0) | keep_output; }
  void backward(Gradients<T>& d) const {
    const Tensor<T> x = d.input(0), y = d.output();
    if (const AxisRun run(mask); run.axes != 0 && !d.creates_graph())
      return d.accumulate(0, [&](Target<T> dx) {
        for_each_slab(x.shape(), run.first, run.axes,
                      [&](std::size_t first, std::size_t at, std::size_t n, std::size_t inner) {
                        const auto part = [&](std::size_t start, std::size_t end) {
                          kernels<T>().norm_gradient(dx.data + first + start, dx.accumulate,
                                                     d.adjoint.data() + at, x.data() + first + start,
                                                     y.data() + at, end - start, inner);
                        };
                        if (n == x.size())
                          for_blocks(n, n, part);
                        else
                          part(0, n);
                      });
      });
    // x / y first: g / y could leave the normal range.
    const auto wide = [&](const Tensor<T>& reduced) { return with_axes(reduced, x.shape(), mask); };
    if (!contains(y, 0)) return d.add(0, wide(d.adjoint) * (x / wide(y)));
    const Tensor<T> at_zero = equal(y, 0), zero = wide(at_zero);
    const Tensor<T> limit = where(zero, x, 0) * wide(d.adjoint_slope(at_zero));
    d.add(0, where(zero, limit, wide(d.adjoint) * (x / wide(where(at_zero, 1, y)))));
  }
};

/// Σ x² over the masked axes.
template <class T>
struct SquaredNorm {
  unsigned mask;
  bool keepdims;
  static constexpr const char* name = "squared_norm";

  Shape shape(const Shape& x) const { return reduced_shape(x, mask, keepdims); }
  void compute(Target<T> y, const Tensor<T>& x) const {
    std::fill_n(y.data, element_count(shape(x.shape()), name), T(0));
    add_sum(y.data, x.data(), x.shape(), mask, kernels<T>().sum_of_squares, kernels<T>().add_squared_rows);
  }
  static constexpr unsigned keeps(unsigned) { return keep_input(0); }
  void backward(Gradients<T>& d) const {
    const Tensor<T> x = d.input(0);
    d.add(0, with_axes(2 * d.adjoint, x.shape(), mask) * x);
  }
};

/// Over `axes` axes from `axis` on.
template <class T>
struct LogSumExp {
  std::size_t axis, axes;
  bool keepdims;
  static constexpr const char* name = "logsumexp";

  unsigned mask() const { return ((1u << axes) - 1u) << axis; }
  Shape shape(const Shape& x) const { return reduced_shape(x, mask(), keepdims); }
  void compute(Target<T> y, const Tensor<T>& x) const {
    const auto kernel = kernels<T>().logsumexp;
    for_each_slab(
        x.shape(), axis, axes, [&](std::size_t first, std::size_t at, std::size_t n, std::size_t inner) {
          const T* const from = x.data() + first;
          if (n != x.size() || n < parallel_size) return kernel(y.data + at, nullptr, from, n, inner);
          PoolVector<T> parts(quotient_up(n, part_size));
          parallel_for(parts.size(), [&](std::size_t i) {
            kernel(&parts[i], nullptr, from + i * part_size, std::min(part_size, n - i * part_size), 1);
          });
          kernel(y.data, nullptr, parts.data(), parts.size(), 1);
        });
  }
  static constexpr unsigned keeps(unsigned) { return keep_input(0) | keep_output; }
  void backward(Gradients<T>& d) const {
    const Tensor<T> x = d.input(0), y = d.output();
    constexpr T infinity = std::numeric_limits<T>::infinity();
    const bool infinite = contains(y, infinity);
    if (d.creates_graph() || infinite) {
      const auto wide = [&](const Tensor<T>& reduced) { return with_axes(reduced, x.shape(), mask()); };
      // Where all of a line is −∞ the difference would be NaN; its gradient is 0. A single +∞ takes all of
      // it.
      const Tensor<T> difference = x - wide(where(equal(y, -infinity), 0, y));
      if (!infinite) return d.add(0, wide(d.adjoint) * exp(difference));
      const Tensor<T> largest = equal(x, infinity), count = apply<T>(Sum<T>{mask(), true}, largest);
      const Tensor<T> share = where(count > 1, std::numeric_limits<T>::quiet_NaN(), wide(d.adjoint));
      return d.add(0, share * exp(where(largest, 0, difference)));
    }
    d.accumulate(0, [&](Target<T> dx) {
      for_each_slab(x.shape(), axis, axes,
                    [&](std::size_t first, std::size_t at, std::size_t n, std::size_t inner) {
                      const auto part = [&](std::size_t start, std::size_t end) {
                        kernels<T>().logsumexp_gradient(dx.data + first + start, dx.accumulate,
                                                        d.adjoint.data() + at, x.data() + first + start,
                                                        y.data() + at, nullptr, end - start, inner);
                      };
                      if (n == x.size())
                        for_blocks(n, n, part);
                      else
                        part(0, n);
                    });
    });
  }
};

template <class T>
struct Softmax {
  std::size_t axis;
  static constexpr const char* name = "softmax";

  Shape shape(const Shape& x) const { return x; }
  void compute(Target<T> y, const Tensor<T>& x) const {
    for_each_slab(x.shape(), axis, 1, [&](std::size_t first, std::size_t, std::size_t n, std::size_t inner) {
      kernels<T>().softmax(y.data + first, x.data() + first, n, inner);
    });
  }
  static constexpr unsigned keeps(unsigned) { return keep_output; }
  void backward(Gradients<T>& d) const {
    const Tensor<T> y = d.output();
    if (d.creates_graph()) return d.add(0, y * (d.adjoint - sum(d.adjoint * y, axis, true)));
    d.accumulate(0, [&](Target<T> dx) {
      for_each_slab(y.shape(), axis, 1,
                    [&](std::size_t first, std::size_t, std::size_t n, std::size_t inner) {
                      kernels<T>().softmax_gradient(dx.data + first, dx.accumulate, d.adjoint.data() + first,
                                                    y.data() + first, n, inner);
                    });
    });
  }
};

template <class T>
struct LogSoftmax {
  std::size_t axis;
  static constexpr const char* name = "log_softmax";

  Shape shape(const Shape& x) const { return x; }
  void compute(Target<T> y, const Tensor<T>& x) const {
    for_each_slab(x.shape(), axis, 1, [&](std::size_t first, std::size_t, std::size_t n, std::size_t inner) {
      kernels<T>().log_softmax(y.data + first, x.data() + first, n, inner);
    });
  }
  static constexpr unsigned keeps(unsigned) { return keep_output; }
  void backward(Gradients<T>& d) const {
    const Tensor<T> y = d.output();
    if (d.creates_graph()) return d.add(0, d.adjoint - exp(y) * sum(d.adjoint, axis, true));
    d.accumulate(0, [&](Target<T> dx) {
      for_each_slab(y.shape(), axis, 1,
                    [&](std::size_t first, std::size_t, std::size_t n, std::size_t inner) {
                      kernels<T>().log_softmax_gradient(dx.data + first, dx.accumulate,
                                                        d.adjoint.data() + first, y.data() + first, n, inner);
                    });
    });
  }
};

template <class T>
struct CumulativeSum {
  static constexpr bool accumulates = true;
  std::size_t axis;
  bool reverse;
  static constexpr const char* name = "cumsum";

  Shape shape(const Shape& x) const { return x; }
  void compute(Target<T> y, const Tensor<T>& x) const {
    for_each_slab(x.shape(), axis, 1, [&](std::size_t first, std::size_t, std::size_t n, std::size_t inner) {
      for (std::size_t column = first; column < first + inner; ++column) {
        Wider<T> total = 0;  // each sum is rounded once, and none is built on rounded ones
        for (std::size_t k = 0; k < n; ++k) {
          const std::size_t i = column + (reverse ? n - 1 - k : k) * inner;
          total += x.data()[i];
          y.data[i] = static_cast<T>(y.accumulate ? y.data[i] + total : total);
        }
      }
    });
  }
  void backward(Gradients<T>& d) const { d.add(0, CumulativeSum{axis, !reverse}, d.adjoint); }
};

}  // namespace xtape::detail
