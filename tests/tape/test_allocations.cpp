// A training step in its steady state asks nothing of the heap: every call of malloc and operator new is
// counted.
#include <cstdlib>

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
