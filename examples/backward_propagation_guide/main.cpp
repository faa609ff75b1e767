// Backpropagation step by step: the document's example; the same formulas for a batch and for many layers;
// mistakes, and how they are found; why it works, when gradients vanish; and a net that is no stack of
// layers.
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include <nn/nn.hpp>

#include "../program.hpp"
#include "shared_block.hpp"
#include "step_by_step.hpp"

namespace {

using namespace xtape;
namespace hand = nn::hand;

/// A batch of a network 4-3-2 with the hand-derived quantities and the tape's gradients.
struct Batch {
  Tensor<double> x, y, W1, b1, W2, b2;
  hand::TwoLayer<double> by_hand;

  explicit Batch(std::size_t n) {
    random::seed(7);
    x = random::normal<double>({n, 4}), y = random::uniform<double>({n, 2}, 0.1, 0.9);
    W1 = parameter(random::normal<double>({3, 4})), b1 = parameter(random::normal<double>({3}));
    W2 = parameter(random::normal<double>({2, 3})), b2 = parameter(random::normal<double>({2}));
    by_hand = hand::two_layer(x, y, W1, b1, W2, b2, Activation::sigmoid, hand::Loss::half_squared_error);
    loss().backward();
  }
  Tensor<double> loss() const {
    return nn::half_squared_error(sigmoid(linear(sigmoid(linear(x, W1, b1)), W2, b2)), y);
  }
  /// The tape's gradients beside four others.
  GradientTable compare(const Tensor<double>& dW1, const Tensor<double>& db1, const Tensor<double>& dW2,
                        const Tensor<double>& db2) const {
    return compare_gradients<double>(
        {{"W1", W1.grad(), dW1}, {"b1", b1.grad(), db1}, {"W2", W2.grad(), dW2}, {"b2", b2.grad(), db2}},
        by_hand.steps.compare_options());
  }
};

/// The formulas for whole batches, and for more layers.
bool batches_and_depth() {
  std::printf("\n2. A batch, and any number of layers\n\n");
  const Batch batch(32);
  const auto& h = batch.by_hand;
  const GradientTable table = batch.compare(h.dW1, h.db1, h.dW2, h.db2);
  std::cout << "A network 4-3-2, 32 samples in rows: delta is (32, out), dW = delta^T a\n" << table;

  std::vector<hand::Layer<double>> layers;
  std::vector<Tensor<double>> leaves;
  Tensor<double> a = batch.x;
  for (const std::size_t width : {5u, 5u, 5u, 2u}) {
    const auto W = parameter(random::normal<double>({width, a.shape()[1]})),
               b = parameter(random::normal<double>({width}));
    layers.push_back({W, b, Activation::tanh});
    leaves.insert(leaves.end(), {W, b});
    a = tanh(linear(a, W, b));
  }
  const auto deep = hand::layers(batch.x, batch.y, layers, hand::Loss::mean_squared_error);
  const auto gradients = grad(nn::mse_loss(a, batch.y), leaves);
  std::vector<GradientPair<double>> pairs;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    pairs.push_back({"W" + std::to_string(l + 1), gradients[2 * l], deep.dW[l]});
    pairs.push_back({"b" + std::to_string(l + 1), gradients[2 * l + 1], deep.db[l]});
  }
  const GradientTable deep_table = compare_gradients(pairs, deep.compare_options());
  std::cout << "\nThe network 4-5-5-5-2 with tanh and the mean squared error\n" << deep_table;
  return table.passed && deep_table.passed;
}

