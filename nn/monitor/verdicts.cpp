// Each verdict is a test of one step and those of its window, run over the history.
#include "../verdicts.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <ostream>
#include <utility>

#include "remedies.hpp"

namespace xtape::nn {
namespace {

using detail::rate_advice, detail::Remedies, detail::rounded;
using Kind = Verdict::Kind;

constexpr double infinity = std::numeric_limits<double>::infinity();

/// Verdicts as they are collected: one for each activation layer and kind, else one for each kind. It grows
/// with the steps that show it, and tells of the worst.
class Findings {
 public:
  void add(Verdict seen, double severity) {
    const bool is_of_layer = seen.kind == Kind::dead || seen.kind == Kind::saturated;
    const auto at = std::ranges::find_if(found_, [&](const Found& other) {
      return other.verdict.kind == seen.kind && (!is_of_layer || other.verdict.where == seen.where);
    });
    if (at == found_.end()) return found_.push_back({std::move(seen), severity});
    seen.first_step = at->verdict.first_step;
    at->verdict.last_step = seen.last_step;
    if (severity > at->severity) *at = {std::move(seen), severity};
  }
  std::vector<Verdict> list() && {
    std::vector<Verdict> all;
    for (Found& one : found_) all.push_back(std::move(one.verdict));
    std::ranges::stable_sort(all, std::less<>(), &Verdict::kind);
    return all;
  }

 private:
  struct Found {
    Verdict verdict;
    double severity;
  };
  std::vector<Found> found_;
};

class Judge {
 public:
  Judge(const GradientHistory& history, const MonitorLimits& limits)
      : history_(history), steps_(history.steps), limits_(limits), remedies_(history) {
    for (std::size_t k = 0; k < history.parameters.size(); ++k)
      if (history.parameters[k].is_weight) weights_.push_back(k);
  }

  std::vector<Verdict> run() && {
    find_not_finite();
    find_vanishing();
    find_saturated();
    for (std::size_t t = 0; t < steps_.size(); ++t) {
      find_exploding(t);
      find_dead(t);
      find_rate_too_high(t);
      find_rate_too_low(t);
    }
    return std::move(findings_).list();
  }

 private:
  std::size_t number(std::size_t t) const { return steps_[t].number; }
  std::size_t window_start(std::size_t t) const { return t + 1 - std::min(t + 1, limits_.window); }
  bool window_is_full(std::size_t t) const { return t + 1 >= limits_.window; }

  /// The gradient of weight k per element; NaN where there is none.
  double per_element(std::size_t t, std::size_t k) const {
    return steps_[t].parameters[k].gradient_norm /
           std::sqrt(static_cast<double>(history_.parameters[k].size()));
  }

  /// The norm of weight k, or that of an initialisation where the weight is smaller: a weight that starts at
  /// 0 is small beside any update.
  double weight_scale(std::size_t t, std::size_t k) const {
    const GradientHistory::Parameter& p = history_.parameters[k];
    const double initialised =
        detail::initial_deviation(p.shape, false) * std::sqrt(static_cast<double>(p.size()));
    return std::max(steps_[t].parameters[k].weight_norm, initialised);
  }

  void find_not_finite() {
    for (const TrainingStep& step : steps_) {
      std::string what, where = "loss";
      if (!std::isfinite(step.loss)) what = "the loss is " + rounded(step.loss);
      for (std::size_t k = 0; k < step.parameters.size() && what.empty(); ++k)
        if (step.parameters[k].not_finite != 0) {
          where = history_.parameters[k].name;
          what = std::to_string(step.parameters[k].not_finite) + " of the " +
                 std::to_string(history_.parameters[k].size()) +
                 " elements of the gradient are NaN or infinite";
        }
      if (what.empty()) continue;
      std::string advice = "const DetectAnomaly scope; stops at the operation that begins it";
      if (step.origin) {
        what += "; the first operation: " + step.origin->op + ": " + to_string(*step.origin);
        advice =
            "Keep the operands of '" + step.origin->op +
            "' in its domain: add a small number to them, clamp() them, or use the function that is made for "
            "it (logsumexp, log_softmax, cross_entropy, binary_cross_entropy_with_logits)";
      }
      findings_.add({Kind::not_finite, where, step.number, steps_.back().number, step.loss, what, {advice}},
                    0);
      return;  // all that follows is of it
    }
  }

