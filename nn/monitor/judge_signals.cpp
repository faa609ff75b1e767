// Verdicts on what comes through the layers, forward and backward.
#include <algorithm>
#include <limits>

#include "judge.hpp"

namespace xtape::nn::detail {

using Kind = Verdict::Kind;

namespace {

/// One number of each hidden activation layer in a step, against the largest and the smallest before it in
/// the direction in which it travels: adjoints backward, deviations forward. What is exactly 0 is of dead
/// units, or of weights of 0.
struct Passage {
  double least = 1, most = 1;
  std::size_t least_at = 0, least_of = 0, most_at = 0, most_of = 0;
};

Passage passage_of(const TrainingStep& step, bool is_backward) {
  Passage all;
  double largest = 0, smallest = 0;
  std::size_t largest_at = 0, smallest_at = 0;
  const std::size_t count = step.activations.size();
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t k = is_backward ? count - 1 - i : i;
    const ActivationStep& a = step.activations[k];
    const double x = is_backward ? a.adjoint : a.deviation;
    if (a.units == 0 || !a.is_hidden || !(x > 0) || !std::isfinite(x)) continue;
    if (x < all.least * largest) all.least = x / largest, all.least_at = k, all.least_of = largest_at;
    if (smallest > 0 && x > all.most * smallest)
      all.most = x / smallest, all.most_at = k, all.most_of = smallest_at;
    if (x > largest) largest = x, largest_at = k;
    if (smallest == 0 || x < smallest) smallest = x, smallest_at = k;
  }
  return all;
}

std::string passage_text(const Run& run, bool is_backward, std::size_t at, std::size_t of, double ratio) {
  const std::string &here = run.history.activations[at], &there = run.history.activations[of];
  return is_backward ? "dL/da of " + here + " is " + rounded(ratio) + " of that of " + there +
                           ", for each sample and unit"
                     : "the outputs of " + here + " deviate from sample to sample by " + rounded(ratio) +
                           " of what those of " + there + " do";
}

/// By the adjoints dL/da and by the deviation over the batch, which the gradients of the weights may hide:
/// they are the product of both, so that what grows backward and shrinks forward cancels in them; they grow
/// with the sum over the batch; and they recover where the last layers have learnt. In a recurrence layers
/// are steps of time, and the early ones may rightly count for little: there it takes the square of the
/// limit, and a loss that does not fall to half.
void find_by_passage(const Run& run, Findings& findings, bool is_vanishing) {
  const bool is_recurrent = run.history.is_recurrent;
  if (is_recurrent && (!is_vanishing || run.loss_fell_below(0.5))) return;
  const double limit =
      is_vanishing ? std::pow(run.limits.vanishing, is_recurrent ? 2 : 1) : run.limits.exploding;
  for (const bool is_backward : {true, false}) {
    if (is_recurrent && !is_backward) continue;
    std::size_t streak = 0;
    for (std::size_t t = 0; t < run.size(); ++t) {
      const Passage p = passage_of(run.steps[t], is_backward);
      const bool is_there = is_vanishing ? p.least < limit : p.most > limit;
      streak = is_there ? streak + 1 : 0;
      if (streak < run.limits.window) continue;
      const std::size_t at = is_vanishing ? p.least_at : p.most_at,
                        of = is_vanishing ? p.least_of : p.most_of;
      const double ratio = is_vanishing ? p.least : p.most;
      findings.add(
          {is_vanishing ? Kind::vanishing : Kind::exploding, run.history.activations[at],
           run.number(t + 1 - streak), run.number(t), ratio, passage_text(run, is_backward, at, of, ratio),
           is_vanishing ? run.remedies.vanishing() : run.remedies.exploding()},
          is_vanishing ? -ratio : ratio);
    }
  }
}

}  // namespace

