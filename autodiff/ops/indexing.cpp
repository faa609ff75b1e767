// take, gather and scatter_add: reading blocks at a list of offsets, and adding them there.
#include "../indexing.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>

#include "../base/pool_vector.hpp"
#include "../base/text.hpp"
#include "../elementwise.hpp"
#include "../layout.hpp"
#include "../tape/op.hpp"

namespace xtape {

Indices::Indices(std::initializer_list<detail::Nested> items) {
  const Tensor<double> numbers(items);
  shape_ = numbers.shape();
  for (const double number : numbers) {
    if (!(std::abs(number) < 0x1p53 && std::floor(number) == number))
      throw Error("Indices", detail::number_text(number) + " is not a whole number below 2^53");
    values_.push_back(static_cast<std::ptrdiff_t>(number));
  }
}

namespace detail {
namespace {

using Offsets = std::shared_ptr<const std::vector<std::ptrdiff_t>>;

template <class T>
struct ScatterBlocks;

/// y = the blocks of x that begin at the offsets, one behind the other.
template <class T>
struct GatherBlocks {
  static constexpr bool accumulates = true;
  const char* name;
  Shape to;
  Offsets offsets;
  std::size_t block;
  bool operator==(const GatherBlocks& other) const {
    return name == other.name && to == other.to && *offsets == *other.offsets && block == other.block;
  }

  Shape shape(const Shape&) const { return to; }
  void compute(Target<T> y, const Tensor<T>& x) const {
    T* to_block = y.data;
    for (std::ptrdiff_t offset : *offsets) {
      const T* from = x.data() + offset;
      for (std::size_t i = 0; i < block; ++i) to_block[i] = y.accumulate ? to_block[i] + from[i] : from[i];
      to_block += block;
    }
  }
  static constexpr bool is_linear = true;
  void backward(Gradients<T>& d) const {
    d.add(0, ScatterBlocks<T>{name, d.shape(0), to, offsets, block}, d.adjoint);
  }
};

/// y = 0, with the blocks of x added at the offsets.
template <class T>
struct ScatterBlocks {
  static constexpr bool accumulates = true;
  const char* name;
  Shape to;
  Shape from;
  Offsets offsets;
  std::size_t block;
  bool operator==(const ScatterBlocks& other) const {
    return name == other.name && to == other.to && from == other.from && *offsets == *other.offsets && block == other.block;
  }

  Shape shape(const Shape&) const { return to; }
  void compute(Target<T> y, const Tensor<T>& x) const {
    if (!y.accumulate) std::fill_n(y.data, element_count(to, name), T(0));
    const auto add = [&](auto* sums) {
      const T* from_block = x.data();
      for (std::ptrdiff_t offset : *offsets) {
        for (std::size_t i = 0; i < block; ++i)
          sums[offset + static_cast<std::ptrdiff_t>(i)] += from_block[i];
        from_block += block;
      }
    };
    // Where thousands may meet at one place, their sum is computed in more digits, if it is not mostly zeros.
    const std::size_t size = element_count(to, name);
    if (offsets->size() < 1024 || size > 8 * x.size()) return add(y.data);
    PoolVector<Wider<T>> sums(size, Wider<T>(0));
    add(sums.data());
    for (std::size_t i = 0; i < size; ++i) y.data[i] = static_cast<T>(y.data[i] + sums[i]);
  }
  static constexpr bool is_linear = true;
  void backward(Gradients<T>& d) const { d.add(0, GatherBlocks<T>{name, from, offsets, block}, d.adjoint); }
};

std::ptrdiff_t checked_index(std::ptrdiff_t index, std::size_t size, std::size_t axis, const Shape& shape,
                             const char* op) {
  const auto n = static_cast<std::ptrdiff_t>(size);
  if (index < -n || index >= n)
    throw Error(op, "index " + std::to_string(index) + " is out of range for axis " + std::to_string(axis) +
                        " of shape " + to_string(shape));
  return index < 0 ? index + n : index;
}

/// The offsets in an array of `shape` that `indices` name along an axis, element by element.
Offsets offsets_along(const Shape& shape, const Indices& indices, std::size_t axis, const char* op) {
  Shape expected = shape;
  const bool same_rank = indices.shape().size() == shape.size();
  if (same_rank) expected[axis] = indices.shape()[axis];
  if (!same_rank || !(indices.shape() == expected))
    throw Error(op, "indices of shape " + to_string(indices.shape()) + " do not agree with shape " +
                        to_string(shape) + " outside of axis " + std::to_string(axis));
  const Dims strides = row_major_strides(shape);
  auto offsets = std::make_shared<std::vector<std::ptrdiff_t>>(indices.size());
  Dims at(shape.size(), 0);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    std::ptrdiff_t offset = checked_index(indices.values()[i], shape[axis], axis, shape, op) * strides[axis];
    for (std::size_t d = 0; d < shape.size(); ++d)
      if (d != axis) offset += at[d] * strides[d];
    (*offsets)[i] = offset;
    for (std::size_t d = shape.size(); d-- > 0;) {
      if (++at[d] < static_cast<std::ptrdiff_t>(expected[d])) break;
      at[d] = 0;
    }
  }
  return offsets;
}

}  // namespace
}  // namespace detail

template <class T>
Tensor<T> take(const Tensor<T>& x, const Indices& indices, std::ptrdiff_t signed_axis) {
  const std::size_t axis = detail::normalize_axis(signed_axis, x.rank(), "take");
  const Shape& from = x.shape();
  Shape to;
  std::size_t outer = 1, inner = 1;
  for (std::size_t i = 0; i < axis; ++i) {
    outer *= from[i];
    to.push_back(from[i]);
  }
  for (std::size_t d : indices.shape()) to.push_back(d);
  for (std::size_t i = axis + 1; i < from.size(); ++i) {
    inner *= from[i];
    to.push_back(from[i]);
  }
  auto offsets = std::make_shared<std::vector<std::ptrdiff_t>>();
  offsets->reserve(outer * indices.size());
  for (std::size_t o = 0; o < outer; ++o)
    for (std::ptrdiff_t index : indices.values()) {
      const std::ptrdiff_t i = detail::checked_index(index, from[axis], axis, from, "take");
      offsets->push_back(static_cast<std::ptrdiff_t>((o * from[axis] + static_cast<std::size_t>(i)) * inner));
    }
  return detail::apply<T>(detail::GatherBlocks<T>{"take", to, std::move(offsets), inner}, x);
}

template <class T>
Tensor<T> take(const Tensor<T>& x, const Indices& indices) {
  return take(flatten(x), indices, 0);
}

template <class T>
Tensor<T> gather(const Tensor<T>& x, const Indices& indices, std::ptrdiff_t signed_axis) {
  const std::size_t axis = detail::normalize_axis(signed_axis, x.rank(), "gather");
  detail::Offsets offsets = detail::offsets_along(x.shape(), indices, axis, "gather");
  return detail::apply<T>(detail::GatherBlocks<T>{"gather", indices.shape(), std::move(offsets), 1}, x);
}

template <class T>
Tensor<T> scatter_add(const Tensor<T>& x, const Indices& indices, const Tensor<T>& updates,
                      std::ptrdiff_t signed_axis) {
  const std::size_t axis = detail::normalize_axis(signed_axis, x.rank(), "scatter_add");
  if (!(updates.shape() == indices.shape()))
    throw Error("scatter_add", "updates of shape " + to_string(updates.shape()) + " and indices of shape " +
                                   to_string(indices.shape()) + " differ");
  detail::Offsets offsets = detail::offsets_along(x.shape(), indices, axis, "scatter_add");
  const detail::ScatterBlocks<T> scatter{"scatter_add", x.shape(), indices.shape(), std::move(offsets), 1};
  return x + detail::apply<T>(scatter, updates);
}

#define XTAPE_INSTANTIATE(T)                                                   \
  template Tensor<T> take(const Tensor<T>&, const Indices&, std::ptrdiff_t);   \
  template Tensor<T> take(const Tensor<T>&, const Indices&);                   \
  template Tensor<T> gather(const Tensor<T>&, const Indices&, std::ptrdiff_t); \
  template Tensor<T> scatter_add(const Tensor<T>&, const Indices&, const Tensor<T>&, std::ptrdiff_t);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape
