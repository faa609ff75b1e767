// Which carries a backward pass keeps when it may not keep all: the binomial schedule of Griewank and
// Walther, Evaluating Derivatives (2008), chapter 12.
#pragma once
#include <cstddef>

namespace xtape::detail {

/// How many steps a backward pass over `steps` steps computes again with so many carries, that of the
/// beginning included: the least that is possible, r n − C(c + r, c + 1) for n steps, c carries and the least
/// r with C(c + r, c) ≥ n.
std::size_t recomputed_steps(std::size_t steps, std::size_t checkpoints);

/// After how many of them the next carry is kept, where there are two and more of either.
std::size_t next_checkpoint(std::size_t steps, std::size_t checkpoints);

/// What the last backward pass of a scan on this thread has kept and computed again.
struct ScanCounts {
  std::size_t most_kept = 0, steps = 0;
};
ScanCounts& scan_counts();

}  // namespace xtape::detail
