// Tensor: the handle that users hold. Built from xtensor expressions, gives its value as an xtensor adaptor.
#pragma once
#include <algorithm>
#include <concepts>
#include <initializer_list>
#include <iosfwd>
#include <iterator>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include "base/xtensor.hpp"
#include "tape.hpp"

namespace xtape {

template <class T>
class Tensor;

/// A number that mixes into expressions of tensors.
template <class S>
concept Scalar = std::is_arithmetic_v<std::remove_cvref_t<S>>;

/// An xtensor expression: a container, a view, or a lazy expression.
template <class E>
concept Expression = xt::is_xexpression<std::remove_cvref_t<E>>::value;

/// How to differentiate; see Tensor::backward and grad.
template <class T>
struct BackwardOptions {
  Tensor<T> seed{};           ///< the adjoint of the output, of its shape; 1 when absent
  bool retain_tape = false;   ///< keep the recording for another pass; create_graph keeps it too
  bool create_graph = false;  ///< record the pass itself, so that gradients can be differentiated
};

namespace detail {

/// Numbers in nested braces, of any depth.
struct Nested {
  template <Scalar S>
  Nested(S number) : value(static_cast<double>(number)) {}  // NOLINT
  Nested(std::initializer_list<Nested> list) : items(list), is_list(true) {}
  double value = 0;
  std::initializer_list<Nested> items;
  bool is_list = false;
};

Shape nested_shape(std::initializer_list<Nested> items);

template <class T>
struct Printed;

/// The elements of a value as storage for an xtensor adaptor: read-only, shared, kept alive.
template <class T>
class Elements {
 public:
  using value_type = T;
  using reference = const T&;
  using const_reference = const T&;
  using pointer = const T*;
  using const_pointer = const T*;
  using iterator = const T*;
  using const_iterator = const T*;
  using reverse_iterator = std::reverse_iterator<const T*>;
  using const_reverse_iterator = std::reverse_iterator<const T*>;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;
  using allocator_type = std::allocator<T>;

  Elements() = default;
  explicit Elements(ValueRef value) : value_(std::move(value)) {}
  std::size_t size() const { return value_ ? value_->size : 0; }
  bool empty() const { return size() == 0; }
  const T* data() const { return value_ ? reinterpret_cast<const T*>(value_->data) : nullptr; }
  const T& operator[](std::size_t i) const { return data()[i]; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size(); }
  const T* cbegin() const { return begin(); }
  const T* cend() const { return end(); }
  auto rbegin() const { return reverse_iterator(end()); }
  auto rend() const { return reverse_iterator(begin()); }
  auto crbegin() const { return rbegin(); }
  auto crend() const { return rend(); }

  friend std::ostream& operator<<(std::ostream& out, const Printed<T>& printed) {
    return print(out, printed);
  }

 private:
  ValueRef value_;
};

template <class T>
Tensor<T> filled(const Shape& shape, T x, const char* op);

/// A number of any type where a T is wanted, so that size() and int go without a warning of the conversion.
template <class T>
struct Number {
  template <std::convertible_to<T> N>
  Number(const N& number) : value(static_cast<T>(number)) {}  // NOLINT
  operator T() const { return value; }                        // NOLINT
  T value;
};

}  // namespace detail
}  // namespace xtape

#ifndef DOXYGEN
/// What xtensor evaluates an adaptor of ours into.
template <class T>
struct xt::temporary_container<const xtape::detail::Elements<T>> {
  using type = xt::uvector<T>;
};
#endif

namespace xtape {

/// An array of float or double, and its place in the recording. A cheap handle: copies share the value and
/// the gradient, which a const one changes, too. The elements are contiguous and row-major. Leaves and
/// constants change by assign(), and with them what shares their elements: detach(), and reshaped views. No
/// operation changes a tensor. A default-constructed tensor is empty: using it is an error.
template <class T>
class Tensor {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>, "xtape tensors hold float or double");

 public:
  using value_type = T;

