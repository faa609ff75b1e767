// The thin layer: modules and optimisers.
#include <cmath>
#include <optional>

#include "../check_close.hpp"

#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;

namespace {

struct TwoBranches : nn::Module<double> {
  nn::Sequential<double> left{nn::Linear<double>(3, 4), nn::Tanh<double>(), nn::Linear<double>(4, 2)};
  nn::Linear<double> right{3, 2, false};
  Tensor<double> scale = parameter<double>(2.0);

  Tensor<double> forward(const Tensor<double>& x) override { return scale * left(x) + right(x); }
  void members(nn::Members<double>& m) override {
    m.parameter("scale", scale);
    m.module("left", left);
    m.module("right", right);
  }
};

}  // namespace

TEST_CASE("modules list their parameters with dotted paths, in order, and share them") {
  TwoBranches model;
  std::vector<std::string> names;
  for (const auto& [name, value] : model.named_parameters()) names.push_back(name);
  CHECK(names == std::vector<std::string>{"scale", "left.0.weight", "left.0.bias", "left.2.weight",
                                          "left.2.bias", "right.weight"});
  CHECK(model.parameters().size() == 6);
  const Tensor<double> x = random::normal<double>({5, 3});
  CHECK(model(x).shape() == Shape{5, 2});
  sum(model(x)).backward();
  for (const Tensor<double>& p : model.parameters()) CHECK(p.has_grad());
  const Tensor<double> weight = model.right.weight;
  model.zero_grad();
  CHECK(!weight.has_grad());

  CHECK(model.training());
  model.eval();
  CHECK(!model.training());
  CHECK(!model.left[2].training());
  model.train();
  CHECK(model.right.training());
  CHECK(check_gradients([&](const auto& in) { return model(in); }, x, {.order = 2}).passed);

  nn::Sequential<double> shared(std::make_shared<nn::Linear<double>>(3, 2), nn::Tanh<double>());
  CHECK(shared.parameters().size() == 2);
  CHECK(shared(x).shape() == Shape{5, 2});

  struct Wrong : nn::Module<double> {
    Tensor<double> w = ones<double>({2});
    Tensor<double> forward(const Tensor<double>& in) override { return w * in; }
    void members(nn::Members<double>& m) override { m.parameter("w", w); }
  } wrong;
  CHECK_THROWS_WITH_AS(wrong.parameters(), "[parameters] 'w' is no parameter: make it with parameter()",
                       Error);
}

