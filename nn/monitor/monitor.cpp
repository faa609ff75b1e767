// Reading the parameters around a step, and the activations as they run.
#include "../monitor.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <ostream>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include <autodiff/engine.hpp>

#include "../train/norm.hpp"
#include "training_report.hpp"

namespace xtape::nn {
namespace {

/// Whether the operation multiplies by a weight: a matrix product or convolution of tensors that both need a
/// gradient (W may be computed, as Wᵀ is), another operation with a parameter unless it only adds it, or a
/// checkpoint, where parameters are out of sight.
bool uses_weight(engine::Node& node) {
  if (node.opaque) return true;
  const std::string_view op = node.name;
  if (op == "add" || op == "subtract") return false;
  const bool is_product = op == "linear" || op == "matmul" || op == "conv2d";
  std::size_t recorded = 0, parameters = 0;
  for (const engine::Node* input : node.inputs())
    if (input) ++(input->is_leaf() ? parameters : recorded);
  return recorded > 0 && (parameters > 0 || (is_product && recorded > 1));
}

/// Channels of images are the second axis, features the last.
std::size_t unit_axis(std::size_t rank) { return rank == 4 ? 1 : rank - 1; }

}  // namespace

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
    std::vector<bool> is_alive{};            ///< of each unit: not 0 for a sample of this step
    std::vector<std::size_t> quiet_steps{};  ///< of each unit: steps in a row with only zeros
  };

  void forward(const char* op, const engine::Handle& y,
               std::span<const engine::Handle* const> inputs) override;
  void backward(engine::Node& node, const engine::Pass& pass) override;
  void found(Anomaly anomaly) override { current_.origin = std::move(anomaly); }
  void begin_forward();
  void forget();  ///< what was seen since the last step
  void note_before_update();
  ActivationStep finish(Layer& layer, bool is_relu) const;
  void note_activation(const std::string& op, const engine::Handle& y);
  void note_what_follows(engine::Node& node);
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
  std::map<std::string, std::size_t> layers_run_;                  ///< in this step, by operation
  std::unordered_map<const engine::Node*, std::size_t> recorded_;  ///< activations of this step
  std::unordered_set<const engine::Node*> before_weight_;          ///< what reaches a weight; of this pass
  std::vector<Layer> layers_;
};

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
    history_.parameters.push_back({std::move(name), p.shape(), p.rank() >= 2});
    parameters_.push_back(std::move(p));
  }
  for (auto& p : history_.parameters) p.is_weight = p.is_weight || !any_matrix;
  weights_before_.resize(parameters_.size());
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
    weights_before_[k].assign(p.begin(), p.end());
    noted.weight_norm = detail::norm_of(p);
    noted.has_gradient = p.has_grad();
    if (!noted.has_gradient) continue;
    const Tensor<T> gradient = p.grad();
    noted.gradient_norm = detail::norm_of(gradient);
    std::size_t zeros = 0;
    for (const T x : gradient) {
      zeros += x == 0;
      noted.not_finite += !std::isfinite(x);
    }
    noted.zero_share = p.size() ? static_cast<double>(zeros) / static_cast<double>(p.size()) : 0;
  }
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
    for (std::size_t k = 0; k < parameters_.size(); ++k) {
      const T *const before = weights_before_[k].data(), *const after = parameters_[k].data();
      ParameterStep& noted = current_.parameters[k];
      detail::Norm update;
      update.add(parameters_[k].size(), [&](std::size_t i) {
        return static_cast<double>(after[i]) - static_cast<double>(before[i]);
      });
      noted.update_norm = update.value();
      noted.update_ratio = noted.weight_norm != 0 ? noted.update_norm / noted.weight_norm
                                                  : std::numeric_limits<double>::quiet_NaN();
    }
    for (std::size_t at = 0; at < layers_.size(); ++at)
      current_.activations.push_back(finish(layers_[at], history_.activations[at].rfind("relu", 0) == 0));
    history_.steps.back() = std::exchange(current_, {});
  }
  is_open_ = false;
  ++step_;
  forget();
}

template <class T>
ActivationStep GradientMonitor<T>::Watch::finish(Layer& layer, bool is_relu) const {
  if (layer.outputs == 0) return {};
  const auto outputs = static_cast<double>(layer.outputs);
  ActivationStep noted{.units = layer.is_alive.size(),
                       .zero_share = static_cast<double>(layer.zeros) / outputs,
                       .saturated_share = is_relu ? 0 : static_cast<double>(layer.saturated) / outputs,
                       .is_hidden = layer.is_hidden};
  for (std::size_t unit = 0; is_relu && unit < noted.units; ++unit) {
    std::size_t& quiet = layer.quiet_steps[unit];
    quiet = layer.is_alive[unit] ? 0 : quiet + 1;
    noted.dead_units += quiet >= options_.limits.window;
  }
  return noted;
}

