// Sorting: order along an axis, the largest elements, and the positions where they are.
//
// NaN comes after all numbers, as in NumPy and PyTorch, and of equal elements the first comes first.
// Positions are Indices: integers without a gradient, which gather() takes, and take() where they are of one
// axis. All other results are elements of x, and their derivative is that of gather(): the adjoint goes to
// where the element was. An axis out of range is an Error.
#pragma once
#include "indices.hpp"
#include "tensor.hpp"

namespace xtape {

/// The positions that sort x along an axis: gather(x, argsort(x, axis), axis) is sort(x, axis). Equal
/// elements keep their order. `descending`: the largest first, NaN before it.
template <class T>
Indices argsort(Tensor<T> x, std::ptrdiff_t axis = -1, bool descending = false);

/// The elements in ascending order along an axis, NaN last; in descending order with NaN first.
template <class T>
Tensor<T> sort(Tensor<T> x, std::ptrdiff_t axis = -1, bool descending = false);

/// What topk() finds.
template <class T>
struct TopK {
  Tensor<T> values;  ///< k along the axis, the largest first
  Indices indices;   ///< their positions along the axis
};

/// The k largest elements along an axis, in descending order, NaN before all; the k smallest, in ascending
/// order, where `largest` is false. Error for k beyond the size of the axis.
template <class T>
TopK<T> topk(const Tensor<T>& x, std::size_t k, std::ptrdiff_t axis = -1, bool largest = true);

/// The position of the largest element along an axis, the first of equal ones; that of the first NaN where
/// there is one. The axis leaves the shape, or stays with the size 1 for keepdims. Error for an empty axis.
template <class T>
Indices argmax(Tensor<T> x, std::ptrdiff_t axis, bool keepdims = false);
/// Of the flattened x: one number.
template <class T>
Indices argmax(Tensor<T> x);

/// The position of the smallest element along an axis, the first of equal ones; that of the first NaN where
/// there is one. The axis leaves the shape, or stays with the size 1 for keepdims. Error for an empty axis.
template <class T>
Indices argmin(Tensor<T> x, std::ptrdiff_t axis, bool keepdims = false);
/// Of the flattened x: one number.
template <class T>
Indices argmin(Tensor<T> x);

/// The largest of the first 1, 2, … elements along an axis, NaN from the first NaN on. The adjoint goes to
/// the last of equal elements, as in PyTorch.
template <class T>
Tensor<T> cummax(const Tensor<T>& x, std::ptrdiff_t axis);

/// The smallest of the first 1, 2, … elements along an axis, NaN from the first NaN on. The adjoint goes to
/// the last of equal elements, as in PyTorch.
template <class T>
Tensor<T> cummin(const Tensor<T>& x, std::ptrdiff_t axis);

}  // namespace xtape
