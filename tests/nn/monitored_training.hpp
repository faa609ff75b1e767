// Networks that are trained under a GradientMonitor, and what its verdicts say.
#pragma once
#include <cmath>
#include <functional>
#include <limits>
#include <set>

#include "../check_close.hpp"

#include <nn/nn.hpp>

namespace xtape::test {

using Kind = nn::Verdict::Kind;

inline const double not_a_number = std::numeric_limits<double>::quiet_NaN();

inline std::set<Kind> kinds(const std::vector<nn::Verdict>& verdicts) {
  std::set<Kind> all;
  for (const nn::Verdict& verdict : verdicts) all.insert(verdict.kind);
  return all;
}

inline const nn::Verdict& verdict_of(const std::vector<nn::Verdict>& verdicts, Kind kind) {
  const auto at = std::ranges::find(verdicts, kind, &nn::Verdict::kind);
  REQUIRE(at != verdicts.end());
  return *at;
}

inline bool advises(const nn::Verdict& verdict, const std::string& text) {
  return std::ranges::any_of(verdict.advice,
                             [&](const std::string& one) { return one.find(text) != std::string::npos; });
}

using Function = std::function<Tensor<double>(const Tensor<double>&)>;

/// Dense layers of one width, each followed by a function of it: h ← next(h W + b, h).
struct Deep : nn::Module<double> {
  std::vector<nn::Linear<double>> layers;
  std::function<Tensor<double>(const Tensor<double>& z, const Tensor<double>& h)> next;

  Deep(std::size_t depth, std::size_t width, decltype(next) f) : next(std::move(f)) {
    for (std::size_t i = 0; i < depth; ++i) layers.emplace_back(width, i + 1 < depth ? width : 1);
  }
  Tensor<double> forward(const Tensor<double>& x) override {
    Tensor<double> h = x;
    for (std::size_t i = 0; i + 1 < layers.size(); ++i) h = next(layers[i](h), h);
    return layers.back()(h);
  }
  void members(nn::Members<double>& m) override {
    for (std::size_t i = 0; i < layers.size(); ++i) m.module(std::to_string(i), layers[i]);
  }
  template <class Init>
  void set_weights(Init&& init) {
    for (auto& layer : layers) layer.weight.assign(init(layer.weight.shape()));
  }
};

/// Trains on one batch of a smooth function and gives the monitor.
struct Training {
  Tensor<double> x, y;
  nn::GradientMonitor<double> monitor;

  Training(nn::Module<double>& model, double rate, std::size_t steps = 15, std::size_t features = 16,
           nn::MonitorOptions options = {})
      : x(random::normal<double>({32, features})),
        y(tanh(sum(x, 1, true) / std::sqrt(static_cast<double>(features)))),
        monitor(model, options) {
    nn::SGD<double> sgd(model.parameters(), {.learning_rate = rate});
    for (std::size_t step = 0; step < steps; ++step) {
      sgd.zero_grad();
      const Tensor<double> loss = nn::mse_loss(model(x), y);
      loss.backward();
      monitor.step(sgd, loss.item());
    }
  }
};

}  // namespace xtape::test
