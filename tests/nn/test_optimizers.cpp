// Optimisers, schedules and clipping against PyTorch's numbers, and their state.
#include <algorithm>
#include <cmath>
#include <concepts>
#include <functional>
#include <map>

#include "../check_close.hpp"
#include "golden_nn.hpp"

#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;

namespace {

using Parameters = std::vector<Tensor<double>>;
using MakeOptimizer = std::function<std::unique_ptr<nn::Optimizer<double>>(Parameters)>;

template <template <class> class Rule, class Options>
MakeOptimizer make(Options options) {
  return [=](Parameters p) { return std::make_unique<Rule<double>>(std::move(p), options); };
}

/// Weights and biases of the network with options of their own.
template <template <class> class Rule, class Options>
MakeOptimizer grouped(nn::GroupOptions weights, nn::GroupOptions biases, Options options) {
  return [=](Parameters p) {
    return std::make_unique<Rule<double>>(
        nn::groups<double>({{{p[0], p[2]}, weights}, {{p[1], p[3]}, biases}}), options);
  };
}

std::map<std::string, MakeOptimizer> optimizers() {
  using namespace xtape::nn;
  return {
      {"SGD", make<SGD>(SGDOptions{.learning_rate = 0.5})},
      {"SGD/momentum", make<SGD>(SGDOptions{.learning_rate = 0.2, .momentum = 0.9, .weight_decay = 0.01})},
      {"SGD/nesterov", make<SGD>(SGDOptions{.learning_rate = 0.2, .momentum = 0.9, .nesterov = true})},
      {"Adam", make<Adam>(AdamOptions{})},
      {"Adam/options",
       make<Adam>(AdamOptions{
           .learning_rate = 0.05, .beta1 = 0.8, .beta2 = 0.9, .epsilon = 1e-4, .weight_decay = 0.02})},
      {"AdamW", make<AdamW>(AdamWOptions{})},
      {"AdamW/options",
       make<AdamW>(AdamWOptions{
           .learning_rate = 0.05, .beta1 = 0.8, .beta2 = 0.9, .epsilon = 1e-4, .weight_decay = 0.3})},
      {"RMSprop", make<RMSprop>(RMSpropOptions{})},
      {"RMSprop/momentum",
       make<RMSprop>(RMSpropOptions{
           .learning_rate = 0.01, .alpha = 0.9, .epsilon = 1e-3, .momentum = 0.8, .weight_decay = 0.1})},
      {"RMSprop/centered", make<RMSprop>(RMSpropOptions{.alpha = 0.9, .epsilon = 1e-3, .centered = true})},
      {"RMSprop/all", make<RMSprop>(RMSpropOptions{.learning_rate = 0.005,
                                                   .alpha = 0.8,
                                                   .epsilon = 1e-3,
                                                   .momentum = 0.5,
                                                   .centered = true,
                                                   .weight_decay = 0.05})},
      {"Adagrad", make<Adagrad>(AdagradOptions{})},
      {"Adagrad/options", make<Adagrad>(AdagradOptions{.learning_rate = 0.1,
                                                       .rate_decay = 0.05,
                                                       .initial_square = 0.1,
                                                       .epsilon = 1e-4,
                                                       .weight_decay = 0.02})},
      {"SGD/groups", grouped<SGD>({.weight_decay = 0.1}, {.learning_rate = 0.05},
                                  SGDOptions{.learning_rate = 0.2, .momentum = 0.9})},
      {"Adam/groups",
       grouped<Adam>({.learning_rate = 0.02}, {.weight_decay = 0.3}, AdamOptions{.learning_rate = 0.05})},
      {"AdamW/groups", grouped<AdamW>({.weight_decay = 0.1}, {.learning_rate = 0.1, .weight_decay = 0},
                                      AdamWOptions{.learning_rate = 0.05, .weight_decay = 0.4})},
      {"RMSprop/groups", grouped<RMSprop>({.weight_decay = 0.2}, {.learning_rate = 0.002},
                                          RMSpropOptions{.learning_rate = 0.01})},
      {"Adagrad/groups", grouped<Adagrad>({.learning_rate = 0.1}, {.weight_decay = 0.2},
                                          AdagradOptions{.learning_rate = 0.05})},
  };
}

Parameters parameters() {
  Parameters p;
  for (const char* name : {"W1", "b1", "W2", "b2"})
    p.push_back(parameter(tensor(golden_nn().at("network").at(name))));
  return p;
}

/// Names for parameters that are no model's.
nn::Optimizer<double>::Named named(const Parameters& p) {
  nn::Optimizer<double>::Named all;
  for (std::size_t i = 0; i < p.size(); ++i) all.emplace_back("layer." + std::string(1, char('a' + i)), p[i]);
  return all;
}

double train_step(nn::Optimizer<double>& optimizer) {
  const Json& network = golden_nn().at("network");
  Parameters p = optimizer.parameters();
  if (p[1].rank() == 2) std::swap(p[1], p[2]);  // groups: weights, then biases
  optimizer.zero_grad();
  const Tensor<double> loss =
      nn::mse_loss(sigmoid(linear(tanh(linear(tensor(network.at("x")), p[0], p[1])), p[2], p[3])),
                   tensor(network.at("y")));
  loss.backward();
  optimizer.step();
  return loss.item();
}

void check_all_close(const Parameters& p, const Json& expected, double rtol) {
  REQUIRE(p.size() == expected.size());
  for (std::size_t i = 0; i < p.size(); ++i) check_close(p[i], tensor(expected[i]), rtol, rtol / 100);
}

}  // namespace