template <class T>
void GradientMonitor<T>::Watch::step(Optimizer<T>& optimizer, double loss) {
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

template <class T>
void GradientMonitor<T>::Watch::begin_forward() {
  is_after_backward_ = false;
  layers_run_.clear();
  recorded_.clear();
  before_weight_.clear();
}

template <class T>
void GradientMonitor<T>::Watch::forget() {
  begin_forward();
  current_.origin.reset();
  for (Layer& layer : layers_) layer = {.quiet_steps = std::move(layer.quiet_steps)};
}

template <class T>
void GradientMonitor<T>::Watch::forward(const char* op, const engine::Handle& y,
                                        std::span<const engine::Handle* const> inputs) {
  if (!is_kept()) return;
  if (is_after_backward_ && !is_in_rule()) {
    // Gradients that are still there are those to which the next ones are added; else the step was not taken.
    if (std::ranges::none_of(parameters_, &Tensor<T>::has_grad))
      forget();
    else if (y.node)
      begin_forward();
  }
  if (options_.find_origin && !current_.origin) AnomalyObserver::forward(op, y, inputs);
  if (is_in_rule() || !y.node || y.value->item_size != sizeof(T)) return;
  const std::string_view name = op;
  if (name == "relu" || name == "sigmoid" || name == "tanh") note_activation(op, y);
  if (name == "batch_norm" || name == "layer_norm") history_.normalizes = true;
}

template <class T>
void GradientMonitor<T>::Watch::backward(engine::Node& node, const engine::Pass& pass) {
  // A pass for grad() alone has no leaves: it leaves the gradients of the parameters as they are.
  if (engine::reaches_leaves(pass)) is_after_backward_ = has_run_since_ = true;
  if (!is_kept()) return;
  if (options_.find_origin && !current_.origin) AnomalyObserver::backward(node, pass);
  note_what_follows(node);
}

// A pass comes from the loss down, so what uses the result of a node has been seen before the node.
template <class T>
void GradientMonitor<T>::Watch::note_what_follows(engine::Node& node) {
  const bool is_before_weight = before_weight_.erase(&node) != 0;
  // The place of a node that was dropped may hold another operation now.
  if (const auto at = recorded_.find(&node); at != recorded_.end() && is_before_weight) {
    const std::string& layer = history_.activations[at->second];
    if (layer.rfind(node.name, 0) == 0) layers_[at->second].is_hidden = true;
  }
  if (!is_before_weight && !uses_weight(node)) return;
  for (const engine::Node* input : node.inputs())
    if (input && !input->is_leaf()) before_weight_.insert(input);
}

template <class T>
void GradientMonitor<T>::Watch::note_activation(const std::string& op, const engine::Handle& result) {
  const Tensor<T> y(result);
  const std::string name = op + " " + std::to_string(++layers_run_[op]);
  auto& names = history_.activations;
  const auto at = static_cast<std::size_t>(std::ranges::find(names, name) - names.begin());
  if (at == names.size()) names.push_back(name);
  if (layers_.size() <= at) layers_.resize(at + 1);
  recorded_[result.node.get()] = at;

  const std::size_t rank = y.rank(), axis = rank == 0 ? 0 : unit_axis(rank);
  const std::size_t units = rank == 0 ? 1 : y.shape()[axis];
  std::size_t inner = 1;
  for (std::size_t i = axis + 1; i < rank; ++i) inner *= y.shape()[i];
  const double low = op == "tanh" ? -1 : 0, margin = options_.limits.saturation * (1 - low);

  Layer& layer = layers_[at];
  if (layer.is_alive.size() != units) layer.is_alive.assign(units, false);
  if (layer.quiet_steps.size() != units) layer.quiet_steps.assign(units, 0);
  layer.outputs += y.size();
  const T* const elements = y.data();
  for (std::size_t i = 0; i < y.size(); ++i) {
    const auto a = static_cast<double>(elements[i]);
    if (a == 0)
      ++layer.zeros;
    else
      layer.is_alive[i / inner % units] = true;
    layer.saturated += a <= low + margin || a >= 1 - margin;
  }
}

template <class T>
GradientMonitor<T>::GradientMonitor(std::vector<std::pair<std::string, Tensor<T>>> parameters,
                                    MonitorOptions options)
    : watch_(std::make_unique<Watch>(std::move(parameters), options)) {}
template <class T>
GradientMonitor<T>::~GradientMonitor() = default;

template <class T>
void GradientMonitor<T>::before_step() {
  watch_->before_step();
}

template <class T>
void GradientMonitor<T>::after_step(double loss, double learning_rate) {
  watch_->after_step(loss, learning_rate);
}

template <class T>
void GradientMonitor<T>::step(Optimizer<T>& optimizer, double loss) {
  watch_->step(optimizer, loss);
}

template <class T>
const GradientHistory& GradientMonitor<T>::history() const {
  return watch_->history();
}

template <class T>
std::vector<Verdict> GradientMonitor<T>::verdicts() const {
  return find_verdicts(history(), watch_->limits());
}

template <class T>
void GradientMonitor<T>::write_html(std::ostream& out, const std::string& title) const {
  detail::write_report(out, title, history(), verdicts(), watch_->limits());
}

template <class T>
std::ostream& operator<<(std::ostream& out, const GradientMonitor<T>& monitor) {
  out << monitor.history();
  const std::vector<Verdict> verdicts = monitor.verdicts();
  if (verdicts.empty()) out << "no verdict\n";
  for (const Verdict& verdict : verdicts) out << verdict;
  return out;
}

#define XTAPE_INSTANTIATE(T)         \
  template class GradientMonitor<T>; \
  template std::ostream& operator<<(std::ostream&, const GradientMonitor<T>&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn
