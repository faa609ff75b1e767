// What is frozen: leaves, parameters of models, and what was traced before.
#include <algorithm>
#include <cstdio>

#include "tied_net.hpp"

using namespace xtape;
using namespace xtape::test;

TEST_CASE("a frozen leaf counts as a constant, for all its handles, until it is not frozen any more") {
  auto w = parameter<double>({1.0, 2.0});
  const auto handle = w, v = parameter<double>({3.0, 4.0});
  sum(square(w)).backward();
  const Tensor<double> before = sum(w * v), of_w = sum(square(w));
  w.set_requires_grad(false);
  CHECK(!handle.requires_grad());
  CHECK(handle.is_leaf());
  CHECK(!handle.has_grad());  // an optimiser would go on with it
  // What is computed from it alone is not recorded; what is recorded does not keep a place for it.
  const std::size_t nodes = Tape::current().size();
  CHECK(!exp(handle).requires_grad());
  CHECK(Tape::current().size() == nodes);
  sum(w * v).backward();
  CHECK(!handle.has_grad());
  check_close(v.grad(), {1.0, 2.0}, 0);
  // Nor does what was recorded before.
  before.backward();
  of_w.backward();
  CHECK(!handle.has_grad());
  check_close(v.grad(), {2.0, 4.0}, 0);
  CHECK_THROWS_WITH_AS(sum(w).backward(), doctest::Contains("does not depend on any tensor"), Error);
  CHECK_THROWS_WITH_AS(grad(sum(v * w), w), doctest::Contains("a constant, or frozen"), Error);
  CHECK_THROWS_WITH_AS(w.grad(), "[grad] the leaf is frozen: set_requires_grad(true), or Module::unfreeze()",
                       Error);
  CHECK_THROWS_WITH_AS(w.set_grad(v), "[set_grad] the leaf is frozen: set_requires_grad(true)", Error);
  w.assign({5.0, 6.0});
  // Derivatives with respect to an argument are another thing than what the argument is elsewhere.
  const auto f = [&](const auto& x) { return sum(x * x * handle); };
  check_close(hessian(f, w), Tensor<double>{{10.0, 0.0}, {0.0, 12.0}}, 1e-14);
  check_close(jvp(f, w, {1.0, 0.0}).second, Tensor<double>(50), 1e-14);
  w.set_requires_grad(true);
  sum(handle * v).backward();
  check_close(w.grad(), {3.0, 4.0}, 0);
  Tensor<double> constant{1.0}, computed = w * 2;
  CHECK_THROWS_WITH_AS(constant.set_requires_grad(true),
                       "[set_requires_grad] the tensor is a constant: make it with parameter()", Error);
  CHECK_THROWS_WITH_AS(computed.set_requires_grad(false),
                       doctest::Contains("[set_requires_grad] a computed tensor"), Error);
}

TEST_CASE("programs and scans that were traced before a leaf is frozen are traced anew") {
  auto w = parameter<double>({1.0, 2.0}), v = parameter<double>({3.0, 4.0});
  const auto f = compile([&](const auto& x) { return sum(x * w * v); });
  const Tensor<double> x{1.0, 1.0};
  CHECK(f.value_and_grad(x).second.size() == 2);
  const Tensor<double> recorded = f(x);
  w.set_requires_grad(false);
  recorded.backward();  // of the program before
  CHECK(!w.has_grad());
  check_close(v.grad(), {1.0, 2.0}, 0);
  CHECK(f.value_and_grad(x).second.size() == 1);
  CHECK(f.leaves().size() == 1);
  w.set_requires_grad(true);
  CHECK(f.value_and_grad(x).second.size() == 2);

  nn::LSTM<double> lstm(2, 3);
  const Tensor<double> series = random::normal<double>({5, 4, 2});
  lstm.cell.weight_hh.set_requires_grad(false);  // the first trace is one without it
  sum(lstm(series)).backward();
  CHECK(!lstm.cell.weight_hh.has_grad());
  CHECK(lstm.cell.weight_ih.has_grad());
  lstm.freeze();
  CHECK(!sum(lstm(series)).requires_grad());
  lstm.unfreeze();
  sum(lstm(series)).backward();
  CHECK(lstm.cell.weight_hh.has_grad());
}

