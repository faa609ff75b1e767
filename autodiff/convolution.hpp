// Two-dimensional convolution, and the moves behind it: windows of images as columns, and back.
#pragma once
#include <concepts>
#include <type_traits>

#include "tensor.hpp"

namespace xtape {

/// Height and width of a window, a step or a border: two numbers in braces, or one for both.
struct Size2 {
  template <std::integral I>
  Size2(I both) : Size2(both, both) {}  // NOLINT: conv2d(x, w, {.stride = 2})
  template <std::integral H, std::integral W>
  Size2(H h, W w) : height(static_cast<std::ptrdiff_t>(h)), width(static_cast<std::ptrdiff_t>(w)) {}

  std::ptrdiff_t height, width;
};

/// How conv2d() moves and what it connects.
struct Conv2dOptions {
  Size2 stride = 1;
  Size2 padding = 0;       ///< rows and columns of zeros on each side
  Size2 dilation = 1;      ///< steps between the places of the kernel
  std::size_t groups = 1;  ///< the channels in so many parts, each of which sees its own alone
};

/// The windows of images as columns (im2col): x (N, C, H, W) gives (N, C·kh·kw, Ho·Wo), where column
/// (oy, ox) holds x[n, c, oy·stride + ky·dilation − padding, ox·stride + kx·dilation − padding] for all
/// (c, ky, kx), 0 outside of the image, and Ho = ⌊(H + 2·padding − dilation·(kh − 1) − 1) / stride⌋ + 1.
/// PyTorch's unfold; its derivative is fold. Error where no window fits.
template <class T>
Tensor<T> unfold(const Tensor<T>& x, Size2 kernel, Size2 stride = 1, Size2 padding = 0, Size2 dilation = 1);

/// The transpose of unfold: the columns (N, C·kh·kw, Ho·Wo) are added at the places that unfold reads in
/// images of size `image`: (N, C, H, W). Error for columns that unfold would not give.
template <class T>
Tensor<T> fold(const Tensor<T>& columns, Size2 image, Size2 kernel, Size2 stride = 1, Size2 padding = 0,
               Size2 dilation = 1);

namespace detail {
template <class T>
Tensor<T> conv2d(const Tensor<T>& x, const Tensor<T>& w, const Tensor<T>& b, const Conv2dOptions& options);
}  // namespace detail

/// Convolution of images x (N, C, H, W) by w (out, C / groups, kh, kw) with a bias b (out), as one node. It
/// gives y (N, out, Ho, Wo), y[n, o, oy, ox] = b[o] + Σ w[o, c, ky, kx] x[n, c + the first channel of o's
/// group, oy·stride + ky·dilation − padding, ox·stride + kx·dilation − padding]: a cross-correlation, as
/// everywhere in deep learning (Goodfellow et al., Deep Learning, 9.1). With `groups` the channels of x and y
/// are in so many equal parts, one behind the other, of which each is a convolution of its own; groups = C is
/// depthwise. Written as y = W unfold(x) + b with W (out, C·kh·kw), the derivatives are dx = fold(Wᵀ g),
/// dW = Σ g unfold(x)ᵀ, db = Σ g; no columns are written, though. The zeros of the padding are multiplied as
/// all else, so that an infinite weight gives NaN there. Error for shapes that do not agree, for groups that
/// do not divide the channels, and for a kernel larger than the padded image.
template <class T, std::convertible_to<Tensor<T>> Bias>
Tensor<T> conv2d(const Tensor<T>& x, const Tensor<std::type_identity_t<T>>& w, const Bias& b,
                 const Conv2dOptions& options = {}) {
  return detail::conv2d<T>(x, w, b, options);
}
/// The same without a bias.
template <class T>
Tensor<T> conv2d(const Tensor<T>& x, const Tensor<std::type_identity_t<T>>& w,
                 const Conv2dOptions& options = {});

}  // namespace xtape
