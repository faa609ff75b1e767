// The operations of a step, as they run forward and backward.
#include <algorithm>
#include <cmath>
#include <string_view>

#include "../train/norm.hpp"
#include "watch.hpp"

namespace xtape::nn {
namespace {

bool is_product(std::string_view op) { return op == "linear" || op == "matmul" || op == "conv2d"; }

/// Those that end in a range are judged by how near they are to its ends.
bool is_activation(std::string_view op) {
  return op == "relu" || op == "sigmoid" || op == "tanh" || op == "gelu" || op == "silu" ||
         op == "leaky_relu" || op == "elu" || op == "softplus";
}

/// Whether the operation multiplies by a weight: a matrix product or convolution of tensors that both need a
/// gradient (W may be computed, as Wᵀ is), another operation with a parameter unless it only adds it, or a
/// checkpoint, where parameters are out of sight.
bool uses_weight(engine::Node& node) {
  if (node.opaque) return true;
  const std::string_view op = node.name;
  if (op == "add" || op == "subtract") return false;
  std::size_t recorded = 0, parameters = 0;
  for (const engine::Node* input : node.inputs())
    if (input) ++(input->is_leaf() ? parameters : recorded);
  return recorded > 0 && (parameters > 0 || (is_product(op) && recorded > 1));
}

/// Channels of images are the second axis, features the last.
std::size_t unit_axis(std::size_t rank) { return rank == 4 ? 1 : rank - 1; }

/// A tensor as (rows, units, inner).
struct Units {
  std::size_t rows = 1, units = 1, inner = 1;
  explicit Units(const Shape& shape) {
    if (shape.empty()) return;
    const std::size_t axis = unit_axis(shape.size());
    for (std::size_t i = 0; i < axis; ++i) rows *= shape[i];
    units = shape[axis];
    for (std::size_t i = axis + 1; i < shape.size(); ++i) inner *= shape[i];
  }
};

template <class T>
double squares_of(const Tensor<T>& x) {
  return detail::dot(x.data(), x.data(), x.size());
}

}  // namespace

template <class T>
void GradientMonitor<T>::Watch::begin_forward() {
  is_after_backward_ = false;
  layers_run_.clear();
  recorded_.clear();
  before_weight_.clear();
  inputs_run_ = targets_run_ = 0;
  for (Seen& seen : seen_) seen.products = 0;
}

template <class T>
void GradientMonitor<T>::Watch::forget() {
  begin_forward();
  current_.origin.reset();
  current_.origin_operand.clear();
  current_.origin_use.clear();
  origin_value_ = sum_of_origin_ = nullptr;
  is_first_backward_ = true;
  backward_passes_ = 0;
  std::ranges::fill(seen_, Seen{});
  for (Layer& layer : layers_) {
    layer.moments.clear();
    layer = {.quiet_steps = std::move(layer.quiet_steps), .moments = std::move(layer.moments)};
  }
}

template <class T>
void GradientMonitor<T>::Watch::begin(const char* op, const engine::Handle* adjoint) {
  AnomalyObserver::begin(op, adjoint);
  if (!adjoint) return;
  adjoints_ = 0;
  adjoint_squares_ = 0;
  if (!is_kept() || adjoint->value->item_size != sizeof(T) || !is_activation(op)) return;
  const Tensor<T> g(*adjoint);
  adjoint_squares_ = squares_of(g);
  adjoints_ = g.size();
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
  if (is_looking()) {
    AnomalyObserver::forward(op, y, inputs);
    if (current_.origin) {
      origin_value_ = y.value.get();
      note_origin(inputs);
    }
  } else if (origin_value_) {
    note_use_of_origin(op, y, inputs);
  }
  if (is_in_rule() || !y.node || y.value->item_size != sizeof(T)) return;
  note_operation(op, y, inputs);
}

template <class T>
void GradientMonitor<T>::Watch::note_operation(std::string_view op, const engine::Handle& y,
                                               std::span<const engine::Handle* const> inputs) {
  const bool product = is_product(op);
  for (const engine::Handle* input : inputs) {
    if (!input->node || !input->node->is_leaf()) continue;
    const auto at = number_of_.find(input->node.get());
    if (at == number_of_.end()) continue;
    Seen& seen = seen_[at->second];
    seen.is_used = true;
    if (product && ++seen.products > 1) history_.is_recurrent = true;
  }
  if (is_activation(op)) note_activation(std::string(op), y);
  if (op == "batch_norm" || op == "layer_norm") history_.normalizes = true;
  if (step_ / options_.every < options_.limits.window) note_data(op, inputs);
  const engine::Node* const from = inputs.empty() ? nullptr : inputs[0]->node.get();
  if (!from || !history_.probabilities.empty()) return;
  const std::string_view made_by = from->name;
  if (made_by == "softmax" && (op == "cross_entropy" || op == "log_softmax")) {
    history_.probabilities = op == "cross_entropy" ? "cross_entropy of softmax" : "log_softmax of softmax";
  } else if (made_by == "sigmoid" && op == "binary_cross_entropy_with_logits") {
    history_.probabilities = "binary_cross_entropy_with_logits of sigmoid";
  }
}

template <class T>
void GradientMonitor<T>::Watch::add_data(std::vector<detail::UnitMoments>& all, std::size_t at,
                                         const Tensor<T>& x) {
  if (all.size() <= at) all.resize(at + 1);
  const Units parts(x.shape());
  all[at].add(x.data(), parts.rows, parts.units, parts.inner);
}

// Constants that a weight multiplies are the inputs; one that a prediction of its shape is compared with, by
// a difference, is the target.
template <class T>
void GradientMonitor<T>::Watch::note_data(std::string_view op,
                                          std::span<const engine::Handle* const> inputs) {
  if (inputs.size() < 2 || inputs[0]->value->item_size != sizeof(T) ||
      inputs[1]->value->item_size != sizeof(T))
    return;
  if (is_product(op) && !inputs[0]->node && inputs[1]->node) {
    return add_data(inputs_, inputs_run_++, Tensor<T>(*inputs[0]));
  }
  if (op != "squared_difference" && op != "subtract") return;
  const bool is_first = !inputs[0]->node && inputs[1]->node;
  if (!is_first && (inputs[1]->node || !inputs[0]->node)) return;
  const Tensor<T> y(*inputs[is_first ? 0 : 1]), prediction(*inputs[is_first ? 1 : 0]);
  if (!(y.shape() == prediction.shape()) || y.rank() == 0 || prediction.is_leaf()) return;
  add_data(targets_, targets_run_++, y);
  if (prediction_ == 0 && y.size() > 0)
    prediction_ = std::sqrt(squares_of(prediction) / static_cast<double>(y.size()));
  const std::string_view made_by = inputs[is_first ? 1 : 0]->node->name;
  if (made_by == "sigmoid" || made_by == "tanh" || made_by == "softmax")
    for (const T one : y)
      if (std::abs(one) > 1 || (one < 0 && made_by != "tanh"))
        target_end_ = std::max(target_end_, static_cast<double>(std::abs(one)));
}

// What was not finite before the operation, or else what made its first operand.
template <class T>
void GradientMonitor<T>::Watch::note_origin(std::span<const engine::Handle* const> inputs) {
  const auto source = [](const engine::Handle& x) -> std::string {
    if (!x.node) return "data";
    return x.node->is_leaf() ? "parameter" : x.node->name;
  };
  for (const engine::Handle* input : inputs) {
    if (input->value->integers || input->value->item_size != sizeof(T)) continue;
    const Tensor<T> x(*input);
    if (std::ranges::all_of(x, [](T element) { return std::isfinite(element); })) continue;
    current_.origin_operand = source(*input);
    return;
  }
  if (current_.origin->began_here() && !inputs.empty() && inputs[0]->node)
    current_.origin_operand = source(*inputs[0]);
}

// exp(z) / Σ exp(z) is a softmax by hand, and ln Σ exp(z) a logsumexp.
template <class T>
void GradientMonitor<T>::Watch::note_use_of_origin(std::string_view op, const engine::Handle& y,
                                                   std::span<const engine::Handle* const> inputs) {
  if (current_.origin->op != "exp" || inputs.empty() || !current_.origin_use.empty()) return;
  const void* const first = inputs[0]->value.get();
  if (op == "sum" && first == origin_value_) sum_of_origin_ = y.value.get();
  if (!sum_of_origin_) return;
  if (op == "log" && first == sum_of_origin_) current_.origin_use = "logsumexp";
  if (op == "divide" && inputs[1]->value.get() == sum_of_origin_) current_.origin_use = "softmax";
}

// Before its gradients are handed out, the parameters have those of the step before, unless these were
// dropped.
template <class T>
void GradientMonitor<T>::Watch::begin_backward() {
  ++backward_passes_;
  if (!std::exchange(is_first_backward_, false) || step_ == 0) return;
  for (std::size_t k = 0; k < parameters_.size(); ++k) {
    if (!parameters_[k].has_grad()) continue;
    const Tensor<T> old = parameters_[k].grad();
    seen_[k].had_gradient = std::ranges::any_of(old, [](T x) { return x != 0; });
  }
}

template <class T>
void GradientMonitor<T>::Watch::backward(engine::Node& node, const engine::Pass& pass) {
  // A pass for grad() alone has no leaves: it leaves the gradients of the parameters as they are.
  const bool reaches_leaves = engine::reaches_leaves(pass);
  if (reaches_leaves) {
    if (is_kept() && !is_after_backward_) begin_backward();
    is_after_backward_ = has_run_since_ = true;
  }
  if (!is_kept()) return;
  if (is_looking()) {
    AnomalyObserver::backward(node, pass);
    if (current_.origin && current_.origin_operand.empty() && node.inputs().size() > 0 && node.inputs()[0])
      current_.origin_operand = node.inputs()[0]->name;
  }
  note_what_follows(node);
  if (reaches_leaves) note_leaves(node);
}

template <class T>
void GradientMonitor<T>::Watch::note_leaves(engine::Node& node) {
  for (const engine::Node* input : node.inputs()) {
    if (!input || !input->is_leaf()) continue;
    const auto at = number_of_.find(input);
    if (at == number_of_.end() || !input->adjoint.value) continue;
    seen_[at->second].is_reached = true;
    if (at->second != probe_) continue;
    const Tensor<T> gradient(engine::Handle{input->adjoint.value, {}});
    probe_norm_ = detail::norm_of(gradient);
  }
}

// A pass comes from the loss down, so what uses the result of a node has been seen before the node.
template <class T>
void GradientMonitor<T>::Watch::note_what_follows(engine::Node& node) {
  const bool is_before_weight = before_weight_.erase(&node) != 0;
  // The place of a node that was dropped may hold another operation now.
  if (const auto at = recorded_.find(&node); at != recorded_.end()) {
    const std::string& name = history_.activations[at->second];
    Layer& layer = layers_[at->second];
    if (name.rfind(node.name, 0) == 0) {
      layer.is_hidden = layer.is_hidden || is_before_weight;
      layer.adjoint_squares += adjoint_squares_;
      layer.adjoints += adjoints_;
    }
  }
  adjoints_ = 0;
  adjoint_squares_ = 0;
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

  const Units parts(y.shape());
  Layer& layer = layers_[at];
  if (layer.is_alive.size() != parts.units) layer.is_alive.assign(parts.units, 0);
  if (layer.quiet_steps.size() != parts.units) layer.quiet_steps.assign(parts.units, 0);
  layer.outputs += y.size();
  const T* elements = y.data();
  layer.moments.add(elements, parts.rows, parts.units, parts.inner);
  const bool has_range = op == "sigmoid" || op == "tanh";
  const T low = op == "tanh" ? T(-1) : T(0), margin = static_cast<T>(options_.limits.saturation) * (1 - low);
  const T bottom = low + margin, top = 1 - margin;
  std::size_t zeros = 0, saturated = 0;
  for (std::size_t i = 0; i < y.size(); ++i) zeros += elements[i] == 0;
  if (has_range)
    for (std::size_t i = 0; i < y.size(); ++i) saturated += elements[i] <= bottom || elements[i] >= top;
  layer.zeros += zeros;
  layer.saturated += saturated;
  unsigned char* const alive = layer.is_alive.data();
  if (zeros == 0 && y.size() > 0) return void(std::ranges::fill(layer.is_alive, 1));
  for (std::size_t row = 0; row < parts.rows; ++row)
    for (std::size_t unit = 0; unit < parts.units; ++unit)
      for (std::size_t i = 0; i < parts.inner; ++i)
        alive[unit] = static_cast<unsigned char>(alive[unit] | (*elements++ != 0));
}

// Those that are called from elsewhere.
#define XTAPE_INSTANTIATE(T)                                                                \
  template void GradientMonitor<T>::Watch::forget();                                        \
  template void GradientMonitor<T>::Watch::begin(const char*, const engine::Handle*);       \
  template void GradientMonitor<T>::Watch::forward(const char*, const engine::Handle&,      \
                                                   std::span<const engine::Handle* const>); \
  template void GradientMonitor<T>::Watch::backward(engine::Node&, const engine::Pass&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn
