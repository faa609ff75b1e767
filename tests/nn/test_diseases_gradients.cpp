// Known diseases of training, each in several networks: the monitor's first verdict is the cause. Here
// gradients that vanish, explode or are NaN, and units that are dead, saturated or all the same. Others are
// in test_diseases_*.cpp; those of test_diseases_held_out_*.cpp were not looked at while limits were chosen.
#include "training_cases.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

std::vector<TrainingCase> vanishing_and_exploding() {
  return {
      {"6 sigmoid layers",
       vanishing,
       {"nn::ReLU"},
       {"1e-97", "Multiply the learning rate"},
       [] {
         return train<double>({.sizes = deep(7, 32), .activation = "sigmoid"}, {},
                              {.rate = 0.1, .steps = 100});
       }},
      {"10 sigmoid layers by Adam",
       vanishing,
       {"nn::ReLU"},
       {"Multiply the learning rate"},
       [] {
         return train<double>({.sizes = deep(11, 24), .activation = "sigmoid"}, {},
                              {.optimizer = "adam", .rate = 0.003, .steps = 120});
       }},
      {"8 sigmoid layers, classes, batches",
       vanishing,
       {"nn::BatchNorm1d"},
       {"Multiply the learning rate"},
       [] {
         return train<float>({.sizes = deep(9, 20, 4), .activation = "sigmoid"}, {.task = "classes"},
                             {.optimizer = "momentum", .rate = 0.05, .steps = 80, .batch = 16});
       }},
      {"tanh, weights too small",
       vanishing,
       {"init::xavier"},
       {"Multiply the learning rate"},
       [] {
         return train<double>({.sizes = deep(6, 32), .deviation = 0.01}, {}, {.rate = 0.05, .steps = 60});
       }},
      {"tanh, weights too small, Adam in a Trainer",
       vanishing,
       {"init::xavier"},
       {"Multiply the learning rate"},
       [] {
         return train<float>({.sizes = deep(8, 16), .deviation = 0.01}, {},
                             {.optimizer = "adam", .rate = 1e-4, .batch = 32, .loop = "trainer"});
       }},
      {"ReLU, weights too small",
       vanishing,
       {"init::he"},
       {"Multiply the learning rate"},
       [] {
         return train<double>({.sizes = deep(6, 24, 3), .activation = "relu", .deviation = 0.01},
                              {.task = "classes"}, {.rate = 0.1, .steps = 60});
       }},
      {"ReLU, weights too large",
       exploding,
       {"init::he"},
       {},
       [] {
         return train<double>({.sizes = deep(8, 32), .activation = "relu", .deviation = 1.5}, {},
                              {.rate = 1e-4, .steps = 30});
       }},
      {"GELU, weights too large, Adam",
       exploding,
       {"init"},
       {},
       [] {
         return train<float>({.sizes = deep(10, 32), .activation = "gelu", .deviation = 1.5}, {},
                             {.optimizer = "adam", .rate = 1e-3, .steps = 30});
       }},
      {"a recurrence with a matrix that grows",
       exploding,
       {"clip_grad_norm"},
       {},
       [] {
         seed_runs(3);
         const auto W = parameter<double>(2.0 * eye<double>(4) + random::normal<double>({4, 4}, 0, 0.1)),
                    out = parameter<double>(random::normal<double>({1, 4}, 0, 0.3));
         nn::GradientMonitor<double> monitor({{"W", W}, {"out", out}});
         nn::SGD<double> sgd({W, out}, {.learning_rate = 1e-4});
         const Tensor<double> x = random::normal<double>({16, 4}, 0, 0.5);
         return train_function<double>(monitor, sgd, 30, [&](std::size_t) {
           Tensor<double> h = x;
           for (int i = 0; i < 24; ++i) h = linear(h, W);
           return nn::mse_loss(linear(h, out), sum(x, 1, true));
         });
       }},
  };
}

std::vector<TrainingCase> units() {
  return {
      {"tanh saturated by large weights",
       saturated,
       {"init::xavier"},
       {},
       [] {
         return train<double>({.sizes = {8, 32, 32, 1}, .deviation = 4}, {}, {.rate = 1e-3, .steps = 40});
       }},
      {"sigmoids saturated by large weights, Adam",
       saturated,
       {"init::xavier"},
       {},
       [] {
         return train<float>({.sizes = {8, 24, 24, 3}, .activation = "sigmoid", .deviation = 8},
                             {.task = "classes"},
                             {.optimizer = "adam", .rate = 1e-3, .steps = 40, .batch = 24});
       }},
      {"ReLU units dead by their biases",
       dead,
       {"leaky_relu"},
       {},
       [] {
         return train<double>({.sizes = {8, 32, 16, 1}, .activation = "relu"}, {},
                              {.rate = 0.02, .steps = 40, .before_monitor = [](Net<double>& net) {
                                 net.layers[0].bias.assign(full<double>({32}, -20));
                               }});
       }},
      {"half of the second layer dead",
       dead,
       {"leaky_relu"},
       {},
       [] {
         return train<double>(
             {.sizes = {8, 16, 16, 3}, .activation = "relu"}, {.task = "classes"},
             {.optimizer = "adam", .rate = 1e-3, .batch = 16, .before_monitor = [](Net<double>& net) {
                Tensor<double> b = zeros<double>({16});
                for (std::size_t i = 0; i < 8; ++i) b.mutable_data()[i] = -50;
                net.layers[1].bias.assign(b);
              }});
       }},
      {"all weights 0, tanh",
       symmetric,
       {"init::xavier"},
       {},
       [] { return train<double>({.init = "zeros"}, {}, {.rate = 0.1}); }},
      {"all weights 0, ReLU, classes, Adam",
       symmetric,
       {"init::he"},
       {},
       [] {
         return train<float>({.sizes = {8, 16, 4}, .activation = "relu", .init = "zeros"},
                             {.task = "classes"}, {.optimizer = "adam", .rate = 0.01, .batch = 32});
       }},
      {"all weights equal, sigmoid",
       symmetric,
       {"init::"},
       {},
       [] {
         return train<double>({.sizes = {6, 12, 12, 1}, .activation = "sigmoid", .init = "constant"}, {},
                              {.optimizer = "momentum", .rate = 0.05, .steps = 80});
       }},
  };
}

/// Trains by a loss of one's own.
std::vector<nn::Verdict> with_loss(
    std::function<Tensor<double>(const Tensor<double>&, const Samples<double>&)> loss, std::size_t out = 1,
    double x_scale = 1) {
  return train<double>({.sizes = {6, 12, out}}, {.x_scale = x_scale},
                       {.rate = 0.05, .steps = 20, .loss = std::move(loss)});
}

std::vector<TrainingCase> not_finite_cases() {
  const auto float_exp = [](bool logarithm) {
    seed_runs(6);
    nn::Linear<float> layer(4, 8);
    nn::GradientMonitor<float> monitor(layer);
    nn::SGD<float> sgd(layer.parameters(), {.learning_rate = 0.01});
    const Tensor<float> x = 3.0F * random::normal<float>({16, 4});
    return train_function<float>(monitor, sgd, 5, [&](std::size_t) {
      const Tensor<float> e = exp(100.0F * layer(x));
      return logarithm ? mean(log(sum(e, 1))) : mean(square(e / sum(e, 1, true) - 0.5F));
    });
  };
  return {
      {"log(0)",
       not_finite,
       {"log"},
       {"logsumexp"},
       [] { return with_loss([](const auto& out, const auto&) { return -mean(log(relu(out))); }); }},
      {"0 log 0 of a cross-entropy by hand",
       not_finite,
       {"cross_entropy"},
       {},
       [] {
         return with_loss(
             [](const auto& out, const auto& batch) {
               const Tensor<double> p = softmax(2000.0 * out, 1);
               return -mean(sum(Tensor<double>(batch.y > 0.0) * log(p), 1));
             },
             3);
       }},
      {"0 / 0",
       not_finite,
       {"divi"},
       {"logsumexp", "cross_entropy"},
       [] {
         return with_loss([](const auto& out, const auto& batch) {
           const Tensor<double> r = relu(out);
           return mean(square(r / sum(r, 1, true) - batch.y));
         });
       }},
      {"exp overflows",
       not_finite,
       {"clamp"},
       {"logsumexp", "cross_entropy"},
       [] {
         return with_loss(
             [](const auto& out, const auto& batch) { return mean(square(exp(1e4 * out) - batch.y)); });
       }},
      {"a softmax by hand overflows", not_finite, {"softmax"}, {}, [=] { return float_exp(false); }},
      {"log Σ exp by hand overflows", not_finite, {"logsumexp"}, {}, [=] { return float_exp(true); }},
      {"the root of 0",
       not_finite,
       {"sqrt"},
       {"logsumexp", "cross_entropy"},
       [] {
         return with_loss(
             [](const auto& out, const auto& batch) { return mean(sqrt(square((out - batch.y) * 0.0))); });
       }},
      {"a power of negative numbers",
       not_finite,
       {"pow"},
       {"logsumexp", "cross_entropy"},
       [] { return with_loss([](const auto& out, const auto&) { return mean(pow(out, 1.5)); }); }},
      {"a NaN among the inputs",
       not_finite,
       {"data"},
       {"logsumexp", "cross_entropy"},
       [] {
         seed_runs(8);
         nn::Linear<double> layer(4, 1);
         nn::GradientMonitor<double> monitor(layer);
         nn::Adam<double> adam(layer.parameters());
         Tensor<double> x = random::normal<double>({16, 4});
         x.mutable_data()[5] = std::nan("");
         return train_function<double>(monitor, adam, 5, [&](std::size_t) {
           return nn::mse_loss(layer(x), ones<double>({16, 1}));
         });
       }},
  };
}

}  // namespace

TEST_CASE("vanishing and exploding gradients") { check_cases(vanishing_and_exploding(), 0); }
TEST_CASE("dead, saturated and symmetric units") { check_cases(units(), 0); }
TEST_CASE("NaN and infinity, by the operation that begins it") { check_cases(not_finite_cases(), 0); }
