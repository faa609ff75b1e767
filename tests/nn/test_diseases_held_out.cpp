// The other half of the runs of test_diseases.cpp: other networks, sizes, seeds and optimisers, and some
// diseases that are not there. They were written before the monitor's limits were chosen, and run after.
#include "healthy_training.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

std::vector<TrainingCase> signals() {
  return {
      {"7 sigmoid layers, float, Trainer",
       vanishing,
       {"nn::ReLU"},
       {"Multiply the learning rate"},
       [] {
         return train<float>(
             {.sizes = deep(8, 16), .activation = "sigmoid"}, {},
             {.optimizer = "adam", .rate = 1e-3, .steps = 80, .batch = 32, .loop = "trainer", .seed = 21});
       }},
      {"12 sigmoid layers, momentum",
       vanishing,
       {"nn::ReLU"},
       {"Multiply the learning rate"},
       [] {
         return train<double>({.sizes = deep(13, 40), .activation = "sigmoid"}, {.task = "binary"},
                              {.optimizer = "momentum", .rate = 0.05, .steps = 60, .batch = 48, .seed = 22});
       }},
      {"6 sigmoid layers, Xavier",
       vanishing,
       {"nn::ReLU"},
       {"Multiply the learning rate"},
       [] {
         return train<double>({.sizes = deep(7, 24, 5), .activation = "sigmoid", .init = "xavier"},
                              {.task = "classes"}, {.rate = 0.3, .steps = 100, .seed = 23});
       }},
      {"tanh with weights of 0.02",
       vanishing,
       {"init::xavier"},
       {"Multiply the learning rate"},
       [] {
         return train<double>({.sizes = deep(7, 24, 3), .deviation = 0.02}, {.task = "classes"},
                              {.optimizer = "momentum", .rate = 0.05, .steps = 60, .batch = 32, .seed = 24});
       }},
      {"tanh with weights of 0.001, 4 layers",
       vanishing,
       {"init::xavier"},
       {"Multiply the learning rate"},
       [] {
         return train<float>({.sizes = deep(4, 48), .deviation = 0.001}, {},
                             {.rate = 0.01, .steps = 50, .seed = 25});
       }},
      {"GELU with weights of 0.01",
       vanishing,
       {"init::"},
       {"Multiply the learning rate"},
       [] {
         return train<double>({.sizes = deep(6, 32), .activation = "gelu", .deviation = 0.01}, {},
                              {.optimizer = "adam", .rate = 1e-4, .steps = 60, .seed = 26});
       }},
      {"ReLU with weights of 0.005, Trainer",
       vanishing,
       {"init::he"},
       {"Multiply the learning rate"},
       [] {
         return train<double>({.sizes = deep(5, 32), .activation = "relu", .deviation = 0.005},
                              {.task = "binary"},
                              {.rate = 0.1, .steps = 60, .batch = 24, .loop = "trainer", .seed = 27});
       }},
      {"ReLU with weights of 1, 12 layers",
       exploding,
       {"init::he"},
       {},
       [] {
         return train<double>({.sizes = deep(12, 24, 4), .activation = "relu", .deviation = 1},
                              {.task = "classes"}, {.rate = 1e-5, .steps = 30, .batch = 32, .seed = 28});
       }},
      {"linear layers with weights of 1",
       exploding,
       {"init"},
       {},
       [] {
         return train<double>({.sizes = deep(8, 32), .activation = "none", .deviation = 1}, {},
                              {.optimizer = "adam", .rate = 1e-4, .steps = 30, .seed = 29});
       }},
      {"tanh with weights of 3",
       saturated,
       {"init::xavier"},
       {},
       [] {
         return train<float>({.sizes = {6, 24, 24, 24, 1}, .deviation = 3}, {},
                             {.optimizer = "adam", .rate = 1e-3, .steps = 40, .batch = 32, .seed = 30});
       }},
      {"sigmoid with weights of 10, Trainer",
       saturated,
       {"init::xavier"},
       {},
       [] {
         return train<double>({.sizes = {10, 20, 20, 1}, .activation = "sigmoid", .deviation = 10},
                              {.task = "binary"},
                              {.rate = 0.01, .steps = 40, .batch = 32, .loop = "trainer", .seed = 31});
       }},
      {"all units of the last hidden layer dead",
       dead,
       {"leaky_relu"},
       {},
       [] {
         return train<float>(
             {.sizes = {8, 16, 12, 4}, .activation = "relu"}, {.task = "classes"},
             {.rate = 0.05,
              .steps = 40,
              .before_monitor = [](Net<float>& net) { net.layers[1].bias.assign(full<float>({12}, -30)); },
              .seed = 32});
       }},
      {"a third of the units dead, Trainer",
       dead,
       {"leaky_relu"},
       {},
       [] {
         return train<double>({.sizes = {8, 24, 1}, .activation = "relu"}, {},
                              {.optimizer = "adam",
                               .rate = 1e-3,
                               .batch = 32,
                               .loop = "trainer",
                               .before_monitor =
                                   [](Net<double>& net) {
                                     Tensor<double> b = zeros<double>({24});
                                     for (std::size_t i = 0; i < 10; ++i) b.mutable_data()[i] = -40;
                                     net.layers[0].bias.assign(b);
                                   },
                               .seed = 33});
       }},
      {"all weights 0, GELU",
       symmetric,
       {"init::"},
       {},
       [] {
         return train<double>({.sizes = {6, 24, 24, 1}, .activation = "gelu", .init = "zeros"}, {},
                              {.optimizer = "adam", .rate = 1e-3, .batch = 32, .seed = 34});
       }},
      {"all weights equal, tanh, classes",
       symmetric,
       {"init::"},
       {},
       [] {
         return train<float>({.sizes = {6, 20, 3}, .init = "constant"}, {.task = "classes"},
                             {.rate = 0.1, .loop = "trainer", .seed = 35});
       }},
      {"all weights equal, ReLU",
       symmetric,
       {"init::he"},
       {},
       [] {
         return train<double>({.sizes = {6, 20, 20, 1}, .activation = "relu", .init = "constant"}, {},
                              {.rate = 0.02, .batch = 24, .seed = 36});
       }},
  };
}

std::vector<TrainingCase> steps() {
  return {
      {"SGD at rate 100, sigmoid",
       too_high,
       {"Multiply the learning rate by 0."},
       {},
       [] {
         return train<double>({.sizes = {8, 24, 1}, .activation = "sigmoid"}, {},
                              {.rate = 100, .steps = 60, .seed = 41});
       }},
      {"SGD at rate 3, tanh, batches",
       too_high,
       {"Multiply the learning rate by 0."},
       {},
       [] {
         return train<float>({.sizes = {8, 32, 32, 1}}, {},
                             {.rate = 3, .steps = 80, .batch = 16, .seed = 42});
       }},
      {"SGD at rate 50, GELU, to infinity",
       too_high,
       {"Multiply the learning rate by 0."},
       {},
       [] {
         return train<double>({.sizes = {8, 24, 24, 1}, .activation = "gelu"}, {},
                              {.rate = 50, .steps = 40, .seed = 43});
       }},
      {"Adam at rate 1, two classes, ReLU",
       too_high,
       {"Multiply the learning rate by 0."},
       {},
       [] {
         return train<double>({.sizes = {10, 48, 48, 1}, .activation = "relu"}, {.task = "binary"},
                              {.optimizer = "adam", .rate = 1, .steps = 100, .batch = 32, .seed = 44});
       }},
      {"Adam at rate 1, 5 ReLU layers, Trainer",
       too_high,
       {"Multiply the learning rate by 0."},
       {},
       [] {
         return train<float>(
             {.sizes = deep(5, 24, 3), .activation = "relu"}, {.task = "classes"},
             {.optimizer = "adam", .rate = 1, .steps = 80, .batch = 32, .loop = "trainer", .seed = 45});
       }},
      {"Adam at rate 2, tanh",
       too_high,
       {"Multiply the learning rate by 0."},
       {},
       [] {
         return train<double>({.sizes = {8, 16, 16, 1}}, {},
                              {.optimizer = "adam", .rate = 2, .steps = 60, .seed = 46});
       }},
      {"RMSprop at rate 0.5, ReLU",
       too_high,
       {"Multiply the learning rate by 0."},
       {},
       [] {
         return train<double>({.sizes = {8, 32, 32, 1}, .activation = "relu"}, {},
                              {.optimizer = "rmsprop", .rate = 0.5, .steps = 60, .batch = 32, .seed = 47});
       }},
      {"a sum over a large batch, classes",
       too_high,
       {},
       {},
       [] {
         return train<double>({.sizes = {8, 32, 32, 4}, .activation = "relu"},
                              {.samples = 768, .task = "classes"},
                              {.rate = 0.05,
                               .steps = 40,
                               .loss =
                                   [](const auto& out, const auto& batch) {
                                     return nn::cross_entropy(out, batch.labels, nn::Reduction::sum);
                                   },
                               .seed = 48});
       }},
      {"SGD at rate 1e-8, float",
       too_low,
       {"Multiply the learning rate by 10"},
       {},
       [] {
         return train<float>({.sizes = {8, 24, 1}, .activation = "sigmoid"}, {},
                             {.rate = 1e-8, .steps = 40, .seed = 49});
       }},
      {"momentum at rate 1e-9, batches",
       too_low,
       {"Multiply the learning rate by 10"},
       {},
       [] {
         return train<double>({.sizes = {8, 24, 3}, .activation = "gelu"}, {.task = "classes"},
                              {.optimizer = "momentum", .rate = 1e-9, .steps = 60, .batch = 48, .seed = 50});
       }},
      {"a weight decay of 5",
       decay,
       {"weight_decay"},
       {},
       [] {
         return train<float>(
             {.sizes = {8, 32, 3}, .activation = "relu"}, {.task = "classes"},
             {.optimizer = "momentum", .rate = 0.01, .decay = 5, .steps = 100, .batch = 32, .seed = 51});
       }},
      {"Adam with a decay of 5 in the gradient",
       decay,
       {"weight_decay"},
       {},
       [] {
         return train<double>({.sizes = {8, 24, 24, 1}}, {},
                              {.optimizer = "adam", .rate = 3e-3, .decay = 5, .steps = 150, .seed = 52});
       }},
      {"clipping to 1e-7, Trainer",
       clipped,
       {"clip_grad_norm"},
       {},
       [] {
         return train<float>(
             {.sizes = {8, 24, 4}, .activation = "relu"}, {.task = "classes"},
             {.rate = 0.1, .steps = 50, .batch = 32, .loop = "trainer", .clip = 1e-7, .seed = 53});
       }},
      {"gradient ascent, GELU, at a large rate",
       ascent,
       {"sign"},
       {},
       [] {
         return train<double>({.sizes = {8, 24, 24, 1}, .activation = "gelu"}, {},
                              {.rate = 0.1, .steps = 40, .climbs = true, .seed = 54});
       }},
      {"minus the loss, classes, Adam",
       ascent,
       {"sign"},
       {},
       [] {
         return train<double>(
             {.sizes = {8, 16, 3}, .activation = "relu"}, {.task = "classes"},
             {.optimizer = "adam",
              .rate = 3e-3,
              .steps = 80,
              .batch = 32,
              .loss = [](const auto& out,
                         const auto& batch) { return -nn::cross_entropy(out, batch.labels); },
              .seed = 55});
       }},
      {"zero_grad forgotten, momentum",
       accumulated,
       {"zero_grad"},
       {},
       [] {
         return train<float>({.sizes = {8, 24, 1}, .activation = "gelu"}, {},
                             {.optimizer = "momentum",
                              .rate = 0.01,
                              .steps = 60,
                              .batch = 24,
                              .forgets_zero_grad = true,
                              .seed = 56});
       }},
      {"zero_grad forgotten, Adam, tanh",
       accumulated,
       {"zero_grad"},
       {},
       [] {
         return train<double>({.sizes = {8, 24, 24, 3}}, {.task = "classes"},
                              {.optimizer = "adam",
                               .rate = 5e-3,
                               .steps = 60,
                               .loop = "around",
                               .forgets_zero_grad = true,
                               .seed = 57});
       }},
      {"zero_grad forgotten, SGD, sigmoid",
       accumulated,
       {"zero_grad"},
       {},
       [] {
         return train<double>({.sizes = {8, 24, 1}, .activation = "sigmoid"}, {.task = "binary"},
                              {.rate = 0.5, .steps = 100, .forgets_zero_grad = true, .seed = 58});
       }},
  };
}

