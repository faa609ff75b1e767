// What a row of the table is: sides that do the same work, what is to be reached, and what was measured.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "timing.hpp"

namespace bench {

/// One way to do the work of a row. Empty when this machine does not have it.
struct Side {
  std::function<void()> run;                       ///< what is timed
  std::function<std::vector<double>()> gradients;  ///< those of the last run; empty when there are none
  double operations = 1;                           ///< in a run; times are given for one

  explicit operator bool() const { return static_cast<bool>(run); }
};

/// A side from an object with run() and gradients().
template <class Work, class... A>
Side side(A&&... arguments) {
  const auto work = std::make_shared<Work>(std::forward<A>(arguments)...);
  return {[work] { work->run(); }, [work] { return work->gradients(); }};
}

/// Some ranges of numbers, one behind the other.
template <class... Range>
std::vector<double> flat(const Range&... ranges) {
  std::vector<double> numbers;
  (numbers.insert(numbers.end(), ranges.begin(), ranges.end()), ...);
  return numbers;
}

struct Comparison {
  Side xtape, hand_written, tuned, libtorch;  ///< tuned: hand-written too, see tuned_peers.hpp
  Side baseline{};                            ///< other work of xtape's that a target refers to
  double tolerance = 1e-4;                    ///< of the largest difference between gradients
};

enum class Against { hand_written, libtorch, baseline, nothing };

struct Target {
  enum class Sense { times_faster, times_the_time, at_most };

  Against peer;
  Sense sense;
  double limit;      ///< a ratio; without a peer, what the row is measured in
  std::string name;  ///< of the peer, or of the quantity
};

Target faster_than_libtorch(double times);
Target faster_than_hand_written(double times);
Target within_hand_written(double times);
Target faster_than_baseline(double times, std::string name);
Target within_baseline(double times, std::string name);
Target at_most(double limit, std::string name);

/// A target and what was measured; the value is absent where the peer is.
struct Verdict {
  Target target;
  std::optional<Spread> measured;

  bool met() const;
};

struct Result {
  std::optional<double> xtape, hand_written, tuned, libtorch;  ///< medians
  std::string unit = "s";                                      ///< of these: s, B, or a plain count ""
  std::optional<Spread> xtape_to_hand_written;                 ///< time of the one / time of the other
  std::optional<Spread> xtape_to_tuned;
  std::optional<Spread> libtorch_to_xtape;
  std::optional<double> difference;  ///< the largest between the gradients of the sides
  std::vector<Verdict> verdicts;
};

/// Checks that all sides give the same gradients, then times them alternately. Throws std::runtime_error when
/// they do not.
Result compare(const Comparison& sides, const std::vector<Target>& targets, const Timing& timing);

struct Row {
  std::string work;
  std::function<Result(const Timing&)> measure;
};

/// A row whose data are made when it is its turn.
Row row(std::string work, std::function<Comparison()> sides, std::vector<Target> targets);

// The rows by subject, in the order of the table.
std::vector<Row> network_rows();
std::vector<Row> image_rows();
std::vector<Row> example_rows();
std::vector<Row> function_rows();
std::vector<Row> linalg_rows();
std::vector<Row> resource_rows();

}  // namespace bench
