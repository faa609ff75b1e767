// Schedules of the learning rate: PyTorch's numbers, metrics of any sign, and where a schedule starts.
#include <cmath>
#include <functional>
#include <map>

#include "../check_close.hpp"
#include "golden_nn.hpp"

#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;

TEST_CASE("schedules give PyTorch's rates for 30 steps, and continue from a count") {
  using namespace xtape::nn;
  using Make = std::function<std::unique_ptr<Schedule>(HasLearningRate&)>;
  const std::map<std::string, Make> all{
      {"StepLR",
       [](auto& o) { return std::make_unique<StepLR>(o, StepOptions{.step_size = 7, .gamma = 0.3}); }},
      {"CosineLR", [](auto& o) { return std::make_unique<CosineLR>(o, CosineOptions{.steps = 30}); }},
      {"CosineLR/beyond",
       [](auto& o) { return std::make_unique<CosineLR>(o, CosineOptions{.steps = 12, .minimum = 0.05}); }},
      {"WarmupLR", [](auto& o) { return std::make_unique<WarmupLR>(o); }},
      {"WarmupLR/options",
       [](auto& o) { return std::make_unique<WarmupLR>(o, WarmupOptions{.steps = 8, .start_factor = 0.1}); }},
      {"WarmupLR/cosine",
       [](auto& o) {
         return std::make_unique<WarmupLR>(o, WarmupOptions{.steps = 6}, CosineLR(o, {.steps = 20}));
       }},
  };
  const std::vector<Tensor<double>> p{parameter<double>(1.0)};
  for (const auto& [id, make] : all) {
    const std::string& name = id;
    CAPTURE(name);
    const auto rates = golden_nn().at("schedules").at(name).at("rates").get<std::vector<double>>();
    REQUIRE(rates.size() == 30);
    SGD<double> sgd(p, {.learning_rate = 0.5});
    Adam<float> other({parameter<float>(1.0f)}, {.learning_rate = 0.5});
    const auto schedule = make(sgd), late = make(other);
    for (std::size_t i = 0; i < rates.size(); ++i) {
      CAPTURE(i);
      CHECK(schedule->count() == i);
      CHECK(std::abs(sgd.learning_rate() - rates[i]) <= 1e-12 * rates[i] + 1e-15);
      late->set_count(i);
      CHECK(other.learning_rate() == sgd.learning_rate());
      schedule->step();
    }
    CHECK(schedule->first_rate() == 0.5);
  }
  SGD<double> sgd(p);
  CHECK_THROWS_WITH_AS(StepLR(sgd, {.step_size = 0}), "[StepLR] 0 steps: there must be one at least", Error);
  CHECK_THROWS_WITH_AS(CosineLR(sgd, {.steps = 0}), "[CosineLR] 0 steps: there must be one at least", Error);
  CHECK_THROWS_WITH_AS(WarmupLR(sgd, {.start_factor = 2}), "[WarmupLR] the start_factor 2 is not in [0, 1]",
                       Error);
  CHECK(sgd.learning_rate() == 0.1);
}

TEST_CASE("ReduceOnPlateau gives PyTorch's rates, and continues from its state") {
  using namespace xtape::nn;
  const std::map<std::string, PlateauOptions> all{
      {"ReduceOnPlateau", {.patience = 2}},
      {"ReduceOnPlateau/options",
       {.factor = 0.5, .patience = 1, .threshold = 0.01, .cooldown = 2, .minimum = 0.1}},
      {"ReduceOnPlateau/maximize", {.patience = 3, .maximize = true}},
  };
  for (const auto& [id, options] : all) {
    const std::string& name = id;
    CAPTURE(name);
    const Json& rates = golden_nn().at("schedules").at(name).at("rates");
    SGD<double> sgd({parameter<double>(1.0)}, {.learning_rate = 0.5});
    ReduceOnPlateau schedule(sgd, options);
    for (std::size_t i = 0; i < 30; ++i) {
      CAPTURE(i);
      CHECK(std::abs(sgd.learning_rate() - rates[i].get<double>()) <= 1e-12 * rates[i].get<double>());
      const Json& metric = golden_nn().at("metrics")[i];
      const auto state = schedule.state;
      schedule = ReduceOnPlateau(sgd, options);  // as a resumed run would
      schedule.state = state;
      schedule.step(metric.is_null() ? std::nan("") : metric.get<double>());
    }
  }
  SGD<double> sgd({parameter<double>(1.0)});
  CHECK_THROWS_WITH_AS(ReduceOnPlateau(sgd, {.factor = 1}),
                       "[ReduceOnPlateau] the factor 1 is not between 0 and 1", Error);
}

