// Runs that are as they should be, of many kinds: no verdict.
#include "training_cases.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

template <class T>
std::vector<nn::Verdict> train_images(std::uint64_t seed, bool small) {
  seed_runs(seed);
  nn::Conv2d<T> first(1, 6, 3, {.padding = 1}), second(6, 8, 3);
  nn::Sequential<T> model(first, nn::ReLU<T>(), nn::MaxPool2d<T>(2), second, nn::ReLU<T>(), nn::Flatten<T>(),
                          nn::Linear<T>(8 * 4, 3));
  nn::GradientMonitor<T> monitor(model);
  nn::Adam<T> adam(model.parameters(), {.learning_rate = small ? 1e-3 : 3e-3});
  Tensor<T> x = random::uniform<T>({48, 1, 8, 8}, 0, T(0.2));  // a bright line: upright, level or slanting
  std::vector<int> labels;
  for (std::size_t i = 0; i < 48; ++i) {
    labels.push_back(static_cast<int>(i % 3));
    const std::size_t at = i / 3 % 8;
    for (std::size_t k = 0; k < 8; ++k)
      x.mutable_data()[64 * i + (i % 3 == 0   ? 8 * k + at
                                 : i % 3 == 1 ? 8 * at + k
                                              : 8 * k + (k + at) % 8)] += T(0.8);
  }
  return train_function<T>(monitor, adam, 50,
                           [&](std::size_t) { return nn::cross_entropy(model(x), labels); });
}

template <class T, class Layer>
std::vector<nn::Verdict> train_sequences(std::uint64_t seed, std::size_t hidden, std::size_t steps) {
  seed_runs(seed);
  Layer layer(3, hidden);
  nn::Linear<T> out(hidden, 1);
  auto parameters = layer.named_parameters();
  for (auto& p : out.named_parameters()) parameters.emplace_back("out." + p.first, p.second);
  std::vector<Tensor<T>> all;
  for (auto& p : parameters) all.push_back(p.second);
  nn::GradientMonitor<T> monitor(parameters);
  nn::Adam<T> adam(all, {.learning_rate = 0.005});
  const Tensor<T> x = random::normal<T>({steps, 24, 3});
  const Tensor<T> y = tanh(sum(sum(x, 0), 1, true) / T(3));
  return train_function<T>(monitor, adam, 50, [&](std::size_t) {
    const Tensor<T> h = layer(x);
    const auto last = static_cast<std::ptrdiff_t>(steps) - 1;
    return nn::mse_loss(out(reshape(slice(h, xt::range(last, last + 1)), {24, hidden})), y);
  });
}

template <class T>
std::vector<nn::Verdict> train_words(std::uint64_t seed) {
  seed_runs(seed);
  nn::Embedding<T> table(20, 8);
  nn::Linear<T> out(8, 2);
  nn::GradientMonitor<T> monitor(
      {{"table", table.weight}, {"out.weight", out.weight}, {"out.bias", out.bias}});
  nn::Adam<T> adam({table.weight, out.weight, out.bias}, {.learning_rate = 0.01});
  std::mt19937 draw(static_cast<unsigned>(seed));
  return train_function<T>(monitor, adam, 80, [&](std::size_t) {
    std::vector<int> words, labels;
    for (int i = 0; i < 32; ++i)
      words.push_back(static_cast<int>(draw() % 20)), labels.push_back(words.back() % 2);
    return nn::cross_entropy(out(tanh(table(words))), labels);
  });
}