/// The document's common mistakes, made on purpose for a batch. Returns whether each is named.
bool mistakes() {
  const Batch batch(32);
  const auto& h = batch.by_hand;
  const Tensor<double> z1 = h.z1, a1 = h.a1;
  const auto from = [&](const Tensor<double>& delta1) { return matmul(transpose(delta1), batch.x); };
  struct Mistake {
    const char* title;
    GradientTable table;
  };
  const NoGrad no_grad;
  const std::vector<Mistake> all{
      {"Another activation's derivative: delta1 = W2^T delta2 (1 - a1^2)",
       batch.compare(from(h.hidden_error * (1 - square(a1))), h.db1, h.dW2, h.db2)},
      {"The derivative at z instead of a: delta1 = W2^T delta2 z1 (1 - z1)",
       batch.compare(from(h.hidden_error * z1 * (1 - z1)), h.db1, h.dW2, h.db2)},
      {"A transpose is forgotten: dW2 = a1^T delta2", batch.compare(h.dW1, h.db1, transpose(h.dW2), h.db2)},
      {"The mean over the batch for the biases alone", batch.compare(h.dW1, h.db1 / 32, h.dW2, h.db2 / 32)},
      {"The sign of the error: y - a2", batch.compare(-h.dW1, -h.db1, -h.dW2, -h.db2)},
  };
  bool named = true;
  for (const Mistake& mistake : all) {
    std::cout << '\n' << mistake.title << '\n' << mistake.table;
    for (const auto& row : mistake.table.rows) named = named && (row.passed || !row.hint.empty());
    named = named && !mistake.table.passed;
  }
  std::printf("\nDimensions that do not match are an error that says which:\n");
  try {
    hand::two_layer(batch.x, batch.y, transpose(batch.W1), batch.b1, batch.W2, batch.b2, Activation::sigmoid,
                    hand::Loss::half_squared_error);
    named = false;
  } catch (const Error& error) { std::cout << error.what() << '\n'; }
  return named;
}

/// A rule of one's own, wrong, within a deep network: the audit names it. Returns whether it does.
bool audit_of_a_rule() {
  std::printf("\n4. A wrong rule within a deep network, found by audit()\n\n");
  random::seed(3);
  const Tensor<double> x = random::normal<double>({8, 4});
  std::vector<Tensor<double>> W;
  for (int l = 0; l < 6; ++l) W.push_back(parameter(random::normal<double>({4, 4})));
  const auto softsign = [](const Tensor<double>& z) {
    // The derivative of z / (1 + |z|) is 1 / (1 + |z|)^2; the square is forgotten.
    return custom<double>("softsign", {z}, z.detach() / (1 + abs(z.detach())), [z](const Tensor<double>& g) {
      return std::vector<Tensor<double>>{g / (1 + abs(z))};
    });
  };
  const auto loss = [&] {
    Tensor<double> a = x;
    for (std::size_t l = 0; l < W.size(); ++l) a = l == 3 ? softsign(linear(a, W[l])) : tanh(linear(a, W[l]));
    return mean(square(a));
  };
  const AuditReport report = audit(loss);
  std::cout << report;
  std::size_t wrong = 0;
  for (const auto& row : report.rows) wrong += !row.passed;
  return wrong == 1;
}

/// The document's own function: weights by the sum over the batch, biases by the mean.
bool document_function() {
  std::printf("\n5. The document's function, and what its mixture of sum and mean does\n\n");
  std::printf("%8s %24s %24s\n", "batch", "|step of W2| / |dJ/dW2|", "|step of b2| / |dJ/db2|");
  bool as_said = true;
  for (const std::size_t n : {1u, 4u, 32u}) {
    const Batch batch(n);
    const auto row = [](const Tensor<double>& b) {
      return reshape(Tensor<double>(b.value()), {1, b.size()});
    };
    hand::NumpyNetwork<double> network{Tensor<double>(transpose(batch.W1).value()), row(batch.b1),
                                       Tensor<double>(transpose(batch.W2).value()), row(batch.b2)};
    hand::numpy_backpropagation(network, network.forward(batch.x), batch.y, 1.0);
    const double of_W = norm(transpose(batch.W2.detach()) - network.weights_hidden_to_output).item() /
                        norm(batch.W2.grad()).item();
    const double of_b =
        norm(row(batch.b2.detach()) - network.bias_output).item() / norm(batch.b2.grad()).item();
    std::printf("%8zu %24.6f %24.6f\n", n, of_W, of_b);
    as_said = as_said && std::abs(of_W - 1) < 1e-9 && std::abs(of_b * static_cast<double>(n) - 1) < 1e-9;
  }
  std::printf(
      "With alpha = 1 both ratios should be 1: the biases learn more slowly the larger the batch is.\n");
  return as_said;
}

