// Models in files: trained further from a file as if nothing had happened, and files that do not fit.
#include <cstring>
#include <filesystem>
#include <sstream>

#include "../check_close.hpp"

#include <autodiff/platform/system.hpp>
#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;

namespace {

/// A path that nothing is at before and after.
struct Path {
  std::string name =
      (std::filesystem::temp_directory_path() / ("xtape_save_" + std::to_string(platform::process_id())))
          .string();
  ~Path() { std::filesystem::remove(name); }
};

template <class T>
nn::Sequential<T> make_model() {
  return nn::Sequential<T>(nn::Linear<T>(3, 4), nn::BatchNorm1d<T>(4), nn::ReLU<T>(), nn::Dropout<T>(0.2),
                           nn::Linear<T>(4, 2));
}

template <class T>
void train(nn::Module<T>& model, nn::Optimizer<T>& optimizer, int steps) {
  for (int i = 0; i < steps; ++i) {
    optimizer.zero_grad();
    nn::cross_entropy(model(random::normal<T>({6, 3})), {0, 1, 1, 0, 1, 0}).backward();
    optimizer.step();
    optimizer.set_learning_rate(optimizer.learning_rate() * 0.9);
  }
}

template <class T>
void check_same_bits(nn::Module<T>& a, nn::Module<T>& b) {
  const auto left = a.state_dict(), right = b.state_dict();
  REQUIRE(left.size() == right.size());
  for (std::size_t i = 0; i < left.size(); ++i) {
    CAPTURE(left[i].first);
    CHECK(left[i].first == right[i].first);
    CHECK(std::memcmp(left[i].second.data(), right[i].second.data(), left[i].second.size() * sizeof(T)) == 0);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("training goes on from a file bit for bit", T, float, double) {
  const Path path;
  random::seed(4);
  auto model = make_model<T>();
  nn::Adam<T> adam(model.parameters(), {.learning_rate = 0.1});
  train(model, adam, 3);
  std::ostringstream generator;
  generator << random::generator();
  nn::save(path.name, model, adam, {{"epoch", "3"}, {"generator", generator.str()}});
  train(model, adam, 4);

  random::seed(99);
  auto other = make_model<T>();
  nn::Adam<T> other_adam(other.parameters());
  const nn::Notes notes = nn::load(path.name, other, other_adam);
  CHECK(notes.size() == 2);
  CHECK(notes.at("epoch") == "3");
  std::istringstream(notes.at("generator")) >> random::generator();
  train(other, other_adam, 4);
  check_same_bits<T>(model, other);
  CHECK(other_adam.learning_rate() == adam.learning_rate());

  // The model alone: from the same file, and from one without an optimiser.
  auto third = make_model<T>();
  CHECK(nn::load(path.name, third) == notes);
  nn::save(path.name, model);
  CHECK(nn::load(path.name, third).empty());
  check_same_bits<T>(model, third);
  CHECK_THROWS_WITH_AS(nn::load(path.name, other, other_adam),
                       ("[load] " + path.name + ": it was saved without an optimiser").c_str(), Error);
}

TEST_CASE("a member named optimizer is the model's, and a note cannot take the rate's name") {
  struct Learned : nn::Module<double> {
    nn::Linear<double> optimizer{3, 2};
    Tensor<double> forward(const Tensor<double>& x) override { return optimizer(x); }
    void members(nn::Members<double>& m) override { m.module("optimizer", optimizer); }
  };
  const Path path;
  Learned model, other;
  nn::SGD<double> sgd(model.parameters(), {.momentum = 0.5}),
      other_sgd(other.parameters(), {.momentum = 0.5});
  train(model, sgd, 2);
  nn::save(path.name, model, sgd);
  nn::load(path.name, other, other_sgd);
  check_same_bits<double>(model, other);
  CHECK(other_sgd.state(other.named_parameters()).size() == 4);
  CHECK(other_sgd.learning_rate() == sgd.learning_rate());

  const nn::Notes notes{{"optimizer.learning_rate", "nan"}};
  CHECK_THROWS_WITH_AS(nn::save(path.name, model, sgd, notes),
                       doctest::Contains("the note 'optimizer.learning_rate' has a name that the file uses"),
                       Error);
  for (const std::string rate : {"nan", "-1", "inf", "", "0.1x"}) {
    nn::save_tensors<double>(path.name, {model.state_dict(), {{"optimizer.learning_rate", rate}}});
    const double before = other_sgd.learning_rate();
    CHECK_THROWS_WITH_AS(nn::load(path.name, other, other_sgd),
                         ("[load] " + path.name + ": '" + rate + "' is no learning rate").c_str(), Error);
    CHECK(other_sgd.learning_rate() == before);
  }
}

TEST_CASE("a file that does not fit changes nothing, and the error says why") {
  const Path path;
  auto model = make_model<double>(), untouched = make_model<double>();
  nn::SGD<double> sgd(model.parameters(), {.momentum = 0.9});
  train(model, sgd, 1);
  nn::save(path.name, model, sgd);
  nn::load(path.name, untouched);
  const auto refused = [&](nn::Module<double>& other, const std::string& text) {
    CHECK_THROWS_WITH_AS(nn::load(path.name, other), ("[load] " + path.name + ": " + text).c_str(), Error);
  };
  nn::Sequential<double> shorter(nn::Linear<double>(3, 4)),
      longer(nn::Linear<double>(3, 4), nn::BatchNorm1d<double>(4), nn::Linear<double>(4, 4)),
      wider(nn::Linear<double>(3, 5));
  refused(shorter, "the model has no '1.bias'");
  refused(longer, "there is no '2.weight', which the model has");
  refused(wider, "'0.weight' is of shape (4, 3), and in the model of shape (5, 3)");

  nn::Adam<double> adam(model.parameters());
  train(model, sgd, 1);
  const Tensor<double> before(model.parameters()[0].value());
  CHECK_THROWS_WITH_AS(nn::load(path.name, model, adam),
                       "[optimizer] 'velocity.0.bias' is the state of another rule", Error);
  check_close(model.parameters()[0], before, 0);
  CHECK_THROWS_AS(nn::load<float>(path.name, *std::make_shared<nn::Linear<float>>(3, 4)), Error);
}

namespace {

/// Two layers of the same shape, in the order that `turned` says.
struct Pair : nn::Module<double> {
  nn::Linear<double> left{2, 2}, right{2, 2};
  bool turned = false;
  Tensor<double> forward(const Tensor<double>& x) override { return left(x) + right(tanh(x)); }
  void members(nn::Members<double>& m) override {
    if (turned) m.module("right", right);
    m.module("left", left);
    if (!turned) m.module("right", right);
  }
};

void train_pair(Pair& model, std::initializer_list<nn::Optimizer<double>*> optimizers, int steps) {
  for (int i = 0; i < steps; ++i) {
    for (auto* one : optimizers) one->zero_grad();
    nn::mse_loss(model(random::normal<double>({6, 2})), ones<double>({6, 2})).backward();
    for (auto* one : optimizers) one->step();
  }
}

}  // namespace

TEST_CASE("the state of an optimiser goes by the names of parameters, or is refused") {
  const Path path;
  Pair model, turned;
  turned.turned = true;
  nn::Adam<double> adam(model.parameters()), turned_adam(turned.parameters());
  train_pair(model, {&adam}, 3);
  nn::save(path.name, model, adam);
  nn::load(path.name, turned, turned_adam);
  random::seed(3);
  train_pair(model, {&adam}, 3);
  random::seed(3);
  train_pair(turned, {&turned_adam}, 3);
  check_close(turned.left.weight, model.left.weight, 0);
  check_close(turned.right.bias, model.right.bias, 0);

  // Of a part of the model: not to the other part, but to the whole.
  nn::Adam<double> head(model.right.parameters());
  train_pair(model, {&head}, 2);
  nn::save(path.name, model, head);
  Pair other;
  nn::Adam<double> wrong(other.left.parameters()), right(other.right.parameters()), whole(other.parameters());
  const Tensor<double> before(other.left.weight.value());
  CHECK_THROWS_WITH_AS(
      nn::load(path.name, other, wrong),
      "[optimizer] 'mean.right.bias' belongs to a parameter that this optimiser does not have", Error);
  check_close(other.left.weight, before, 0);
  nn::load(path.name, other, right);
  CHECK(right.state(other.named_parameters()).size() == 6);
  nn::load(path.name, other, whole);
  for (const auto& [name, value] : whole.state(other.named_parameters()))
    CHECK(name.find(".right.") != std::string::npos);

  // Of a tensor that the model does not name, which the file would lack.
  const auto scale = parameter<double>(1.0);
  auto all = model.parameters();
  all.push_back(scale);
  CHECK_THROWS_WITH_AS(nn::save(path.name, model, nn::Adam<double>(all)),
                       doctest::Contains("tensor 4 of shape () has no name"), Error);

  // By place, as version 0.1 wrote it.
  nn::NamedTensors<double> old{model.state_dict(), {{"optimizer.learning_rate", "0.5"}}};
  old.tensors.emplace_back("optimizer.steps.0", 1.0);
  nn::save_tensors(path.name, old);
  CHECK_THROWS_WITH_AS(
      nn::load(path.name, other, whole),
      "[optimizer] 'steps.0' names a parameter by its place, as files of version 0.1 do: load "
      "the model without its optimiser",
      Error);
  nn::load(path.name, other);
}

TEST_CASE("several optimisers in one file, by their names") {
  const Path path;
  Pair model, other;
  nn::Adam<double> adam(model.left.parameters(), {.learning_rate = 0.25});
  nn::SGD<double> sgd(model.right.parameters(), {.momentum = 0.5});
  train_pair(model, {&adam, &sgd}, 3);
  nn::save(path.name, model, {{"left", adam}, {"right", sgd}}, {{"epoch", "3"}});
  nn::Adam<double> other_adam(other.left.parameters());
  nn::SGD<double> other_sgd(other.right.parameters(), {.momentum = 0.5});
  CHECK(nn::load(path.name, other, {{"right", other_sgd}, {"left", other_adam}}) ==
        nn::Notes{{"epoch", "3"}});
  CHECK(other_adam.learning_rate() == 0.25);
  CHECK(other_sgd.learning_rate() == 0.1);
  random::seed(3);
  train_pair(model, {&adam, &sgd}, 3);
  random::seed(3);
  train_pair(other, {&other_adam, &other_sgd}, 3);
  check_same_bits<double>(model, other);

  const auto refused = [&](const auto& action, const std::string& text) {
    other_adam.set_learning_rate(1);
    other_sgd.set_learning_rate(1);
    CHECK_THROWS_WITH_AS(action(), doctest::Contains(text.c_str()), Error);
    CHECK(other_adam.learning_rate() == 1);
    CHECK(other_sgd.learning_rate() == 1);
  };
  refused(
      [&] {
        nn::load(path.name, other, {{"left", other_adam}});
      },
      "' is of an optimiser that is not given");
  refused(
      [&] {
        nn::load(path.name, other, {{"left", other_adam}, {"rihgt", other_sgd}});
      },
      "it was saved without an optimiser 'rihgt'");
  refused([&] { nn::load(path.name, other, {{"right", other_adam}, {"left", other_sgd}}); }, "[optimizer] '");
  refused([&] { nn::load(path.name, other, other_adam); }, "it was saved without an optimiser");
  nn::load(path.name, other);
  for (const char* name : {"", "a.b", "left"})
    CHECK_THROWS_WITH_AS(nn::save(path.name, model, {{"left", adam}, {name, sgd}}),
                         ("[save] '" + std::string(name) +
                          "' cannot name an optimiser: each has a name of its own, "
                          "without a point")
                             .c_str(),
                         Error);
}

TEST_CASE("a schedule that is made after the optimiser was loaded decays once") {
  const Path path;
  Pair model;
  nn::SGD<double> sgd(model.parameters(), {.learning_rate = 1});
  nn::StepLR schedule(sgd, {.step_size = 1, .gamma = 0.5});
  for (int i = 0; i < 3; ++i) schedule.step();
  nn::save(path.name, model, sgd, {{"count", std::to_string(schedule.count())}});
  Pair other;
  nn::SGD<double> resumed(other.parameters(), {.learning_rate = 7});
  const nn::Notes notes = nn::load(path.name, other, resumed);
  CHECK(resumed.learning_rate() == 0.125);
  nn::StepLR late(resumed, {.step_size = 1, .gamma = 0.5});
  CHECK(late.first_rate() == 1);
  late.set_count(std::stoul(notes.at("count")));
  CHECK(resumed.learning_rate() == 0.125);
  late.step();
  CHECK(resumed.learning_rate() == 0.0625);

  nn::StepLR early(sgd, {});  // made before the optimiser is loaded
  nn::load(path.name, model, sgd);
  early.set_count(1);
  CHECK(sgd.learning_rate() == 0.1);
}
