// Verdicts on a training run: what is wrong, where, since when, and what is done about it.
#pragma once
#include <iosfwd>
#include <string>
#include <vector>

#include "gradient_history.hpp"

namespace xtape::nn {

/// Where numbers become a verdict.
struct MonitorLimits {
  /// Steps in a row that show it: one batch proves little, and this is still early in any training.
  std::size_t window = 10;
  /// The gradient of a weight, per element, against the largest of those nearer to the output. Four sigmoid
  /// layers of derivative 0.2 leave 0.0016, what the textbook calls nearly vanished. Below its square one
  /// step is enough: the last layer alone may learn the mean within a window, and then all gradients are
  /// small.
  double vanishing = 1e-3;
  /// Growth by this factor on the way back from the last weight; also ‖gradient‖ / ‖weight‖, where a step of
  /// gradient descent with the small rate 0.001 would already replace the weight, if the update is larger
  /// than `ratio_too_high` as well: else it may be that the loss has a small unit.
  double exploding = 1e3;
  /// Share of a layer's ReLU units that were 0 for every sample of the window. A few die in healthy networks;
  /// "as much as 40 %" is the mark of a rate that was too high (Karpathy, CS231n). So many are
  /// a verdict in any case, fewer from `dead_share_at_start` on, where they were so from the first step on,
  /// or the loss hardly falls.
  double dead_share = 0.4;
  double dead_share_at_start = 0.25;
  /// Distance of an output from the ends of its range, in units of the range (1 for sigmoid, 2 for tanh):
  /// within it the derivative is below 8 % of its largest value.
  double saturation = 0.02;
  /// Share of a hidden layer's outputs that lie there: most of its units pass on nearly nothing.
  double saturated_share = 0.5;
  /// ‖update‖ / ‖weight‖ of all weights together, about 0.001 in good training (Karpathy, CS231n): when an
  /// update is so large and the loss does not fall over the window, the rate is too high; weights count at
  /// least with the norm of Glorot's initialisation, for a weight that starts at 0 is small beside any
  /// update; …
  double ratio_too_high = 0.2;
  /// … when all are so small, and the loss falls by less than `least_fall` of itself while the gradient is
  /// still of its first size, the rate is too low.
  double ratio_too_low = 1e-5;
  double least_fall = 0.01;
  /// Root mean square of a feature or target beyond which it is not scaled: weights and rates are made for
  /// about 1 (LeCun et al., Efficient BackProp, 1998), and at 30 the loss is curved 900 times as much along
  /// the weights. From `scale_with_symptom` on, where 84 % of the first tanh units saturate, it is blamed if
  /// something else is wrong too.
  double scale = 30;
  double scale_with_symptom = 10;
  /// Rows of a weight that differ by less than this share of its largest element are the same unit: rounding
  /// in float may come to so much, and a random start does not.
  double equal = 1e-5;
  /// Share of a gradient that clipping leaves, below which it is to blame where nothing moves.
  double clipped = 0.1;
  /// Norm of the weights, of what it was at first, below which weight decay is too large, if the updates
  /// point at 0 on the way there; two and a half times as much where the loss did not fall to half.
  double decayed = 0.2;
  /// Steps in a row for what is no estimate: a parameter that was not updated, gradients that were not
  /// dropped. One or two may be an exception that is meant.
  std::size_t certain = 3;
};

/// One finding about a training run.
struct Verdict {
  /// Causes before what follows from them.
  enum class Kind {
    not_finite,        ///< a NaN or infinity that an operation begins
    accumulated,       ///< zero_grad() was forgotten
    ascent,            ///< updates or the loss have the wrong sign
    missing_gradient,  ///< a parameter that no backward pass reaches
    not_updated,       ///< a parameter that has a gradient and stays what it is
    probabilities,     ///< softmax or sigmoid before a loss that takes logits
    symmetric,         ///< weights all 0 or all equal: units that compute the same
    unscaled_inputs,
    unscaled_targets,
    weight_decay,  ///< it takes the weights away
    clipped,       ///< clipping leaves hardly a gradient
    rate_too_high,
    saturated,
    exploding,
    vanishing,
    dead,
    rate_too_low
  };
  Kind kind{};
  std::string where{};  ///< parameters or a layer; "training" for a learning rate, "data", "loss"
  std::size_t first_step = 0, last_step = 0;
  double value = 0;                   ///< the worst of the numbers that the limit is for
  std::string finding{};              ///< what was seen, with the numbers
  std::vector<std::string> advice{};  ///< what to do, with the names in xtape
  std::string follows_from{};         ///< the title of the verdict that explains this one; empty for a cause

  /// The kind in words: "vanishing gradients", "learning rate too high" …
  const char* title() const;
};

/// What the history shows: the main verdict first, then other causes, and behind them what follows from one
/// of them. A verdict covers the first to the last step that shows it.
std::vector<Verdict> find_verdicts(const GradientHistory& history, const MonitorLimits& limits = {});

std::ostream& operator<<(std::ostream& out, const Verdict& verdict);

}  // namespace xtape::nn
