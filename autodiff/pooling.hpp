// Pooling: the largest element or the mean of each window of an image.
#pragma once
#include "convolution.hpp"

namespace xtape {

/// The largest element of each window of x (N, C, H, W): (N, C, Ho, Wo) with Ho = ⌊(H + 2·padding − kh) /
/// stride⌋ + 1; NaN if any is. What the padding adds is never the largest. Equal largest elements of a window
/// share its gradient evenly, as in max() (PyTorch gives it to the first). Error where no window fits, and
/// for a padding of more than half the kernel, which would leave windows without an element.
template <class T>
Tensor<T> max_pool2d(const Tensor<T>& x, Size2 kernel, Size2 stride, Size2 padding = 0);
/// Windows side by side: the stride is the kernel.
template <class T>
Tensor<T> max_pool2d(const Tensor<T>& x, Size2 kernel) {
  return max_pool2d(x, kernel, kernel);
}

/// The mean of each window, with the zeros of the padding counted, as PyTorch does by default. Otherwise as
/// max_pool2d.
template <class T>
Tensor<T> avg_pool2d(const Tensor<T>& x, Size2 kernel, Size2 stride, Size2 padding = 0);
template <class T>
Tensor<T> avg_pool2d(const Tensor<T>& x, Size2 kernel) {
  return avg_pool2d(x, kernel, kernel);
}

}  // namespace xtape
