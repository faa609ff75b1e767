// A third set of runs, of what people ask about besides: written after the monitor was done.
#include "training_cases.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

/// h ← tanh(W h + U x) over the steps of a sequence, whose first element is to be remembered.
std::vector<nn::Verdict> remember(double scale, std::size_t steps, std::uint64_t seed) {
  seed_runs(seed);
  const auto W = parameter<double>(nn::init::orthogonal<double>({12, 12}, scale)),
             U = parameter<double>(nn::init::xavier_uniform<double>({12, 2})),
             V = parameter<double>(nn::init::xavier_uniform<double>({1, 12}));
  nn::GradientMonitor<double> monitor({{"U", U}, {"W", W}, {"V", V}});
  nn::Adam<double> adam({U, W, V}, {.learning_rate = 1e-3});
  std::vector<Tensor<double>> x;
  for (std::size_t t = 0; t < steps; ++t) x.push_back(random::normal<double>({24, 2}));
  const Tensor<double> y = tanh(sum(x[0], 1, true));
  return train_function<double>(monitor, adam, 40, [&](std::size_t) {
    Tensor<double> h = zeros<double>({24, 12});
    for (const auto& part : x) h = tanh(linear(h, W) + linear(part, U));
    return nn::mse_loss(linear(h, V), y);
  });
}

/// Adam and a loop whose order is `order`: z zero_grad, b backward, s step.
std::vector<nn::Verdict> in_order(const std::string& order, std::uint64_t seed) {
  seed_runs(seed);
  Net<double> net({.sizes = {8, 16, 1}, .activation = "relu"});
  const Samples<double> data({}, 8, 1);
  nn::GradientMonitor<double> monitor(net);
  nn::Adam<double> adam(net.parameters());
  for (int i = 0; i < 40; ++i) {
    const auto loss = nn::mse_loss(net(data.x), data.y);
    for (const char c : order) {
      if (c == 'z') adam.zero_grad();
      if (c == 'b') loss.backward();
      if (c == '(') monitor.before_step();
      if (c == 's') adam.step();
      if (c == ')') monitor.after_step(loss.item(), 1e-3);
    }
  }
  return monitor.verdicts();
}

