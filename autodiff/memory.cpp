// Free lists by size class, one set per thread.
#include "memory.hpp"

#include <cstdlib>
#include <mutex>
#include <new>
#include <utility>

namespace xtape {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool pooling = false;  // a reused block would hide a use after release from the sanitizer
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr bool pooling = false;
#else
constexpr bool pooling = true;
#endif
#else
constexpr bool pooling = true;
#endif

constexpr std::ptrdiff_t cache_limit = std::ptrdiff_t{1} << 30;  // per thread; more goes back to the system

using detail::FreeBlock;
using detail::Pool;
using detail::small_classes;

// Small blocks are cut from slabs, so that they lie side by side: a heap block each would cost a quarter more
// memory, and with it cache. A slab begins at a multiple of slab_alignment, where its blocks find it.
constexpr std::size_t slab_alignment = std::size_t{1} << 16;
constexpr std::size_t slab_bytes =
    slab_alignment - detail::alignment;  // leaves room for the heap's own header

struct Slab {
  std::uint32_t blocks;
  std::uint32_t free;  ///< scratch of release()
};

Slab& slab_of(FreeBlock* block) {
  return *reinterpret_cast<Slab*>(reinterpret_cast<std::uintptr_t>(block) & ~(slab_alignment - 1));
}

/// Small blocks of threads that have ended, in slabs whose other blocks are still in use.
struct Orphans {
  std::mutex mutex;
  std::array<FreeBlock*, small_classes> lists{};
};
Orphans& orphans() {
  static Orphans& instance = *new Orphans;  // the last tensors die after everything else
  return instance;
}

void* from_heap(std::size_t block_alignment, std::size_t bytes) {
  void* block = nullptr;
  if (posix_memalign(&block, block_alignment, bytes) != 0) throw std::bad_alloc();
  return block;
}

/// The blocks of a new slab, in the order of their addresses.
FreeBlock* cut_slab(std::size_t bytes) {
  auto* const start = static_cast<std::byte*>(from_heap(slab_alignment, slab_bytes));
  const auto blocks = static_cast<std::uint32_t>((slab_bytes - detail::alignment) / bytes);
  ::new (start) Slab{blocks, 0};
  FreeBlock* list = nullptr;
  for (std::size_t i = blocks; i-- > 0;) list = ::new (start + detail::alignment + i * bytes) FreeBlock{list};
  return list;
}

/// Gives slabs that are wholly free, and all large blocks, back to the heap.
void release(Pool& pool) {
  for (std::uint32_t c = 0; c < small_classes; ++c)
    for (FreeBlock* block = pool.lists[c]; block; block = block->next) ++slab_of(block).free;
  FreeBlock* emptied = nullptr;  // a block of each
  for (std::uint32_t c = 0; c < small_classes; ++c)
    for (FreeBlock** at = &pool.lists[c]; *at;) {
      Slab& slab = slab_of(*at);
      if (slab.free != slab.blocks) {
        at = &(*at)->next;
        continue;
      }
      FreeBlock* const block = std::exchange(*at, (*at)->next);
      if (--slab.blocks != 0) {
        --slab.free;
        continue;
      }
      block->next = std::exchange(emptied, block);
    }
  for (std::uint32_t c = 0; c < small_classes; ++c)
    for (FreeBlock* block = pool.lists[c]; block; block = block->next) slab_of(block).free = 0;
  while (emptied) {
    std::free(&slab_of(std::exchange(emptied, emptied->next)));
    pool.held -= static_cast<std::ptrdiff_t>(slab_bytes);
  }
  for (std::uint32_t c = small_classes; c < pool.lists.size(); ++c)
    while (pool.lists[c]) {
      std::free(std::exchange(pool.lists[c], pool.lists[c]->next));
      pool.held -= static_cast<std::ptrdiff_t>(detail::bytes_of(c));
    }
}

/// Leaves the small blocks to the threads that go on.
void bequeath(Pool& pool) {
  const std::scoped_lock lock(orphans().mutex);
  for (std::uint32_t c = 0; c < small_classes; ++c)
    while (pool.lists[c]) {
      FreeBlock* const block = std::exchange(pool.lists[c], pool.lists[c]->next);
      block->next = std::exchange(orphans().lists[c], block);
    }
}

Pool* open_pool() {
  struct Owner {
    Pool pool;
    Owner() { detail::pool = &pool; }
    ~Owner() {
      release(pool);
      bequeath(pool);
      detail::pool = nullptr;
    }
  };
  thread_local Owner owner;
  return detail::pool;
}

}  // namespace

namespace detail {

void* allocate_fresh(std::uint32_t size_class) {
  const std::size_t bytes = bytes_of(size_class);
  if (bytes > std::size_t{1} << 62) throw std::bad_alloc();
  Pool* const p = pool ? pool : open_pool();
  void* block = nullptr;
  if (pooling && size_class < small_classes) {
    const std::scoped_lock lock(orphans().mutex);
    FreeBlock*& list = orphans().lists[size_class];
    if (!list) {
      list = cut_slab(bytes);
      if (p) p->held += static_cast<std::ptrdiff_t>(slab_bytes), ++p->heap_calls;
    }
    block = std::exchange(list, list->next);
    if (p) p->lists[size_class] = std::exchange(list, nullptr);
  } else {
    block = from_heap(alignment, bytes);
    if (p) p->held += static_cast<std::ptrdiff_t>(bytes), ++p->heap_calls;
  }
  if (p) p->count(static_cast<std::ptrdiff_t>(bytes));
  return block;
}

void deallocate(void* place, std::uint32_t size_class) noexcept {
  Pool* const p = pool;
  const auto bytes = static_cast<std::ptrdiff_t>(bytes_of(size_class));
  if (p) p->live -= bytes;
  if (pooling && p && (size_class < small_classes || p->held - p->live <= cache_limit)) {
    p->lists[size_class] = ::new (place) FreeBlock{p->lists[size_class]};
  } else if (pooling && size_class < small_classes) {
    const std::scoped_lock lock(orphans().mutex);
    orphans().lists[size_class] = ::new (place) FreeBlock{orphans().lists[size_class]};
  } else {
    if (p) p->held -= bytes;
    std::free(place);
  }
}

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
  if (detail::pool) release(*detail::pool);
}

}  // namespace xtape
