// Memory: what the pool holds; see memory.md.
#pragma once
#include <cstddef>

namespace xtape {

/// Bytes that this thread's tensors and nodes hold. A block counts as live for the thread that asked for it,
/// and as released for the one that releases it.
struct MemoryUse {
  std::ptrdiff_t live = 0;     ///< allocated and not yet released
  std::ptrdiff_t peak = 0;     ///< the highest `live` since the start or the last reset_peak_memory()
  std::size_t cached = 0;      ///< released and kept for the next request
  std::size_t heap_calls = 0;  ///< requests that the free lists could not serve
  std::size_t allocated = 0;   ///< all that was asked for since the start
};

/// The pool's figures for the calling thread.
MemoryUse memory_use();
/// Starts a new measurement of the peak at the bytes now live.
void reset_peak_memory();
/// Gives the cached blocks of the calling thread back to the system, and those that no thread keeps; small
/// ones where all of their 64 KiB are free, the others to all threads.
void release_cached_memory();

}  // namespace xtape
