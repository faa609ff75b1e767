// Layers against PyTorch's numbers, and what they do beside computing.
#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "../check_close.hpp"
#include "golden_nn.hpp"

#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;

namespace {

using Model = std::shared_ptr<nn::Module<double>>;

template <class M>
Model shared(M module) {
  return std::make_shared<M>(std::move(module));
}

std::map<std::string, Model> layers() {
  using namespace xtape::nn;
  using D = double;
  return {
      {"Linear", shared(Linear<D>(4, 3))},
      {"Linear/no bias", shared(Linear<D>(4, 3, false))},
      {"BatchNorm1d", shared(BatchNorm1d<D>(3))},
      {"BatchNorm1d/options", shared(BatchNorm1d<D>(3, {.epsilon = 0.01, .momentum = 0.3}))},
      {"BatchNorm1d/sequence", shared(BatchNorm1d<D>(3))},
      {"BatchNorm2d", shared(BatchNorm2d<D>(3))},
      {"BatchNorm2d/options", shared(BatchNorm2d<D>(2, {.epsilon = 0.01, .momentum = 0.3}))},
      {"LayerNorm", shared(LayerNorm<D>(5))},
      {"LayerNorm/epsilon", shared(LayerNorm<D>(5, 0.01))},
      {"MultiheadAttention", shared(MultiheadAttention<D>(6, 2))},
      {"MultiheadAttention/causal, no bias",
       shared(MultiheadAttention<D>(6, 2, {.causal = true, .bias = false}))},
      {"TransformerBlock", shared(TransformerBlock<D>(6, 2, {.causal = false}))},
      {"TransformerBlock/relu, norm last",
       shared(TransformerBlock<D>(6, 2,
                                  {.causal = false,
                                   .feedforward = 5,
                                   .norm_first = false,
                                   .activation = [](const Tensor<D>& x) { return relu(x); }}))},
      {"RMSNorm", shared(RMSNorm<D>(5))},
      {"RMSNorm/epsilon", shared(RMSNorm<D>(5, 0.01))},
      {"Residual", shared(Residual<D>(Sequential<D>(Linear<D>(4, 6), Tanh<D>(), Linear<D>(6, 4))))},
      {"Sequential", shared(Sequential<D>(Linear<D>(3, 4), BatchNorm1d<D>(4), GELU<D>(),
                                          Residual<D>(Linear<D>(4, 4)), LayerNorm<D>(4), Linear<D>(4, 2)))},
      {"Sigmoid", shared(Sigmoid<D>())},
      {"Tanh", shared(Tanh<D>())},
      {"ReLU", shared(ReLU<D>())},
      {"GELU", shared(GELU<D>())},
      {"SiLU", shared(SiLU<D>())},
      {"Softplus", shared(Softplus<D>())},
      {"LeakyReLU", shared(LeakyReLU<D>(0.2))},
      {"ELU", shared(ELU<D>(1.5))},
      {"Softmax", shared(Softmax<D>())},
      {"Softmax/0", shared(Softmax<D>(0))},
  };
}

}  // namespace

TEST_CASE("every layer gives PyTorch's outputs, gradients and buffers to 1e-12, in training and evaluation") {
  const auto all = layers();
  const Json& rows = golden_nn().at("layers");
  CHECK(rows.size() == all.size());
  for (const auto& [id, model] : all) {
    const std::string& name = id;  // Clang 14 captures no binding
    CAPTURE(name);
    const Json& row = rows.at(name);
    auto parameters = model->parameters();
    REQUIRE(parameters.size() == row.at("parameters").size());
    for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i].assign(tensor(row.at("parameters")[i]));
    for (const Json& batch : row.at("batches")) {
      const auto x = parameter(tensor(batch.at("x")));
      model->zero_grad();
      const Tensor<double> y = (*model)(x);
      check_close(y, tensor(batch.at("y")), 1e-12, 1e-14);
      y.backward({.seed = tensor(batch.at("seed"))});
      check_close(x.grad(), tensor(batch.at("dx")), 1e-12, 1e-13);
      for (std::size_t i = 0; i < parameters.size(); ++i)
        check_close(parameters[i].grad(), tensor(batch.at("gradients")[i]), 1e-12, 1e-13);
      const auto buffers = model->named_buffers();
      REQUIRE(buffers.size() == batch.at("buffers").size());
      for (std::size_t i = 0; i < buffers.size(); ++i)
        check_close(buffers[i].second, tensor(batch.at("buffers")[i]), 1e-12);
    }
    model->eval();
    const Json& evaluation = row.at("evaluation");
    const auto x = parameter(tensor(evaluation.at("x")));
    const Tensor<double> y = (*model)(x);
    check_close(y, tensor(evaluation.at("y")), 1e-12, 1e-14);
    sum(y).backward();
    check_close(x.grad(), tensor(evaluation.at("dx")), 1e-12, 1e-13);
  }
}

