// Known diseases of training, each in several networks: the monitor's first verdict is the cause. Here the
// scales of data, losses that are given probabilities, and parameters that are not trained. Others are in
// test_diseases_*.cpp; those of test_diseases_held_out_*.cpp were not looked at while limits were chosen.
#include "training_cases.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

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

}  // namespace

TEST_CASE("scales of inputs and targets, losses of logits") { check_cases(data_and_scales(), 0); }
TEST_CASE("parts that do not learn") { check_cases(parts(), 0); }
