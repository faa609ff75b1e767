// Verdicts on training: each provoked by a network that deserves it, and none for one that does not.
#include "monitored_training.hpp"

using namespace xtape;
using namespace xtape::test;

TEST_CASE("20 layers: gradients vanish through sigmoids, and not with any of the four remedies") {
  random::seed(5);
  const auto sigmoids = [](const Tensor<double>& z, const Tensor<double>&) { return sigmoid(z); };
  Deep vanishing(20, 16, sigmoids);
  const Training bad(vanishing, 0.001);
  const auto verdicts = bad.monitor.verdicts();
  const nn::Verdict& verdict = verdict_of(verdicts, Kind::vanishing);
  CHECK(verdict.where.find("0.weight to ") == 0);
  CHECK(verdict.first_step == 0);
  CHECK(verdict.last_step == 14);
  CHECK(verdict.value < 1e-7);
  CHECK(verdict.value > 0);
  CHECK(verdict.finding.find("19.weight") != std::string::npos);
  for (const char* remedy : {"nn::ReLU", "nn::Residual", "nn::BatchNorm1d"}) CHECK(advises(verdict, remedy));
  CHECK(!advises(verdict, "Xavier"));  // that is how they began

  // With a large rate the last layer learns the mean at once, and then all gradients are as small.
  Deep fast(20, 16, sigmoids);
  const auto early = Training(fast, 0.1, 60, 16).monitor.verdicts();
  CHECK(verdict_of(early, Kind::vanishing).first_step == 0);

  Deep relus(20, 16, [](const Tensor<double>& z, const Tensor<double>&) { return relu(z); });
  relus.set_weights(nn::init::he_normal<double>);
  CHECK(kinds(Training(relus, 0.01).monitor.verdicts()).count(Kind::vanishing) == 0);

  Deep tanhs(20, 16, [](const Tensor<double>& z, const Tensor<double>&) { return tanh(z); });
  CHECK(kinds(Training(tanhs, 0.01).monitor.verdicts()).count(Kind::vanishing) == 0);
  tanhs.set_weights([](const Shape& shape) { return random::normal<double>(shape, 0, 0.02); });
  const auto small = Training(tanhs, 0.01).monitor.verdicts();
  CHECK(advises(verdict_of(small, Kind::vanishing), "init::xavier_uniform: "));
  CHECK(advises(verdict_of(small, Kind::vanishing), " began with a root mean square of 0.0"));

  Deep residual(20, 16, [](const Tensor<double>& z, const Tensor<double>& h) { return h + sigmoid(z); });
  CHECK(kinds(Training(residual, 1e-4).monitor.verdicts()).count(Kind::vanishing) == 0);

  const Tensor<double> gamma = ones<double>({16}), beta = zeros<double>({16});
  Deep normalised(20, 16, [&](const Tensor<double>& z, const Tensor<double>&) {
    return sigmoid(batch_norm(z, gamma, beta));
  });
  const Training with_norm(normalised, 0.01);
  CHECK(with_norm.monitor.history().normalizes);
  CHECK(kinds(with_norm.monitor.verdicts()).count(Kind::vanishing) == 0);
}

TEST_CASE("large weights make gradients explode") {
  random::seed(6);
  Deep model(8, 16, [](const Tensor<double>& z, const Tensor<double>&) { return relu(z); });
  model.set_weights([](const Shape& shape) { return random::normal<double>(shape, 0, 2); });
  const Training training(model, 1e-3);
  const auto verdicts = training.monitor.verdicts();
  const nn::Verdict& verdict = verdict_of(verdicts, Kind::exploding);
  CHECK(verdict.first_step == 0);
  CHECK(verdict.value > 1e3);
  CHECK(advises(verdict, "He initialisation"));
  CHECK(advises(verdict, "nn::BatchNorm1d"));
  CHECK(advises(verdict, "clip_grad_norm"));

  // Growth from layer to layer alone: gradients small beside the weights.
  auto first = parameter<double>({{1e3}}), last = parameter<double>({{1e3}});
  nn::GradientMonitor<double> monitor({{"first", first}, {"last", last}});
  sum(first + 1e-4 * last).backward();
  monitor.before_step();
  monitor.after_step(1);
  CHECK(verdict_of(monitor.verdicts(), Kind::exploding).where == "first");
  CHECK(verdict_of(monitor.verdicts(), Kind::exploding).value == doctest::Approx(1e4));
}

TEST_CASE("the unit of the loss is no matter of the training") {
  for (const double unit : {1.0, 1e6, 1e-6}) {
    random::seed(82);
    Deep model(3, 16, [](const Tensor<double>& z, const Tensor<double>&) { return tanh(z); });
    const Tensor<double> x = random::normal<double>({64, 16}), y = tanh(sum(x, 1, true) / 4.0);
    nn::GradientMonitor<double> monitor(model);
    nn::Adam<double> adam(model.parameters(), {.learning_rate = 0.001, .epsilon = 1e-30});
    for (int step = 0; step < 100; ++step) {
      adam.zero_grad();
      const Tensor<double> loss = unit * nn::mse_loss(model(x), y);
      loss.backward();
      monitor.step(adam, loss.item());
    }
    const auto& steps = monitor.history().steps;
    CHECK(steps.back().loss < 0.2 * steps.front().loss);
    for (const nn::Verdict& verdict : monitor.verdicts()) CHECK_MESSAGE(false, verdict);
  }
}

TEST_CASE("weights that start at 0 are no sign of a rate too high") {
  // The first updates are all that the weight is made of; a loss of other samples in each step hardly falls.
  for (const double start : {0.0, 1e-9}) {
    for (const bool is_matrix : {false, true}) {
      random::seed(83);
      const Tensor<double> slopes = random::normal<double>({8, 1});
      auto w = is_matrix ? parameter(full<double>({8, 1}, start)) : parameter(full<double>({8}, start));
      nn::GradientMonitor<double> monitor({{"w", w}});
      nn::SGD<double> sgd({w}, {.learning_rate = 5e-4});
      for (int step = 0; step < 60; ++step) {
        const Tensor<double> x = random::normal<double>({8, 8});
        sgd.zero_grad();
        const Tensor<double> loss = nn::mse_loss(matmul(x, reshape(w, {8, 1})), matmul(x, slopes));
        loss.backward();
        monitor.step(sgd, loss.item());
      }
      for (const nn::Verdict& verdict : monitor.verdicts()) CHECK_MESSAGE(false, verdict);
    }
  }
  // The rate may be too high all the same.
  auto w = parameter(zeros<double>({8, 1}));
  nn::GradientMonitor<double> monitor({{"w", w}});
  nn::SGD<double> sgd({w}, {.learning_rate = 1});
  for (int step = 0; step < 20; ++step) {
    sgd.zero_grad();
    const Tensor<double> loss = sum(square(w - 1.0));  // w jumps from 0 to 2 and back
    loss.backward();
    monitor.step(sgd, loss.item());
  }
  CHECK(kinds(monitor.verdicts()) == std::set{Kind::rate_too_high});
}

TEST_CASE("ReLU units that are 0 for all samples of all steps are dead") {
  random::seed(7);
  nn::Linear<double> first(16, 8);
  Tensor<double> bias = zeros<double>({8});
  for (std::size_t i = 0; i < 3; ++i) bias.mutable_data()[i] = -1000;
  first.bias.assign(bias);
  nn::Sequential<double> model(first, nn::ReLU<double>(), nn::Linear<double>(8, 1));
  const Training training(model, 0.01, 12);
  const auto verdicts = training.monitor.verdicts();
  CHECK(kinds(verdicts) == std::set{Kind::dead});
  const nn::Verdict& verdict = verdict_of(verdicts, Kind::dead);
  CHECK(verdict.where == "relu 1");
  CHECK(verdict.finding == "3 of 8 units were 0 for every sample of 10 steps");
  CHECK(verdict.value == 3.0 / 8);
  CHECK(verdict.last_step == 11);
  CHECK(advises(verdict, "leaky_relu"));
  CHECK(training.monitor.history().steps[8].activations[0].dead_units == 0);  // the window is not full
  CHECK(training.monitor.history().steps[9].activations[0].dead_units == 3);
  // 16 of the 48 gradients of the dead units' weights are 0, at least.
  CHECK(training.monitor.history().steps[0].parameters[0].zero_share >= 3.0 / 8);
}

TEST_CASE("huge pre-activations saturate hidden sigmoids and tanh; an output may be certain") {
  random::seed(8);
  for (const bool is_tanh : {false, true}) {
    Deep model(3, 16, [is_tanh](const Tensor<double>& z, const Tensor<double>&) {
      return is_tanh ? tanh(100.0 * z) : sigmoid(100.0 * z);
    });
    const Training training(model, 1e-3);
    const auto verdicts = training.monitor.verdicts();
    const nn::Verdict& verdict = verdict_of(verdicts, Kind::saturated);
    CHECK(verdict.where == (is_tanh ? "tanh 1" : "sigmoid 1"));
    CHECK(verdict.value > 0.9);
    CHECK(advises(verdict, "nn::ReLU"));
  }
  const auto w = parameter<double>({1.0});
  nn::GradientMonitor<double> monitor({{"w", w}}, {.limits = {.window = 1}});
  for (const double z : {3.85, 3.95}) {  // sigmoid(3.892) = 0.98, tanh(1.946) = 0.96
    const Tensor<double> hidden = sigmoid(z * w);
    sum(tanh(0 * hidden * w + z / 2 * w)).backward();
    monitor.before_step();
    monitor.after_step(1);
  }
  CHECK(monitor.history().steps[0].activations[0].saturated_share == 0);
  CHECK(monitor.history().steps[0].activations[1].saturated_share == 0);
  CHECK(monitor.history().steps[1].activations[0].saturated_share == 1);
  CHECK(monitor.history().steps[1].activations[1].saturated_share == 1);
  CHECK(monitor.history().steps[1].activations[0].is_hidden);   // w is used after it
  CHECK(!monitor.history().steps[1].activations[1].is_hidden);  // the output
  CHECK(kinds(monitor.verdicts()).count(Kind::saturated) == 1);
}

TEST_CASE("an activation is hidden when a weight multiplies what comes of it, and else it may be certain") {
  random::seed(81);
  const Tensor<double> x = 10 * random::normal<double>({32, 2}), y = sum(x, 1, true) > 0.0;
  const auto V = parameter(random::normal<double>({8, 2})), W = parameter(random::normal<double>({1, 8})),
             b = parameter<double>({0.0});
  const auto hidden_of = [&](const std::function<Tensor<double>(const Tensor<double>& h)>& loss) {
    nn::GradientMonitor<double> monitor({{"V", V}, {"W", W}, {"b", b}});
    loss(tanh(linear(x, V))).backward();
    monitor.before_step();
    monitor.after_step(1);
    std::vector<bool> hidden;
    for (const nn::ActivationStep& a : monitor.history().steps[0].activations) hidden.push_back(a.is_hidden);
    return hidden;
  };
  const auto error = [&](const Tensor<double>& p) { return nn::mse_loss(p, y); };
  const std::vector<bool> first{true, false};
  CHECK(hidden_of([&](const auto& h) { return error(sigmoid(linear(h, W, b))); }) == first);
  CHECK(hidden_of([&](const auto& h) { return error(sigmoid(matmul(h, transpose(W)) + b)); }) == first);
  CHECK(hidden_of([&](const auto& h) {  // a penalty on the weights, and a learnt offset of the loss
          return error(sigmoid(linear(h, W, b))) + 0.01 * sum(W * W) + 0.01 * sum(square(V)) + sum(b);
        }) == first);
  CHECK(hidden_of([&](const auto& h) { return error(sum(h * W, 1, true)); }) == std::vector<bool>{true});
  CHECK(hidden_of([&](const auto& h) {
          return error(checkpoint([&](const auto& a) { return linear(a, W); }, h));
        }) == std::vector<bool>{true});
  CHECK(hidden_of([&](const auto& h) { return sum(h) + sum(W); }) == std::vector<bool>{false});

  // A training that is right: outputs that are sure of two classes, and weights that are kept small.
  nn::Linear<double> layer(2, 1);
  nn::GradientMonitor<double> monitor(layer);
  nn::SGD<double> sgd(layer.parameters(), {.learning_rate = 0.1});
  for (int step = 0; step < 60; ++step) {
    sgd.zero_grad();
    const Tensor<double> loss =
        nn::binary_cross_entropy(sigmoid(layer(x)), y) + 1e-4 * sum(layer.weight * layer.weight);
    loss.backward();
    monitor.step(sgd, loss.item());
  }
  CHECK(monitor.history().steps.back().activations[0].saturated_share > 0.5);
  for (const nn::Verdict& verdict : monitor.verdicts()) CHECK_MESSAGE(false, verdict);
}

