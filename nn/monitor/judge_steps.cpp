// Verdicts on the updates: their sign, their size, and what else they do than follow the gradient.
#include <algorithm>
#include <limits>

#include "judge.hpp"

namespace xtape::nn::detail {

using Kind = Verdict::Kind;

namespace {

bool oscillates(const Run& run, std::size_t first, std::size_t last) {
  std::size_t turns = 0;
  for (std::size_t t = first + 2; t <= last; ++t)
    turns +=
        (run.steps[t].loss - run.steps[t - 1].loss) * (run.steps[t - 1].loss - run.steps[t - 2].loss) < 0;
  return last - first >= 4 && 10 * turns >= 8 * (last - first - 1);
}

/// cos of the angle between the update and the gradient, or the weight, of all parameters together.
double update_cosine(const Run& run, std::size_t t, bool with_gradient) {
  double dot = 0, update = 0, other = 0;
  for (const ParameterStep& p : run.steps[t].parameters) {
    if (with_gradient && !p.has_gradient) continue;
    dot += with_gradient ? p.gradient_dot_update : p.weight_dot_update;
    update = std::hypot(update, p.update_norm);
    other = std::hypot(other, with_gradient ? p.gradient_norm : p.weight_norm);
  }
  return update > 0 && other > 0 ? dot / update / other : 0;
}

/// The correlation of the changes of the loss with what the gradients before and after each update say that
/// it changes by, which is right to second order: 1 for a loss that the gradients belong to, whatever the
/// rate; near 0 where each batch has its own loss; −1 where it is the negative of that loss. NaN for too few
/// steps.
double loss_correlation(const Run& run) {
  double product = 0, changes = 0, said = 0;
  std::size_t count = 0;
  for (std::size_t t = 0; t + 1 < run.size(); ++t) {
    double says = 0;
    for (const ParameterStep& p : run.steps[t].parameters)
      if (p.update_norm > 0) says += 0.5 * (p.gradient_dot_update + p.next_gradient_dot_update);
    const double change = run.steps[t + 1].loss - run.steps[t].loss;
    if (!std::isfinite(says) || !std::isfinite(change) || says == 0) continue;
    // Signs, not sizes: the steps of a divergence would else outweigh all others.
    product += (says > 0) == (change > 0) ? 1 : change == 0 ? 0 : -1;
    changes += 1, said += 1;
    ++count;
  }
  return count < run.limits.window ? std::numeric_limits<double>::quiet_NaN()
                                   : product / std::sqrt(changes * said);
}

std::vector<std::string> advice_on_rate(const Run& run, std::size_t t) {
  std::vector<std::string> advice{rate_advice(run.steps[t].learning_rate, true)};
  double largest = 0;
  for (const std::size_t k : run.weights)
    largest = std::max(largest, run.steps[0].parameters[k].gradient_norm / run.weight_scale(0, k));
  if (largest > 100)
    advice.push_back(
        "The first gradients were " + rounded(largest) +
        " times their weights: if the loss is a sum over the batch, take its mean, nn::Reduction::mean");
  return advice;
}

}  // namespace

void find_ascent(const Run& run, Findings& findings) {
  if (run.size() < run.limits.certain) return;
  const auto add = [&](double value, const std::string& finding, std::string advice) {
    findings.add({Kind::ascent,
                  "training",
                  run.number(0),
                  run.steps.back().number,
                  value,
                  finding,
                  {std::move(advice)}},
                 value);
  };
  // A momentum may carry a weight uphill for a while, but not from the first step on. Where the update is
  // weight decay it has the direction of the weight.
  std::size_t first = 0;
  double least = 1;
  for (std::size_t t = 0; t < std::min(run.size(), run.limits.window); ++t, ++first) {
    if (!std::isfinite(run.steps[t].loss) || !std::isfinite(run.gradient_norm(t))) break;
    least = std::min(least, update_cosine(run, t, false) < -0.9 ? -1 : update_cosine(run, t, true));
  }
  if (least > 0.5 && first >= run.limits.certain)
    return add(least,
               "the updates go up the gradient: their cosine is " + rounded(least) +
                   " or more in the first " + std::to_string(first) + " steps",
               "Change the sign of the update: w.assign(w - rate * w.grad()), as the optimisers do");
  if (const double correlation = loss_correlation(run); correlation < -0.8)
    return add(-correlation,
               "the loss rises where its gradients say that it falls, and falls where they say that it rises",
               "Call backward() on the loss itself, and not on its negative: check its sign");
  // The negative of a loss: below 0 from the start, and the farther down, the larger its gradient.
  if (run.size() < 2 * run.half() || !(run.steps[0].loss < 0)) return;
  std::size_t last = run.size();
  while (last > run.half() && !std::isfinite(run.mean_loss(last - run.half(), last))) --last;
  const double begin = run.mean_loss(0, run.half()), end = run.mean_loss(last - run.half(), last);
  if (end < 2 * begin && run.gradient_norm(last - 1) > 2 * run.gradient_norm(0))
    add(end / begin,
        "the loss falls below 0 without an end, from " + rounded(begin) + " to " + rounded(end) +
            ", and the gradient grows from " + rounded(run.gradient_norm(0)) + " to " +
            rounded(run.gradient_norm(last - 1)),
        "Check the sign of the loss: optimisers minimise, so backward() goes on the error and not on its "
        "negative");
}

void find_weight_decay(const Run& run, Findings& findings) {
  const auto norm = [&](std::size_t t) {
    return run.total_norm(t, [](const ParameterStep& p) { return p.weight_norm; });
  };
  // Weights that shrink while the loss hardly falls are held back; to shrink so far is wrong in any case.
  const double share = (run.loss_fell_below(0.5) ? 1 : 2.5) * run.limits.decayed;
  double cosines = 0;
  for (std::size_t t = 0; t < run.size(); ++t) {
    const bool is_gone = norm(t) < share * norm(0);
    if (is_gone && t >= run.limits.certain && cosines / static_cast<double>(t) < -0.5) {
      findings.add({Kind::weight_decay,
                    "training",
                    run.number(0),
                    run.number(t),
                    norm(t) / norm(0),
                    "the weights shrink to " + rounded(norm(t) / norm(0)) + " of what they were in " +
                        std::to_string(t) + " steps, by updates that point at 0 (cosine " +
                        rounded(cosines / static_cast<double>(t)) + ")",
                    {"Lower weight_decay, of the optimiser's options, or leave it at 0: about 1e-4 is usual, "
                     "0.01 for AdamW"}},
                   0);
      return;
    }
    cosines += update_cosine(run, t, false);
  }
}

void find_rate_too_high(const Run& run, Findings& findings) {
  const std::vector<TrainingStep>& steps = run.steps;
  const MonitorLimits& limits = run.limits;
  if (run.size() == 0 || !std::isfinite(steps[0].loss)) return;
  for (std::size_t t = 1; t < run.size(); ++t) {
    const std::size_t start = run.window_start(t), half = run.half();
    const std::size_t last = std::isfinite(steps[t].loss) ? t : t - 1;
    // A weight may come to its size in the window itself, and is measured by that.
    const double ratio = run.largest_ratio(start, last, [&](std::size_t at, std::size_t k) {
      return std::max(run.weight_scale(at, k), run.weight_scale(last, k));
    });
    const auto add = [&](const std::string& what) {
      findings.add(
          {Kind::rate_too_high, "training", run.number(start), run.number(t), ratio,
           what + ", with updates up to " + rounded(ratio) + " of the weights", advice_on_rate(run, t)},
          ratio);
    };
    if (!std::isfinite(steps[t].loss)) {
      if (ratio > limits.ratio_too_high && std::isfinite(steps[t - 1].loss))
        add("the loss went from " + rounded(steps[t - 1].loss) + " to " + rounded(steps[t].loss));
      continue;
    }
    // The first updates may throw the weights to where the loss comes down again, slowly.
    if (t < limits.window && ratio > limits.ratio_too_high &&
        steps[t].loss > steps[0].loss + std::abs(steps[0].loss))
      add("the loss rose from " + rounded(steps[0].loss) + " to " + rounded(steps[t].loss));
    if (!run.window_is_full(t) || limits.window < 2) continue;
    const double begin = run.mean_loss(0, half), before = run.mean_loss(start, start + half),
                 now = run.mean_loss(t + 1 - half, t + 1);
    if (now > begin + std::abs(begin))
      add("the loss diverges: " + rounded(begin) + " at first, " + rounded(now) + " now");
    else if (ratio > limits.ratio_too_high && now >= before)
      add(std::string(oscillates(run, start, t) ? "the loss oscillates: " : "the loss does not fall: ") +
          rounded(before) + ", then " + rounded(now));
  }
}

void find_rate_too_low(const Run& run, Findings& findings) {
  const MonitorLimits& limits = run.limits;
  for (std::size_t t = 0; t < run.size(); ++t) {
    if (!run.window_is_full(t) || limits.window < 2) continue;
    const std::size_t start = run.window_start(t), half = run.half();
    const double ratio = run.largest_ratio(
                     start, t,
                     [&](std::size_t at, std::size_t k) { return run.steps[at].parameters[k].weight_norm; }),
                 before = run.mean_loss(start, start + half), now = run.mean_loss(t + 1 - half, t + 1);
    const bool is_stuck = std::abs(before - now) < limits.least_fall * std::abs(before);
    if (!(ratio < limits.ratio_too_low && is_stuck && run.gradient_norm(t) > 0.1 * run.gradient_norm(0)))
      continue;
    double kept = 0;  // of the gradient, by clipping; NaN where that is not known
    for (std::size_t at = start; at <= t; ++at)
      kept = std::isnan(run.steps[at].clip_factor) ? 1 : std::max(kept, run.steps[at].clip_factor);
    const std::string finding = "the loss hardly moves: " + rounded(before) + ", then " + rounded(now) +
                                ", with updates of " + rounded(ratio) + " of the weights";
    if (kept < limits.clipped) {
      findings.add(
          {Kind::clipped,
           "training",
           run.number(start),
           run.number(t),
           kept,
           finding + ", of gradients that were clipped to " + rounded(kept) + " of what backward() gave",
           {"Clip less: nn::clip_grad_norm(parameters, 1) is usual, and above it only the rare large "
            "gradient should be"}},
          -kept);
      continue;
    }
    findings.add(
        {Kind::rate_too_low,
         "training",
         run.number(start),
         run.number(t),
         ratio,
         finding,
         {run.steps[t].learning_rate == 0 ? std::string("The learning rate is 0, so the updates are 0")
          : ratio == 0                    ? std::string("The updates are 0: raise the learning rate")
                                          : rate_advice(run.steps[t].learning_rate, false)}},
        -ratio);
  }
}

// What was right in the first steps, and is not after updates that replaced the weights, they have done.
void find_rate_behind_signals(const Run& run, Findings& findings) {
  const std::vector<Verdict> all = findings.list();
  const auto is_at_start = [&](const Verdict& v) {
    return is_of_signals(v.kind) && v.first_step == run.number(0);
  };
  if (std::ranges::any_of(all, is_at_start)) return;
  for (const Verdict& signal : all) {
    if (!is_of_signals(signal.kind)) continue;
    std::size_t at = 0;
    while (at + 1 < run.size() && run.number(at) < signal.first_step) ++at;
    const std::size_t first = 0, last = at - 1;
    const double ratio =
        run.largest_ratio(first, last, [&](std::size_t t, std::size_t k) { return run.weight_scale(t, k); });
    if (!(ratio > run.limits.ratio_too_high)) continue;
    findings.add({Kind::rate_too_high, "training", run.number(first), run.number(last), ratio,
                  std::string(signal.title()) + " (" + signal.where + ") begin after updates up to " +
                      rounded(ratio) + " of the weights",
                  advice_on_rate(run, last)},
                 0);  // a loss that diverges says more
  }
}

}  // namespace xtape::nn::detail
