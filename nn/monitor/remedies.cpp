// The texts of the remedies.
#include "remedies.hpp"

#include <algorithm>
#include <cmath>
#include <initializer_list>

#include <autodiff/engine.hpp>

namespace xtape::nn::detail {
namespace {

constexpr const char* residual =
    "Residual connections: skip connections preserve gradients; nn::Residual around a layer, or x + f(x)";

bool uses(const GradientHistory& history, const char* op) {
  return std::ranges::any_of(history.activations,
                             [&](const std::string& name) { return name.rfind(op, 0) == 0; });
}

/// ReLU and its smooth relatives pass on half of the variance, which He's initialisation makes up for.
bool is_for_he(const GradientHistory& history) {
  for (const char* op : {"relu", "leaky_relu", "gelu", "silu", "elu", "softplus"})
    if (uses(history, op)) return true;
  return false;
}

/// Compares the first weights, by the one furthest off, with the deviations that He and Glorot would give
/// them: what lies between these, or is off by a factor of less than 2, is not to blame.
std::string initialisation_for(const GradientHistory& history, bool he) {
  double furthest = 2, seen = 0, wanted = 0;
  std::string name;
  for (std::size_t k = 0; k < history.parameters.size() && !history.steps.empty(); ++k) {
    const GradientHistory::Parameter& p = history.parameters[k];
    if (p.shape.size() < 2 || p.size() == 0) continue;
    const double target = initial_deviation(p.shape, he), other = initial_deviation(p.shape, !he);
    const double rms =
        history.steps.front().parameters[k].weight_norm / std::sqrt(static_cast<double>(p.size()));
    const double factor = std::max(rms / std::max(target, other), std::min(target, other) / rms);
    if (!(factor > furthest)) continue;
    furthest = factor, seen = rms, wanted = target, name = p.name;
  }
  if (name.empty()) return {};
  return std::string(he ? "He" : "Xavier") +
         " initialisation: keeps the size of gradients from layer to layer; init::" + (he ? "he" : "xavier") +
         "_uniform: " + name + " began with a root mean square of " + rounded(seen) + " instead of " +
         rounded(wanted);
}

std::vector<std::string> without_empty(std::initializer_list<std::string> all) {
  std::vector<std::string> list;
  std::ranges::copy_if(all, std::back_inserter(list), [](const std::string& one) { return !one.empty(); });
  return list;
}

}  // namespace

double initial_deviation(const Shape& shape, bool he) {
  const auto size = static_cast<double>(engine::element_count(shape, "initial_deviation"));
  if (size == 0) return 0;
  const double fan_in = shape.size() < 2 ? size : size / static_cast<double>(shape[0]);
  const double fan_out = shape.size() < 2 ? 1 : size / static_cast<double>(shape[1]);
  return std::sqrt(2 / (he ? fan_in : fan_in + fan_out));
}

Remedies::Remedies(const GradientHistory& history)
    : he_(is_for_he(history)),
      is_recurrent_(history.is_recurrent),
      initialisation_(initialisation_for(history, he_)) {
  if (uses(history, "sigmoid") || uses(history, "tanh"))
    relu_ =
        "ReLU activation: its derivative is 1 for positive inputs; nn::ReLU in place of sigmoid and tanh, "
        "with init::he_uniform";
  if (!history.normalizes)
    normalisation_ =
        "Batch normalisation: keeps activations where their derivative is large; nn::BatchNorm1d before each "
        "activation";
}

std::vector<std::string> Remedies::vanishing() const {
  if (is_recurrent_)
    return without_empty(
        {"Gates: nn::LSTM or nn::GRU in place of a plain recurrence; their state passes on what "
         "a step does not change",
         initialisation_,
         "init::orthogonal for the weight of the recurrence: its powers keep the size of what "
         "they multiply"});
  return without_empty({initialisation_, relu_, residual, normalisation_});
}
std::vector<std::string> Remedies::exploding() const {
  return without_empty({initialisation_, normalisation_,
                        "Clipping: nn::clip_grad_norm(parameters, 1) before the step bounds what is left"});
}
std::vector<std::string> Remedies::dead() const {
  return without_empty(
      {"Biases and rate: begin with biases of 0 and lower the learning rate, since a large step can push a "
       "unit below 0 for good; leaky_relu keeps a gradient there",
       initialisation_, normalisation_});
}
std::vector<std::string> Remedies::saturated() const {
  return without_empty({initialisation_, relu_, normalisation_});
}

std::vector<std::string> Remedies::symmetric() const {
  return {std::string("Random first weights, so that units differ: init::") + (he_ ? "he" : "xavier") +
          "_uniform, which nn::Linear has in place of zeros; biases may begin with 0"};
}

std::vector<std::string> Remedies::not_finite(const TrainingStep& step) {
  if (!step.origin) return {"const DetectAnomaly scope; stops at the operation that begins it"};
  const std::string &op = step.origin->op, &operand = step.origin_operand, &use = step.origin_use;
  const auto is = [&](std::initializer_list<const char*> names) {
    return std::ranges::find(names, op) != names.end();
  };
  if (operand == "data" && !step.origin->began_here())
    return {
        "The data hold a NaN or an infinity: look for it in inputs and targets, by std::isfinite, before "
        "training"};
  if (operand == "parameter" && !step.origin->began_here())
    return {
        "A parameter was not finite before the step: an update was too large; lower the learning rate, and "
        "clip gradients by nn::clip_grad_norm"};
  if (op == "exp" && use == "softmax")
    return {
        "softmax() in place of exp(z) / sum(exp(z)): it subtracts the largest z first, so that nothing "
        "overflows"};
  if (op == "exp" && use == "logsumexp")
    return {
        "logsumexp() in place of log(sum(exp(z))): it subtracts the largest z first, so that nothing "
        "overflows"};
  if (is({"exp", "expm1", "sinh", "cosh"}))
    return {
        "clamp() the operand of '" + op +
        "', which overflows above 88 in float and 709 in double; or bound what it is made of, as by tanh()"};
  if (is({"log", "log1p", "log2", "log10"})) {
    std::vector<std::string> advice;
    if (operand == "softmax")
      advice.push_back("log_softmax() in place of log(softmax()), or nn::cross_entropy of the logits");
    if (operand == "sigmoid")
      advice.push_back(
          "log_sigmoid() in place of log(sigmoid()), or nn::binary_cross_entropy_with_logits of the logits");
    advice.push_back("Keep the operand of '" + op + "' above 0: " + op + "(x + 1e-8), or clamp(x, 1e-8, 1)");
    return advice;
  }
  if (op == "binary_cross_entropy")
    return {
        "nn::binary_cross_entropy_with_logits of the logits in place of probabilities, which come to 0 or 1"};
  if (is({"divide", "reciprocal"}))
    return {
        "Keep the divisor away from 0: x / (y + 1e-8) where it is positive, or where() with a harmless "
        "divisor, since a side that is not selected is divided too"};
  if (is({"sqrt", "norm", "std", "cbrt", "hypot"}))
    return {
        "The derivative of '" + op +
        "' is infinite at 0, and below it there is no root: sqrt(x + 1e-12), a small number under the root"};
  if (op == "pow")
    return {
        "A negative base has no power that is not whole, and 0 no negative one: pow(clamp(x, 1e-8, …), p), "
        "or the sign apart: where(x > 0, 1, -1) * pow(abs(x) + 1e-8, p)"};
  if (is({"asin", "acos", "atanh"}))
    return {"clamp() the operand of '" + op +
            "' to a little less than -1 to 1, where its derivative is finite"};
  return {"The operands of '" + op +
          "' are too large for it: scale inputs and targets, lower the learning rate, or clip gradients by "
          "nn::clip_grad_norm"};
}

std::string rate_advice(double rate, bool is_too_high) {
  const double factor = is_too_high ? 0.1 : 10;
  return "Multiply the learning rate by " + rounded(factor) +
         (std::isnan(rate) ? std::string() : ", from " + rounded(rate) + " to " + rounded(rate * factor)) +
         ", and look again: updates are best about 0.001 of the weights";
}

}  // namespace xtape::nn::detail
