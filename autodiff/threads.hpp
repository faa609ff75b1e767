// Threads: how many compute, and the work that is split among them.
#pragma once
#include <cstddef>
#include <type_traits>

namespace xtape {

/// The number of threads for elementwise work, reductions and matrix products; BLAS follows where it can be
/// told (OpenBLAS). Results do not depend on it, to the last bit. Error for n < 1.
void set_num_threads(int n);
/// As set; before that the number of cores, or what OpenBLAS's environment says in place of it.
int num_threads();

namespace detail {

void run_parallel(std::size_t count, void (*work)(const void*, std::size_t), const void* context) noexcept;

/// Calls f(i) for each i < count, on several threads where that is allowed and they are not busy with other
/// work. f must not throw, record or allocate. What f(i) computes must not depend on who calls it: split by
/// sizes, never by the number of threads.
template <class F>
void parallel_for(std::size_t count, const F& f) noexcept {
  if (count < 2) {
    if (count == 1) f(0);
    return;
  }
  run_parallel(
      count, [](const void* context, std::size_t i) { (*static_cast<const F*>(context))(i); }, &f);
}

/// While one lives, OpenBLAS computes on the threads that call it: for products that several threads share
/// out among themselves.
class SerialBlas {
 public:
  [[nodiscard]] SerialBlas();
  ~SerialBlas();
  SerialBlas(const SerialBlas&) = delete;
  SerialBlas& operator=(const SerialBlas&) = delete;
};

}  // namespace detail
}  // namespace xtape
