// GradientMonitor's observer: sees the operations of a step, and the parameters before and after its update.
#pragma once
#include <map>
#include <unordered_map>
#include <unordered_set>

#include <autodiff/engine.hpp>

#include "../monitor.hpp"
#include "measure.hpp"

namespace xtape::nn {

template <class T>
class GradientMonitor<T>::Watch : public engine::AnomalyObserver {
 public:
  Watch(std::vector<std::pair<std::string, Tensor<T>>> parameters, MonitorOptions options);
  void before_step();
  void after_step(double loss, double learning_rate);
  void step(Optimizer<T>& optimizer, double loss);
  const GradientHistory& history() const { return history_; }
  const MonitorLimits& limits() const { return options_.limits; }

 private:
  /// An activation layer: what is seen of it in this step, in all forward passes together.
  struct Layer {
    std::size_t outputs = 0, zeros = 0, saturated = 0;
    bool is_hidden = false;
    double adjoint_squares = 0;
    std::size_t adjoints = 0;
    std::vector<unsigned char> is_alive{};   ///< of each unit: not 0 for a sample of this step
    std::vector<std::size_t> quiet_steps{};  ///< of each unit: steps in a row with only zeros
    detail::UnitMoments moments{};
  };
  /// A parameter, as the operations of this step show it.
  struct Seen {
    bool is_used = false, is_reached = false, had_gradient = false;
    std::size_t products = 0;  ///< of this forward pass
  };

  // watch_operations.cpp: what an Observer is told
  void begin(const char* op, const engine::Handle* adjoint) override;
  void forward(const char* op, const engine::Handle& y,
               std::span<const engine::Handle* const> inputs) override;
  void backward(engine::Node& node, const engine::Pass& pass) override;
  void found(Anomaly anomaly) override { current_.origin = std::move(anomaly); }
  bool is_looking() const override { return is_kept() && options_.find_origin && !current_.origin; }
  void begin_forward();
  void begin_backward();
  void forget();  ///< what was seen since the last step
  void note_operation(std::string_view op, const engine::Handle& y,
                      std::span<const engine::Handle* const> inputs);
  void note_activation(const std::string& op, const engine::Handle& y);
  void add_data(std::vector<detail::UnitMoments>& all, std::size_t at, const Tensor<T>& x);
  static std::optional<DataScale> largest_of(const std::vector<detail::UnitMoments>& all);
  void note_data(std::string_view op, std::span<const engine::Handle* const> inputs);
  void note_origin(std::span<const engine::Handle* const> inputs);
  void note_use_of_origin(std::string_view op, const engine::Handle& y,
                          std::span<const engine::Handle* const> inputs);
  void note_what_follows(engine::Node& node);
  void note_leaves(engine::Node& node);

  // watch_steps.cpp: what the parameters are before and after the update
  bool is_kept() const { return step_ % options_.every == 0; }
  void note_before_update();
  void note_gap(std::size_t k);
  void note_after_update();
  ActivationStep finish(Layer& layer, bool is_relu) const;

  MonitorOptions options_;
  std::vector<Tensor<T>> parameters_;
  std::unordered_map<const engine::Node*, std::size_t> number_of_;  ///< of the parameters
  std::size_t probe_ = 0;  ///< the smallest parameter, whose gradient tells of clipping
  GradientHistory history_;
  TrainingStep current_;  ///< the step that is going on
  std::size_t step_ = 0;
  bool is_open_ = false;            ///< between before_step() and after_step()
  bool has_run_since_ = false;      ///< a backward pass, since before_step()
  bool is_after_backward_ = false;  ///< the next recorded operation begins a forward pass
  bool is_first_backward_ = true;   ///< no backward pass has come to leaves since the last step
  std::size_t backward_passes_ = 0;
  double probe_norm_ = 0;  ///< of what the backward pass gave the probe
  std::vector<Seen> seen_;
  std::vector<std::vector<T>> weights_before_;
  bool has_weights_before_ = false;  ///< those of the step that was kept last, which is the one before
  std::map<std::string, std::size_t> layers_run_;                  ///< in this step, by operation
  std::unordered_map<const engine::Node*, std::size_t> recorded_;  ///< activations of this step
  std::unordered_set<const engine::Node*> before_weight_;          ///< what reaches a weight; of this pass
  std::vector<Layer> layers_;
  double adjoint_squares_ = 0;  ///< of the rule that has begun, where it is that of an activation
  std::size_t adjoints_ = 0;
  std::vector<detail::UnitMoments> inputs_, targets_;  ///< in the order in which a forward pass takes them
  std::size_t inputs_run_ = 0, targets_run_ = 0;       ///< in this forward pass
  double target_end_ = 0;                              ///< the largest target that an activation cannot reach
  double prediction_ = 0;
  const void *origin_value_ = nullptr, *sum_of_origin_ = nullptr;
};

}  // namespace xtape::nn