/// A deep network of sigmoids under a monitor. Returns whether it says that the gradients vanish.
bool vanishing() {
  std::printf("\n7. When gradients vanish\n\n");
  random::seed(1);
  nn::Sequential<double> model;
  for (int layer = 0; layer < 20; ++layer) {
    model.add(nn::Linear<double>(8, 8));
    model.add(nn::Sigmoid<double>());
  }
  const Tensor<double> x = random::normal<double>({32, 8}), y = random::uniform<double>({32, 8});
  nn::SGD<double> sgd(model.parameters(), {.learning_rate = 0.1});
  nn::GradientMonitor<double> monitor(model);
  for (int step = 0; step < 20; ++step) {
    sgd.zero_grad();
    const Tensor<double> loss = nn::mse_loss(model(x), y);
    loss.backward();
    monitor.step(sgd, loss.item());
  }
  bool is_seen = false;
  for (const nn::Verdict& verdict : monitor.verdicts()) {
    std::cout << verdict << '\n';
    is_seen = is_seen || verdict.kind == nn::Verdict::Kind::vanishing;
  }
  return is_seen;
}

/// Why backpropagation works: one pass for all gradients, values used again, depth at a cost that grows with
/// it.
bool insights() {
  std::printf("\n6. Why it works\n\n");
  random::seed(5);
  std::printf("%8s %12s %14s %16s %18s\n", "layers", "weights", "forward runs", "backward rules",
              "kept bytes a layer");
  bool grows_with_depth = true;
  for (const std::size_t depth : {10u, 100u, 1000u}) {
    std::vector<Tensor<double>> W;
    for (std::size_t l = 0; l < depth; ++l) W.push_back(parameter(random::normal<double>({10, 10})));
    Tensor<double> a = random::normal<double>({1, 10});
    for (const Tensor<double>& w : W) a = sigmoid(linear(a, w));
    const Tensor<double> J = mean(square(a));
    const std::size_t recorded = Tape::current().size(), bytes = Tape::current().bytes();
    J.backward();
    const std::size_t rules = Tape::current().rules_run();
    std::printf("%8zu %12zu %14zu %16zu %18zu\n", depth, depth * 100, depth * 100 + 1, rules, bytes / depth);
    grows_with_depth = grows_with_depth && rules == recorded && rules == 2 * depth + 2;
  }
  std::printf(
      "Forward runs: what differences J(w + h) - J(w) would take for all weights. The backward pass runs one "
      "rule for\n"
      "each recorded operation, once, and reads the values that the forward pass has kept.\n");
  return grows_with_depth;
}

}  // namespace

int main(int argc, char** argv) {
  examples::Program program(
      "backward_propagation_guide",
      "Backpropagation step by step: by hand and by tape, with mistakes and how they are found.");
  std::filesystem::path out = ".";
  program.out_option(out);
  return program.run(argc, argv, [&] {
    bool agrees = step_by_step();
    agrees = batches_and_depth() && agrees;
    agrees = wrong_step() && agrees;
    agrees = mistakes() && agrees;
    agrees = audit_of_a_rule() && agrees;
    agrees = document_function() && agrees;
    agrees = insights() && agrees;
    agrees = vanishing() && agrees;
    agrees = shared_block(out) && agrees;
    if (!agrees) throw std::runtime_error("hand and tape, or a mistake and its name, do not agree");
  });
}
