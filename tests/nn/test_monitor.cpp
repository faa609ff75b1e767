// Watching training: what is measured, and what is kept.
#include "monitored_training.hpp"

using namespace xtape;
using namespace xtape::test;

TEST_CASE_TEMPLATE("norms, ratios and shares are those of direct computation", T, float, double) {
  auto W = parameter<T>({{3.0, 0.0}, {0.0, 4.0}}), b = parameter<T>({0.0, 0.0}),
       frozen = parameter<T>({{1.0}});
  nn::GradientMonitor<T> monitor({{"W", W}, {"b", b}, {"frozen", frozen}});
  nn::SGD<T> sgd({W, b}, {.learning_rate = 0.5});
  sum(W * Tensor<T>{{6.0, 0.0}, {0.0, 8.0}} + b * Tensor<T>{1.0, 0.0}).backward();  // dW, and db = (2, 0)
  monitor.step(sgd, 1.25);

  REQUIRE(monitor.history().steps.size() == 1);
  const nn::TrainingStep& step = monitor.history().steps[0];
  CHECK(step.loss == 1.25);
  CHECK(step.learning_rate == 0.5);
  const nn::ParameterStep &w = step.parameters[0], &bias = step.parameters[1], &none = step.parameters[2];
  CHECK(w.gradient_norm == 10);
  CHECK(w.weight_norm == 5);
  CHECK(w.update_norm == 5);
  CHECK(w.update_ratio == 1);
  CHECK(w.zero_share == 0.5);
  CHECK(bias.gradient_norm == 2);
  CHECK(bias.update_norm == 1);
  CHECK(std::isnan(bias.update_ratio));
  CHECK(!none.has_gradient);
  CHECK(std::isnan(none.gradient_norm));
  CHECK(none.update_norm == 0);
  CHECK(!step.origin);
}

TEST_CASE("norms of extremes neither overflow nor vanish, and what is not finite is counted") {
  auto a = parameter<double>({3e200, 4e200}), b = parameter<double>({3e-200, 4e-200}),
       empty = parameter<double>(zeros<double>({0, 3})), c = parameter<double>({1.0, 1.0, 1.0}),
       mixed = parameter<double>({1e-200, 1e160, 1.0, -1e160, 1e160, 1e160});
  nn::GradientMonitor<double> monitor({{"a", a}, {"b", b}, {"empty", empty}, {"c", c}, {"mixed", mixed}});
  sum(c * Tensor<double>{not_a_number, 1.0, std::numeric_limits<double>::infinity()}).backward();
  monitor.before_step();
  monitor.after_step(0);
  const auto& p = monitor.history().steps[0].parameters;
  CHECK(p[0].weight_norm == doctest::Approx(5e200));
  CHECK(p[1].weight_norm / 5e-200 == doctest::Approx(1));
  CHECK(p[4].weight_norm == doctest::Approx(2e160));
  CHECK(p[2].weight_norm == 0);
  CHECK(p[3].not_finite == 2);
  CHECK(std::isnan(p[3].gradient_norm));
  const auto verdict = verdict_of(monitor.verdicts(), Kind::not_finite);
  CHECK(verdict.where == "c");
  CHECK(verdict.finding.find("2 of the 3 elements") == 0);
}

TEST_CASE("units are channels of images and features of sequences") {
  const auto w = parameter<double>(1.0);
  nn::GradientMonitor<double> monitor({{"w", w}}, {.limits = {.window = 1}});
  Tensor<double> image = ones<double>({2, 3, 2, 2}), sequence = ones<double>({2, 3, 5});
  for (std::size_t i = 0; i < 4; ++i) image.mutable_data()[4 + i] = image.mutable_data()[16 + i] = -1;
  relu(w * image);
  relu(w * sequence);
  relu(w * 2.0);
  relu(w * zeros<double>({0, 4}));
  {
    const NoGrad no_grad;
    relu(w * image);  // evaluation is not counted
  }
  monitor.before_step();
  monitor.after_step(0);
  const auto& layers = monitor.history().steps[0].activations;
  REQUIRE(layers.size() == 4);
  CHECK(layers[0].units == 3);
  CHECK(layers[0].dead_units == 1);
  CHECK(layers[0].zero_share == doctest::Approx(1.0 / 3));
  CHECK(layers[1].units == 5);
  CHECK(layers[1].dead_units == 0);
  CHECK(layers[2].units == 1);
  CHECK(layers[3].units == 0);
  CHECK(monitor.history().activations[1] == "relu 2");
}

