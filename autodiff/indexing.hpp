// Reading and adding by integer positions.
#pragma once
#include <concepts>
#include <memory>
#include <vector>

#include "tensor.hpp"

namespace xtape {

/// Integer positions with a shape: from an xtensor expression of integers, a range of integers, or braces.
class Indices {
 public:
  template <Expression E>
  requires std::integral<typename E::value_type> Indices(const E& expression)
      : shape_(Shape(expression.shape())) {  // NOLINT
    std::vector<std::ptrdiff_t> values;
    values.reserve(expression.size());
    for (auto it = expression.template cbegin<xt::layout_type::row_major>();
         it != expression.template cend<xt::layout_type::row_major>(); ++it)
      values.push_back(static_cast<std::ptrdiff_t>(*it));
    values_ = std::move(values);
  }
  template <std::ranges::input_range R>
  requires(std::integral<std::ranges::range_value_t<R>> && !Expression<R>)
      Indices(const R& range) {  // NOLINT
    for (auto i : range) values_.push_back(static_cast<std::ptrdiff_t>(i));
    shape_ = {values_.size()};
  }
  /// One position; take() then takes its axis out.
  template <std::integral I>
  Indices(I index) : values_{static_cast<std::ptrdiff_t>(index)} {}  // NOLINT
  Indices(std::initializer_list<detail::Integer> items) {
    for (const detail::Integer item : items) values_.push_back(item.value);
    shape_ = {values_.size()};
  }

  const Shape& shape() const { return shape_; }
  std::size_t size() const { return values_.size(); }
  const std::vector<std::ptrdiff_t>& values() const { return values_; }

 private:
  Shape shape_;
  std::vector<std::ptrdiff_t> values_;
};

/// NumPy's take: the sub-arrays of x at `indices` along an axis, whose place the shape of `indices` takes.
/// Negative indices count from the end. Derivative: the adjoint is added at the indices, repeated ones add
/// up. Error for an index out of range.
template <class T>
Tensor<T> take(const Tensor<T>& x, const Indices& indices, std::ptrdiff_t axis);
/// Of the flattened x.
template <class T>
Tensor<T> take(const Tensor<T>& x, const Indices& indices);

/// NumPy's take_along_axis, PyTorch's gather: y[i, j, k] = x[i, indices[i, j, k], k] for axis 1. `indices`
/// has the rank of x and its dimensions outside of the axis.
template <class T>
Tensor<T> gather(const Tensor<T>& x, const Indices& indices, std::ptrdiff_t axis);

/// x with updates[i, j, k] added at [i, indices[i, j, k], k], for axis 1; repeated places add up. `indices`
/// and `updates` have one shape, which agrees with x outside of the axis.
template <class T>
Tensor<T> scatter_add(const Tensor<T>& x, const Indices& indices, const Tensor<T>& updates,
                      std::ptrdiff_t axis);

}  // namespace xtape
