// The one thing that the tape takes from the operations above it: adjoints are summed by operations, so that
// gradients of gradients can be recorded. Defined in ops/adjoint_sums.cpp.
#pragma once
#include "../tensor.hpp"

namespace xtape::detail {

/// Where an operation writes: a contiguous array of the result's shape, assigned or added to.
template <class T>
struct Target {
  T* data;
  std::size_t size;  ///< elements
  bool accumulate = false;
};

/// a + b, of one shape.
template <class T>
Tensor<T> sum_of_adjoints(const Tensor<T>& a, const Tensor<T>& b);

/// Sums `x` over the axes along which the shape `to` was widened by broadcasting, for passes that are not
/// recorded.
template <class T>
struct SumTo {
  static constexpr bool accumulates = true;
  Shape to;
  static constexpr const char* name = "sum_to";
  bool operator==(const SumTo&) const = default;

  Shape shape(const Shape&) const { return to; }
  void compute(Target<T> y, const Tensor<T>& x) const;
};

/// The same as recorded operations.
template <class T>
Tensor<T> sum_to_shape(const Tensor<T>& x, const Shape& shape);

/// x as it broadcasts to `shape`.
template <class T>
Tensor<T> widened(const Tensor<T>& x, const Shape& shape);

}  // namespace xtape::detail
