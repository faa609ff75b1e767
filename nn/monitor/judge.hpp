// What the verdicts have in common: numbers of the whole run, and the list that they come into.
#pragma once
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "../verdicts.hpp"
#include "remedies.hpp"

namespace xtape::nn::detail {

/// Verdicts as they are collected: one for each activation layer and kind, else one for each kind. It grows
/// with the steps that show it, and tells of the worst.
class Findings {
 public:
  void add(Verdict seen, double severity);
  std::vector<Verdict> list() const;

 private:
  struct Found {
    Verdict verdict;
    double severity;
  };
  std::vector<Found> found_;
};

/// A history with what several verdicts ask of it.
struct Run {
  Run(const GradientHistory& h, const MonitorLimits& l);

  std::size_t size() const { return steps.size(); }
  std::size_t number(std::size_t t) const { return steps[t].number; }
  std::size_t window_start(std::size_t t) const { return t + 1 - std::min(t + 1, limits.window); }
  bool window_is_full(std::size_t t) const { return t + 1 >= limits.window; }
  const std::string& name(std::size_t k) const { return history.parameters[k].name; }

  /// The gradient of weight k per element; NaN where there is none.
  double per_element(std::size_t t, std::size_t k) const;
  /// The norm of weight k, or that of an initialisation where the weight is smaller: a weight that starts at
  /// 0 is small beside any update.
  double weight_scale(std::size_t t, std::size_t k) const;
  /// The largest ‖update‖ / ‖weight‖ of all weights together in the steps [first, last]; 0 where weights are
  /// 0. `scale` gives the norm of a weight in a step.
  template <class F>
  double largest_ratio(std::size_t first, std::size_t last, F&& scale) const {
    double largest = 0;
    for (std::size_t t = first; t <= last; ++t) {
      double update = 0, weight = 0;
      for (const std::size_t k : weights) {
        update = std::hypot(update, steps[t].parameters[k].update_norm);
        weight = std::hypot(weight, scale(t, k));
      }
      if (weight > 0) largest = std::max(largest, update / weight);  // passes over NaN
    }
    return largest;
  }
  /// √Σ of a norm over all parameters in a step; `norm` takes a ParameterStep.
  template <class F>
  double total_norm(std::size_t t, F&& norm) const {
    double total = 0;
    for (const ParameterStep& p : steps[t].parameters) total = std::hypot(total, norm(p));
    return total;
  }
  double gradient_norm(std::size_t t) const;
  /// Of the losses of [first, last).
  double mean_loss(std::size_t first, std::size_t last) const;
  /// Half a window.
  std::size_t half() const { return (limits.window + 1) / 2; }
  /// Whether the loss came to less than `share` of what it was, from the first half window to the last.
  bool loss_fell_below(double share) const;

  const GradientHistory& history;
  const std::vector<TrainingStep>& steps;
  const MonitorLimits& limits;
  const Remedies remedies;
  std::vector<std::size_t> weights{};  ///< numbers of the parameters that are judged, from input to output
};

/// Whether a verdict is on what comes through the layers.
bool is_of_signals(Verdict::Kind kind);

/// "a", "a and b", "a, b and 3 more".
std::string list_of(const std::vector<std::string>& names);

// judge_data.cpp
void find_not_finite(const Run& run, Findings& findings);
void find_unscaled(const Run& run, Findings& findings);
void find_probabilities(const Run& run, Findings& findings);
// judge_parts.cpp
void find_accumulated(const Run& run, Findings& findings);
void find_missing_gradients(const Run& run, Findings& findings);
void find_not_updated(const Run& run, Findings& findings);
void find_symmetric(const Run& run, Findings& findings);
// judge_signals.cpp
void find_exploding(const Run& run, Findings& findings);
void find_vanishing(const Run& run, Findings& findings);
void find_dead(const Run& run, Findings& findings);
void find_saturated(const Run& run, Findings& findings);
// judge_steps.cpp
void find_ascent(const Run& run, Findings& findings);
void find_weight_decay(const Run& run, Findings& findings);
void find_rate_too_high(const Run& run, Findings& findings);
void find_rate_too_low(const Run& run, Findings& findings);
/// A rate that shows only in what it did to the layers, for the loss came to rest on what they still give.
void find_rate_behind_signals(const Run& run, Findings& findings);

}  // namespace xtape::nn::detail
