// LSTM, GRU and Embedding: PyTorch's values and gradients, cells against layers, odd sizes, errors.
#include <cmath>
#include <fstream>
#include <thread>

#include <nlohmann/json.hpp>

#include "../check_close.hpp"

#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;
using Json = nlohmann::json;
using Tensors = std::vector<Tensor<double>>;

namespace {

Tensors golden(const std::string& layer, const char* group) {
  static const Json json =
      Json::parse(std::ifstream(std::string(XTAPE_SOURCE_DIR) + "/tests/reference/golden.json"));
  Tensors all;
  for (const Json& one : json.at("recurrent").at(layer).at(group)) {
    const Tensor<double> flat(one.at("data").get<std::vector<double>>());
    all.push_back(reshape(flat, Dims(Shape(one.at("shape").get<std::vector<std::size_t>>()))));
  }
  return all;
}

std::vector<Tensor<double>> parts(const nn::LSTM<double>::State& state) { return {state.h, state.c}; }
std::vector<Tensor<double>> parts(const Tensor<double>& h) { return {h}; }
void join(const Tensors& p, nn::LSTM<double>::State& state) { state = {p[0], p[1]}; }
void join(const Tensors& p, Tensor<double>& h) { h = p[0]; }

template <class Layer>
void compare(const std::string& name) {
  Tensors inputs;
  for (const Tensor<double>& x : golden(name, "inputs")) inputs.push_back(parameter(x));
  const Tensors outputs = golden(name, "outputs"), seeds = golden(name, "seeds");
  const std::size_t states = outputs.size() - 1;
  Layer layer(3, 4);
  const Tensor<double> x = inputs[0];
  Tensors start;
  for (std::size_t i = 0; i < states; ++i) start.push_back(squeeze(inputs[1 + i], 0));
  layer.cell.weight_ih = inputs[1 + states];
  layer.cell.weight_hh = inputs[2 + states];
  layer.cell.bias_ih = inputs[3 + states];
  layer.cell.bias_hh = inputs[4 + states];

  typename Layer::State state, first;
  join(start, state);
  first = state;
  const Tensor<double> y = layer(x, state);
  check_close(y, outputs[0], 1e-12, 1e-14);
  Tensor<double> loss = sum(y * seeds[0]);
  for (std::size_t i = 0; i < states; ++i) {
    // PyTorch's states have an axis for layers in front.
    check_close(unsqueeze(parts(state)[i], 0), outputs[1 + i], 1e-12, 1e-14);
    loss = loss + sum(parts(state)[i] * squeeze(seeds[1 + i], 0));
  }
  const Tensors expected = golden(name, "gradients"), gradients = grad(loss, inputs);
  for (std::size_t i = 0; i < inputs.size(); ++i) check_close(gradients[i], expected[i], 1e-12, 1e-14);

  // The cell, step by step.
  for (std::size_t t = 0; t < 4; ++t) {
    first = layer.cell(slice(x, static_cast<std::ptrdiff_t>(t)), first);
    check_close(layer.cell.output(first), slice(outputs[0], static_cast<std::ptrdiff_t>(t)), 1e-12, 1e-14);
  }
}

}  // namespace

TEST_CASE("LSTM and GRU give PyTorch's outputs, states and gradients to 1e-12") {
  compare<nn::LSTM<double>>("lstm");
  compare<nn::GRU<double>>("gru");
}

