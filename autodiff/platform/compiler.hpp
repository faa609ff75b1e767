// What the language leaves to compilers, those of GCC and Clang: the only place with their attributes.
#pragma once
#include <cstddef>

#ifdef _WIN32  // where xtape is a static library, and a mutex is made when the program begins
#define XTAPE_CONSTINIT
#define XTAPE_EXPORT
#define XTAPE_THREAD_LOCAL inline constinit thread_local
#else
/// For a mutex that is there before all else.
#define XTAPE_CONSTINIT constinit
/// A type that is thrown out of the library is one in all of a program, also where this hides its symbols.
#define XTAPE_EXPORT __attribute__((visibility("default")))
/// Of the library's variables of a thread: a fixed place in each thread's block, so that no use is a call;
/// and one for the library and all its users.
#define XTAPE_THREAD_LOCAL \
  inline constinit thread_local __attribute__((tls_model("initial-exec"), visibility("default")))
#endif

/// A function that may be missing when the program is linked: its address is null then.
#define XTAPE_WEAK __attribute__((weak))

/// After the type in a typedef: vectors of so many bytes, with the operators of their elements.
#define XTAPE_VECTOR_OF(bytes) __attribute__((vector_size(bytes)))

namespace xtape::platform {

/// a · b, and whether it is more than can be counted: then the product is what is left of it.
inline bool multiply_overflows(std::size_t a, std::size_t b, std::size_t& product) {
  return __builtin_mul_overflow(a, b, &product);
}

/// In a loop that waits for another thread: leaves the core's units to its neighbour for some cycles.
inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

}  // namespace xtape::platform
