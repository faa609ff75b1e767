// The operations behind reductions.hpp. Sum and Expand are each other's derivative.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "../derivation/code.hpp"
#include "../elementwise.hpp"
#include "../kernels/kernels.hpp"
#include "../layout.hpp"
#include "../notation/axes.hpp"
#include "../reductions.hpp"
#include "../tape/op.hpp"

namespace xtape::detail {

/// A reduced tensor with its axes back as size 1, so that it broadcasts against `wide`.
template <class T>
Tensor<T> with_axes(const Tensor<T>& reduced, const Shape& wide, unsigned mask) {
  return reshape(reduced, Dims(reduced_shape(wide, mask, true)));
}

/// How many elements are left without the masked axes.
inline std::size_t reduced_count(const Shape& x, unsigned mask) {
  std::size_t n = 1;
  for (std::size_t i = 0; i < x.size(); ++i)
    if (!(mask >> i & 1u)) n *= x[i];
  return n;
}

/// Whether the masked axes lie side by side. Where an operation needs that, functions see to it.
inline bool is_run(unsigned mask) {
  const unsigned run = mask >> std::countr_zero(mask | 1u << 31);
  return (run & (run + 1)) == 0;
}

/// f(first, at, n, inner) for each slab (n, inner) of x along the masked axes, which lie side by side: it
/// begins at `first`, and what belongs to its lines at `at` of an array without these axes.
template <class F>
void each_slab(const Shape& x, unsigned mask, const F& f) {
  // With no axis, each element is a line: so it is on a batch, which has one more axis in front.
  for_each_slab(x, mask == 0 ? x.size() : static_cast<std::size_t>(std::countr_zero(mask)), bit_count(mask),
                f);
}

/// f(first, at, n, inner, step) for groups of lines, `inner` side by side, of n elements `step` apart.
template <class F>
void each_lines(const Shape& x, unsigned mask, const F& f) {
  for_each_lines(x, mask == 0 ? x.size() : static_cast<std::size_t>(std::countr_zero(mask)), bit_count(mask),
                 f);
}

/// f(first, n, step) for each line of n elements, `step` apart, along an axis.
template <class F>
void each_line(const Shape& x, std::size_t axis, const F& f) {
  for_each_lines(x, axis, 1,
                 [&](std::size_t first, std::size_t, std::size_t n, std::size_t inner, std::size_t step) {
                   for (std::size_t column = first; column < first + inner; ++column) f(column, n, step);
                 });
}

/// each_slab() for an f that takes each row of a slab by itself, so that a single slab can be shared out,
/// too.
template <class F>
void each_slab_by_rows(const Shape& x, unsigned mask, const F& f) {
  const std::size_t size = element_count(x, "reduce");
  each_slab(x, mask, [&](std::size_t first, std::size_t at, std::size_t n, std::size_t inner) {
    const auto part = [&](std::size_t start, std::size_t end) {
      f(first + start * inner, at, end - start, inner);
    };
    if (n * inner == size)
      for_blocks(n, size, part);
    else
      part(0, n);
  });
}

template <class T>
struct Expand;

/// y = Σ x over the masked axes.
template <class T>
struct Sum {
  static constexpr bool accumulates = true, sums = true;
  unsigned mask;
  bool keepdims;
  static constexpr const char* name = "sum";
  bool operator==(const Sum&) const = default;
  Sum batched(const Shape&) const { return {mask << 1, keepdims}; }
  void write(Notation& to) const { to.set(over_axes("sum", to.x[0], mask, to.shape)); }
  void code(Code& to) const { to.sum(mask); }

  Shape shape(const Shape& x) const { return reduced_shape(x, mask, keepdims); }
  void compute(Target<T> y, const Tensor<T>& x) const {
    if (!y.accumulate) std::fill_n(y.data, y.size, T(0));
    add_sum(y.data, x.data(), x.shape(), mask);
  }
  static constexpr bool is_linear = true;
  void backward(Gradients<T>& d) const { d.add(0, Expand<T>{d.shape(0), mask, keepdims}, d.adjoint); }
};

/// y = x, repeated along the masked axes of the shape `to`.
template <class T>
struct Expand {
  static constexpr bool accumulates = true, repeats = true;
  Shape to;
  unsigned mask;
  bool keepdims;
  static constexpr const char* name = "expand";
  bool operator==(const Expand&) const = default;
  Expand batched(const Shape& x) const { return {with_batch(x, to), mask << 1, keepdims}; }
  void write(Notation& n) const { n.set(n.x[0].broadcast(to)); }
  void code(Code& code) const { code.read(0, broadcast_strides(reduced_shape(to, mask, true), to)); }

  Shape shape(const Shape&) const { return to; }
  void compute(Target<T> y, const Tensor<T>& x) const {
    copy_from_strided(y.data, y.accumulate, x.data(), to,
                      broadcast_strides(reduced_shape(to, mask, true), to));
  }
  static constexpr bool is_linear = true;
  void backward(Gradients<T>& d) const { d.add(0, Sum<T>{mask, keepdims}, d.adjoint); }
};

/// Σ t · dx over the axes of a reduction of x, where dx is its gradient for an adjoint of ones: the tangent
/// of the reduction along t, and, as dx is linear in the adjoint, what its own gradient passes on to that.
/// `kept` is what else `gradient` takes, such as the result.
template <class T, class Gradient>
Tensor<T> along(const Gradient& gradient, const Tensor<T>& t, const Tensor<T>& x, const Tensor<T>& kept) {
  const Tensor<T> one = ones<T>(reduced_shape(x.shape(), gradient.mask, gradient.keepdims));
  return apply<T>(Sum<T>{gradient.mask, gradient.keepdims}, t * apply<T>(gradient, one, x, kept));
}

/// dx = g / (how many x are y) where x is y, the extreme over the masked axes, else 0.
template <class T>
struct ExtremeGradient {
  static constexpr bool accumulates = true;
  unsigned mask;
  bool keepdims;
  static constexpr const char* name = "extreme_gradient";
  bool operator==(const ExtremeGradient&) const = default;
  ExtremeGradient batched(const Shape&) const { return {mask << 1, keepdims}; }
  Tensor<T> decomposed(const Tensor<T>& g, const Tensor<T>& x, const Tensor<T>& y) const {
    const Tensor<T> best = equal(x, with_axes(y, x.shape(), mask));
    return with_axes(g, x.shape(), mask) * (best / apply<T>(Sum<T>{mask, true}, best));
  }

  Shape shape(const Shape&, const Shape& x, const Shape&) const { return x; }
  void compute(Target<T> dx, const Tensor<T>& g, const Tensor<T>& x, const Tensor<T>& y) const {
    const Kernels<T>& k = kernels<T>();
    each_lines(x.shape(), mask,
               [&](std::size_t first, std::size_t at, std::size_t n, std::size_t inner, std::size_t step) {
                 const T *const from = x.data() + first, best = y.data()[at];
                 const auto part = [&](std::size_t i, std::size_t size, const T* count) {
                   k.extreme_gradient(dx.data + first + i, dx.accumulate, g.data() + at, from + i,
                                      y.data() + at, count, size, inner, step);
                 };
                 if (n != x.size() || n < parallel_size) return part(0, n, nullptr);
                 const T count = sum_in_parallel<T>(
                     n, [=](std::size_t i, std::size_t size) { return k.count(from + i, size, best); });
                 for_blocks(n, n, [&](std::size_t i, std::size_t last) { part(i, last - i, &count); });
               });
  }
  static constexpr unsigned keeps(unsigned i) { return i == 0 ? keep_input(1) | keep_input(2) : 0; }
  void tangent(Tangents<T>& t) const {
    if (t.has(0)) t.add(*this, t.of(0), t.input(1), t.input(2));
  }
  void backward(Gradients<T>& d) const {  // x and y choose, and choices have no slope
    if (!d.needs(0)) return;
    const Tensor<T> x = d.input(1).detach(), y = d.input(2).detach();
    d.add(0, along(*this, d.adjoint, x, y));
  }
};

/// The largest or smallest element over the masked axes, which lie side by side.
template <class T, bool largest>
struct Extreme {
  unsigned mask;
  bool keepdims;
  static constexpr const char* name = largest ? "max" : "min";
  bool operator==(const Extreme&) const = default;
  Extreme batched(const Shape&) const { return {mask << 1, keepdims}; }
  void write(Notation& to) const { to.set(over_axes(name, to.x[0], mask, to.shape)); }
  void code(Code& to) const { largest ? to.largest(mask) : to.smallest(mask); }

