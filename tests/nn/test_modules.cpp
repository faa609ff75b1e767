// What is done with whole models: clones, calls with other parameters, averages, deduced types.
#include <algorithm>
#include <cstdio>
#include <type_traits>

#include "tied_net.hpp"

using namespace xtape;
using namespace xtape::test;

TEST_CASE("a clone has everything of its own: values, ties, modes, what is frozen") {
  Net net;
  const Tensor<double> x = random::normal<double>({5, 3});
  net(x);  // running statistics
  net.middle.freeze();
  net.features[2].eval();
  Net copy = nn::clone(net);
  const auto expected = values_of(net);
  check_values(copy, expected);
  const auto own = copy.state_dict(), originals = net.state_dict();
  for (const auto& [name, mine] : own)
    for (const auto& [path, theirs] : originals) CHECK(elements(mine) != elements(theirs));
  CHECK(elements(copy.tied.weight) == elements(copy.middle.weight));
  CHECK(!copy.middle.bias.requires_grad());
  CHECK(copy.head.bias.requires_grad());
  CHECK(!copy.features[2].training());
  CHECK(copy.features[0].training());
  CHECK(&copy.features[0] != &net.features[0]);
  check_close(copy(x), net(x), 0);

  // Training it changes nothing in the original.
  copy.train();
  nn::SGD<double> sgd(copy.parameters(), {.learning_rate = 0.1});
  sum(square(copy(x))).backward();
  sgd.step();
  check_values(net, expected);
  CHECK(!net.head.weight.has_grad());
  CHECK(!difference<double>(copy.head.weight.detach(), net.head.weight.detach(), 0, 0).empty());
  const nn::Linear<double> constant(2, 2);
  CHECK(elements(nn::clone(constant).weight) != elements(constant.weight));
  CHECK_THROWS_AS(nn::Linear<double>{constant}, Error);  // the scope of a clone is over

  // A layer that is held twice is one layer in the clone, too.
  const auto layer = std::make_shared<nn::Linear<double>>(3, 3);
  nn::Sequential<double> twice(layer, nn::Residual<double>(layer), nn::Residual<double>(nn::Residual(layer)));
  auto cloned = nn::clone(twice);
  CHECK(cloned.named_parameters().size() == 2);
  CHECK(cloned.named_modules().size() == twice.named_modules().size());
  CHECK(elements(cloned.parameters()[0]) != elements(layer->weight));
  check_close(cloned(x), twice(x), 0);
  nn::GRU<double> gru(3, 2);
  const Tensor<double> series = random::normal<double>({4, 2, 3});
  auto second = nn::clone(gru);
  check_close(second(series), gru(series), 0);
  second.cell.bias_hh.assign(ones<double>({6}));
  CHECK(!difference<double>(second(series).detach(), gru(series).detach(), 0, 0).empty());
}

namespace {

struct Pointing : nn::Module<double> {
  std::shared_ptr<nn::Linear<double>> layer = std::make_shared<nn::Linear<double>>(2, 2);
  Tensor<double> forward(const Tensor<double>& x) override { return (*layer)(x); }
  void members(nn::Members<double>& m) override { m.module("layer", *layer); }
};

struct Referring : nn::Module<double> {
  Tensor<double>& weight;
  explicit Referring(Tensor<double>& w) : weight(w) {}
  Tensor<double> forward(const Tensor<double>& x) override { return x * weight; }
  void members(nn::Members<double>& m) override { m.parameter("weight", weight); }
};

struct Constant : nn::Module<double> {
  const Tensor<double> weight = parameter<double>(2.0);
  Tensor<double> forward(const Tensor<double>& x) override { return x * weight; }
  void members(nn::Members<double>& m) override { m.parameter("weight", weight); }
};

struct Derived : Net {};

}  // namespace

TEST_CASE("clones that would share something are refused, and change nothing") {
  const Pointing pointing;
  CHECK_THROWS_WITH_AS(
      nn::clone(pointing),
      "[clone] a copy of Module has the module 'layer' in common with it, by a pointer or a reference: hold "
      "it as a member, or in a Sequential",
      Error);
  auto w = parameter<double>(2.0);
  const Referring referring(w);
  CHECK_THROWS_WITH_AS(nn::clone(referring), doctest::Contains("has the tensor 'weight' in common with it"),
                       Error);
  CHECK(w.is_leaf());
  CHECK_THROWS_WITH_AS(nn::clone(Constant()),
                       "[clone] members() names 'weight' by a constant: name the variable that holds it",
                       Error);
  const Derived derived;
  const Net& base = derived;
  CHECK_THROWS_WITH_AS(nn::clone(base),
                       doctest::Contains("[clone] Module is given as a reference to a class"), Error);
  const std::shared_ptr<nn::Module<double>> erased = std::make_shared<nn::Linear<double>>(2, 2);
  const nn::Sequential<double> hidden(erased);
  CHECK_THROWS_WITH_AS(nn::clone(hidden),
                       doctest::Contains("[clone] Linear(2, 2) is held by a std::shared_ptr"), Error);
  CHECK_THROWS_AS(nn::Sequential<double>{hidden}, Error);
}

