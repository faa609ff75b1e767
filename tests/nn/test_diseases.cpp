// Known diseases of training, each in several networks: the monitor's first verdict is the cause. And healthy
// runs, of which it says nothing. The other half, test_diseases_held_out.cpp, was not looked at while limits
// were chosen.
#include "healthy_training.hpp"

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

std::vector<TrainingCase> rates() {
  return {
      {"SGD at rate 10, tanh",
       too_high,
       {"Multiply the learning rate by 0."},
       {"by 1e-"},
       [] { return train<double>({}, {}, {.rate = 10, .steps = 60}); }},
      {"SGD diverges, ReLU",
       too_high,
       {"Multiply the learning rate by 0."},
       {"by 1e-"},
       [] { return train<double>({.activation = "relu"}, {}, {.rate = 2, .steps = 60}); }},
      {"Adam at rate 1, ReLU",
       too_high,
       {"Multiply the learning rate by 0.", "from 1 to 0."},
       {},
       [] {
         return train<double>({.sizes = {8, 32, 32, 1}, .activation = "relu"}, {},
                              {.optimizer = "adam", .rate = 1, .steps = 80, .batch = 24});
       }},
      {"Adam at rate 1, tanh, classes",
       too_high,
       {"Multiply the learning rate by 0."},
       {},
       [] {
         return train<float>({.sizes = {8, 32, 32, 4}}, {.task = "classes"},
                             {.optimizer = "adam", .rate = 1, .steps = 80, .batch = 24});
       }},
      {"Adam at rate 1, sigmoid, Trainer",
       too_high,
       {"Multiply the learning rate by 0."},
       {},
       [] {
         return train<double>({.sizes = {8, 32, 32, 1}, .activation = "sigmoid"}, {.task = "binary"},
                              {.optimizer = "adam", .rate = 1, .steps = 80, .batch = 24, .loop = "trainer"});
       }},
      {"RMSprop at rate 1",
       too_high,
       {"Multiply the learning rate by 0."},
       {},
       [] {
         return train<double>({.sizes = {8, 24, 24, 1}, .activation = "gelu"}, {},
                              {.optimizer = "rmsprop", .rate = 1, .steps = 60});
       }},
      {"momentum with a large rate",
       too_high,
       {"Multiply the learning rate by 0."},
       {},
       [] {
         return train<double>(
             {.sizes = {8, 24, 1}, .activation = "relu"}, {},
             {.optimizer = "momentum", .rate = 1, .momentum = 0.95, .steps = 60, .batch = 32});
       }},
      {"a loss that is a sum over the batch",
       too_high,
       {},
       {},
       [] {
         return train<double>({.activation = "relu"}, {.samples = 512},
                              {.rate = 0.05, .steps = 40, .loss = [](const auto& out, const auto& batch) {
                                 return nn::mse_loss(out, batch.y, nn::Reduction::sum);
                               }});
       }},
      {"SGD at rate 1e-9",
       too_low,
       {"Multiply the learning rate by 10"},
       {"1e+0"},
       [] { return train<double>({}, {}, {.rate = 1e-9, .steps = 40}); }},
      {"Adam at rate 1e-9, ReLU, classes",
       too_low,
       {"Multiply the learning rate by 10"},
       {},
       [] {
         return train<double>({.sizes = {8, 32, 4}, .activation = "relu"}, {.task = "classes"},
                              {.optimizer = "adam", .rate = 1e-9, .steps = 40, .batch = 32});
       }},
      {"a rate of 0",
       too_low,
       {"learning rate"},
       {},
       [] { return train<double>({}, {}, {.rate = 0, .steps = 40}); }},
      {"a weight decay that leaves nothing",
       decay,
       {"weight_decay"},
       {},
       [] { return train<double>({.activation = "relu"}, {}, {.rate = 0.1, .decay = 2, .steps = 80}); }},
      {"AdamW with a decay of 10",
       decay,
       {"weight_decay"},
       {},
       [] {
         return train<double>({.sizes = {8, 32, 32, 3}}, {.task = "classes"},
                              {.optimizer = "adamw", .rate = 0.01, .decay = 10, .steps = 120, .batch = 32});
       }},
      {"clipping to 1e-6",
       clipped,
       {"clip_grad_norm"},
       {},
       [] { return train<double>({}, {}, {.rate = 0.05, .steps = 40, .clip = 1e-6}); }},
      {"gradient ascent by one's own update",
       ascent,
       {"sign"},
       {},
       [] { return train<double>({}, {}, {.rate = 0.02, .steps = 60, .climbs = true}); }},
      {"gradient ascent, classes, batches",
       ascent,
       {"sign"},
       {},
       [] {
         return train<float>({.sizes = {8, 16, 3}, .activation = "relu"}, {.task = "classes"},
                             {.rate = 0.02, .steps = 60, .batch = 32, .climbs = true});
       }},
      {"the loss with the sign reversed",
       ascent,
       {"sign"},
       {},
       [] {
         return train<double>({.activation = "relu"}, {},
                              {.rate = 0.01, .steps = 60, .loss = [](const auto& out, const auto& batch) {
                                 return -nn::mse_loss(out, batch.y);
                               }});
       }},
      {"zero_grad forgotten, SGD",
       accumulated,
       {"zero_grad"},
       {},
       [] { return train<double>({}, {}, {.rate = 0.02, .steps = 60, .forgets_zero_grad = true}); }},
      {"zero_grad forgotten, Adam, batches",
       accumulated,
       {"zero_grad"},
       {},
       [] {
         return train<float>(
             {.sizes = {8, 24, 4}, .activation = "relu"}, {.task = "classes"},
             {.optimizer = "adam", .rate = 1e-3, .steps = 60, .batch = 16, .forgets_zero_grad = true});
       }},
      {"zero_grad forgotten, until it diverges",
       accumulated,
       {"zero_grad"},
       {},
       [] {
         return train<double>({.activation = "relu"}, {},
                              {.rate = 0.2, .steps = 120, .loop = "around", .forgets_zero_grad = true});
       }},
  };
}

std::vector<TrainingCase> data_and_scales() {
  return {
      {"inputs of 0 to 255, ReLU",
       inputs,
       {"scale the inputs"},
       {"1e-97"},
       [] {
         return train<double>({.sizes = {16, 24, 1}, .activation = "relu"}, {.is_bytes = true},
                              {.rate = 0.01, .steps = 40});
       }},
      {"inputs of 0 to 255, tanh, classes",
       inputs,
       {"scale the inputs"},
       {},
       [] {
         return train<float>({.sizes = {16, 24, 24, 3}}, {.task = "classes", .is_bytes = true},
                             {.optimizer = "adam", .rate = 1e-3, .steps = 60, .batch = 32});
       }},
      {"inputs of 0 to 255, sigmoid",
       inputs,
       {"scale the inputs"},
       {},
       [] {
         return train<double>({.sizes = {16, 24, 1}, .activation = "sigmoid"},
                              {.task = "binary", .is_bytes = true},
                              {.rate = 0.1, .steps = 60, .loop = "trainer"});
       }},
      {"features of very different sizes",
       inputs,
       {"Standardizer"},
       {},
       [] {
         return train<double>({.sizes = {4, 1}}, {.feature_scales = {1, 0.01, 3000}},
                              {.rate = 1e-8, .steps = 60});
       }},
      {"a feature of 10,000, tanh",
       inputs,
       {"Standardizer"},
       {},
       [] {
         return train<double>({.sizes = {6, 16, 1}}, {.feature_scales = {1, 1e4}},
                              {.optimizer = "adam", .rate = 1e-3, .steps = 60, .batch = 16});
       }},
      {"targets of 10,000, SGD",
       targets,
       {"scale the targets"},
       {},
       [] { return train<double>({.activation = "relu"}, {.y_scale = 1e4}, {.rate = 0.01, .steps = 60}); }},
      {"targets of 10,000, Adam",
       targets,
       {"scale the targets"},
       {},
       [] {
         return train<double>({.sizes = {8, 32, 32, 1}, .activation = "relu"}, {.y_scale = 1e4},
                              {.optimizer = "adam", .rate = 1e-3, .steps = 80, .batch = 32});
       }},
      {"softmax, then cross_entropy",
       probabilities,
       {"cross_entropy"},
       {},
       [] {
         return train<double>({.sizes = {8, 24, 4}, .activation = "relu", .output = "softmax"},
                              {.task = "classes"}, {.rate = 0.1, .steps = 40});
       }},
      {"sigmoid, then the loss of logits",
       probabilities,
       {"binary_cross_entropy_with_logits"},
       {},
       [] {
         return train<float>(
             {.sizes = {8, 24, 1}, .activation = "relu", .output = "sigmoid"}, {.task = "binary"},
             {.optimizer = "adam", .rate = 1e-3, .steps = 40, .batch = 32, .loop = "trainer"});
       }},
  };
}

