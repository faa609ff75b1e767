// See timing.hpp.
#include "timing.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>

namespace bench {
namespace {

double seconds_of(const std::function<void()>& work, std::size_t runs) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  for (std::size_t i = 0; i < runs; ++i) work();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// How many runs fill a batch. Finding out warms the caches and the pools as well.
std::size_t calibrate(const std::function<void()>& work, double batch_seconds) {
  for (std::size_t runs = 1;;) {
    const double seconds = seconds_of(work, runs);
    if (seconds >= batch_seconds) return runs;
    const double factor = seconds > 0 ? 1.2 * batch_seconds / seconds : 10;
    runs = static_cast<std::size_t>(std::ceil(static_cast<double>(runs) * std::clamp(factor, 1.2, 10.0)));
  }
}

}  // namespace

Spread spread(std::vector<double> measurements) {
  std::sort(measurements.begin(), measurements.end());
  const auto at = [&](double fraction) {
    const double place = fraction * static_cast<double>(measurements.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const std::size_t above = std::min(below + 1, measurements.size() - 1);
    return std::lerp(measurements[below], measurements[above], place - std::floor(place));
  };
  return {at(0.5), at(0.25), at(0.75)};
}

std::vector<std::vector<double>> alternate(const std::vector<std::function<void()>>& works,
                                           const Timing& timing) {
  std::vector<std::size_t> runs;
  for (const auto& work : works) runs.push_back(calibrate(work, timing.batch_seconds));
  std::vector<std::vector<double>> seconds(works.size());
  for (int repetition = 0; repetition < timing.repetitions; ++repetition)
    for (std::size_t turn = 0; turn < works.size(); ++turn) {
      const std::size_t i = repetition % 2 == 0 ? turn : works.size() - 1 - turn;
      seconds[i].push_back(seconds_of(works[i], runs[i]) / static_cast<double>(runs[i]));
    }
  return seconds;
}

}  // namespace bench