TEST_CASE("learning rates: too high, too low, and by how much") {
  random::seed(9);
  const auto tanhs = [](const Tensor<double>& z, const Tensor<double>&) { return tanh(z); };
  {
    Deep model(3, 16, tanhs);
    const Training training(model, 1e3);
    const auto verdicts = training.monitor.verdicts();
    const nn::Verdict& verdict = verdict_of(verdicts, Kind::rate_too_high);
    CHECK(verdict.first_step == 0);
    CHECK(verdict.value > 1);
    CHECK(advises(verdict, "Multiply the learning rate by 0.1, "));
    CHECK(advises(verdict, "from 1e+03 to 100"));
  }
  {
    Deep model(3, 16, tanhs);
    const Training training(model, 1e-9);
    const auto verdicts = training.monitor.verdicts();
    CHECK(kinds(verdicts) == std::set{Kind::rate_too_low});
    CHECK(verdicts[0].value < 1e-8);
    CHECK(advises(verdicts[0], "Multiply the learning rate by 10, "));
  }
  {
    Deep model(3, 16, tanhs);
    const Training training(model, 0);
    CHECK(advises(verdict_of(training.monitor.verdicts(), Kind::rate_too_low), "updates are 0"));
  }
  {  // A parabola with a rate just above 2 / curvature: up and down, and slowly up.
    auto w = parameter<double>({{1.0}});
    nn::GradientMonitor<double> monitor({{"w", w}});
    nn::SGD<double> sgd({w}, {.learning_rate = 1.01});
    for (int step = 0; step < 30; ++step) {
      sgd.zero_grad();
      const Tensor<double> loss = sum(square(w));
      loss.backward();
      monitor.step(sgd, loss.item());
    }
    const auto verdicts = monitor.verdicts();
    CHECK(kinds(verdicts) == std::set{Kind::rate_too_high});
  }
  {  // Divergence to infinity.
    auto w = parameter<double>({{1.0}});
    nn::GradientMonitor<double> monitor({{"w", w}});
    nn::SGD<double> sgd({w}, {.learning_rate = 1e60});
    for (int step = 0; step < 6; ++step) {
      sgd.zero_grad();
      const Tensor<double> loss = sum(square(w));
      loss.backward();
      monitor.step(sgd, loss.item());
    }
    CHECK(kinds(monitor.verdicts()).count(Kind::rate_too_high) == 1);
    CHECK(kinds(monitor.verdicts()).count(Kind::not_finite) == 1);
  }
}

TEST_CASE_TEMPLATE("healthy training gets no verdict", T, float, double) {
  random::seed(11);
  nn::Sequential<T> model(nn::Linear<T>(2, 16), nn::Tanh<T>(), nn::Linear<T>(16, 16), nn::ReLU<T>(),
                          nn::Linear<T>(16, 1), nn::Sigmoid<T>());
  nn::GradientMonitor<T> monitor(model);
  nn::Adam<T> adam(model.parameters(), {.learning_rate = 0.01});
  double last = 1;
  for (int step = 0; step < 300; ++step) {
    const Tensor<T> x = random::normal<T>({64, 2});
    const Tensor<T> y = sum(x, 1, true) > 0;
    adam.zero_grad();
    const Tensor<T> loss = nn::binary_cross_entropy(model(x), y);
    loss.backward();
    monitor.step(adam, last = static_cast<double>(loss.item()));
  }
  CHECK(last < 0.15);
  for (const nn::Verdict& verdict : monitor.verdicts()) MESSAGE(verdict.finding);
  CHECK(monitor.verdicts().empty());
  std::ostringstream text;
  text << monitor;
  CHECK(text.str().find("no verdict\n") != std::string::npos);
  CHECK(text.str().find("step 299, loss 0.") == 0);
  CHECK(text.str().find("tanh 1") != std::string::npos);
}

TEST_CASE("a verdict is printed with its title, place, steps and advice") {
  std::ostringstream text;
  text << nn::Verdict{
      Kind::dead, "ReLU 1", 3, 12, 0.5, "half of the units are 0", {"lower the rate", "use LeakyReLU"}};
  CHECK(text.str() ==
        "dead units (ReLU 1, steps 3 to 12): half of the units are 0\n"
        "  - lower the rate\n  - use LeakyReLU\n");
  const std::pair<Kind, const char*> titles[] = {
      {Kind::not_finite, "NaN or infinity"},           {Kind::exploding, "exploding gradients"},
      {Kind::vanishing, "vanishing gradients"},        {Kind::saturated, "saturated units"},
      {Kind::rate_too_high, "learning rate too high"}, {Kind::rate_too_low, "learning rate too low"}};
  for (const auto& [kind, title] : titles) CHECK(std::string(nn::Verdict{.kind = kind}.title()) == title);
}
