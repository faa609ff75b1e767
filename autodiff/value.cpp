// Making and destroying values; header and elements are one block of the pool.
#include "value.hpp"

#include <new>

namespace xtape::detail {

namespace {
constexpr std::size_t header_bytes = (sizeof(Value) + alignment - 1) / alignment * alignment;
}

ValueRef make_value(const Shape& shape, std::size_t item_size, const char* op) {
  const std::size_t size = element_count(shape, op);
  std::uint32_t size_class = 0;
  void* block = allocate(header_bytes + size * item_size, size_class);
  auto* value = ::new (block) Value;
  value->size_class = size_class;
  value->data = static_cast<std::byte*>(block) + header_bytes;
  value->size = size;
  value->item_size = item_size;
  value->shape = shape;
  return ValueRef(value);
}

ValueRef make_view(const ValueRef& value, const Shape& shape) {
  ValueRef owner = value;
  if (value->base) {
    value->base->references.fetch_add(1, std::memory_order_relaxed);
    owner = ValueRef(value->base);
  }
  std::uint32_t size_class = 0;
  void* block = allocate(sizeof(Value), size_class);
  auto* view = ::new (block) Value;
  view->size_class = size_class;
  view->data = value->data;
  view->size = value->size;
  view->item_size = value->item_size;
  view->shape = shape;
  view->base = owner.release();
  return ValueRef(view);
}

void destroy(Value* value) noexcept {
  const ValueRef base(value->base);
  const std::uint32_t size_class = value->size_class;
  value->~Value();
  deallocate(value, size_class);
}

}  // namespace xtape::detail
