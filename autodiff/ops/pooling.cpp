// max_pool2d as one node, avg_pool2d composed of unfold and mean.
#include "../pooling.hpp"

#include <limits>
#include <string>

#include "../elementwise.hpp"
#include "../layout.hpp"
#include "../notation/term.hpp"
#include "../reductions.hpp"
#include "../tape/op.hpp"
#include "windows.hpp"

namespace xtape {
namespace detail {
namespace {

Windows pool_windows(const char* op, const Shape& x, Size2 kernel, Size2 stride, Size2 padding) {
  const Windows w = make_windows(op, x, kernel, stride, padding);
  if (w.plane() == 0) throw Error(op, "images of shape " + to_string(x) + " have no elements to pool");
  if (2 * w.y.padding > w.y.kernel || 2 * w.x.padding > w.x.kernel)
    throw Error(op, "a padding of (" + std::to_string(w.y.padding) + ", " + std::to_string(w.x.padding) +
                        ") is more than half the kernel (" + std::to_string(w.y.kernel) + ", " +
                        std::to_string(w.x.kernel) + ")");
  return w;
}

/// The elements of each window along axis 1: (N·C, kh·kw, Ho·Wo).
template <class T>
Tensor<T> window_elements(const Tensor<T>& x, Windows w, T outside) {
  const Tensor<T> planes = reshape(x, {x.shape()[0] * w.channels, 1, w.y.in, w.x.in});
  w.channels = 1;
  return apply<T>(Unfold<T>{w, outside}, planes);
}

/// The padding is no number: the largest of no window, not even of one with nothing but −∞.
template <class T>
constexpr T outside = std::numeric_limits<T>::quiet_NaN();

/// dx: each window's g in equal parts to the places where x is y, its largest element.
template <class T>
struct MaxPool2dGradient {
  static constexpr bool accumulates = true;
  Windows windows;
  static constexpr const char* name = "max_pool2d_gradient";
  bool operator==(const MaxPool2dGradient&) const = default;
  void write(Notation& to) const { to.set(Term::call(name, to.x, to.shape)); }

  Shape shape(const Shape&, const Shape& x, const Shape&) const { return x; }
  /// Plane by plane as columns, where the gradient of max along the first axis has its kernel.
  void compute(Target<T> dx, const Tensor<T>& g, const Tensor<T>& x, const Tensor<T>& y) const {
    const std::size_t P = windows.plane(), L = windows.outputs(), count = planes(x.shape());
    const std::size_t groups = std::clamp<std::size_t>(x.size() / parallel_size, 1, 16);
    Tensor<T> memory = Tensor<T>::uninitialized({groups, windows.kernel() * L}, name);
    Windows one = windows;
    one.channels = 1;
    parallel_for(groups, [&, all_columns = memory.mutable_data()](std::size_t group) {
      T* const columns = all_columns + group * windows.kernel() * L;
      for (std::size_t p = group * count / groups; p < (group + 1) * count / groups; ++p) {
        write_columns(columns, {0, L}, x.data() + p * P, 1, one, outside<T>);
        kernels<T>().extreme_gradient(columns, false, g.data() + p * L, columns, y.data() + p * L,
                                      windows.kernel(), L);
        if (!dx.accumulate) std::fill_n(dx.data + p * P, P, T(0));
        add_columns(dx.data + p * P, columns, {0, L}, 1, one);
      }
    });
  }
  Tensor<T> decomposed(const Tensor<T>& g, const Tensor<T>& x, const Tensor<T>& y) const {
    const Tensor<T> best = equal(window_elements(x, windows, outside<T>), as_lines(y));
    Windows one = windows;
    one.channels = 1;
    return reshape(apply<T>(Fold<T>{one}, as_lines(g) * (best / sum(best, 1, true))), Dims(x.shape()));
  }
  static constexpr unsigned keeps(unsigned i) { return i == 0 ? keep_input(1) | keep_input(2) : 0; }
  void tangent(Tangents<T>& t) const {
    if (t.has(0)) t.add(*this, t.of(0), t.input(1), t.input(2));
  }
  void backward(Gradients<T>& d) const {  // x and y choose, and choices have no slope
    if (!d.needs(0)) return;
    d.add(0, moved(d.adjoint, d.input(1), d.input(2)));
  }
  /// How the largest elements y of x move with x by dx: each by the mean of what its places move by.
  Tensor<T> moved(const Tensor<T>& dx, const Tensor<T>& x, const Tensor<T>& y) const {
    const Tensor<T> best = equal(window_elements(x.detach(), windows, outside<T>), as_lines(y.detach()));
    const Tensor<T> share = best / sum(best, 1, true);
    return reshape(sum(window_elements(dx, windows, T(0)) * share, 1), Dims(y.shape()));
  }

