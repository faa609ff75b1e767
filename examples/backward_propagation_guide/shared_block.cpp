// One residual block that is used twice: its gradients by derivation(), the same by hand, and mistakes.
#include "shared_block.hpp"

#include <cstdio>
#include <fstream>
#include <iostream>
#include <stdexcept>

#include <autodiff/derivation.hpp>
#include <nn/nn.hpp>

using namespace xtape;

namespace {

/// Four samples with three features each, and two targets.
struct Network {
  Tensor<double> x = random::normal<double>({4, 3}), y = random::normal<double>({4, 2});
  Tensor<double> W = parameter(random::normal<double>({3, 3})), b = parameter(random::normal<double>({3}));
  Tensor<double> V = parameter(random::normal<double>({2, 3}));
};

/// The forward pass: both blocks have the same W and b, and a way around them.
struct Forward {
  Tensor<double> a1, h1, a2, h2, z3, L;

  explicit Forward(const Network& net) {
    a1 = tanh(linear(net.x, net.W, net.b));
    h1 = net.x + a1;
    a2 = tanh(linear(h1, net.W, net.b));
    h2 = h1 + a2;
    z3 = linear(h2, net.V);
    L = 0.5 * sum(square(z3 - net.y));
  }
};

enum class Mistake { none, slope, one_use, skip, transpose, mean };

struct Gradients {
  Tensor<double> dW, db, dV;
};

/// The gradients as one derives them on paper, with one mistake or none.
Gradients by_hand(const Network& net, const Forward& f, Mistake wrong = Mistake::none) {
  const NoGrad no_grad;
  const auto T = [](const Tensor<double>& A) { return transpose(A); };

  const Tensor<double> delta3 = f.z3 - net.y;
  const Tensor<double> dV = matmul(T(delta3), f.h2);
  const Tensor<double> dh2 = matmul(delta3, net.V);
  const Tensor<double> delta2 = dh2 * (1 - square(f.a2));
  Tensor<double> dh1 = dh2 + matmul(delta2, net.W);
  if (wrong == Mistake::skip) dh1 = matmul(delta2, net.W);
  if (wrong == Mistake::transpose) dh1 = dh2 + matmul(delta2, T(net.W));
  const Tensor<double> delta1 = wrong == Mistake::slope ? dh1 : dh1 * (1 - square(f.a1));
  Tensor<double> dW = matmul(T(delta2), f.h1) + matmul(T(delta1), net.x);
  if (wrong == Mistake::one_use) dW = matmul(T(delta2), f.h1);
  Tensor<double> db = sum(delta2, 0) + sum(delta1, 0);
  if (wrong == Mistake::mean) db = mean(delta2, 0) + mean(delta1, 0);
  return {dW, db, dV};
}

/// The tape's gradients beside others; with the loss, so that mistakes are named.
GradientTable compare(const Network& net, const Gradients& tape, const Gradients& other) {
  return compare_gradients<double>(
      {{"W", tape.dW, other.dW}, {"b", tape.db, other.db}, {"V", tape.dV, other.dV}},
      {.loss = [&] { return Forward(net).L; }});
}

/// Makes each mistake. Returns whether each is seen and named.
bool name_mistakes(const Network& net, const Forward& f, const Gradients& tape) {
  const std::pair<const char*, Mistake> all[] = {
      {"The derivative of tanh is forgotten: delta1 = dh1", Mistake::slope},
      {"One of the two uses of W is forgotten: dW = delta2^T h1", Mistake::one_use},
      {"The way around the block is forgotten: dh1 = delta2 W", Mistake::skip},
      {"W is transposed: dh1 = dh2 + delta2 W^T", Mistake::transpose},
      {"The mean over the batch in place of the sum: db = mean(delta2) + mean(delta1)", Mistake::mean},
  };
  bool named = true;
  const auto show = [&](const char* title, const GradientTable& table) {
    std::cout << '\n' << title << '\n' << table;
    named = named && !table.passed;
    for (const GradientTable::Row& row : table.rows) named = named && (row.passed || !row.hint.empty());
  };
  for (const auto& [title, mistake] : all) show(title, compare(net, tape, by_hand(net, f, mistake)));

  Forward(net).L.backward();  // the second backward() without zero_grad(): W.grad() is the sum of both
  show("zero_grad() is forgotten", compare(net, tape, {net.W.grad(), net.b.grad(), net.V.grad()}));
  return named;
}

}  // namespace

bool shared_block(const std::filesystem::path& out) {
  std::printf("\n8. A net of your own: one residual block, used twice\n\n");
  random::seed(4);
  const Network net;
  const Forward f(net);
  const Derivation d = derivation(
      f.L,
      {{"x", net.x}, {"y", net.y}, {"W", net.W}, {"b", net.b}, {"V", net.V}, {"h1", f.h1}, {"h2", f.h2}});
  std::cout << d << '\n';

  const std::filesystem::path path = out / "derivation.html";
  std::ofstream file(path, std::ios::binary);
  if (!(file << d.html("One residual block, used twice") << std::flush))
    throw std::runtime_error(path.string() + " cannot be written");
  std::printf("wrote %s\n", path.c_str());

  f.L.backward();
  const auto copy = [](const Tensor<double>& g) { return Tensor<double>(g.value()); };
  const Gradients tape{copy(net.W.grad()), copy(net.b.grad()), copy(net.V.grad())};
  const GradientTable table = compare(net, tape, by_hand(net, f));
  std::cout << "\nDerived by hand\n" << table;
  return name_mistakes(net, f, tape) && table.passed;
}