TEST_CASE("BatchNorm1d: statistics move in training alone, and errors change nothing") {
  nn::BatchNorm1d<float> norm(2);
  const Tensor<float> x{{1, 2}, {3, 6}};
  norm(x);
  check_close(norm.running_mean, {0.2f, 0.4f}, 1e-6);
  check_close(norm.running_var, {0.9f + 0.1f * 2, 0.9f + 0.1f * 8}, 1e-6);
  norm.eval();
  CHECK(norm(Tensor<float>{{0.2f, 0.4f}}).shape() == Shape{1, 2});  // one row will do
  check_close(norm(Tensor<float>{{0.2f, 0.4f}}), Tensor<float>{{0, 0}}, 0, 1e-7);
  norm.train();
  const Tensor<float> before = norm.running_mean + 0;
  CHECK_THROWS_WITH_AS(
      norm(Tensor<float>{{1, 2}}),
      "[BatchNorm1d] x of shape (1, 2) has no variance between rows: train with two at least, or call eval()",
      Error);
  CHECK_THROWS_WITH_AS(norm(Tensor<float>{1, 2}), "[BatchNorm1d] x of shape (2,) is not (N, 2) or (N, 2, L)",
                       Error);
  CHECK_THROWS_WITH_AS(norm(zeros<float>({4, 1})),
                       "[BatchNorm1d] x of shape (4, 1) is not (N, 2) or (N, 2, L)", Error);
  CHECK_THROWS_WITH_AS(norm(zeros<float>({0, 2})), doctest::Contains("has no variance between rows"), Error);
  check_close(norm.running_mean, before, 0);
  using Norm = nn::BatchNorm1d<float>;
  CHECK_THROWS_WITH_AS(Norm(0), "[BatchNorm1d] 0 features: there must be one at least", Error);
  CHECK_THROWS_WITH_AS(Norm(2, {.epsilon = -1}), "[BatchNorm1d] epsilon -1 is negative", Error);
  CHECK_THROWS_WITH_AS(Norm(2, {.momentum = 2}), "[BatchNorm1d] the momentum 2 is not in [0, 1]", Error);
  CHECK_THROWS_WITH_AS(nn::LayerNorm<float>(0), "[LayerNorm] 0 features: there must be one at least", Error);

  // The statistics are numbers: neither gradients nor the recording see them.
  const auto p = parameter(x);
  const std::size_t nodes = Tape::current().size();
  const Tensor<float> y = norm(p);
  CHECK(Tape::current().size() == nodes + 1);
  CHECK(!norm.running_mean.requires_grad());
  norm(p);
  CHECK_NOTHROW(sum(y).backward());
  CHECK(norm.named_buffers().size() == 2);
  CHECK(norm.parameters().size() == 2);
}

TEST_CASE("BatchNorm2d: channels of images, far from 0 and constant ones too, and to second order") {
  nn::BatchNorm2d<double> norm(2);
  CHECK(norm.describe() == "BatchNorm2d(2)");
  // The same numbers as rows of features.
  nn::BatchNorm1d<double> rows(2);
  const Tensor<double> x = random::normal<double>({3, 2, 4, 5});
  const Tensor<double> flat = reshape(transpose(x, {0, 2, 3, 1}), {60, 2});
  check_close(norm(x), transpose(reshape(rows(flat), {3, 4, 5, 2}), {0, 3, 1, 2}), 1e-12, 1e-14);
  check_close(norm.running_var, rows.running_var, 1e-13);
  const auto y = norm(1e6 + x);
  check_close(y, norm(x), 1e-8, 1e-8);
  check_close(norm(full<double>({2, 2, 2, 2}, 3)), zeros<double>({2, 2, 2, 2}), 0, 1e-12);
  CHECK(check_gradients([&](const auto& in) { return sum(cos(norm(in))); },
                        random::normal<double>({2, 2, 2, 3}), {.order = 2})
            .passed);
  CHECK_THROWS_WITH_AS(norm(zeros<double>({3, 2})), "[BatchNorm2d] x of shape (3, 2) is not (N, 2, H, W)",
                       Error);
  CHECK_THROWS_WITH_AS(norm(zeros<double>({1, 2, 1, 1})),
                       "[BatchNorm2d] x of shape (1, 2, 1, 1) has no variance between numbers: train with "
                       "more, or call eval()",
                       Error);
}

