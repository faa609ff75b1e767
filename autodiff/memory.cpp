// Free lists by size class, one set per thread. Above 1 KiB there are four classes to each power of two.
#include "memory.hpp"

#include <array>
#include <bit>
#include <cstdlib>
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

constexpr std::size_t cache_limit = std::size_t{1} << 30;  // per thread; more goes back to the system

struct FreeBlock {
  FreeBlock* next;
};

// Classes 0..15 are 64, 128 … 1024 bytes; above, four steps to each power of two.
constexpr std::uint32_t small_classes = 16;

std::uint32_t class_of(std::size_t bytes) {
  if (bytes <= 1024) return bytes == 0 ? 0 : static_cast<std::uint32_t>((bytes - 1) / 64);
  const auto power =
      static_cast<std::uint32_t>(std::bit_width(bytes - 1)) - 1;  // 2^power < bytes <= 2^(power+1)
  const auto quarter = static_cast<std::uint32_t>((bytes - 1) >> (power - 2)) & 3u;
  return small_classes + (power - 10) * 4 + quarter;
}

std::size_t bytes_of(std::uint32_t size_class) {
  if (size_class < small_classes) return (size_class + std::size_t{1}) * 64;
  const std::uint32_t power = (size_class - small_classes) / 4 + 10;
  const std::uint32_t quarter = (size_class - small_classes) % 4;
  return (std::size_t{1} << power) + (quarter + std::size_t{1}) * (std::size_t{1} << (power - 2));
}

struct Pool {
  std::array<FreeBlock*, small_classes + 4 * 54> lists{};
  MemoryUse use;

  void release() {
    for (FreeBlock*& list : lists)
      while (list) std::free(std::exchange(list, list->next));
    use.cached = 0;
  }
};

// A plain pointer needs no initialiser check at each use. It is null before the first request of a
// thread and again after the thread's pool is gone, when the last global tensors are destroyed.
constinit thread_local Pool* pool __attribute__((tls_model("initial-exec"))) = nullptr;

Pool* open_pool() {
  struct Owner {
    Pool pool;
    Owner() { xtape::pool = &pool; }
    ~Owner() {
      pool.release();
      xtape::pool = nullptr;
    }
  };
  thread_local Owner owner;
  return pool;
}

void* from_heap(std::size_t bytes) {
  void* block = std::aligned_alloc(detail::alignment, bytes);
  if (!block) throw std::bad_alloc();
  return block;
}

}  // namespace

namespace detail {

void* allocate(std::size_t bytes, std::uint32_t& size_class) {
  if (bytes > (std::size_t{1} << 62)) throw std::bad_alloc();
  size_class = class_of(bytes);
  const std::size_t rounded = bytes_of(size_class);
  Pool* p = pool ? pool : open_pool();
  void* block = nullptr;
  if (p && p->lists[size_class]) {
    block = std::exchange(p->lists[size_class], p->lists[size_class]->next);
    p->use.cached -= rounded;
  } else {
    block = from_heap(rounded);
    if (p) ++p->use.heap_calls;
  }
  if (p) {
    p->use.live += static_cast<std::ptrdiff_t>(rounded);
    if (p->use.live > p->use.peak) p->use.peak = p->use.live;
  }
  return block;
}

void deallocate(void* block, std::uint32_t size_class) noexcept {
  Pool* p = pool;
  const std::size_t rounded = bytes_of(size_class);
  if (p) p->use.live -= static_cast<std::ptrdiff_t>(rounded);
  if (pooling && p && p->use.cached + rounded <= cache_limit) {
    p->lists[size_class] = ::new (block) FreeBlock{p->lists[size_class]};
    p->use.cached += rounded;
  } else {
    std::free(block);
  }
}

}  // namespace detail

MemoryUse memory_use() { return pool ? pool->use : MemoryUse{}; }

void reset_peak_memory() {
  if (pool) pool->use.peak = pool->use.live;
}

void release_cached_memory() {
  if (pool) pool->release();
}

}  // namespace xtape