void find_exploding(const Run& run, Findings& findings) {
  const MonitorLimits& limits = run.limits;
  for (std::size_t t = 0; t < run.size(); ++t) {
    const double last = run.weights.empty() ? 0 : run.per_element(t, run.weights.back());
    for (const std::size_t k : run.weights) {
      const ParameterStep& p = run.steps[t].parameters[k];
      // The unit of the loss is in the gradient: only an update tells that the gradient is large.
      const bool is_replaced = p.update_norm > limits.ratio_too_high * run.weight_scale(t, k);
      // In the first step, at weights that are as they should be, it is the rate that is large for the loss.
      const bool is_of_rate = t == 0 && run.remedies.starts_right() && !run.history.is_recurrent;
      const double to_weight = is_replaced && !is_of_rate ? p.gradient_norm / run.weight_scale(t, k) : 0;
      const double growth = last > 0 ? run.per_element(t, k) / last : 0;
      if (!std::isfinite(p.gradient_norm) || !(std::max(to_weight, growth) > limits.exploding)) continue;
      const bool by_weight = to_weight >= growth;
      const std::string finding = "its gradient has the norm " + rounded(p.gradient_norm) +
                                  (by_weight ? ", " + rounded(to_weight) + " times that of the weight"
                                             : "; per element it is " + rounded(growth) + " times that of " +
                                                   run.name(run.weights.back()));
      const double worst = std::max(to_weight, growth);
      findings.add({Kind::exploding, run.name(k), run.number(t), run.number(t), worst, finding,
                    run.remedies.exploding()},
                   worst);
    }
  }
  find_by_passage(run, findings, false);
}

void find_vanishing(const Run& run, Findings& findings) {
  const MonitorLimits& limits = run.limits;
  std::vector<std::size_t> streak(run.history.parameters.size(), 0);
  for (std::size_t t = 0; t < run.size(); ++t) {
    double largest = 0, least = std::numeric_limits<double>::infinity();
    std::size_t of = 0, first = 0, last = 0, count = 0, first_step = t;
    for (std::size_t i = run.weights.size(); i-- > 0;) {
      const std::size_t k = run.weights[i];
      const double g = run.per_element(t, k);
      const bool is_small = g > 0 && g < limits.vanishing * largest;  // 0 is of dead units
      streak[k] = is_small ? streak[k] + 1 : 0;
      if (g > largest) largest = g, of = k;
      const bool is_tiny = g > 0 && g < limits.vanishing * limits.vanishing * largest;
      if (streak[k] < limits.window && !is_tiny) continue;
      first_step = std::min(first_step, t + 1 - streak[k]);
      if (count++ == 0) last = k;
      first = k;
      least = std::min(least, g / largest);
    }
    if (count == 0) continue;
    const std::string finding = "gradients down to " + rounded(least) + " of that of " + run.name(of) +
                                " per element, in " + std::to_string(count) + " of " +
                                std::to_string(run.weights.size()) + " weights";
    findings.add({Kind::vanishing, run.name(first) + (count > 1 ? " to " + run.name(last) : std::string()),
                  run.number(first_step), run.number(t), least, finding, run.remedies.vanishing()},
                 -least);
  }
  find_by_passage(run, findings, true);
}

void find_dead(const Run& run, Findings& findings) {
  const bool is_learning = run.loss_fell_below(0.9);
  std::vector<char> is_from_start(run.history.activations.size(), 0);
  for (std::size_t t = 0; t < run.size(); ++t)
    for (std::size_t k = 0; k < run.steps[t].activations.size(); ++k) {
      const ActivationStep& a = run.steps[t].activations[k];
      const double share =
          a.units == 0 ? 0 : static_cast<double>(a.dead_units) / static_cast<double>(a.units);
      if (run.window_start(t) == 0 && share > run.limits.dead_share_at_start) is_from_start[k] = 1;
      const bool is_grave = !is_learning || is_from_start[k];
      if (!(share > (is_grave ? run.limits.dead_share_at_start : run.limits.dead_share))) continue;
      findings.add(
          {Kind::dead, run.history.activations[k], run.number(run.window_start(t)), run.number(t), share,
           std::to_string(a.dead_units) + " of " + std::to_string(a.units) +
               " units were 0 for every sample of " + std::to_string(run.limits.window) + " steps",
           run.remedies.dead()},
          share);
    }
}

void find_saturated(const Run& run, Findings& findings) {
  std::vector<std::size_t> streak(run.history.activations.size(), 0);
  for (std::size_t t = 0; t < run.size(); ++t)
    for (std::size_t k = 0; k < run.steps[t].activations.size(); ++k) {
      const ActivationStep& a = run.steps[t].activations[k];
      const bool is_saturated = a.is_hidden && a.saturated_share > run.limits.saturated_share;
      streak[k] = is_saturated ? streak[k] + 1 : 0;
      if (streak[k] < run.limits.window) continue;
      findings.add(
          {Kind::saturated, run.history.activations[k], run.number(run.window_start(t)), run.number(t),
           a.saturated_share,
           rounded(100 * a.saturated_share) + " % of the outputs are within " +
               rounded(run.limits.saturation) + " of the ends of the range, where the derivative is nearly 0",
           run.remedies.saturated()},
          a.saturated_share);
    }
}

}  // namespace xtape::nn::detail
