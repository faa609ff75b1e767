// Free lists by size class, one set per thread.
#include "../memory.hpp"

#include <cstdlib>
#include <mutex>
#include <new>
#include <utility>

namespace xtape {
namespace {

// A reused block would hide a use after release from the sanitizer, and an allocation from a test that
// refuses each.
#if defined(__SANITIZE_ADDRESS__) || defined(XTAPE_UNPOOLED)
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

constexpr std::ptrdiff_t cache_limit = std::ptrdiff_t{1} << 30;  // per thread; more goes back to the system

using detail::FreeBlock;
using detail::Pool;
using detail::small_classes;

// Small blocks are cut from slabs, so that they lie side by side: a heap block each would cost a quarter more
// memory, and with it cache. A slab begins at a multiple of slab_alignment, where its blocks find it.
constexpr std::size_t slab_alignment = std::size_t{1} << 16;
constexpr std::size_t slab_bytes =
    slab_alignment - detail::alignment;  // leaves room for the heap's own header
// What a thread keeps of small blocks that others have asked for; more goes back to them.
constexpr std::ptrdiff_t foreign_limit = std::ptrdiff_t{1} << 20;

struct Slab {
  std::uint32_t blocks;
  std::uint32_t free;  ///< scratch of free_whole_slabs()
};

Slab& slab_of(FreeBlock* block) {
  return *reinterpret_cast<Slab*>(reinterpret_cast<std::uintptr_t>(block) & ~(slab_alignment - 1));
}

/// Free small blocks of no thread. The mutex guards the slabs, too.
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

/// Leaves a thread's blocks of a class to all threads. With the mutex held.
void bequeath(Pool& pool, std::uint32_t size_class) {
  FreeBlock*& heirs = orphans().lists[size_class];
  while (pool.lists[size_class]) {
    FreeBlock* const block = std::exchange(pool.lists[size_class], pool.lists[size_class]->next);
    block->next = std::exchange(heirs, block);
    pool.held -= static_cast<std::ptrdiff_t>(detail::bytes_of(size_class));
  }
}

/// Gives the slabs that lie whole among the orphans back to the heap. With the mutex held.
void free_whole_slabs() {
  FreeBlock* whole = nullptr;  // a block of each
  for (FreeBlock*& list : orphans().lists) {
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
  while (whole) std::free(&slab_of(std::exchange(whole, whole->next)));
}

void release(Pool& pool) {
  {
    const std::scoped_lock lock(orphans().mutex);
    for (std::uint32_t c = 0; c < small_classes; ++c) bequeath(pool, c);
    free_whole_slabs();
  }
  for (std::uint32_t c = small_classes; c < pool.lists.size(); ++c)
    while (pool.lists[c]) {
      std::free(std::exchange(pool.lists[c], pool.lists[c]->next));
      pool.held -= static_cast<std::ptrdiff_t>(detail::bytes_of(c));
    }
}

Pool* open_pool() {
  struct Owner {
    Pool pool;
    Owner() { detail::pool = &pool; }
    ~Owner() {
      release(pool);
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
  if (pooling && size_class < small_classes) {
    const std::scoped_lock lock(orphans().mutex);
    FreeBlock*& list = orphans().lists[size_class];
    if (!list) {
      list = cut_slab(size);
      if (p) ++p->heap_calls;
    }
    block = std::exchange(list, list->next);
    if (p) {
      p->lists[size_class] = std::exchange(list, nullptr);
      p->held += bytes;
      for (FreeBlock* more = p->lists[size_class]; more; more = more->next) p->held += bytes;
    }
  } else {
    block = from_heap(alignment, size);
    if (p) p->held += bytes, ++p->heap_calls;
  }
  if (p) p->count(bytes);
  return block;
}

void deallocate(void* place, std::uint32_t size_class) noexcept {
  Pool* const p = pool;
  const auto bytes = static_cast<std::ptrdiff_t>(bytes_of(size_class));
  const bool small = pooling && size_class < small_classes;
  if (p) p->live -= bytes;
  if (p && pooling && (small || p->held - p->live <= cache_limit)) {
    p->lists[size_class] = ::new (place) FreeBlock{p->lists[size_class]};
    if (small && p->live < 0 && p->held - p->live > foreign_limit) [[unlikely]] {
      const std::scoped_lock lock(orphans().mutex);
      bequeath(*p, size_class);
    }
  } else if (small) {
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