TEST_CASE("copy_parameters goes by names, and all or nothing") {
  Net from, to;
  from(random::normal<double>({5, 3}));
  nn::copy_parameters(from, to);
  check_values(to, values_of(from));
  CHECK(elements(to.head.weight) != elements(from.head.weight));
  nn::Sequential<double> small(nn::Linear<double>(2, 2), nn::Linear<double>(2, 2)),
      wide(nn::Linear<double>(2, 2), nn::Linear<double>(2, 3)), shorter(nn::Linear<double>(2, 2));
  const auto before = values_of(wide), others = values_of(small);
  CHECK_THROWS_WITH_AS(
      nn::copy_parameters(small, wide),
      "[copy_parameters] '1.weight' is of shape (2, 2) in the first model, and of shape (3, 2) "
      "in the second model",
      Error);
  check_values(wide, before);
  CHECK_THROWS_WITH_AS(nn::copy_parameters(small, shorter),
                       "[copy_parameters] '1.bias' of the first model is not in the second model", Error);
  CHECK_THROWS_WITH_AS(nn::copy_parameters(shorter, small),
                       "[copy_parameters] '1.weight' of the second model is not in the first model", Error);
  check_values(small, others);
}

TEST_CASE("functional_call: other parameters for one call, through which derivatives pass") {
  random::seed(3);
  nn::Sequential<double> model(nn::Linear<double>(2, 3), nn::Tanh<double>(), nn::Linear<double>(3, 1));
  const Tensor<double> x = random::normal<double>({4, 2}), y = random::normal<double>({4, 1});
  const auto before = values_of(model);
  const Named own = model.named_parameters();
  check_close(nn::functional_call(model, own, x), model(x), 0);
  const Tensor<double> zero = zeros<double>({1, 3});
  check_close(nn::functional_call(model, {{"2.weight", zero}}, x), zeros<double>({4, 1}) + own[3].second, 0);
  check_values(model, before);
  CHECK(elements(model.parameters()[2]) == elements(own[2].second));

  // The Hessian with respect to a weight, and the derivative of a loss after a step of gradient descent.
  const auto of_weight = [&](const auto& w) {
    return nn::mse_loss(nn::functional_call(model, {{"0.weight", w}}, x), y);
  };
  const Tensor<double> w0 = own[0].second.detach();
  CHECK(check_gradients(of_weight, w0, {.order = 2}).passed);
  CHECK(hessian(of_weight, w0).shape() == Shape{3, 2, 3, 2});
  const auto after_step = [&](const auto& rate) {
    const Tensor<double> loss = nn::mse_loss(model(x), y);
    const auto gradients = grad(loss, model.parameters(), {.create_graph = true});
    Named moved = own;
    for (std::size_t i = 0; i < moved.size(); ++i) moved[i].second = moved[i].second - rate * gradients[i];
    return nn::mse_loss(nn::functional_call(model, moved, x), y);
  };
  CHECK(check_gradients(after_step, Tensor<double>(0.1)).passed);
  const auto rate = parameter<double>(0.1);
  after_step(rate).backward();
  CHECK(own[0].second.has_grad());  // through the step, too

  // Several models at once, compiled as well.
  const Tensor<double> weights = random::normal<double>({5, 3, 2});
  const auto each = [&](const auto& w) { return nn::functional_call(model, {{"0.weight", w}}, x); };
  const Tensor<double> together = vmap(each)(weights);
  const auto compiled = compile(each);
  for (std::size_t i = 0; i < 5; ++i) {
    check_close(slice(together, i), each(slice(weights, i)), 1e-14, 1e-15);
    check_close(compiled(slice(weights, i)), each(slice(weights, i)), 0);
  }
  check_values(model, before);

  CHECK_THROWS_WITH_AS(nn::functional_call(model, {{"1.weight", zero}}, x),
                       "[functional_call] '1.weight' is no parameter or buffer of Sequential", Error);
  CHECK_THROWS_WITH_AS(
      nn::functional_call(model, {{"0.weight", zero}}, x),
      "[functional_call] '0.weight' is of shape (3, 2), and the tensor for it of shape (1, 3)", Error);
  CHECK_THROWS_WITH_AS(nn::functional_call(model, {{"2.weight", zero}, {"2.weight", zero}}, x),
                       "[functional_call] '2.weight' is given twice", Error);
  CHECK_THROWS_AS(nn::functional_call(model, {{"2.weight", zero}}, zeros<double>({4, 7})), Error);
  check_values(model, before);
  Constant constant;
  CHECK_THROWS_WITH_AS(nn::functional_call(constant, {{"weight", Tensor<double>(1)}}, x),
                       doctest::Contains("by a constant"), Error);

  // A tie holds, buffers may be given, and other arguments than a tensor.
  Net net;
  net.eval();
  const Tensor<double> in = random::normal<double>({5, 3}), twos = full<double>({4, 4}, 2),
                       mean = ones<double>({4});
  const Tensor<double> expected = [&] {
    Net other = nn::clone(net);
    other.middle.weight.assign(twos);
    nn::BatchNorm1d<double>& norm = dynamic_cast<nn::BatchNorm1d<double>&>(other.features[2]);
    norm.running_mean.assign(mean);
    return other(in).detach();
  }();
  check_close(nn::functional_call(net, {{"middle.weight", twos}, {"features.2.running_mean", mean}}, in),
              expected, 0);
  nn::GRUCell<double> cell(2, 2);
  const Tensor<double> h = ones<double>({4, 2});
  check_close(
      nn::functional_call(cell, {{"bias_ih", ones<double>({6})}}, x, h),
      [&] {
        auto other = nn::clone(cell);
        other.bias_ih.assign(ones<double>({6}));
        return other(x, h);
      }(),
      0);
}

