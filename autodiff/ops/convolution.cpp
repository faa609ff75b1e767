// conv2d and its gradients, without columns; unfold and fold, with them.
#include "../convolution.hpp"

#include <string>

#include "../layout.hpp"
#include "../linalg.hpp"
#include "../reductions.hpp"
#include "correlation.hpp"
#include "matrix_product.hpp"
#include "reduction_ops.hpp"

namespace xtape {
namespace detail {
namespace {

// What the decomposed forms say, with groups as a batch of products: weights and columns as (…, groups, …),
// images or outputs as (N, groups, channels, places).
template <class T>
Tensor<T> as_matrices(const Tensor<T>& w, std::size_t groups) {
  return reshape(w, Dims{groups, w.shape()[0] / groups, w.size() / std::max<std::size_t>(1, w.shape()[0])});
}
template <class T>
Tensor<T> as_lines(const Tensor<T>& x, std::size_t groups) {
  return reshape(x, Dims{x.shape()[0], groups, x.shape()[1] / groups, x.shape()[2] * x.shape()[3]});
}
template <class T>
Tensor<T> in_groups(const Tensor<T>& columns, std::size_t groups) {
  return reshape(columns, Dims{columns.shape()[0], groups, columns.shape()[1] / groups, columns.shape()[2]});
}

// conv2d, the gradient of its images and that of its weight are linear in either argument, and the three
// forms of one sum of g · x · w: each has the other two as gradients.
template <class T>
struct Conv2d;
template <class T>
struct Conv2dWeightGradient;

/// dx (N, C, H, W) of y = conv2d(x, w) from g (N, out, Ho, Wo) = dy
template <class T>
struct Conv2dImageGradient {
  static constexpr bool accumulates = true;
  Windows windows;
  std::size_t groups;
  static constexpr const char* name = "conv2d_image_gradient";
  bool operator==(const Conv2dImageGradient&) const = default;
  void write(Notation& to) const { to.set(Term::call(name, to.x, to.shape)); }

  Shape shape(const Shape& g, const Shape&) const {
    return {g[0], windows.channels, windows.y.in, windows.x.in};
  }
  void compute(Target<T> dx, const Tensor<T>& g, const Tensor<T>& w) const {
    if (g.shape()[0] * windows.channels * windows.plane() == 0) return;
    const Correlation c{windows, groups, g.shape()[0], g.shape()[1] / groups};
    const std::size_t in = c.in(), taps = c.taps(), P = windows.plane();
    if (c.is_product())
      return gemm_batch(c.N, in * P * c.out, [&](std::size_t n) {
        gemm(true, false, in, P, c.out, w.data(), g.data() + n * c.out * P, dx.accumulate,
             dx.data + n * in * P);
      });
    correlate(
        dx, c, Reading::of_images(windows.y), Reading::of_images(windows.x),
        ChannelBlocks(groups, c.out, in, kernels<T>().width, c.by_lane()), g.data(), g.shape()[1],
        [&](const auto& block, std::size_t j, std::size_t lane) {
          return c.by_lane() ? (block.first + lane) * c.out + j : block.group * c.out + j;
        },
        Weights<T>{w.data(), c.out * in * taps, c.by_lane() ? c.out * taps : taps, in * taps},
        static_cast<const T*>(nullptr));
  }
  Tensor<T> decomposed(const Tensor<T>& g, const Tensor<T>& w) const {
    const Tensor<T> columns = product_tn(as_matrices(w, groups), as_lines(g, groups));
    return apply<T>(Fold<T>{windows},
                    reshape(columns, Dims{g.shape()[0], windows.rows(), windows.outputs()}));
  }
  static constexpr unsigned keeps(unsigned i) { return keep_input(1 - i); }
  static constexpr bool is_bilinear = true;
  void backward(Gradients<T>& d) const {
    if (d.needs(0)) d.add(0, Conv2d<T>{windows, groups}, d.adjoint, d.input(1));
    if (d.needs(1)) d.add(1, Conv2dWeightGradient<T>{windows, groups}, d.input(0), d.adjoint);
  }
};

/// The channel of the images that channel j of a block's group is, or its lane.
auto image_channel(const Correlation& c) {
  return [c](const ChannelBlocks::Block& block, std::size_t j, std::size_t lane) {
    return c.by_lane() ? (block.first + lane) / c.out : block.group * c.in() + j;
  };
}

/// dW (out, C / groups, kh, kw) from g (N, out, Ho, Wo) = dy and x
template <class T>
struct Conv2dWeightGradient {
  static constexpr bool accumulates = true;
  Windows windows;
  std::size_t groups;
  static constexpr const char* name = "conv2d_weight_gradient";
  bool operator==(const Conv2dWeightGradient&) const = default;
  void write(Notation& to) const { to.set(Term::call(name, to.x, to.shape)); }

