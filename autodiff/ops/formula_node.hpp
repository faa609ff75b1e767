// The rules of a node that computes what a formula of map says.
#pragma once
#include "../map.hpp"
#include "../tape/op.hpp"

namespace xtape::detail {

template <class T>
void add_gradients(const Formula<T>& formula, Gradients<T>& d);
template <class T>
void add_tangent(const Formula<T>& formula, Tangents<T>& t);

/// The formula by elementwise operations on x, of this shape.
template <class T>
Tensor<T> decomposed(const Formula<T>& formula, const std::vector<Tensor<T>>& x, const Shape& shape);

}  // namespace xtape::detail
