// The windows of an image that convolution and pooling look at, and loops over them without arithmetic of
// indices for each element.
#pragma once
#include <algorithm>
#include <string>

#include "../convolution.hpp"
#include "../derivation/code.hpp"
#include "../kernels/kernels.hpp"
#include "../tape/op.hpp"

namespace xtape::detail {

/// One axis: output o sees the elements o·stride + k·dilation − padding, k < kernel, of which `in` exist.
struct WindowAxis {
  std::size_t in, kernel, stride, padding, dilation, out;
  bool operator==(const WindowAxis&) const = default;

  /// Only the places first_place() <= k < last_place() of a window are ever within the image.
  std::size_t first_place() const {
    return quotient_up(padding - std::min(padding, (out - 1) * stride), dilation);
  }
  std::size_t last_place() const { return std::min(kernel, quotient_up(in + padding, dilation)); }
  /// Place k of a window is within the image for the outputs first(k) <= o < last(k).
  std::size_t first(std::size_t k) const {
    return k * dilation >= padding ? 0 : std::min(out, quotient_up(padding - k * dilation, stride));
  }
  std::size_t last(std::size_t k) const {
    const std::size_t place = k * dilation;
    return place >= in + padding ? 0 : std::min(out, (in + padding - place - 1) / stride + 1);
  }
};

/// The windows of each of the planes (H, W) of an image (channels, H, W).
struct Windows {
  std::size_t channels;
  WindowAxis y, x;
  bool operator==(const Windows&) const = default;

  std::size_t plane() const { return y.in * x.in; }           ///< H·W
  std::size_t outputs() const { return y.out * x.out; }       ///< Ho·Wo
  std::size_t kernel() const { return y.kernel * x.kernel; }  ///< kh·kw
  std::size_t rows() const { return channels * kernel(); }    ///< of the columns
  bool padded() const { return y.padding != 0 || x.padding != 0; }

  /// row(k, o, i, n) for each place k = (ky, kx) of the window and each row of outputs: n outputs from o on
  /// see there the elements from i on, x.stride apart. Outputs whose place k is in the padding are left out.
  template <class Row>
  void each_row(const Row& row) const {
    if (plane() == 0) return;  // no place is within the image
    for (std::size_t ky = y.first_place(); ky < y.last_place(); ++ky)
      for (std::size_t kx = x.first_place(); kx < x.last_place(); ++kx) {
        const std::size_t k = ky * x.kernel + kx, start = x.first(kx), end = x.last(kx);
        if (start >= end) continue;
        for (std::size_t oy = y.first(ky); oy < y.last(ky); ++oy)
          row(k, oy * x.out + start,
              (oy * y.stride + ky * y.dilation - y.padding) * x.in + start * x.stride + kx * x.dilation -
                  x.padding,
              end - start);
      }
  }
};

/// Loops over the columns of all windows: `line` for each of their elements, with $column for where it is in
/// the columns, and $place for that in the images if `inside`.
void write_windows(Code& to, const Windows& w, std::size_t images, const std::string& line, bool filled);

/// "(2, 3)"
std::string text(Size2 size);

/// Error, naming `op` and `what`, for a size below `least` or one of 2³¹ and more.
void require_size(const char* op, const char* what, Size2 size, std::ptrdiff_t least);

/// The windows of images (…, C, H, W). Errors name `op`.
Windows make_windows(const char* op, const Shape& images, Size2 kernel, Size2 stride, Size2 padding,
                     Size2 dilation = 1);

/// Where columns lie: the distances between two images, and between two rows.
struct ColumnLayout {
  std::size_t image, row;
};

/// Writes the windows of N images as columns; `outside` stands in the padding.
template <class T>
void write_columns(T* columns, ColumnLayout layout, const T* x, std::size_t N, const Windows& w, T outside) {
  for_blocks(N * w.channels, N * w.rows() * w.outputs(), [&](std::size_t from, std::size_t to) {
    for (std::size_t p = from; p < to; ++p) {
      const T* const plane = x + p * w.plane();
      T* const rows = columns + p / w.channels * layout.image + p % w.channels * w.kernel() * layout.row;
      if (w.padded())
        for (std::size_t k = 0; k < w.kernel(); ++k) std::fill_n(rows + k * layout.row, w.outputs(), outside);
      w.each_row([&](std::size_t k, std::size_t o, std::size_t i, std::size_t n) {
        T* const y = rows + k * layout.row + o;
        if (w.x.stride == 1)
          std::copy_n(plane + i, n, y);
        else
          for (std::size_t j = 0; j < n; ++j) y[j] = plane[i + j * w.x.stride];
      });
    }
  });
}

/// The transpose: adds columns to the elements of N images that they were read from.
template <class T>
void add_columns(T* x, const T* columns, ColumnLayout layout, std::size_t N, const Windows& w) {
  for_blocks(N * w.channels, N * w.rows() * w.outputs(), [&](std::size_t from, std::size_t to) {
    for (std::size_t p = from; p < to; ++p) {
      T* const plane = x + p * w.plane();
      const T* const rows =
          columns + p / w.channels * layout.image + p % w.channels * w.kernel() * layout.row;
      w.each_row([&](std::size_t k, std::size_t o, std::size_t i, std::size_t n) {
        const T* const column = rows + k * layout.row + o;
        if (w.x.stride == 1)
          for (std::size_t j = 0; j < n; ++j) plane[i + j] += column[j];
        else
          for (std::size_t j = 0; j < n; ++j) plane[i + j * w.x.stride] += column[j];
      });
    }
  });
}

template <class T>
struct Fold;

/// (N, C, H, W) → (N, C·kh·kw, Ho·Wo)
template <class T>
struct Unfold {
  Windows windows;
  T outside = 0;
  bool operator==(const Unfold& other) const {
    return windows == other.windows &&
           (outside == other.outside || (outside != outside && other.outside != other.outside));
  }
  static constexpr const char* name = "unfold";