  Shape shape(const Shape& g, const Shape&) const {
    return {g[1], windows.channels / groups, windows.y.kernel, windows.x.kernel};
  }
  void compute(Target<T> dw, const Tensor<T>& g, const Tensor<T>& x) const {
    if (g.shape()[1] * windows.channels == 0) return;
    const Correlation c{windows, groups, g.shape()[0], g.shape()[1] / groups};
    if (const std::size_t P = windows.plane(), in = c.in(); c.is_product()) {
      if (c.N == 0 && !dw.accumulate) std::fill_n(dw.data, c.out * in, T(0));
      for (std::size_t n = 0; n < c.N; ++n)
        gemm(false, true, c.out, in, P, g.data() + n * c.out * P, x.data() + n * in * P,
             dw.accumulate || n > 0, dw.data);
      return;
    }
    correlate_weight(dw, c, ChannelBlocks(groups, c.in(), c.out, kernels<T>().width, c.by_lane()), x.data(),
                     g.data(), image_channel(c));
  }
  Tensor<T> decomposed(const Tensor<T>& g, const Tensor<T>& x) const {
    const Tensor<T> columns = in_groups(apply<T>(Unfold<T>{windows}, x), groups);
    const Tensor<T> all = sum(product_nt(as_lines(g, groups), columns), 0);
    return reshape(all, Dims(shape(g.shape(), {})));
  }
  static constexpr unsigned keeps(unsigned i) { return keep_input(1 - i); }
  static constexpr bool is_bilinear = true;
  void backward(Gradients<T>& d) const {
    if (d.needs(0)) d.add(0, Conv2d<T>{windows, groups}, d.input(1), d.adjoint);
    if (d.needs(1)) d.add(1, Conv2dImageGradient<T>{windows, groups}, d.input(0), d.adjoint);
  }
};

/// y (N, out, Ho, Wo) from x (N, C, H, W), W (out, C / groups, kh, kw) and b (out)
template <class T>
struct Conv2d {
  Windows windows;
  std::size_t groups;
  static constexpr const char* name = "conv2d";
  bool operator==(const Conv2d&) const = default;
  void write(Notation& to) const { to.set(Term::call(name, to.x, to.shape)); }

  Shape shape(const Shape& x, const Shape& w, const auto&...) const {
    return {x[0], w[0], windows.y.out, windows.x.out};
  }
  template <class... Bias>
  void compute(Target<T> y, const Tensor<T>& x, const Tensor<T>& w, const Bias&... bias) const {
    if (w.shape()[0] == 0) return;
    const Correlation c{windows, groups, x.shape()[0], w.shape()[0] / groups};
    const T* b = nullptr;
    ((b = bias.data()), ...);
    if (const std::size_t P = windows.plane(); c.is_product())
      return gemm_batch(c.N, c.out * P * c.in(), [&](std::size_t n) {
        T* const to = y.data + n * c.out * P;
        for (std::size_t o = 0; b && o < c.out; ++o) std::fill_n(to + o * P, P, b[o]);
        gemm(false, false, c.out, P, c.in(), w.data(), x.data() + n * c.in() * P, b != nullptr, to);
      });
    correlate(y, c, Reading::of_outputs(windows.y), Reading::of_outputs(windows.x),
              ChannelBlocks(groups, c.in(), c.out, kernels<T>().width, c.by_lane()), x.data(),
              windows.channels, image_channel(c),
              Weights<T>{w.data(), c.out * c.in() * c.taps(), c.in() * c.taps(), c.taps()}, b);
  }
  template <class... Bias>
  Tensor<T> decomposed(const Tensor<T>& x, const Tensor<T>& w, const Bias&... b) const
      requires(sizeof...(b) < 2) {
    Tensor<T> y = matmul(as_matrices(w, groups), in_groups(apply<T>(Unfold<T>{windows}, x), groups));
    y = reshape(y, Dims(shape(x.shape(), w.shape())));
    ((y = y + reshape(b, {-1, 1, 1})), ...);
    return y;
  }
  static constexpr unsigned keeps(unsigned i) { return i == 0 ? keep_input(1) : i == 1 ? keep_input(0) : 0; }
  void tangent(Tangents<T>& t) const {
    if (t.has(0)) t.add(*this, t.of(0), t.input(1));
    if (t.has(1)) t.add(*this, t.input(0), t.of(1));
    if (t.input_count() == 3 && t.has(2)) t.add(reshape(t.of(2), {-1, 1, 1}));
  }
  void backward(Gradients<T>& d) const {
    const Tensor<T>& g = d.adjoint;
    if (d.needs(0)) d.add(0, Conv2dImageGradient<T>{windows, groups}, g, d.input(1));
    if (d.needs(1)) d.add(1, Conv2dWeightGradient<T>{windows, groups}, g, d.input(0));
    if (d.input_count() == 3) d.add(2, Sum<T>{0b1101, false}, g);  // over samples and places
  }
};

template <class T>
Conv2d<T> conv2d_for(const Shape& x, const Shape& w, const Shape* b, const Conv2dOptions& options) {
  constexpr const char* op = "conv2d";
  const std::size_t groups = options.groups;
  if (x.size() != 4) throw Error(op, "x of shape " + to_string(x) + " is not (N, C, H, W): reshape it");
  if (w.size() != 4)
    throw Error(op, "weight of shape " + to_string(w) + ": it must be (out, C / groups, kh, kw)");
  if (groups == 0 || groups > std::max<std::size_t>(1, x[1]) || x[1] % groups != 0 || w[0] % groups != 0)
    throw Error(op, "groups of " + std::to_string(groups) + " do not divide the channels of x of shape " +
                        to_string(x) + " and of the weight of shape " + to_string(w));
  if (x[1] != groups * w[1])
    throw Error(op, "x of shape " + to_string(x) + " has " + std::to_string(x[1]) +
                        " channels, and the weight of shape " + to_string(w) + " takes " +
                        (groups == 1 ? "" : std::to_string(groups) + " groups of ") + std::to_string(w[1]));
  if (b && !(*b == Shape{w[0]}))
    throw Error(op, "bias of shape " + to_string(*b) + " for a weight of shape " + to_string(w) +
                        ": it must be (" + std::to_string(w[0]) + ",)");
  return {make_windows(op, x, {w[2], w[3]}, options.stride, options.padding, options.dilation), groups};
}

}  // namespace
}  // namespace detail

template <class T>
Tensor<T> unfold(const Tensor<T>& x, Size2 kernel, Size2 stride, Size2 padding, Size2 dilation) {
  return detail::apply<T>(
      detail::Unfold<T>{detail::make_windows("unfold", x.shape(), kernel, stride, padding, dilation)}, x);
}

template <class T>
Tensor<T> fold(const Tensor<T>& columns, Size2 image, Size2 kernel, Size2 stride, Size2 padding,
               Size2 dilation) {
  const Shape& from = columns.shape();
  detail::require_size("fold", "an image of", image, 0);
  detail::Windows w =
      detail::make_windows("fold", {1, 1, image.height, image.width}, kernel, stride, padding, dilation);
  if (from.size() != 3 || from[1] % w.kernel() != 0 || from[2] != w.outputs())
    throw Error("fold", "columns of shape " + to_string(from) + " are not (N, C·" +
                            std::to_string(w.kernel()) + ", " + std::to_string(w.outputs()) +
                            "), as unfold gives them for images of " + detail::text(image));
  w.channels = from[1] / w.kernel();
  return detail::apply<T>(detail::Fold<T>{w}, columns);
}

template <class T>
Tensor<T> detail::conv2d(const Tensor<T>& x, const Tensor<T>& w, const Tensor<T>& b,
                         const Conv2dOptions& options) {
  return apply<T>(conv2d_for<T>(x.shape(), w.shape(), &b.shape(), options), x, w, b);
}

template <class T>
Tensor<T> conv2d(const Tensor<T>& x, const Tensor<std::type_identity_t<T>>& w, const Conv2dOptions& options) {
  return detail::apply<T>(detail::conv2d_for<T>(x.shape(), w.shape(), nullptr, options), x, w);
}

#define XTAPE_INSTANTIATE(T)                                                              \
  template Tensor<T> unfold(const Tensor<T>&, Size2, Size2, Size2, Size2);                \
  template Tensor<T> fold(const Tensor<T>&, Size2, Size2, Size2, Size2, Size2);           \
  template Tensor<T> detail::conv2d(const Tensor<T>&, const Tensor<T>&, const Tensor<T>&, \
                                    const Conv2dOptions&);                                \
  template Tensor<T> conv2d(const Tensor<T>&, const Tensor<T>&, const Conv2dOptions&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape
