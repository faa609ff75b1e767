// The norm of many numbers, for clipping and for the monitor. Not for users' programs.
#pragma once
#include <algorithm>
#include <array>

#include <autodiff/engine.hpp>

namespace xtape::nn::detail {

/// √Σx² of all that is added, in double. Squares beyond the range of double neither overflow nor vanish; NaN
/// and infinities come through.
class Norm {
 public:
  /// `element` gives number i, of n, and may be called on several threads.
  template <class F>
  void add(std::size_t n, const F& element) {
    constexpr std::size_t blocks = 256;
    const std::size_t group = n < blocks * block / 4 ? blocks : 16;  // of one thread
    std::array<Sums, blocks> parts;
    for (std::size_t start = 0; start < n; start += blocks * block) {
      const std::size_t count = std::min(blocks, (n - start + block - 1) / block);
      engine::parallel_for((count + group - 1) / group, [&](std::size_t g) {
        std::array<double, block> x;
        for (std::size_t k = g * group; k < std::min(count, (g + 1) * group); ++k) {
          const std::size_t first = start + k * block, size = std::min(block, n - first);
          for (std::size_t i = 0; i < size; ++i) x[i] = static_cast<double>(element(first + i));
          parts[k] = sums_of(x.data(), size);
        }
      });
      for (std::size_t k = 0; k < count; ++k) add(parts[k]);
    }
  }
  template <class T>
  void add(const Tensor<T>& x) {
    add(x.size(), [data = x.data()](std::size_t i) { return data[i]; });
  }
  double value() const;

 private:
  struct Sums {
    double of_all = 0;                  ///< Σx²
    double of_large = 0, of_small = 0;  ///< Σx² of x / scale and of x · scale, where x² leaves the range
  };
  static constexpr std::size_t block = 1024;

  /// Of a block, in which it may scale.
  static Sums sums_of(double* x, std::size_t n);
  void add(const Sums& part) {
    sums_.of_all += part.of_all, sums_.of_large += part.of_large, sums_.of_small += part.of_small;
  }

  Sums sums_;
};

template <class T>
double norm_of(const Tensor<T>& x) {
  Norm norm;
  norm.add(x);
  return norm.value();
}

}  // namespace xtape::nn::detail