  Tensor() = default;
  /// Rank 0.
  template <Scalar S>
  Tensor(S number) : Tensor(uninitialized({})) {  // NOLINT
    *mutable_data() = static_cast<T>(number);
  }
  /// Nested braces. Error when rows differ in length.
  Tensor(std::initializer_list<detail::Nested> items);
  /// Rank 1.
  template <Scalar S>
  explicit Tensor(const std::vector<S>& numbers) : Tensor(uninitialized({numbers.size()})) {
    std::transform(numbers.begin(), numbers.end(), mutable_data(), [](S s) { return static_cast<T>(s); });
  }
  /// Any xtensor expression, evaluated at once.
  template <Expression E>
  Tensor(const E& expression) : Tensor(uninitialized(Shape(expression.shape()))) {  // NOLINT
    fill(expression);
  }
  /// Of a value and a place on the tape; for operations.
  explicit Tensor(detail::Handle handle) : handle_(std::move(handle)) {}

  Tensor(const Tensor&) = default;
  Tensor(Tensor&&) noexcept = default;
  ~Tensor() = default;
  // Only for variables: `slice(x, 0) = 1.0` would rebind a temporary, and change nothing.
  Tensor& operator=(const Tensor&) & = default;
  Tensor& operator=(Tensor&&) & noexcept = default;

  /// Numbers in row-major order, copied. Error unless there are as many as the shape has elements.
  static Tensor from_data(std::span<const T> data, const Shape& shape);

  /// The dimensions. () for a scalar.
  const Shape& shape() const { return checked().shape; }
  /// The dimension of an axis; negative ones count from the end. Error for an axis out of range.
  std::size_t shape(std::ptrdiff_t axis) const {
    return shape()[detail::normalize_axis(axis, rank(), "shape")];
  }
  std::size_t rank() const { return shape().size(); }
  /// Number of elements.
  std::size_t size() const { return checked().size; }
  /// The one element. Error unless size() is 1.
  T item() const;
  /// The value as a read-only xtensor adaptor. No copy is made; the adaptor keeps the value alive.
  auto value() const {
    using Adaptor =
        xt::xarray_adaptor<const detail::Elements<T>, xt::layout_type::row_major, std::vector<std::size_t>>;
    if (detail::tracing) [[unlikely]]
      detail::require_readable(checked(), "value");
    data();
    return Adaptor(detail::Elements<T>(handle_.value), shape());
  }
  /// The elements, row-major.
  [[gnu::always_inline]] const T* data() const {
    const detail::Value& value = checked();
    if (!value.data) [[unlikely]]
      detail::require_elements(value);
    return reinterpret_cast<const T*>(value.data);
  }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size(); }

  /// False for a default-constructed tensor.
  bool defined() const { return static_cast<bool>(handle_.value); }
  bool requires_grad() const { return handle_.active() != nullptr; }
  /// Freezes a leaf, for all handles on it, or lets it require a gradient again. A frozen leaf counts as a
  /// constant: what is computed from it alone is not recorded, no backward pass adds to its gradient, also
  /// none of what was recorded before, and the one that it has is dropped, so that no optimiser changes it.
  /// What compile() has traced is traced anew. Error for a tensor that is no leaf. Not while another thread
  /// computes with it.
  void set_requires_grad(bool on);
  /// Made by `parameter`, not by an operation.
  bool is_leaf() const { return handle_.node && handle_.node->is_leaf(); }
  /// The same value as a constant; shares memory.
  Tensor detach() const { return Tensor(detail::Handle{handle_.value, {}}); }
  /// The elements as float or double: the tensor itself when they are already. Derivative 1: the gradient is
  /// converted back.
  template <class U>
  Tensor<U> astype() const;

  /// Adds d(this)/d(leaf) to the grad() of every leaf that this tensor was computed from, by replaying the
  /// recording in reverse. Without a seed the tensor must have one element. The recording is consumed unless
  /// retain_tape or create_graph is set. Errors: a constant, no seed and several elements, a seed of another
  /// shape, a consumed recording, a kept value that was assigned since, a recording of another thread. When
  /// it throws, no gradient has changed; where a rule threw, the recording above it is consumed.
  /// With create_graph the gradients hold the recording and it holds the leaves: zero_grad() lets go of both,
  /// and grad() avoids it. A leaf's gradient belongs to one thread at a time; threads that share leaves call
  /// grad().
  void backward(const BackwardOptions<T>& options = {}) const;
  /// The accumulated gradient of a leaf, of its shape. Error where there is none.
  Tensor grad() const;
  bool has_grad() const;
  /// Drops the gradient.
  void zero_grad() const;
  /// Takes the place of a leaf's gradient, as clipping needs it. Error for a tensor that is no leaf, and for
  /// another shape.
  void set_grad(const Tensor& gradient) const;
  /// New elements for a leaf or a constant, in place: all that shares the value sees them, and a recording
  /// that kept the old ones refuses to be replayed. Error for another shape, and for a recorded tensor.
  void assign(const Tensor& value) const&;
  /// Error where nobody else would see the new elements, as those of slice(x, 0), which is a copy.
  void assign(const Tensor& value) &&;

  /// The elements of a leaf or a constant, to be written in place by an optimiser; counts as an assign().
  T* begin_update() const;

  const detail::Handle& handle() const& { return handle_; }
  detail::Handle release() && { return std::move(handle_); }
  /// A tensor whose elements are to be written through mutable_data(), by the operation that makes it.
  static Tensor uninitialized(const Shape& shape, const char* op = "Tensor") {
    return Tensor(detail::Handle{detail::make_value(shape, sizeof(T), op), {}});
  }
  T* mutable_data() { return const_cast<T*>(data()); }

 private:
  const detail::Value& checked() const {
    if (!handle_.value) no_value();
    return *handle_.value.get();
  }
  [[noreturn]] static void no_value();
  template <class E>
  void fill(const E& expression) {
    const std::vector<std::size_t> dimensions = shape();
    auto target =
        xt::adapt<xt::layout_type::row_major>(mutable_data(), size(), xt::no_ownership(), dimensions);
    if constexpr (std::is_same_v<typename E::value_type, T>)
      xt::noalias(target) = expression;
    else
      xt::noalias(target) = xt::cast<T>(expression);
  }

  detail::Handle handle_;
};

