// The pool that every value and node comes from, and what it holds: a steady-state step takes all its
// blocks from free lists and never reaches the heap.
#pragma once
#include <cstddef>
#include <cstdint>

namespace xtape {

/// Bytes that this thread's tensors and nodes hold. A block counts for the thread that asked for it and
/// is given back to the thread that releases it.
struct MemoryUse {
  std::ptrdiff_t live = 0;     ///< allocated and not yet released
  std::ptrdiff_t peak = 0;     ///< the highest `live` since the start or the last reset_peak_memory()
  std::size_t cached = 0;      ///< released and kept for the next request
  std::size_t heap_calls = 0;  ///< requests that the free lists could not serve
};

/// The pool's figures for the calling thread.
MemoryUse memory_use();
/// Starts a new measurement of the peak at the bytes now live.
void reset_peak_memory();
/// Gives all cached blocks of the calling thread back to the system.
void release_cached_memory();

namespace detail {

inline constexpr std::size_t alignment = 64;

/// A block of at least `bytes` bytes, 64-byte aligned; `size_class` must be handed back to deallocate.
/// Throws std::bad_alloc.
void* allocate(std::size_t bytes, std::uint32_t& size_class);
void deallocate(void* block, std::uint32_t size_class) noexcept;

}  // namespace detail
}  // namespace xtape