TEST_CASE("ReduceOnPlateau measures metrics of any sign by their size, or by the threshold itself") {
  using namespace xtape::nn;
  /// How often the rate was halved.
  const auto reductions = [](PlateauOptions options, const std::vector<double>& metrics) {
    options.factor = 0.5;
    options.patience = 0;
    SGD<double> sgd({parameter<double>(1.0)}, {.learning_rate = 1});
    ReduceOnPlateau schedule(sgd, options);
    for (const double metric : metrics) schedule.step(metric);
    return std::lround(-std::log2(sgd.learning_rate()));
  };
  const double infinity = std::numeric_limits<double>::infinity();
  for (const bool maximize : {false, true}) {
    const double sign = maximize ? -1 : 1;
    const auto count = [&](const PlateauOptions& options, std::vector<double> metrics) {
      for (double& metric : metrics) metric *= sign;
      PlateauOptions o = options;
      o.maximize = maximize;
      return reductions(o, metrics);
    };
    CAPTURE(maximize);
    CHECK(count({}, {-1, -1, -1}) == 2);              // does not move
    CHECK(count({}, {-1, -1.00001, -1.00002}) == 2);  // by less than the threshold
    CHECK(count({}, {-1, -1.1, -1.2, -1.3}) == 0);    // improves
    CHECK(count({}, {-1, -0.9, -0.8}) == 2);          // gets worse
    CHECK(count({}, {2, 1, 0.5, 0, -0.5, -1}) == 0);  // through 0
    CHECK(count({}, {0, 0, -1e-9}) == 1);             // 0 has no size: anything is better
    CHECK(count({.threshold = 0.1}, {-10, -10.9, -11.1}) == 1);
    CHECK(count({.threshold = 0.1}, {10, 9.1, 8.9}) == 1);
    CHECK(count({.threshold = 0.1, .threshold_mode = ThresholdMode::absolute}, {-10, -10.05, -10.2}) == 1);
    CHECK(count({.threshold = 0.1, .threshold_mode = ThresholdMode::absolute}, {0, -0.05, -0.2, -0.29}) == 2);
    CHECK(count({}, {infinity, 5, 4}) == 1);  // infinite is no better than nothing
    CHECK(count({}, {5, -infinity, -infinity}) == 1);
  }
}

TEST_CASE(
    "a schedule starts from the rate that the optimiser was given, not from what a schedule made of it") {
  using namespace xtape::nn;
  const auto w = parameter<double>(1.0);
  SGD<double> sgd({w}, {.learning_rate = 1});
  {
    StepLR schedule(sgd, {.step_size = 1, .gamma = 0.5});
    schedule.set_count(3);
    CHECK(sgd.learning_rate() == 0.125);
  }
  CHECK(sgd.first_learning_rate() == 1);
  StepLR again(sgd, {.step_size = 1, .gamma = 0.5});
  CHECK(again.first_rate() == 1);
  again.set_count(4);
  CHECK(sgd.learning_rate() == 0.0625);
  const WarmupLR warm(sgd, {.steps = 4, .start_factor = 0.25});
  CHECK(sgd.learning_rate() == 0.25);
  CHECK(CosineLR(sgd, {.steps = 5}).first_rate() == 1);  // made during the warm-up

  sgd.set_learning_rate(0.5);  // one's own choice is where the next ones start
  CHECK(StepLR(sgd, {}).first_rate() == 0.5);
  again.set_count(1);
  sgd.set_learning_rate(0.5);
  CHECK(StepLR(sgd, {}).first_rate() == 0.5);
  again.set_count(1);
  sgd.options.learning_rate = 0.3;
  CHECK(StepLR(sgd, {}).first_rate() == 0.3);
}
