// Training runs under a GradientMonitor, with the verdict that each is to get: small networks with one thing
// wrong, or nothing.
#pragma once
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "../check_close.hpp"

#include <nn/nn.hpp>

namespace xtape::test {

inline constexpr const char
    *const not_finite = "NaN or infinity",
           *const exploding = "exploding gradients", *const vanishing = "vanishing gradients",
           *const dead = "dead units", *const saturated = "saturated units",
           *const too_high = "learning rate too high", *const too_low = "learning rate too low",
           *const no_gradient = "missing gradients", *const not_updated = "parameters not updated",
           *const ascent = "gradient ascent", *const accumulated = "gradients not zeroed",
           *const symmetric = "symmetric weights", *const inputs = "unscaled inputs",
           *const targets = "unscaled targets", *const probabilities = "probabilities in place of logits",
           *const decay = "weight decay too large", *const clipped = "clipping too strong";

/// Seeds a run; XTAPE_SEED=1 is for other runs of the same kind.
inline void seed_runs(std::uint64_t seed) {
  static const char* const other = std::getenv("XTAPE_SEED");
  random::seed(seed + (other ? 1000 * std::strtoull(other, nullptr, 10) : 0));
}

/// A run, and what the monitor is to say of it.
struct TrainingCase {
  std::string name;
  std::string title;                  ///< of the first verdict; empty: no verdict
  std::vector<std::string> says;      ///< texts of which the first verdict's finding or advice has each
  std::vector<std::string> says_not;  ///< texts that no verdict has
  std::function<std::vector<nn::Verdict>()> run;
};

/// What is wrong with the answer; empty when it is right.
inline std::string complaint(const TrainingCase& c, const std::vector<nn::Verdict>& verdicts) {
  if (c.title.empty()) return verdicts.empty() ? "" : "it is healthy";
  if (verdicts.empty()) return "nothing was found";
  if (verdicts.front().title() != c.title) return "the first verdict is another";
  const auto text = [](const nn::Verdict& v) {
    std::ostringstream out;
    out << v;
    return out.str();
  };
  for (const std::string& one : c.says)
    if (text(verdicts.front()).find(one) == std::string::npos) return "it does not say '" + one + "'";
  for (const std::string& one : c.says_not)
    for (const nn::Verdict& v : verdicts)
      if (text(v).find(one) != std::string::npos) return "it says '" + one + "'";
  return {};
}

/// Runs all, shows each that is wrong, and checks that at most `missed` are.
inline void check_cases(const std::vector<TrainingCase>& cases, std::size_t missed) {
  std::size_t wrong = 0;
  for (const TrainingCase& c : cases) {
    const std::vector<nn::Verdict> verdicts = c.run();
    const std::string what = complaint(c, verdicts);
    if (what.empty()) continue;
    ++wrong;
    std::ostringstream out;
    out << c.name << ": " << what << ", expected '" << c.title << "', got\n";
    for (const nn::Verdict& v : verdicts) out << v;
    MESSAGE(out.str());
  }
  MESSAGE((std::to_string(cases.size() - wrong) + " of " + std::to_string(cases.size()) + " right"));
  CHECK(wrong <= missed);
}

/// Dense layers with an activation, and what may stand between them.
struct NetOptions {
  std::vector<std::size_t> sizes{8, 16, 16, 1};
  std::string activation = "tanh";
  double deviation = 0;   ///< of the first weights; 0: those of Linear
  std::string init = "";  ///< "he", "xavier", "zeros", or "constant"
  std::string norm = "";  ///< "batch" or "layer"
  bool is_residual = false;
  std::string output = "";  ///< an activation of the output
  int detached_after = -1;  ///< the layer whose output is detached
};

template <class T>
Tensor<T> activate(const std::string& name, const Tensor<T>& x) {
  if (name == "tanh") return tanh(x);
  if (name == "relu") return relu(x);
  if (name == "sigmoid") return sigmoid(x);
  if (name == "gelu") return gelu(x);
  if (name == "silu") return silu(x);
  if (name == "softmax") return softmax(x, 1);
  return x;
}

/// Layers of one width with one output.
inline std::vector<std::size_t> deep(std::size_t layers, std::size_t width, std::size_t out = 1) {
  std::vector<std::size_t> sizes(layers, width);
  sizes.push_back(out);
  return sizes;
}

template <class T>
struct Net : nn::Module<T> {
  NetOptions options;
  std::vector<nn::Linear<T>> layers;
  std::vector<std::shared_ptr<nn::Module<T>>> norms;

  explicit Net(NetOptions o) : options(std::move(o)) {
    for (std::size_t i = 0; i + 1 < options.sizes.size(); ++i) {
      const std::size_t out = options.sizes[i + 1];
      layers.emplace_back(options.sizes[i], out);
      const Shape shape = layers.back().weight.shape();
      if (options.deviation > 0)
        layers.back().weight.assign(random::normal<T>(shape, 0, static_cast<T>(options.deviation)));
      if (options.init == "he") layers.back().weight.assign(nn::init::he_normal<T>(shape));
      if (options.init == "xavier") layers.back().weight.assign(nn::init::xavier_uniform<T>(shape));
      if (options.init == "zeros" || options.init == "constant") {
        layers.back().weight.assign(full<T>(shape, options.init == "zeros" ? T(0) : T(0.1)));
        layers.back().bias.assign(zeros<T>({out}));
      }
      if (i + 2 >= options.sizes.size()) continue;
      if (options.norm == "batch") norms.push_back(std::make_shared<nn::BatchNorm1d<T>>(out));
      if (options.norm == "layer") norms.push_back(std::make_shared<nn::LayerNorm<T>>(out));
    }
  }
  Tensor<T> forward(const Tensor<T>& x) override {
    Tensor<T> h = x;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      Tensor<T> z = layers[i](h);
      if (i < norms.size()) z = (*norms[i])(z);
      z = activate(i + 1 < layers.size() ? options.activation : options.output, z);
      h = options.is_residual && h.shape() == z.shape() ? h + z : z;
      if (static_cast<int>(i) == options.detached_after) h = h.detach();
    }
    return h;
  }
  void members(nn::Members<T>& m) override {
    for (std::size_t i = 0; i < layers.size(); ++i) m.module(std::to_string(i), layers[i]);
    for (std::size_t i = 0; i < norms.size(); ++i) m.module("norm" + std::to_string(i), *norms[i]);
  }
};

/// Samples of a smooth function, or of classes that it makes.
struct DataOptions {
  std::size_t samples = 96;
  std::string task = "regression";  ///< or "binary", "classes"
  double x_scale = 1, x_shift = 0;
  std::vector<double> feature_scales{};  ///< the others are 1
  double y_scale = 1, y_shift = 0;
  bool is_bytes = false;  ///< from 0 to 255
};

template <class T>
struct Samples {
  Tensor<T> x, y;
  std::vector<int> labels;

  Samples(const DataOptions& options, std::size_t features, std::size_t outputs)
      : x(random::normal<T>({options.samples, features})) {
    const Tensor<T> direction = random::normal<T>({features, outputs}, 0, T(1 / std::sqrt(features)));
    const Tensor<T> value = tanh(matmul(x, direction)) + T(0.3) * square(matmul(x, direction));
    for (std::size_t i = 0; i < options.samples; ++i) {
      std::size_t best = 0;
      for (std::size_t k = 1; k < outputs; ++k)
        if (value.data()[i * outputs + k] > value.data()[i * outputs + best]) best = k;
      labels.push_back(static_cast<int>(best));
    }
    y = options.task == "binary" ? Tensor<T>(value > T(0.1))
                                 : T(options.y_scale) * value + T(options.y_shift);
    if (options.is_bytes) x = T(255) * sigmoid(T(1.5) * x);
    x = T(options.x_scale) * x + T(options.x_shift);
    Tensor<T> scales = ones<T>({features});
    for (std::size_t i = 0; i < options.feature_scales.size(); ++i)
      scales.mutable_data()[i] = static_cast<T>(options.feature_scales[i]);
    x = x * scales;
  }
};

template <class T>
struct TrainOptions {
  std::string optimizer = "sgd";  ///< "momentum", "adam", "adamw", "rmsprop"
  double rate = 0.05;
  double decay = 0, momentum = 0.9;
  std::size_t steps = 60, batch = 0;  ///< batch 0: all samples
  std::string loop = "step";          ///< "around": before_step() and after_step(); "trainer"
  double clip = 0;
  bool forgets_zero_grad = false, climbs = false;
  std::vector<std::string> left_out{};  ///< parameters that the optimiser does not get
  /// Of the output and the batch; empty: the usual one of the task.
  std::function<Tensor<T>(const Tensor<T>& out, const Samples<T>& batch)> loss{};
  std::function<void(Net<T>&)> at_start{};  ///< once the optimiser and the monitor are there
  std::function<void(Net<T>&)> before_monitor{};
  std::function<void(Net<T>&)> after_backward{}, after_step{};
  std::uint64_t seed = 1;
};

template <class T>
Tensor<T> usual_loss(const std::string& task, const Tensor<T>& out, const Samples<T>& batch) {
  if (task == "classes") return nn::cross_entropy(out, batch.labels);
  if (task == "binary") return nn::binary_cross_entropy_with_logits(out, batch.y);
  return nn::mse_loss(out, batch.y);
}

template <class T>
std::unique_ptr<nn::Optimizer<T>> make_optimizer(const TrainOptions<T>& o, std::vector<Tensor<T>> p) {
  if (o.optimizer == "adam") {
    return std::make_unique<nn::Adam<T>>(std::move(p),
                                         nn::AdamOptions{.learning_rate = o.rate, .weight_decay = o.decay});
  }
  if (o.optimizer == "adamw") {
    return std::make_unique<nn::AdamW<T>>(std::move(p),
                                          nn::AdamWOptions{.learning_rate = o.rate, .weight_decay = o.decay});
  }
  if (o.optimizer == "rmsprop") {
    return std::make_unique<nn::RMSprop<T>>(
        std::move(p), nn::RMSpropOptions{.learning_rate = o.rate, .weight_decay = o.decay});
  }
  return std::make_unique<nn::SGD<T>>(std::move(p),
                                      nn::SGDOptions{.learning_rate = o.rate,
                                                     .momentum = o.optimizer == "momentum" ? o.momentum : 0,
                                                     .weight_decay = o.decay});
}

/// One step of a loop of one's own: forward, backward, update.
template <class T>
void take_step(nn::GradientMonitor<T>& monitor, nn::Optimizer<T>& optimizer, const TrainOptions<T>& o,
               const Tensor<T>& loss) {
  if (o.loop == "around") {
    monitor.before_step();
    optimizer.step();
    monitor.after_step(static_cast<double>(loss.item()), optimizer.learning_rate());
  } else {
    monitor.step(optimizer, static_cast<double>(loss.item()));
  }
}

template <class T>
Samples<T> batch_of(const Samples<T>& all, std::size_t size, std::mt19937& order) {
  if (size == 0) return all;
  Samples<T> batch = all;
  std::vector<int> rows;
  batch.labels.clear();
  for (std::size_t i = 0; i < size; ++i) {
    rows.push_back(static_cast<int>(order() % all.labels.size()));
    batch.labels.push_back(all.labels[static_cast<std::size_t>(rows.back())]);
  }
  batch.x = take(all.x, rows, 0);
  batch.y = take(all.y, rows, 0);
  return batch;
}

template <class T = double>
std::vector<nn::Verdict> train(const NetOptions& net, const DataOptions& data, const TrainOptions<T>& o) {
  seed_runs(o.seed);
  Net<T> model(net);
  const Samples<T> all(data, net.sizes.front(), net.sizes.back());
  std::vector<Tensor<T>> parameters;
  for (const auto& [name, p] : model.named_parameters())
    if (std::ranges::find(o.left_out, name) == o.left_out.end()) parameters.push_back(p);
  const auto optimizer = make_optimizer(o, parameters);
  if (o.before_monitor) o.before_monitor(model);
  nn::GradientMonitor<T> monitor(model);
  if (o.at_start) o.at_start(model);
  const auto loss_of = [&](const Tensor<T>& out, const Samples<T>& batch) {
    return o.loss ? o.loss(out, batch) : usual_loss(data.task, out, batch);
  };

  if (o.loop == "trainer") {
    nn::Dataset<T> set =
        data.task == "classes" ? nn::Dataset<T>(all.x, Indices(all.labels)) : nn::Dataset<T>(all.x, all.y);
    const std::size_t size = o.batch ? o.batch : data.samples;
    nn::DataLoader<T> loader(set, {.batch_size = size});
    nn::Trainer<T> trainer(model, *optimizer, [&](const Tensor<T>& out, const nn::Dataset<T>& batch) {
      Samples<T> part = all;
      part.x = batch.inputs;
      part.y = batch.targets;
      part.labels.clear();
      for (const auto label : batch.labels.values()) part.labels.push_back(static_cast<int>(label));
      return loss_of(out, part);
    });
    trainer.options.epochs = o.steps / loader.size() + 1;
    trainer.options.after_backward = [&] {
      if (o.clip > 0) nn::clip_grad_norm(parameters, o.clip);
      if (o.after_backward) o.after_backward(model);
      monitor.before_step();
    };
    trainer.options.on_batch_end = [&](auto, auto, double loss) {
      monitor.after_step(loss, optimizer->learning_rate());
      if (o.after_step) o.after_step(model);
    };
    try {
      trainer.fit(loader);
    } catch (const Error&) {  // the loss is NaN: what the monitor saw is what counts
    }
    return monitor.verdicts();
  }

  std::mt19937 order(7);
  for (std::size_t step = 0; step < o.steps; ++step) {
    const Samples<T> batch = batch_of(all, o.batch, order);
    if (!o.forgets_zero_grad) model.zero_grad();
    const Tensor<T> loss = loss_of(model(batch.x), batch);
    loss.backward();
    if (o.clip > 0) nn::clip_grad_norm(parameters, o.clip);
    if (o.after_backward) o.after_backward(model);
    if (o.climbs) {
      monitor.before_step();
      for (Tensor<T>& p : parameters)
        if (p.has_grad()) p.assign(p + static_cast<T>(o.rate) * p.grad());
      monitor.after_step(static_cast<double>(loss.item()), o.rate);
    } else {
      take_step(monitor, *optimizer, o, loss);
    }
    if (o.after_step) o.after_step(model);
  }
  return monitor.verdicts();
}

/// A loop over a function of the step, for models that are no Net.
template <class T>
std::vector<nn::Verdict> train_function(nn::GradientMonitor<T>& monitor, nn::Optimizer<T>& optimizer,
                                        std::size_t steps,
                                        const std::function<Tensor<T>(std::size_t step)>& loss_of) {
  for (std::size_t step = 0; step < steps; ++step) {
    optimizer.zero_grad();
    const Tensor<T> loss = loss_of(step);
    loss.backward();
    monitor.step(optimizer, static_cast<double>(loss.item()));
  }
  return monitor.verdicts();
}

}  // namespace xtape::test
