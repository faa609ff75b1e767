// Integer arguments: positions, labels, places to split at.
#pragma once
#include <algorithm>
#include <concepts>
#include <ranges>
#include <span>
#include <vector>

#include "tensor.hpp"

namespace xtape {

/// Integer positions with a shape: from an xtensor expression of integers, a range of integers, one integer,
/// or nested braces. A cheap handle, as a tensor is: copies share the numbers. Error for a number in braces
/// that is not whole.
class Indices {
 public:
  using value_type = std::ptrdiff_t;

  /// None.
  Indices() : Indices(uninitialized({0})) {}
  template <Expression E>
  requires std::integral<typename E::value_type> Indices(const E& expression)
      : Indices(uninitialized(Shape(expression.shape()))) {  // NOLINT
    std::transform(expression.template cbegin<xt::layout_type::row_major>(),
                   expression.template cend<xt::layout_type::row_major>(), mutable_data(),
                   [](auto i) { return static_cast<std::ptrdiff_t>(i); });
  }
  template <std::ranges::input_range R>
  requires(std::integral<std::ranges::range_value_t<R>> && !Expression<R>)
      Indices(const R& range) {  // NOLINT
    if constexpr (std::ranges::sized_range<const R>) {
      *this = uninitialized({static_cast<std::size_t>(std::ranges::size(range))});
      std::ptrdiff_t* to = mutable_data();
      for (auto i : range) *to++ = static_cast<std::ptrdiff_t>(i);
    } else {
      std::vector<std::ptrdiff_t> list;
      for (auto i : range) list.push_back(static_cast<std::ptrdiff_t>(i));
      *this = Indices(list);
    }
  }
  /// One position; take() then takes its axis out.
  template <std::integral I>
  Indices(I index) : Indices(uninitialized({})) {  // NOLINT
    *mutable_data() = static_cast<std::ptrdiff_t>(index);
  }
  Indices(std::initializer_list<detail::Nested> items);
  /// For operations.
  explicit Indices(detail::Handle handle) : handle_(std::move(handle)) {}

  const Shape& shape() const { return handle_.value->shape; }
  std::size_t size() const { return handle_.value->size; }
  /// The numbers, row-major.
  std::span<const std::ptrdiff_t> values() const {
    if (detail::tracing) [[unlikely]]
      detail::require_readable(*handle_.value.get(), "values");
    return {data(), size()};
  }
  bool empty() const { return size() == 0; }
  std::ptrdiff_t operator[](std::size_t i) const { return values()[i]; }
  auto begin() const { return values().begin(); }
  auto end() const { return values().end(); }
  /// The same numbers, of one shape.
  friend bool operator==(const Indices& a, const Indices& b) {
    return a.shape() == b.shape() && std::ranges::equal(a.values(), b.values());
  }
  /// The same as values() for operations.
  const std::ptrdiff_t* data() const {
    if (!handle_.value->data) [[unlikely]]
      detail::require_elements(*handle_.value.get());
    return handle_.value->elements<std::ptrdiff_t>();
  }

  const detail::Handle& handle() const& { return handle_; }
  detail::Handle release() && { return std::move(handle_); }

 private:
  static Indices uninitialized(const Shape& shape) {
    detail::ValueRef value = detail::make_value(shape, sizeof(std::ptrdiff_t), "Indices");
    value->integers = true;
    return Indices(detail::Handle{std::move(value), {}});
  }
  std::ptrdiff_t* mutable_data() { return reinterpret_cast<std::ptrdiff_t*>(handle_.value->data); }

  detail::Handle handle_;
};

}  // namespace xtape
