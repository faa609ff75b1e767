// The rows about networks: training steps, layers, losses, an optimiser.
#include "torch_peers.hpp"
#include "training_step.hpp"
#include "transformer.hpp"
#include "tuned_peers.hpp"

// Written by write_steps.cpp.
using WrittenStepFunction = float(const float* x, const float* W1, const float* b1, const float* W2,
                                  const float* b2, const float* y, float* d_W1, float* d_b1, float* d_W2,
                                  float* d_b2);
WrittenStepFunction written_step_2_2_1, written_step_2_8_1;

namespace bench {
namespace {

using xtape::Tensor;

/// The same step by compile().
struct CompiledTrainingStep : TrainingStep {
  xtape::Compiled<std::function<Tensor<float>()>> compiled{[this] { return loss(); }};
  using TrainingStep::TrainingStep;

  void run() {
    compiled.backward();
    sgd.step();
  }
};

/// The same step by the C++ that its derivation writes, on plain arrays.
struct WrittenTrainingStep {
  hand_written::Network data;
  WrittenStepFunction* step;
  std::vector<float> dW1, db1, dW2, db2;

  explicit WrittenTrainingStep(const hand_written::Network& network)
      : data(network),
        step(data.batch == 1 ? written_step_2_2_1 : written_step_2_8_1),
        dW1(data.W1.size()),
        db1(data.b1.size()),
        dW2(data.W2.size()),
        db2(data.b2.size()) {}

  void run() {
    data.loss = step(data.x.data(), data.W1.data(), data.b1.data(), data.W2.data(), data.b2.data(),
                     data.y.data(), dW1.data(), db1.data(), dW2.data(), db2.data());
    const auto update = [&](std::vector<float>& w, const std::vector<float>& g) {
      for (std::size_t i = 0; i < w.size(); ++i) w[i] -= data.rate * g[i];
    };
    update(data.W1, dW1);
    update(data.b1, db1);
    update(data.W2, dW2);
    update(data.b2, db2);
  }
  std::vector<double> gradients() const { return flat(dW1, db1, dW2, db2); }
};

template <class Work>
constexpr const char* prefix = "";
template <>
constexpr const char* prefix<CompiledTrainingStep> = "compiled ";
template <>
constexpr const char* prefix<WrittenTrainingStep> = "written ";

template <class Work = TrainingStep>
Row step(std::size_t batch, std::size_t in, std::size_t hidden, std::size_t out,
         std::vector<Target> targets) {
  const auto text = [](std::size_t n) { return std::to_string(n); };
  return row(
      std::string(prefix<Work>) + "step, batch " + text(batch) + ", " + text(in) + "-" + text(hidden) + "-" +
          text(out),
      [=] {
        const hand_written::Network data = network(batch, in, hidden, out);
        return Comparison{side<Work>(data), side<hand_written::Network>(data), tuned_peers::side(data),
                          torch_peers::step(data)};
      },
      std::move(targets));
}

struct ReluLayers {
  Tensor<float> x;
  std::vector<Tensor<float>> parameters;  ///< weight and bias of each layer in turn
  std::vector<Tensor<float>> gradient;

  explicit ReluLayers(const hand_written::ReluLayers& data) : x(tensor(data.x, {data.batch, data.width})) {
    for (std::size_t l = 0; l < data.W.size(); ++l) {
      parameters.push_back(parameter(data.W[l], {data.width, data.width}));
      parameters.push_back(parameter(data.b[l], {data.width}));
    }
  }

  void run() {
    Tensor<float> h = x;
    for (std::size_t i = 0; i < parameters.size(); i += 2)
      h = relu(linear(h, parameters[i], parameters[i + 1]));
    gradient = grad(mean(h), parameters);
  }
  std::vector<double> gradients() const {
    std::vector<double> all;
    for (const Tensor<float>& g : gradient) all.insert(all.end(), g.begin(), g.end());
    return all;
  }
};

Comparison relu_layers() {
  hand_written::ReluLayers data{};
  data.batch = 32;
  data.width = 64;
  data.x = normal<float>(data.batch * data.width);
  for (int layer = 0; layer < 20; ++layer) {
    data.W.push_back(normal<float>(data.width * data.width, std::sqrt(2 / static_cast<double>(data.width))));
    data.b.push_back(normal<float>(data.width, 0.1));
  }
  return {side<ReluLayers>(data), side<hand_written::ReluLayers>(data), tuned_peers::side(data),
          torch_peers::relu_layers(data)};
}

struct Convolution {
  Tensor<float> x, W, b;
  std::vector<Tensor<float>> gradient;