std::vector<TrainingCase> scales_and_parts() {
  return {
      {"bytes into a convolution",
       inputs,
       {"scale the inputs"},
       {},
       [] {
         seed_runs(61);
         nn::Sequential<float> model(nn::Conv2d<float>(1, 6, 3), nn::ReLU<float>(), nn::Flatten<float>(),
                                     nn::Linear<float>(6 * 36, 3));
         nn::GradientMonitor<float> monitor(model);
         nn::SGD<float> sgd(model.parameters(), {.learning_rate = 0.01});
         const Tensor<float> x = random::uniform<float>({32, 1, 8, 8}, 0, 255);
         std::vector<int> labels;
         for (std::size_t i = 0; i < 32; ++i) labels.push_back(static_cast<int>(x.data()[64 * i]) % 3);
         return train_function<float>(monitor, sgd, 40,
                                      [&](std::size_t) { return nn::cross_entropy(model(x), labels); });
       }},
      {"bytes, GELU, Adam, Trainer",
       inputs,
       {"scale the inputs"},
       {},
       [] {
         return train<double>(
             {.sizes = {20, 32, 32, 1}, .activation = "gelu"}, {.is_bytes = true},
             {.optimizer = "adam", .rate = 1e-3, .steps = 60, .batch = 32, .loop = "trainer", .seed = 62});
       }},
      {"bytes, 3 tanh layers, SGD",
       inputs,
       {"scale the inputs"},
       {},
       [] {
         return train<double>({.sizes = {16, 24, 24, 24, 4}}, {.task = "classes", .is_bytes = true},
                              {.rate = 0.05, .steps = 60, .batch = 24, .seed = 63});
       }},
      {"years and shares, ReLU",
       inputs,
       {"Standardizer"},
       {},
       [] {
         return train<double>({.sizes = {6, 24, 1}, .activation = "relu"},
                              {.feature_scales = {2000, 0.01, 1, 50}},
                              {.rate = 1e-3, .steps = 60, .batch = 32, .seed = 64});
       }},
      {"incomes, linear, momentum",
       inputs,
       {"Standardizer"},
       {},
       [] {
         return train<double>({.sizes = {5, 1}}, {.feature_scales = {5e4, 30}},
                              {.optimizer = "momentum", .rate = 1e-11, .steps = 60, .seed = 65});
       }},
      {"targets of 20,000, tanh",
       targets,
       {"scale the targets"},
       {},
       [] {
         return train<double>({.sizes = {8, 24, 24, 1}}, {.y_scale = 2e4},
                              {.optimizer = "adam", .rate = 3e-3, .steps = 80, .seed = 66});
       }},
      {"targets of 300,000 with an offset, SGD",
       targets,
       {"scale the targets"},
       {},
       [] {
         return train<float>({.sizes = {8, 16, 1}, .activation = "relu"}, {.y_scale = 5e4, .y_shift = 3e5},
                             {.rate = 0.01, .steps = 60, .batch = 32, .seed = 67});
       }},
      {"targets of 10,000, (p − y)² by hand",
       targets,
       {"scale the targets"},
       {},
       [] {
         return train<double>(
             {.sizes = {8, 16, 1}, .activation = "gelu"}, {.y_scale = 1e4},
             {.optimizer = "adam",
              .rate = 1e-3,
              .steps = 60,
              .loss = [](const auto& out, const auto& batch) { return mean(square(out - batch.y)); },
              .seed = 68});
       }},
      {"softmax, then cross_entropy, Adam",
       probabilities,
       {"cross_entropy"},
       {},
       [] {
         return train<float>({.sizes = {8, 24, 24, 3}, .output = "softmax"}, {.task = "classes"},
                             {.optimizer = "adam", .rate = 3e-3, .steps = 60, .batch = 32, .seed = 69});
       }},
      {"a frozen layer in the middle, Adam",
       not_updated,
       {"1.weight"},
       {},
       [] {
         return train<double>(
             {.sizes = {8, 16, 16, 16, 1}, .activation = "gelu"}, {},
             {.optimizer = "adam", .rate = 1e-3, .left_out = {"1.weight", "1.bias"}, .seed = 70});
       }},
      {"the last layer left out, Trainer",
       not_updated,
       {"2.weight"},
       {},
       [] {
         return train<float>(
             {.sizes = {8, 16, 16, 3}, .activation = "relu"}, {.task = "classes"},
             {.rate = 0.05, .batch = 32, .loop = "trainer", .left_out = {"2.weight", "2.bias"}, .seed = 71});
       }},
      {"one frozen bias",
       not_updated,
       {"1.bias"},
       {},
       [] {
         return train<double>({}, {},
                              {.optimizer = "momentum", .rate = 0.02, .left_out = {"1.bias"}, .seed = 72});
       }},
      {"a replaced output, Adam",
       not_updated,
       {"2.weight"},
       {},
       [] {
         return train<double>({.activation = "relu"}, {},
                              {.optimizer = "adam",
                               .rate = 1e-3,
                               .loop = "around",
                               .before_monitor = [](auto& net) { net.layers[2] = nn::Linear<double>(16, 1); },
                               .seed = 73});
       }},
      {"the monitor's layer was replaced",
       no_gradient,
       {"1.weight"},
       {},
       [] {
         return train<double>(
             {}, {}, {.at_start = [](auto& net) { net.layers[1] = nn::Linear<double>(16, 16); }, .seed = 74});
       }},
      {"a detached first half, Trainer",
       no_gradient,
       {"0.weight", "detach"},
       {},
       [] {
         return train<double>({.sizes = {8, 16, 16, 16, 1}, .activation = "gelu", .detached_after = 1}, {},
                              {.rate = 0.02, .batch = 32, .loop = "trainer", .seed = 75});
       }},
      {"features computed under NoGrad",
       no_gradient,
       {"first.weight", "NoGrad"},
       {},
       [] {
         seed_runs(76);
         nn::Linear<float> first(6, 12), last(12, 1);
         nn::GradientMonitor<float> monitor({{"first.weight", first.weight},
                                             {"first.bias", first.bias},
                                             {"last.weight", last.weight},
                                             {"last.bias", last.bias}});
         nn::Adam<float> adam({first.weight, first.bias, last.weight, last.bias});
         const Tensor<float> x = random::normal<float>({32, 6});
         return train_function<float>(monitor, adam, 30, [&](std::size_t) {
           const auto h = [&] {
             const NoGrad no_grad;
             return relu(first(x));
           }();
           return nn::mse_loss(last(h), sum(x, 1, true));
         });
       }},
  };
}

