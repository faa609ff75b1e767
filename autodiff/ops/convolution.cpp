// conv2d by columns and matrix products, tile by tile of samples.
#include "../convolution.hpp"

#include <string>

#include "../kernels/gemm.hpp"
#include "../layout.hpp"
#include "../linalg.hpp"
#include "../reductions.hpp"
#include "matrix_product.hpp"
#include "reduction_ops.hpp"
#include "windows.hpp"

namespace xtape {
namespace detail {
namespace {

/// y (b, a, n) = x (a, b, n) with its first axes swapped.
template <class T>
void swap_first_axes(T* y, const T* x, std::size_t a, std::size_t b, std::size_t n) {
  for_blocks(a, a * b * n, [&](std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i)
      for (std::size_t j = 0; j < b; ++j) std::copy_n(x + (i * b + j) * n, n, y + (j * a + i) * n);
  });
}

/// A batch in tiles of samples whose columns fit into the second-level cache, and the tiles in groups that
/// threads share out. The backward pass makes the columns again: a sixth of its time with 16 channels of
/// 14×14, where keeping those of the whole batch would take nine times the memory of x.
struct Tiles {
  std::size_t samples, out, tile, count, groups;

  Tiles(const Windows& w, std::size_t N, std::size_t outputs) : samples(N), out(outputs) {
    constexpr std::size_t columns = 1 << 16, most_groups = 16;
    const std::size_t each = std::max<std::size_t>(1, w.rows() * w.outputs());
    tile = std::clamp<std::size_t>(columns / each, 1, std::max<std::size_t>(1, N));
    count = quotient_up(N, tile);
    // Products of few multiplications gain little from the threads of BLAS, and much from being shared out;
    // one so large that BLAS splits it well, or so little work that waking threads costs more, is not.
    const double product = static_cast<double>(each) * static_cast<double>(out);
    const bool shared = product < 0x1p24 && product * static_cast<double>(N) > 0x1p20;
    groups = shared ? std::clamp<std::size_t>(count, 1, most_groups) : 1;
  }

  /// f(group, first sample, number of samples) for all tiles; those of a group one after the other.
  template <class F>
  void each(const F& f) const {
    const auto run = [&](std::size_t group) {
      for (std::size_t t = group * count / groups; t < (group + 1) * count / groups; ++t)
        f(group, t * tile, std::min(tile, samples - t * tile));
    };
    if (groups == 1) return run(0);
    const SerialBlas serial;
    parallel_for(groups, run);
  }
};

/// The products of a convolution with `out` channels, tile by tile of samples; K = C·kh·kw, L = Ho·Wo.
template <class T>
struct ConvolutionTiles {
  const Windows& windows;
  Tiles tiles;
  std::size_t K = windows.rows(), L = windows.outputs(), out = tiles.out,
              image = windows.channels * windows.plane();

  ConvolutionTiles(const Windows& w, std::size_t N, std::size_t outputs) : windows(w), tiles(w, N, outputs) {}

  struct Part {
    std::size_t group, first, samples;
    T *columns, *products;  ///< memory for (K, samples·L) and (out, samples·L) of the group's own
  };

  template <class F>
  void each(const F& f) const {
    const std::size_t n = tiles.tile;
    Tensor<T> columns = Tensor<T>::uninitialized({tiles.groups, K * n * L}, "conv2d");
    Tensor<T> products = Tensor<T>::uninitialized({tiles.groups, n == 1 ? 0 : out * n * L}, "conv2d");
    tiles.each([&, all_columns = columns.mutable_data(), all_products = products.mutable_data()](
                   std::size_t group, std::size_t first, std::size_t samples) {
      f(Part{group, first, samples, all_columns + group * K * n * L,
             n == 1 ? nullptr : all_products + group * out * n * L});
    });
  }
  /// The columns (K, n·L) of a part's images.
  void write_images(const Part& part, const T* x) const {
    write_columns(part.columns, {L, part.samples * L}, x + part.first * image, part.samples, windows, T(0));
  }
  /// The part of g (N, out, L) as (out, n·L).
  const T* outputs(const Part& part, const T* g) const {
    const T* const own = g + part.first * out * L;
    if (part.samples == 1) return own;
    swap_first_axes(part.products, own, part.samples, out, L);
    return part.products;
  }
};

// What the decomposed forms say: W as (out, K), and images or outputs as (N, channels, places).
template <class T>
Tensor<T> as_matrix(const Tensor<T>& w) {
  return reshape(w, Dims{w.shape()[0], w.size() / w.shape()[0]});
}
template <class T>
Tensor<T> as_lines(const Tensor<T>& x) {
  return reshape(x, Dims{x.shape()[0], x.shape()[1], x.shape()[2] * x.shape()[3]});
}

// conv2d, the gradient of its images and that of its weight are linear in either argument, and the three
// forms of one sum of g · x · w: each has the other two as gradients.
template <class T>
struct Conv2d;
template <class T>
struct Conv2dWeightGradient;

/// dx (N, C, H, W) = fold(Wᵀ (K, out) g (out, n·L)) for n samples at a time
template <class T>
struct Conv2dImageGradient {
  static constexpr bool accumulates = true;
  Windows windows;
  static constexpr const char* name = "conv2d_image_gradient";
  bool operator==(const Conv2dImageGradient&) const = default;
  void write(Notation& to) const { to.set(Term::call(name, to.x, to.shape)); }