  explicit Convolution(const hand_written::Convolution& data)
      : x(parameter(data.x, {data.batch, data.in, data.size, data.size})),
        W(parameter(data.W, {data.out, data.in, data.kernel, data.kernel})),
        b(parameter(data.b, {data.out})) {}

  void run() { gradient = grad(mean(square(conv2d(x, W, b, {.padding = 1}))) * 0.5f, {x, W, b}); }
  std::vector<double> gradients() const { return flat(gradient[0], gradient[1], gradient[2]); }
};

Comparison convolution() {
  hand_written::Convolution data{};
  data.batch = data.in = 16;
  data.out = 32;
  data.size = 28;
  data.kernel = 3;
  data.x = normal<float>(data.batch * data.in * data.size * data.size);
  data.W = normal<float>(data.out * data.in * data.kernel * data.kernel, 0.1);
  data.b = normal<float>(data.out, 0.1);
  return {side<Convolution>(data), side<hand_written::Convolution>(data), tuned_peers::side(data),
          torch_peers::convolution(data)};
}

struct SoftmaxCrossEntropy {
  Tensor<float> z;
  xtape::Indices labels;
  Tensor<float> gradient;

  explicit SoftmaxCrossEntropy(const hand_written::SoftmaxCrossEntropy& data)
      : z(parameter(data.z, {data.rows, data.classes})), labels(data.labels) {}

  void run() { gradient = grad(xtape::nn::cross_entropy(z, labels), z); }
  std::vector<double> gradients() const { return flat(gradient); }
};

Comparison softmax_cross_entropy() {
  hand_written::SoftmaxCrossEntropy data{};
  data.rows = 128;
  data.classes = 1000;
  data.z = normal<float>(data.rows * data.classes);
  for (std::size_t i = 0; i < data.rows; ++i) data.labels.push_back(i * 37 % data.classes);
  return {side<SoftmaxCrossEntropy>(data), side<hand_written::SoftmaxCrossEntropy>(data),
          tuned_peers::side(data), torch_peers::softmax_cross_entropy(data)};
}

struct BatchNorm {
  Tensor<float> x, gamma, beta, g;
  std::vector<Tensor<float>> gradient;

  explicit BatchNorm(const hand_written::BatchNorm& data)
      : x(parameter(data.x, {data.rows, data.features})),
        gamma(parameter(data.gamma, {data.features})),
        beta(parameter(data.beta, {data.features})),
        g(tensor(data.g, {data.rows, data.features})) {}

  void run() { gradient = grad(batch_norm(x, gamma, beta), {x, gamma, beta}, {.seed = g}); }
  std::vector<double> gradients() const { return flat(gradient[0], gradient[1], gradient[2]); }
};

Comparison batch_normalization() {
  hand_written::BatchNorm data{};
  data.rows = 128;
  data.features = 256;
  data.x = normal<float>(data.rows * data.features, 3);
  data.gamma = uniform<float>(data.features);
  data.beta = normal<float>(data.features);
  data.g = normal<float>(data.x.size());
  return {side<BatchNorm>(data), side<hand_written::BatchNorm>(data), tuned_peers::side(data),
          torch_peers::batch_norm(data)};
}

struct Adam {
  Tensor<float> w;
  xtape::nn::Adam<float> adam;

  explicit Adam(const hand_written::Adam& data)
      : w(parameter(data.w, {data.w.size()})), adam({w}, {.learning_rate = data.rate}) {
    sum(w * Tensor<float>(data.g)).backward();
  }

