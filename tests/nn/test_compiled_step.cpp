// Every module compiled, and training steps: the bits of the loop of one's own.
#include "../check_close.hpp"

#include <cstring>
#include <functional>

#include <nn/nn.hpp>

using namespace xtape;

namespace {

template <class T>
bool same_bits(const Tensor<T>& a, const Tensor<T>& b) {
  return a.shape() == b.shape() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

/// Two models with the same weights, one of which is trained by compiled steps.
template <class T>
void check_steps(const char* name, const std::function<std::shared_ptr<nn::Module<T>>()>& make,
                 const std::vector<nn::Dataset<T>>& batches, const typename nn::CompiledStep<T>::Loss& loss) {
  CAPTURE(name);
  random::seed(11);
  const std::shared_ptr<nn::Module<T>> plain = make();
  random::seed(11);
  const std::shared_ptr<nn::Module<T>> compiled = make();
  nn::AdamW<T> plain_adam(plain->parameters(), {}), adam(compiled->parameters(), {});
  nn::CompiledStep<T> step(*compiled, loss, adam);
  std::vector<Tensor<T>> losses;
  random::seed(5);
  for (int epoch = 0; epoch < 3; ++epoch)
    for (const nn::Dataset<T>& batch : batches) {
      plain_adam.zero_grad();
      const Tensor<T> y = loss((*plain)(batch.inputs), nn::Batch<T>(batch));
      y.backward();
      plain_adam.step();
      losses.push_back(y.detach());
    }
  random::seed(5);
  std::size_t k = 0;
  for (int epoch = 0; epoch < 3; ++epoch)
    for (const nn::Dataset<T>& batch : batches) CHECK(same_bits(losses[k++], step(batch)));
  const auto expected = plain->state_dict(), got = compiled->state_dict();
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(expected[i].first);
    CHECK(same_bits(expected[i].second.detach(), got[i].second.detach()));
  }
}

template <class T>
std::vector<nn::Dataset<T>> batches(const Shape& x, const Shape& y) {
  random::seed(7);
  std::vector<nn::Dataset<T>> all;
  for (int k = 0; k < 4; ++k) {  // the third is smaller, as a last batch is
    Shape xs = x, ys = y;
    if (k == 2) xs[0] = ys[0] = x[0] - 1;
    all.emplace_back(random::normal<T>(xs), random::normal<T>(ys));
  }
  return all;
}

template <class T, class M, class... A>
std::function<std::shared_ptr<nn::Module<T>>()> maker(A... a) {
  return [=]() -> std::shared_ptr<nn::Module<T>> { return std::make_shared<M>(M(a...)); };
}

}  // namespace

TEST_CASE_TEMPLATE("compiled steps of every module have the bits of the loop", T, float, double) {
  using namespace xtape::nn;
  const auto mse = [](const auto& z, const auto& y) { return mse_loss(z, y); };
  const auto rows = batches<T>({6, 4}, {6, 3});
  const auto net = [](auto... layers) -> std::function<std::shared_ptr<Module<T>>()> {
    return [=]() -> std::shared_ptr<Module<T>> {
      auto all = std::make_shared<Sequential<T>>();
      (all->add(layers()), ...);
      return all;
    };
  };
  const auto in = [] { return Linear<T>(4, 8); };
  const auto out = [] { return Linear<T>(8, 3); };
  check_steps<T>("sigmoid",
                 net(
                     in, [] { return Sigmoid<T>(); }, out),
                 rows, mse);
  check_steps<T>("relu",
                 net(
                     in, [] { return ReLU<T>(); }, out),
                 rows, mse);
  check_steps<T>("tanh",
                 net(
                     in, [] { return Tanh<T>(); }, out),
                 rows, mse);
  check_steps<T>("batch norm",
                 net(
                     in, [] { return BatchNorm1d<T>(8); }, [] { return Tanh<T>(); }, out),
                 rows, mse);
  check_steps<T>("layer norm",
                 net(
                     in, [] { return LayerNorm<T>(8); }, out),
                 rows, mse);
  check_steps<T>("dropout",
                 net(
                     in, [] { return Dropout<T>(0.4); }, out),
                 rows, mse);
  check_steps<T>("residual",
                 net(
                     in, [] { return Residual<T>(Linear<T>(8, 8)); }, out),
                 rows, mse);
  check_steps<T>("no bias", net([] { return Linear<T>(4, 3, false); }), rows, mse);
  const auto sequences = batches<T>({5, 2, 4}, {5, 2, 3});
  check_steps<T>("lstm", net([] { return LSTM<T>(4, 3); }), sequences, mse);
  check_steps<T>("gru", net([] { return GRU<T>(4, 3); }), sequences, mse);
  check_steps<T>("lstm cell", net([] { return LSTMCell<T>(4, 3); }), rows, mse);
  check_steps<T>("gru cell", net([] { return GRUCell<T>(4, 3); }), rows, mse);
  const auto images = batches<T>({3, 2, 6, 6}, {3, 12});
  check_steps<T>("convolution",
                 net(
                     [] {
                       return Conv2d<T>(2, 3, {3, 3});
                     },
                     [] { return MaxPool2d<T>(2); }, [] { return Flatten<T>(); }),
                 images, mse);
}

TEST_CASE_TEMPLATE("labels and rows of tables are arguments of a compiled step", T, float, double) {
  using namespace xtape::nn;
  random::seed(2);
  std::vector<Dataset<T>> words;
  for (int k = 0; k < 5; ++k) {
    std::vector<int> labels, numbers;
    for (int i = 0; i < 6; ++i) {
      labels.push_back((i * 3 + k) % 4);
      numbers.push_back((i * 2 + k) % 5);
    }
    words.emplace_back(Tensor<T>(numbers), labels);
  }
  const auto loss = [](const auto& z, const auto& y) { return cross_entropy(z, y); };
  check_steps<T>(
      "embedding",
      [] {
        auto all = std::make_shared<Sequential<T>>();
        all->add(Embedding<T>(5, 3));
        all->add(Linear<T>(3, 4));
        return all;
      },
      words, loss);
  Sequential<T> model(Embedding<T>(5, 3), Linear<T>(3, 4));
  SGD<T> sgd(model.parameters(), {});
  CompiledStep<T> step(model, loss, sgd);
  step(words[0]);
  CHECK_THROWS_WITH_AS(step(words[0].inputs, Indices{0, 1, 2, 3, 4, 0}),
                       "[cross_entropy] label 4 at 4 is not one of the 4 classes from 0", Error);
  CHECK_THROWS_WITH_AS(step(words[0].inputs - 1, words[0].labels),
                       doctest::Contains("[Embedding] index -1 at"), Error);
}