TEST_CASE("freeze: neither recorded nor trained nor decayed, but saved, counted and named") {
  Net net;
  const Tensor<double> x = random::normal<double>({5, 3}), y = random::normal<double>({5, 2});
  nn::AdamW<double> adam(net.parameters(), {.learning_rate = 0.1, .weight_decay = 0.5});
  const nn::Dataset<double> data(x, y);
  nn::CompiledStep<double> compiled(net, squared_error, adam);
  compiled(data);  // a program that trains all of it
  CHECK(net.middle.weight.has_grad());
  net.features.freeze();
  net.tied.freeze();  // and with it the weight of `middle`
  CHECK(!net.middle.weight.requires_grad());
  CHECK(net.middle.bias.requires_grad());
  net.eval();
  const std::size_t nodes = Tape::current().size();
  const Tensor<double> features = net.features(x);
  CHECK(!features.requires_grad());
  CHECK(Tape::current().size() == nodes);
  net.train();
  CHECK(net.named_parameters().size() == 8);
  CHECK(net.parameters().size() == 8);

  const auto trained = [&] {
    std::vector<std::string> names;
    const auto before = values_of(net);
    compiled(data);
    adam.zero_grad();
    nn::mse_loss(net(x), y).backward();
    adam.step();
    nn::DataLoader<double> loader(data);
    nn::Trainer<double>(net, adam, squared_error, {.epochs = 1}).fit(loader);
    const auto all = net.named_parameters();
    for (std::size_t i = 0; i < all.size(); ++i)
      if (!difference<double>(all[i].second.detach(), before[i], 0, 0).empty()) names.push_back(all[i].first);
    return names;
  };
  CHECK(trained() == std::vector<std::string>{"middle.bias", "head.weight", "head.bias"});
  const std::string path = "/tmp/xtape_test_frozen.safetensors";
  nn::save(path, net, adam);
  Net other;
  nn::AdamW<double> again(other.parameters());
  nn::load(path, other, again);
  check_values(other, values_of(net));
  std::remove(path.c_str());
  CHECK(nn::summary(net, {5, 3}).parameters() == 12 + 4 + 8 + 16 + 4 + 10);
  net.unfreeze();
  CHECK(trained().size() == 8);

  net.freeze();
  nn::DataLoader<double> loader(data);
  nn::Trainer<double> trainer(net, adam, squared_error);
  CHECK_THROWS_WITH_AS(trainer.fit(loader), doctest::Contains("does not depend on any tensor"), Error);
}

TEST_CASE("the monitor does not miss gradients of what is frozen, but those of other parameters") {
  for (const bool detached : {false, true}) {
    random::seed(6);
    nn::Linear<double> first(3, 4), second(4, 4), last(4, 1);
    first.freeze();
    std::vector<std::pair<std::string, Tensor<double>>> all;
    for (auto* const layer : {&first, &second, &last})
      for (const auto& one : layer->named_parameters()) all.push_back(one);
    nn::GradientMonitor<double> monitor(all);
    std::vector<Tensor<double>> parameters;
    for (const auto& one : all) parameters.push_back(one.second);
    nn::SGD<double> sgd(parameters, {.learning_rate = 0.01, .weight_decay = 0.1});
    const Tensor<double> x = random::normal<double>({16, 3}), y = random::normal<double>({16, 1});
    for (int step = 0; step < 20; ++step) {
      sgd.zero_grad();
      const Tensor<double> hidden = tanh(second(tanh(first(x))));
      const Tensor<double> loss = nn::mse_loss(last(detached ? hidden.detach() : hidden), y);
      loss.backward();
      monitor.step(sgd, loss.item());
    }
    CHECK(monitor.history().steps.back().parameters[0].is_frozen);
    CHECK(!monitor.history().steps.back().parameters[2].is_frozen);
    const auto verdicts = monitor.verdicts();
    const auto missing = std::ranges::find(verdicts, nn::Verdict::Kind::missing_gradient, &nn::Verdict::kind);
    CHECK((missing != verdicts.end()) == detached);
    if (detached) CHECK(missing->value == 2);  // of the second layer
  }
}

TEST_CASE("a checkpoint records nothing for what is frozen, and what else it captures") {
  auto w = parameter<double>({1.0, 2.0}), v = parameter<double>({3.0, 4.0});
  w.set_requires_grad(false);
  const auto of_w = [&](const Tensor<double>& x) { return x * w; };
  const Tensor<double> x{1.0, 1.0};
  CHECK(!checkpoint(of_w, x).requires_grad());
  sum(checkpoint([&](const Tensor<double>& in) { return of_w(in) * v; }, x)).backward();
  check_close(v.grad(), {1.0, 2.0}, 0);
  CHECK(!w.has_grad());
}

TEST_CASE("LBFGS leaves what is frozen as it is") {
  random::seed(2);
  nn::Sequential<double> model(nn::Linear<double>(2, 3), nn::Tanh<double>(), nn::Linear<double>(3, 1));
  model[0].freeze();
  const auto before = values_of(model[0]);
  const Tensor<double> x = random::normal<double>({8, 2}), y = random::normal<double>({8, 1});
  nn::LBFGS<double> lbfgs(model.parameters());
  const double first = lbfgs.step([&] { return nn::mse_loss(model(x), y); }).item();
  CHECK(lbfgs.last().value < first);
  check_values(model[0], before);
  CHECK(!model.parameters()[0].has_grad());
}
