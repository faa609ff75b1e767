// Verdicts on parameters that do not learn, and on gradients that are not those of the step.
#include <algorithm>
#include <limits>
#include <optional>

#include "judge.hpp"

namespace xtape::nn::detail {

using Kind = Verdict::Kind;

std::string list_of(const std::vector<std::string>& names) {
  std::string list;
  constexpr std::size_t shown = 4;
  for (std::size_t i = 0; i < std::min(names.size(), shown); ++i) {
    const bool is_last = i + 1 == names.size();
    list += (i == 0 ? "" : is_last ? " and " : ", ") + names[i];
  }
  if (names.size() > shown) list += " and " + std::to_string(names.size() - shown) + " more";
  return list;
}

// No estimate: backward() of this step began on the gradients that the update before had used.
void find_accumulated(const Run& run, Findings& findings) {
  std::size_t streak = 0;
  for (std::size_t t = 1; t < run.size(); ++t) {
    std::size_t count = 0;
    for (std::size_t k = 0; k < run.history.parameters.size(); ++k)
      count += run.steps[t].parameters[k].had_gradient && run.steps[t - 1].parameters[k].update_norm > 0;
    streak = count > 0 ? streak + 1 : 0;
    if (streak < run.limits.certain) continue;
    const double growth = run.gradient_norm(t) / run.gradient_norm(t + 1 - streak);
    findings.add(
        {Kind::accumulated,
         "training",
         run.number(t + 1 - streak),
         run.number(t),
         static_cast<double>(count),
         "when backward() began, " + std::to_string(count) + " of " +
             std::to_string(run.history.parameters.size()) +
             " parameters still had the gradients of the steps before, and got the sum; its norm is " +
             rounded(growth) + " times the first one's",
         {"Call optimizer.zero_grad() before each backward(): gradients are added up until then"}},
        static_cast<double>(t));
  }
}

void find_missing_gradients(const Run& run, Findings& findings) {
  if (run.size() < run.limits.certain) return;
  std::vector<std::string> unused, unreached;
  std::size_t frozen = 0;
  for (std::size_t k = 0; k < run.history.parameters.size(); ++k) {
    bool is_missing = true, is_used = false, is_frozen = false;
    for (const TrainingStep& step : run.steps) {
      const ParameterStep& p = step.parameters[k];
      is_missing = is_missing && !p.has_gradient && !p.is_reached;
      is_used = is_used || p.is_used;
      is_frozen = is_frozen || p.is_frozen;
    }
    if (is_missing && is_frozen)
      ++frozen;  // that is how it was meant
    else if (is_missing)
      (is_used ? unreached : unused).push_back(run.name(k));
  }
  const std::size_t count = unused.size() + unreached.size();
  // Where nothing has a gradient, backward() did not run, or on other parameters: that is another matter.
  if (count == 0 || count + frozen == run.history.parameters.size()) return;
  std::vector<std::string> all = unreached, advice;
  all.insert(all.end(), unused.begin(), unused.end());
  if (!unreached.empty())
    advice.push_back("Something between " + list_of(unreached) +
                     " and the loss cuts the recording: a detach(), or value(), data() or item() and a new "
                     "Tensor; or the loss does not use that output");
  if (!unused.empty())
    advice.push_back(
        "No recorded operation took " + list_of(unused) +
        ": forward() leaves it out, or runs it under NoGrad, or the layer was replaced after the "
        "monitor was made: make optimiser and monitor of the model as it is trained");
  findings.add({Kind::missing_gradient, list_of(all), run.number(0), run.steps.back().number,
                static_cast<double>(count),
                "no backward pass came to " + std::to_string(count) + " of " +
                    std::to_string(run.history.parameters.size()) + " parameters",
                std::move(advice)},
               0);
}

namespace {

/// Of a step: whether rounding can have swallowed an update that follows the gradient as the others do. There
/// the rate is too low, or the gradient too small, and nobody has left the parameter out.
class Rounding {
 public:
  explicit Rounding(const TrainingStep& step) {
    if (std::ranges::none_of(step.parameters,
                             &ParameterStep::has_gradient)) {  // all dropped: none is to follow
      largest_ = least_;
      return;
    }
    for (const ParameterStep& p : step.parameters)
      if (p.update_norm > 0 && p.gradient_norm > 0) {
        least_ = std::min(least_, p.update_norm / p.gradient_norm);
        if (p.weight_norm > 0) largest_ = std::max(largest_, p.update_ratio);
      }
    if (least_ == std::numeric_limits<double>::infinity()) {  // no update at all: what SGD would do
      least_ = step.learning_rate;
      for (const ParameterStep& p : step.parameters)
        if (p.weight_norm > 0 && p.gradient_norm > 0)
          largest_ = std::max(largest_, least_ * p.gradient_norm / p.weight_norm);
      if (std::isnan(least_)) least_ = largest_ = std::numeric_limits<double>::infinity();
    }
  }
  bool may_swallow(const ParameterStep& p) const {
    constexpr double far_above_float = 1e-6;
    return !(largest_ > far_above_float) ||
           (p.has_gradient && !(least_ * p.gradient_norm > far_above_float * p.weight_norm));
  }

