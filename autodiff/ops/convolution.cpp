// conv2d by columns and matrix products, tile by tile of samples.
#include "../convolution.hpp"

#include <string>

#include "../kernels/gemm.hpp"
#include "../layout.hpp"
#include "../linalg.hpp"
#include "../reductions.hpp"
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

template <class T>
struct Conv2d {
  Windows windows;
  static constexpr const char* name = "conv2d";

  Shape shape(const Shape& x, const Shape& w, const auto&...) const {
    return {x[0], w[0], windows.y.out, windows.x.out};
  }

  /// y (out, n·L) = W (out, K) columns (K, n·L) + b for n samples at a time, L = Ho·Wo.
  template <class... Bias>
  void compute(Target<T> y, const Tensor<T>& x, const Tensor<T>& w, const Bias&... bias) const {
    const std::size_t K = windows.rows(), L = windows.outputs(), out = w.shape()[0];
    each_tile({windows, x.shape()[0], out}, [&](const Part& part) {
      const std::size_t n = part.samples;
      write_columns(part.columns, {L, n * L}, x.data() + part.first * image(), n, windows, T(0));
      T* const to = y.data + part.first * out * L;
      T* const products = n == 1 ? to : part.products;
      (add_bias(products, bias.data(), out, n * L), ...);
      gemm(false, false, out, n * L, K, w.data(), part.columns, sizeof...(Bias) != 0, products);
      if (n != 1) swap_first_axes(to, products, out, n, L);
    });
  }

  static constexpr unsigned keeps(unsigned i) { return i == 0 ? keep_input(1) : i == 1 ? keep_input(0) : 0; }

  void backward(Gradients<T>& d) const {
    if (d.creates_graph()) return record_gradients(d);
    const Shape to = d.adjoint.shape();
    const std::size_t K = windows.rows(), L = windows.outputs(), out = to[1];
    const Tiles tiles(windows, to[0], out);
    const auto adjoint = [&](const Part& part) -> const T* {  // of the samples, as (out, n·L)
      const T* const g = d.adjoint.data() + part.first * out * L;
      if (part.samples == 1) return g;
      swap_first_axes(part.products, g, part.samples, out, L);
      return part.products;
    };
    // dx = fold(Wᵀ (K, out) g (out, n·L))
    d.accumulate(0, [&](Target<T> dx) {
      const T* const w = d.kept_value(1).template elements<T>();
      each_tile(tiles, [&](const Part& part) {
        const std::size_t n = part.samples;
        gemm(true, false, K, n * L, out, w, adjoint(part), false, part.columns);
        T* const images = dx.data + part.first * image();
        if (!dx.accumulate) std::fill_n(images, n * image(), T(0));
        add_columns(images, part.columns, {L, n * L}, n, windows);
      });
    });
    // dW (out, K) = Σ g (out, n·L) columnsᵀ (n·L, K), a sum for each group of tiles
    d.accumulate(1, [&](Target<T> dw) {
      const T* const x = d.kept_value(0).template elements<T>();
      Tensor<T> sums = zeros<T>({tiles.groups, out * K});
      each_tile(tiles, [&, to_sums = sums.mutable_data()](const Part& part) {
        const std::size_t n = part.samples;
        write_columns(part.columns, {L, n * L}, x + part.first * image(), n, windows, T(0));
        gemm(false, true, out, K, n * L, adjoint(part), part.columns, true, to_sums + part.group * out * K);
      });
      if (!dw.accumulate) std::fill_n(dw.data, out * K, T(0));
      kernels<T>().add_rows(dw.data, sums.data(), tiles.groups, out * K);
    });
    // db (out) = Σ g over samples and places
    if (d.input_count() == 3)
      d.accumulate(2, [&](Target<T> db) {
        if (!db.accumulate) std::fill_n(db.data, out, T(0));
        add_sum(db.data, d.adjoint.data(), to, 0b1101);
      });
  }

 private:
  std::size_t image() const { return windows.channels * windows.plane(); }

  static void add_bias(T* y, const T* bias, std::size_t out, std::size_t n) {
    for (std::size_t o = 0; o < out; ++o) std::fill_n(y + o * n, n, bias[o]);
  }

  struct Part {
    std::size_t group, first, samples;
    T *columns, *products;  ///< memory for (K, samples·L) and (out, samples·L) of the group's own
  };

  template <class F>
  void each_tile(const Tiles& tiles, const F& f) const {
    const std::size_t K = windows.rows(), L = windows.outputs(), out = tiles.out, n = tiles.tile;
    Tensor<T> columns = Tensor<T>::uninitialized({tiles.groups, K * n * L}, name);
    Tensor<T> products = Tensor<T>::uninitialized({tiles.groups, n == 1 ? 0 : out * n * L}, name);
    tiles.each([&, all_columns = columns.mutable_data(), all_products = products.mutable_data()](
                   std::size_t group, std::size_t first, std::size_t samples) {
      f(Part{group, first, samples, all_columns + group * K * n * L,
             n == 1 ? nullptr : all_products + group * out * n * L});
    });
  }

  void record_gradients(Gradients<T>& d) const {
    const Shape to = d.adjoint.shape();
    const Tensor<T> g = reshape(d.adjoint, {to[0], to[1], windows.outputs()});
    if (d.needs(0)) {
      const Tensor<T> W = reshape(d.input(1), {to[1], windows.rows()});
      d.add(0, Fold<T>{windows}, matmul(transpose(W), g));
    }
    if (d.needs(1)) {
      const Tensor<T> columns = apply<T>(Unfold<T>{windows}, d.input(0));
      d.add(1, reshape(sum(matmul(g, transpose(columns, {0, 2, 1})), 0), Dims(d.shape(1))));
    }
    if (d.input_count() == 3 && d.needs(2)) d.add(2, sum(d.adjoint, {0, 2, 3}));
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
