// Backpropagation step by step: the document's example by hand and by tape, side by side; the same formulas
// for a batch and for many layers; a version with mistakes, and what the audit says of it.
#include <cmath>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include <nn/nn.hpp>

#include "../program.hpp"

namespace {

using namespace xtape;
namespace hand = nn::hand;

double sigmoid_of(double z) { return 1 / (1 + std::exp(-z)); }

/// The example's network, 2-2-1: its weights give the numbers that the document prints.
struct Example {
  const double x[2] = {1.0, 0.5}, y = 0.8, alpha = 0.1;
  double W1[2][2] = {{0.4, 0.1}, {0.1, 0.2}}, b1[2] = {0.05, 0.1};
  double W2[2] = {0.95, 0.8}, b2 = -0.451;
};

/// A table of numbers computed twice. The document prints three digits.
class Table {
 public:
  void head(const char* title) const {
    std::printf("\n%-46s %12s %12s %10s\n", title, "by hand", "by tape", "document");
  }
  void row(const std::string& formula, double by_hand, double by_tape, const char* document = "") {
    const bool same = std::abs(by_hand - by_tape) <= 1e-14;
    const bool as_printed = *document == '\0' || std::abs(by_hand - std::stod(document)) < 0.0005 + 1e-12;
    agrees_ = agrees_ && same && as_printed;
    std::printf("%-46s %12.6f %12.6f %10s%s\n", formula.c_str(), by_hand, by_tape, document,
                same && as_printed ? "" : "  DIFFERS");
  }
  bool agrees() const { return agrees_; }

