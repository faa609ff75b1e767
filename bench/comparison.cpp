// See comparison.hpp.
#include "comparison.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <stdexcept>

namespace bench {
namespace {

/// The largest |a − b| / (|b| + the root mean square of b): relative, and not upset by elements that cancel.
double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) throw std::runtime_error("the sides give different numbers of gradients");
  double squares = 0;
  for (const double x : b) squares += x * x;
  const double scale = std::sqrt(squares / static_cast<double>(b.size()));
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(a[i] - b[i]) / (std::abs(b[i]) + scale);
    if (!(difference <= largest)) largest = difference;  // a NaN stays
    if (std::isnan(largest)) break;
  }
  return largest;
}

/// Three runs of each: what one of them leaves behind must not change the next.
double check(const std::vector<std::pair<const char*, const Side*>>& sides, double tolerance) {
  std::vector<double> expected;
  double largest = 0;
  for (const auto& [name, side] : sides) {
    if (!side->gradients) continue;
    for (int i = 0; i < 3; ++i) side->run();
    const std::vector<double> gradients = side->gradients();
    if (expected.empty()) {
      expected = gradients;
      continue;
    }
    const double difference = largest_difference(expected, gradients);
    if (!(difference <= tolerance)) {
      std::ostringstream message;
      message << "the gradients of xtape and " << name << " differ by " << difference << ", more than "
              << tolerance;
      throw std::runtime_error(message.str());
    }
    largest = std::max(largest, difference);
  }
  return largest;
}

Spread ratio(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < a.size(); ++i) ratios.push_back(a[i] / b[i]);
  return spread(ratios);
}

}  // namespace

Target faster_than_libtorch(double times) {
  return {Against::libtorch, Target::Sense::times_faster, times, "LibTorch"};
}
Target faster_than_hand_written(double times) {
  return {Against::hand_written, Target::Sense::times_faster, times, "hand-written"};
}
Target within_hand_written(double times) {
  return {Against::hand_written, Target::Sense::times_the_time, times, "hand-written"};
}
Target faster_than_baseline(double times, std::string name) {
  return {Against::baseline, Target::Sense::times_faster, times, std::move(name)};
}
Target within_baseline(double times, std::string name) {
  return {Against::baseline, Target::Sense::times_the_time, times, std::move(name)};
}
Target at_most(double limit, std::string name) {
  return {Against::nothing, Target::Sense::at_most, limit, std::move(name)};
}

bool Verdict::met() const {
  if (!measured) return false;
  return target.sense == Target::Sense::times_faster ? measured->median >= target.limit
                                                     : measured->median <= target.limit;
}

Result compare(const Comparison& sides, const std::vector<Target>& targets, const Timing& timing) {
  Result result;
  const bool has_peer = sides.hand_written.gradients || sides.libtorch.gradients || sides.baseline.gradients;
  if (has_peer)
    result.difference = check({{"xtape", &sides.xtape},
                               {"hand-written code", &sides.hand_written},
                               {"tuned hand-written code", &sides.tuned},
                               {"LibTorch", &sides.libtorch},
                               {"xtape's baseline", &sides.baseline}},
                              sides.tolerance);

  std::vector<std::function<void()>> works;
  for (const Side* side : {&sides.xtape, &sides.hand_written, &sides.tuned, &sides.libtorch, &sides.baseline})
    if (*side) works.push_back(side->run);
  std::vector<std::vector<double>> measured = alternate(works, timing);
  auto next = measured.begin();
  const auto times_of = [&](const Side& side) {
    if (!side) return std::vector<double>{};
    for (double& seconds : *next) seconds /= side.operations;
    return *next++;
  };
  const std::vector<double> xtape = times_of(sides.xtape), hand_written = times_of(sides.hand_written),
                            tuned = times_of(sides.tuned), libtorch = times_of(sides.libtorch),
                            baseline = times_of(sides.baseline);

  result.xtape = spread(xtape).median;
  if (sides.hand_written) {
    result.hand_written = spread(hand_written).median;
    result.xtape_to_hand_written = ratio(xtape, hand_written);
  }
  if (sides.tuned) {
    result.tuned = spread(tuned).median;
    result.xtape_to_tuned = ratio(xtape, tuned);
  }
  if (sides.libtorch) {
    result.libtorch = spread(libtorch).median;
    result.libtorch_to_xtape = ratio(libtorch, xtape);
  }
  for (const Target& target : targets) {
    Verdict verdict{target, {}};
    const std::vector<double>& peer = target.peer == Against::hand_written ? hand_written
                                      : target.peer == Against::libtorch   ? libtorch
                                                                           : baseline;
    if (target.peer == Against::nothing)
      verdict.measured = spread(xtape);
    else if (!peer.empty())
      verdict.measured =
          target.sense == Target::Sense::times_faster ? ratio(peer, xtape) : ratio(xtape, peer);
    result.verdicts.push_back(verdict);
  }
  return result;
}

Row row(std::string work, std::function<Comparison()> sides, std::vector<Target> targets) {
  return {std::move(work), [sides = std::move(sides), targets = std::move(targets)](const Timing& timing) {
            return compare(sides(), targets, timing);
          }};
}

}  // namespace bench
