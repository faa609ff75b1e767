// What the tape takes from the operations above it: adjoints are summed by operations, so that gradients of
// gradients can be recorded. Defined in ops/adjoint_sums.cpp.
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

/// The dimensions of several results, for inputs like x, which has a leading axis of them.
inline Shape with_batch(const Shape& x, const Shape& each) {
  Shape all{x[0]};
  for (const std::size_t d : each) all.push_back(d);
  return all;
}

/// a + b, of one shape.
template <class T>
Tensor<T> sum_of_adjoints(const Tensor<T>& a, const Tensor<T>& b);

/// Sums `x` over the axes along which the shape `to` was widened by broadcasting, for passes that are not
/// recorded.
template <class T>
struct SumTo {
  static constexpr bool accumulates = true, sums = true;
  Shape to;
  unsigned mask;  ///< the axes of x that are summed
  static constexpr const char* name = "sum_to";
  bool operator==(const SumTo&) const = default;
  static SumTo of(const Shape& from, const Shape& to);
  SumTo batched(const Shape& x) const { return {with_batch(x, to), mask << 1}; }
  Tensor<T> decomposed(const Tensor<T>& x) const;

  Shape shape(const Shape&) const { return to; }
  void compute(Target<T> y, const Tensor<T>& x) const;
};

/// The same as recorded operations.
template <class T>
Tensor<T> sum_to_shape(const Tensor<T>& x, const Shape& shape);

/// x as it broadcasts to `shape`.
template <class T>
Tensor<T> widened(const Tensor<T>& x, const Shape& shape);

// What operations on batches need of others.

/// reshape()
template <class T>
Tensor<T> reshape_to(const Tensor<T>& x, const Shape& shape);
/// x, n times along a new leading axis.
template <class T>
Tensor<T> repeated(const Tensor<T>& x, std::size_t n);
/// Element b along the leading axis, of a tensor or of indices.
Handle row_of(const Handle& x, std::size_t b);
template <class T>
Tensor<T> stack_rows(const std::vector<Tensor<T>>& rows);

}  // namespace xtape::detail