TEST_CASE("EMA: averages after each update, buffers as they are, and a model of them") {
  Net net;
  nn::EMA ema(net, 0.75);
  const auto first = values_of(net);
  CHECK(ema.averages().size() == first.size());
  const Tensor<double> x = random::normal<double>({5, 3});
  auto expected = first;
  for (int step = 0; step < 3; ++step) {
    net(x);
    net.head.weight.assign((net.head.weight * 0.5 + step).detach());
    ema.update();
    const auto now = net.state_dict();
    for (std::size_t i = 0; i < now.size(); ++i)
      expected[i] = now[i].second.is_leaf() ? 0.75 * expected[i] + 0.25 * now[i].second.detach()
                                            : Tensor<double>(now[i].second.value());
  }
  Net averaged = nn::clone(net);
  ema.copy_to(averaged);
  const auto all = averaged.state_dict();
  for (std::size_t i = 0; i < all.size(); ++i) check_close(all[i].second, expected[i], 1e-15);
  averaged.eval();
  net.eval();
  check_close(nn::functional_call(net, ema.averages(), x), averaged(x), 0);
  CHECK(!ema.averages()[0].second.requires_grad());
  CHECK_THROWS_WITH_AS((nn::EMA<double>(net, 1.5)), "[EMA] the decay 1.5 is not in [0, 1]", Error);
  nn::Tanh<double> nothing;
  CHECK_THROWS_WITH_AS((nn::EMA<double>(nothing)), "[EMA] Tanh names no parameters in members()", Error);
  nn::Linear<double> other(2, 2);
  CHECK_THROWS_WITH_AS(ema.copy_to(other), doctest::Contains("of Linear(2, 2) is not in the averages"),
                       Error);
}

TEST_CASE("Lambda: a function as a layer") {
  nn::Sequential<float> model{nn::Lambda<float>(
                                  [](const auto& x) {
                                    return reshape(x, {-1, 4});
                                  },
                                  "Rows"),
                              nn::Linear<float>(4, 2)};
  nn::Sequential<float> second(nn::Linear<float>(4, 2),
                               nn::Lambda<float>([](const auto& x) { return 2 * x; }));
  check_close(second(ones<float>({1, 4})), 2 * second[0](ones<float>({1, 4})), 0);
  CHECK(model(ones<float>({3, 2, 2})).shape() == Shape{3, 2});
  CHECK(nn::summary(model, {3, 2, 2}).rows[1].layer == "Rows");
  CHECK(nn::clone(model)(ones<float>({3, 2, 2})).shape() == Shape{3, 2});
  CHECK_THROWS_WITH_AS(nn::Lambda<float>(nullptr), "[Lambda] the function is empty", Error);
}