 private:
  static std::size_t planes(const Shape& x) { return x[0] * x[1]; }
  Tensor<T> as_lines(const Tensor<T>& y) const {
    return reshape(y, Dims{planes(y.shape()), 1, windows.outputs()});
  }
};

template <class T>
struct MaxPool2d {
  Windows windows;
  static constexpr T lowest = -std::numeric_limits<T>::infinity();
  static constexpr const char* name = "max_pool2d";
  bool operator==(const MaxPool2d&) const = default;
  void write(Notation& to) const { to.set(Term::call(name, to.x, to.shape)); }

  Shape shape(const Shape& x) const { return {x[0], x[1], windows.y.out, windows.x.out}; }
  void compute(Target<T> y, const Tensor<T>& x) const {
    for_blocks(x.shape()[0] * x.shape()[1], x.size(), [&](std::size_t first, std::size_t last) {
      for (std::size_t p = first; p < last; ++p) {
        const T* const plane = x.data() + p * windows.plane();
        T* const largest = y.data + p * windows.outputs();
        std::fill_n(largest, windows.outputs(), lowest);
        windows.each_row([&](std::size_t, std::size_t o, std::size_t i, std::size_t n) {
          for (std::size_t j = 0; j < n; ++j) {
            const T a = plane[i + j * windows.x.stride];
            T& best = largest[o + j];
            best = a > best || a != a ? a : best;
          }
        });
      }
    });
  }
  Tensor<T> decomposed(const Tensor<T>& x) const {
    return reshape(max(window_elements(x, windows, lowest), 1), Dims(shape(x.shape())));
  }
  static constexpr unsigned keeps(unsigned) { return keep_input(0) | keep_output; }
  void tangent(Tangents<T>& t) const {
    t.add(MaxPool2dGradient<T>{windows}.moved(t.of(0), t.input(0), t.output()));
  }
  void backward(Gradients<T>& d) const {
    d.add(0, MaxPool2dGradient<T>{windows}, d.adjoint, d.input(0), d.output());
  }
};

}  // namespace
}  // namespace detail

template <class T>
Tensor<T> max_pool2d(const Tensor<T>& x, Size2 kernel, Size2 stride, Size2 padding) {
  const detail::Windows w = detail::pool_windows("max_pool2d", x.shape(), kernel, stride, padding);
  return detail::apply<T>(detail::MaxPool2d<T>{w}, x);
}

template <class T>
Tensor<T> avg_pool2d(const Tensor<T>& x, Size2 kernel, Size2 stride, Size2 padding) {
  const detail::Windows w = detail::pool_windows("avg_pool2d", x.shape(), kernel, stride, padding);
  return reshape(mean(detail::window_elements(x, w, T(0)), 1),
                 {x.shape()[0], x.shape()[1], w.y.out, w.x.out});
}

#define XTAPE_INSTANTIATE(T)                                            \
  template Tensor<T> max_pool2d(const Tensor<T>&, Size2, Size2, Size2); \
  template Tensor<T> avg_pool2d(const Tensor<T>&, Size2, Size2, Size2);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape
