// logsumexp, softmax and log_softmax, and their gradients.
#pragma once
#include "reduction_ops.hpp"

namespace xtape::detail {

/// dx = g eˣ⁻ʸ for y = ln Σ eˣ over the masked axes, which lie side by side; 0 where y = −∞. A single +∞
/// takes all of g; where there are several, there is no limit: NaN.
template <class T>
struct LogSumExpGradient {
  static constexpr bool accumulates = true;
  unsigned mask;
  bool keepdims;
  static constexpr const char* name = "logsumexp_gradient";
  bool operator==(const LogSumExpGradient&) const = default;
  LogSumExpGradient batched(const Shape&) const { return {mask << 1, keepdims}; }
  Tensor<T> decomposed(const Tensor<T>& g, const Tensor<T>& x, const Tensor<T>& y) const {
    return with_axes(g, x.shape(), mask) * exp(x - with_axes(y, x.shape(), mask));
  }

  Shape shape(const Shape&, const Shape& x, const Shape&) const { return x; }
  void compute(Target<T> dx, const Tensor<T>& g, const Tensor<T>& x, const Tensor<T>& y) const {
    constexpr T infinity = std::numeric_limits<T>::infinity();
    if (!contains(y, infinity)) return run(dx, g, x, y);
    const Tensor<T> largest = equal(x, infinity), at_infinity = equal(y, infinity);
    run(dx, where(at_infinity, 0, g.detach()), where(largest, 0, x.detach()), y);
    const Tensor<T> count = apply<T>(Sum<T>{mask, keepdims}, largest);
    const Tensor<T> share =
        where(count > 1, std::numeric_limits<T>::quiet_NaN(), where(at_infinity, g.detach(), 0));
    const Tensor<T> rest = with_axes(share, x.shape(), mask) * largest;
    add_in_place(dx.data, rest.data(), rest.size());
  }
  static constexpr unsigned keeps(unsigned i) { return i == 0 ? keep_input(1) | keep_input(2) : keep_output; }
  void tangent(Tangents<T>& t) const {
    if (t.has(0)) t.add(*this, t.of(0), t.input(1), t.input(2));
    if (t.has(1)) t.add(t.output() * t.of(1));
    if (t.has(2)) t.add(-t.output() * with_axes(t.of(2), t.output().shape(), mask));
  }
  void backward(Gradients<T>& d) const {
    const Tensor<T>& h = d.adjoint;
    if (d.needs(1) || d.needs(2)) {
      const Tensor<T> slope = h * d.output();
      d.add(1, slope);
      d.add(2, -apply<T>(Sum<T>{mask, keepdims}, slope));
    }
    if (d.needs(0)) d.add(0, along(*this, h, d.input(1), d.input(2)));
  }

 private:
  /// For finite y, and where x is.
  void run(Target<T> dx, const Tensor<T>& g, const Tensor<T>& x, const Tensor<T>& y) const {
    each_slab_by_rows(x.shape(), mask,
                      [&](std::size_t first, std::size_t at, std::size_t n, std::size_t inner) {
                        kernels<T>().logsumexp_gradient(dx.data + first, dx.accumulate, g.data() + at,
                                                        x.data() + first, y.data() + at, nullptr, n, inner);
                      });
  }
};

/// ln Σ eˣ over the masked axes, which lie side by side.
template <class T>
struct LogSumExp {
  unsigned mask;
  bool keepdims;
  static constexpr const char* name = "logsumexp";
  bool operator==(const LogSumExp&) const = default;
  LogSumExp batched(const Shape&) const { return {mask << 1, keepdims}; }
  void write(Notation& to) const { to.set(over_axes(name, to.x[0], mask, to.shape)); }
  Tensor<T> decomposed(const Tensor<T>& x) const {
    const Tensor<T> largest = apply<T>(Extreme<T, true>{mask, true}, x);
    const Tensor<T> y = largest + log(apply<T>(Sum<T>{mask, true}, exp(x - largest)));
    return reshape(y, Dims(shape(x.shape())));
  }

  Shape shape(const Shape& x) const { return reduced_shape(x, mask, keepdims); }
  void compute(Target<T> y, const Tensor<T>& x) const {
    const auto kernel = kernels<T>().logsumexp;
    each_lines(x.shape(), mask,
               [&](std::size_t first, std::size_t at, std::size_t n, std::size_t inner, std::size_t step) {
                 const T* const from = x.data() + first;
                 if (n != x.size() || n < parallel_size)
                   return kernel(y.data + at, nullptr, from, n, inner, step);
                 PoolVector<T> parts(quotient_up(n, part_size));
                 parallel_for(parts.size(), [&](std::size_t i) {
                   const std::size_t start = i * part_size;
                   kernel(&parts[i], nullptr, from + start, std::min(part_size, n - start), 1, 1);
                 });
                 kernel(y.data, nullptr, parts.data(), parts.size(), 1, 1);
               });
  }
  static constexpr unsigned keeps(unsigned) { return keep_input(0) | keep_output; }
  void tangent(Tangents<T>& t) const {
    t.add(along(LogSumExpGradient<T>{mask, keepdims}, t.of(0), t.input(0), t.output()));
  }
  void backward(Gradients<T>& d) const {
    d.add(0, LogSumExpGradient<T>{mask, keepdims}, d.adjoint, d.input(0), d.output());
  }
};

/// dx = y (g − Σ g y) along an axis.
template <class T>
struct SoftmaxGradient {
  static constexpr bool accumulates = true;
  std::size_t axis;
  static constexpr const char* name = "softmax_gradient";
  bool operator==(const SoftmaxGradient&) const = default;
  SoftmaxGradient batched(const Shape&) const { return {axis + 1}; }
  Tensor<T> decomposed(const Tensor<T>& g, const Tensor<T>& y) const {
    return y * (g - sum(g * y, axis, true));
  }