/// A leaf that requires a gradient, with its own copy of the value. `value` is whatever makes a Tensor.
template <class T>
Tensor<T> parameter(const Tensor<T>& value);

/// All elements v.
template <class T>
Tensor<T> full(const Shape& shape, detail::Number<T> v) {
  return detail::filled<T>(shape, v, "full");
}
/// All elements 0.
template <class T>
Tensor<T> zeros(const Shape& shape) {
  return detail::filled<T>(shape, T(0), "zeros");
}
/// All elements 1.
template <class T>
Tensor<T> ones(const Shape& shape) {
  return detail::filled<T>(shape, T(1), "ones");
}
/// A constant of the shape of x, all elements v.
template <class T>
Tensor<T> full_like(const Tensor<T>& x, std::type_identity_t<detail::Number<T>> v) {
  return detail::filled<T>(x.shape(), v, "full_like");
}
/// A constant of the shape of x, all elements 0.
template <class T>
Tensor<T> zeros_like(const Tensor<T>& x) {
  return detail::filled<T>(x.shape(), T(0), "zeros_like");
}
/// A constant of the shape of x, all elements 1.
template <class T>
Tensor<T> ones_like(const Tensor<T>& x) {
  return detail::filled<T>(x.shape(), T(1), "ones_like");
}
/// The identity matrix, (n, n).
template <class T>
Tensor<T> eye(std::size_t n);
/// from, from + step, …, below `to` (above it for a negative step). Error for a step of 0.
template <class T>
Tensor<T> arange(detail::Number<T> from, detail::Number<T> to, detail::Number<T> step = 1);
/// 0, 1, …, below `to`.
template <class T>
Tensor<T> arange(detail::Number<T> to) {
  return arange<T>(0, to);
}
/// n numbers at equal distances, the first `from`, the last `to`; `from` alone for n = 1.
template <class T>
Tensor<T> linspace(detail::Number<T> from, detail::Number<T> to, std::size_t n);

namespace detail {

/// What Tensor::value() returns, and expressions of it, for printing where xtensor's xio.hpp is not included:
/// where it is, its operator << fits better.
template <class T>
struct Printed {
  template <Expression E>
  requires std::same_as<typename E::value_type, T> Printed(const E& expression)
      : value(expression) {}  // NOLINT
  Tensor<T> value;
};
template <class T>
std::ostream& print(std::ostream& out, const Printed<T>& printed);

}  // namespace detail

/// Values as xtensor prints them, shape, and whether it requires a gradient. A program's xt::print_options
/// are for `tensor.value()`; the digits that the stream is set to are for both.
template <class T>
std::ostream& operator<<(std::ostream& out, const Tensor<T>& tensor);

}  // namespace xtape