std::vector<TrainingCase> cases() {
  return {
      {"a plain recurrence forgets",
       vanishing,
       {"nn::LSTM"},
       {"Multiply the learning rate"},
       [] { return remember(0.3, 20, 1); }},
      {"a recurrence over 40 steps",
       vanishing,
       {"nn::LSTM"},
       {"Multiply the learning rate"},
       [] { return remember(0.5, 40, 2); }},
      {"zero_grad between backward and step",
       not_updated,
       {"zero_grad() belongs before backward()"},
       {},
       [] { return in_order("bz(s)", 3); }},
      {"no step()", not_updated, {"step()"}, {"Multiply"}, [] { return in_order("zb()", 4); }},
      {"zero_grad before the loop only", accumulated, {"zero_grad"}, {}, [] { return in_order("b(s)", 5); }},
      {"the usual order", "", {}, {}, [] { return in_order("zb(s)", 6); }},
      {"zero_grad at the end", "", {}, {}, [] { return in_order("b(s)z", 6); }},
      {"the optimiser of another model",
       not_updated,
       {"optimiser"},
       {},
       [] {
         seed_runs(7);
         Net<double> net({}), other({});
         const Samples<double> data({}, 8, 1);
         nn::GradientMonitor<double> monitor(net);
         nn::SGD<double> sgd(other.parameters(), {.learning_rate = 0.05});
         for (int i = 0; i < 30; ++i) {
           net.zero_grad();
           const auto loss = nn::mse_loss(net(data.x), data.y);
           loss.backward();
           monitor.step(sgd, loss.item());
         }
         return monitor.verdicts();
       }},
      {"backward() of minus the loss that is told",
       ascent,
       {"sign"},
       {},
       [] {
         seed_runs(8);
         Net<double> net({.sizes = {8, 16, 1}});
         const Samples<double> data({}, 8, 1);
         nn::GradientMonitor<double> monitor(net);
         nn::SGD<double> sgd(net.parameters(), {.learning_rate = 0.01});
         for (int i = 0; i < 40; ++i) {
           net.zero_grad();
           const auto loss = nn::mse_loss(net(data.x), data.y);
           (-loss).backward();
           monitor.step(sgd, loss.item());
         }
         return monitor.verdicts();
       }},
      {"targets of 5 for a sigmoid",
       targets,
       {"range"},
       {},
       [] {
         return train<double>({.sizes = {8, 16, 1}, .output = "sigmoid"}, {.y_scale = 3, .y_shift = 5},
                              {.optimizer = "adam", .rate = 3e-3, .seed = 9});
       }},
      {"targets of 100 with deviation 1",
       targets,
       {"scale the targets"},
       {},
       [] {
         return train<float>({.sizes = {8, 16, 16, 1}, .activation = "relu"}, {.y_shift = 100},
                             {.optimizer = "adam", .rate = 1e-3, .seed = 10});
       }},
      {"30 residual layers without normalisation",
       exploding,
       {"nn::BatchNorm1d"},
       {},
       [] {
         return train<double>(
             {.sizes = deep(31, 16), .activation = "relu", .init = "he", .is_residual = true}, {},
             {.optimizer = "adam", .rate = 1e-5, .steps = 30, .seed = 11});
       }},
      {"15 tanh layers with weights of 0.03",
       vanishing,
       {"init::xavier"},
       {"Multiply the learning rate"},
       [] {
         return train<double>({.sizes = deep(16, 20), .deviation = 0.03}, {},
                              {.rate = 0.1, .steps = 60, .seed = 12});
       }},
      {"9 sigmoid layers in a sum over the batch",
       vanishing,
       {"nn::ReLU"},
       {},
       [] {
         return train<double>(
             {.sizes = deep(10, 16), .activation = "sigmoid"}, {.samples = 256},
             {.rate = 1e-4,
              .steps = 60,
              .loss = [](const auto& out,
                         const auto& batch) { return nn::mse_loss(out, batch.y, nn::Reduction::sum); },
              .seed = 13});
       }},
      {"sigmoids saturated by their biases",
       saturated,
       {},
       {},
       [] {
         return train<double>({.sizes = {8, 16, 16, 1}, .activation = "sigmoid"}, {},
                              {.rate = 0.05,
                               .steps = 40,
                               .before_monitor =
                                   [](auto& net) {
                                     net.layers[0].bias.assign(full<double>({16}, 9));
                                     net.layers[1].bias.assign(full<double>({16}, -9));
                                   },
                               .seed = 14});
       }},
      {"a ReLU as output, for negative targets",
       dead,
       {},
       {},
       [] {
         return train<double>({.sizes = {8, 16, 1}, .activation = "tanh", .output = "relu"}, {.y_shift = -6},
                              {.optimizer = "adam", .rate = 0.01, .steps = 80, .seed = 15});
       }},
      {"SGD at rate 30, momentum",
       too_high,
       {"Multiply the learning rate by 0.1"},
       {},
       [] {
         return train<float>({.sizes = {8, 24, 3}, .activation = "relu"}, {.task = "classes"},
                             {.optimizer = "momentum", .rate = 30, .steps = 50, .batch = 24, .seed = 16});
       }},
      {"Adam at rate 0.5, GELU",
       too_high,
       {"from 0.5 to 0.05"},
       {},
       [] {
         return train<double>({.sizes = {8, 32, 32, 3}, .activation = "gelu"}, {.task = "classes"},
                              {.optimizer = "adam", .rate = 0.5, .steps = 80, .batch = 32, .seed = 17});
       }},
      {"Adam at rate 1, one layer",
       too_high,
       {"from 1 to 0.1"},
       {},
       [] {
         return train<double>({.sizes = {8, 24, 1}, .activation = "tanh"}, {},
                              {.optimizer = "adam", .rate = 1, .steps = 60, .seed = 18});
       }},
      {"Adam at rate 1, batch normalisation",
       too_high,
       {"from 1 to 0.1"},
       {},
       [] {
         return train<double>({.sizes = {8, 24, 24, 1}, .activation = "relu", .norm = "batch"}, {},
                              {.optimizer = "adam", .rate = 1, .steps = 60, .batch = 32, .seed = 19});
       }},
      {"Adam at rate 10",
       too_high,
       {"from 10 to 1"},
       {},
       [] {
         return train<float>({.sizes = {8, 24, 24, 3}, .activation = "relu"}, {.task = "classes"},
                             {.optimizer = "adam", .rate = 10, .steps = 60, .batch = 32, .seed = 20});
       }},
      {"an LSTM by Adam at rate 1",
       too_high,
       {"from 1 to 0.1"},
       {},
       [] {
         seed_runs(21);
         nn::LSTM<double> lstm(3, 8);
         nn::Linear<double> out(8, 1);
         auto named = lstm.named_parameters();
         named.emplace_back("out.weight", out.weight);
         std::vector<Tensor<double>> all;
         for (auto& p : named) all.push_back(p.second);
         nn::GradientMonitor<double> monitor(named);
         nn::Adam<double> adam(all, {.learning_rate = 1});
         const Tensor<double> x = random::normal<double>({8, 16, 3}), y = tanh(sum(sum(x, 0), 1, true));
         return train_function<double>(monitor, adam, 50, [&](std::size_t) {
           return nn::mse_loss(out(reshape(slice(lstm(x), xt::range(7, 8)), {16, 8})), y);
         });
       }},
      {"SGD at rate 1e-7",
       too_low,
       {"Multiply the learning rate by 10,"},
       {},
       [] {
         return train<double>({.sizes = {8, 32, 32, 1}, .activation = "gelu"}, {},
                              {.rate = 1e-7, .steps = 40, .seed = 22});
       }},
      {"AdamW at rate 1e-8, batches",
       too_low,
       {"Multiply the learning rate by 10,"},
       {},
       [] {
         return train<float>(
             {.sizes = {8, 32, 3}}, {.task = "classes"},
             {.optimizer = "adamw", .rate = 1e-8, .decay = 0.01, .steps = 60, .batch = 32, .seed = 23});
       }},
      {"L2 of 3 in the loss",
       decay,
       {"weight_decay"},
       {},
       [] {
         return train<double>({.sizes = {8, 24, 1}, .activation = "relu"}, {},
                              {.rate = 0.05, .decay = 3, .steps = 60, .batch = 32, .seed = 24});
       }},
      {"clipping of each element to 1e-7",
       clipped,
       {"clip"},
       {},
       [] {
         return train<double>(
             {.sizes = {8, 24, 1}}, {},
             {.rate = 0.05,
              .steps = 40,
              .after_backward = [](auto& net) { nn::clip_grad_value(net.parameters(), 1e-7); },
              .seed = 25});
       }},
      {"pixels of 0 to 255, linear",
       inputs,
       {"scale the inputs"},
       {},
       [] {
         return train<double>({.sizes = {30, 3}}, {.task = "classes", .is_bytes = true},
                              {.rate = 0.1, .steps = 50, .seed = 26});
       }},
      {"pixels of 0 to 255 into a GRU",
       inputs,
       {"scale the inputs"},
       {},
       [] {
         seed_runs(27);
         nn::GRU<double> gru(4, 8);
         nn::Linear<double> out(8, 2);
         auto named = gru.named_parameters();
         named.emplace_back("out.weight", out.weight);
         std::vector<Tensor<double>> all;
         for (auto& p : named) all.push_back(p.second);
         nn::GradientMonitor<double> monitor(named);
         nn::Adam<double> adam(all);
         const Tensor<double> x = random::uniform<double>({6, 16, 4}, 0, 255);
         std::vector<int> labels;
         for (std::size_t i = 0; i < 16; ++i) labels.push_back(x.data()[4 * i] > 128);
         return train_function<double>(monitor, adam, 40, [&](std::size_t) {
           return nn::cross_entropy(out(reshape(slice(gru(x), xt::range(5, 6)), {16, 8})), labels);
         });
       }},
      {"a feature in milliseconds since 1970",
       inputs,
       {"Standardizer"},
       {},
       [] {
         return train<double>({.sizes = {4, 16, 1}, .activation = "relu"}, {.feature_scales = {1, 1.7e12}},
                              {.optimizer = "adam", .rate = 1e-3, .steps = 50, .seed = 28});
       }},
      {"log_softmax of softmax, by hand",
       probabilities,
       {"softmax"},
       {},
       [] {
         return train<double>({.sizes = {8, 16, 3}}, {.task = "classes"},
                              {.rate = 0.1,
                               .loss =
                                   [](const auto& out, const auto& batch) {
                                     Tensor<double> rows = zeros<double>(out.shape());
                                     for (std::size_t i = 0; i < batch.labels.size(); ++i)
                                       rows.mutable_data()[3 * i + std::size_t(batch.labels[i])] = 1;
                                     return nn::cross_entropy(softmax(out, 1), rows);
                                   },
                               .seed = 29});
       }},
      {"an embedding that no optimiser holds",
       not_updated,
       {"table"},
       {},
       [] {
         seed_runs(30);
         nn::Embedding<double> table(10, 6);
         nn::Linear<double> out(6, 2);
         nn::GradientMonitor<double> monitor(
             {{"table", table.weight}, {"out.weight", out.weight}, {"out.bias", out.bias}});
         nn::SGD<double> sgd({out.weight, out.bias}, {.learning_rate = 0.1});
         const std::vector<int> words{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, labels{0, 1, 0, 1, 0, 1, 0, 1, 0, 1};
         return train_function<double>(monitor, sgd, 30, [&](std::size_t) {
           return nn::cross_entropy(out(tanh(table(words))), labels);
         });
       }},
      {"batch normalisation that the optimiser leaves out",
       not_updated,
       {"norm0.weight"},
       {},
       [] {
         return train<double>({.sizes = {8, 16, 16, 1}, .norm = "batch"}, {},
                              {.left_out = {"norm0.weight", "norm0.bias"}, .seed = 31});
       }},
      {"an encoder whose output is copied",
       no_gradient,
       {"0.weight", "detach"},
       {},
       [] {
         seed_runs(32);
         Net<double> encoder({.sizes = {6, 8}}), decoder({.sizes = {8, 6}});
         auto named = encoder.named_parameters();
         for (auto& p : decoder.named_parameters()) named.emplace_back("decoder." + p.first, p.second);
         std::vector<Tensor<double>> all;
         for (auto& p : named) all.push_back(p.second);
         nn::GradientMonitor<double> monitor(named);
         nn::Adam<double> adam(all);
         const Tensor<double> x = random::normal<double>({32, 6});
         return train_function<double>(monitor, adam, 30, [&](std::size_t) {
           const Tensor<double> copy(encoder(x).value());
           return nn::mse_loss(decoder(copy), x);
         });
       }},
      {"convolutions of weights 0",
       symmetric,
       {"init::he"},
       {},
       [] {
         seed_runs(33);
         nn::Conv2d<double> first(1, 4, 3), second(4, 4, 3);
         nn::Linear<double> last(4 * 4, 2);
         for (auto* w : {&first.weight, &second.weight, &last.weight}) w->assign(zeros<double>(w->shape()));
         nn::Sequential<double> net(first, nn::ReLU<double>(), second, nn::ReLU<double>(),
                                    nn::Flatten<double>(), last);
         nn::GradientMonitor<double> monitor(net);
         nn::SGD<double> sgd(net.parameters(), {.learning_rate = 0.1});
         const Tensor<double> x = random::normal<double>({16, 1, 6, 6});
         std::vector<int> labels;
         for (std::size_t i = 0; i < 16; ++i) labels.push_back(x.data()[36 * i] > 0);
         return train_function<double>(monitor, sgd, 30,
                                       [&](std::size_t) { return nn::cross_entropy(net(x), labels); });
       }},
      {"log of a probability of 0, later",
       not_finite,
       {"log"},
       {},
       [] {
         return train<double>({.sizes = {8, 16, 1}, .output = "sigmoid"}, {.task = "binary"},
                              {.rate = 1,
                               .steps = 60,
                               .loss =
                                   [](const auto& out, const auto& batch) {
                                     const auto p = relu(out - 0.4) / 0.6;
                                     return -mean(batch.y * log(p) + (1.0 - batch.y) * log(1.0 - p));
                                   },
                               .seed = 34});
       }},
      {"the variance of one sample, by hand",
       not_finite,
       {"divi"},
       {"logsumexp"},
       [] {
         return train<double>({.sizes = {8, 4, 1}}, {.samples = 1},
                              {.rate = 0.1,
                               .steps = 10,
                               .loss =
                                   [](const auto& out, const auto&) {
                                     const auto centred = out - mean(out, 0, true);
                                     return mean(square(centred / sqrt(mean(square(centred), 0, true))));
                                   },
                               .seed = 35});
       }},
  };
}

}  // namespace

TEST_CASE("unseen") { check_cases(cases(), 0); }
