// Products of the first elements along an axis, and the linear recurrence that is their derivative.
#include "layout_ops.hpp"
#include "reduction_ops.hpp"

namespace xtape {
namespace detail {
namespace {

/// The n elements from `start` on along an axis.
template <class T>
Tensor<T> section(const Tensor<T>& x, std::size_t axis, std::size_t start, std::size_t n) {
  return apply<T>(part_of_axis<T>("slice", x.shape(), axis, start, start + n), x);
}

/// x from the place `start` on along an axis of a tensor of the shape `to` that is 0 elsewhere.
template <class T>
Tensor<T> placed(const Tensor<T>& x, std::size_t axis, std::size_t start, const Shape& to) {
  const Strided<T> part = part_of_axis<T>("slice", to, axis, start, start + x.shape()[axis]);
  return apply<T>(ScatterStrided<T>{part.name, to, part.to, part.offset, part.strides}, x);
}

/// y_k = a_k y_{k−1} + b_k along an axis, from the last one on y_k = a_{k+1} y_{k+1} + b_k where it is in
/// `reverse`: for one a, the matrices of these two are each other's transpose.
template <class T>
struct Recurrence {
  std::size_t axis;
  bool reverse;
  static constexpr const char* name = "recurrence";
  bool operator==(const Recurrence&) const = default;
  Recurrence batched(const Shape&) const { return {axis + 1, reverse}; }
  void write(Notation& to) const {
    to.set(Term::call(reverse ? "recurrence_from_end" : name, to.x, to.shape));
  }
  void code(Code& to) const {
    write_cumulative(to, axis, reverse,
                     reverse ? "total = (k == 0 ? $T(0) : $0[at + inner] * total) + $1[at];"
                             : "total = (k == 0 ? $T(0) : $0[at] * total) + $1[at];",
                     "0");
  }

  Shape shape(const Shape&, const Shape& b) const { return b; }
  void compute(Target<T> y, const Tensor<T>& a, const Tensor<T>& b) const {
    each_line(b.shape(), axis, [&](std::size_t first, std::size_t n, std::size_t step) {
      Wider<T> total = 0;  // each result is rounded once, and none is built on rounded ones
      for (std::size_t k = 0; k < n; ++k) {
        const std::size_t i = first + (reverse ? n - 1 - k : k) * step;
        total = k == 0 ? b.data()[i] : a.data()[reverse ? i + step : i] * total + b.data()[i];
        y.data[i] = static_cast<T>(total);
      }
    });
  }
  static constexpr unsigned keeps(unsigned i) { return keep_input(0) | (i == 0 ? keep_output : 0); }
  void tangent(Tangents<T>& t) const {
    const Tensor<T> a = t.input(0), y = t.output();
    if (t.has(1)) t.add(*this, a, t.of(1));
    const std::size_t n = a.shape()[axis];
    if (!t.has(0) || n == 0) return;
    const Tensor<T> step = section(t.of(0), axis, 1, n - 1) * section(y, axis, reverse ? 1 : 0, n - 1);
    t.add(*this, a, placed(step, axis, reverse ? 0 : 1, a.shape()));
  }
  void backward(Gradients<T>& d) const {
    const Tensor<T> a = d.input(0), db = apply<T>(Recurrence{axis, !reverse}, a, d.adjoint);
    if (d.needs(0)) {  // da_k = the one that runs back at k · the one that runs forth at k − 1
      const Tensor<T> y = d.output();
      const std::size_t n = a.shape()[axis], pairs = n == 0 ? 0 : n - 1;
      const Tensor<T> product =
          section(reverse ? y : db, axis, 1, pairs) * section(reverse ? db : y, axis, 0, pairs);
      d.add(0, placed(product, axis, 1, a.shape()));
    }
    d.add(1, db);
  }
};

/// y_k = x_0 x_1 … x_k along an axis.
template <class T>
struct CumulativeProduct {
  std::size_t axis;
  static constexpr const char* name = "cumprod";
  bool operator==(const CumulativeProduct&) const = default;
  CumulativeProduct batched(const Shape&) const { return {axis + 1}; }
  void write(Notation& to) const { to.set(cumulative(name, to.x[0], axis)); }
  void code(Code& to) const { write_cumulative(to, axis, false, "total *= $0[at];", "1"); }

  Shape shape(const Shape& x) const { return x; }
  void compute(Target<T> y, const Tensor<T>& x) const {
    each_line(x.shape(), axis, [&](std::size_t first, std::size_t n, std::size_t step) {
      Wider<T> total = 1;
      for (std::size_t i = first; i < first + n * step; i += step) {
        total *= x.data()[i];
        y.data[i] = static_cast<T>(total);
      }
    });
  }
  static constexpr unsigned keeps(unsigned) { return keep_input(0) | keep_output; }
  // x_k multiplies the product before it, and what comes of that goes through the later x: no division, so
  // that zeros need no care, to any order.
  void tangent(Tangents<T>& t) const {
    t.add(Recurrence<T>{axis, false}, t.input(0), t.of(0) * before(t.output()));
  }
  void backward(Gradients<T>& d) const {
    d.add(0, before(d.output()) * apply<T>(Recurrence<T>{axis, true}, d.input(0), d.adjoint));
  }

 private:
  /// The product of the elements before each: y with a 1 in front and without the last one.
  Tensor<T> before(const Tensor<T>& y) const {
    const std::size_t n = y.shape()[axis];
    if (n == 0) return y;
    Shape one = y.shape();
    one[axis] = 1;
    return xtape::concatenate({ones<T>(one), section(y, axis, 0, n - 1)}, static_cast<std::ptrdiff_t>(axis));
  }
};

}  // namespace
}  // namespace detail

template <class T>
Tensor<T> cumprod(Tensor<T> x) {
  return cumprod(flatten(std::move(x)), 0);
}
template <class T>
Tensor<T> cumprod(Tensor<T> x, std::ptrdiff_t axis) {
  return detail::apply<T>(detail::CumulativeProduct<T>{detail::normalize_axis(axis, x.rank(), "cumprod")}, x);
}

#define XTAPE_INSTANTIATE(T)             \
  template Tensor<T> cumprod(Tensor<T>); \
  template Tensor<T> cumprod(Tensor<T>, std::ptrdiff_t);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape
