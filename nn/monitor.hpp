// GradientMonitor: watches a training run for gradients that vanish or explode, dead units and bad rates.
#pragma once
#include <cstdint>
#include <map>
#include <unordered_map>
#include <unordered_set>
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

/// Notes for each step the norms of gradients, weights and updates, what the activations do, and the first
/// operation that gave a NaN or infinity; gives verdicts and reports. In a loop of one's own:
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
/// Activations are seen as the operations relu, sigmoid and tanh of this thread, recorded between two steps,
/// numbered in the order in which they run. Forward passes whose gradients are added up count as one step;
/// one whose gradients are dropped without a step does not count. Those within map, checkpoint, and
/// evaluation under NoGrad are not. A unit is a feature of the last axis, or a channel of (N, C, H, W).
/// Memory: 56 bytes for each parameter tensor and step, and a copy of the weights. To be used and destroyed
/// on the thread that made it.
template <class T>
class GradientMonitor : private xtape::detail::AnomalyObserver {
 public:
  /// Errors: no parameters, one that is no leaf, `every` or the window 0.
  explicit GradientMonitor(Module<T>& model, MonitorOptions options = {})
      : GradientMonitor(model.named_parameters(), options) {}
  explicit GradientMonitor(std::vector<std::pair<std::string, Tensor<T>>> parameters,
                           MonitorOptions options = {});

  /// Takes the gradients, and the weights before the update. Error when a step is open, unless a backward
  /// pass ran since: the optimiser threw then, and the step is forgotten.
  void before_step();
  /// Takes what the update did. Without before_step(), for a loss that is NaN or infinite: notes a step that
  /// has no update, whatever `every` is. Error when no step is open, and the loss is finite.
  void after_step(double loss, double learning_rate = std::numeric_limits<double>::quiet_NaN());
  /// before_step(), optimizer.step(), after_step().
  void step(Optimizer<T>& optimizer, double loss);

  const GradientHistory& history() const { return history_; }
  std::vector<Verdict> verdicts() const { return find_verdicts(history_, options_.limits); }
  /// See GradientHistory::write_csv.
  void write_csv(std::ostream& out) const { history_.write_csv(out); }
  /// Verdicts, charts and tables as one page that needs nothing else.
  void write_html(std::ostream& out, const std::string& title = "Training report") const;

 private:
  /// An activation layer: what is seen of it in this step, in all forward passes together.
  struct Layer {
    std::size_t outputs = 0, zeros = 0, saturated = 0;
    bool is_hidden = false;
    std::vector<bool> is_alive{};            ///< of each unit: not 0 for a sample of this step
    std::vector<std::size_t> quiet_steps{};  ///< of each unit: steps in a row with only zeros
  };

  void forward(const char* op, const xtape::detail::Handle& y,
               std::span<const xtape::detail::Handle* const> inputs) override;
  void backward(xtape::detail::Node& node, const xtape::detail::Pass& pass) override;
  void found(Anomaly anomaly) override { current_.origin = std::move(anomaly); }
  void begin_forward();
  void forget();  ///< what was seen since the last step
  void note_before_update();
  ActivationStep finish(Layer& layer, bool is_relu) const;
  void note_activation(const std::string& op, const xtape::detail::Handle& y);
  void note_what_follows(xtape::detail::Node& node);
  bool is_kept() const { return step_ % options_.every == 0; }

  MonitorOptions options_;
  std::vector<Tensor<T>> parameters_;
  GradientHistory history_;
  TrainingStep current_;  ///< the step that is going on
  std::size_t step_ = 0;
  bool is_open_ = false;            ///< between before_step() and after_step()
  bool has_run_since_ = false;      ///< a backward pass, since before_step()
  bool is_after_backward_ = false;  ///< the next recorded operation begins a forward pass
  std::vector<std::vector<T>> weights_before_;
  std::map<std::string, std::size_t> layers_run_;                         ///< in this step, by operation
  std::unordered_map<const xtape::detail::Node*, std::size_t> recorded_;  ///< activations of this step
  std::unordered_set<const xtape::detail::Node*> before_weight_;  ///< what reaches a weight; of this pass
  std::vector<Layer> layers_;
};

/// The last step as a table, and the verdicts.
template <class T>
std::ostream& operator<<(std::ostream& out, const GradientMonitor<T>& monitor);

}  // namespace xtape::nn