  Shape shape(const Shape& x) const {
    // The product of two of these sizes may exceed 64 bits, which that of all is checked for.
    const WindowAxis &y = windows.y, &axis = windows.x;
    element_count({x[0], windows.channels, y.kernel, axis.kernel, y.out, axis.out}, name);
    return {x[0], windows.rows(), windows.outputs()};
  }
  void compute(Target<T> y, const Tensor<T>& x) const {
    const ColumnLayout layout{windows.rows() * windows.outputs(), windows.outputs()};
    write_columns(y.data, layout, x.data(), x.shape()[0], windows, outside);
  }
  void code(Code& to) const {
    write_windows(to, windows, to.shape()[0],
                  "$y[$column] = inside ? $0[$place] : " + to.number(static_cast<double>(outside)) + ";",
                  false);
  }
  void tangent(Tangents<T>& t) const { t.add(Unfold{windows}, t.of(0)); }  // 0 outside
  void backward(Gradients<T>& d) const { d.add(0, Fold<T>{windows}, d.adjoint); }
};

/// (N, C·kh·kw, Ho·Wo) → (N, C, H, W)
template <class T>
struct Fold {
  static constexpr bool accumulates = true;
  Windows windows;
  static constexpr const char* name = "fold";
  bool operator==(const Fold&) const = default;

  Shape shape(const Shape& columns) const {
    return {columns[0], windows.channels, windows.y.in, windows.x.in};
  }
  void compute(Target<T> y, const Tensor<T>& columns) const {
    const std::size_t N = columns.shape()[0];
    if (!y.accumulate) std::fill_n(y.data, N * windows.channels * windows.plane(), T(0));
    const ColumnLayout layout{windows.rows() * windows.outputs(), windows.outputs()};
    add_columns(y.data, columns.data(), layout, N, windows);
  }
  void code(Code& to) const {
    write_windows(to, windows, to.shape()[0], "if (inside) $y[$place] += $0[$column];", true);
  }
  static constexpr bool is_linear = true;
  void backward(Gradients<T>& d) const { d.add(0, Unfold<T>{windows}, d.adjoint); }
};

}  // namespace xtape::detail