/// Trains by a loss of one's own.
std::vector<nn::Verdict> with_loss(
    std::function<Tensor<float>(const Tensor<float>&, const Samples<float>&)> loss, std::size_t out = 1) {
  return train<float>(
      {.sizes = {5, 10, out}, .activation = "relu"}, {},
      {.optimizer = "adam", .rate = 0.01, .steps = 20, .batch = 24, .loss = std::move(loss), .seed = 77});
}

std::vector<TrainingCase> not_finite_cases() {
  return {
      {"log(0) of a sigmoid in float",
       not_finite,
       {"log"},
       {"logsumexp"},
       [] {
         return with_loss(
             [](const auto& out, const auto&) { return -mean(log(1.0F - sigmoid(200.0F + 0.1F * out))); });
       }},
      {"division by a norm of 0",
       not_finite,
       {"divi"},
       {"logsumexp", "cross_entropy"},
       [] {
         return with_loss([](const auto& out, const auto& batch) {
           const auto r = relu(out - 100.0F);
           return mean(square(r / sqrt(sum(square(r.detach()))) - batch.y));
         });
       }},
      {"exp of a large output",
       not_finite,
       {"clamp"},
       {"logsumexp", "cross_entropy"},
       [] {
         return with_loss([](const auto& out, const auto&) { return mean(exp(exp(10.0F + abs(out)))); });
       }},
      {"a softmax by hand",
       not_finite,
       {"softmax"},
       {},
       [] {
         return with_loss(
             [](const auto& out, const auto& batch) {
               const auto e = exp(2000.0F * out);
               return mean(square(e / sum(e, 1, true) - Tensor<float>(batch.y > 0.0F)));
             },
             3);
       }},
      {"the norm by hand at 0",
       not_finite,
       {"sqrt"},
       {"logsumexp", "cross_entropy"},
       [] {
         return with_loss(
             [](const auto& out, const auto&) { return mean(sqrt(square(out - out.detach()))); });
       }},
      {"a power of a negative number",
       not_finite,
       {"pow"},
       {"logsumexp", "cross_entropy"},
       [] {
         return with_loss([](const auto& out, const auto& batch) { return mean(pow(out - batch.y, 0.3F)); });
       }},
      {"an infinity among the targets",
       not_finite,
       {"data"},
       {"logsumexp", "cross_entropy"},
       [] {
         return with_loss([](const auto& out, const auto& batch) {
           Tensor<float> y = batch.y + 0.0F;
           y.mutable_data()[3] = std::numeric_limits<float>::infinity();
           return nn::mse_loss(out, y);
         });
       }},
  };
}

}  // namespace

// Missed: linear layers, which have no activation whose adjoint would be measured.
TEST_CASE("held out: signals") { check_cases(signals(), 1); }
TEST_CASE("held out: steps") { check_cases(steps(), 0); }
TEST_CASE("held out: scales and parts") { check_cases(scales_and_parts(), 0); }
TEST_CASE("held out: NaN and infinity") { check_cases(not_finite_cases(), 0); }
TEST_CASE("held out: healthy training") {
  check_cases(healthy_cases(2), 0);
  check_cases(healthy_cases(5), 0);
}
