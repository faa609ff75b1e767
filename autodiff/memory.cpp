// Free lists by size class, one set per thread.
#include "memory.hpp"

#include <cstdlib>
#include <limits>
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

void release(detail::Pool& pool) {
  for (detail::FreeBlock*& list : pool.lists)
    while (list) std::free(std::exchange(list, list->next));
  pool.held = pool.live;
}

detail::Pool* open_pool() {
  struct Owner {
    detail::Pool pool;
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
  const std::size_t bytes = bytes_of(size_class);
  if (bytes > std::size_t{1} << 62) throw std::bad_alloc();
  void* const block = std::aligned_alloc(alignment, bytes);
  if (!block) throw std::bad_alloc();
  if (Pool* const p = pool ? pool : open_pool()) {
    ++p->heap_calls;
    p->held += static_cast<std::ptrdiff_t>(bytes);
    p->count(static_cast<std::ptrdiff_t>(bytes));
  }
  return block;
}

void deallocate(void* block, std::uint32_t size_class) noexcept {
  Pool* const p = pool;
  if (!p) return std::free(block);
  const auto bytes = static_cast<std::ptrdiff_t>(bytes_of(size_class));
  p->live -= bytes;
  if (pooling && p->held - p->live <= cache_limit) {
    p->lists[size_class] = ::new (block) FreeBlock{p->lists[size_class]};
  } else {
    p->held -= bytes;
    std::free(block);
  }
}

}  // namespace detail

MemoryUse memory_use() {
  const detail::Pool* const p = detail::pool;
  if (!p) return {};
  return {p->live, p->peak, static_cast<std::size_t>(p->held - p->live), p->heap_calls};
}

void reset_peak_memory() {
  if (detail::pool) detail::pool->peak = detail::pool->live;
}

void release_cached_memory() {
  if (detail::pool) release(*detail::pool);
}

}  // namespace xtape
