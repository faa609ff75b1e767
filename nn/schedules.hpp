// Schedules: learning rates that change with the steps, which the caller counts: epochs, or updates.
#pragma once
#include <concepts>
#include <cstddef>
#include <memory>
#include <utility>

#include "optimizers.hpp"

namespace xtape::nn {

/// Sets the rate of an optimiser, which must outlive it. The first rate is the one that the optimiser was
/// given, by its options or set_learning_rate(), and not what another schedule has made of it: a schedule for
/// an optimiser that was loaded starts from the rate of the first run, and goes on by set_count(). A schedule
/// of one's own derives from it and writes rate().
class Schedule {
 public:
  explicit Schedule(HasLearningRate& optimizer)
      : optimizer_(&optimizer), first_rate_(optimizer.first_learning_rate()) {}
  virtual ~Schedule() = default;

  /// One more step is done.
  void step() { set_count(count_ + 1); }
  /// How many are done; setting it continues from there.
  std::size_t count() const { return count_; }
  void set_count(std::size_t count) {
    count_ = count;
    optimizer_->schedule_learning_rate(rate(count), first_rate_);
  }
  /// The rate after so many steps.
  virtual double rate(std::size_t count) const = 0;
  double first_rate() const { return first_rate_; }

 private:
  HasLearningRate* optimizer_;
  double first_rate_;
  std::size_t count_ = 0;
};

/// Settings of StepLR.
struct StepOptions {
  std::size_t step_size = 1;
  double gamma = 0.1;
};

/// Times gamma after every step_size steps: first · gamma^⌊t / step_size⌋. Error for a step_size of 0.
class StepLR : public Schedule {
 public:
  StepLR(HasLearningRate& optimizer, StepOptions options);
  double rate(std::size_t count) const override;

 private:
  StepOptions options_;
};

/// Settings of CosineLR.
struct CosineOptions {
  std::size_t steps = 1;
  double minimum = 0;
};

/// Half a cosine: minimum + (first − minimum) (1 + cos(π t / steps)) / 2 (Loshchilov and Hutter, 2017). After
/// `steps` it rises again, as in PyTorch. Error for 0 steps.
class CosineLR : public Schedule {
 public:
  CosineLR(HasLearningRate& optimizer, CosineOptions options);
  double rate(std::size_t count) const override;

 private:
  CosineOptions options_;
};

/// Settings of WarmupLR.
struct WarmupOptions {
  std::size_t steps = 5;
  double start_factor = 1.0 / 3;
};

/// From first · start_factor, which is set at once, in a line to the first rate; then that rate, or the
/// schedule `next` from its beginning: WarmupLR(adam, {.steps = 5}, CosineLR(adam, {.steps = 95})). Error for
/// 0 steps, and for a factor outside [0, 1].
class WarmupLR : public Schedule {
 public:
  explicit WarmupLR(HasLearningRate& optimizer, WarmupOptions options = {},
                    std::shared_ptr<Schedule> next = nullptr);
  template <std::derived_from<Schedule> S>
  WarmupLR(HasLearningRate& optimizer, WarmupOptions options, S next)
      : WarmupLR(optimizer, options, std::shared_ptr<Schedule>(std::make_shared<S>(std::move(next)))) {}
  double rate(std::size_t count) const override;

 private:
  WarmupOptions options_;
  std::shared_ptr<Schedule> next_;
};

/// What a threshold is measured by: the best metric, or itself.
enum class ThresholdMode { relative, absolute };

/// Settings of ReduceOnPlateau.
struct PlateauOptions {
  double factor = 0.1;
  std::size_t patience = 10;
  double threshold = 1e-4;  ///< an improvement is below best − threshold · |best|, or best − threshold
  std::size_t cooldown = 0;
  double minimum = 0;
  bool maximize = false;  ///< the metric is to grow: an improvement is above best + threshold · |best|
  ThresholdMode threshold_mode = ThresholdMode::relative;
};

/// Times `factor`, down to `minimum`, when for more than `patience` steps the metric, such as the loss of
/// validation, has not improved; after that `cooldown` steps are not counted. A change of the rate below 1e-8
/// is not made. As PyTorch's ReduceLROnPlateau, whose margin has the wrong sign for a negative best. Error
/// for a factor outside (0, 1).
class ReduceOnPlateau {
 public:
  /// What the steps carry on, to be saved beside the learning rate.
  struct State {
    double best = 0;
    std::size_t bad_steps = 0;
    std::size_t cooldown = 0;
  };

  explicit ReduceOnPlateau(HasLearningRate& optimizer, PlateauOptions options = {});
  /// One more step is done, and gave this. NaN is no improvement.
  void step(double metric);

  State state;

 private:
  HasLearningRate* optimizer_;
  PlateauOptions options_;
};

}  // namespace xtape::nn
