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

/// Compares the first weights, by the one furthest off, with the variance that Glorot or He would give them.
std::string initialisation_for(const GradientHistory& history) {
  const bool he = uses(history, "relu");
  double furthest = 2, seen = 0, wanted = 0;  // a factor of less than 2 is not to blame
  std::string name;
  for (std::size_t k = 0; k < history.parameters.size() && !history.steps.empty(); ++k) {
    const GradientHistory::Parameter& p = history.parameters[k];
    if (p.shape.size() < 2 || p.size() == 0) continue;
    const double target = initial_deviation(p.shape, he);
    const double rms =
        history.steps.front().parameters[k].weight_norm / std::sqrt(static_cast<double>(p.size()));
    const double factor = std::max(rms / target, target / rms);
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

Remedies::Remedies(const GradientHistory& history) : initialisation_(initialisation_for(history)) {
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
  return without_empty({relu_, initialisation_, residual, normalisation_});
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
  return without_empty({relu_, initialisation_, normalisation_});
}

std::string rate_advice(double rate, double ratio, double least, double most) {
  const double power = std::isfinite(ratio) && ratio > 0 ? std::round(std::log10(1e-3 / ratio)) : -1;
  const double factor = std::clamp(std::pow(10, power), least, most);
  return "Multiply the learning rate by " + rounded(factor) +
         (std::isnan(rate) ? std::string() : ", from " + rounded(rate) + " to " + rounded(rate * factor)) +
         ": updates are best about 0.001 of the weights";
}

}  // namespace xtape::nn::detail
