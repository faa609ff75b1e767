// Making and destroying values; header and elements are one block of the pool.
#include "make_like.hpp"

#include <type_traits>

namespace xtape::detail {

namespace {

[[gnu::noinline, gnu::cold]] ValueRef noted(Value* value) {
  ValueRef made(value);
  made_values->push_back(made);
  return made;
}

}  // namespace

ValueRef make_value(const Shape& shape, std::size_t item_size, const char* op) {
  const std::size_t size = element_count(shape, op);
  const std::uint32_t size_class = size_class_of(value_header_bytes + size * item_size);
  auto* value = ::new (allocate(size_class)) Value(shape);
  value->size_class = size_class;
  value->data = reinterpret_cast<std::byte*>(value) + value_header_bytes;
  value->size = size;
  value->item_size = static_cast<std::uint16_t>(item_size);
  return made_values ? noted(value) : ValueRef(value);
}

ValueRef make_view(const ValueRef& value, const Shape& shape) {
  ValueRef owner = value;
  if (value->base) {
    value->base->references.fetch_add(1, std::memory_order_relaxed);
    owner = ValueRef(value->base);
  }
  const std::uint32_t size_class = size_class_of(sizeof(Value));
  auto* view = ::new (allocate(size_class)) Value(shape);
  view->size_class = size_class;
  view->data = value->data;
  view->size = value->size;
  view->item_size = value->item_size;
  view->integers = value->integers;
  view->base = owner.release();
  return ValueRef(view);
}

double element(const Value& value, std::size_t i) {
  if (value.integers) return static_cast<double>(value.elements<std::ptrdiff_t>()[i]);
  return value.item_size == sizeof(float) ? static_cast<double>(value.elements<float>()[i])
                                          : value.elements<double>()[i];
}

static_assert(std::is_trivially_destructible_v<Value>);

void drop_reference(Value* value) noexcept {
  // The only reference is dropped without a locked instruction.
  if (value->references.load(std::memory_order_acquire) != 1 &&
      value->references.fetch_sub(1, std::memory_order_acq_rel) != 1)
    return;
  Value* const base = value->base;
  deallocate(value, value->size_class);
  if (base) drop_reference(base);
}

}  // namespace xtape::detail
