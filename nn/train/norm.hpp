// The norm of many numbers, for clipping and for the monitor. Not for users' programs.
#pragma once
#include <algorithm>
#include <array>

#include <autodiff/tensor.hpp>

namespace xtape::nn::detail {

/// √Σx² of all that is added, in double. Squares beyond the range of double neither overflow nor vanish; NaN
/// and infinities come through.
class Norm {
 public:
  /// `element` gives number i, of n.
  template <class F>
  void add(std::size_t n, F&& element) {
    std::array<double, 1024> block;
    for (std::size_t start = 0; start < n; start += block.size()) {
      const std::size_t size = std::min(block.size(), n - start);
      for (std::size_t i = 0; i < size; ++i) block[i] = static_cast<double>(element(start + i));
      add_block(block.data(), size);
    }
  }
  template <class T>
  void add(const Tensor<T>& x) {
    add(x.size(), [data = x.data()](std::size_t i) { return data[i]; });
  }
  double value() const;

 private:
  void add_block(double* x, std::size_t n);

  double sum_ = 0;
  double of_large_ = 0, of_small_ = 0;  ///< Σx² of x / scale and of x · scale, where x² leaves the range
};

template <class T>
double norm_of(const Tensor<T>& x) {
  Norm norm;
  norm.add(x);
  return norm.value();
}

}  // namespace xtape::nn::detail