  void find_exploding(std::size_t t) {
    const double last = weights_.empty() ? 0 : per_element(t, weights_.back());
    for (const std::size_t k : weights_) {
      const ParameterStep& p = steps_[t].parameters[k];
      // The unit of the loss is in the gradient: only an update tells that the gradient is large.
      const bool is_replaced = p.update_norm > limits_.ratio_too_high * weight_scale(t, k);
      const double to_weight = is_replaced ? p.gradient_norm / weight_scale(t, k) : 0;
      const double growth = last > 0 ? per_element(t, k) / last : 0;
      if (!std::isfinite(p.gradient_norm) || !(std::max(to_weight, growth) > limits_.exploding)) continue;
      const bool by_weight = to_weight >= growth;
      const std::string finding = "its gradient has the norm " + rounded(p.gradient_norm) +
                                  (by_weight ? ", " + rounded(to_weight) + " times that of the weight"
                                             : "; per element it is " + rounded(growth) + " times that of " +
                                                   history_.parameters[weights_.back()].name);
      const double worst = std::max(to_weight, growth);
      findings_.add({Kind::exploding, history_.parameters[k].name, number(t), number(t), worst, finding,
                     remedies_.exploding()},
                    worst);
    }
  }

  void find_vanishing() {
    std::vector<std::size_t> streak(history_.parameters.size(), 0);
    for (std::size_t t = 0; t < steps_.size(); ++t) {
      double largest = 0, least = infinity;
      std::size_t of = 0, first = 0, last = 0, count = 0, first_step = t;
      for (std::size_t i = weights_.size(); i-- > 0;) {
        const std::size_t k = weights_[i];
        const double g = per_element(t, k);
        const bool is_small = g < limits_.vanishing * largest;
        streak[k] = is_small ? streak[k] + 1 : 0;
        if (g > largest) largest = g, of = k;
        const bool is_tiny = g > 0 && g < limits_.vanishing * limits_.vanishing * largest;
        if (streak[k] < limits_.window && !is_tiny) continue;
        first_step = std::min(first_step, t + 1 - streak[k]);
        if (count++ == 0) last = k;
        first = k;
        least = std::min(least, g / largest);
      }
      if (count == 0) continue;
      const std::string finding = "gradients down to " + rounded(least) + " of that of " +
                                  history_.parameters[of].name + " per element, in " + std::to_string(count) +
                                  " of " + std::to_string(weights_.size()) + " weights";
      findings_.add({Kind::vanishing,
                     history_.parameters[first].name +
                         (count > 1 ? " to " + history_.parameters[last].name : std::string()),
                     number(first_step), number(t), least, finding, remedies_.vanishing()},
                    -least);
    }
  }

  void find_dead(std::size_t t) {
    for (std::size_t k = 0; k < steps_[t].activations.size(); ++k) {
      const ActivationStep& a = steps_[t].activations[k];
      const double share =
          a.units == 0 ? 0 : static_cast<double>(a.dead_units) / static_cast<double>(a.units);
      if (a.dead_units == 0 || share < limits_.dead_share) continue;
      findings_.add({Kind::dead, history_.activations[k], number(window_start(t)), number(t), share,
                     std::to_string(a.dead_units) + " of " + std::to_string(a.units) +
                         " units were 0 for every sample of " + std::to_string(limits_.window) + " steps",
                     remedies_.dead()},
                    share);
    }
  }

  void find_saturated() {
    std::vector<std::size_t> streak(history_.activations.size(), 0);
    for (std::size_t t = 0; t < steps_.size(); ++t)
      for (std::size_t k = 0; k < steps_[t].activations.size(); ++k) {
        const ActivationStep& a = steps_[t].activations[k];
        const bool is_saturated = a.is_hidden && a.saturated_share > limits_.saturated_share;
        streak[k] = is_saturated ? streak[k] + 1 : 0;
        if (streak[k] < limits_.window) continue;
        findings_.add(
            {Kind::saturated, history_.activations[k], number(window_start(t)), number(t), a.saturated_share,
             rounded(100 * a.saturated_share) + " % of the outputs are within " +
                 rounded(limits_.saturation) + " of the ends of the range, where the derivative is nearly 0",
             remedies_.saturated()},
            a.saturated_share);
      }
  }

  /// The largest ‖update‖ / ‖weight‖ of all weights together in the steps [first, last]; 0 where weights are
  /// 0. `scale` gives the norm of a weight in a step.
  template <class F>
  double largest_ratio(std::size_t first, std::size_t last, F&& scale) const {
    double largest = 0;
    for (std::size_t t = first; t <= last; ++t) {
      double update = 0, weight = 0;
      for (const std::size_t k : weights_) {
        update = std::hypot(update, steps_[t].parameters[k].update_norm);
        weight = std::hypot(weight, scale(t, k));
      }
      if (weight > 0) largest = std::max(largest, update / weight);  // passes over NaN
    }
    return largest;
  }
  /// Of the losses of [first, last).
  double mean_loss(std::size_t first, std::size_t last) const {
    double sum = 0;
    for (std::size_t t = first; t < last; ++t) sum += steps_[t].loss;
    return sum / static_cast<double>(last - first);
  }
  bool oscillates(std::size_t first, std::size_t last) const {
    std::size_t turns = 0;
    for (std::size_t t = first + 2; t <= last; ++t)
      turns += (steps_[t].loss - steps_[t - 1].loss) * (steps_[t - 1].loss - steps_[t - 2].loss) < 0;
    return last - first >= 4 && 10 * turns >= 8 * (last - first - 1);
  }

