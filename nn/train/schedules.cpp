// The formulas of schedules, in closed form.
#include "../schedules.hpp"

#include <autodiff/engine.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace xtape::nn {
namespace {

void require_steps(const char* op, std::size_t steps) {
  if (steps == 0) throw Error(op, "0 steps: there must be one at least");
}

}  // namespace

StepLR::StepLR(HasLearningRate& optimizer, StepOptions options) : Schedule(optimizer), options_(options) {
  require_steps("StepLR", options.step_size);
}

double StepLR::rate(std::size_t count) const {
  return first_rate() * std::pow(options_.gamma, static_cast<double>(count / options_.step_size));
}

CosineLR::CosineLR(HasLearningRate& optimizer, CosineOptions options)
    : Schedule(optimizer), options_(options) {
  require_steps("CosineLR", options.steps);
}

double CosineLR::rate(std::size_t count) const {
  const double angle = std::numbers::pi * static_cast<double>(count) / static_cast<double>(options_.steps);
  return options_.minimum + (first_rate() - options_.minimum) * (1 + std::cos(angle)) / 2;
}

WarmupLR::WarmupLR(HasLearningRate& optimizer, WarmupOptions options, std::shared_ptr<Schedule> next)
    : Schedule(optimizer), options_(options), next_(std::move(next)) {
  require_steps("WarmupLR", options.steps);
  if (!(options.start_factor >= 0 && options.start_factor <= 1))
    throw Error("WarmupLR",
                "the start_factor " + engine::number_text(options.start_factor) + " is not in [0, 1]");
  set_count(0);
}

double WarmupLR::rate(std::size_t count) const {
  if (count >= options_.steps) return next_ ? next_->rate(count - options_.steps) : first_rate();
  const double done = static_cast<double>(count) / static_cast<double>(options_.steps);
  return first_rate() * (options_.start_factor + (1 - options_.start_factor) * done);
}

ReduceOnPlateau::ReduceOnPlateau(HasLearningRate& optimizer, PlateauOptions options)
    : optimizer_(&optimizer), options_(options) {
  if (!(options.factor > 0 && options.factor < 1))
    throw Error("ReduceOnPlateau",
                "the factor " + engine::number_text(options.factor) + " is not between 0 and 1");
  constexpr double infinity = std::numeric_limits<double>::infinity();
  state.best = options.maximize ? -infinity : infinity;
}

void ReduceOnPlateau::step(double metric) {
  const bool is_relative = options_.threshold_mode == ThresholdMode::relative && std::isfinite(state.best);
  const double margin = options_.threshold * (is_relative ? std::abs(state.best) : 1);
  const bool better = options_.maximize ? metric > state.best + margin : metric < state.best - margin;
  if (better) state.best = metric;
  state.bad_steps = better ? 0 : state.bad_steps + 1;
  if (state.cooldown > 0) {
    --state.cooldown;
    state.bad_steps = 0;
  }
  if (state.bad_steps <= options_.patience) return;
  const double rate = optimizer_->learning_rate();
  const double lower = std::max(rate * options_.factor, options_.minimum);
  if (rate - lower > 1e-8) optimizer_->set_learning_rate(lower);
  state.cooldown = options_.cooldown;
  state.bad_steps = 0;
}

}  // namespace xtape::nn
