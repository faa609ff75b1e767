// The document's example with plain numbers and by tape, and the same with a mistake.
#include "step_by_step.hpp"

#include <cmath>
#include <cstdio>
#include <iostream>
#include <string>

#include <nn/nn.hpp>

using namespace xtape;
namespace hand = nn::hand;

namespace {

double sigmoid_of(double z) { return 1 / (1 + std::exp(-z)); }

/// The example's network, 2-2-1: its weights give the numbers that the document prints.
struct Example {
  static constexpr double x[2] = {1.0, 0.5}, y = 0.8, alpha = 0.1;
  static constexpr double W1[2][2] = {{0.4, 0.1}, {0.1, 0.2}}, b1[2] = {0.05, 0.1};
  static constexpr double W2[2] = {0.95, 0.8}, b2 = -0.451;
};

/// The same for the tape, whose forward pass is recorded as it runs.
struct Recorded {
  using E = Example;
  Tensor<double> x{E::x[0], E::x[1]}, y{E::y};
  Tensor<double> W1 = parameter<double>({{E::W1[0][0], E::W1[0][1]}, {E::W1[1][0], E::W1[1][1]}}),
                 b1 = parameter<double>({E::b1[0], E::b1[1]}), W2 = parameter<double>({{E::W2[0], E::W2[1]}}),
                 b2 = parameter<double>({E::b2});
  Tensor<double> z1 = linear(x, W1, b1), a1 = sigmoid(z1), z2 = linear(a1, W2, b2), a2 = sigmoid(z2);
  Tensor<double> J = nn::half_squared_error(a2, y);
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

}  // namespace

bool step_by_step() {
  using e = Example;
  std::printf("1. One step by hand and by tape\n\n");
  std::printf("x = [%.1f, %.1f], y = %g, alpha = %g; sigmoid in both layers; J = 1/2 (a2 - y)^2\n", e::x[0],
              e::x[1], e::y, e::alpha);
  std::printf("W1 = [[%g, %g], [%g, %g]], b1 = [%g, %g], W2 = [%g, %g], b2 = %g\n", e::W1[0][0], e::W1[0][1],
              e::W1[1][0], e::W1[1][1], e::b1[0], e::b1[1], e::W2[0], e::W2[1], e::b2);

  const Recorded tape;
  auto [x, y, W1, b1, W2, b2, z1, a1, z2, a2, J] = tape;
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
    hz1[i] = e::W1[i][0] * e::x[0] + e::W1[i][1] * e::x[1] + e::b1[i];
    ha1[i] = sigmoid_of(hz1[i]);
    const std::string n = index(i);
    table.row("z1" + n + " = W1" + n + " x + b1" + n, hz1[i], at(z1, i), i == 0 ? "0.5" : "0.3");
    table.row("a1" + n + " = sigmoid(z1" + n + ")", ha1[i], at(a1, i), i == 0 ? "0.622" : "0.574");
  }
  const double hz2 = e::W2[0] * ha1[0] + e::W2[1] * ha1[1] + e::b2, ha2 = sigmoid_of(hz2);
  table.row("z2 = W2 a1 + b2", hz2, z2.item(), "0.6");
  table.row("a2 = sigmoid(z2)", ha2, a2.item(), "0.646");
  table.row("J = 1/2 (a2 - y)^2", 0.5 * (ha2 - e::y) * (ha2 - e::y), J.item());

  table.head("Backward pass");
  const double dJ_da2 = ha2 - e::y, slope2 = ha2 * (1 - ha2), delta2 = dJ_da2 * slope2;
  table.row("step 1: dJ/da2 = a2 - y", dJ_da2, of_activations[0].item(), "-0.154");
  table.row("        sigmoid'(z2) = a2 (1 - a2)", slope2,
            vjp([](const auto& z) { return sigmoid(z); }, z2.detach(), ones<double>({1})).second.item(),
            "0.229");
  table.row("step 2: delta2 = dJ/da2 sigmoid'(z2)", delta2, of_activations[1].item(), "-0.035");
  double delta1[2];
  for (std::size_t i = 0; i < 2; ++i) {
    const double error = e::W2[i] * delta2;
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
      table.row("        dW1" + index2(i, j) + " = delta1" + index(i) + " x" + index(j), delta1[i] * e::x[j],
                at(W1.grad(), 2 * i + j), printed[i][j]);
    }
  table.row("        db2 = delta2", delta2, b2.grad().item());
  for (std::size_t i = 0; i < 2; ++i)
    table.row("        db1" + index(i) + " = delta1" + index(i), delta1[i], at(b1.grad(), i));

  nn::SGD<double>({W1, b1, W2, b2}, {.learning_rate = e::alpha}).step();
  table.head("Update");
  for (std::size_t i = 0; i < 2; ++i)
    table.row((i == 0 ? "step 5: W2" : "        W2") + index(i) + " - alpha dW2" + index(i),
              e::W2[i] - e::alpha * delta2 * ha1[i], at(W2, i));
  for (std::size_t i = 0; i < 2; ++i)
    for (std::size_t j = 0; j < 2; ++j) {
      const std::string where = index2(i, j);
      table.row("        W1" + where + " - alpha dW1" + where, e::W1[i][j] - e::alpha * delta1[i] * e::x[j],
                at(W1, 2 * i + j));
    }
  table.row("        b2 - alpha db2", e::b2 - e::alpha * delta2, b2.item());
  for (std::size_t i = 0; i < 2; ++i)
    table.row("        b1" + index(i) + " - alpha db1" + index(i), e::b1[i] - e::alpha * delta1[i],
              at(b1, i));
  const Tensor<double> after = nn::half_squared_error(sigmoid(linear(sigmoid(linear(x, W1, b1)), W2, b2)), y);
  std::printf("\nThe loss before the step is %.6f, after it %.6f.\n", J.item(), after.item());
  return table.agrees() && after.item() < J.item();
}

bool wrong_step() {
  std::printf("\n3. A wrong version, and what the table says about it\n\n");
  const Recorded t;
  t.J.backward();
  const auto right =
      hand::two_layer(t.x, t.y, t.W1, t.b1, t.W2, t.b2, Activation::sigmoid, hand::Loss::half_squared_error);
  const Tensor<double> wrong_dW1 = outer(right.hidden_error, t.x);
  std::printf("The example, with delta1 = W2^T delta2: sigmoid'(z1) is forgotten\n%-10s %12s %12s\n", "",
              "right", "wrong");
  for (std::size_t i = 0; i < 2; ++i)
    for (std::size_t j = 0; j < 2; ++j)
      std::printf("dW1[%zu,%zu]   %12.6f %12.6f\n", i, j, right.dW1.data()[2 * i + j],
                  wrong_dW1.data()[2 * i + j]);
  const GradientTable table = compare_gradients<double>(
      {{"W1", t.W1.grad(), wrong_dW1}, {"W2", t.W2.grad(), right.dW2}}, right.steps.compare_options());
  std::cout << table;
  return !table.rows[0].passed && !table.rows[0].hint.empty() && table.rows[1].passed;
}
