// GradientMonitor: watches a training run for what is wrong with it, from gradients that vanish to bad rates.
#pragma once
#include <memory>
#include <utility>

#include "module.hpp"
#include "optimizers.hpp"
#include "verdicts.hpp"

namespace xtape::nn {

/// What a GradientMonitor looks at, and how often.
struct MonitorOptions {
  std::size_t every = 1;     ///< looks at every so many steps, the first included; others cost nothing
  bool find_origin = true;   ///< tests every operation's results for the first NaN or infinity
  AnomalyOptions anomaly{};  ///< what counts as one
  MonitorLimits limits{};
};

/// Notes for each step the norms of gradients, weights and updates and how they lie to each other, what the
/// activations do and what comes back to them, how large the data are, and the first operation that gave a
/// NaN or infinity; gives verdicts and reports. An update is compared with the gradients of the next step
/// too, where `every` is 1. In a loop of one's own:
///
///     nn::GradientMonitor monitor(model);
///     for (...) {
///       optimizer.zero_grad();
///       const auto loss = ...;
///       loss.backward();
///       monitor.step(optimizer, loss.item());   // instead of optimizer.step()
///     }
///     std::cout << monitor;
///     monitor.write_html(file);
///
/// Where something else calls the optimiser, before_step() and after_step() go around it; with a Trainer:
///
///     trainer.options.after_backward = [&] { monitor.before_step(); };
///     trainer.options.on_batch_end = [&](auto, auto, double loss) { monitor.after_step(loss); };
///
/// Activations are seen as the operations relu, sigmoid, tanh, gelu, silu, leaky_relu, elu and softplus of
/// this thread, recorded between two steps, numbered in the order in which they run. Forward passes whose
/// gradients are added up count as one step; one whose gradients are dropped without a step does not count.
/// Those within map, checkpoint, and evaluation under NoGrad are not. A unit is a feature of the last axis,
/// or a channel of (N, C, H, W). Memory: 88 bytes for each parameter tensor and step, 56 for each activation,
/// and a copy of the weights. To be used and destroyed on the thread that made it.
template <class T>
class GradientMonitor {
 public:
  /// Errors: no parameters, one that is no leaf, `every` or the window 0.
  [[nodiscard]] explicit GradientMonitor(Module<T>& model, MonitorOptions options = {})
      : GradientMonitor(model.named_parameters(), options) {}
  [[nodiscard]] explicit GradientMonitor(std::vector<std::pair<std::string, Tensor<T>>> parameters,
                                         MonitorOptions options = {});
  ~GradientMonitor();

  /// Takes the gradients, and the weights before the update. Error when a step is open, unless a backward
  /// pass ran since: the optimiser threw then, and the step is forgotten.
  void before_step();
  /// Takes what the update did. Without before_step(), for a loss that is NaN or infinite: notes a step that
  /// has no update, whatever `every` is. Error when no step is open, and the loss is finite.
  void after_step(double loss, double learning_rate = std::numeric_limits<double>::quiet_NaN());
  /// before_step(), optimizer.step(), after_step().
  void step(Optimizer<T>& optimizer, double loss);

  const GradientHistory& history() const;
  std::vector<Verdict> verdicts() const;
  /// See GradientHistory::write_csv.
  void write_csv(std::ostream& out) const { history().write_csv(out); }
  /// Verdicts, charts and tables as one page that needs nothing else.
  void write_html(std::ostream& out, const std::string& title = "Training report") const;

 private:
  class Watch;  ///< sees the operations
  std::unique_ptr<Watch> watch_;
};

/// The last step as a table, and the verdicts.
template <class T>
std::ostream& operator<<(std::ostream& out, const GradientMonitor<T>& monitor);

}  // namespace xtape::nn