/// 18 kinds, in networks and with seeds that `variant` chooses.
std::vector<TrainingCase> healthy_cases(std::uint64_t variant) {
  const std::uint64_t seed = 100 + variant;
  const bool odd = variant % 2 == 1;
  const std::size_t w = odd ? 24 : 16;
  std::vector<TrainingCase> all;
  const auto add = [&](std::string name, std::function<std::vector<nn::Verdict>()> run) {
    all.push_back({"healthy: " + std::move(name), "", {}, {}, std::move(run)});
  };
  add("tanh, SGD", [=] {
    return train<double>({.sizes = {8, w, w, 1}}, {}, {.rate = 0.05, .steps = 100, .seed = seed});
  });
  add("ReLU, Adam, batches", [=] {
    return train<float>(
        {.sizes = {8, w, w, 1}, .activation = "relu"}, {},
        {.optimizer = "adam", .rate = odd ? 3e-3 : 1e-3, .steps = 150, .batch = 24, .seed = seed});
  });
  add("two sigmoid layers, classes", [=] {
    return train<double>({.sizes = {8, w, w, 3}, .activation = "sigmoid"}, {.task = "classes"},
                         {.optimizer = "adam", .rate = 0.01, .steps = 120, .batch = 32, .seed = seed});
  });
  add("residual GELU", [=] {
    return train<float>({.sizes = {8, w, w, w, w, w, 1}, .activation = "gelu", .is_residual = true}, {},
                        {.optimizer = "adam", .rate = 2e-3, .steps = 100, .seed = seed});
  });
  add("batch normalisation, deep", [=] {
    return train<double>(
        {.sizes = {8, w, w, w, w, w, w, 3}, .activation = odd ? "relu" : "sigmoid", .norm = "batch"},
        {.task = "classes"}, {.optimizer = "momentum", .rate = 0.02, .steps = 80, .batch = 32, .seed = seed});
  });
  add("layer normalisation, Trainer", [=] {
    return train<float>({.sizes = {8, w, w, w, 1}, .activation = "silu", .norm = "layer"}, {.task = "binary"},
                        {.optimizer = "adamw",
                         .rate = 3e-3,
                         .decay = 0.01,
                         .steps = 90,
                         .batch = 32,
                         .loop = "trainer",
                         .seed = seed});
  });
  add("momentum, clipping to 1, weight decay of 1e-4", [=] {
    return train<double>({.sizes = {8, w, w, 3}, .activation = "relu"}, {.task = "classes"},
                         {.optimizer = "momentum",
                          .rate = 0.02,
                          .decay = 1e-4,
                          .steps = 120,
                          .batch = 24,
                          .clip = 1,
                          .seed = seed});
  });
  add("inputs from 0 to 1", [=] {
    return train<double>({.sizes = {16, w, 1}, .activation = "relu"},
                         {.x_scale = 1.0 / 255, .is_bytes = true},
                         {.optimizer = "adam", .rate = 3e-3, .steps = 100, .batch = 32, .seed = seed});
  });
  add("logistic regression from weights of 0", [=] {
    return train<double>({.sizes = {8, 1}, .init = "zeros"}, {.task = "binary"},
                         {.rate = 0.2, .steps = 80, .seed = seed});
  });
  add("linear regression, targets of 10", [=] {
    return train<double>({.sizes = {4, 1}}, {.y_scale = 10},
                         {.rate = odd ? 0.02 : 0.05, .steps = 100, .seed = seed});
  });
  add("an autoencoder", [=] {
    return train<float>(
        {.sizes = {8, w, 4, w, 8}}, {},
        {.optimizer = "adam",
         .rate = 3e-3,
         .steps = 120,
         .loss = [](const auto& out, const auto& batch) { return nn::mse_loss(out, batch.x); },
         .seed = seed});
  });
  add("trained to the end, and on", [=] {
    return train<double>({.sizes = {4, w, 3}, .activation = "relu"}, {.samples = 48, .task = "classes"},
                         {.optimizer = "adam", .rate = 0.01, .steps = 600, .seed = seed});
  });
  add("the noise that is left", [=] {
    return train<double>({.sizes = {6, w, 1}}, {},
                         {.optimizer = "adam",
                          .rate = 2e-3,
                          .steps = 200,
                          .batch = 16,
                          .loss =
                              [](const auto& out, const auto& batch) {
                                return nn::mse_loss(out,
                                                    batch.y + 0.5 * random::normal<double>(batch.y.shape()));
                              },
                          .seed = seed});
  });
  add("a few steps only", [=] {
    return train<double>({.sizes = {8, w, w, 1}, .activation = "relu"}, {},
                         {.rate = 0.02, .steps = 6, .seed = seed});
  });
  add("gradients of several batches", [=] {
    seed_runs(seed);
    Net<double> net({.sizes = {8, w, 1}});
    const Samples<double> data({}, 8, 1);
    nn::GradientMonitor<double> monitor(net);
    nn::SGD<double> sgd(net.parameters(), {.learning_rate = 0.05});
    std::mt19937 order(3);
    for (int step = 0; step < 60; ++step) {
      net.zero_grad();
      double total = 0;
      for (int part = 0; part < 4; ++part) {
        const auto batch = batch_of(data, 16, order);
        const auto loss = nn::mse_loss(net(batch.x), batch.y) / 4.0;
        loss.backward();
        total += loss.item();
      }
      monitor.step(sgd, total);
    }
    return monitor.verdicts();
  });
  add("a rate that warms up and falls to 0", [=] {
    seed_runs(seed);
    Net<double> net({.sizes = {8, w, w, 1}, .activation = "relu"});
    const Samples<double> data({}, 8, 1);
    nn::GradientMonitor<double> monitor(net);
    nn::Adam<double> adam(net.parameters());
    return train_function<double>(monitor, adam, 120, [&](std::size_t t) {
      const auto at = static_cast<double>(t);
      adam.set_learning_rate(t < 10 ? 3e-4 * at : 3e-3 * 0.5 * (1 + std::cos(3.14159265 * (at - 10) / 110)));
      return nn::mse_loss(net(data.x), data.y);
    });
  });
  add("images", [=] { return odd ? train_images<double>(seed, true) : train_images<float>(seed, false); });
  add("an LSTM", [=] { return train_sequences<float, nn::LSTM<float>>(seed, odd ? 12 : 8, odd ? 16 : 10); });
  add("a GRU", [=] { return train_sequences<double, nn::GRU<double>>(seed, 10, odd ? 12 : 20); });
  add("an embedding", [=] { return train_words<double>(seed); });
  add("dropout", [=] {
    seed_runs(seed);
    nn::Sequential<float> net(nn::Linear<float>(8, 32), nn::ReLU<float>(), nn::Dropout<float>(0.3),
                              nn::Linear<float>(32, 32), nn::ReLU<float>(), nn::Dropout<float>(0.3),
                              nn::Linear<float>(32, 1));
    const Samples<float> data({.task = "binary"}, 8, 1);
    nn::GradientMonitor<float> monitor(net);
    nn::Adam<float> adam(net.parameters(), {.learning_rate = odd ? 2e-3 : 5e-3});
    return train_function<float>(monitor, adam, 100, [&](std::size_t) {
      return nn::binary_cross_entropy_with_logits(net(data.x), data.y);
    });
  });
  return all;
}

}  // namespace

TEST_CASE("healthy training of many kinds") {
  check_cases(healthy_cases(0), 0);
  check_cases(healthy_cases(1), 0);
}
TEST_CASE("held out: healthy training") {
  check_cases(healthy_cases(2), 0);
  check_cases(healthy_cases(5), 0);
}
TEST_CASE("unseen, healthy") {
  check_cases(healthy_cases(3), 0);
  check_cases(healthy_cases(4), 0);
  check_cases(healthy_cases(6), 0);
  check_cases(healthy_cases(7), 0);
  check_cases(healthy_cases(8), 0);
  check_cases(healthy_cases(9), 0);
}
