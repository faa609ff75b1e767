// Alternated timing: the same machine, a moment apart, for all sides of a comparison.
#pragma once
#include <functional>
#include <vector>

namespace bench {

struct Timing {
  int repetitions = 15;
  double batch_seconds = 5e-3;  ///< each side runs at least this long before the next has its turn
};

/// What a set of measurements is summed up by: outliers of a busy machine move none of the three much.
struct Spread {
  double median = 0;
  double low = 0;   ///< first quartile
  double high = 0;  ///< third quartile
};

Spread spread(std::vector<double> measurements);

/// Seconds of one run of works[i] in each repetition. In each repetition all works have one turn, of as many
/// runs as fill a batch; the order turns round from one repetition to the next.
std::vector<std::vector<double>> alternate(const std::vector<std::function<void()>>& works,
                                           const Timing& timing);

}  // namespace bench
