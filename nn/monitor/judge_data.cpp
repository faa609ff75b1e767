// Verdicts on what goes in and comes out: numbers that are not finite, scales, losses of the wrong thing.
#include <algorithm>

#include "judge.hpp"

namespace xtape::nn::detail {

using Kind = Verdict::Kind;

void find_not_finite(const Run& run, Findings& findings) {
  for (const TrainingStep& step : run.steps) {
    std::string what, where = "loss";
    if (!std::isfinite(step.loss)) what = "the loss is " + rounded(step.loss);
    for (std::size_t k = 0; k < step.parameters.size() && what.empty(); ++k)
      if (step.parameters[k].not_finite != 0) {
        where = run.name(k);
        what = std::to_string(step.parameters[k].not_finite) + " of the " +
               std::to_string(run.history.parameters[k].size()) +
               " elements of the gradient are NaN or infinite";
      }
    if (what.empty()) continue;
    if (step.origin) what += "; the first operation: " + step.origin->op + ": " + to_string(*step.origin);
    findings.add({Kind::not_finite, where, step.number, run.steps.back().number, step.loss, what,
                  Remedies::not_finite(step)},
                 0);
    return;  // all that follows is of it
  }
}

void find_unscaled(const Run& run, Findings& findings) {
  if (run.steps.empty()) return;
  const std::size_t last = std::min(run.size(), run.limits.window) - 1;
  const auto add = [&](Kind kind, const DataScale& data, const std::string& finding, std::string advice) {
    findings.add({kind, "data", run.number(0), run.number(last), data.largest, finding, {std::move(advice)}},
                 0);
  };
  if (const auto& x = run.history.inputs; x && x->largest > run.limits.scale_with_symptom) {
    std::string finding = "feature " + std::to_string(x->feature) +
                          " of the inputs has the root mean square " + rounded(x->largest) + " (mean " +
                          rounded(x->mean) + ", deviation " + rounded(x->deviation) + ")";
    if (x->smallest < 0.1 * x->largest) finding += ", another one " + rounded(x->smallest);
    add(Kind::unscaled_inputs, *x, finding,
        "scale the inputs to mean 0 and deviation 1: nn::Standardizer, made of the training data; or divide "
        "by "
        "the largest value, as bytes by 255");
  }
  if (const auto& y = run.history.targets; y && y->beyond > 1 + run.limits.saturation) {
    add(Kind::unscaled_targets, *y,
        "targets go to " + rounded(y->beyond) + ", where the activation of the output does not come",
        "scale the targets into the range of the last activation, or leave that out: a regression ends with "
        "a "
        "Linear layer");
  } else if (y && y->largest > run.limits.scale_with_symptom * std::max(1.0, y->prediction)) {
    add(Kind::unscaled_targets, *y,
        "targets have the root mean square " + rounded(y->largest) + " (mean " + rounded(y->mean) +
            ", deviation " + rounded(y->deviation) + "), predictions began with " + rounded(y->prediction),
        "scale the targets to mean 0 and deviation 1, and take it back in what the model predicts: "
        "(y - mean) / sd");
  }
}

void find_probabilities(const Run& run, Findings& findings) {
  const std::string& what = run.history.probabilities;
  if (what.empty() || run.steps.empty()) return;
  const bool is_sigmoid = what.find("sigmoid") != std::string::npos;
  findings.add(
      {Kind::probabilities,
       "loss",
       run.number(0),
       run.steps.back().number,
       1,
       what + ": the loss takes logits, and applies " + (is_sigmoid ? "sigmoid" : "softmax") + " itself",
       {is_sigmoid
            ? "Leave the sigmoid out of what binary_cross_entropy_with_logits gets, or keep it and use "
              "nn::binary_cross_entropy"
            : "Leave the softmax out of what cross_entropy gets; apply softmax() to predictions alone"}},
      0);
}

}  // namespace xtape::nn::detail
