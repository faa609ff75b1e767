// What a training step in its steady state asks of the heap, as a rule nothing: every call of malloc and
// operator new is counted.
#include <cstdlib>
#include <functional>
#include <string>

#include "../check_close.hpp"
#include "heap_count.hpp"

#include <nn/nn.hpp>

using namespace xtape;

namespace {

/// Heap calls of 1,000 steps, after some that fill the pool.
template <class Step>
std::size_t heap_calls(const Step& step) {
  for (int i = 0; i < 20; ++i) step();
  const std::size_t before = test::heap_calls();
  for (int i = 0; i < 1000; ++i) step();
  return test::heap_calls() - before;
}

Tensor<float> weights(std::size_t out, std::size_t in) {
  return parameter<float>(nn::init::xavier_uniform<float>({out, in}));
}

}  // namespace

TEST_CASE("the counter counts") {
  const std::size_t before = test::heap_calls();
  ::operator delete(::operator new(8));
  void* volatile small = std::malloc(8);  // a call that the compiler cannot leave out
  std::free(small);
  void* block = nullptr;
  if (posix_memalign(&block, 64, 64) == 0) std::free(block);
  CHECK(test::heap_calls() - before == 3);
}

TEST_CASE("a multilayer perceptron, with each loss and optimiser") {
  random::seed(1);
  const auto x = random::normal<float>({8, 4}), y = random::uniform<float>({8, 2});
  const Indices labels = std::vector<int>{0, 1, 1, 0, 1, 0, 0, 1};
  nn::Sequential<float> model(nn::Linear<float>(4, 16), nn::Sigmoid<float>(), nn::Linear<float>(16, 16),
                              nn::ReLU<float>(), nn::Linear<float>(16, 2));
  nn::SGD<float> sgd(model.parameters(), {.learning_rate = 0.01, .momentum = 0.9});
  nn::Adam<float> adam(model.parameters(), {.learning_rate = 0.001});
  const auto train = [&](auto& optimizer, const auto& loss) {
    return heap_calls([&] {
      optimizer.zero_grad();
      loss(model(x)).backward();
      optimizer.step();
    });
  };
  CHECK(train(sgd, [&](const auto& z) { return nn::mse_loss(z, y); }) == 0);
  CHECK(train(adam, [&](const auto& z) { return nn::cross_entropy(z, labels); }) == 0);
  CHECK(train(sgd, [&](const auto& z) { return nn::binary_cross_entropy_with_logits(z, y); }) == 0);
  CHECK(train(adam, [&](const auto& z) { return nn::binary_cross_entropy(sigmoid(z), y); }) == 0);
}

TEST_CASE("compiled steps, and calls of compiled functions") {
  random::seed(1);
  const auto x = random::normal<float>({8, 4}), y = random::uniform<float>({8, 2});
  const Indices labels = std::vector<int>{0, 1, 1, 0, 1, 0, 0, 1};
  nn::Sequential<float> model(nn::Linear<float>(4, 16), nn::Sigmoid<float>(), nn::Dropout<float>(0.5),
                              nn::BatchNorm1d<float>(16), nn::Linear<float>(16, 2));
  nn::Adam<float> adam(model.parameters(), {.learning_rate = 0.001});
  nn::CompiledStep<float> mse(
      model, [](const auto& z, const auto& t) { return nn::mse_loss(z, t); }, adam);
  nn::CompiledStep<float> entropy(
      model, [](const auto& z, const auto& t) { return nn::cross_entropy(z, t); }, adam);
  const auto value = compile([&](const auto& in) { return sum(square(model(in))); });
  const std::size_t traced = 1 << 13;  // calls: the traces after it are over 1,000 calls away
  for (std::size_t i = 0; i < traced; ++i) {
    mse(x, y);
    entropy(x, labels);
    const NoGrad no_grad;
    value(x);
  }
  CHECK(heap_calls([&] { mse(x, y); }) == 0);
  CHECK(heap_calls([&] { entropy(x, labels); }) == 0);
  CHECK(heap_calls([&] {
          const NoGrad no_grad;
          value(x);
        }) == 0);
}

TEST_CASE("a residual network with normalisation") {
  random::seed(2);
  constexpr std::size_t width = 16;
  const auto x = random::normal<float>({8, width}), y = random::normal<float>({8, width});
  std::vector<Tensor<float>> W, gamma, beta, all;
  for (int i = 0; i < 4; ++i) {
    W.push_back(weights(width, width));
    gamma.push_back(parameter<float>(ones<float>({width})));
    beta.push_back(parameter<float>(zeros<float>({width})));
  }
  for (const auto* group : {&W, &gamma, &beta}) all.insert(all.end(), group->begin(), group->end());
  nn::SGD<float> sgd(all, {.learning_rate = 0.01});
  CHECK(heap_calls([&] {
          sgd.zero_grad();
          Tensor<float> h = x;
          for (std::size_t i = 0; i < W.size(); ++i)
            h = h + relu(i % 2 == 0 ? batch_norm(linear(h, W[i]), gamma[i], beta[i])
                                    : layer_norm(linear(h, W[i]), gamma[i], beta[i]));
          mean(square(h - y)).backward();
          sgd.step();
        }) == 0);
}

TEST_CASE("an LSTM cell by hand, over five steps of time") {
  random::seed(3);
  constexpr std::size_t in = 3, hidden = 8, batch = 4;
  const auto x = random::normal<float>({5, batch, in}), target = random::normal<float>({batch, hidden});
  const auto W = weights(4 * hidden, in + hidden), b = parameter<float>(zeros<float>({4 * hidden}));
  nn::SGD<float> sgd({W, b}, {.learning_rate = 0.01});
  CHECK(heap_calls([&] {
          sgd.zero_grad();
          Tensor<float> h = zeros<float>({batch, hidden}), c = h;
          for (std::size_t t = 0; t < 5; ++t) {
            const Tensor<float> gates = linear(concatenate({slice(x, t), h}, 1), W, b);
            const auto gate = [&](std::size_t k) {
              return slice(gates, xt::all(), xt::range(k * hidden, (k + 1) * hidden));
            };
            c = sigmoid(gate(0)) * c + sigmoid(gate(1)) * tanh(gate(2));
            h = sigmoid(gate(3)) * tanh(c);
          }
          nn::mse_loss(h, target).backward();
          sgd.step();
        }) == 0);
}

TEST_CASE("reductions, softmax, transposes and broadcasting") {
  random::seed(4);
  auto x = parameter<float>(random::normal<float>({4, 5, 6})),
       y = parameter<float>(random::normal<float>({5, 1}));
  CHECK(
      heap_calls([&] {
        x.zero_grad();
        y.zero_grad();
        const Tensor<float> z = softmax(transpose(x * y, {2, 0, 1}), -1);
        (sum(logsumexp(z, 0)) + sum(max(x, 1)) + mean(norm(x, Axes{0, 2})) + sum(flip(x, 0) * x)).backward();
      }) == 0);
}

TEST_CASE("maps, of arrays of any size, with numbers that change") {
  std::vector<Tensor<float>> x;
  for (const std::size_t n : std::vector<std::size_t>{1, 5, 100, 3000, 40000})
    x.push_back(parameter(random::normal<float>({n})));
  auto y = parameter<float>(0.5f);
  float scale = 1;
  CHECK(heap_calls([&] {
          for (Tensor<float>& one : x) {
            scale *= 1.001f;
            one.zero_grad();
            y.zero_grad();
            sum(map([&](auto a, auto b) { return tanh(a * scale) * b + a * a; }, one, y)).backward();
          }
        }) == 0);
}

TEST_CASE("layers, clipping, checkpoints and loaders: nothing, or the few lists that memory.md names") {
  struct Row {
    std::string name;
    std::size_t most;  ///< heap calls in a step
    std::function<Tensor<float>()> loss;
    std::vector<Tensor<float>> parameters;
  };
  random::seed(5);
  constexpr std::size_t steps = 40, batch = 4, features = 3, hidden = 5;
  const auto x = random::normal<float>({steps, batch, features}),
             rows = random::normal<float>({batch, features}),
             pictures = random::normal<float>({batch, 1, 8, 8});
  const Indices indices = std::vector<int>{1, 2, 3, 1, 9, 0, 4, 4};
  const Tensor<float> numbers{1, 2, 3, 1, 9, 0, 4, 4};
  nn::Embedding<float> words(10, features);
  nn::LSTM<float> lstm(features, hidden);
  nn::GRU<float> gru(features, hidden);
  nn::LSTMCell<float> lstm_cell(features, hidden);
  nn::GRUCell<float> gru_cell(features, hidden);
  nn::Sequential<float> images(nn::Conv2d<float>(1, 2, 3), nn::ReLU<float>(), nn::MaxPool2d<float>(2),
                               nn::Flatten<float>(), nn::Linear<float>(18, 2));
  nn::Sequential<float> dense(nn::Linear<float>(features, hidden), nn::Dropout<float>(0.5), nn::GELU<float>(),
                              nn::BatchNorm1d<float>(hidden), nn::LayerNorm<float>(hidden),
                              nn::Residual<float>(nn::Linear<float>(hidden, hidden)), nn::Softmax<float>());
  nn::TransformerBlock<float> block(8, 2, {.rotary = true, .dropout = 0.1});
  const auto texts = random::normal<float>({2, 5, 8});
  const auto squared = [](const Tensor<float>& y) { return sum(square(y)); };
  const std::vector<Row> all{
      {"dense", 0, [&] { return squared(dense(rows)); }, dense.parameters()},
      {"images", 0, [&] { return squared(images(pictures)); }, images.parameters()},
      {"LSTMCell", 0, [&] { return squared(lstm_cell(rows)); }, lstm_cell.parameters()},
      {"GRUCell", 0, [&] { return squared(gru_cell(rows)); }, gru_cell.parameters()},
      {"TransformerBlock", 0, [&] { return squared(block(texts)); }, block.parameters()},
      {"LSTM", 2, [&] { return squared(lstm(x)); }, lstm.parameters()},  // for any number of steps
      {"GRU", 2, [&] { return squared(gru(x)); }, gru.parameters()},
      {"Embedding", 0, [&] { return squared(words(indices)); }, words.parameters()},
      {"Embedding of a tensor", 0, [&] { return squared(words(numbers)); }, words.parameters()},
      {"checkpoint", 8, [&] { return checkpoint([&](const auto& in) { return squared(dense(in)); }, rows); },
       dense.parameters()},
  };
  for (const Row& row : all) {
    CAPTURE(row.name);
    nn::Adam<float> adam(row.parameters);
    CHECK(heap_calls([&] {
            adam.zero_grad();
            row.loss().backward();
            nn::clip_grad_norm(row.parameters, 1e-3);
            nn::clip_grad_value(row.parameters, 1e-4);
            adam.step();
          }) <= 1000 * row.most);
  }
  const nn::Dataset<float> data(random::normal<float>({64, features}), std::vector<int>(64, 1));
  nn::DataLoader<float> loader(data, {.batch_size = 16});
  float total = 0;
  CHECK(heap_calls([&] {
          for (const auto& one : loader) total += one.inputs.data()[0];
        }) <= 1000 * (4 * 4 + 2));  // for each batch, and for the order of the pass
}
