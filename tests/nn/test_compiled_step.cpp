// Every module compiled, and training steps: the bits of the loop of one's own.
#include "../check_close.hpp"

#include <cstring>
#include <functional>

#include <nn/nn.hpp>

using namespace xtape;
using test::same_bits;

namespace {

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
  const auto activation = [&]<class A>(const char* name, std::type_identity<A>) {
    check_steps<T>(name,
                   net(
                       in, [] { return A(); }, out),
                   rows, mse);
  };
  activation("sigmoid", std::type_identity<Sigmoid<T>>());
  activation("relu", std::type_identity<ReLU<T>>());
  activation("tanh", std::type_identity<Tanh<T>>());
  activation("gelu", std::type_identity<GELU<T>>());
  activation("silu", std::type_identity<SiLU<T>>());
  activation("softplus", std::type_identity<Softplus<T>>());
  activation("leaky relu", std::type_identity<LeakyReLU<T>>());
  activation("elu", std::type_identity<ELU<T>>());
  activation("softmax", std::type_identity<Softmax<T>>());
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

TEST_CASE("a step that fails changes nothing; what watches sees its operations; a Trainer takes it") {
  using namespace xtape::nn;
  random::seed(4);
  Sequential<double> model(Embedding<double>(5, 3), Linear<double>(3, 4));
  Adam<double> adam(model.parameters(), {});
  CompiledStep<double> step(
      model, [](const auto& z, const auto& y) { return cross_entropy(z, y); }, adam);
  const Tensor<double> x{0.0, 1.0, 2.0};
  CHECK_THROWS_AS(step(x, Indices{0, 1, 4}), Error);
  for (const auto& p : model.parameters()) CHECK(!p.has_grad());
  step(x, Indices{0, 1, 2});
  std::vector<Tensor<double>> before;
  for (const auto& p : model.parameters()) {
    before.push_back(p.grad() * 1);
    before.push_back(p.detach() * 1);
  }
  CHECK_THROWS_AS(step(x, Indices{0, 1, 4}), Error);
  std::size_t k = 0;
  for (const auto& p : model.parameters()) {
    CHECK(same_bits(before[k++], p.grad()));
    CHECK(same_bits(before[k++], p.detach()));
  }
  const Profile profile;
  step(x, Indices{0, 1, 2});
  CHECK(!profile.rows().empty());
}

TEST_CASE("a Trainer gives the same history and weights compiled") {
  using namespace xtape::nn;
  const auto fit = [](bool compiled) {
    random::seed(6);
    Sequential<double> model(Linear<double>(2, 8), BatchNorm1d<double>(8), Tanh<double>(),
                             Dropout<double>(0.2), Linear<double>(8, 3));
    Adam<double> adam(model.parameters(), {.learning_rate = 0.01});
    const Tensor<double> x = random::normal<double>({50, 2});
    std::vector<int> labels;
    for (std::size_t i = 0; i < 50; ++i) labels.push_back((x.data()[2 * i] > 0) + (x.data()[2 * i + 1] > 0));
    const Dataset<double> data(x, labels);
    DataLoader<double> loader(data, {.batch_size = 16});
    Trainer<double> trainer(model, adam,
                            [](const auto& z, const auto& batch) { return cross_entropy(z, batch.labels); },
                            {.epochs = 4, .compiled = compiled, .after_backward = [&] {
                               clip_grad_norm(model.parameters(), 0.5);
                             }});
    trainer.fit(loader, data);
    std::vector<Tensor<double>> all;
    for (const auto& epoch : trainer.history.epochs)
      all.push_back(Tensor<double>{epoch.train_loss, epoch.validation_loss, epoch.validation_accuracy});
    for (const auto& [name, tensor] : model.state_dict()) all.push_back(tensor.detach());
    return all;
  };
  const auto plain = fit(false), compiled = fit(true);
  for (std::size_t i = 0; i < plain.size(); ++i) CHECK(same_bits(plain[i], compiled[i]));
  random::seed(6);
  Sequential<double> model(Linear<double>(2, 3)), other(Linear<double>(2, 3));
  Adam<double> adam(other.parameters(), {});
  const Dataset<double> data(random::normal<double>({8, 2}), random::normal<double>({8, 3}));
  DataLoader<double> loader(data, {});
  Trainer<double> trainer(model, adam,
                          [](const auto& z, const auto& batch) { return mse_loss(z, batch.targets); },
                          {.epochs = 1, .compiled = true});
  CHECK_THROWS_WITH_AS(trainer.fit(loader), doctest::Contains("none of the optimiser's parameters"), Error);
}

TEST_CASE("compiled steps with two threads have the bits of the loop with one") {
  using namespace xtape::nn;
  const auto net = []() -> std::shared_ptr<Module<float>> {
    auto all = std::make_shared<Sequential<float>>();
    all->add(Linear<float>(200, 300)), all->add(BatchNorm1d<float>(300)), all->add(GELU<float>());
    all->add(Linear<float>(300, 100));
    return all;
  };
  const auto loss = [](const auto& z, const auto& y) { return mse_loss(z, y); };
  const auto rows = batches<float>({256, 200}, {256, 100});
  const int before = num_threads();
  std::vector<Tensor<float>> losses;
  for (const int threads : {1, 2}) {
    set_num_threads(threads);
    check_steps<float>("large", net, rows, loss);
    random::seed(5);
    const auto model = net();
    SGD<float> sgd(model->parameters(), {.learning_rate = 0.1});
    CompiledStep<float> step(*model, loss, sgd);
    for (int k = 0; k < 3; ++k) losses.push_back(step(rows[0]));
  }
  set_num_threads(before);
  for (std::size_t k = 0; k < 3; ++k) CHECK(same_bits(losses[k], losses[k + 3]));
}
