// Free lists by size class: one set per thread, and one of what no thread wants.
#include "../memory.hpp"

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <new>
#include <span>
#include <utility>

#include "pool.hpp"
#include "pool_vector.hpp"

#include "../platform/system.hpp"

namespace xtape {
namespace {

// A reused block would hide a use after release from the sanitizer, and an allocation from a test that
// refuses each.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool pooling = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr bool pooling = false;
#else
constexpr bool pooling = true;
#endif
#else
constexpr bool pooling = true;
#endif

// What a thread keeps of large blocks, and what all keep of those that no thread wants: the rest goes back to
// the system.
constexpr std::ptrdiff_t cache_limit = std::ptrdiff_t{1} << 30, orphan_limit = std::ptrdiff_t{1} << 26;

using detail::FreeBlock;
using detail::Pool;
using detail::small_classes;

// Small blocks are cut from slabs, so that they lie side by side: a heap block each would cost a quarter more
// memory, and with it cache. A slab begins at a multiple of slab_alignment, where its blocks find it.
constexpr std::size_t slab_alignment = std::size_t{1} << 16;
constexpr std::size_t slab_bytes =
    slab_alignment - detail::alignment;  // leaves room for the heap's own header

// A large block knows who has asked for it, in a line before it: who releases another's does not keep it.
struct Large {
  std::uint64_t owner;  ///< the number of a pool
};

Large& large_of(void* block) {
  return *reinterpret_cast<Large*>(static_cast<std::byte*>(block) - detail::alignment);
}

struct Slab {
  std::uint32_t blocks;
  std::uint32_t free;  ///< scratch of free_whole_slabs()
};

Slab& slab_of(FreeBlock* block) {
  return *reinterpret_cast<Slab*>(reinterpret_cast<std::uintptr_t>(block) & ~(slab_alignment - 1));
}

/// Free blocks of no thread. The mutex guards the slabs, too.
XTAPE_CONSTINIT std::mutex orphan_mutex;
constinit std::array<FreeBlock*, detail::size_classes> orphans{};
constinit std::ptrdiff_t large_orphans = 0;  ///< bytes
[[maybe_unused]] const bool whole_in_forks = platform::hold_over_fork<orphan_mutex>();

void push(FreeBlock*& list, void* block) {
  list = ::new (block) FreeBlock{list, (list ? list->count : 0) + 1};
}

FreeBlock* pop(FreeBlock*& list) { return std::exchange(list, list->next); }

void* from_heap(std::size_t block_alignment, std::size_t bytes) {
  if (void* const block = platform::allocate(block_alignment, bytes)) return block;
  throw std::bad_alloc();
}

/// The blocks of a new slab, in the order of their addresses.
FreeBlock* cut_slab(std::size_t bytes) {
  auto* const start = static_cast<std::byte*>(from_heap(slab_alignment, slab_bytes));
  const auto blocks = static_cast<std::uint32_t>((slab_bytes - detail::alignment) / bytes);
  ::new (start) Slab{blocks, 0};
  FreeBlock* list = nullptr;
  for (std::size_t i = blocks; i-- > 0;) push(list, start + detail::alignment + i * bytes);
  return list;
}

/// Leaves a block to all threads, or to the heap. With the mutex held.
void leave(void* block, std::uint32_t size_class) {
  if (size_class >= small_classes) {
    const auto bytes = static_cast<std::ptrdiff_t>(detail::bytes_of(size_class));
    if (bytes > orphan_limit) return platform::release(&large_of(block));
    // Where there is no room, the largest make it.
    for (std::uint32_t c = detail::size_classes; large_orphans + bytes > orphan_limit;) {
      if (!orphans[c - 1])
        --c;
      else
        platform::release(&large_of(pop(orphans[c - 1]))),
            large_orphans -= static_cast<std::ptrdiff_t>(detail::bytes_of(c - 1));
    }
    large_orphans += bytes;
  }
  push(orphans[size_class], block);
}

/// A slab's worth of small blocks: what a thread keeps of those that others have asked for, and takes at
/// once.
std::uint32_t slabful(std::uint32_t size_class) {
  return static_cast<std::uint32_t>(slab_bytes / detail::bytes_of(size_class));
}

/// Leaves the small blocks that a thread has beyond those that it has asked for.
[[gnu::noinline]] void shed(Pool& pool, std::uint32_t size_class) {
  FreeBlock*& list = pool.lists[size_class];
  const std::scoped_lock lock(orphan_mutex);
  while (list && list->count > pool.taken[size_class]) {
    leave(pop(list), size_class);
    pool.held -= static_cast<std::ptrdiff_t>(detail::bytes_of(size_class));
  }
}

/// Gives the slabs that lie whole among the orphans back to the heap. With the mutex held.
void free_whole_slabs() {
  FreeBlock* whole = nullptr;  // a block of each
  for (FreeBlock*& list : std::span(orphans).first<small_classes>()) {
    for (FreeBlock* block = list; block; block = block->next) ++slab_of(block).free;
    for (FreeBlock** at = &list; *at;) {
      Slab& slab = slab_of(*at);
      if (slab.free != slab.blocks) {
        at = &(*at)->next;
        continue;
      }
      FreeBlock* const block = std::exchange(*at, (*at)->next);
      --slab.free;
      if (--slab.blocks == 0) block->next = std::exchange(whole, block);
    }
    for (FreeBlock* block = list; block; block = block->next) slab_of(block).free = 0;
  }
  while (whole) platform::release(&slab_of(std::exchange(whole, whole->next)));
}

/// Leaves all free blocks of a thread.
void give_back(Pool& pool) {
  const std::scoped_lock lock(orphan_mutex);
  for (std::uint32_t c = 0; c < detail::size_classes; ++c) {
    while (pool.lists[c]) {
      leave(pop(pool.lists[c]), c);
      pool.held -= static_cast<std::ptrdiff_t>(detail::bytes_of(c));
      if (c < small_classes && pool.taken[c] > 0) --pool.taken[c];
    }
  }
  free_whole_slabs();
}

Pool* open_pool() {
  struct Owner {
    Pool pool;
    Owner() {
      static constinit std::atomic<std::uint64_t> number = 0;
      pool.number = ++number;
      detail::pool = &pool;
    }
    ~Owner() {
      give_back(pool);
      detail::pool = nullptr;
    }
  };
  thread_local Owner owner;
  return detail::pool;
}

}  // namespace

namespace detail {

void* allocate_fresh(std::uint32_t size_class) {
  const std::size_t size = bytes_of(size_class);
  if (size > std::size_t{1} << 62) throw std::bad_alloc();
  const auto bytes = static_cast<std::ptrdiff_t>(size);
  Pool* const p = pool ? pool : open_pool();
  void* block = nullptr;
  if (pooling) {
    const bool small = size_class < small_classes;
    const std::scoped_lock lock(orphan_mutex);
    FreeBlock*& list = orphans[size_class];
    if (small && !list) {
      list = cut_slab(size);
      if (p) ++p->heap_calls;
    }
    if (list) {
      block = pop(list);
      if (!small) large_orphans -= bytes;
    }
    if (small && p) {
      ++p->taken[size_class];
      for (std::uint32_t more = slabful(size_class); more > 0 && list; --more) {  // for the next requests
        push(p->lists[size_class], pop(list));
        p->held += bytes, ++p->taken[size_class];
      }
    }
  }
  if (!block) {
    block = from_heap(alignment, pooling ? size + alignment : size);
    if (pooling) block = static_cast<std::byte*>(block) + alignment;
    if (p) ++p->heap_calls;
  }
  if (pooling && size_class >= small_classes) ::new (&large_of(block)) Large{p ? p->number : 0};
  if (p) {
    p->held += bytes;
    p->count(bytes);
  }
  return block;
}

void deallocate(void* block, std::uint32_t size_class) noexcept {
  Pool* const p = pool;
  const auto bytes = static_cast<std::ptrdiff_t>(bytes_of(size_class));
  if (p) p->live -= bytes;
  if (p && pooling && size_class < small_classes) {
    FreeBlock*& list = p->lists[size_class];
    push(list, block);
    if (list->count > p->taken[size_class] + slabful(size_class)) [[unlikely]]
      shed(*p, size_class);
  } else if (p && pooling && large_of(block).owner == p->number && p->held - p->live <= cache_limit) {
    push(p->lists[size_class], block);
  } else {
    if (p) p->held -= bytes;
    if (!pooling) return platform::release(block);
    const std::scoped_lock lock(orphan_mutex);
    leave(block, size_class);
  }
}

void* allocate_bytes(std::size_t bytes) { return allocate(size_class_of(bytes)); }

void deallocate_bytes(void* place, std::size_t bytes) noexcept { deallocate(place, size_class_of(bytes)); }

}  // namespace detail

MemoryUse memory_use() {
  const detail::Pool* const p = detail::pool;
  if (!p) return {};
  return {p->live, p->peak, static_cast<std::size_t>(p->held - p->live), p->heap_calls, p->allocated};
}

void reset_peak_memory() {
  if (detail::pool) detail::pool->peak = detail::pool->live;
}

void release_cached_memory() {
  if (detail::pool) give_back(*detail::pool);
  const std::scoped_lock lock(orphan_mutex);
  for (FreeBlock*& list : std::span(orphans).subspan<small_classes>())
    while (list) platform::release(&large_of(pop(list)));
  large_orphans = 0;
}

}  // namespace xtape
