// A value: a reference-counted block with its shape, holding row-major, 64-byte aligned elements.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include <vector>

#include "../platform/compiler.hpp"
#include "../shape.hpp"

namespace xtape::detail {

/// The header of a value. The elements follow it in the same block, or lie in `base` for a reshaped view.
/// With up to two dimensions, what is in use of it is one cache line.
struct Value {
  std::atomic<std::uint32_t> references{1};
  std::uint32_t size_class = 0;
  std::atomic<std::uint32_t> version{0};  ///< how often the elements were assigned anew
  std::uint16_t item_size = 0;            ///< bytes of one element
  bool integers = false;                  ///< the elements are no numbers of a tensor, but indices
  Value* base = nullptr;                  ///< the owner of the elements, when that is another value
  std::byte* data = nullptr;
  std::size_t size = 0;  ///< elements
  Shape shape;

  explicit Value(const Shape& s) : shape(s) {}

  Value& owner() { return base ? *base : *this; }
  std::size_t bytes() const { return size * item_size; }
  template <class T>
  const T* elements() const {
    return reinterpret_cast<const T*>(data);
  }
};

/// Element i, a number or an index.
double element(const Value& value, std::size_t i);

/// Drops a reference; with the last one the value is freed.
void drop_reference(Value* value) noexcept;

/// Owning pointer to a Value.
class ValueRef {
 public:
  ValueRef() = default;
  explicit ValueRef(Value* adopted) : value_(adopted) {}
  ValueRef(const ValueRef& other) : value_(other.value_) {
    if (value_) value_->references.fetch_add(1, std::memory_order_relaxed);
  }
  ValueRef(ValueRef&& other) noexcept : value_(std::exchange(other.value_, nullptr)) {}
  ValueRef& operator=(const ValueRef& other) noexcept { return *this = ValueRef(other); }
  ValueRef& operator=(ValueRef&& other) noexcept {
    drop(std::exchange(value_, std::exchange(other.value_, nullptr)));
    return *this;
  }
  ~ValueRef() { drop(value_); }

  Value* get() const { return value_; }
  Value* operator->() const { return value_; }
  explicit operator bool() const { return value_ != nullptr; }
  Value* release() { return std::exchange(value_, nullptr); }

  /// No other handle or node can see the elements: they may be written in place.
  bool unique() const {
    return value_->references.load(std::memory_order_acquire) == 1 &&
           (!value_->base || value_->base->references.load(std::memory_order_acquire) == 1);
  }

 private:
  static void drop(Value* value) noexcept {
    if (value) drop_reference(value);
  }

  Value* value_ = nullptr;
};

/// Where not null: takes the values that make_value() makes, for a trace.
XTAPE_THREAD_LOCAL std::vector<ValueRef>* made_values = nullptr;

/// A value with uninitialised elements of `item_size` bytes. Error, naming `op`, when the size overflows.
ValueRef make_value(const Shape& shape, std::size_t item_size, const char* op);

/// A value that shows the elements of another under a shape of as many elements.
ValueRef make_view(const ValueRef& value, const Shape& shape);

}  // namespace xtape::detail
