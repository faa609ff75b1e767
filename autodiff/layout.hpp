// Layout: reshaping, transposing, slicing, joining, diagonals; elements move, nothing is computed.
#pragma once
#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "indices.hpp"
#include "tensor.hpp"

namespace xtape {

namespace detail {

using Slice = xt::xstrided_slice<std::ptrdiff_t>;

template <class T>
Tensor<T> concatenate(std::span<const Tensor<T>> tensors, std::ptrdiff_t axis);
template <class T>
std::vector<Tensor<T>> split_sections(const Tensor<T>& x, std::ptrdiff_t sections, std::ptrdiff_t axis);
template <class T>
Tensor<T> slice(const Tensor<T>& x, std::span<const Slice> slices);
template <class T>
Tensor<T> tril(const Tensor<T>& x, std::ptrdiff_t k);
template <class T>
Tensor<T> triu(const Tensor<T>& x, std::ptrdiff_t k);
template <class T>
Tensor<T> diag(const Tensor<T>& x, std::ptrdiff_t k);

}  // namespace detail

/// The same elements under another shape; one dimension may be -1. No copy. Error when the sizes differ.
template <class T>
Tensor<T> reshape(const Tensor<T>& x, const Dims& shape);
/// All elements in one dimension. No copy.
template <class T>
Tensor<T> flatten(Tensor<T> x);
/// The axes from `start` to `end`, both included, as one: flatten(x, 1) gives (N, …) → (N, M). No copy. Error
/// for an axis out of range, and where `end` is before `start`.
template <class T>
Tensor<T> flatten(const Tensor<T>& x, std::ptrdiff_t start, std::ptrdiff_t end = -1);
/// Without the axes of size 1. No copy.
template <class T>
Tensor<T> squeeze(Tensor<T> x);
/// Without these axes. Error for one whose size is not 1.
template <class T>
Tensor<T> squeeze(Tensor<T> x, const Axes& axes);
/// A new axis of size 1 at `axis`, in [-rank - 1, rank]. No copy.
template <class T>
Tensor<T> unsqueeze(const Tensor<T>& x, std::ptrdiff_t axis);

/// The axes in reverse order.
template <class T>
Tensor<T> transpose(Tensor<T> x);
/// Axis i of the result is axis permutation[i] of x. Error unless it is a permutation of all axes.
template <class T>
Tensor<T> transpose(Tensor<T> x, const Axes& permutation);

XTAPE_ANY_AXES(squeeze)
XTAPE_ANY_AXES(transpose)

/// x repeated along new and widened axes by NumPy's rule. Error when it does not broadcast to `shape`.
template <class T>
Tensor<T> broadcast_to(const Tensor<T>& x, const Shape& shape);

/// The tensors one behind the other along an axis. Error unless all other dimensions agree.
template <class T>
Tensor<T> concatenate(const std::vector<Tensor<T>>& tensors, std::ptrdiff_t axis = 0) {
  return detail::concatenate(std::span<const Tensor<T>>(tensors), axis);
}
template <class T>
Tensor<T> concatenate(std::initializer_list<Tensor<T>> tensors, std::ptrdiff_t axis = 0) {
  return detail::concatenate(std::span<const Tensor<T>>(tensors.begin(), tensors.size()), axis);
}
/// Tensors of one shape along a new axis.
template <class T>
Tensor<T> stack(const std::vector<Tensor<T>>& tensors, std::ptrdiff_t axis = 0);
template <class T>
Tensor<T> stack(std::initializer_list<Tensor<T>> tensors, std::ptrdiff_t axis = 0) {
  return stack(std::vector<Tensor<T>>(tensors), axis);
}
/// The tensors that stack() makes x from: one for each place of an axis, without that axis.
template <class T>
std::vector<Tensor<T>> unbind(const Tensor<T>& x, std::ptrdiff_t axis = 0);
/// `sections` equal parts along an axis. Error when the size does not divide.
template <class T, std::integral N, std::integral A = std::ptrdiff_t>
std::vector<Tensor<T>> split(Tensor<T> x, N sections, A axis = 0) {
  return detail::split_sections(x, static_cast<std::ptrdiff_t>(sections), static_cast<std::ptrdiff_t>(axis));
}
template <class T>
std::vector<Tensor<T>> split(Tensor<T> x, std::size_t sections, std::size_t axis = 0) {
  return detail::split_sections(x, static_cast<std::ptrdiff_t>(sections), static_cast<std::ptrdiff_t>(axis));
}
/// The same for a number that is known: `auto [mu, logvar] = split<2>(x, -1)`.
template <std::size_t sections, class T>
requires(sections > 0) std::array<Tensor<T>, sections> split(const Tensor<T>& x, std::ptrdiff_t axis = 0) {
  std::array<Tensor<T>, sections> parts;
  std::ranges::move(detail::split_sections(x, sections, axis), parts.begin());
  return parts;
}
/// Parts that begin at 0 and at each of the indices, which ascend.
template <class T>
std::vector<Tensor<T>> split(Tensor<T> x, const Indices& indices, std::ptrdiff_t axis = 0);
template <class T, std::integral I>
std::vector<Tensor<T>> split(Tensor<T> x, std::initializer_list<I> indices, std::ptrdiff_t axis = 0) {
  return split(std::move(x), Indices(indices), axis);
}

/// What xtensor's strided_view takes: numbers, xt::range (with steps), xt::all(), xt::newaxis(),
/// xt::ellipsis(). A number takes its axis out. Error for an index out of range and for too many slices.
template <class T>
Tensor<T> slice(const Tensor<T>& x, const xt::xstrided_slice_vector& slices) {
  return detail::slice(x, std::span<const detail::Slice>(slices));
}
template <class T, class... S>
requires(sizeof...(S) > 0 && (std::is_convertible_v<S, xt::xstrided_slice<std::ptrdiff_t>> &&
                              ...)) Tensor<T> slice(const Tensor<T>& x, S&&... slices) {
  const std::array<detail::Slice, sizeof...(S)> all{detail::Slice(std::forward<S>(slices))...};
  return detail::slice(x, std::span<const detail::Slice>(all));
}
/// The order of elements reversed along the axes; along all of them without axes.
template <class T>
Tensor<T> flip(Tensor<T> x);
template <class T>
Tensor<T> flip(Tensor<T> x, const Axes& axes);
XTAPE_ANY_AXES(flip)

/// The lower triangle of the last two axes, up to diagonal k (k > 0: above the main one); 0 elsewhere.
template <class T>
Tensor<T> tril(Tensor<T> x, int k = 0) {
  return detail::tril(x, k);
}
template <class T, std::integral K>
Tensor<T> tril(Tensor<T> x, K k) {
  return detail::tril(x, static_cast<std::ptrdiff_t>(k));
}
/// The upper triangle of the last two axes, from diagonal k on; 0 elsewhere.
template <class T>
Tensor<T> triu(Tensor<T> x, int k = 0) {
  return detail::triu(x, k);
}
template <class T, std::integral K>
Tensor<T> triu(Tensor<T> x, K k) {
  return detail::triu(x, static_cast<std::ptrdiff_t>(k));
}
/// Diagonal k of a matrix as a vector, or a square matrix with the vector x on diagonal k, which is
/// then at most 2^30 away.
template <class T>
Tensor<T> diag(Tensor<T> x, int k = 0) {
  return detail::diag(x, k);
}
template <class T, std::integral K>
Tensor<T> diag(Tensor<T> x, K k) {
  return detail::diag(x, static_cast<std::ptrdiff_t>(k));
}
/// The sum of diagonal k of a matrix.
template <class T>
Tensor<T> trace(const Tensor<T>& x, std::ptrdiff_t k = 0);

}  // namespace xtape