TEST_CASE("Residual: x + f(x), also for shared modules, and shapes that differ are named") {
  const auto inner = std::make_shared<nn::Linear<double>>(2, 2);
  nn::Residual<double> residual(inner);
  const Tensor<double> x{{1, 2}, {3, 4}, {5, 6}};
  check_close(residual(x), x + linear(x, inner->weight, inner->bias), 0);
  CHECK(residual.named_parameters()[0].first == "module.weight");
  nn::Residual<double> other(inner);
  other.eval();
  CHECK(!inner->training());
  inner->weight.assign(zeros<double>({2, 2}));
  check_close(other(x), x, 0);
  nn::Residual<double> wide(nn::Linear<double>(2, 3));
  CHECK_THROWS_WITH_AS(
      wide(x), "[Residual] shapes (3, 2) of x and (3, 3) of f(x) differ: Linear(2, 3) must keep the shape",
      Error);
  nn::Residual<double> narrow(nn::Linear<double>(2, 1));  // would broadcast
  CHECK_THROWS_AS(narrow(x), Error);
  CHECK_THROWS_WITH_AS(nn::Residual<double>(Model{}), "[Residual] the module is null", Error);
}

TEST_CASE("Dropout: elements are 0 or scaled, gradients use the same mask, and a seed gives the same again") {
  const auto run = []<class T>(T) {
    const double p = 0.3;
    const auto scale = static_cast<T>(1 / 0.7);
    nn::Dropout<T> dropout(p);
    random::seed(5);
    const auto x = parameter(full<T>({100, 400}, 2));
    const Tensor<T> y = dropout(x);
    std::size_t dropped = 0, wrong = 0;
    for (const T one : y) {
      dropped += one == 0;
      wrong += one != 0 && std::abs(one - 2 * scale) > 1e-6;
    }
    CHECK(wrong == 0);
    CHECK(std::abs(static_cast<double>(dropped) / 40000 - p) < 5 * std::sqrt(p * (1 - p) / 40000));
    sum(y).backward();
    check_close(x.grad() * 2, y.detach(), 0);
    random::seed(5);
    check_close(dropout(x), y, 0);
    CHECK(!difference<T>(dropout(x).detach(), y.detach(), 0, 0).empty());  // another draw

    dropout.eval();
    const auto before = random::generator();
    check_close(dropout(x), x, 0);
    dropout.train();
    check_close(nn::Dropout<T>(0)(x), x, 0);
    CHECK(before == random::generator());
    CHECK(nn::Dropout<T>(0.9)(zeros<T>({0, 3})).shape() == Shape{0, 3});
  };
  run(1.0f);
  run(1.0);
  CHECK_THROWS_WITH_AS(nn::Dropout<float>(1), "[Dropout] the probability 1 is not in [0, 1)", Error);
  CHECK_THROWS_WITH_AS(nn::Dropout<float>(-0.5), "[Dropout] the probability -0.5 is not in [0, 1)", Error);
}

TEST_CASE("Dropout in checkpoint() draws the same mask in the backward pass") {
  nn::Sequential<double> model(nn::Linear<double>(6, 6), nn::Dropout<double>(0.5), nn::Tanh<double>());
  const auto x = parameter(random::normal<double>({4, 6}));
  const auto gradient = [&](auto&& f) {
    random::seed(11);
    const auto y = f(x);
    const auto after = random::generator();
    const auto g = grad(sum(square(y)), x);
    CHECK(after == random::generator());
    return g;
  };
  const auto direct = gradient([&](const auto& in) { return model(in); });
  check_close(gradient([&](const auto& in) {
                return checkpoint([&](const auto& again) { return model(again); }, in);
              }),
              direct, 1e-15);
}