TEST_CASE("a module with parameters moves, and is not copied: the copy would be trained with it") {
  static_assert(std::is_nothrow_move_constructible_v<nn::Linear<double>>);  // so that vectors move them
  static_assert(std::is_nothrow_move_constructible_v<nn::Sequential<double>>);
  static_assert(!std::is_copy_constructible_v<nn::Adam<double>>);
  const char* const refused =
      "[Module] a copy of Linear(3, 2) would share its parameters, and train them with its own: pass it by "
      "reference, std::move it, or hold it by a std::shared_ptr";
  nn::Linear<double> layer(3, 2), other(3, 2);
  CHECK_THROWS_WITH_AS(nn::Linear<double>{layer}, refused, Error);
  const Tensor<double> before = other.weight;
  CHECK_THROWS_WITH_AS(other = layer, refused, Error);
  CHECK(other.weight.handle().value.get() == before.handle().value.get());
  CHECK_THROWS_WITH_AS(std::vector<nn::Linear<double>>(2, layer), refused, Error);
  TwoBranches model;
  CHECK_THROWS_AS(TwoBranches{model}, Error);
  nn::Sequential<double> chain{nn::Linear<double>(3, 2)};
  CHECK_THROWS_AS(nn::Sequential<double>{chain}, Error);
  const auto by_value = [](TwoBranches) {};
  CHECK_THROWS_AS(by_value(model), Error);

  // A layer of a chain is a Module, through which nothing but the mode could be assigned.
  static_assert(!std::is_assignable_v<nn::Module<double>&, nn::Linear<double>>);
  static_assert(std::is_copy_assignable_v<nn::Tanh<double>> && std::is_move_assignable_v<nn::Linear<double>>);
  CHECK_THROWS_WITH_AS(chain[1], "[Sequential] there is no layer 1 of 1", Error);
  // Without parameters, too, the layers of a chain would be shared, and their mode.
  nn::Sequential<double> noise{nn::Dropout<double>(0.5)};
  CHECK_THROWS_WITH_AS(nn::Sequential<double>{noise},
                       "[Module] a copy of Sequential would share its layers, and their mode: pass it by "
                       "reference, std::move it, or hold it by a std::shared_ptr",
                       Error);
  const nn::Residual<double> residual{nn::Tanh<double>()};
  CHECK_THROWS_AS(nn::Residual<double>{residual}, Error);
  const nn::Sequential<double> moved = std::move(noise);
  CHECK(moved.size() == 1);

  // Nothing to share.
  const nn::Dropout<double> dropout(0.25);
  CHECK(nn::Dropout<double>(dropout).describe() == "Dropout(0.25)");
  nn::Sequential<double> empty, second = empty;
  CHECK(second.size() == 0);

  // Moves keep the parameters, and the mode.
  std::vector<nn::Linear<double>> layers;
  layers.push_back(std::move(other));
  layers[0].eval();
  for (int i = 0; i < 8; ++i) layers.emplace_back(3, 3);
  CHECK(layers[0].weight.handle().value.get() == before.handle().value.get());
  CHECK(!layers[0].training());
  const auto make = [] {
    nn::Sequential<double> made{nn::Linear<double>(3, 2)};
    made.add(nn::Tanh<double>());
    return made;
  };
  chain = make();
  CHECK(chain.size() == 2);

  // A layer that Sequential and Residual are given by its name is shared, as it stands.
  const nn::Linear<double> square(2, 2);
  nn::Sequential<double> built(layer, nn::Tanh<double>(), nn::Residual<double>(square));
  built.add(square);
  CHECK(built.parameters().size() == 4);
  CHECK(built.parameters()[0].handle().value.get() == layer.weight.handle().value.get());
  sum(built(random::normal<double>({5, 3}))).backward();
  CHECK(layer.weight.has_grad());
  CHECK(square.bias.has_grad());
  CHECK_THROWS_AS(nn::Linear<double>{layer}, Error);  // elsewhere still refused
}

namespace {

/// Forgets what `named` says: a layer, and a parameter.
struct Forgetful : nn::Module<double> {
  nn::Linear<double> first{3, 4}, second{4, 2};
  Tensor<double> scale = parameter<double>(2.0);
  bool names_second = true, names_scale = true, names_first = true;

  Tensor<double> forward(const Tensor<double>& x) override { return scale * second(tanh(first(x))); }
  void members(nn::Members<double>& m) override {
    if (names_first) m.module("first", first);
    if (names_second) m.module("second", second);
    if (names_scale) m.parameter("scale", scale);
  }
};

}  // namespace

TEST_CASE("a layer that members() leaves out is an error where it is called, and in summary and Trainer") {
  const Tensor<double> x = random::normal<double>({5, 3});
  const nn::Dataset<double> data(x, zeros<double>({5, 2}));
  const nn::LossFunction<double> loss = [](const auto& y, const auto& batch) {
    return nn::mse_loss(y, batch.targets);
  };
  const auto fit = [&](nn::Module<double>& model, const std::vector<Tensor<double>>& trained) {
    nn::SGD<double> sgd(trained);
    nn::DataLoader<double> loader(data);
    nn::Trainer<double>(model, sgd, loss, {.epochs = 1}).fit(loader);
  };
  Forgetful model;
  model(x);
  nn::summary(model, {5, 3});
  fit(model, model.parameters());

  model.names_second = false;
  Forgetful fresh;
  fresh.names_second = false;
  const char* const forgotten =
      "[Module] Linear(4, 2) is called within Module, whose members() does not name it: it would be neither "
      "trained nor saved. Name it with m.module(), and freeze() it where it is not to be trained";
  CHECK_THROWS_WITH_AS(fresh(x), forgotten, Error);
  CHECK_THROWS_WITH_AS(fresh(x), forgotten, Error);
  CHECK_THROWS_WITH_AS(fit(fresh, fresh.parameters()), forgotten, Error);
  nn::Sequential<double> around;
  around.add(std::make_shared<Forgetful>());
  dynamic_cast<Forgetful&>(around[0]).names_second = false;
  CHECK_THROWS_AS(around(x), Error);
  CHECK_THROWS_WITH_AS(
      nn::summary(fresh, {5, 3}),
      "[summary] members() does not name a parameter of shape (2, 4), of Linear(4, 2), which "
      "the model uses: it would be neither trained nor saved",
      Error);
  {
    const NoGrad no_grad;
    CHECK(fresh(x).shape() == Shape{5, 2});  // nothing is to be trained
  }

  Forgetful raw;
  raw.names_scale = false;
  CHECK_THROWS_WITH_AS(nn::summary(raw, {5, 3}),
                       doctest::Contains("does not name a parameter of shape (), which"), Error);
  CHECK_THROWS_WITH_AS(fit(raw, raw.parameters()),
                       "[Trainer] the loss depends on a parameter of shape () that neither the model's "
                       "members() name nor the optimiser has: it would be neither trained nor saved",
                       Error);
  auto all = raw.parameters();
  all.push_back(raw.scale);
  fit(raw, all);

  // Without any members() the parameters are listed by hand; nothing else can be done with it.
  Forgetful none;
  none.names_first = none.names_second = none.names_scale = false;
  CHECK_THROWS_WITH_AS(nn::SGD<double>(none.parameters()), doctest::Contains("there are no parameters"),
                       Error);
  CHECK_THROWS_AS(nn::summary(none, {5, 3}), Error);
  CHECK_THROWS_WITH_AS(
      nn::save("/tmp/xtape_nothing", none),
      "[save] /tmp/xtape_nothing: Module has nothing to save: name its parameters and layers "
      "in members()",
      Error);
  CHECK_THROWS_AS(fit(none, none.first.parameters()), Error);
  fit(none, {none.first.weight, none.first.bias, none.second.weight, none.second.bias, none.scale});

  // The optimiser of another model.
  Forgetful other;
  CHECK_THROWS_WITH_AS(
      fit(model = Forgetful(), other.parameters()),
      "[Trainer] the loss depends on none of the optimiser's parameters: make it with those of "
      "this model",
      Error);
}

TEST_CASE("a model at the address of one that is gone names its layers itself") {
  struct Borrower : nn::Module<double> {
    nn::Linear<double>& borrowed;
    bool names_it;
    nn::Linear<double> own{2, 2};
    Borrower(nn::Linear<double>& layer, bool names) : borrowed(layer), names_it(names) {}
    Tensor<double> forward(const Tensor<double>& x) override { return borrowed(own(x)); }
    void members(nn::Members<double>& m) override {
      m.module("own", own);
      if (names_it) m.module("borrowed", borrowed);
    }
  };
  const Tensor<double> x = ones<double>({1, 2});
  nn::Linear<double> layer(2, 2);
  std::optional<Borrower> model(std::in_place, layer, true);
  (*model)(x);
  model.emplace(layer, false);
  CHECK_THROWS_AS((*model)(x), Error);
}

TEST_CASE("a layer without parameters that is not named follows the mode of the model") {
  struct Temporary : nn::Module<double> {
    nn::Linear<double> layer{3, 3};
    nn::Dropout<double> dropout{0.5};
    Tensor<double> forward(const Tensor<double>& x) override {
      return nn::ReLU<double>()(dropout(nn::Dropout<double>(0.5)(layer(x))));
    }
    void members(nn::Members<double>& m) override { m.module("layer", layer); }
  } model;
  const Tensor<double> x = random::normal<double>({40, 3});
  CHECK(!difference<double>(model(x).detach(), model(x).detach(), 0, 0).empty());
  model.eval();
  check_close(model(x), relu(model.layer(x)), 0);
  model.train();
  CHECK(!difference<double>(model(x).detach(), model(x).detach(), 0, 0).empty());
  const nn::Summary table = nn::summary(model, {5, 3});
  REQUIRE(table.rows.size() >= 3);
  CHECK(table.rows[2].path == "(not named)");
}

TEST_CASE("Linear: weight (out, in), Xavier, bias 0") {
  random::seed(9);
  nn::Linear<float> layer(300, 500);
  CHECK(layer.weight.shape() == Shape{500, 300});
  CHECK(layer.bias.shape() == Shape{500});
  CHECK(norm(layer.bias).item() == 0);
  CHECK(var(layer.weight).item() == doctest::Approx(2.0 / 800).epsilon(0.02));
  CHECK(max(abs(layer.weight)).item() <= std::sqrt(6.0f / 800));
  CHECK_THROWS_WITH_AS(nn::Linear<float>(0, 3), "[Linear] 0 features in and 3 out: both must be positive",
                       Error);
  CHECK(var(nn::init::xavier_normal<double>({400, 600})).item() == doctest::Approx(2.0 / 1000).epsilon(0.02));
  CHECK(var(nn::init::he_normal<double>({400, 600})).item() == doctest::Approx(2.0 / 600).epsilon(0.02));
  CHECK(var(nn::init::he_uniform<double>({400, 600})).item() == doctest::Approx(2.0 / 600).epsilon(0.02));
  CHECK_THROWS_WITH_AS(nn::init::he_normal<double>({3}), "[he_normal] shape (3,) has no (out, in)", Error);
}

TEST_CASE("optimisers change parameters, never gradients, and refuse what cannot be") {
  auto w = parameter<double>({1.0, -2.0});
  const auto unused = parameter<double>(5.0);
  nn::SGD<double> sgd({w, unused}, {.learning_rate = 0.5, .weight_decay = 0.1});
  sum(square(w)).backward();
  const Tensor<double> before = w.grad();
  sgd.step();
  check_close(w, {1.0 - 0.5 * (2 + 0.1), -2.0 + 0.5 * (4 + 0.2)}, 1e-15);
  check_close(w.grad(), before, 0);
  check_close(w.grad(), {2.0, -4.0}, 0);
  CHECK(unused.item() == 5);
  sgd.zero_grad();
  CHECK(!w.has_grad());
  sgd.step();  // nothing to do
  sgd.options.learning_rate = 0;
  using SGD = nn::SGD<double>;
  using Adam = nn::Adam<double>;
  CHECK_THROWS_WITH_AS(SGD({w}, {.learning_rate = -1}), "[SGD] the learning rate -1 is negative", Error);
  CHECK_THROWS_WITH_AS(SGD({w}, {.nesterov = true}), "[SGD] Nesterov needs a momentum", Error);
  CHECK_THROWS_WITH_AS(SGD({w.detach()}), "[optimizer] tensor 0 is no parameter: make it with parameter()",
                       Error);
  CHECK_THROWS_WITH_AS(Adam({w}, {.beta1 = 1}), "[Adam] beta1 1 and beta2 0.999 must be in [0, 1)", Error);
}

TEST_CASE("a network learns XOR") {
  random::seed(0);
  nn::Sequential<double> model(nn::Linear<double>(2, 8), nn::Tanh<double>(), nn::Linear<double>(8, 1),
                               nn::Sigmoid<double>());
  nn::Adam<double> adam(model.parameters(), {.learning_rate = 0.05});
  const Tensor<double> x{{0, 0}, {0, 1}, {1, 0}, {1, 1}}, y{{0}, {1}, {1}, {0}};
  for (int step = 0; step < 500; ++step) {
    adam.zero_grad();
    nn::binary_cross_entropy(model(x), y).backward();
    adam.step();
  }
  const NoGrad no_grad;
  check_close((model(x) > 0.5), y, 0);
  CHECK(nn::binary_cross_entropy(model(x), y).item() < 0.01);
}