  Shape shape(const Shape& x) const { return reduced_shape(x, mask, keepdims); }
  void compute(Target<T> y, const Tensor<T>& x) const {
    constexpr T start = largest ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::infinity();
    const Kernels<T>& k = kernels<T>();
    const auto chosen = largest ? k.max : k.min;
    const auto fold = largest ? k.max_rows : k.min_rows;
    std::fill_n(y.data, y.size, start);
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
  void tangent(Tangents<T>& t) const {
    t.add(along(ExtremeGradient<T>{mask, keepdims}, t.of(0), t.input(0), t.output()));
  }
  void backward(Gradients<T>& d) const {
    d.add(0, ExtremeGradient<T>{mask, keepdims}, d.adjoint, d.input(0), d.output());
  }
};

/// dx = g x / y, 0 where y is, for y = √Σ x² over the masked axes, which lie side by side.
template <class T>
struct NormGradient {
  static constexpr bool accumulates = true;
  unsigned mask;
  bool keepdims;
  static constexpr const char* name = "norm_gradient";
  bool operator==(const NormGradient&) const = default;
  NormGradient batched(const Shape&) const { return {mask << 1, keepdims}; }
  Tensor<T> decomposed(const Tensor<T>& g, const Tensor<T>& x, const Tensor<T>& y) const {
    const Tensor<T> length = with_axes(y, x.shape(), mask);
    return where(equal(length, 0), 0, with_axes(g, x.shape(), mask) * x / length);
  }

  Shape shape(const Shape&, const Shape& x, const Shape&) const { return x; }
  void compute(Target<T> dx, const Tensor<T>& g, const Tensor<T>& x, const Tensor<T>& y) const {
    each_slab_by_rows(x.shape(), mask,
                      [&](std::size_t first, std::size_t at, std::size_t n, std::size_t inner) {
                        kernels<T>().norm_gradient(dx.data + first, dx.accumulate, g.data() + at,
                                                   x.data() + first, y.data() + at, n, inner);
                      });
  }
  static constexpr unsigned keeps(unsigned i) {
    return (i != 0 ? keep_input(0) : 0) | (i != 1 ? keep_input(1) : 0) | keep_input(2);
  }
  void tangent(Tangents<T>& t) const {
    const Tensor<T> g = t.input(0), x = t.input(1), y = t.input(2);
    if (t.has(0)) t.add(*this, t.of(0), x, y);
    if (t.has(1)) t.add(*this, g, t.of(1), y);
    if (t.has(2)) t.add(*this, -g * t.of(2) / where(equal(y, 0), 1, y), x, y);
  }
  void backward(Gradients<T>& d) const {
    const Tensor<T>& h = d.adjoint;
    const Tensor<T> y = d.input(2);
    if (d.needs(1)) d.add(1, *this, d.input(0), h, y);  // h g / y: dx is linear in x
    if (!d.needs(0) && !d.needs(2)) return;
    const Tensor<T> dg = along(*this, h, d.input(1), y);  // Σ h x / y
    if (d.needs(2)) d.add(2, -dg * (d.input(0) / where(equal(y, 0), 1, y)));
    d.add(0, dg);
  }
};

/// √Σ x² over the masked axes, by the plain sum of squares unless that leaves the normal range.
template <class T>
struct Norm {
  unsigned mask;
  bool keepdims;
  static constexpr const char* name = "norm";
  bool operator==(const Norm&) const = default;
  Norm batched(const Shape&) const { return {mask << 1, keepdims}; }
  void write(Notation& to) const { to.set(over_axes(name, to.x[0], mask, to.shape)); }
  Tensor<T> decomposed(const Tensor<T>& x) const { return sqrt(apply<T>(Sum<T>{mask, keepdims}, square(x))); }

