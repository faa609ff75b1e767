// Which verdict is the main one, and which follow from it.
#include "../verdicts.hpp"

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <ostream>

#include <autodiff/engine.hpp>

#include "judge.hpp"

namespace xtape::nn {
namespace detail {

using Kind = Verdict::Kind;

void Findings::add(Verdict seen, double severity) {
  const bool is_of_layer = seen.kind == Kind::dead || seen.kind == Kind::saturated;
  const auto at = std::ranges::find_if(found_, [&](const Found& other) {
    return other.verdict.kind == seen.kind && (!is_of_layer || other.verdict.where == seen.where);
  });
  if (at == found_.end()) return found_.push_back({std::move(seen), severity});
  seen.first_step = std::min(seen.first_step, at->verdict.first_step);
  seen.last_step = std::max(seen.last_step, at->verdict.last_step);
  at->verdict.first_step = seen.first_step;
  at->verdict.last_step = seen.last_step;
  if (severity > at->severity) *at = {std::move(seen), severity};
}

std::vector<Verdict> Findings::list() const {
  std::vector<Verdict> all;
  for (const Found& one : found_) all.push_back(one.verdict);
  return all;
}

Run::Run(const GradientHistory& h, const MonitorLimits& l)
    : history(h), steps(h.steps), limits(l), remedies(h) {
  for (std::size_t k = 0; k < h.parameters.size(); ++k)
    if (h.parameters[k].is_weight) weights.push_back(k);
}

double Run::per_element(std::size_t t, std::size_t k) const {
  return steps[t].parameters[k].gradient_norm / std::sqrt(static_cast<double>(history.parameters[k].size()));
}

double Run::weight_scale(std::size_t t, std::size_t k) const {
  const GradientHistory::Parameter& p = history.parameters[k];
  const double initialised = initial_deviation(p.shape, false) * std::sqrt(static_cast<double>(p.size()));
  return std::max(steps[t].parameters[k].weight_norm, initialised);
}

double Run::gradient_norm(std::size_t t) const {
  return total_norm(t, [](const ParameterStep& p) { return p.has_gradient ? p.gradient_norm : 0; });
}

double Run::mean_loss(std::size_t first, std::size_t last) const {
  double sum = 0;
  for (std::size_t t = first; t < last; ++t) sum += steps[t].loss;
  return sum / static_cast<double>(last - first);
}

bool Run::loss_fell_below(double share) const {
  const std::size_t part = std::min(half(), (size() + 1) / 2);
  return part > 0 && mean_loss(size() - part, size()) < share * mean_loss(0, part);
}

bool is_of_signals(Kind kind) {
  return kind == Kind::saturated || kind == Kind::exploding || kind == Kind::vanishing || kind == Kind::dead;
}

namespace {

bool is_one_of(Kind kind, std::initializer_list<Kind> kinds) {
  return std::ranges::find(kinds, kind) != kinds.end();
}

/// Whether one disease is known to bring the other about.
bool explains(Kind cause, Kind symptom) {
  const bool is_of_rate = is_one_of(symptom, {Kind::rate_too_high, Kind::rate_too_low});
  switch (cause) {
    case Kind::accumulated:
    case Kind::ascent:
    case Kind::unscaled_inputs:
    case Kind::unscaled_targets:
      return is_of_rate || is_of_signals(symptom) ||
             is_one_of(symptom,
                       {Kind::not_finite, Kind::clipped, Kind::weight_decay, Kind::unscaled_targets});
    case Kind::rate_too_high:
      return is_of_signals(symptom) || symptom == Kind::not_finite;
    case Kind::weight_decay:
      return is_of_signals(symptom) || is_of_rate;
    case Kind::symmetric:
    case Kind::clipped:
      return is_one_of(symptom, {Kind::vanishing, Kind::dead, Kind::rate_too_low});
    case Kind::exploding:
    case Kind::saturated:
    case Kind::vanishing:
    case Kind::dead:
      return is_of_rate || symptom == Kind::not_finite || is_of_signals(symptom);
    case Kind::not_finite:
      return symptom == Kind::not_updated;
    case Kind::missing_gradient:
    case Kind::not_updated:
    case Kind::probabilities:
    case Kind::rate_too_low:
      return false;
  }
  return false;
}

/// The place of a verdict among the others: Kind is in the order of causes, but what the layers let through
/// is a cause where it shows from the first step on, before any update, and else may follow from the rate.
std::pair<int, int> place_of(const Verdict& verdict, const Run& run) {
  const bool is_at_start = is_of_signals(verdict.kind) && verdict.first_step == run.number(0);
  return {static_cast<int>(is_at_start ? Kind::unscaled_targets : verdict.kind),
          static_cast<int>(verdict.kind)};
}

/// Scales are blamed where something is wrong that they bring about.
void drop_harmless_scales(std::vector<Verdict>& all, const Run& run) {
  const auto is_harmless = [&](const Verdict& scale) {
    const bool is_of_inputs = scale.kind == Kind::unscaled_inputs;
    if (!is_of_inputs && scale.kind != Kind::unscaled_targets) return false;
    const bool has_symptom = std::ranges::any_of(all, [&](const Verdict& other) {
      return explains(scale.kind, other.kind) &&
             !is_one_of(other.kind, {Kind::unscaled_inputs, Kind::unscaled_targets});
    });
    if (has_symptom) return false;
    if (is_of_inputs) return run.history.normalizes || scale.value < run.limits.scale;
    const bool is_beyond = run.history.targets && run.history.targets->beyond > 0;
    return (scale.value < run.limits.scale && !is_beyond) || run.loss_fell_below(0.5);
  };
  std::erase_if(all, [copy = all, &is_harmless](const Verdict& verdict) { return is_harmless(verdict); });
}

/// A NaN that comes after another disease, with no operation that is at fault by itself, follows from it.
void move_not_finite(std::vector<Verdict>& all) {
  const auto at = std::ranges::find(all, Kind::not_finite, &Verdict::kind);
  if (at == all.end()) return;
  const auto cause = std::ranges::find_if(all, [&](const Verdict& other) {
    return explains(other.kind, Kind::not_finite) && other.first_step < at->first_step;
  });
  if (cause != all.end()) std::rotate(at, at + 1, all.end());
}

void note_what_follows(std::vector<Verdict>& all) {
  for (std::size_t i = 1; i < all.size(); ++i)
    for (std::size_t j = 0; j < i && all[i].follows_from.empty(); ++j)
      if (all[j].follows_from.empty() && all[j].kind != all[i].kind && explains(all[j].kind, all[i].kind))
        all[i].follows_from = all[j].title();
  for (Verdict& v : all)  // one cannot tell what the rate is to be before the cause is gone
    if (!v.follows_from.empty() && is_one_of(v.kind, {Kind::rate_too_high, Kind::rate_too_low}))
      v.advice = {"First the cause, " + v.follows_from + "; then look at the rate again"};
  // The one of std::ranges does not compile with Clang 14.
  std::stable_partition(all.begin(), all.end(), [](const Verdict& v) { return v.follows_from.empty(); });
}

}  // namespace
}  // namespace detail

std::vector<Verdict> find_verdicts(const GradientHistory& history, const MonitorLimits& limits) {
  const detail::Run run(history, limits);
  detail::Findings findings;
  for (const auto find :
       {detail::find_not_finite, detail::find_accumulated, detail::find_ascent,
        detail::find_missing_gradients, detail::find_not_updated, detail::find_probabilities,
        detail::find_symmetric, detail::find_unscaled, detail::find_weight_decay, detail::find_rate_too_high,
        detail::find_exploding, detail::find_vanishing, detail::find_dead, detail::find_saturated,
        detail::find_rate_too_low})
    find(run, findings);
  detail::find_rate_behind_signals(run, findings);
  std::vector<Verdict> all = findings.list();
  if (all.empty()) return all;
  detail::drop_harmless_scales(all, run);
  std::ranges::stable_sort(all, std::less<>(), [&](const Verdict& v) { return detail::place_of(v, run); });
  detail::move_not_finite(all);
  detail::note_what_follows(all);
  return all;
}

const char* Verdict::title() const {
  switch (kind) {
    case Kind::not_finite:
      return "NaN or infinity";
    case Kind::accumulated:
      return "gradients not zeroed";
    case Kind::ascent:
      return "gradient ascent";
    case Kind::missing_gradient:
      return "missing gradients";
    case Kind::not_updated:
      return "parameters not updated";
    case Kind::probabilities:
      return "probabilities in place of logits";
    case Kind::symmetric:
      return "symmetric weights";
    case Kind::unscaled_inputs:
      return "unscaled inputs";
    case Kind::unscaled_targets:
      return "unscaled targets";
    case Kind::weight_decay:
      return "weight decay too large";
    case Kind::clipped:
      return "clipping too strong";
    case Kind::rate_too_high:
      return "learning rate too high";
    case Kind::saturated:
      return "saturated units";
    case Kind::exploding:
      return "exploding gradients";
    case Kind::vanishing:
      return "vanishing gradients";
    case Kind::dead:
      return "dead units";
    case Kind::rate_too_low:
      return "learning rate too low";
  }
  return "";
}

std::ostream& operator<<(std::ostream& out, const Verdict& v) {
  out << v.title() << " (" << v.where << ", steps " << v.first_step << " to " << v.last_step;
  if (!v.follows_from.empty()) out << ", follows from " << v.follows_from;
  out << "): " << v.finding << '\n';
  for (const std::string& advice : v.advice) out << "  - " << advice << '\n';
  return out;
}

}  // namespace xtape::nn
