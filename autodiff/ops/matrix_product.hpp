// Products of matrices (…,m,n) of which either may be transposed, without a copy of it; batches broadcast.
#pragma once
#include "../tensor.hpp"

namespace xtape::detail {

/// op(A) op(B), where op transposes what it says; inner dimensions are not checked.
template <class T>
Tensor<T> product(const Tensor<T>& A, bool transpose_a, const Tensor<T>& B, bool transpose_b);
/// Aᵀ B
template <class T>
Tensor<T> product_tn(const Tensor<T>& A, const Tensor<T>& B) {
  return product(A, true, B, false);
}
/// A Bᵀ
template <class T>
Tensor<T> product_nt(const Tensor<T>& A, const Tensor<T>& B) {
  return product(A, false, B, true);
}

}  // namespace xtape::detail