TEST_CASE("element types are deduced from what is given") {
  nn::Sequential model(nn::Linear<float>(2, 8), nn::Tanh<float>(), nn::Residual(nn::Linear<float>(8, 8)),
                       std::make_shared<nn::Linear<float>>(8, 1));
  static_assert(std::is_same_v<decltype(model), nn::Sequential<float>>);
  nn::Sequential moved(std::move(model));
  static_assert(std::is_same_v<decltype(moved), nn::Sequential<float>>);
  nn::Residual around(std::make_shared<nn::Linear<double>>(2, 2));
  static_assert(std::is_same_v<decltype(around), nn::Residual<double>>);
  nn::Adam adam(moved.parameters(), {.learning_rate = 0.01});
  nn::AdamW adamw(nn::groups<float>({{moved.parameters(), {.weight_decay = 0}}}), {.beta1 = 0.8});
  nn::SGD sgd(moved.parameters());
  const std::vector<Tensor<float>> decayed{moved.parameters()[0]}, others{moved.parameters()[1]};
  nn::AdamW<float> named(nn::groups<float>({{decayed, {.weight_decay = 0.1}}, {others, {.weight_decay = 0}}}),
                         {});
  CHECK(named.parameters().size() == 2);
  nn::RMSprop rmsprop(moved.parameters(), {.alpha = 0.9});
  nn::Adagrad adagrad(moved.parameters());
  nn::LBFGS lbfgs(moved.parameters(), {.history = 3});
  const nn::Dataset data(random::normal<float>({8, 2}), random::normal<float>({8, 1}));
  nn::DataLoader loader(data, {.batch_size = 4});
  const auto loss = [](const auto& y, const auto& batch) { return nn::mse_loss(y, batch.targets); };
  nn::Trainer trainer(moved, adam, loss, {.epochs = 2});
  nn::CompiledStep step(moved, loss, adam);
  CHECK(trainer.fit(loader).epochs.size() == 2);
  step(data);
  nn::ModeScope scope(moved, false);
  nn::Lambda<float> lambda([](const auto& x) { return x * 2.0f; });
  nn::EMA ema(moved);
  CHECK(ema.averages().size() == 6);
}

TEST_CASE("a const module can be called in evaluation") {
  Net net;
  const Tensor<double> x = random::normal<double>({5, 3});
  const Net& constant = net;
  const nn::Module<double>& module = net;
  CHECK_THROWS_WITH_AS(constant(x),
                       "[Module] a const Module is called, and it is in training mode, in which calls may "
                       "change it: call eval() "
                       "first",
                       Error);
  net.eval();
  check_close(constant(x), net(x), 0);
  check_close(module(x), net(x), 0);
  net.features[2].train();
  CHECK_THROWS_WITH_AS(constant(x), doctest::Contains("and its 'features.2' is in training mode"), Error);
}

TEST_CASE("save and summary say which layer was called without being named") {
  struct Forgetful : nn::Module<double> {
    nn::Linear<double> first{3, 4}, second{4, 2};
    bool names_second = false;
    Tensor<double> forward(const Tensor<double>& x) override { return second(first(x)); }
    void members(nn::Members<double>& m) override {
      m.module("first", first);
      if (names_second) m.module("second", second);
    }
  } model;
  const std::string path = "/tmp/xtape_test_unnamed.safetensors";
  const Tensor<double> x = ones<double>({1, 3});
  nn::save(path, model);  // nothing is known of it yet
  const char* const message =
      "[save] Linear(4, 2) is called within Module, whose members() does not name it: it would be neither "
      "trained "
      "nor saved. Name it with m.module(), and freeze() it where it is not to be trained";
  {
    const NoGrad no_grad;
    model(x);
  }
  CHECK_THROWS_WITH_AS(nn::save(path, model), message, Error);
  nn::SGD<double> sgd(model.parameters());
  CHECK_THROWS_WITH_AS(nn::save(path, model, sgd), message, Error);
  model.second.freeze();
  CHECK_THROWS_WITH_AS(nn::summary(model, {1, 3}),
                       doctest::Contains("[summary] Linear(4, 2) is called within"), Error);
  model.names_second = true;
  nn::save(path, model);
  nn::summary(model, {1, 3});
  std::remove(path.c_str());
}
