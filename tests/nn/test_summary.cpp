// The table of a model: rows, counts, and that nothing has changed afterwards.
#include <sstream>

#include "../check_close.hpp"

#include <nn/nn.hpp>

using namespace xtape;

namespace {

/// Uses one layer twice, multiplies by itself, has a parameter of its own and a layer that is never called.
struct Net : nn::Module<double> {
  nn::Linear<double> first{3, 4}, twice{4, 4}, unused{5, 5};
  nn::Linear<double> tied{4, 4};
  Tensor<double> mixing = parameter(eye<double>(4));

  Net() {
    tied.weight = twice.weight;
    tied.bias = twice.bias;
  }
  Tensor<double> forward(const Tensor<double>& x) override {
    return tied(matmul(twice(twice(first(x))), mixing));
  }
  void members(nn::Members<double>& m) override {
    m.parameter("mixing", mixing);
    m.module("first", first);
    m.module("twice", twice);
    m.module("unused", unused);
    m.module("tied", tied);
  }
};

}  // namespace

TEST_CASE("summary: each module's own numbers, shared parameters once, all calls") {
  Net net;
  const nn::Summary table = nn::summary(net, {2, 3});
  REQUIRE(table.rows.size() == 5);
  const auto check = [&](std::size_t i, const char* path, const char* layer, std::optional<Shape> output,
                         std::size_t parameters, std::size_t operations) {
    CAPTURE(i);
    CHECK(table.rows[i].path == path);
    CHECK(table.rows[i].layer == layer);
    CHECK(table.rows[i].output == output);
    CHECK(table.rows[i].parameters == parameters);
    CHECK(table.rows[i].operations == operations);
  };
  check(0, "", "Module", Shape{2, 4}, 16, 2 * 4 * 4);
  check(1, "first", "Linear(3, 4)", Shape{2, 4}, 16, 2 * 3 * 4);
  check(2, "twice", "Linear(4, 4)", Shape{2, 4}, 20, 2 * 2 * 4 * 4);
  check(3, "unused", "Linear(5, 5)", std::nullopt, 30, 0);
  check(4, "tied", "Linear(4, 4)", Shape{2, 4}, 0, 2 * 4 * 4);
  std::size_t elements = 0;
  for (const auto& p : net.parameters()) elements += p.size();
  CHECK(table.parameters() == elements);
  CHECK(table.operations() == 32 + 24 + 64 + 32);
}

TEST_CASE("summary says what is frozen, wherever it is used") {
  nn::Sequential<double> model(nn::Linear<double>(3, 4), nn::Tanh<double>(), nn::Linear<double>(4, 2));
  CHECK(nn::summary(model, {1, 3}).frozen() == 0);
  model[0].freeze();
  const nn::Summary table = nn::summary(model, {1, 3});
  CHECK(table.parameters() == 26);
  CHECK(table.frozen() == 16);
  std::ostringstream out;
  out << table;
  CHECK(out.str() ==
        "path             layer                 output  parameters  operations\n"
        "(model)          Sequential            (1, 2)           0           0\n"
        "0                Linear(3, 4), frozen  (1, 4)          16          12\n"
        "1                Tanh                  (1, 4)           0           0\n"
        "2                Linear(4, 2)          (1, 2)          10           8\n"
        "total                                                  26          20\n"
        "of these frozen                                        16            \n");
}

TEST_CASE("summary as a table; modes, random generator, buffers and the tape are as before") {
  const auto shared = std::make_shared<nn::Linear<float>>(128, 128, false);
  nn::Sequential<float> model(nn::Linear<float>(784, 128), nn::BatchNorm1d<float>(128), nn::ReLU<float>(),
                              nn::Dropout<float>(0.2), nn::Residual<float>(shared), shared,
                              nn::LeakyReLU<float>(0.1f), nn::LayerNorm<float>(128),
                              nn::Sequential<float>(nn::Linear<float>(128, 10), nn::Softmax<float>()));
  model[1].eval();  // a part that is frozen
  const auto before = random::generator();
  const std::size_t nodes = Tape::current().size();
  std::ostringstream out;
  out << nn::summary(model, {1, 784});
  CHECK(out.str() ==
        "path      layer                      output    parameters  operations\n"
        "(model)   Sequential                 (1, 10)            0           0\n"
        "0         Linear(784, 128)           (1, 128)      100480      100352\n"
        "1         BatchNorm1d(128)           (1, 128)         256           0\n"
        "2         ReLU                       (1, 128)           0           0\n"
        "3         Dropout(0.2)               (1, 128)           0           0\n"
        "4         Residual                   (1, 128)           0           0\n"
        "4.module  Linear(128, 128, no bias)  (1, 128)       16384       32768\n"
        "6         LeakyReLU(0.1)             (1, 128)           0           0\n"
        "7         LayerNorm(128)             (1, 128)         256           0\n"
        "8         Sequential                 (1, 10)            0           0\n"
        "8.0       Linear(128, 10)            (1, 10)         1290        1280\n"
        "8.1       Softmax(-1)                (1, 10)            0           0\n"
        "total                                              118666      134400\n");
  CHECK(before == random::generator());
  CHECK(Tape::current().size() == nodes);
  CHECK(model.training());
  CHECK(!model[1].training());
  CHECK(model[3].training());
  CHECK(norm(model.named_buffers()[0].second).item() == 0);

  nn::Sequential<float> twice{nn::Residual<float>(shared), nn::Residual<float>(shared)};
  shared->eval();
  CHECK(nn::summary(twice, {1, 128}).rows.size() == 4);
  CHECK(!shared->training());
  CHECK(twice[1].training());
  shared->train();

  // Also where the model cannot take the shape.
  CHECK_THROWS_AS(nn::summary(model, {1, 783}), Error);
  CHECK(model.training());
  CHECK(!model[1].training());
  CHECK(before == random::generator());
  CHECK(model(ones<float>({2, 784})).requires_grad());
  CHECK(nn::summary(model, {0, 784}).operations() == 0);
}

TEST_CASE("an observer sees the calls of this thread while it lives, the innermost first") {
  struct Counter : nn::CallObserver<double> {
    int begun = 0, ended = 0;
    void begin(nn::Module<double>&) override { ++begun; }
    void end(nn::Module<double>&, const Tensor<double>& y) override { ended += y.defined(); }
  };
  nn::Sequential<double> model(nn::Linear<double>(2, 2), nn::Tanh<double>());
  const Tensor<double> x = ones<double>({1, 2});
  Counter outer;
  model(x);
  {
    Counter inner;
    model(x);
    CHECK(inner.begun == 3);
  }
  CHECK_THROWS_AS(model(ones<double>({1, 3})), Error);
  CHECK(outer.begun == 5);
  CHECK(outer.ended == 3);
}

TEST_CASE("summary sees layers that are called with indices or a state, and the cells within") {
  struct Text : nn::Module<float> {
    nn::Embedding<float> words{10, 3};
    nn::LSTM<float> lstm{3, 4};
    nn::GRU<float> gru{4, 5};
    nn::GRUCell<float> cell{5, 2};
    Tensor<float> forward(const Tensor<float>& x) override {
      const auto steps = static_cast<std::size_t>(x.size());
      nn::LSTM<float>::State state = lstm.cell.initial_state(1);
      Tensor<float> h = gru.cell.initial_state(1);
      const Tensor<float> y =
          gru(lstm(reshape(words(Indices(std::vector<int>(steps, 7))), {-1, 1, 3}), state), h);
      return cell(slice(y, 0), zeros<float>({1, 2}));
    }
    void members(nn::Members<float>& m) override {
      m.module("words", words);
      m.module("lstm", lstm);
      m.module("gru", gru);
      m.module("cell", cell);
    }
  } model;
  const nn::Summary table = nn::summary(model, {6});
  REQUIRE(table.rows.size() == 7);
  const std::vector<std::pair<std::string, Shape>> expected{
      {"", {1, 2}},       {"words", {6, 3}},    {"lstm", {6, 1, 4}}, {"lstm.cell", {1, 4}},
      {"gru", {6, 1, 5}}, {"gru.cell", {1, 5}}, {"cell", {1, 2}}};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(i);
    CHECK(table.rows[i].path == expected[i].first);
    CHECK(table.rows[i].output == expected[i].second);
  }
  CHECK(table.rows[2].operations == 0);  // they are the cell's
  CHECK(table.rows[3].operations == 6 * (3 + 4) * 16);
  CHECK(table.rows[5].operations == 6 * (4 + 5) * 15);
  CHECK(table.rows[6].operations == (5 + 2) * 6);
}
