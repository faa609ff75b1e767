// The other half of the runs of test_diseases_data_parameters.cpp, of data and of parameters that are not
// trained: other networks, sizes, seeds and optimisers, and some diseases that are not there. They were
// written before the monitor's limits were chosen, and run after.
#include "training_cases.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

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

}  // namespace

TEST_CASE("held out: scales and parts") { check_cases(scales_and_parts(), 0); }
