// The pool that every value and node comes from: a steady-state step takes all its blocks from free lists and
// never reaches the heap. Not installed.
#pragma once
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "../platform/compiler.hpp"

namespace xtape::detail {

inline constexpr std::size_t alignment = 64;

struct FreeBlock {
  FreeBlock* next;
  std::uint32_t count;  ///< blocks in a thread's list from this one on
};

// Classes 0..15 are 64, 128 … 1024 bytes; above, four steps to each power of two.
inline constexpr std::uint32_t small_classes = 16;

inline constexpr std::size_t size_classes = small_classes + 4 * 54;

inline std::uint32_t size_class_of(std::size_t bytes) {
  if (bytes <= 1024) return bytes == 0 ? 0 : static_cast<std::uint32_t>((bytes - 1) / 64);
  const auto power =
      static_cast<std::uint32_t>(std::bit_width(bytes - 1)) - 1;  // 2^power < bytes <= 2^(power+1)
  const auto quarter = static_cast<std::uint32_t>((bytes - 1) >> (power - 2)) & 3u;
  return small_classes + (power - 10) * 4 + quarter;
}

inline std::size_t bytes_of(std::uint32_t size_class) {
  if (size_class < small_classes) return (size_class + std::size_t{1}) * 64;
  const std::uint32_t power = (size_class - small_classes) / 4 + 10;
  const std::uint32_t quarter = (size_class - small_classes) % 4;
  return (std::size_t{1} << power) + (quarter + std::size_t{1}) * (std::size_t{1} << (power - 2));
}

/// The free blocks of a thread. Bytes given back by another thread than asked for them make `live` of the
/// one negative, and its free blocks more than it has `held`: held − live is what waits in the lists.
struct Pool {
  std::array<FreeBlock*, size_classes> lists{};
  std::array<std::uint32_t, small_classes> taken{};  ///< small blocks that came from the heap or from others
  std::uint64_t number = 0;                          ///< of the thread; 0 is none's
  std::ptrdiff_t live = 0;
  std::ptrdiff_t peak = 0;
  std::ptrdiff_t held = 0;  ///< blocks taken from the heap or from others, and not given back
  std::size_t heap_calls = 0;
  std::size_t allocated = 0;

  void count(std::ptrdiff_t bytes) {
    allocated += static_cast<std::size_t>(bytes);
    live += bytes;
    if (live > peak) peak = live;
  }
};

// Null before the first request of a thread, and again after its pool is gone, when the last global tensors
// are destroyed.
XTAPE_THREAD_LOCAL Pool* pool = nullptr;

/// Takes a block from what other threads have left, or from the heap. Throws std::bad_alloc.
void* allocate_fresh(std::uint32_t size_class);

/// Keeps a block for later, or gives it to the heap.
void deallocate(void* block, std::uint32_t size_class) noexcept;

/// A block of a size class, 64-byte aligned. Throws std::bad_alloc.
inline void* allocate(std::uint32_t size_class) {
  Pool* const p = pool;
  if (!p || !p->lists[size_class]) return allocate_fresh(size_class);
  FreeBlock* const block = p->lists[size_class];
  p->lists[size_class] = block->next;
  p->count(static_cast<std::ptrdiff_t>(bytes_of(size_class)));
  return block;
}

}  // namespace xtape::detail
