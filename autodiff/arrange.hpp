// Arranging: padding, repeating, rolling, axes by NumPy's names, grids; elements move, nothing is computed.
//
// All is composed of the operations of layout.hpp and indexing.hpp.
#pragma once
#include <vector>

#include "indices.hpp"
#include "layout.hpp"

namespace xtape {

namespace detail {
template <class T>
Tensor<T> repeat(const Tensor<T>& x, std::ptrdiff_t n, std::ptrdiff_t axis);
}  // namespace detail

/// What pad() puts around a line a b c: reflect … c b | a b c | b a …, symmetric … b a | a b c | c b …, edge
/// … a a | a b c | c c …, wrap … b c | a b c | a b …; widths may be longer than the line.
enum class PadMode { edge, reflect, symmetric, wrap };

/// NumPy's pad: x with `value` around it, so many numbers before and behind it along each axis. `widths` are
/// (rank, 2), a pair for each axis, or broadcast to that: {1, 2} is before and behind every axis, 1 is both.
/// Derivative: the adjoint's part at x. Error for a negative width and widths of another shape.
template <class T>
Tensor<T> pad(Tensor<T> x, const Indices& widths, std::type_identity_t<T> value = 0);
/// The same with elements of x around it. Derivative: adjoints of an element's copies add up. Error for an
/// axis of size 0 that is to be wider.
template <class T>
Tensor<T> pad(Tensor<T> x, const Indices& widths, PadMode mode);
template <class T, std::integral N>
Tensor<T> pad(Tensor<T> x, N width) {
  return pad(std::move(x), Indices(width));
}

/// NumPy's repeat: each element n times, one behind the other, along an axis. Derivative: adjoints of an
/// element's copies add up. Error for a negative n.
template <class T, std::integral N, std::integral A>
Tensor<T> repeat(Tensor<T> x, N n, A axis) {
  return detail::repeat(x, static_cast<std::ptrdiff_t>(n), static_cast<std::ptrdiff_t>(axis));
}
template <class T>
Tensor<T> repeat(Tensor<T> x, std::size_t n, std::size_t axis) {
  return detail::repeat(x, static_cast<std::ptrdiff_t>(n), static_cast<std::ptrdiff_t>(axis));
}
/// Of the flattened x.
template <class T, std::integral N>
Tensor<T> repeat(Tensor<T> x, N n) {
  return repeat(flatten(std::move(x)), n, 0);
}
/// Sub-array i of the axis counts[i] times. Error unless there is a count for each, none negative.
template <class T>
Tensor<T> repeat(Tensor<T> x, const Indices& counts, std::ptrdiff_t axis);
template <class T, std::integral I>
Tensor<T> repeat(Tensor<T> x, std::initializer_list<I> counts, std::ptrdiff_t axis) {
  return repeat(std::move(x), Indices(counts), axis);
}
template <class T>
Tensor<T> repeat(Tensor<T> x, const std::vector<std::size_t>& counts, std::size_t axis) {
  return repeat(std::move(x), Indices(counts), static_cast<std::ptrdiff_t>(axis));
}
template <class T>
Tensor<T> repeat(Tensor<T> x, std::vector<std::size_t>&& counts, std::size_t axis) {
  return repeat(std::move(x), Indices(counts), static_cast<std::ptrdiff_t>(axis));
}

/// NumPy's tile: x as a whole, repeated along each axis as `times` say. Where these are fewer than the axes,
/// they are for the last ones; where they are more, x gets axes of size 1 in front. Derivative: adjoints of
/// an element's copies add up. Error for a negative number.
template <class T>
Tensor<T> tile(Tensor<T> x, const Dims& times);
template <class T, std::integral N>
Tensor<T> tile(Tensor<T> x, N times) {
  return tile(std::move(x), Dims{times});
}
template <class T, std::integral N>
Tensor<T> tile(Tensor<T> x, const std::vector<N>& times) {
  return tile(std::move(x), Dims(times));
}
template <class T, std::integral N>
Tensor<T> tile(Tensor<T> x, std::initializer_list<N> times) {
  return tile(std::move(x), Dims(times));
}

/// NumPy's roll: elements move by `shift` along an axis, those that leave it at its end come in at its start.
/// Error unless there is a shift for each axis.
template <class T>
Tensor<T> roll(Tensor<T> x, const Axes& shift, const Axes& axes);
template <class T>
Tensor<T> roll(Tensor<T> x, std::ptrdiff_t shift, std::ptrdiff_t axis) {
  return roll(std::move(x), Axes(shift), Axes(axis));
}
template <class T, std::integral S, std::integral A>
Tensor<T> roll(Tensor<T> x, S shift, A axis) {
  return roll(std::move(x), Axes(shift), Axes(axis));
}
/// Of all elements, flattened; x keeps its shape.
template <class T>
Tensor<T> roll(Tensor<T> x, std::ptrdiff_t shift);

/// unsqueeze() by the name that NumPy gives it: a new axis of size 1, in [-rank - 1, rank]. No copy.
template <class T, std::integral A>
Tensor<T> expand_dims(Tensor<T> x, A axis) {
  return unsqueeze(x, static_cast<std::ptrdiff_t>(axis));
}
template <class T>
Tensor<T> expand_dims(Tensor<T> x, std::size_t axis) {
  return unsqueeze(x, static_cast<std::ptrdiff_t>(axis));
}
/// x with two axes in each other's place. Error for an axis outside of [-rank, rank).
template <class T>
Tensor<T> swapaxes(Tensor<T> x, std::ptrdiff_t a, std::ptrdiff_t b);
/// x with the axes `from` in the places `to`; the others stay in their order. Error unless there are as many
/// of both.
template <class T>
Tensor<T> moveaxis(Tensor<T> x, const Axes& from, const Axes& to);

/// The tensors one below the other: scalars and vectors are rows, others are joined along axis 0. Error for
/// none, and for shapes that differ elsewhere than in axis 0.
template <class T>
Tensor<T> vstack(const std::vector<Tensor<T>>& tensors);
template <class T>
Tensor<T> vstack(std::initializer_list<Tensor<T>> tensors) {
  return vstack(std::vector<Tensor<T>>(tensors));
}
/// The tensors side by side: scalars and vectors along axis 0, others along axis 1. Error for none, and for
/// shapes that differ elsewhere than in that axis.
template <class T>
Tensor<T> hstack(const std::vector<Tensor<T>>& tensors);
template <class T>
Tensor<T> hstack(std::initializer_list<Tensor<T>> tensors) {
  return hstack(std::vector<Tensor<T>>(tensors));
}

/// Which axis the first vector of meshgrid() runs along: xy as in a picture, x from left to right, NumPy's
/// default; ij as in an array, PyTorch's.
enum class GridIndexing { xy, ij };

/// Coordinates of a grid: each vector repeated along the axes of the others. Of vectors with n, m, k …
/// elements the shape is (m, n, k, …) for xy and (n, m, k, …) for ij. Derivative: sums along the other axes.
/// Error for what is neither a vector nor a scalar.
template <class T>
std::vector<Tensor<T>> meshgrid(const std::vector<Tensor<T>>& vectors,
                                GridIndexing indexing = GridIndexing::xy);
template <class T>
std::vector<Tensor<T>> meshgrid(std::initializer_list<Tensor<T>> vectors,
                                GridIndexing indexing = GridIndexing::xy) {
  return meshgrid(std::vector<Tensor<T>>(vectors), indexing);
}

}  // namespace xtape