  void find_rate_too_high(std::size_t t) {
    if (t == 0 || !std::isfinite(steps_[0].loss)) return;
    const std::size_t start = window_start(t), half = (limits_.window + 1) / 2;
    const std::size_t last = std::isfinite(steps_[t].loss) ? t : t - 1;
    // A weight may come to its size in the window itself, and is measured by that.
    const double ratio = largest_ratio(start, last, [&](std::size_t at, std::size_t k) {
      return std::max(weight_scale(at, k), weight_scale(last, k));
    });
    const auto add = [&](const std::string& what) {
      findings_.add({Kind::rate_too_high,
                     "training",
                     number(start),
                     number(t),
                     ratio,
                     what + ", with updates up to " + rounded(ratio) + " of the weights",
                     {rate_advice(steps_[t].learning_rate, ratio, 0, 0.1)}},
                    ratio);
    };
    if (!std::isfinite(steps_[t].loss)) {
      if (ratio > limits_.ratio_too_high && std::isfinite(steps_[t - 1].loss))
        add("the loss went from " + rounded(steps_[t - 1].loss) + " to " + rounded(steps_[t].loss));
      return;
    }
    if (!window_is_full(t) || limits_.window < 2) return;
    const double begin = mean_loss(0, half), before = mean_loss(start, start + half),
                 now = mean_loss(t + 1 - half, t + 1);
    if (now > begin + std::abs(begin))
      add("the loss diverges: " + rounded(begin) + " at first, " + rounded(now) + " now");
    else if (ratio > limits_.ratio_too_high && now >= before)
      add(std::string(oscillates(start, t) ? "the loss oscillates: " : "the loss does not fall: ") +
          rounded(before) + ", then " + rounded(now));
  }

  void find_rate_too_low(std::size_t t) {
    if (!window_is_full(t) || limits_.window < 2) return;
    const std::size_t start = window_start(t), half = (limits_.window + 1) / 2;
    const double ratio = largest_ratio(
                     start, t,
                     [&](std::size_t at, std::size_t k) { return steps_[at].parameters[k].weight_norm; }),
                 before = mean_loss(start, start + half), now = mean_loss(t + 1 - half, t + 1);
    const auto gradient = [&](std::size_t at) {
      double norm = 0;
      for (const std::size_t k : weights_)
        if (steps_[at].parameters[k].has_gradient)
          norm = std::hypot(norm, steps_[at].parameters[k].gradient_norm);
      return norm;
    };
    const bool is_stuck = std::abs(before - now) < limits_.least_fall * std::abs(before);
    if (!(ratio < limits_.ratio_too_low && is_stuck && gradient(t) > 0.1 * gradient(0))) return;
    findings_.add({Kind::rate_too_low,
                   "training",
                   number(start),
                   number(t),
                   ratio,
                   "the loss hardly moves: " + rounded(before) + ", then " + rounded(now) +
                       ", with updates of " + rounded(ratio) + " of the weights",
                   {ratio > 0 ? rate_advice(steps_[t].learning_rate, ratio, 10, infinity)
                              : std::string("The updates are 0: raise the learning rate")}},
                  -ratio);
  }

  const GradientHistory& history_;
  const std::vector<TrainingStep>& steps_;
  const MonitorLimits& limits_;
  const Remedies remedies_;
  std::vector<std::size_t> weights_;  ///< numbers of the parameters that are judged, from input to output
  Findings findings_;
};

}  // namespace

const char* Verdict::title() const {
  switch (kind) {
    case Kind::not_finite:
      return "NaN or infinity";
    case Kind::exploding:
      return "exploding gradients";
    case Kind::vanishing:
      return "vanishing gradients";
    case Kind::dead:
      return "dead units";
    case Kind::saturated:
      return "saturated units";
    case Kind::rate_too_high:
      return "learning rate too high";
    case Kind::rate_too_low:
      return "learning rate too low";
  }
  return "";
}

std::vector<Verdict> find_verdicts(const GradientHistory& history, const MonitorLimits& limits) {
  return Judge(history, limits).run();
}

std::ostream& operator<<(std::ostream& out, const Verdict& v) {
  out << v.title() << " (" << v.where << ", steps " << v.first_step << " to " << v.last_step
      << "): " << v.finding << '\n';
  for (const std::string& advice : v.advice) out << "  - " << advice << '\n';
  return out;
}

}  // namespace xtape::nn
