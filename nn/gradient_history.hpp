// GradientHistory: what was seen of a training run, step by step, as numbers for verdicts and reports.
#pragma once
#include <cstddef>
#include <iosfwd>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <autodiff/detect_anomaly.hpp>

namespace xtape::nn {

/// One parameter in one step. Norms are √Σx² over all elements; NaN where there is nothing to tell.
struct ParameterStep {
  double gradient_norm = std::numeric_limits<double>::quiet_NaN();  ///< NaN too without a gradient
  double weight_norm = 0;                                           ///< before the update
  double update_norm = 0;                                           ///< of what the step added to the weight
  double update_ratio = 0;  ///< update_norm / weight_norm; NaN for a weight of 0
  double zero_share = 0;    ///< of the gradient's elements
  bool has_gradient = false;
  std::size_t not_finite = 0;  ///< elements of the gradient that are NaN or infinite

  bool is_used = false;       ///< a recorded operation of the forward pass took it
  bool is_reached = false;    ///< a backward pass came to it, whatever became of its gradient
  bool had_gradient = false;  ///< when the first backward pass of the step began: that of a step before
  bool is_frozen = false;     ///< a leaf that requires no gradient: see Module::freeze
  bool is_undone = false;     ///< the weight was again what it was before the update when the next step came
  bool has_equal_rows = false;     ///< two rows (units) or more, all the same: see MonitorLimits::equal
  double gradient_dot_update = 0;  ///< Σ g Δw, the change of the loss to first order; negative in descent
  double weight_dot_update = 0;    ///< Σ w Δw
  /// Σ g' Δw with the gradient g' of the next step; NaN where that is not looked at. Half of both together
  /// is the change of the loss to second order.
  double next_gradient_dot_update = std::numeric_limits<double>::quiet_NaN();
};

/// One activation layer in one step.
struct ActivationStep {
  std::size_t units = 0;       ///< 0 where the layer did not run
  std::size_t dead_units = 0;  ///< ReLU: 0 for every sample of so many last steps; see MonitorLimits::window
  double zero_share = 0;       ///< of the outputs
  double saturated_share = 0;  ///< sigmoid, tanh: outputs at the ends; see MonitorLimits::saturation
  bool is_hidden = false;      ///< a backward pass came to it from a weight that is used after it
  double deviation = 0;  ///< of a unit over the samples, root mean square of the units': 0 for equal samples
  /// Root mean square of dL/da, which is of each sample and each unit; NaN where no pass came to it.
  double adjoint = std::numeric_limits<double>::quiet_NaN();
};

/// What was seen of one training step.
struct TrainingStep {
  std::size_t number = 0;
  double loss = 0;
  double learning_rate = std::numeric_limits<double>::quiet_NaN();  ///< NaN when it was not told
  std::vector<ParameterStep> parameters{};
  std::vector<ActivationStep> activations{};
  std::optional<Anomaly> origin{};  ///< the first operation of the step that gave a NaN or infinity
  std::string origin_operand{};     ///< what made its operand: an operation, "data" or "parameter"
  std::string origin_use{};  ///< "softmax", "logsumexp": what is made of its result, in the operation's terms
  /// Norm of the gradient that the step used, divided by that of the one that backward() gave: below 1 where
  /// it was clipped. Of the smallest parameter; NaN where it is not known.
  double clip_factor = std::numeric_limits<double>::quiet_NaN();
};

/// The size of the data, as they come into the network: of the first steps (MonitorLimits::window).
struct DataScale {
  double largest = 0;       ///< root mean square of the feature that has the largest
  double smallest = 0;      ///< of the feature that has the smallest, but for those that are always 0
  std::size_t feature = 0;  ///< the number of the largest one
  double mean = 0;          ///< of the largest one
  double deviation = 0;     ///< of the largest one
  double prediction = 0;    ///< of targets: root mean square of what they are compared with, at first
  double beyond = 0;  ///< of targets: the largest outside of the range of the activation that is to reach it
};

/// What was seen of a training run: its parameters, its activations and its steps.
struct GradientHistory {
  /// A parameter of the model.
  struct Parameter {
    std::string name;
    Shape shape;
    bool is_weight;                 ///< a matrix, or of a higher rank: what verdicts on gradients look at
    std::optional<bool> is_held{};  ///< the optimiser of GradientMonitor::step() has it; unknown without one
    std::size_t size() const;
  };
  std::vector<Parameter> parameters{};
  std::vector<std::string> activations{};  ///< "relu 1", "relu 2", in the order of execution
  bool normalizes = false;                 ///< batch or layer normalisation was seen
  bool is_recurrent = false;  ///< a weight was used several times in one forward pass, as in a recurrence
  std::optional<DataScale> inputs{};   ///< constants that a weight multiplies
  std::optional<DataScale> targets{};  ///< constants that a prediction is compared with, by a difference
  /// Probabilities that were taken for logits, as "cross_entropy of softmax": empty where there are none.
  std::string probabilities{};
  std::vector<TrainingStep> steps{};

  /// For each step a row for each parameter, and then one for each activation that ran, below a header, as
  /// RFC 4180 has it. Both have step, loss, learning_rate, zero_share (of the gradient, of the outputs) and
  /// origin; of a parameter `activation` and what follows is empty, of an activation `parameter` and the
  /// columns of gradients. dead_units are those of relu, saturated_share that of sigmoid and tanh. Numbers
  /// read back to the same double; "nan" and "inf" are written so, and a field is empty where there is no
  /// number.
  void write_csv(std::ostream& out) const;
};

/// The last step as a table.
std::ostream& operator<<(std::ostream& out, const GradientHistory& history);

namespace detail {

/// A number in the shortest form that reads back the same, or with `digits` significant ones; a point in any
/// locale.
std::string shortest(double x);
std::string rounded(double x, int digits = 3);

}  // namespace detail
}  // namespace xtape::nn