TEST_CASE_TEMPLATE("recurrent layers: names, first values, second order, odd sizes", Layer, nn::LSTM<double>,
                   nn::GRU<double>, nn::LSTM<float>, nn::GRU<float>) {
  using T = typename Layer::value_type;
  random::seed(6);
  Layer layer(2, 3);
  std::vector<std::string> names;
  for (const auto& [name, value] : layer.named_parameters()) {
    names.push_back(name);
    CHECK(max(abs(value)).item() <= T(1 / std::sqrt(3.0)));
    CHECK(max(abs(value)).item() > T(0.3));
  }
  CHECK(names ==
        std::vector<std::string>{"cell.weight_ih", "cell.weight_hh", "cell.bias_ih", "cell.bias_hh"});
  const Tensor<T> x = random::normal<T>({3, 2, 2});
  CHECK(layer(x).shape() == Shape{3, 2, 3});
  check_close(slice(layer(x), 0), layer.cell(slice(x, 0)), 1e-5);
  if constexpr (std::is_same_v<T, double>)
    CHECK(check_gradients([&](const auto& in) { return layer(in); }, x, {.order = 2}).passed);
  CHECK(layer(zeros<T>({0, 2, 2})).shape() == Shape{0, 2, 3});
  CHECK(layer(zeros<T>({2, 0, 2})).shape() == Shape{2, 0, 3});
  CHECK(Layer(1, 1)(ones<T>({1, 1, 1})).shape() == Shape{1, 1, 1});
  for (const T number : layer(full<T>({2, 1, 2}, T(1e30)))) CHECK(std::abs(number) <= 1);
}

TEST_CASE("errors of recurrent layers") {
  nn::LSTM<double> lstm(2, 3);
  nn::GRU<double> gru(2, 3);
  const Tensor<double> x = zeros<double>({5, 4, 2});
  CHECK_THROWS_WITH_AS(lstm(zeros<double>({4, 2})), "[LSTM] x of shape (4, 2): it must be (steps, N, 2)",
                       Error);
  CHECK_THROWS_WITH_AS(lstm.cell(x), "[LSTM] x of shape (5, 4, 2): it must be (N, 2)", Error);
  auto state = lstm.cell.initial_state(4);
  state.c = zeros<double>({4, 2});
  CHECK_THROWS_WITH_AS(lstm(x, state), "[LSTM] c of shape (4, 2): it must be (4, 3)", Error);
  auto h = gru.cell.initial_state(3);
  CHECK_THROWS_WITH_AS(gru(x, h), "[GRU] h of shape (3, 3): it must be (4, 3)", Error);
  CHECK_THROWS_WITH_AS(gru.cell(zeros<double>({4, 3})), "[GRU] x of shape (4, 3): it must be (N, 2)", Error);
  CHECK(lstm.describe() == "LSTM(2, 3)");
  CHECK(gru.cell.describe() == "GRUCell(2, 3)");
  CHECK_THROWS_WITH_AS(nn::GRU<double>(2, 0), "[GRU] 2 features in and 0 hidden: both must be positive",
                       Error);
}

TEST_CASE("an LSTM learns to remember the first number of a sequence") {
  random::seed(8);
  nn::LSTM<double> lstm(1, 8);
  nn::Linear<double> readout(8, 1);
  Tensors all = lstm.parameters();
  for (const auto& p : readout.parameters()) all.push_back(p);
  nn::Adam<double> adam(all, {.learning_rate = 0.02});
  const Tensor<double> x = random::uniform<double>({5, 32, 1}, -1, 1);
  for (int step = 0; step < 250; ++step) {
    adam.zero_grad();
    nn::mse_loss(readout(slice(lstm(x), -1)), slice(x, 0)).backward();
    adam.step();
  }
  CHECK(nn::mse_loss(readout(slice(lstm(x), -1)), slice(x, 0)).item() < 0.02);
}