TEST_CASE("the first operation that gives a NaN or infinity is named, and training goes on") {
  random::seed(10);
  nn::Linear<double> layer(2, 1);
  nn::GradientMonitor<double> monitor(layer);
  nn::SGD<double> sgd(layer.parameters());
  const Tensor<double> x{{1.0, 2.0}};
  const auto train = [&](double factor) {
    sgd.zero_grad();
    const Tensor<double> loss = mean(log(square(factor * layer(x))));
    loss.backward();
    monitor.step(sgd, loss.item());
  };
  train(1);
  CHECK(monitor.verdicts().empty());
  train(0);
  REQUIRE(monitor.history().steps.size() == 2);
  REQUIRE(monitor.history().steps[1].origin);
  CHECK(monitor.history().steps[1].origin->op == "log");
  const auto verdicts = monitor.verdicts();
  const nn::Verdict& verdict = verdict_of(verdicts, Kind::not_finite);
  CHECK(verdict.first_step == 1);
  CHECK(verdict.where == "loss");
  CHECK(verdict.finding.find("the loss is -inf; the first operation: log: forward gave -inf at (0, 0)") == 0);
  CHECK(advises(verdict, "operand of 'log' above 0"));

  auto w = parameter<double>({0.0});  // in the backward pass alone
  nn::GradientMonitor<double> other({{"w", w}});
  sum(sqrt(w)).backward();
  other.before_step();
  other.after_step(0);
  CHECK(other.history().steps[0].origin->op == "sqrt");
  CHECK(other.history().steps[0].origin->is_backward);

  w.zero_grad();
  nn::GradientMonitor<double> without({{"w", w}}, {.find_origin = false});
  sum(sqrt(w)).backward();
  without.before_step();
  without.after_step(0);
  CHECK(!without.history().steps[0].origin);
  CHECK(advises(verdict_of(without.verdicts(), Kind::not_finite), "DetectAnomaly"));
}

TEST_CASE("a Trainer is watched through its callbacks") {
  random::seed(13);
  nn::Sequential<double> model(nn::Linear<double>(4, 8), nn::ReLU<double>(),
                               nn::Residual<double>(nn::Linear<double>(8, 8)), nn::BatchNorm1d<double>(8),
                               nn::Linear<double>(8, 1));
  const Tensor<double> x = random::normal<double>({60, 4});
  const nn::Dataset<double> data(x, sum(x, 1, true));
  nn::DataLoader<double> loader(data, {.batch_size = 20});
  nn::SGD<double> sgd(model.parameters(), {.learning_rate = 0.01});
  nn::GradientMonitor<double> monitor(model);
  nn::Trainer<double> trainer(model, sgd, [](const Tensor<double>& y, const nn::Dataset<double>& batch) {
    return nn::mse_loss(y, batch.targets);
  });
  trainer.options.epochs = 4;
  trainer.options.after_backward = [&] { monitor.before_step(); };
  trainer.options.on_batch_end = [&](auto, auto, double loss) { monitor.after_step(loss); };
  trainer.fit(loader, data);
  CHECK(monitor.history().steps.size() == 4 * 3);
  CHECK(monitor.history().activations == std::vector<std::string>{"relu 1"});  // not those of the validation
  CHECK(monitor.history().normalizes);
  for (const nn::TrainingStep& step : monitor.history().steps)
    for (const nn::ParameterStep& p : step.parameters)
      CHECK(p.update_norm == doctest::Approx(0.01 * p.gradient_norm));
  CHECK(monitor.verdicts().empty());
}

TEST_CASE("the step whose loss stops a Trainer is kept, with the operation that began it") {
  for (const std::size_t every : {1u, 3u}) {
    random::seed(14);
    nn::Sequential<double> model(nn::Linear<double>(2, 4), nn::Tanh<double>(), nn::Linear<double>(4, 1));
    const Tensor<double> x = random::normal<double>({8, 2});
    Tensor<double> y = ones<double>({8, 1});
    y.mutable_data()[6] = -1;  // in the fourth batch, and has no logarithm
    nn::DataLoader<double> loader({x, y}, {.batch_size = 2, .shuffle = false});
    nn::SGD<double> sgd(model.parameters(), {.learning_rate = 0.01});
    nn::GradientMonitor<double> monitor(model, {.every = every});
    nn::Trainer<double> trainer(model, sgd, [](const Tensor<double>& p, const nn::Dataset<double>& batch) {
      return nn::mse_loss(p, log(batch.targets));
    });
    trainer.options.after_backward = [&] { monitor.before_step(); };
    trainer.options.on_batch_end = [&](auto, auto, double loss) { monitor.after_step(loss); };
    CHECK_THROWS_WITH_AS(trainer.fit(loader), doctest::Contains("the loss is nan in epoch 1, batch 4"),
                         Error);
    const auto& steps = monitor.history().steps;
    REQUIRE(steps.size() == (every == 1 ? 4 : 2));
    CHECK(steps.back().number == 3);
    CHECK(std::isnan(steps.back().loss));
    CHECK(steps.back().parameters[0].update_norm == 0);
    const auto verdicts = monitor.verdicts();
    REQUIRE(kinds(verdicts) == std::set{Kind::not_finite});
    CHECK(verdicts[0].first_step == 3);
    CHECK(verdicts[0].finding.find("the loss is nan; the first operation: log: forward gave nan") == 0);
  }
  // A NaN in a step that is not looked at: the loss is kept, and where it began was not watched.
  const auto w = parameter<double>({1.0});
  nn::GradientMonitor<double> monitor({{"w", w}}, {.every = 2});
  monitor.before_step();
  monitor.after_step(1);
  monitor.after_step(not_a_number);
  CHECK(monitor.history().steps.size() == 2);
  CHECK(advises(verdict_of(monitor.verdicts(), Kind::not_finite), "DetectAnomaly"));
}

TEST_CASE("a step that is not taken is not seen, and gradients that are added up are one step") {
  const auto w = parameter<double>({1.0});
  nn::SGD<double> sgd({w}, {.learning_rate = 0.1});
  nn::GradientMonitor<double> monitor({{"w", w}}, {.limits = {.window = 2}});
  const auto backward = [&](const Tensor<double>& x) {
    const Tensor<double> loss = sum(log(tanh(relu(w * x))));
    loss.backward();
    return loss.item();
  };
  const Tensor<double> fine{1.0, 2.0}, negative{-1.0, -1.0};
  const std::vector<std::string> names{"relu 1", "tanh 1"};
  backward(negative);  // log(0): not taken, after a look at the gradient
  norm(w.grad());
  sgd.zero_grad();
  monitor.step(sgd, backward(fine));
  CHECK(monitor.history().activations == names);
  CHECK(!monitor.history().steps[0].origin);
  CHECK(monitor.history().steps[0].activations[0].zero_share == 0);

  sgd.zero_grad();  // two batches, and a gradient that is no parameter's between them
  backward(fine);
  grad(exp(w), std::vector{w});
  const double loss = backward(negative);
  monitor.before_step();
  monitor.after_step(loss);
  CHECK(monitor.history().activations == names);
  CHECK(monitor.history().steps[1].origin);
  CHECK(monitor.history().steps[1].activations[0].zero_share == 0.5);

  sgd.zero_grad();  // two batches that are 0 are one step, and the window has 2
  backward(negative);
  monitor.before_step();
  monitor.after_step(backward(negative));
  CHECK(monitor.history().steps[2].activations[0].dead_units == 0);
  CHECK(monitor.history().steps[2].activations[0].zero_share == 1);
  sgd.zero_grad();
  backward(negative);
  monitor.before_step();
  monitor.after_step(0);
  CHECK(monitor.history().steps[3].activations[0].dead_units == 2);
}

