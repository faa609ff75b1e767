// Indexing: reading and adding by integer positions.
#pragma once
#include "indices.hpp"
#include "tensor.hpp"

namespace xtape {

/// NumPy's take: the sub-arrays of x at `indices` along an axis, whose place the shape of `indices` takes.
/// Negative indices count from the end. Derivative: the adjoint is added at the indices, repeated ones add
/// up. Error for an index out of range.
template <class T>
Tensor<T> take(const Tensor<T>& x, const Indices& indices, std::ptrdiff_t axis);
/// Of the flattened x.
template <class T>
Tensor<T> take(const Tensor<T>& x, const Indices& indices);

/// NumPy's take_along_axis, PyTorch's gather: y[i, j, k] = x[i, indices[i, j, k], k] for axis 1. `indices`
/// has the rank of x and its dimensions outside of the axis.
template <class T>
Tensor<T> gather(const Tensor<T>& x, const Indices& indices, std::ptrdiff_t axis);

/// x with updates[i, j, k] added at [i, indices[i, j, k], k], for axis 1; repeated places add up. `indices`
/// and `updates` have one shape, which agrees with x outside of the axis.
template <class T>
Tensor<T> scatter_add(const Tensor<T>& x, const Indices& indices, const Tensor<T>& updates,
                      std::ptrdiff_t axis);

}  // namespace xtape
