// The data of the rows of convolutions, for both sides.
#pragma once
#include <cstddef>
#include <vector>

namespace bench {

struct ImageData {
  std::size_t batch, in, size, out, kernel, stride, padding, groups;
  bool is_first;  ///< layer: its images are data, whose gradient nobody needs
  std::size_t dilation = 1;
  bool with_gradient = false;
  std::vector<float> x{}, W{}, b{}, g{};  ///< g: the adjoint of the result

  std::size_t out_size() const { return (size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1; }
};

}  // namespace bench