 private:
  double least_ = std::numeric_limits<double>::infinity(), largest_ = 0;
};

}  // namespace

void find_not_updated(const Run& run, Findings& findings) {
  const std::size_t count = run.history.parameters.size();
  std::vector<std::size_t> streak(count, 0), longest(count, 0), ends(count, 0);
  std::vector<char> is_dropped(count, 0), is_undone(count, 0);
  for (std::size_t t = 0; t < run.size(); ++t) {
    if (!std::isfinite(run.steps[t].loss)) continue;
    const Rounding rounding(run.steps[t]);
    for (std::size_t k = 0; k < count; ++k) {
      const ParameterStep& p = run.steps[t].parameters[k];
      const bool dropped = !p.has_gradient && p.is_reached;
      const bool stays = (p.gradient_norm > 0 && p.update_norm == 0) || dropped || p.is_undone;
      streak[k] = stays && !rounding.may_swallow(p) ? streak[k] + 1 : 0;
      if (streak[k] <= longest[k]) continue;
      longest[k] = streak[k], ends[k] = t;
      is_dropped[k] = dropped, is_undone[k] = p.is_undone;
    }
  }
  std::vector<std::string> names, reasons;
  std::size_t first = run.size(), last = 0;
  bool any_dropped = false;
  const auto add_reason = [&](const char* reason) {
    if (std::ranges::find(reasons, reason) == reasons.end()) reasons.emplace_back(reason);
  };
  for (std::size_t k = 0; k < count; ++k) {
    if (longest[k] < run.limits.certain) continue;
    names.push_back(run.name(k));
    first = std::min(first, ends[k] + 1 - longest[k]), last = std::max(last, ends[k]);
    any_dropped = any_dropped || is_dropped[k];
    const std::optional<bool>& is_held = run.history.parameters[k].is_held;
    add_reason(is_held == false ? "the optimiser does not hold it"
               : is_dropped[k]  ? "its gradient was dropped before the update"
               : is_undone[k]   ? "what it was before is put back after the update"
                                : "the update leaves it out");
  }
  if (names.empty()) return;
  std::vector<std::string> advice;
  if (any_dropped) advice.emplace_back("zero_grad() belongs before backward(), not between it and step()");
  advice.emplace_back(
      "Make the optimiser of all parameters, model.parameters(), and after the last layer was replaced: it "
      "keeps the tensors that it was given");
  if (names.size() == count)
    advice.emplace_back("Call its step() in each step, between backward() and the next");
  if (names.size() < count)
    advice.emplace_back("If it is to stay, give the monitor the other parameters only");
  findings.add({Kind::not_updated, list_of(names), run.number(first), run.number(last),
                static_cast<double>(names.size()),
                "it has a gradient and stays what it is: " + list_of(reasons), std::move(advice)},
               0);
}

void find_symmetric(const Run& run, Findings& findings) {
  std::vector<std::string> names;
  std::size_t last = 0;
  bool are_zero = true;
  for (std::size_t i = 0; i + 1 < run.weights.size();
       ++i) {  // the last one may start at 0: its targets differ
    const std::size_t k = run.weights[i];
    std::size_t steps = 0;
    while (steps < run.size() && run.steps[steps].parameters[k].has_equal_rows) ++steps;
    if (steps < run.limits.certain) continue;
    names.push_back(run.name(k));
    last = std::max(last, steps - 1);
    are_zero = are_zero && run.steps[0].parameters[k].weight_norm == 0;
  }
  if (names.empty()) return;
  findings.add(
      {Kind::symmetric, list_of(names), run.number(0), run.number(last), static_cast<double>(names.size()),
       std::string(are_zero ? "all elements are 0" : "all rows are equal") +
           " from the first step on: the units of such a layer compute the same, have the same "
           "gradient, and stay the same",
       run.remedies.symmetric()},
      0);
}

}  // namespace xtape::nn::detail
