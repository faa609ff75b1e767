// OpenBLAS has its own functions for threads; another BLAS is left as its environment says.
#include "threads.hpp"

#include <atomic>
#include <string>

#include "error.hpp"

extern "C" {
void openblas_set_num_threads(int) __attribute__((weak));
int openblas_get_num_threads(void) __attribute__((weak));
}

namespace xtape {
namespace {
std::atomic<int> chosen{0};
}

void set_num_threads(int n) {
  if (n < 1) throw Error("set_num_threads", std::to_string(n) + " threads: at least 1 is needed");
  chosen = n;
  if (openblas_set_num_threads) openblas_set_num_threads(n);
}

int num_threads() {
  if (chosen != 0) return chosen;
  return openblas_get_num_threads ? openblas_get_num_threads() : 1;
}

}  // namespace xtape
