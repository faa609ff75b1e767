// The parameters around an update.
#include <algorithm>
#include <cmath>

#include "../train/norm.hpp"
#include "watch.hpp"

namespace xtape::nn {

template <class T>
GradientMonitor<T>::Watch::Watch(std::vector<std::pair<std::string, Tensor<T>>> parameters,
                                 MonitorOptions options)
    : AnomalyObserver(options.anomaly), options_(options) {
  if (parameters.empty()) throw Error("GradientMonitor", "there are no parameters to watch");
  if (options.every == 0) throw Error("GradientMonitor", "every must be at least 1");
  if (options.limits.window == 0) throw Error("GradientMonitor", "the window must be at least 1 step");
  bool any_matrix = false;
  for (auto& [name, p] : parameters) {
    if (!p.is_leaf())
      throw Error("GradientMonitor", "'" + name + "' is no parameter: make it with parameter()");
    any_matrix = any_matrix || p.rank() >= 2;
    number_of_.emplace(p.handle().node.get(), parameters_.size());
    history_.parameters.push_back({std::move(name), p.shape(), p.rank() >= 2});
    parameters_.push_back(std::move(p));
    if (parameters_.back().size() < parameters_[probe_].size()) probe_ = parameters_.size() - 1;
  }
  for (auto& p : history_.parameters) p.is_weight = p.is_weight || !any_matrix;
  weights_before_.resize(parameters_.size());
  seen_.resize(parameters_.size());
}

template <class T>
void GradientMonitor<T>::Watch::before_step() {
  if (is_open_ && !has_run_since_)
    throw Error("GradientMonitor", "before_step() was called twice: call after_step() between");
  if (is_kept()) note_before_update();
  is_open_ = true;
  has_run_since_ = false;
}

template <class T>
void GradientMonitor<T>::Watch::note_before_update() {
  current_.number = step_;
  current_.parameters.assign(parameters_.size(), {});
  for (std::size_t k = 0; k < parameters_.size(); ++k) {
    const Tensor<T>& p = parameters_[k];
    ParameterStep& noted = current_.parameters[k];
    if (has_weights_before_) note_gap(k);
    weights_before_[k].assign(p.begin(), p.end());
    noted.weight_norm = detail::norm_of(p);
    noted.is_used = seen_[k].is_used;
    noted.is_reached = seen_[k].is_reached;
    noted.had_gradient = seen_[k].had_gradient;
    if (p.rank() >= 2)
      noted.has_equal_rows = detail::has_equal_rows(
          p.data(), p.shape()[0], p.size() / std::max<std::size_t>(1, p.shape()[0]), options_.limits.equal);
    noted.has_gradient = p.has_grad();
    noted.is_frozen = !p.requires_grad();
    if (!noted.has_gradient) continue;
    const Tensor<T> gradient = p.grad();
    noted.gradient_norm = detail::norm_of(gradient);
    std::size_t zeros = 0;
    const T* const g = gradient.data();
    for (std::size_t i = 0; i < p.size(); ++i) zeros += g[i] == 0;
    if (!std::isfinite(noted.gradient_norm))
      for (std::size_t i = 0; i < p.size(); ++i) noted.not_finite += !std::isfinite(g[i]);
    noted.zero_share = p.size() ? static_cast<double>(zeros) / static_cast<double>(p.size()) : 0;
    if (k == probe_ && backward_passes_ == 1 && !noted.had_gradient && probe_norm_ > 0)
      current_.clip_factor = noted.gradient_norm / probe_norm_;
  }
  has_weights_before_ = false;
}

// Between the update of the step before and this one nothing changes a weight, in a loop that is right.
template <class T>
void GradientMonitor<T>::Watch::note_gap(std::size_t k) {
  if (history_.steps.empty() || history_.steps.back().number + 1 != step_) return;
  ParameterStep& last = history_.steps.back().parameters[k];
  const Tensor<T>& p = parameters_[k];
  const T *const before = weights_before_[k].data(), *const now = p.data();
  if (last.update_norm > 0) last.is_undone = std::equal(before, before + p.size(), now);
  if (!p.has_grad()) return;
  const Tensor<T> gradient = p.grad();
  const T* const g = gradient.data();
  last.next_gradient_dot_update = detail::sum_over(p.size(), [=](std::size_t i) {
    return static_cast<double>(g[i]) * (static_cast<double>(now[i]) - static_cast<double>(before[i]));
  });
}

template <class T>
void GradientMonitor<T>::Watch::after_step(double loss, double learning_rate) {
  const bool is_cut_short = !is_open_;
  if (is_cut_short && std::isfinite(loss))
    throw Error("GradientMonitor", "after_step() without before_step()");
  if (is_cut_short) note_before_update();
  if (is_kept() || is_cut_short) {
    // What takes memory comes first: where there is none, nothing is noted and the call can be made again.
    current_.activations.reserve(layers_.size());
    history_.steps.emplace_back();
    current_.loss = loss;
    current_.learning_rate = learning_rate;
    note_after_update();
    for (std::size_t at = 0; at < layers_.size(); ++at)
      current_.activations.push_back(finish(layers_[at], history_.activations[at].rfind("relu", 0) == 0));
    history_.inputs = largest_of(inputs_);
    history_.targets = largest_of(targets_);
    if (history_.targets) history_.targets->prediction = prediction_, history_.targets->beyond = target_end_;
    history_.steps.back() = std::exchange(current_, {});
  }
  has_weights_before_ = options_.every == 1;
  is_open_ = false;
  ++step_;
  forget();
}

template <class T>
std::optional<DataScale> GradientMonitor<T>::Watch::largest_of(const std::vector<detail::UnitMoments>& all) {
  std::optional<DataScale> largest;
  for (const detail::UnitMoments& one : all)
    if (const auto scale = one.scale(); scale && (!largest || scale->largest > largest->largest))
      largest = scale;
  return largest;
}

template <class T>
void GradientMonitor<T>::Watch::note_after_update() {
  for (std::size_t k = 0; k < parameters_.size(); ++k) {
    const Tensor<T>& p = parameters_[k];
    const T *const before = weights_before_[k].data(), *const after = p.data();
    const auto change = [=](std::size_t i) {
      return static_cast<double>(after[i]) - static_cast<double>(before[i]);
    };
    ParameterStep& noted = current_.parameters[k];
    detail::Norm update;
    update.add(p.size(), change);
    noted.update_norm = update.value();
    noted.update_ratio = noted.weight_norm != 0 ? noted.update_norm / noted.weight_norm
                                                : std::numeric_limits<double>::quiet_NaN();
    if (noted.update_norm == 0) continue;
    const bool has_gradient = p.has_grad();
    const Tensor<T> gradient = has_gradient ? p.grad() : p;
    const T* const g = gradient.data();
    const auto [along_weight, along_gradient] = detail::sums_over<2>(p.size(), [=](std::size_t i) {
      return std::array{static_cast<double>(before[i]) * change(i), static_cast<double>(g[i]) * change(i)};
    });
    noted.weight_dot_update = along_weight;
    if (has_gradient) noted.gradient_dot_update = along_gradient;
  }
}

template <class T>
ActivationStep GradientMonitor<T>::Watch::finish(Layer& layer, bool is_relu) const {
  if (layer.outputs == 0) return {};
  const auto outputs = static_cast<double>(layer.outputs);
  ActivationStep noted{.units = layer.is_alive.size(),
                       .zero_share = static_cast<double>(layer.zeros) / outputs,
                       .saturated_share = static_cast<double>(layer.saturated) / outputs,
                       .is_hidden = layer.is_hidden,
                       .deviation = layer.moments.deviation()};
  if (layer.adjoints > 0)
    noted.adjoint = std::sqrt(layer.adjoint_squares / static_cast<double>(layer.adjoints));
  for (std::size_t unit = 0; is_relu && unit < noted.units; ++unit) {
    std::size_t& quiet = layer.quiet_steps[unit];
    quiet = layer.is_alive[unit] ? 0 : quiet + 1;
    noted.dead_units += quiet >= options_.limits.window;
  }
  return noted;
}

template <class T>
void GradientMonitor<T>::Watch::step(Optimizer<T>& optimizer, double loss) {
  if (!history_.parameters.front().is_held) {
    for (auto& p : history_.parameters) p.is_held = false;
    for (const Tensor<T>& p : optimizer.parameters())
      if (const auto at = number_of_.find(p.handle().node.get()); at != number_of_.end())
        history_.parameters[at->second].is_held = true;
  }
  before_step();
  try {
    optimizer.step();
  } catch (...) {
    is_open_ = false;
    forget();
    throw;
  }
  after_step(loss, optimizer.learning_rate());
}

#define XTAPE_INSTANTIATE(T)                                                                                 \
  template GradientMonitor<T>::Watch::Watch(std::vector<std::pair<std::string, Tensor<T>>>, MonitorOptions); \
  template void GradientMonitor<T>::Watch::before_step();                                                    \
  template void GradientMonitor<T>::Watch::after_step(double, double);                                       \
  template void GradientMonitor<T>::Watch::step(Optimizer<T>&, double);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn
