// A reverse mode of about 100 lines, tape.hpp, on a formula, on a network, and beside xtape.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <string>

#include <nn/nn.hpp>
#include <xtensor/xadapt.hpp>

#include "../program.hpp"
#include "tape.hpp"

namespace {

using small::Array;
using small::Variable;

/// The network's parameters on a tape, or on xtape's.
template <class T>
struct Network {
  T W1, b1, W2, b2;

  /// Σ (a2 − y)² over the batch: x (N, 2), y (N, 1).
  T cost(const T& x, const T& y) const {
    const T a1 = sigmoid(matmul(x, W1) + b1), a2 = sigmoid(matmul(a1, W2) + b2), error = a2 - y;
    return sum(error * error);
  }
};

/// Rows of numbers, one behind the other.
Array matrix(std::size_t rows, const std::vector<double>& numbers) {
  Array array = xt::adapt(numbers);
  array.reshape({rows, numbers.size() / rows});
  return array;
}

const Array inputs = matrix(4, {0, 0, 0, 1, 1, 0, 1, 1}), targets = matrix(4, {0, 1, 1, 0});

Network<Array> start() {
  return {matrix(2, {0.5, -0.7, 0.3, 0.9, 0.4, -0.6}), matrix(1, {0.1, -0.2, 0.05}),
          matrix(3, {0.8, -0.5, 0.7}), matrix(1, {-0.1})};
}

/// The largest |a − b|; an error where it is not rounding.
double difference(const Array& a, const xtape::Tensor<double>& b) {
  const double largest = xt::amax(xt::abs(a - b.value()))();
  if (!(largest < 1e-14)) throw xtape::Error("tape_in_100_lines", "the gradients differ from xtape's");
  return largest;
}

void formula() {
  std::printf("1. z = x y + sin(x) at x = 0.5, y = 2\n\n");
  small::Tape tape;
  const Variable x = record(tape, Array(0.5)), y = record(tape, Array(2.0)), xy = x * y, s = sin(x),
                 z = xy + s;
  const std::vector<Array> adjoints = backward(z);
  const std::pair<const char*, const Variable*> all[] = {
      {"x", &x}, {"y", &y}, {"x y", &xy}, {"sin(x)", &s}, {"z", &z}};
  std::printf("place  value of    value  from   adjoint\n");
  for (const auto& [name, variable] : all) {
    std::string from;
    for (const auto& operand : tape[variable->place].operands)
      from += (from.empty() ? "" : " ") + std::to_string(operand.place);
    std::printf("%5zu  %-8s %8.4f  %-4s %9.4f\n", variable->place, name, variable->value(), from.c_str(),
                adjoints[variable->place]());
  }
  std::printf("\ndz/dx = y + cos(x) = %.4f by hand\n", 2 + std::cos(0.5));
}

void network() {
  std::printf("\n2. A network 2-3-1 on XOR, beside xtape\n\n");
  const Network<Array> values = start();
  small::Tape tape;
  const auto leaf = [&](const Array& value) { return record(tape, value); };
  const Network<Variable> small_one{leaf(values.W1), leaf(values.b1), leaf(values.W2), leaf(values.b2)};
  const Variable cost = small_one.cost(leaf(inputs), leaf(targets));
  const std::vector<Array> adjoints = backward(cost);

  using xtape::parameter;
  using xtape::Tensor;
  const Network<Tensor<double>> by_xtape{parameter<double>(values.W1), parameter<double>(values.b1),
                                         parameter<double>(values.W2), parameter<double>(values.b2)};
  const Tensor<double> same = by_xtape.cost(Tensor<double>(inputs), Tensor<double>(targets));
  same.backward();
  std::printf("cost %.6f, xtape %.6f; %zu entries on the tape\n", cost.value(), same.item(), tape.size());
  const std::pair<const char*, std::pair<const Variable*, const Tensor<double>*>> all[] = {
      {"W1", {&small_one.W1, &by_xtape.W1}},
      {"b1", {&small_one.b1, &by_xtape.b1}},
      {"W2", {&small_one.W2, &by_xtape.W2}},
      {"b2", {&small_one.b2, &by_xtape.b2}}};
  for (const auto& [name, pair] : all) {
    const Array& gradient = adjoints[pair.first->place];
    difference(gradient, pair.second->grad());
    std::printf("d cost / d %s:", name);
    for (const double g : gradient) std::printf(" %8.5f", g);
    std::printf("   the same as xtape's\n");
  }
}

void training() {
  std::printf("\n3. Gradient descent with it\n\n");
  Network<Array> values = start();
  for (int step = 0; step <= 4000; ++step) {
    small::Tape tape;  // the next step records anew
    const auto leaf = [&](const Array& value) { return record(tape, value); };
    const Network<Variable> on_tape{leaf(values.W1), leaf(values.b1), leaf(values.W2), leaf(values.b2)};
    const Variable cost = on_tape.cost(leaf(inputs), leaf(targets));
    if (step % 1000 == 0) std::printf("step %4d  cost %.5f\n", step, cost.value());
    const std::vector<Array> adjoints = backward(cost);
    const auto update = [&](Array& value, const Variable& of) { value -= 1.0 * adjoints[of.place]; };
    update(values.W1, on_tape.W1), update(values.b1, on_tape.b1);
    update(values.W2, on_tape.W2), update(values.b2, on_tape.b2);
  }
}

}  // namespace

int main(int argc, char** argv) {
  examples::Program program("tape_in_100_lines", "A whole reverse mode in about 100 lines, beside xtape.");
  return program.run(argc, argv, [] {
    formula();
    network();
    training();
  });
}
