// Shapes: small inline arrays of dimensions, with broadcasting and the normalisation of axes.
#pragma once
#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <ranges>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "error.hpp"
#include "platform/compiler.hpp"

namespace xtape {

/// The highest rank of a tensor. Inline storage keeps shapes out of the heap; ranks above raise an Error.
inline constexpr std::size_t max_rank = 8;

namespace detail {

/// "(2, 3)"; "()" for none, "(4,)" for one, as NumPy prints tuples.
template <class I>
std::string tuple_text(std::span<const I> items);

/// An integer of any type inside braces, so that {n, 2} takes int and size_t alike.
struct Integer {
  template <std::integral I>
  Integer(I i) : value(static_cast<std::ptrdiff_t>(i)) {}  // NOLINT
  std::ptrdiff_t value;
};

/// A small vector of at most max_rank integers; the common part of Shape, Axes and Dims.
template <class I>
class SmallVector {
 public:
  using value_type = I;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;
  using reference = I&;
  using const_reference = const I&;
  using iterator = I*;
  using const_iterator = const I*;

  SmallVector() noexcept { items_[0] = items_[1] = 0; }
  SmallVector(const SmallVector& other) noexcept { *this = other; }
  // Two items, which is what most shapes have, without a loop; the others only where they are in use.
  SmallVector& operator=(const SmallVector& other) noexcept {
    size_ = other.size_;
    items_[0] = other.items_[0];
    items_[1] = other.items_[1];
    for (unsigned i = 2; i < size_; ++i) items_[i] = other.items_[i];
    return *this;
  }
  SmallVector(std::size_t n, I value) : SmallVector() { resize(n, value); }
  SmallVector(std::initializer_list<Integer> items) : SmallVector() {
    for (const Integer item : items) push_signed(item.value);
  }
  template <std::ranges::input_range R>
  requires std::integral<std::ranges::range_value_t<R>> SmallVector(const R& items)
      : SmallVector() {  // NOLINT: any range of integers is a shape
    for (auto item : items) push_signed(static_cast<std::ptrdiff_t>(item));
  }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  I* begin() { return items_.data(); }
  I* end() { return items_.data() + size_; }
  const I* begin() const { return items_.data(); }
  const I* end() const { return items_.data() + size_; }
  auto rbegin() const { return std::reverse_iterator(end()); }
  auto rend() const { return std::reverse_iterator(begin()); }
  /// Error for i out of range, a negative one among them.
  I& operator[](std::size_t i) { return items_[checked(i)]; }
  const I& operator[](std::size_t i) const { return items_[checked(i)]; }
  I& front() { return (*this)[0]; }
  const I& front() const { return (*this)[0]; }
  I& back() { return (*this)[std::size_t{size_} - 1]; }
  const I& back() const { return (*this)[std::size_t{size_} - 1]; }

  void push_back(I item) {
    require_rank(size_ + 1u);
    items_[size_++] = item;
  }
  void insert(std::size_t at, I item) {
    require_rank(size_ + 1u);
    if (at != size_) checked(at);
    std::copy_backward(begin() + at, end(), end() + 1);
    items_[at] = item;
    ++size_;
  }
  void erase(std::size_t at) {
    std::copy(begin() + checked(at) + 1, end(), begin() + at);
    --size_;
  }
  void resize(std::size_t n, I value = I{}) {
    require_rank(n);
    for (std::size_t i = size_; i < n; ++i) items_[i] = value;
    size_ = static_cast<unsigned>(n);
  }

  operator std::vector<I>() const { return {begin(), end()}; }  // NOLINT: shapes go to xtensor and back
  template <std::ranges::input_range R>
  requires(std::integral<std::ranges::range_value_t<R>> && !std::derived_from<R, SmallVector>) friend bool
  operator==(const SmallVector& a, const R& b) {
    return std::ranges::equal(a, b, [](auto x, auto y) { return std::cmp_equal(x, y); });
  }
  friend bool operator==(const SmallVector& a, const SmallVector& b) {
    if (a.size_ != b.size_) return false;
    for (unsigned i = 0; i < a.size_; ++i)
      if (a.items_[i] != b.items_[i]) return false;
    return true;
  }

 private:
  static void require_rank(std::size_t n) {
    if (n > max_rank) throw_rank(n);
  }
  std::size_t checked(std::size_t i) const {
    if (i >= size_) throw_index(i);
    return i;
  }
  [[noreturn]] void throw_index(std::size_t i) const {
    throw Error("shape", "index " + std::to_string(static_cast<std::ptrdiff_t>(i)) + " is out of range for " +
                             tuple_text<I>({begin(), end()}) +
                             ": tensor.shape(i) is what counts negative ones from the end");
  }
  [[noreturn]] static void throw_rank(std::size_t n) {
    throw Error("shape",
                "rank " + std::to_string(n) + " is above the highest rank, " + std::to_string(max_rank));
  }
  void push_signed(std::ptrdiff_t item) {
    if constexpr (std::unsigned_integral<I>)
      if (item < 0) throw Error("shape", "dimension " + std::to_string(item) + " is negative");
    push_back(static_cast<I>(item));
  }

  unsigned size_ = 0;
  std::array<I, max_rank> items_;  ///< the first two, and all that are in use, are set
};

}  // namespace detail

/// The dimensions of a tensor, row-major, slowest first; () is a scalar. A container of its dimensions:
/// size() is the rank. Built from braces or from any range of integers (an xtensor shape among them).
using Shape = detail::SmallVector<std::size_t>;

/// Signed dimensions, for `reshape`, where one may be -1.
using Dims = detail::SmallVector<std::ptrdiff_t>;

/// One axis or several; negative ones count from the end.
class Axes : public detail::SmallVector<std::ptrdiff_t> {
 public:
  using SmallVector::SmallVector;
  template <std::integral I>
  Axes(I axis) {  // NOLINT: sum(x, 1)
    push_back(static_cast<std::ptrdiff_t>(axis));
  }
};

/// "(2, 3)"; "()" for a scalar, "(4,)" for rank 1, as NumPy prints them.
std::string to_string(const Shape& shape);
std::ostream& operator<<(std::ostream& out, const Shape& shape);

// Functions with the name f take Tensors by value, and by these also axes as they are written: a number, a
// list in braces or a container, with `keepdims` where the macro says so. In a file that uses namespace xt,
// too, its templates of `E&&` under the same names would otherwise fit better.
#define XTAPE_ANY_AXES(f, ...)                                                                     \
  template <class T, detail::AxesLike A>                                                           \
  Tensor<T> f(Tensor<T> x, A&& axes __VA_OPT__(, bool __VA_ARGS__ = false)) {                      \
    const Axes list(axes);                                                                         \
    return f(std::move(x), list __VA_OPT__(, __VA_ARGS__));                                        \
  }                                                                                                \
  template <class T, std::integral I>                                                              \
  Tensor<T> f(Tensor<T> x, std::initializer_list<I> axes __VA_OPT__(, bool __VA_ARGS__ = false)) { \
    const Axes list(axes);                                                                         \
    return f(std::move(x), list __VA_OPT__(, __VA_ARGS__));                                        \
  }                                                                                                \
  template <class T>                                                                               \
  Tensor<T> f(Tensor<T> x, std::size_t axis __VA_OPT__(, bool __VA_ARGS__ = false)) {              \
    const Axes list(axis);                                                                         \
    return f(std::move(x), list __VA_OPT__(, __VA_ARGS__));                                        \
  }

namespace detail {

template <class A>
concept AxesLike = std::constructible_from < Axes,
        const std::remove_cvref_t<A>
& > ;

/// The index of element `flat` in row-major order, one number for each axis.
Shape index_of(std::size_t flat, const Shape& shape);

/// The same, written as a shape is: "(1, 2)".
std::string index_text(std::size_t flat, const Shape& shape);

/// Memory is addressed by signed offsets of at most 16-byte elements, so that is where counting ends.
inline constexpr std::size_t max_elements = static_cast<std::size_t>(PTRDIFF_MAX) / 16;

[[noreturn]] void throw_too_large(const Shape& shape, const char* op);

/// The number of elements, 1 for rank 0. Error when it does not fit: names `op`.
inline std::size_t element_count(const Shape& shape, const char* op) {
  std::size_t n = 1;
  bool empty = false, too_large = false;
  for (const std::size_t d : shape) {
    empty |= d == 0;
    const std::size_t factor = d == 0 ? 1 : d;  // strides multiply the other dimensions all the same
    too_large |= platform::multiply_overflows(n, factor, n) || n > max_elements;
  }
  if (too_large) throw_too_large(shape, op);
  return empty ? 0 : n;
}

/// The shape that both broadcast to by NumPy's rule. Error: names `op` and both shapes.
Shape broadcast(const Shape& a, const Shape& b, const char* op);

/// Whether `from` broadcasts to exactly `to`.
bool broadcasts_to(const Shape& from, const Shape& to);

/// An axis in [-rank, rank) as an index in [0, rank). Error otherwise.
std::size_t normalize_axis(std::ptrdiff_t axis, std::size_t rank, const char* op);

/// Bit i is set when axis i is among `axes`. Error for an axis out of range or named twice.
unsigned axis_mask(const Axes& axes, std::size_t rank, const char* op);

/// Row-major strides in elements.
Dims row_major_strides(const Shape& shape);

/// Row-major strides of `from` seen with the shape `to` that it broadcasts to: 0 along widened axes.
Dims broadcast_strides(const Shape& from, const Shape& to);

/// The shape with the masked axes set to 1 (keepdims) or taken out.
Shape reduced_shape(const Shape& shape, unsigned mask, bool keepdims);

/// The product of the axes first <= i < last: how many elements lie along them together.
inline std::size_t axes_size(const Shape& shape, std::size_t first, std::size_t last) {
  std::size_t n = 1;
  for (std::size_t i = first; i < last; ++i) n *= shape[i];
  return n;
}

/// The axes before those of the matrix, which are the last two: one matrix for each of their indices.
inline Shape batch_of(const Shape& matrices) {
  Shape batch = matrices;
  batch.resize(matrices.size() - 2);
  return batch;
}

}  // namespace detail
}  // namespace xtape