TEST_CASE_TEMPLATE("Embedding: rows for integers, gradients that add up, errors that name the number", T,
                   float, double) {
  random::seed(7);
  nn::Embedding<T> layer(5, 3);
  CHECK(layer.named_parameters()[0].first == "weight");
  const Tensor<T> y = layer(xt::xarray<int>{{4, 0}, {4, 1}});
  CHECK(y.shape() == Shape{2, 2, 3});
  check_close(slice(y, 0, 0), slice(layer.weight, 4), 0);
  check_close(layer(Tensor<T>{{4, 0}, {4, 1}}), y, 0);
  check_close(layer(std::vector<int>{4}), slice(layer.weight, xt::range(4, 5)), 0);
  check_close(layer(Indices{4, 0}), layer(Tensor<T>{4, 0}), 0);
  CHECK(layer(zeros<T>({0, 2})).shape() == Shape{0, 2, 3});
  check_close(grad(sum(y), layer.weight), {{1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}, {2, 2, 2}}, 0);
  CHECK_THROWS_WITH_AS(layer(Indices{1, 5}), "[Embedding] index 5 at 1 is not one of the 5 rows from 0",
                       Error);
  CHECK_THROWS_WITH_AS(layer(Tensor<T>{-1}), "[Embedding] index -1 at 0 is not one of the 5 rows from 0",
                       Error);
  CHECK_THROWS_WITH_AS(layer(Tensor<T>{1, 0.5}), "[Embedding] 0.5 at 1 is not a whole number: give indices",
                       Error);
  CHECK_THROWS_WITH_AS(layer(Tensor<T>(std::numeric_limits<T>::quiet_NaN())),
                       doctest::Contains("is not a whole number: give indices"), Error);
  CHECK_THROWS_WITH_AS(nn::Embedding<T>(0, 3), "[Embedding] 0 rows of 3 features: both must be positive",
                       Error);
  CHECK(var(nn::Embedding<T>(200, 50).weight).item() == doctest::Approx(1).epsilon(0.05));
}

TEST_CASE("an LSTM over 65,536 steps") {
  nn::LSTM<float> lstm(1, 1);
  auto state = lstm.cell.initial_state(1);
  const auto x = parameter<float>(random::normal<float>({65536, 1, 1}));
  sum(lstm(x, state)).backward();
  CHECK(x.has_grad());
  CHECK(state.h.requires_grad());
}

TEST_CASE_TEMPLATE("a recurrent layer keeps its trace, and notices what its step reads", Layer,
                   nn::LSTM<double>, nn::GRU<double>) {
  random::seed(3);
  Layer layer(2, 3);
  const auto by_cells = [&](const Tensor<double>& x) {
    auto state = layer.cell.initial_state(x.shape(1));
    Tensors outputs;
    for (std::ptrdiff_t t = 0; t < static_cast<std::ptrdiff_t>(x.shape(0)); ++t) {
      state = layer.cell(slice(x, t), state);
      outputs.push_back(layer.cell.output(state));
    }
    return stack(outputs);
  };
  const auto check = [&](const Tensor<double>& x) {
    const Tensor<double> y = layer(x), expected = by_cells(x);
    check_close(y.detach(), expected.detach(), 1e-14, 1e-14);
    if (!y.requires_grad()) return;
    Tensors inputs = layer.parameters();
    if (x.requires_grad()) inputs.push_back(x);
    const Tensors g = grad(sum(sin(y)), inputs), h = grad(sum(sin(expected)), inputs);
    for (std::size_t i = 0; i < g.size(); ++i) check_close(g[i], h[i], 1e-13, 1e-13);
  };
  const auto x = random::normal<double>({5, 4, 2}), shorter = random::normal<double>({3, 2, 2});
  for (int call = 0; call < 2; ++call) {
    check(x);
    check(shorter);
    check(parameter(x));
    const NoGrad no_grad;
    check(x);
  }
  layer.cell.weight_hh.assign(0.5 * layer.cell.weight_hh.detach());
  check(x);
  layer.cell.weight_hh = parameter(layer.cell.weight_hh.detach() + 0.1);
  check(x);
  // Two calls of one trace, and their gradients after both.
  const Tensor<double> both = sum(sin(layer(x))) + sum(layer(2 * x)),
                       expected = sum(sin(by_cells(x))) + sum(by_cells(2 * x));
  check_close(grad(both, layer.cell.weight_hh), grad(expected, layer.cell.weight_hh), 1e-13, 1e-13);
  // Threads have traces of their own.
  const Tensor<double> alone = layer(x).detach();
  std::vector<std::thread> threads;
  std::vector<Tensor<double>> results(4);
  for (Tensor<double>& result : results)
    threads.emplace_back([&] {
      const NoGrad no_grad;
      for (int call = 0; call < 20; ++call) result = layer(x);
    });
  for (std::thread& one : threads) one.join();
  for (const Tensor<double>& result : results) CHECK(test::same_bits(result, alone));
}
