// malloc and its like as glibc's manual lets a program replace them; the work is left to glibc's own, or to
// those of the address sanitizer.
#include "heap_count.hpp"

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>

#include <dlfcn.h>

// Compiled without instrumentation, as it runs before the sanitizer does.
#ifdef XTAPE_ADDRESS_SANITIZER
#define XTAPE_HEAP(function) __interceptor_##function
#else
#define XTAPE_HEAP(function) __libc_##function
#endif

namespace {

constinit thread_local std::size_t calls = 0;
constinit std::atomic<std::ptrdiff_t> blocks = 0;
constinit std::atomic<std::ptrdiff_t> until_failure = 0;  ///< calls; it goes on below 0
constinit std::atomic<bool> fails = false, fails_on = false;

/// OpenBLAS 0.3.21 writes where malloc has given it nothing, in its AVX-512 kernels for small products.
bool is_blas(const void* caller) {
  Dl_info library{};
  return dladdr(caller, &library) != 0 && library.dli_fname && std::strstr(library.dli_fname, "openblas");
}

bool is_refused(const void* caller) {
  ++calls;
  if (!fails.load(std::memory_order_relaxed) || is_blas(caller)) return false;
  const std::ptrdiff_t left = until_failure.fetch_sub(1, std::memory_order_relaxed) - 1;
  const bool refused = left == 0 || (left < 0 && fails_on.load(std::memory_order_relaxed));
  if (refused) errno = ENOMEM;
  return refused;
}

void* counted(void* block) {
  if (block) blocks.fetch_add(1, std::memory_order_relaxed);
  return block;
}

}  // namespace

std::size_t xtape::test::heap_calls() { return calls; }
std::ptrdiff_t xtape::test::heap_blocks() { return blocks; }

xtape::test::FailingHeap::FailingHeap(std::size_t n, Calls which) {
  until_failure = static_cast<std::ptrdiff_t>(n);
  fails_on = which == all_from;
  fails = true;
}
xtape::test::FailingHeap::~FailingHeap() { fails = false; }
bool xtape::test::FailingHeap::has_refused() const { return until_failure <= 0; }

extern "C" {
void* XTAPE_HEAP(malloc)(std::size_t);
void* XTAPE_HEAP(calloc)(std::size_t, std::size_t);
void* XTAPE_HEAP(realloc)(void*, std::size_t);
void* XTAPE_HEAP(memalign)(std::size_t, std::size_t);
void XTAPE_HEAP(free)(void*);

void* malloc(std::size_t bytes) {
  return is_refused(__builtin_return_address(0)) ? nullptr : counted(XTAPE_HEAP(malloc)(bytes));
}
void* calloc(std::size_t n, std::size_t bytes) {
  return is_refused(__builtin_return_address(0)) ? nullptr : counted(XTAPE_HEAP(calloc)(n, bytes));
}
void* realloc(void* block, std::size_t bytes) {
  if (is_refused(__builtin_return_address(0))) return nullptr;
  void* const moved = XTAPE_HEAP(realloc)(block, bytes);
  if (!block) return counted(moved);
  if (!moved && bytes == 0) blocks.fetch_sub(1, std::memory_order_relaxed);  // which is what free() is
  return moved;
}
void* memalign(std::size_t alignment, std::size_t bytes) {
  return is_refused(__builtin_return_address(0)) ? nullptr : counted(XTAPE_HEAP(memalign)(alignment, bytes));
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  return is_refused(__builtin_return_address(0)) ? nullptr : counted(XTAPE_HEAP(memalign)(alignment, bytes));
}
int posix_memalign(void** block, std::size_t alignment, std::size_t bytes) {
  *block = aligned_alloc(alignment, bytes);
  return *block ? 0 : ENOMEM;
}
void free(void* block) {
  if (block) blocks.fetch_sub(1, std::memory_order_relaxed);
  XTAPE_HEAP(free)(block);
}
}

#ifdef XTAPE_ADDRESS_SANITIZER
// The sanitizer's own operator new does not come down to malloc.
void* operator new(std::size_t bytes) {
  if (void* const block = malloc(bytes ? bytes : 1)) return block;
  throw std::bad_alloc();
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return malloc(bytes ? bytes : 1); }
void operator delete(void* block) noexcept { free(block); }
void operator delete(void* block, std::size_t) noexcept { free(block); }
void operator delete(void* block, const std::nothrow_t&) noexcept { free(block); }
#endif
