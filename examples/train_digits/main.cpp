// Trains a 64-32-10 network on real handwritten digits, after checking its gradients against the textbook's
// formulas.
#include <algorithm>
#include <array>
#include <cstdio>
#include <iostream>
#include <numeric>

#include <nn/nn.hpp>

#include "../program.hpp"

namespace {

using xtape::Tensor;
using Digits = xtape::nn::Dataset<double>;

constexpr std::size_t pixels = 64;  // 8 × 8, row by row
constexpr std::size_t classes = 10;
constexpr double brightest = 16;  // pixel counts go from 0 to 16

struct Options {
  std::string data = XTAPE_EXAMPLES_DIR "/train_digits/digits.csv.gz";
  std::size_t epochs = 60;
  std::size_t batch = 32;
  double learning_rate = 0.005;
  std::uint64_t seed = 1;
  double at_least = 0;
};

/// Two dense layers: z1 = x W1ᵀ + b1, a1 = σ(z1), z2 = a1 W2ᵀ + b2; the loss takes the softmax of z2.
struct Network : xtape::nn::Module<double> {
  xtape::nn::Linear<double> hidden{pixels, 32};
  xtape::nn::Linear<double> output{32, classes};

  Tensor<double> forward(const Tensor<double>& x) override { return output(sigmoid(hidden(x))); }
  void members(xtape::nn::Members<double>& m) override {
    m.module("hidden", hidden);
    m.module("output", output);
  }
};

/// The tape's gradients of the mean cross-entropy beside those of the textbook's steps 1 to 4.
xtape::GradientTable compare_with_textbook(Network& network, const Digits& batch) {
  namespace hand = xtape::nn::hand;
  const auto &hidden = network.hidden, &output = network.output;
  const Tensor<double> one_hot = take(xtape::eye<double>(classes), batch.labels, 0);
  const auto by_hand =
      hand::two_layer(batch.inputs, one_hot, hidden.weight, hidden.bias, output.weight, output.bias,
                      xtape::Activation::sigmoid, hand::Loss::softmax_cross_entropy);
  network.zero_grad();
  xtape::nn::cross_entropy(network(batch.inputs), batch.labels).backward();
  const auto table = xtape::compare_gradients<double>({{"dJ/dW1", hidden.weight.grad(), by_hand.dW1},
                                                       {"dJ/db1", hidden.bias.grad(), by_hand.db1},
                                                       {"dJ/dW2", output.weight.grad(), by_hand.dW2},
                                                       {"dJ/db2", output.bias.grad(), by_hand.db2}},
                                                      {.batch_size = batch.size()});
  network.zero_grad();
  return table;
}

void print_confusion(Network& network, const Digits& test) {
  const xtape::NoGrad no_grad;
  const Tensor<double> logits = network(test.inputs);
  std::array<std::array<int, classes>, classes> count{};
  for (std::size_t i = 0; i < test.size(); ++i) {
    const double* z = logits.data() + i * classes;
    ++count[static_cast<std::size_t>(test.labels[i])]
           [static_cast<std::size_t>(std::max_element(z, z + classes) - z)];
  }
  std::printf("\nconfusion matrix of the test digits (rows: true, columns: predicted)\n     ");
  for (std::size_t c = 0; c < classes; ++c) std::printf("%4zu", c);
  std::printf("\n");
  for (std::size_t r = 0; r < classes; ++r) {
    std::printf("%4zu ", r);
    for (const int n : count[r]) n ? std::printf("%4d", n) : std::printf("   .");
    std::printf("\n");
  }
}

void train(const Options& o) {
  xtape::set_num_threads(1);  // matrices of this size are too small to share
  xtape::random::seed(o.seed);
  const Digits all = Digits::from_csv(
      o.data,
      {.scale = 1 / brightest, .low = 0, .high = brightest, .classes = classes, .columns = pixels + 1});
  const auto [test, training] = all.split(0.2, o.seed);
  if (test.size() == 0)
    throw std::runtime_error(o.data + ": at least 3 digits are needed, one of them for the test");
  std::printf("%zu digits: %zu to train on, %zu held out; network 64-32-10, seed %llu\n\n", all.size(),
              training.size(), test.size(), static_cast<unsigned long long>(o.seed));

  Network network;
  std::vector<std::size_t> first(std::min<std::size_t>(32, training.size()));
  std::iota(first.begin(), first.end(), std::size_t{0});
  const xtape::GradientTable table = compare_with_textbook(network, training.select(first));
  std::cout << "gradients of the tape (a) and of the textbook's formulas (b), batch of " << first.size()
            << ":\n"
            << table << std::endl;
  if (!table.passed) throw std::runtime_error("the tape and the formulas differ");

  const auto loss = [](const Tensor<double>& logits, const Digits& batch) {
    return xtape::nn::cross_entropy(logits, batch.labels);
  };
  xtape::nn::Adam<double> adam(network.parameters(),
                               {.learning_rate = o.learning_rate, .weight_decay = 1e-4});
  xtape::nn::DataLoader<double> loader(training, {.batch_size = o.batch, .seed = o.seed});
  xtape::nn::Trainer<double> trainer(network, adam, loss,
                                     {.epochs = o.epochs, .progress = &std::cout, .progress_every = 10});
  double seconds = 0;
  for (const xtape::nn::Epoch& epoch : trainer.fit(loader, test).epochs) seconds += epoch.seconds;

  print_confusion(network, test);
  const double reached = 100 * evaluate(network, test, loss).accuracy;
  std::printf("\ntraining took %.2f s\ntest accuracy: %.1f %%\n", seconds, reached);
  if (reached < o.at_least) throw std::runtime_error("the test accuracy is lower than asked for");
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  examples::Program program("train_digits", "Trains a 64-32-10 network on handwritten digits.");
  program.option("--data", o.data, "CSV file, plain or gzip: 64 pixels and a label a line");
  program.option("--epochs", o.epochs, "passes over the training digits", {.low = 1, .high = 100000});
  program.option("--batch", o.batch, "digits in a mini-batch", {.low = 1, .high = 100000});
  program.option("--learning-rate", o.learning_rate, "of Adam", {.positive = true});
  program.option("--seed", o.seed, "of split, weights and shuffling");
  program.option("--at-least", o.at_least, "exit with 1 below this test accuracy, in percent");
  return program.run(argc, argv, [&] { train(o); });
}
