// max_pool2d and avg_pool2d: loops over windows, each a node with its gradient's.
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

/// The elements of an axis that output o sees: one at least, as the padding is at most half the kernel.
struct Seen {
  Seen(const WindowAxis& axis, std::size_t o)
      : first(o * axis.stride - std::min(o * axis.stride, axis.padding)),
        count(std::min(o * axis.stride + axis.kernel - axis.padding, axis.in) - first) {}
  std::size_t first, count;
};

/// window(o, i, each) for each output o of a plane: i is the first element of its window, each(f) calls f for
/// all of them; without a loop where windows are size · size, and within the image.
template <std::size_t size, class Window>
void each_window_of(const Windows& w, const Window& window) {
  const std::size_t width = w.x.in, stride = w.x.stride;
  const auto clipped = [&](std::size_t o, const Seen& y, const Seen& x) {
    const std::size_t start = y.first * width + x.first, end = start + y.count * width, columns = x.count;
    window(o, start, [=](const auto& f) {
      for (std::size_t row = start; row != end; row += width)
        for (std::size_t i = row; i != row + columns; ++i) f(i);
    });
  };
  for (std::size_t oy = 0; oy < w.y.out; ++oy) {
    const Seen y(w.y, oy);
    const std::size_t o = oy * w.x.out;
    std::size_t ox = 0;
    if constexpr (size != 0)
      if (y.count == size) {
        for (; ox < w.x.first(0); ++ox) clipped(o + ox, y, Seen(w.x, ox));
        const std::size_t last = w.x.last(size - 1);
        for (std::size_t i = y.first * width + ox * stride - w.x.padding; ox < last; ++ox, i += stride)
          window(o + ox, i, [=](const auto& f) {
            [&]<std::size_t... n>(std::index_sequence<n...>) { (f(i + n / size * width + n % size), ...); }
            (std::make_index_sequence<size * size>());
          });
      }
    for (; ox < w.x.out; ++ox) clipped(o + ox, y, Seen(w.x, ox));
  }
}
template <class Window>
void each_window(const Windows& w, const Window& window) {
  if (w.y.kernel == 2 && w.x.kernel == 2) return each_window_of<2>(w, window);
  if (w.y.kernel == 3 && w.x.kernel == 3) return each_window_of<3>(w, window);
  each_window_of<0>(w, window);
}
/// plane(p) for each plane of images, shared out among threads.
template <class Plane>
void each_plane(const Shape& images, const Windows& w, const Plane& plane) {
  const std::size_t planes = images[0] * images[1];
  for_blocks(planes, planes * w.plane(), [&](std::size_t first, std::size_t last) {
    for (std::size_t p = first; p < last; ++p) plane(p);
  });
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
  void compute(Target<T> dx, const Tensor<T>& g, const Tensor<T>& x, const Tensor<T>& y) const {
    each_plane(x.shape(), windows, [&](std::size_t p) {
      const T* const a = x.data() + p * windows.plane();
      const T *const best = y.data() + p * windows.outputs(), *const adjoint =
                                                                  g.data() + p * windows.outputs();
      T* const da = dx.data + p * windows.plane();
      if (!dx.accumulate) std::fill_n(da, windows.plane(), T(0));
      each_window(windows, [&](std::size_t o, std::size_t, const auto& each) {
        const T largest = best[o];
        // Nothing is above it; >= takes one instruction, and == a branch.
        const auto chosen = [&](std::size_t i) { return a[i] >= largest ? T(1) : T(0); };
        T count(0);
        each([&](std::size_t i) { count += chosen(i); });
        const T share = adjoint[o] * (T(1) / count);
        each([&](std::size_t i) { da[i] += chosen(i) * share; });
      });
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
  Tensor<T> as_lines(const Tensor<T>& y) const {
    return reshape(y, Dims{y.shape()[0] * y.shape()[1], 1, windows.outputs()});
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
    each_plane(x.shape(), windows, [&](std::size_t p) {
      const T* const a = x.data() + p * windows.plane();
      T* const largest = y.data + p * windows.outputs();
      each_window(windows, [&](std::size_t o, std::size_t first, const auto& each) {
        T best = a[first], sum(0);
        each([&](std::size_t i) {
          best = best > a[i] ? best : a[i];
          sum += a[i];
        });
        largest[o] = best;
        if (sum != sum)  // there may be a NaN, which is the largest
          each([&](std::size_t i) { largest[o] = a[i] != a[i] ? a[i] : largest[o]; });
      });
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

template <class T>
struct AvgPool2d;

/// The transpose of avg_pool2d: each g in equal parts to the elements of its window.
template <class T>
struct AvgPool2dGradient {
  static constexpr bool accumulates = true;
  Windows windows;
  static constexpr const char* name = "avg_pool2d_gradient";
  bool operator==(const AvgPool2dGradient&) const = default;
  void write(Notation& to) const { to.set(Term::call(name, to.x, to.shape)); }

  Shape shape(const Shape& g) const { return {g[0], g[1], windows.y.in, windows.x.in}; }
  void compute(Target<T> dx, const Tensor<T>& g) const {
    each_plane(g.shape(), windows, [&](std::size_t p) {
      const T* const adjoint = g.data() + p * windows.outputs();
      T* const da = dx.data + p * windows.plane();
      if (!dx.accumulate) std::fill_n(da, windows.plane(), T(0));
      each_window(windows, [&](std::size_t o, std::size_t, const auto& each) {
        const T share = adjoint[o] / static_cast<T>(windows.kernel());
        each([&](std::size_t i) { da[i] += share; });
      });
    });
  }
  Tensor<T> decomposed(const Tensor<T>& g) const {
    const std::size_t planes = g.shape()[0] * g.shape()[1];
    Windows one = windows;
    one.channels = 1;
    const Tensor<T> shares =
        reshape(g, Dims{planes, 1, windows.outputs()}) / static_cast<T>(windows.kernel());
    const Tensor<T> columns = broadcast_to(shares, {planes, windows.kernel(), windows.outputs()});
    return reshape(apply<T>(Fold<T>{one}, columns), Dims(shape(g.shape())));
  }
  static constexpr bool is_linear = true;
  void backward(Gradients<T>& d) const { d.add(0, AvgPool2d<T>{windows}, d.adjoint); }
};

template <class T>
struct AvgPool2d {
  Windows windows;
  static constexpr const char* name = "avg_pool2d";
  bool operator==(const AvgPool2d&) const = default;
  void write(Notation& to) const { to.set(Term::call(name, to.x, to.shape)); }

  Shape shape(const Shape& x) const { return {x[0], x[1], windows.y.out, windows.x.out}; }
  void compute(Target<T> y, const Tensor<T>& x) const {
    each_plane(x.shape(), windows, [&](std::size_t p) {
      const T* const a = x.data() + p * windows.plane();
      T* const mean = y.data + p * windows.outputs();
      each_window(windows, [&](std::size_t o, std::size_t, const auto& each) {
        T sum(0);
        each([&](std::size_t i) { sum += a[i]; });
        mean[o] = sum / static_cast<T>(windows.kernel());
      });
    });
  }
  Tensor<T> decomposed(const Tensor<T>& x) const {
    return reshape(mean(window_elements(x, windows, T(0)), 1), Dims(shape(x.shape())));
  }
  static constexpr bool is_linear = true;
  void backward(Gradients<T>& d) const { d.add(0, AvgPool2dGradient<T>{windows}, d.adjoint); }
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
  return detail::apply<T>(detail::AvgPool2d<T>{w}, x);
}

#define XTAPE_INSTANTIATE(T)                                            \
  template Tensor<T> max_pool2d(const Tensor<T>&, Size2, Size2, Size2); \
  template Tensor<T> avg_pool2d(const Tensor<T>&, Size2, Size2, Size2);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape
