// Known diseases of training, each in several networks: the monitor's first verdict is the cause. Here rates,
// weight decay, clipping, ascent and zero_grad(). Others are in test_diseases_*.cpp; those of
// test_diseases_held_out_*.cpp were not looked at while limits were chosen.
#include "training_cases.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

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

}  // namespace

TEST_CASE("rates, decay, clipping, ascent, zero_grad") { check_cases(rates(), 0); }