  Shape shape(const Shape& x) const { return reduced_shape(x, mask, keepdims); }
  void compute(Target<T> y, const Tensor<T>& x) const {
    const std::size_t n = y.size;
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
  void tangent(Tangents<T>& t) const {
    t.add(along(NormGradient<T>{mask, keepdims}, t.of(0), t.input(0), t.output()));
  }
  void backward(Gradients<T>& d) const {
    const Tensor<T> x = d.input(0), y = d.output();
    d.add(0, NormGradient<T>{mask, keepdims}, d.adjoint, x, y);
    if (!d.creates_graph() || !contains(y, 0)) return;  // the limit is of the second derivative
    const Tensor<T> at_zero = equal(y, 0), slope = with_axes(d.adjoint_slope(at_zero), x.shape(), mask);
    d.add(0, where(with_axes(at_zero, x.shape(), mask), x, 0) * slope);
  }
};

/// Σ x² over the masked axes.
template <class T>
struct SquaredNorm {
  unsigned mask;
  bool keepdims;
  static constexpr const char* name = "squared_norm";
  bool operator==(const SquaredNorm&) const = default;
  SquaredNorm batched(const Shape&) const { return {mask << 1, keepdims}; }
  Tensor<T> decomposed(const Tensor<T>& x) const { return apply<T>(Sum<T>{mask, keepdims}, square(x)); }

  Shape shape(const Shape& x) const { return reduced_shape(x, mask, keepdims); }
  void compute(Target<T> y, const Tensor<T>& x) const {
    std::fill_n(y.data, y.size, T(0));
    add_sum(y.data, x.data(), x.shape(), mask, kernels<T>().sum_of_squares, kernels<T>().add_squared_rows);
  }
  static constexpr unsigned keeps(unsigned) { return keep_input(0); }
  void tangent(Tangents<T>& t) const { t.add(Sum<T>{mask, keepdims}, 2 * t.input(0) * t.of(0)); }
  void backward(Gradients<T>& d) const {
    const Tensor<T> x = d.input(0);
    d.add(0, with_axes(2 * d.adjoint, x.shape(), mask) * x);
  }
};

/// A loop over the elements along an axis, in their order or from the last one on; its line of text sees
/// `at`, the place of the element, and `total`, what it made of those before.
inline void write_cumulative(Code& to, std::size_t axis, bool reverse, const std::string& line,
                             const std::string& start) {
  const Shape& x = to.shape();
  to.text(
      "for (std::size_t i = 0; i < outer; ++i)\n"
      "  for (std::size_t j = 0; j < inner; ++j) {\n"
      "    $T total = " +
          start +
          ";\n"
          "    for (std::size_t k = 0; k < n; ++k) {\n"
          "      const std::size_t at = (i * n + " +
          (reverse ? "(last - k)" : "k") + ") * inner + j;\n      " + line +
          "\n"
          "      $y[at] = total;\n"
          "    }\n"
          "  }",
      {{"outer", axes_size(x, 0, axis)},
       {"inner", axes_size(x, axis + 1, x.size())},
       {"n", x[axis]},
       {"last", x[axis] - 1}});
}

template <class T>
struct CumulativeSum {
  static constexpr bool accumulates = true;
  std::size_t axis;
  bool reverse;
  static constexpr const char* name = "cumsum";
  bool operator==(const CumulativeSum&) const = default;
  CumulativeSum batched(const Shape&) const { return {axis + 1, reverse}; }
  void write(Notation& to) const { to.set(cumulative(reverse ? "cumsum_from_end" : name, to.x[0], axis)); }

  Shape shape(const Shape& x) const { return x; }
  void compute(Target<T> y, const Tensor<T>& x) const {
    each_line(x.shape(), axis, [&](std::size_t first, std::size_t n, std::size_t step) {
      Wider<T> total = 0;  // each sum is rounded once, and none is built on rounded ones
      for (std::size_t k = 0; k < n; ++k) {
        const std::size_t i = first + (reverse ? n - 1 - k : k) * step;
        total += x.data()[i];
        y.data[i] = static_cast<T>(y.accumulate ? y.data[i] + total : total);
      }
    });
  }
  void code(Code& to) const { write_cumulative(to, axis, reverse, "total += $0[at];", "0"); }
  static constexpr bool is_linear = true;
  void backward(Gradients<T>& d) const { d.add(0, CumulativeSum{axis, !reverse}, d.adjoint); }
};

}  // namespace xtape::detail