  Shape shape(const Shape& g, const Shape&) const {
    return {g[0], windows.channels, windows.y.in, windows.x.in};
  }
  void compute(Target<T> dx, const Tensor<T>& g, const Tensor<T>& w) const {
    const ConvolutionTiles<T> tiles(windows, g.shape()[0], g.shape()[1]);
    tiles.each([&](const auto& part) {
      const std::size_t columns = part.samples * tiles.L;
      gemm(true, false, tiles.K, columns, tiles.out, w.data(), tiles.outputs(part, g.data()), false,
           part.columns);
      T* const images = dx.data + part.first * tiles.image;
      if (!dx.accumulate) std::fill_n(images, part.samples * tiles.image, T(0));
      add_columns(images, part.columns, {tiles.L, columns}, part.samples, windows);
    });
  }
  Tensor<T> decomposed(const Tensor<T>& g, const Tensor<T>& w) const {
    return apply<T>(Fold<T>{windows}, product_tn(as_matrix(w), as_lines(g)));
  }
  static constexpr unsigned keeps(unsigned i) { return keep_input(1 - i); }
  static constexpr bool is_bilinear = true;
  void backward(Gradients<T>& d) const {
    if (d.needs(0)) d.add(0, Conv2d<T>{windows}, d.adjoint, d.input(1));
    if (d.needs(1)) d.add(1, Conv2dWeightGradient<T>{windows}, d.input(0), d.adjoint);
  }
};

/// dW (out, C, kh, kw) = Σ g (out, n·L) columnsᵀ (n·L, K), a sum for each group of tiles
template <class T>
struct Conv2dWeightGradient {
  static constexpr bool accumulates = true;
  Windows windows;
  static constexpr const char* name = "conv2d_weight_gradient";
  bool operator==(const Conv2dWeightGradient&) const = default;
  void write(Notation& to) const { to.set(Term::call(name, to.x, to.shape)); }

  Shape shape(const Shape& g, const Shape&) const {
    return {g[1], windows.channels, windows.y.kernel, windows.x.kernel};
  }
  void compute(Target<T> dw, const Tensor<T>& g, const Tensor<T>& x) const {
    const ConvolutionTiles<T> tiles(windows, g.shape()[0], g.shape()[1]);
    const std::size_t size = tiles.out * tiles.K, groups = tiles.tiles.groups;
    Tensor<T> sums = zeros<T>({groups, size});
    tiles.each([&, to = sums.mutable_data()](const auto& part) {
      tiles.write_images(part, x.data());
      gemm(false, true, tiles.out, tiles.K, part.samples * tiles.L, tiles.outputs(part, g.data()),
           part.columns, true, to + part.group * size);
    });
    if (!dw.accumulate) std::fill_n(dw.data, size, T(0));
    kernels<T>().add_rows(dw.data, sums.data(), groups, size);
  }
  Tensor<T> decomposed(const Tensor<T>& g, const Tensor<T>& x) const {
    const Tensor<T> columns = apply<T>(Unfold<T>{windows}, x);
    const Tensor<T> all = sum(product_nt(as_lines(g), columns), 0);
    return reshape(all, Dims(shape(g.shape(), {})));
  }
  static constexpr unsigned keeps(unsigned i) { return keep_input(1 - i); }
  static constexpr bool is_bilinear = true;
  void backward(Gradients<T>& d) const {
    if (d.needs(0)) d.add(0, Conv2d<T>{windows}, d.input(1), d.adjoint);
    if (d.needs(1)) d.add(1, Conv2dImageGradient<T>{windows}, d.input(0), d.adjoint);
  }
};

/// y (out, n·L) = W (out, K) columns (K, n·L) + b for n samples at a time; x (N, C, H, W), W (out, C, kh, kw)
template <class T>
struct Conv2d {
  Windows windows;
  static constexpr const char* name = "conv2d";
  bool operator==(const Conv2d&) const = default;
  void write(Notation& to) const { to.set(Term::call(name, to.x, to.shape)); }

