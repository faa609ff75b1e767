// Linear systems by products with the matrix alone.
#pragma once
#include <functional>

#include "../tensor.hpp"

namespace xtape::detail {

template <class T>
using LinearMap = std::function<Tensor<T>(const Tensor<T>&)>;

/// x of A x = b, with |A x - b| <= tolerance |b|: Saad and Schultz 1986, GMRES, begun anew every 50 products.
/// Error where so many products do not suffice.
template <class T>
Tensor<T> gmres(const LinearMap<T>& A, const Tensor<T>& b, double tolerance, std::size_t products,
                const char* used_by);

/// x of A x = b for a symmetric A: Hestenes and Stiefel 1952, conjugate gradients. Ends early, with what it
/// has, along a direction of no or negative curvature; the direction b where that is the first.
template <class T>
Tensor<T> conjugate_gradients(const LinearMap<T>& A, const Tensor<T>& b, double tolerance,
                              std::size_t products);

}  // namespace xtape::detail
