// Indexing: reading and adding by integer positions, and positions that are made of numbers.
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

/// A 1 at each label, 0 elsewhere: (…, classes) for labels of shape (…). Error for a label that is not one of
/// 0 … classes − 1.
template <class T>
Tensor<T> one_hot(const Indices& labels, std::size_t classes);

/// Places in a matrix: row and column of each.
struct MatrixIndices {
  Indices rows, columns;
};
/// The places of the lower triangle of a matrix (n, m), up to diagonal k (k > 0: above the main one), row by
/// row. take(x, rows * m + columns) reads them.
MatrixIndices tril_indices(std::size_t n, std::ptrdiff_t k, std::size_t m);
/// Of a square matrix (n, n).
MatrixIndices tril_indices(std::size_t n, std::ptrdiff_t k = 0);
/// The places of the upper triangle of a matrix (n, m), from diagonal k on, row by row.
MatrixIndices triu_indices(std::size_t n, std::ptrdiff_t k, std::size_t m);
/// Of a square matrix (n, n).
MatrixIndices triu_indices(std::size_t n, std::ptrdiff_t k = 0);

}  // namespace xtape
