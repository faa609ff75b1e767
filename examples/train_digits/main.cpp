// Trains a 64-32-10 network on real handwritten digits, after checking its gradients against the textbook's
// formulas.
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <numeric>

#include <unistd.h>

#include <CLI/CLI.hpp>

#include <nn/nn.hpp>

#include "digits.hpp"

namespace {

using xtape::Tensor;

struct Options {
  std::string data = XTAPE_EXAMPLE_DIR "/digits.csv.gz";
  int epochs = 60;
  std::size_t batch = 32;
  double learning_rate = 0.005;
  std::uint64_t seed = 1;
  double at_least = 0;
};

/// Two dense layers: z1 = x W1ᵀ + b1, a1 = σ(z1), z2 = a1 W2ᵀ + b2; the loss takes the softmax of z2.
struct Network : xtape::nn::Module<double> {
  xtape::nn::Linear<double> hidden{digits::pixels, 32};
  xtape::nn::Linear<double> output{32, digits::classes};

  Tensor<double> forward(const Tensor<double>& x) override { return output(sigmoid(hidden(x))); }
  void members(xtape::nn::Members<double>& m) override {
    m.module("hidden", hidden);
    m.module("output", output);
  }
};

/// The gradients of the mean cross-entropy by steps 1 to 4 of the textbook, in plain xtensor expressions.
xtape::GradientTable compare_with_textbook(Network& network, const digits::Dataset& batch) {
  const xt::xarray<double> x = batch.images;
  const xt::xarray<double> W1 = network.hidden.weight.value(), b1 = network.hidden.bias.value();
  const xt::xarray<double> W2 = network.output.weight.value(), b2 = network.output.bias.value();
  const auto product = [](const xt::xarray<double>& a, const xt::xarray<double>& b) {  // (M,N) = (M,K) (K,N)
    xt::xarray<double> c = xt::zeros<double>({a.shape()[0], b.shape()[1]});
    for (std::size_t i = 0; i < c.shape()[0]; ++i)
      for (std::size_t j = 0; j < c.shape()[1]; ++j)
        for (std::size_t k = 0; k < b.shape()[0]; ++k) c(i, j) += a(i, k) * b(k, j);
    return c;
  };
  const double n = static_cast<double>(batch.labels.size());

  const xt::xarray<double> z1 = product(x, xt::transpose(W1)) + b1, a1 = 1 / (1 + xt::exp(-z1));
  const xt::xarray<double> z2 = product(a1, xt::transpose(W2)) + b2, e = xt::exp(z2);
  const xt::xarray<double> row_sums = xt::sum(e, {1});
  xt::xarray<double> delta2 = e;  // softmax(z2) − y, the error of softmax and cross-entropy together
  for (std::size_t i = 0; i < batch.labels.size(); ++i)
    for (std::size_t c = 0; c < digits::classes; ++c)
      delta2(i, c) = (e(i, c) / row_sums(i) - (batch.labels[i] == static_cast<int>(c) ? 1 : 0)) / n;
  const xt::xarray<double> delta1 = product(delta2, W2) * a1 * (1 - a1);  // W2ᵀ δ2 · σ'(z1)
  const xt::xarray<double> dW2 = product(xt::transpose(delta2), a1), dW1 = product(xt::transpose(delta1), x);
  const xt::xarray<double> db2 = xt::sum(delta2, {0}), db1 = xt::sum(delta1, {0});

  network.zero_grad();
  xtape::nn::cross_entropy(network(batch.images), batch.labels).backward();
  const auto table = xtape::compare_gradients<double>({{"dJ/dW1", network.hidden.weight.grad(), dW1},
                                                       {"dJ/db1", network.hidden.bias.grad(), db1},
                                                       {"dJ/dW2", network.output.weight.grad(), dW2},
                                                       {"dJ/db2", network.output.bias.grad(), db2}},
                                                      {.batch_size = batch.labels.size()});
  network.zero_grad();
  return table;
}

int predicted_class(const Tensor<double>& logits, std::size_t row) {
  const double* z = logits.data() + row * digits::classes;
  return static_cast<int>(std::max_element(z, z + digits::classes) - z);
}

/// The share of right predictions, in percent.
double accuracy(Network& network, const digits::Dataset& data) {
  const xtape::NoGrad no_grad;
  const Tensor<double> logits = network(data.images);
  std::size_t right = 0;
  for (std::size_t i = 0; i < data.labels.size(); ++i) right += predicted_class(logits, i) == data.labels[i];
  return 100.0 * static_cast<double>(right) / static_cast<double>(data.labels.size());
}

/// One line that is drawn over on a terminal; now and then a line of its own elsewhere.
void show_progress(int epoch, const Options& o, double loss, double percent, bool terminal) {
  if (terminal) {
    std::string bar(30, ' ');
    std::fill_n(bar.begin(), epoch * 30 / o.epochs, '#');
    std::printf("\rtraining [%s] epoch %3d/%d  loss %.4f  accuracy %5.1f %%", bar.c_str(), epoch, o.epochs,
                loss, percent);
    if (epoch == o.epochs) std::printf("\n");
  } else if (epoch == 1 || epoch % 10 == 0 || epoch == o.epochs) {
    std::printf("epoch %3d/%d  loss %.4f  accuracy %5.1f %%\n", epoch, o.epochs, loss, percent);
  }
  std::fflush(stdout);
}

void print_confusion(Network& network, const digits::Dataset& test) {
  const xtape::NoGrad no_grad;
  const Tensor<double> logits = network(test.images);
  std::array<std::array<int, digits::classes>, digits::classes> count{};
  for (std::size_t i = 0; i < test.labels.size(); ++i)
    ++count[static_cast<std::size_t>(test.labels[i])][static_cast<std::size_t>(predicted_class(logits, i))];
  std::printf("\nconfusion matrix of the test digits (rows: true, columns: predicted)\n     ");
  for (std::size_t c = 0; c < digits::classes; ++c) std::printf("%4zu", c);
  std::printf("\n");
  for (std::size_t r = 0; r < digits::classes; ++r) {
    std::printf("%4zu ", r);
    for (const int n : count[r]) n ? std::printf("%4d", n) : std::printf("   .");
    std::printf("\n");
  }
}

int train(const Options& o) {
  const bool terminal = isatty(STDOUT_FILENO) != 0;
  xtape::set_num_threads(1);  // matrices of this size are too small to share
  xtape::random::seed(o.seed);
  const digits::Dataset all = digits::read(o.data);
  const std::vector<std::size_t> order = xtape::random::permutation(all.labels.size());
  const auto held_out = order.begin() + static_cast<std::ptrdiff_t>(order.size() / 5);
  const digits::Dataset test = digits::select(all, {order.begin(), held_out});
  const digits::Dataset training = digits::select(all, {held_out, order.end()});
  if (test.labels.empty())
    throw std::runtime_error(o.data + ": at least 5 digits are needed, one of them for the test");
  std::printf("%zu digits: %zu to train on, %zu held out; network 64-32-10, seed %llu\n\n", all.labels.size(),
              training.labels.size(), test.labels.size(), static_cast<unsigned long long>(o.seed));

  Network network;
  std::vector<std::size_t> first(std::min<std::size_t>(32, training.labels.size()));
  std::iota(first.begin(), first.end(), std::size_t{0});
  const xtape::GradientTable table = compare_with_textbook(network, digits::select(training, first));
  std::cout << "gradients of the tape (a) and of the textbook's formulas (b), batch of " << first.size()
            << ":\n"
            << table << std::endl;
  if (!table.passed) return 1;

  xtape::nn::Adam<double> adam(network.parameters(),
                               {.learning_rate = o.learning_rate, .weight_decay = 1e-4});
  const auto start = std::chrono::steady_clock::now();
  for (int epoch = 1; epoch <= o.epochs; ++epoch) {
    const std::vector<std::size_t> shuffled = xtape::random::permutation(training.labels.size());
    double total = 0;
    for (std::size_t at = 0; at < shuffled.size(); at += o.batch) {
      const auto from = shuffled.begin() + static_cast<std::ptrdiff_t>(at);
      const auto to = shuffled.begin() + static_cast<std::ptrdiff_t>(std::min(at + o.batch, shuffled.size()));
      const digits::Dataset batch = digits::select(training, {from, to});
      adam.zero_grad();
      const Tensor<double> loss = xtape::nn::cross_entropy(network(batch.images), batch.labels);
      loss.backward();
      adam.step();
      total += loss.item() * static_cast<double>(batch.labels.size());
    }
    show_progress(epoch, o, total / static_cast<double>(shuffled.size()), accuracy(network, training),
                  terminal);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  print_confusion(network, test);
  const double reached = accuracy(network, test);
  std::printf("\ntraining took %.2f s\ntest accuracy: %.1f %%\n", seconds, reached);
  return reached >= o.at_least ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app("Trains a 64-32-10 network on handwritten digits.");
  app.add_option("--data", o.data, "CSV file, plain or gzip: 64 pixels and a label a line")
      ->capture_default_str();
  app.add_option("--epochs", o.epochs, "passes over the training digits")
      ->capture_default_str()
      ->check(CLI::Range(1, 100000));
  app.add_option("--batch", o.batch, "digits in a mini-batch")
      ->capture_default_str()
      ->check(CLI::Range(1, 100000));
  app.add_option("--learning-rate", o.learning_rate, "of Adam")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--seed", o.seed, "of split, weights and shuffling")->capture_default_str();
  app.add_option("--at-least", o.at_least, "exit with 1 below this test accuracy, in percent")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    return train(o);
  } catch (const std::exception& error) {
    std::cerr << "train_digits: " << error.what() << '\n';
    return 1;
  }
}