TEST_CASE("every optimiser follows PyTorch's losses and parameters over 20 steps") {
  const auto all = optimizers();
  const Json& rows = golden_nn().at("optimizers");
  CHECK(rows.size() == all.size());
  for (const auto& [id, make] : all) {
    const std::string& name = id;  // Clang 14 captures no binding
    CAPTURE(name);
    const Json& row = rows.at(name);
    const Parameters p = parameters();
    const auto optimizer = make(p);
    for (std::size_t step = 0; step < 20; ++step) {
      const double loss = train_step(*optimizer), expected = row.at("losses")[step];
      CHECK(std::abs(loss - expected) <= 1e-12 * expected);
      if (step == 2) check_all_close(p, row.at("third"), 1e-12);
    }
    check_all_close(p, row.at("final"), 1e-11);
  }
}

TEST_CASE("groups: schedules change all rates in proportion, and a state goes to other groups by name") {
  const Parameters p = parameters(), q = parameters();
  nn::SGD<double> grouped(nn::groups<double>({{{p[0], p[1]}, {.learning_rate = 0.1}}, {{p[2], p[3]}, {}}}),
                          {.learning_rate = 0.4});
  nn::SGD<double> slow({q[0], q[1]}, {.learning_rate = 0.1}), fast({q[2], q[3]}, {.learning_rate = 0.4});
  const nn::StepOptions halves{.step_size = 2, .gamma = 0.5};
  nn::StepLR of_grouped(grouped, halves), of_slow(slow, halves), of_fast(fast, halves);
  const auto compare = [&] {
    for (std::size_t i = 0; i < 4; ++i) {
      const Tensor<double> g = sin(p[i].detach());
      Tensor<double>(p[i]).set_grad(g);
      Tensor<double>(q[i]).set_grad(g);
    }
    grouped.step();
    slow.step();
    fast.step();
    for (std::size_t i = 0; i < 4; ++i) check_close(p[i], q[i], 0);
  };
  for (int step = 0; step < 5; ++step) {
    compare();
    of_grouped.step();
    of_slow.step();
    of_fast.step();
  }
  CHECK(grouped.learning_rate() == 0.1);
  grouped.set_learning_rate(0);
  slow.set_learning_rate(0);
  fast.set_learning_rate(0);
  compare();

  nn::Adam<double> first(nn::groups<double>({{{p[0], p[1]}, {}}, {{p[2], p[3]}, {.weight_decay = 0.1}}}));
  train_step(first);
  nn::Adam<double> second(nn::groups<double>({{{p[3]}, {}}, {{p[1], p[0], p[2]}, {.learning_rate = 0.1}}}));
  second.restore(named(p), first.state(named(p)));
  const auto before = first.state(named(p)), after = second.state(named(p));
  REQUIRE(after.size() == before.size());
  for (const auto& [name, value] : before) {
    const std::string& entry = name;
    const auto at = std::ranges::find_if(after, [&](const auto& one) { return one.first == entry; });
    REQUIRE(at != after.end());
    check_close(at->second, value, 0);
  }
  double expected = 0;
  for (const Tensor<double>& one : p) expected += sum(square(one.grad())).item();
  CHECK(nn::clip_grad_norm(second.parameters(), 1e-3) == doctest::Approx(std::sqrt(expected)));

  using Rule = nn::SGD<double>;
  CHECK_THROWS_WITH_AS(Rule(nn::groups<double>({{{p[0]}, {}}, {{p[1], p[0]}, {}}})),
                       "[optimizer] tensor 2 is tensor 0 again: each step would update it twice", Error);
  CHECK_THROWS_WITH_AS(Rule(nn::groups<double>({{{p[0]}, {}}, {{}, {}}})),
                       "[optimizer] group 1 has no parameters", Error);
  CHECK_THROWS_WITH_AS(Rule(nn::groups<double>({{{p[0]}, {.learning_rate = -1}}})),
                       "[optimizer] the learning rate -1 is negative", Error);
  CHECK_THROWS_WITH_AS(Rule(nn::groups<double>({{{p[0]}, {.weight_decay = -1}}})),
                       "[optimizer] the weight decay -1 is negative", Error);
  CHECK_THROWS_WITH_AS(Rule(nn::groups<double>({{{p[0]}, {.learning_rate = 1}}}), {.learning_rate = 0}),
                       doctest::Contains("that of the options is 0, to which it cannot be in proportion"),
                       Error);
  static_assert(!std::constructible_from<nn::LBFGS<double>, nn::Groups<double>>);
}

TEST_CASE("a saved state continues bit for bit, and one that does not fit changes nothing") {
  for (const auto& [id, make] : optimizers()) {
    const std::string& name = id;
    CAPTURE(name);
    const Parameters p = parameters();
    const auto first = make(p);
    CHECK(first->state(named(p)).empty());
    for (int i = 0; i < 3; ++i) train_step(*first);
    Parameters copies;
    for (const Tensor<double>& one : p) copies.push_back(parameter(one));
    const auto second = make(copies);
    train_step(*second);  // what it has learnt gives way
    for (std::size_t i = 0; i < p.size(); ++i) copies[i].assign(p[i]);
    second->restore(named(copies), first->state(named(p)));
    for (int i = 0; i < 3; ++i) CHECK(train_step(*first) == train_step(*second));
    for (std::size_t i = 0; i < p.size(); ++i) check_close(copies[i], p[i], 0);
    CHECK(first->state(named(p)).size() == second->state(named(copies)).size());
  }
  const Parameters p = parameters();
  nn::Adam<double> adam(p);
  train_step(adam);
  auto state = adam.state(named(p));
  CHECK(state.size() == 12);
  CHECK(state[0].first == "steps.layer.a");
  CHECK(state[0].second.item() == 1);
  CHECK(state[2].first == "square.layer.a");
  CHECK(state[2].second.shape() == p[0].shape());
  state[1].second = zeros<double>({2});
  CHECK_THROWS_WITH_AS(adam.restore(named(p), state),
                       "[optimizer] 'mean.layer.a' is of shape (2,), and the parameter of shape (5, 3)",
                       Error);
  CHECK(adam.state(named(p))[0].second.item() == 1);
  const auto refused = [&](const std::string& entry, const Tensor<double>& value, const std::string& text) {
    CHECK_THROWS_WITH_AS(adam.restore(named(p), {{entry, value}}),
                         ("[optimizer] '" + entry + "' " + text).c_str(), Error);
  };
  refused("velocity.layer.a", zeros<double>({5, 3}), "is the state of another rule");
  refused("mean.layer.z", zeros<double>({5, 3}), "belongs to a parameter that this optimiser does not have");
  refused("mean", zeros<double>({5, 3}), "belongs to a parameter that this optimiser does not have");
  refused("mean.0", zeros<double>({5, 3}),
          "names a parameter by its place, as files of version 0.1 do: load the model without its optimiser");
  refused("steps.layer.a", -1.0, "is no number of steps");
  refused("steps.layer.a", std::nan(""), "is no number of steps");
  refused("steps.layer.a", zeros<double>({2}), "is no number of steps");
  CHECK_THROWS_WITH_AS(adam.state({{"a", p[0]}}),
                       "[optimizer] tensor 1 of shape (5,) has no name: it is no parameter of the model, or "
                       "members() leaves it out",
                       Error);
  adam.restore(named(p), {});
  CHECK(adam.state(named(p)).empty());
}

TEST_CASE("a state goes to the parameters of its names, in any order, or is refused") {
  // Two of the same shape, which places would confuse.
  auto a = parameter<double>({1.0, 2.0}), b = parameter<double>({3.0, 4.0});
  nn::SGD<double> sgd({a, b}, {.momentum = 0.5});
  sum(a + 10 * b).backward();
  sgd.step();
  const auto state = sgd.state({{"a", a}, {"b", b}, {"unused", parameter<double>(1.0)}});
  auto a2 = parameter<double>({1.0, 2.0}), b2 = parameter<double>({3.0, 4.0});
  const nn::Optimizer<double>::Named names{{"b", b2}, {"a", a2}};
  nn::SGD<double> turned({b2, a2}, {.momentum = 0.5});
  turned.restore(names, state);
  for (const auto& [name, value] : turned.state(names))
    if (name == "velocity.a") check_close(value, {1.0, 1.0}, 0);
  turned.restore(names, state);
  sum(0.0 * a2 + 0.0 * b2).backward();
  turned.step();
  check_close(a2, {1 - 0.05, 2 - 0.05}, 1e-15);
  check_close(b2, {3 - 0.5, 4 - 0.5}, 1e-15);

  nn::SGD<double> part({b2}, {.momentum = 0.5});
  CHECK_THROWS_WITH_AS(part.restore(names, state),
                       "[optimizer] 'steps.a' belongs to a parameter that this optimiser does not have",
                       Error);
  CHECK(part.state(names).empty());
  nn::SGD<double> only_b({b}, {.momentum = 0.5});
  only_b.step();
  turned.restore(names, only_b.state({{"a", a}, {"b", b}}));  // a has not been updated: it starts anew
  CHECK(turned.state(names).size() == 2);
}

TEST_CASE("optimisers in float, without gradients, with nothing, and with settings that cannot be") {
  using namespace xtape::nn;
  auto w = parameter<float>({1, -1}), unused = parameter<float>(7);
  RMSprop<float> rmsprop({w, unused}, {.learning_rate = 0.1, .alpha = 0, .epsilon = 0, .centered = true});
  (w * Tensor<float>{2, -3}).backward({.seed = ones<float>({2})});
  rmsprop.options.centered = false;
  rmsprop.step();
  check_close(w, {0.9f, -0.9f}, 1e-6);
  CHECK(unused.item() == 7);
  CHECK(rmsprop.state({{"w", w}, {"unused", unused}}).size() == 2);
  rmsprop.set_learning_rate(0.5);
  CHECK(rmsprop.learning_rate() == 0.5);
  CHECK_THROWS_WITH_AS(Adagrad<float>(std::vector<Tensor<float>>{}),
                       "[optimizer] there are no parameters: a module lists those that its members() names",
                       Error);

  // Centered, a gradient that stays leaves no variance, and rounding none below 0.
  RMSprop<float> centered({w}, {.alpha = 0.9, .epsilon = 1, .centered = true});
  for (int i = 0; i < 400; ++i) centered.step();
  CHECK(std::isfinite(norm(w).item()));

  const std::vector<Tensor<float>> p{w};
  for (const double rate : {-1.0, std::nan("")})
    CHECK_THROWS_WITH_AS(rmsprop.set_learning_rate(rate), doctest::Contains("[optimizer] the learning rate "),
                         Error);
  CHECK(rmsprop.learning_rate() == 0.5);
  CHECK_THROWS_WITH_AS(SGD<float>({unused, w, w}),
                       "[optimizer] tensor 2 is tensor 1 again: each step would update it twice", Error);
  CHECK_THROWS_WITH_AS(Adam<float>(p).restore({{"w", w}}, {{"mean.w", zeros<float>({2})}}),
                       "[optimizer] there is 'mean.w', and no 'steps.w'", Error);
  CHECK_THROWS_WITH_AS(AdamW<float>(p, {.beta2 = 1}), "[AdamW] beta1 0.9 and beta2 1 must be in [0, 1)",
                       Error);
  CHECK_THROWS_WITH_AS(AdamW<float>(p, {.weight_decay = -1}), "[AdamW] the weight decay -1 is negative",
                       Error);
  CHECK_THROWS_WITH_AS(RMSprop<float>(p, {.alpha = 1}), "[RMSprop] alpha 1 must be in [0, 1)", Error);
  CHECK_THROWS_WITH_AS(RMSprop<float>(p, {.momentum = -1}), "[RMSprop] the momentum -1 is negative", Error);
  CHECK_THROWS_WITH_AS(Adagrad<float>(p, {.rate_decay = -1}), "[Adagrad] the rate's decay -1 is negative",
                       Error);
  CHECK_THROWS_WITH_AS(Adagrad<float>(p, {.initial_square = -1}),
                       "[Adagrad] the initial square -1 is negative", Error);
}