std::vector<TrainingCase> parts() {
  return {
      {"a layer that no optimiser holds",
       not_updated,
       {"1.weight", "parameters()"},
       {},
       [] {
         return train<double>({}, {}, {.left_out = {"1.weight", "1.bias"}});
       }},
      {"the same around the step, Adam",
       not_updated,
       {"0.weight"},
       {},
       [] {
         return train<float>({.sizes = {8, 16, 3}, .activation = "relu"}, {.task = "classes"},
                             {.optimizer = "adam",
                              .rate = 1e-3,
                              .batch = 32,
                              .loop = "around",
                              .left_out = {"0.weight", "0.bias"}});
       }},
      {"frozen biases",
       not_updated,
       {"bias"},
       {},
       [] {
         return train<double>({}, {}, {.loop = "trainer", .left_out = {"0.bias", "1.bias", "2.bias"}});
       }},
      {"a frozen weight: what it was is put back",
       not_updated,
       {"1.weight"},
       {},
       [] {
         auto kept = std::make_shared<Tensor<double>>();
         return train<double>(
             {}, {},
             {.before_monitor = [kept](auto& net) { *kept = net.layers[1].weight.detach() + 0.0; },
              .after_step = [kept](auto& net) { net.layers[1].weight.assign(*kept); }});
       }},
      {"a frozen weight: its gradient is dropped",
       not_updated,
       {"0.weight"},
       {},
       [] {
         return train<double>({.activation = "relu"}, {},
                              {.optimizer = "adam", .rate = 1e-3, .after_backward = [](auto& net) {
                                 net.layers[0].weight.zero_grad();
                               }});
       }},
      {"an optimiser made before a layer was replaced",
       not_updated,
       {"1.weight"},
       {},
       [] {
         return train<double>(
             {}, {}, {.before_monitor = [](auto& net) { net.layers[1] = nn::Linear<double>(16, 16); }});
       }},
      {"a detached layer",
       no_gradient,
       {"0.weight", "detach"},
       {},
       [] { return train<double>({.detached_after = 0}, {}, {}); }},
      {"two detached layers, Adam, classes",
       no_gradient,
       {"0.weight", "detach"},
       {},
       [] {
         return train<float>({.sizes = {8, 16, 16, 3}, .activation = "relu", .detached_after = 1},
                             {.task = "classes"}, {.optimizer = "adam", .rate = 1e-3, .batch = 32});
       }},
      {"a branch that the loss does not use",
       no_gradient,
       {"unused"},
       {},
       [] {
         seed_runs(4);
         nn::Linear<double> used(6, 1), unused(6, 1);
         nn::GradientMonitor<double> monitor({{"used.weight", used.weight},
                                              {"used.bias", used.bias},
                                              {"unused.weight", unused.weight},
                                              {"unused.bias", unused.bias}});
         nn::SGD<double> sgd({used.weight, used.bias, unused.weight, unused.bias}, {.learning_rate = 0.05});
         const Tensor<double> x = random::normal<double>({32, 6});
         return train_function<double>(monitor, sgd, 30, [&](std::size_t) {
           const Tensor<double> other = unused(x);
           return nn::mse_loss(used(x), sum(x, 1, true));
         });
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
TEST_CASE("rates, decay, clipping, ascent, zero_grad") { check_cases(rates(), 0); }
TEST_CASE("scales of inputs and targets, losses of logits") { check_cases(data_and_scales(), 0); }
TEST_CASE("parts that do not learn") { check_cases(parts(), 0); }
TEST_CASE("NaN and infinity, by the operation that begins it") { check_cases(not_finite_cases(), 0); }
TEST_CASE("healthy training of many kinds") {
  check_cases(healthy_cases(0), 0);
  check_cases(healthy_cases(1), 0);
}