 private:
  bool agrees_ = true;
};

/// The step-by-step example. Returns whether hand, tape and document agree.
bool step_by_step() {
  Example e;
  std::printf("1. One step by hand and by tape\n\n");
  std::printf("x = [1.0, 0.5], y = 0.8, alpha = 0.1; sigmoid in both layers; J = 1/2 (a2 - y)^2\n");
  std::printf("W1 = [[0.4, 0.1], [0.1, 0.2]], b1 = [0.05, 0.1], W2 = [0.95, 0.8], b2 = -0.451\n");

  // By tape: the forward pass is recorded as it runs.
  const Tensor<double> x{1.0, 0.5}, y{0.8};
  auto W1 = parameter<double>({{0.4, 0.1}, {0.1, 0.2}}), b1 = parameter<double>({0.05, 0.1});
  auto W2 = parameter<double>({{0.95, 0.8}}), b2 = parameter<double>({-0.451});
  const Tensor<double> z1 = linear(x, W1, b1), a1 = sigmoid(z1), z2 = linear(a1, W2, b2), a2 = sigmoid(z2);
  const Tensor<double> J = nn::half_squared_error(a2, y);
  const auto of_activations = grad(J, {a2, z2, a1, z1}, {.retain_tape = true});
  J.backward();
  const auto at = [](const Tensor<double>& t, std::size_t i) { return t.data()[i]; };
  const auto index = [](std::size_t i) { return "[" + std::to_string(i) + "]"; };
  const auto index2 = [](std::size_t i, std::size_t j) {
    return "[" + std::to_string(i) + "," + std::to_string(j) + "]";
  };

  Table table;
  table.head("Forward pass");
  double hz1[2], ha1[2];
  for (std::size_t i = 0; i < 2; ++i) {
    hz1[i] = e.W1[i][0] * e.x[0] + e.W1[i][1] * e.x[1] + e.b1[i];
    ha1[i] = sigmoid_of(hz1[i]);
    const std::string n = index(i);
    table.row("z1" + n + " = W1" + n + " x + b1" + n, hz1[i], at(z1, i), i == 0 ? "0.5" : "0.3");
    table.row("a1" + n + " = sigmoid(z1" + n + ")", ha1[i], at(a1, i), i == 0 ? "0.622" : "0.574");
  }
  const double hz2 = e.W2[0] * ha1[0] + e.W2[1] * ha1[1] + e.b2, ha2 = sigmoid_of(hz2);
  table.row("z2 = W2 a1 + b2", hz2, z2.item(), "0.6");
  table.row("a2 = sigmoid(z2)", ha2, a2.item(), "0.646");
  table.row("J = 1/2 (a2 - y)^2", 0.5 * (ha2 - e.y) * (ha2 - e.y), J.item());

  table.head("Backward pass");
  const double dJ_da2 = ha2 - e.y, slope2 = ha2 * (1 - ha2), delta2 = dJ_da2 * slope2;
  table.row("step 1: dJ/da2 = a2 - y", dJ_da2, of_activations[0].item(), "-0.154");
  table.row("        sigmoid'(z2) = a2 (1 - a2)", slope2,
            vjp([](const auto& z) { return sigmoid(z); }, z2.detach(), ones<double>({1})).second.item(),
            "0.229");
  table.row("step 2: delta2 = dJ/da2 sigmoid'(z2)", delta2, of_activations[1].item(), "-0.035");
  double delta1[2];
  for (std::size_t i = 0; i < 2; ++i) {
    const double error = e.W2[i] * delta2;
    delta1[i] = error * ha1[i] * (1 - ha1[i]);
    const std::string n = index(i);
    table.row((i == 0 ? "step 3: error1" : "        error1") + n + " = W2" + n + " delta2", error,
              at(of_activations[2], i));
    table.row("        delta1" + n + " = error1" + n + " sigmoid'(z1" + n + ")", delta1[i],
              at(of_activations[3], i), i == 0 ? "-0.008" : "-0.007");
  }
  for (std::size_t i = 0; i < 2; ++i)
    table.row((i == 0 ? "step 4: dW2" : "        dW2") + index(i) + " = delta2 a1" + index(i),
              delta2 * ha1[i], at(W2.grad(), i), i == 0 ? "-0.022" : "-0.020");
  const char* const printed[2][2] = {{"-0.008", "-0.004"}, {"-0.007", "-0.003"}};
  for (std::size_t i = 0; i < 2; ++i)
    for (std::size_t j = 0; j < 2; ++j) {
      table.row("        dW1" + index2(i, j) + " = delta1" + index(i) + " x" + index(j), delta1[i] * e.x[j],
                at(W1.grad(), 2 * i + j), printed[i][j]);
    }
  table.row("        db2 = delta2", delta2, b2.grad().item());
  for (std::size_t i = 0; i < 2; ++i)
    table.row("        db1" + index(i) + " = delta1" + index(i), delta1[i], at(b1.grad(), i));

  nn::SGD<double>({W1, b1, W2, b2}, {.learning_rate = e.alpha}).step();
  table.head("Update");
  for (std::size_t i = 0; i < 2; ++i)
    table.row((i == 0 ? "step 5: W2" : "        W2") + index(i) + " - alpha dW2" + index(i),
              e.W2[i] - e.alpha * delta2 * ha1[i], at(W2, i));
  for (std::size_t i = 0; i < 2; ++i)
    for (std::size_t j = 0; j < 2; ++j) {
      const std::string where = index2(i, j);
      table.row("        W1" + where + " - alpha dW1" + where, e.W1[i][j] - e.alpha * delta1[i] * e.x[j],
                at(W1, 2 * i + j));
    }
  table.row("        b2 - alpha db2", e.b2 - e.alpha * delta2, b2.item());
  for (std::size_t i = 0; i < 2; ++i)
    table.row("        b1" + index(i) + " - alpha db1" + index(i), e.b1[i] - e.alpha * delta1[i], at(b1, i));
  const Tensor<double> after = nn::half_squared_error(sigmoid(linear(sigmoid(linear(x, W1, b1)), W2, b2)), y);
  std::printf("\nThe loss before the step is %.6f, after it %.6f.\n", J.item(), after.item());
  return table.agrees() && after.item() < J.item();
}

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
  for (const std::size_t width : {5, 5, 5, 2}) {
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

/// The document's common mistakes, made on purpose. Returns whether each is named.
bool mistakes() {
  std::printf("\n3. A wrong version, and what the table says of it\n");
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
      {"The derivative of the activation is forgotten: delta1 = W2^T delta2",
       batch.compare(from(h.hidden_error), h.db1, h.dW2, h.db2)},
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
  for (const std::size_t n : {1, 4, 32}) {
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

/// Why backpropagation works: one pass for all gradients, values used again, depth at a cost that grows with
/// it.
bool insights() {
  std::printf("\n6. Why it works\n\n");
  random::seed(5);
  std::printf("%8s %12s %14s %16s %18s\n", "layers", "weights", "forward runs", "backward rules",
              "kept bytes a layer");
  bool grows_with_depth = true;
  for (const std::size_t depth : {10, 100, 1000}) {
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
  CLI::App app("Backpropagation step by step: by hand and by tape, with mistakes and how they are found.",
               "backward_propagation_guide");
  return examples::main_function(app, argc, argv, [] {
    bool agrees = step_by_step();
    agrees = batches_and_depth() && agrees;
    agrees = mistakes() && agrees;
    agrees = audit_of_a_rule() && agrees;
    agrees = document_function() && agrees;
    agrees = insights() && agrees;
    if (!agrees) throw std::runtime_error("hand and tape, or a mistake and its name, do not agree");
  });
}