TEST_CASE("train() and eval() reach every module, and shared parameters are listed once") {
  const auto shared_layer = std::make_shared<nn::Linear<double>>(3, 3);
  nn::Linear<double> tied(3, 3);
  nn::Sequential<double> model(shared_layer,
                               nn::Residual<double>(nn::Sequential<double>(nn::Dropout<double>(), tied)),
                               shared_layer, tied, nn::BatchNorm1d<double>(3));
  CHECK(model.parameters().size() == 6);
  std::vector<std::string> names;
  for (const auto& entry : model.named_parameters()) names.push_back(entry.first);
  CHECK(names == std::vector<std::string>{"0.weight", "0.bias", "1.module.1.weight", "1.module.1.bias",
                                          "4.weight", "4.bias"});
  CHECK(model.named_buffers()[1].first == "4.running_var");
  names.clear();
  for (const auto& [path, module] : model.named_modules()) names.push_back(path);
  CHECK(names == std::vector<std::string>{"", "0", "1", "1.module", "1.module.0", "1.module.1", "3", "4"});
  model.eval();
  CHECK(!shared_layer->training());
  const Tensor<double> x = random::normal<double>({2, 3});
  check_close(model(x), model(x), 0);
  model.train();
  CHECK(!difference<double>(model(x).detach(), model(x).detach(), 0, 0).empty());

  // One parameter in two places gets the sum of both gradients, and one update.
  sum(tied(tied(x))).backward();
  nn::SGD<double> sgd(model.parameters(), {.learning_rate = 1});
  const Tensor<double> expected = tied.weight.detach() - tied.weight.grad();
  sgd.step();
  check_close(tied.weight, expected, 1e-15);
}

TEST_CASE("orthogonal: rows, or columns, are orthonormal") {
  for (const Shape& shape : {Shape{7, 7}, Shape{3, 50}, Shape{50, 3}, Shape{4, 2, 3}, Shape{1, 1}}) {
    CAPTURE(shape);
    const Tensor<double> w = reshape(nn::init::orthogonal<double>(shape), {static_cast<int>(shape[0]), -1});
    const std::size_t rows = w.shape()[0], cols = w.shape()[1];
    const Tensor<double> product = rows <= cols ? matmul(w, transpose(w)) : matmul(transpose(w), w);
    check_close(product, eye<double>(std::min(rows, cols)), 0, 1e-14);
  }
  const Tensor<float> w = nn::init::orthogonal<float>({4, 8}, 3);
  check_close(matmul(w, transpose(w)), 9 * eye<float>(4), 0, 1e-5);
  random::seed(1);
  const Tensor<double> one = nn::init::orthogonal<double>({5, 4});
  random::seed(1);
  check_close(nn::init::orthogonal<double>({5, 4}), one, 0);
  double positive = 0;  // both signs occur: nothing fixes them
  for (int i = 0; i < 200; ++i) positive += nn::init::orthogonal<double>({1, 1}).item() > 0;
  CHECK(std::abs(positive - 100) < 40);
  CHECK(nn::init::orthogonal<double>({0, 3}).shape() == Shape{0, 3});
  CHECK_THROWS_WITH_AS(nn::init::orthogonal<double>({3}), "[orthogonal] shape (3,) has no (out, in)", Error);
}

TEST_CASE("layers describe themselves") {
  CHECK(nn::Sigmoid<float>().describe() == "Sigmoid");
  CHECK(nn::Tanh<float>().describe() == "Tanh");
  CHECK(nn::GELU<float>().describe() == "GELU");
  CHECK(nn::SiLU<float>().describe() == "SiLU");
  CHECK(nn::Softplus<float>().describe() == "Softplus");
  CHECK(nn::ELU<float>(0.5f).describe() == "ELU(0.5)");
  CHECK(nn::LeakyReLU<float>(0.25f).describe() == "LeakyReLU(0.25)");
  CHECK(nn::Flatten<float>().describe() == "Flatten");
  CHECK(nn::Embedding<float>(5, 3).describe() == "Embedding(5, 3)");
}
