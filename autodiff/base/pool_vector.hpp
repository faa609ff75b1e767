// std::vector in memory of the pool.
#pragma once
#include <cstddef>
#include <vector>

namespace xtape::detail {

/// Memory from the pool, and back to it. Throws std::bad_alloc.
void* allocate_bytes(std::size_t bytes);
void deallocate_bytes(void* place, std::size_t bytes) noexcept;

/// Memory of containers from the pool: in a steady state they do not reach the heap.
template <class X>
struct PoolAllocator {
  using value_type = X;
  PoolAllocator() = default;
  template <class Y>
  PoolAllocator(const PoolAllocator<Y>&) {}  // NOLINT
  X* allocate(std::size_t n) { return static_cast<X*>(allocate_bytes(n * sizeof(X))); }
  void deallocate(X* p, std::size_t n) { deallocate_bytes(p, n * sizeof(X)); }
  bool operator==(const PoolAllocator&) const = default;
};
template <class X>
using PoolVector = std::vector<X, PoolAllocator<X>>;

}  // namespace xtape::detail