  Shape shape(const Shape&, const Shape& y) const { return y; }
  void compute(Target<T> dx, const Tensor<T>& g, const Tensor<T>& y) const {
    each_lines(y.shape(), 1u << axis,
               [&](std::size_t first, std::size_t, std::size_t n, std::size_t inner, std::size_t step) {
                 kernels<T>().softmax_gradient(dx.data + first, dx.accumulate, g.data() + first,
                                               y.data() + first, n, inner, step);
               });
  }
  static constexpr unsigned keeps(unsigned i) { return (i == 1 ? keep_input(0) : 0) | keep_input(1); }
  void tangent(Tangents<T>& t) const {
    const Tensor<T> g = t.input(0), y = t.input(1);
    if (t.has(0)) t.add(*this, t.of(0), y);
    if (t.has(1)) t.add(t.of(1) * (g - sum(g * y, axis, true)) - y * sum(g * t.of(1), axis, true));
  }
  void backward(Gradients<T>& d) const {
    const Tensor<T>& h = d.adjoint;
    const Tensor<T> y = d.input(1);
    d.add(0, *this, h, y);
    if (!d.needs(1)) return;
    const Tensor<T> g = d.input(0);
    d.add(1, h * (g - sum(g * y, axis, true)) - g * sum(h * y, axis, true));
  }
};

/// y = eˣ / Σ eˣ along an axis.
template <class T>
struct Softmax {
  std::size_t axis;
  static constexpr const char* name = "softmax";
  bool operator==(const Softmax&) const = default;
  Softmax batched(const Shape&) const { return {axis + 1}; }
  void write(Notation& to) const { to.set(Term::call(name, to.x, to.shape)); }
  Tensor<T> decomposed(const Tensor<T>& x) const {
    const Tensor<T> e = exp(x - max(x, axis, true));
    return e / sum(e, axis, true);
  }

  Shape shape(const Shape& x) const { return x; }
  void compute(Target<T> y, const Tensor<T>& x) const {
    each_lines(x.shape(), 1u << axis,
               [&](std::size_t first, std::size_t, std::size_t n, std::size_t inner, std::size_t step) {
                 kernels<T>().softmax(y.data + first, x.data() + first, n, inner, step);
               });
  }
  static constexpr unsigned keeps(unsigned) { return keep_output; }
  void tangent(Tangents<T>& t) const { t.add(SoftmaxGradient<T>{axis}, t.of(0), t.output()); }
  void backward(Gradients<T>& d) const { d.add(0, SoftmaxGradient<T>{axis}, d.adjoint, d.output()); }
};

/// dx = g − eʸ Σ g along an axis.
template <class T>
struct LogSoftmaxGradient {
  static constexpr bool accumulates = true;
  std::size_t axis;
  static constexpr const char* name = "log_softmax_gradient";
  bool operator==(const LogSoftmaxGradient&) const = default;
  LogSoftmaxGradient batched(const Shape&) const { return {axis + 1}; }
  Tensor<T> decomposed(const Tensor<T>& g, const Tensor<T>& y) const {
    return g - exp(y) * sum(g, axis, true);
  }

  Shape shape(const Shape&, const Shape& y) const { return y; }
  void compute(Target<T> dx, const Tensor<T>& g, const Tensor<T>& y) const {
    each_lines(y.shape(), 1u << axis,
               [&](std::size_t first, std::size_t, std::size_t n, std::size_t inner, std::size_t step) {
                 kernels<T>().log_softmax_gradient(dx.data + first, dx.accumulate, g.data() + first,
                                                   y.data() + first, n, inner, step);
               });
  }
  static constexpr unsigned keeps(unsigned i) { return (i == 1 ? keep_input(0) : 0) | keep_input(1); }
  void tangent(Tangents<T>& t) const {
    if (t.has(0)) t.add(*this, t.of(0), t.input(1));
    if (t.has(1)) t.add(-t.of(1) * exp(t.input(1)) * sum(t.input(0), axis, true));
  }
  void backward(Gradients<T>& d) const {
    const Tensor<T> h = d.adjoint, p = exp(d.input(1));
    d.add(0, h - sum(h * p, axis, true));
    if (d.needs(1)) d.add(1, -h * p * sum(d.input(0), axis, true));
  }
};

/// y = x − ln Σ eˣ along an axis.
template <class T>
struct LogSoftmax {
  std::size_t axis;
  static constexpr const char* name = "log_softmax";
  bool operator==(const LogSoftmax&) const = default;
  LogSoftmax batched(const Shape&) const { return {axis + 1}; }
  void write(Notation& to) const { to.set(Term::call(name, to.x, to.shape)); }
  Tensor<T> decomposed(const Tensor<T>& x) const { return x - apply<T>(LogSumExp<T>{1u << axis, true}, x); }

  Shape shape(const Shape& x) const { return x; }
  void compute(Target<T> y, const Tensor<T>& x) const {
    each_lines(x.shape(), 1u << axis,
               [&](std::size_t first, std::size_t, std::size_t n, std::size_t inner, std::size_t step) {
                 kernels<T>().log_softmax(y.data + first, x.data() + first, n, inner, step);
               });
  }
  static constexpr unsigned keeps(unsigned) { return keep_output; }
  void tangent(Tangents<T>& t) const { t.add(t.of(0) - sum(t.of(0) * exp(t.output()), axis, true)); }
  void backward(Gradients<T>& d) const { d.add(0, LogSoftmaxGradient<T>{axis}, d.adjoint, d.output()); }
};

}  // namespace xtape::detail