TEST_CASE("clipping: PyTorch's gradients, and norms beyond the range of float") {
  for (const char* name : {"norm", "norm/small", "value"}) {
    CAPTURE(name);
    const Json& row = golden_nn().at("clipping").at(name);
    Parameters p;
    for (const Json& g : row.at("before")) {
      p.push_back(parameter(zeros<double>(tensor(g).shape())));
      p.back().set_grad(tensor(g));
    }
    const Tensor<double> held = p[0].grad();
    p.push_back(parameter<double>(1.0));  // has no gradient
    if (std::string(name) == "value") {
      nn::clip_grad_value(p, 2);
    } else {
      const double norm = nn::clip_grad_norm(p, std::string(name) == "norm" ? 1.5 : 100);
      CHECK(std::abs(norm - row.at("norm").get<double>()) <= 1e-14 * norm);
    }
    for (std::size_t i = 0; i < 3; ++i) check_close(p[i].grad(), tensor(row.at("after")[i]), 1e-14);
    check_close(held, tensor(row.at("before")[0]), 0);  // whoever holds a gradient keeps what he has
    CHECK(!p[3].has_grad());
  }

  auto w = parameter(zeros<float>({3000}));
  w.set_grad(full<float>({3000}, 1e30f));
  const std::vector<Tensor<float>> p{w};
  CHECK(nn::clip_grad_norm(p, 1) == doctest::Approx(1e30 * std::sqrt(3000.0)).epsilon(1e-6));
  CHECK(norm(w.grad()).item() == doctest::Approx(1).epsilon(1e-5));
  CHECK(nn::clip_grad_norm(p, 0) > 0);
  check_close(w.grad(), zeros<float>({3000}), 0);
  CHECK(nn::clip_grad_norm(p, 0) == 0);

  for (const double size : {1e200, 1e-200}) {  // their squares are beyond the range of double
    auto a = parameter(zeros<double>({3000})), b = parameter(zeros<double>({1}));
    a.set_grad(full<double>({3000}, 3 * size));
    b.set_grad(full<double>({1}, 4 * std::sqrt(3000) * size));
    const std::vector<Tensor<double>> extremes{a, b};
    CHECK(nn::clip_grad_norm(extremes, 1) / size == doctest::Approx(5 * std::sqrt(3000)));
    if (size > 1) CHECK(b.grad().item() == doctest::Approx(0.8));
  }

  const float nan = std::nanf(""), infinity = std::numeric_limits<float>::infinity();
  auto v = parameter<float>({0, 0, 0});
  const std::vector<Tensor<float>> both{w, v};
  w.set_grad(ones<float>({3000}));
  v.set_grad({nan, 1, 5});
  CHECK(std::isnan(nn::clip_grad_norm(both, 1)));
  check_close(v.grad(), {nan, 1, 5}, 0);
  v.set_grad({-infinity, 1, 5});
  CHECK(std::isinf(nn::clip_grad_norm(both, 1)));
  check_close(w.grad(), ones<float>({3000}), 0);
  v.set_grad({-infinity, nan, 5});
  nn::clip_grad_value(both, 2);
  check_close(v.grad(), {-2, nan, 2}, 0);

  CHECK(nn::clip_grad_norm(std::vector<Tensor<float>>{}, 1) == 0);
  CHECK_THROWS_WITH_AS(nn::clip_grad_norm(p, -1), "[clip_grad_norm] the limit -1 is not at least 0", Error);
  CHECK_THROWS_WITH_AS(nn::clip_grad_value(p, std::nan("")),
                       "[clip_grad_value] the limit nan is not at least 0", Error);
  CHECK_THROWS_WITH_AS(nn::clip_grad_norm(std::vector<Tensor<float>>{w, ones<float>({2})}, 1),
                       "[clip_grad_norm] tensor 1 is no parameter: make it with parameter()", Error);
  CHECK_THROWS_WITH_AS(v.set_grad({1, 2}), "[set_grad] the gradient of shape (2,) for a leaf of shape (3,)",
                       Error);
  Tensor<float> constant{1, 2};
  CHECK_THROWS_WITH_AS(constant.set_grad({1, 2}),
                       "[set_grad] only leaves hold a gradient: make the tensor with parameter()", Error);

  // Gradients go on accumulating on what was set.
  v.set_grad({1, 2, 3});
  sum(v).backward();
  check_close(v.grad(), {2, 3, 4}, 0);
}
