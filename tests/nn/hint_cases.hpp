// A network whose derivation by hand may be changed in one formula, and what is looked for in hints.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "../check_close.hpp"

#include <nn/nn.hpp>
#include <nn/textbook/apply.hpp>

namespace xtape::test {

using nn::hand::Loss;
using Matrix = Tensor<double>;
inline constexpr double alpha = 0.05;
inline constexpr std::size_t batch = 6;
/// What a hint must say, each somewhere.
using Words = std::vector<std::string>;

/// Three layers with the given activation, square but for x and the output, with ReLUs at 0 exactly.
struct Net {
  Matrix x, y;
  std::vector<nn::hand::Layer<double>> layers;
  nn::hand::Layers<double> right;
  std::vector<GradientPair<double>> pairs;  ///< of the tape; `other` is for the test to fill
  CompareOptions<double> options;

  explicit Net(Activation g, std::size_t width = 4) {
    random::seed(21);
    x = random::normal<double>({batch, width});
    y = random::uniform<double>({batch, width});
    for (int l = 0; l < 3; ++l)
      layers.push_back(
          {parameter(random::normal<double>({width, width})), parameter(random::normal<double>({width})), g});
    if (g == Activation::relu) {  // z1 of unit 0 is 0 for all samples
      layers[0].W.begin_update();
      std::fill_n(layers[0].W.mutable_data(), width, 0.0);
      layers[0].b.begin_update()[0] = 0;
    }
    Matrix a = x;
    for (const auto& layer : layers) {
      const Matrix z = linear(a, layer.W, layer.b);
      a = nn::textbook::apply(g, z);
    }
    nn::half_squared_error(a, y).backward();
    right = nn::hand::layers(x, y, layers, Loss::half_squared_error);
    options = right.compare_options();
    options.learning_rate = alpha;
    for (std::size_t l = 0; l < 3; ++l) {
      pairs.push_back({"W" + std::to_string(l + 1), layers[l].W.grad(), right.dW[l]});
      pairs.push_back({"b" + std::to_string(l + 1), layers[l].b.grad(), right.db[l]});
    }
  }
};

/// Backpropagation by hand, each formula of which a test may replace. Layers count from 0.
struct HandDerivation {
  const Net& net;
  std::function<Matrix(std::size_t)> derivative = [this](std::size_t l) {
    return xtape::derivative(net.layers[l].activation, net.right.z[l], net.right.a[l]);
  };
  std::function<Matrix(std::size_t, const Matrix&)> error = [this](std::size_t l, const Matrix& delta) {
    return matmul(delta, net.layers[l + 1].W.detach());
  };
  std::function<Matrix(std::size_t)> input = [this](std::size_t l) {
    return l == 0 ? net.x : net.right.a[l - 1];
  };

  explicit HandDerivation(const Net& n) : net(n) {}

  std::vector<GradientPair<double>> pairs() const {
    std::vector<GradientPair<double>> result = net.pairs;
    Matrix delta;
    for (std::size_t l = 3; l-- > 0;) {
      delta = (l == 2 ? net.right.a[2] - net.y : error(l, delta)) * derivative(l);
      result[2 * l].other = matmul(transpose(delta), input(l));
      result[2 * l + 1].other = sum(delta, 0);
    }
    return result;
  }
};

inline std::string hint_of(const GradientTable& table, const std::string& row) {
  for (const auto& r : table.rows)
    if (r.name == row) return r.passed ? "passed" : r.hint;
  return "no such row";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// The hint on a row says each of the parts.
inline void check_hint(const GradientTable& table, const std::string& row,
                       const std::vector<std::string>& parts) {
  const std::string hint = hint_of(table, row);
  for (const std::string& part : parts)
    CHECK_MESSAGE(contains(hint, part), row << ": '" << hint << "' does not say '" << part << "'");
}

}  // namespace xtape::test
