#include "schedule.hpp"

namespace xtape::detail {
namespace {

/// C(checkpoints + repeats, checkpoints): how many steps can be gone back over with so many carries where
/// none is computed more often than `repeats` times again. At most `limit`.
std::size_t reach(std::size_t checkpoints, std::size_t repeats, std::size_t limit) {
  double n = 1;
  for (std::size_t i = 1; i <= repeats; ++i) {
    n = n * static_cast<double>(checkpoints + i) / static_cast<double>(i);
    if (n > static_cast<double>(limit)) return limit;
  }
  return static_cast<std::size_t>(n + 0.5);
}

}  // namespace

std::size_t recomputed_steps(std::size_t steps, std::size_t checkpoints) {
  if (steps < 2) return 0;
  if (checkpoints == 0) return steps * steps;  // not possible: more than any that is
  std::size_t repeats = 0;
  while (reach(checkpoints, repeats, steps) < steps) ++repeats;
  // repeats · steps − C(checkpoints + repeats, checkpoints + 1)
  return repeats * steps - (repeats == 0 ? 0 : reach(checkpoints + 1, repeats - 1, repeats * steps));
}

std::size_t next_checkpoint(std::size_t steps, std::size_t checkpoints) {
  std::size_t best = 1, least = ~std::size_t{0};
  for (std::size_t m = 1; m < steps; ++m) {
    const std::size_t cost =
        m + recomputed_steps(m, checkpoints) + recomputed_steps(steps - m, checkpoints - 1);
    if (cost < least) {
      least = cost;
      best = m;
    }
  }
  return best;
}

ScanCounts& scan_counts() {
  thread_local ScanCounts counts;
  return counts;
}

}  // namespace xtape::detail
