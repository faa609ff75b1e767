// Integer arguments: positions, labels, places to split at.
#pragma once
#include <concepts>
#include <ranges>
#include <vector>

#include "tensor.hpp"

namespace xtape {

/// Integer positions with a shape: from an xtensor expression of integers, a range of integers, one integer,
/// or nested braces. Error for a number in braces that is not whole.
class Indices {
 public:
  template <Expression E>
  requires std::integral<typename E::value_type> Indices(const E& expression)
      : shape_(Shape(expression.shape())) {  // NOLINT
    values_.reserve(expression.size());
    for (auto it = expression.template cbegin<xt::layout_type::row_major>();
         it != expression.template cend<xt::layout_type::row_major>(); ++it)
      values_.push_back(static_cast<std::ptrdiff_t>(*it));
  }
  template <std::ranges::input_range R>
  requires(std::integral<std::ranges::range_value_t<R>> && !Expression<R>)
      Indices(const R& range) {  // NOLINT
    if constexpr (std::ranges::sized_range<const R>)
      values_.reserve(static_cast<std::size_t>(std::ranges::size(range)));
    for (auto i : range) values_.push_back(static_cast<std::ptrdiff_t>(i));
    shape_ = {values_.size()};
  }
  /// One position; take() then takes its axis out.
  template <std::integral I>
  Indices(I index) : values_{static_cast<std::ptrdiff_t>(index)} {}  // NOLINT
  Indices(std::initializer_list<detail::Nested> items);

  const Shape& shape() const { return shape_; }
  std::size_t size() const { return values_.size(); }
  const std::vector<std::ptrdiff_t>& values() const { return values_; }

 private:
  Shape shape_;
  std::vector<std::ptrdiff_t> values_;
};

}  // namespace xtape
