// std::vector in memory of the pool.
#pragma once
#include <vector>

#include "../memory.hpp"

namespace xtape::detail {

/// Memory of containers from the pool: in a steady state they do not reach the heap.
template <class X>
struct PoolAllocator {
  using value_type = X;
  PoolAllocator() = default;
  template <class Y>
  PoolAllocator(const PoolAllocator<Y>&) {}  // NOLINT
  X* allocate(std::size_t n) { return static_cast<X*>(detail::allocate(size_class_of(n * sizeof(X)))); }
  void deallocate(X* p, std::size_t n) { detail::deallocate(p, size_class_of(n * sizeof(X))); }
  bool operator==(const PoolAllocator&) const = default;
};
template <class X>
using PoolVector = std::vector<X, PoolAllocator<X>>;

}  // namespace xtape::detail
