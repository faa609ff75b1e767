// The other half of the runs of test_diseases_rates.cpp, of rates, weight decay, clipping, ascent and
// zero_grad(): other networks, sizes, seeds and optimisers, and some diseases that are not there. They were
// written before the monitor's limits were chosen, and run after.
#include "training_cases.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

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

}  // namespace

TEST_CASE("held out: steps") { check_cases(steps(), 0); }