TEST_CASE("after an optimiser that throws the next step is whole") {
  struct Fails : nn::SGD<double> {
    using nn::SGD<double>::SGD;
    void update(std::size_t i, double* x, const double* gradient, std::size_t n) override {
      if (fails) throw std::runtime_error("no update");
      nn::SGD<double>::update(i, x, gradient, n);
    }
    bool fails = true;
  };
  const auto w = parameter<double>({1.0});
  Fails sgd({w}, {.learning_rate = 0.5});
  nn::GradientMonitor<double> monitor({{"w", w}});
  const auto backward = [&] {
    sgd.zero_grad();
    sum(relu(w)).backward();
  };
  for (const bool by_hand : {false, true}) {
    sgd.fails = true;
    backward();
    if (by_hand) {
      monitor.before_step();
      CHECK_THROWS_WITH(sgd.step(), "no update");
    } else {
      CHECK_THROWS_WITH(monitor.step(sgd, 1), "no update");
    }
    sgd.fails = false;
    backward();
    monitor.step(sgd, 2);
    CHECK(monitor.history().steps.back().loss == 2);
    CHECK(monitor.history().steps.back().parameters[0].update_norm == 0.5);
    CHECK(monitor.history().steps.back().activations.size() == 1);
    CHECK_THROWS_WITH_AS(monitor.after_step(0), "[GradientMonitor] after_step() without before_step()",
                         Error);
  }
  CHECK(monitor.history().steps.size() == 2);
  CHECK(monitor.history().steps[1].number == 1);
}

TEST_CASE("every k-th step is kept, and watching ends with the monitor") {
  const auto w = parameter<double>({1.0, 2.0});
  {
    nn::GradientMonitor<double> monitor({{"w", w}}, {.every = 3});
    for (int step = 0; step < 7; ++step) {
      relu(w);
      monitor.before_step();
      monitor.after_step(step);
    }
    const auto& steps = monitor.history().steps;
    REQUIRE(steps.size() == 3);
    CHECK(steps[2].number == 6);
    CHECK(steps[2].loss == 6);
    CHECK(monitor.history().activations.size() == 1);
  }
  relu(w);
  using Monitor = nn::GradientMonitor<double>;
  CHECK_THROWS_WITH_AS(Monitor({}), "[GradientMonitor] there are no parameters to watch", Error);
  CHECK_THROWS_WITH_AS(Monitor({{"w", w.detach()}}),
                       "[GradientMonitor] 'w' is no parameter: make it with parameter()", Error);
  CHECK_THROWS_WITH_AS(
      [&] {
        const Monitor none({{"w", w}}, {.every = 0});
      }(),
      "[GradientMonitor] every must be at least 1", Error);
  CHECK_THROWS_WITH_AS(
      [&] {
        const Monitor none({{"w", w}}, {.limits = {.window = 0}});
      }(),
      "[GradientMonitor] the window must be at least 1 step", Error);
  Monitor monitor({{"w", w}});
  CHECK_THROWS_WITH_AS(monitor.after_step(0), "[GradientMonitor] after_step() without before_step()", Error);
  monitor.before_step();
  CHECK_THROWS_WITH_AS(monitor.before_step(),
                       "[GradientMonitor] before_step() was called twice: call after_step() between", Error);
  CHECK(monitor.verdicts().empty());
}
