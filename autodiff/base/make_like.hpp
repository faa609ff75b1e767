// A value like another one, without a look at its shape: what most operations begin with. Not installed.
#pragma once
#include "pool.hpp"
#include "value.hpp"

namespace xtape::detail {

/// The elements of a value begin here.
inline constexpr std::size_t value_header_bytes = (sizeof(Value) + alignment - 1) / alignment * alignment;

/// Makes a value that is not in the pool one of elements that somebody else owns, like those that are there.
inline void describe_elements(Value& value, std::size_t item_size, const char* op) {
  value.size = element_count(value.shape, op);
  value.item_size = static_cast<std::uint16_t>(item_size);
  value.size_class = size_class_of(value_header_bytes + value.bytes());  // for make_like()
}

/// An uninitialised value of the shape and the element size of another one.
inline ValueRef make_like(const Value& value) {
  if (value.base) return make_value(value.shape, value.item_size, "Tensor");
  auto* like = ::new (allocate(value.size_class)) Value(value.shape);
  like->size_class = value.size_class;
  like->data = reinterpret_cast<std::byte*>(like) + value_header_bytes;
  like->size = value.size;
  like->item_size = value.item_size;
  like->integers = value.integers;
  return ValueRef(like);
}

}  // namespace xtape::detail
