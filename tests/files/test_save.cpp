// Models in files: trained further from a file as if nothing had happened, and files that do not fit.
#include <cstring>
#include <filesystem>
#include <sstream>

#include "../check_close.hpp"

#include <unistd.h>
#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;

namespace {

/// A path that nothing is at before and after.
struct Path {
  std::string name =
      (std::filesystem::temp_directory_path() / ("xtape_save_" + std::to_string(getpid()))).string();
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
  auto left = a.named_parameters(), right = b.named_parameters();
  for (auto& one : a.named_buffers()) left.push_back(one);
  for (auto& one : b.named_buffers()) right.push_back(one);
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
  CHECK(other_sgd.state().size() == 4);
  CHECK(other_sgd.learning_rate() == sgd.learning_rate());

  const nn::Notes notes{{"optimizer.learning_rate", "nan"}};
  CHECK_THROWS_WITH_AS(nn::save(path.name, model, sgd, notes),
                       doctest::Contains("the note 'optimizer.learning_rate' has a name that the file uses"),
                       Error);
  for (const std::string rate : {"nan", "-1", "inf", "", "0.1x"}) {
    nn::save(path.name, model, {{"optimizer.learning_rate", rate}});
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
                       "[optimizer] 'velocity.0' of shape (4, 3) does not fit: it is the state of other "
                       "parameters, or of another rule",
                       Error);
  check_close(model.parameters()[0], before, 0);
  CHECK_THROWS_AS(nn::load<float>(path.name, *std::make_shared<nn::Linear<float>>(3, 4)), Error);
}