  void run() { adam.step(); }
  std::vector<double> gradients() const { return flat(w); }
};

Comparison adam() {
  hand_written::Adam data{};
  data.w = normal<float>(100'000);
  data.g = normal<float>(data.w.size());
  return {side<Adam>(data), side<hand_written::Adam>(data), tuned_peers::side(data), torch_peers::adam(data)};
}

/// The loss of a training step and its gradient, without the update.
struct ValueAndGradient : TrainingStep {
  using TrainingStep::TrainingStep;
  std::vector<Tensor<float>> gradient;

  void run() { gradient = grad(loss(), {W1, b1, W2, b2}); }
};

struct ValueAlone : TrainingStep {
  using TrainingStep::TrainingStep;
  Tensor<float> value;

  void run() {
    const xtape::NoGrad off;
    value = loss();
  }
};

/// The loss, and how it changes when the first weights move: forward mode.
struct ValueAndProduct : TrainingStep {
  using TrainingStep::TrainingStep;
  Tensor<float> direction, product;

  void run() {
    const Tensor<float> own = W1;
    if (!direction.defined()) direction = 0.5f * own.detach();
    const auto loss_at = [&](const Tensor<float>& at) {
      W1 = at;
      return loss();
    };
    product = jvp(loss_at, own, direction).second;
    W1 = own;
  }
};

/// The other sides make an update too: there is only the value to compare with.
template <class Both>
Comparison beside_value() {
  const hand_written::Network data = network(128, 784, 512, 10);
  const auto both = std::make_shared<Both>(data);
  const auto value = std::make_shared<ValueAlone>(data);
  Comparison sides;
  sides.xtape.run = [both] { both->run(); };
  sides.baseline.run = [value] { value->run(); };
  return sides;
}

/// Both update their weights, in the same way.
Comparison transformer_step() { return {side<TransformerStep<>>(2), {}, {}, {}, side<TransformerStep<>>(1)}; }

Comparison transformer_gradients() {
  const TransformerData data;
  return {side<TransformerGradients<AttentionBy::operation>>(data),
          {},
          {},
          torch_peers::transformer(data),
          side<TransformerGradients<AttentionBy::products>>(data)};
}

Comparison attention_gradients() {
  const AttentionData data(1024);
  return {side<AttentionGradients<AttentionBy::operation>>(data),
          {},
          {},
          torch_peers::attention(data),
          side<AttentionGradients<AttentionBy::products>>(data)};
}

}  // namespace

std::vector<Row> network_rows() {
  return {
      step(1, 2, 2, 1, {faster_than_libtorch(60)}),
      step(4, 2, 8, 1, {faster_than_libtorch(40)}),
      step<CompiledTrainingStep>(1, 2, 2, 1, {within_hand_written(2.5), faster_than_libtorch(400)}),
      step<CompiledTrainingStep>(4, 2, 8, 1, {within_hand_written(1.2)}),
      step<WrittenTrainingStep>(1, 2, 2, 1, {within_hand_written(1)}),
      step<WrittenTrainingStep>(4, 2, 8, 1, {within_hand_written(1)}),
      step(32, 64, 32, 10, {faster_than_libtorch(6), within_hand_written(1.3)}),
      step(64, 784, 128, 10, {faster_than_libtorch(1.25), within_hand_written(1.05)}),
      step(128, 784, 512, 10, {faster_than_libtorch(1.08), within_hand_written(1.03)}),
      row("20 ReLU layers of 64, batch 32", relu_layers, {faster_than_libtorch(2)}),
      row("convolution 3×3, 16×16×28×28 to 32 channels", convolution, {faster_than_libtorch(1)}),
      row("softmax cross-entropy, 128×1000", softmax_cross_entropy, {faster_than_libtorch(2)}),
      row("batch normalisation, 128×256", batch_normalization, {faster_than_libtorch(2)}),
      row("Adam, 100,000 weights", adam, {faster_than_libtorch(2)}),
      row("value and gradient, 784-512-10", beside_value<ValueAndGradient>,
          {within_baseline(2.2, "value alone")}),
      row("value and product along a direction, 784-512-10", beside_value<ValueAndProduct>,
          {within_baseline(2.2, "value alone")}),
      row("causal attention, 4 heads of 32, 1,024 tokens", attention_gradients,
          {faster_than_libtorch(1), within_baseline(0.7, "products and softmax")}),
      row("gradients of a transformer, 0.8M weights, 1,024 tokens", transformer_gradients,
          {faster_than_libtorch(1.8), within_baseline(0.85, "attention by products and softmax")}),
      row("step of a transformer, 0.8M weights, 1,024 tokens, 2 threads", transformer_step,
          {faster_than_baseline(1.7, "1 thread")}),
  };
}

}  // namespace bench