  Shape shape(const Shape& x, const Shape& w, const auto&...) const {
    return {x[0], w[0], windows.y.out, windows.x.out};
  }
  template <class... Bias>
  void compute(Target<T> y, const Tensor<T>& x, const Tensor<T>& w, const Bias&... bias) const {
    const ConvolutionTiles<T> tiles(windows, x.shape()[0], w.shape()[0]);
    tiles.each([&](const auto& part) {
      const std::size_t columns = part.samples * tiles.L;
      tiles.write_images(part, x.data());
      T* const to = y.data + part.first * tiles.out * tiles.L;
      T* const products = part.samples == 1 ? to : part.products;
      (add_bias(products, bias.data(), tiles.out, columns), ...);
      gemm(false, false, tiles.out, columns, tiles.K, w.data(), part.columns, sizeof...(Bias) != 0, products);
      if (part.samples != 1) swap_first_axes(to, products, tiles.out, part.samples, tiles.L);
    });
  }
  template <class... Bias>
  Tensor<T> decomposed(const Tensor<T>& x, const Tensor<T>& w, const Bias&... b) const
      requires(sizeof...(b) < 2) {
    Tensor<T> y = matmul(as_matrix(w), apply<T>(Unfold<T>{windows}, x));
    ((y = y + unsqueeze(b, 1)), ...);
    return reshape(y, Dims(shape(x.shape(), w.shape())));
  }
  static constexpr unsigned keeps(unsigned i) { return i == 0 ? keep_input(1) : i == 1 ? keep_input(0) : 0; }
  void tangent(Tangents<T>& t) const {
    if (t.has(0)) t.add(*this, t.of(0), t.input(1));
    if (t.has(1)) t.add(*this, t.input(0), t.of(1));
    if (t.input_count() == 3 && t.has(2)) t.add(reshape(t.of(2), {-1, 1, 1}));
  }
  void backward(Gradients<T>& d) const {
    const Tensor<T>& g = d.adjoint;
    if (d.needs(0)) d.add(0, Conv2dImageGradient<T>{windows}, g, d.input(1));
    if (d.needs(1)) d.add(1, Conv2dWeightGradient<T>{windows}, g, d.input(0));
    if (d.input_count() == 3) d.add(2, Sum<T>{0b1101, false}, g);  // over samples and places
  }

 private:
  static void add_bias(T* y, const T* bias, std::size_t out, std::size_t n) {
    for (std::size_t o = 0; o < out; ++o) std::fill_n(y + o * n, n, bias[o]);
  }
};

Windows conv2d_windows(const Shape& x, const Shape& w, const Shape* b, const Conv2dOptions& options) {
  constexpr const char* op = "conv2d";
  if (x.size() != 4) throw Error(op, "x of shape " + to_string(x) + " is not (N, C, H, W): reshape it");
  if (w.size() != 4) throw Error(op, "weight of shape " + to_string(w) + ": it must be (out, C, kh, kw)");
  if (x[1] != w[1])
    throw Error(op, "x of shape " + to_string(x) + " has " + std::to_string(x[1]) +
                        " channels, and the weight of shape " + to_string(w) + " takes " +
                        std::to_string(w[1]));
  if (b && !(*b == Shape{w[0]}))
    throw Error(op, "bias of shape " + to_string(*b) + " for a weight of shape " + to_string(w) +
                        ": it must be (" + std::to_string(w[0]) + ",)");
  return make_windows(op, x, {w[2], w[3]}, options.stride, options.padding);
}

}  // namespace
}  // namespace detail

template <class T>
Tensor<T> unfold(const Tensor<T>& x, Size2 kernel, Size2 stride, Size2 padding) {
  return detail::apply<T>(
      detail::Unfold<T>{detail::make_windows("unfold", x.shape(), kernel, stride, padding)}, x);
}

template <class T>
Tensor<T> fold(const Tensor<T>& columns, Size2 image, Size2 kernel, Size2 stride, Size2 padding) {
  const Shape& from = columns.shape();
  detail::require_size("fold", "an image of", image, 0);
  detail::Windows w =
      detail::make_windows("fold", {1, 1, image.height, image.width}, kernel, stride, padding);
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
  return apply<T>(Conv2d<T>{conv2d_windows(x.shape(), w.shape(), &b.shape(), options)}, x, w, b);
}

template <class T>
Tensor<T> conv2d(const Tensor<T>& x, const Tensor<std::type_identity_t<T>>& w, const Conv2dOptions& options) {
  return detail::apply<T>(detail::Conv2d<T>{detail::conv2d_windows(x.shape(), w.shape(), nullptr, options)},
                          x, w);
}

#define XTAPE_INSTANTIATE(T)                                                              \
  template Tensor<T> unfold(const Tensor<T>&, Size2, Size2, Size2);                       \
  template Tensor<T> fold(const Tensor<T>&, Size2, Size2, Size2, Size2);                  \
  template Tensor<T> detail::conv2d(const Tensor<T>&, const Tensor<T>&, const Tensor<T>&, \
                                    const Conv2dOptions&);                                \
  template Tensor<T> conv2d(const Tensor<T>&, const Tensor<T>&, const Conv2dOptions&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape
