// Mistakes planted in the derivation by hand: each is found and named, and what is no mistake of these gets
// no hint.
#include <cmath>
#include <functional>
#include <limits>

#include "../check_close.hpp"

#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;
using nn::hand::Loss;

namespace {

using Matrix = Tensor<double>;
constexpr double alpha = 0.05;
constexpr std::size_t batch = 6;
using Words = std::vector<std::string>;

Matrix recorded(Activation g, const Matrix& z) {
  switch (g) {
    case Activation::identity:
      return z;
    case Activation::sigmoid:
      return sigmoid(z);
    case Activation::tanh:
      return tanh(z);
    case Activation::relu:
      return relu(z);
    case Activation::leaky_relu:
      return leaky_relu(z);
    case Activation::elu:
      return elu(z);
    case Activation::gelu:
      return gelu(z);
    case Activation::silu:
      return silu(z);
    case Activation::softplus:
      return softplus(z);
  }
  return {};
}

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
      a = recorded(g, z);
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
struct Derivation {
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

  explicit Derivation(const Net& n) : net(n) {}

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

std::string hint_of(const GradientTable& table, const std::string& row) {
  for (const auto& r : table.rows)
    if (r.name == row) return r.passed ? "passed" : r.hint;
  return "no such row";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// The hint on a row says each of the parts.
void check_hint(const GradientTable& table, const std::string& row, const std::vector<std::string>& parts) {
  const std::string hint = hint_of(table, row);
  for (const std::string& part : parts)
    CHECK_MESSAGE(contains(hint, part), row << ": '" << hint << "' does not say '" << part << "'");
}

/// The same for one array against another.
std::string hint(const Matrix& gradient, const Matrix& other,
                 const CompareOptions<double>& options = {.batch_size = 32}) {
  const auto table = compare_gradients<double>({{"W", gradient, other}}, options);
  return table.passed ? "passed" : table.rows[0].hint;
}

}  // namespace

TEST_CASE("without a context: factors, order, shape, NaN") {
  random::seed(5);
  const Matrix W = random::normal<double>({4, 4}), b = random::normal<double>({4}),
               wide = random::normal<double>({3, 5});
  struct Planted {
    Matrix gradient, other;
    std::string says;
  };
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  const std::vector<Planted> table{
      {W, -W, "the sign is reversed"},
      {W, 2 * W, "twice too large"},
      {W, W / 2, "half of the gradient"},
      {W, 32 * W,
       "32 times too large: a division by 32, that of a mean over the batch of 32, is missing in the formula; "
       "divide by 32"},
      {W, W / 32,
       "1/32 of the gradient: the formula divides by 32 once more than the trusted gradient does, as by a mean "
       "over the batch of 32 in place of the sum"},
      {W, W * 64, "2 · 32 times too large"},
      {W, W / 16, "2/32 of the gradient"},
      {W, W / 2, "or the trusted gradient was accumulated by two backward passes: zero_grad()"},
      {W, W / 3, "or the trusted gradient was accumulated by 3 backward passes: zero_grad()"},
      {W, W * 3.7, "the gradient times 3.7, in every element"},
      {W, W / -7, "a constant factor -0.142857 = 1/-7"},
      {W, transpose(W), "transposed: dW = δ aᵀ, not a δᵀ"},
      {W, -transpose(W), "transposed (dW = δ aᵀ, not a δᵀ); besides, the sign is reversed"},
      {wide, transpose(wide), "shapes (3, 5) and (5, 3) differ: transposed"},
      {wide, flip(wide, 0), "permuted: the same numbers in another order of the rows"},
      {wide, flip(wide, 1), "permuted: the same numbers in another order of the columns"},
      {wide, reshape(transpose(wide), {3, 5}),
       "permuted: the same numbers in another order; was it reshaped"},
      {b, flip(b), "permuted: the same numbers in another order"},
      {sum(wide, 0), wide, "one gradient for each of the 3 samples; sum them over the batch, axis 0"},
      {mean(wide, 0), wide, "one gradient for each of the 3 samples; average them over the batch, axis 0"},
      {b, unsqueeze(b, 0), "shapes (4,) and (1, 4) differ: the numbers are right; reshape them"},
      {W, wide, "shapes (4, 4) and (3, 5) differ"},
      {W, zeros<double>({4, 4}), "all zero"},
      {Matrix{{1.0, 2.0}, {3.0, 4.0}}, Matrix{{1.0, 2.0}, {nan, infinity}},
       "NaN first seen at index (1, 0) of the formula's gradient"},
      {Matrix{1.0, -infinity}, Matrix{1.0, 2.0}, "infinity first seen at index (1,) of the trusted gradient"},
      {Matrix{1.0, nan}, Matrix{infinity, nan},
       "NaN first seen at index (1,) of the trusted gradient, and infinity first seen at index (0,) of the "
       "formula's gradient: look for log(0)"},
      {1e300 * W, 3.7e300 * W, "the gradient times 3.7, in every element"},
      {W, Matrix(), "a gradient is empty"}};
  for (const Planted& p : table) {
    const std::string said = hint(p.gradient, p.other);
    CHECK_MESSAGE(contains(said, p.says), "'" << said << "' does not say '" << p.says << "'");
  }
  CHECK(contains(hint(W, W * 0.05, {.learning_rate = 0.05}), "multiplied by the learning rate 0.05"));
  CHECK(contains(hint(W, W * -0.05, {.learning_rate = 0.05}), "multiplied by −α"));
}

TEST_CASE("the bias alone, and the gradient of another row") {
  const Net net(Activation::sigmoid);
  const auto with = [&](std::size_t i, const Matrix& other) {
    auto pairs = net.pairs;
    pairs[i].other = other;
    return hint_of(compare_gradients<double>(pairs, {.batch_size = batch}), pairs[i].name);
  };
  const Matrix db = net.right.db[0];
  CHECK(
      contains(with(1, db / 6), "1/6 of the gradient, in the bias alone: δ is averaged over the batch of 6"));
  CHECK(contains(with(1, db * 6), "6 times too large, in the bias alone: δ is summed over the batch of 6"));
  CHECK(contains(with(1, -db), "the sign of the bias gradient alone is reversed"));
  CHECK(contains(with(1, 2 * db), "in the bias alone, twice too large"));
  CHECK(contains(with(1, net.right.db[1]), "this is the gradient of b2: the layers are shifted"));
  CHECK(contains(with(4, net.right.dW[1]), "this is the gradient of W2"));
  auto all = net.pairs;  // with the weights wrong too it is no matter of the bias
  all[0].other = all[0].other / 6;
  all[1].other = all[1].other / 6;
  CHECK(contains(hint_of(compare_gradients<double>(all, {.batch_size = batch}), "b1"),
                 "1/6 of the gradient: the formula divides by 6 once more than the trusted gradient does"));
}

TEST_CASE("one output: its weight (1, n) is no bias, and its bias is one") {
  random::seed(22);
  const Matrix x = random::normal<double>({batch, 3}), y = random::uniform<double>({batch, 1});
  const auto r =
      nn::hand::layers(x, y,
                       {{random::normal<double>({4, 3}), random::normal<double>({4}), Activation::tanh},
                        {random::normal<double>({1, 4}), random::normal<double>({1}), Activation::sigmoid}},
                       Loss::half_squared_error);
  const std::vector<GradientPair<double>> right{
      {"W1", r.dW[0], r.dW[0]}, {"b1", r.db[0], r.db[0]}, {"W2", r.dW[1], r.dW[1]}, {"b2", r.db[1], r.db[1]}};
  auto with_layers = r.compare_options();
  with_layers.batch_size = batch;
  for (const auto& options : {with_layers, CompareOptions<double>{.batch_size = batch}}) {
    auto pairs = right;
    const bool knows_layers = options.derivation != nullptr;
    pairs[2].other = r.dW[1] / batch;
    check_hint(compare_gradients<double>(pairs, options), "W2",
               knows_layers ? Words{"the whole gradient is off by the factor 0.166667", "divided by 6",
                                    "once more than in the loss"}
                            : Words{"1/6 of the gradient: the formula divides by 6"});
    pairs = right;
    pairs[3].other = r.db[1] / batch;  // one number, which a factor that is fitted would explain in any case
    check_hint(compare_gradients<double>(pairs, options), "b2",
               knows_layers ? Words{"the gradient of b2 is the mean over the batch of 6, and not the sum",
                                    "in the bias alone: the gradients of the weights agree"}
                            : Words{"1/6 of the gradient, in the bias alone"});
    pairs[2].other = r.dW[1] / batch;  // its weight too
    CHECK(!contains(hint_of(compare_gradients<double>(pairs, options), "b2"), "alone"));
  }
  // A bias that is kept as a row is known as one by the layers.
  auto pairs = right;
  const Matrix row = reshape(r.db[0], {1, 4});
  pairs[1] = {"b1", row, row / batch};
  check_hint(compare_gradients<double>(pairs, with_layers), "b1", {"1/6 of the gradient, in the bias alone"});
  CHECK(!contains(hint_of(compare_gradients<double>(pairs, {.batch_size = batch}), "b1"), "alone"));
}

TEST_CASE("with the layers: each mistake in the derivation is found and named") {
  struct Planted {
    Activation g;
    std::function<void(Derivation&)> plant;
    std::string row;
    Words says;
  };
  const auto in_layer = [](std::size_t wrong, std::function<Matrix(const Net&, std::size_t)> f) {
    return [=](Derivation& d) {
      const auto right = d.derivative;
      const Net& net = d.net;
      d.derivative = [=, &net](std::size_t l) { return l == wrong || wrong == 9 ? f(net, l) : right(l); };
    };
  };
  constexpr std::size_t everywhere = 9;
  const auto one = [](const Net& n, std::size_t l) { return ones<double>(n.right.z[l].shape()); };
  const auto at_a = [](const Net& n, std::size_t l) {
    return sigmoid(n.right.a[l]) * (1 - sigmoid(n.right.a[l]));
  };
  const auto tanh_at_a = [](const Net& n, std::size_t l) { return 1 - square(tanh(n.right.a[l])); };
  const auto z_for_a = [](const Net& n, std::size_t l) { return n.right.z[l] * (1 - n.right.z[l]); };
  const auto of_tanh = [](const Net& n, std::size_t l) { return 1 - square(tanh(n.right.z[l])); };
  const auto of_relu = [](const Net& n, std::size_t l) { return n.right.z[l] > 0.0; };
  const auto tanh_formula = [](const Net& n, std::size_t l) { return 1 - square(n.right.a[l]); };
  const auto itself = [](const Net& n, std::size_t l) { return n.right.a[l]; };
  const auto at_zero = [](const Net& n, std::size_t l) { return n.right.z[l] >= 0.0; };
  const auto through = [](std::function<Matrix(const Net&, std::size_t)> M) {
    return [=](Derivation& d) {
      const Net& net = d.net;
      d.error = [=, &net](std::size_t l, const Matrix& delta) { return matmul(delta, M(net, l)); };
    };
  };
  const auto only = [](std::size_t wrong, std::function<Matrix(const Net&)> M) {
    return [=](const Net& n, std::size_t l) { return l == wrong ? M(n) : n.layers[l + 1].W.detach(); };
  };
  const auto with_input = [](std::size_t wrong, std::function<Matrix(const Net&)> f) {
    return [=](Derivation& d) {
      const auto right = d.input;
      const Net& net = d.net;
      d.input = [=, &net](std::size_t l) { return l == wrong ? f(net) : right(l); };
    };
  };
  const auto S = Activation::sigmoid, H = Activation::tanh, R = Activation::relu;
  const std::vector<Planted> table{
      // Wrong derivative
      {S, in_layer(2, one), "W3", {"the derivative of sigmoid is missing", "in a3 = σ(z3)"}},
      {S, in_layer(2, one), "b2", {"the derivative of sigmoid is missing", "in a3 = σ(z3)"}},
      {S, in_layer(0, one), "W1", {"the derivative of sigmoid is missing", "in a1 = σ(z1)"}},
      {S, in_layer(1, one), "W1", {"the derivative of sigmoid is missing", "in a2 = σ(z2)"}},
      {H, in_layer(everywhere, one), "W1", {"the derivative of tanh is missing", "at every tanh"}},
      {S, in_layer(0, at_a), "W1", {"is taken at its output, a, in place of z: f'(a)", "in a1 = σ(z1)"}},
      {S, in_layer(everywhere, at_a), "b1", {"at its output, a, in place of z: f'(a)", "at every sigmoid"}},
      {H, in_layer(1, tanh_at_a), "W2", {"at its output, a, in place of z: f'(a)", "in a2 = tanh(z2)"}},
      {S, in_layer(0, z_for_a), "W1", {"a (1 − a), is given z in place of a: z (1 − z)", "in a1 = σ(z1)"}},
      {S, in_layer(1, of_tanh), "W2",
       {"the derivative of tanh is used, and the activation is sigmoid", "in a2 = σ(z2)"}},
      {S, in_layer(0, of_relu), "b1",
       {"the derivative of relu is used, and the activation is sigmoid", "in a1 = σ(z1)"}},
      {R, in_layer(1, of_tanh), "W2",
       {"the derivative of tanh is used, and the activation is relu", "in a2 = ReLU(z2)"}},
      {S, in_layer(0, tanh_formula), "W1",
       {"the derivative of sigmoid is a (1 − a), and 1 − a² is used, the formula of tanh", "in a1 = σ(z1)"}},
      {S, in_layer(0, itself), "W1",
       {"multiplied by the value of sigmoid in place of its derivative", "in a1 = σ(z1)"}},
      {S, in_layer(2, [](const Net& n, std::size_t l) { return square(n.right.a[l] * (1 - n.right.a[l])); }),
       "W3",
       {"the derivative of sigmoid is multiplied in twice; with cross-entropy, a − y is δ already",
        "in a3 = σ(z3)"}},
      {R, in_layer(everywhere, at_zero), "W1",
       {"correct except where ReLU is at 0: relu'(0) is 0, and the formula has 1"}},
      {R,
       in_layer(0, [](const Net& n,
                      std::size_t l) { return 0.5 * ((n.right.z[l] >= 0.0) + (n.right.z[l] > 0.0)); }),
       "b1", {"correct except where ReLU is at 0: relu'(0) is 0, and the formula has ½"}},
      // Transpose errors and wrong matrices
      {S, through(only(1, [](const Net& n) { return transpose(n.layers[2].W.detach()); })), "W2",
       {"W3 is not transposed", "in a2 W3ᵀ", "of which dL/da2 is computed"}},
      {S, through(only(1, [](const Net& n) { return transpose(n.layers[2].W.detach()); })), "b1",
       {"W3 is not transposed", "in a2 W3ᵀ", "of which dL/da2 is computed"}},
      {H, through([](const Net& n, std::size_t l) { return transpose(n.layers[l + 1].W.detach()); }), "W1",
       {"no weight matrix is transposed"}},
      {S, through(only(0, [](const Net& n) { return n.layers[0].W.detach(); })), "W1",
       {"the value of W1 is used in place of W2", "of which dL/da1 is computed"}},
      {S, through(only(1, [](const Net& n) { return transpose(n.layers[0].W.detach()); })), "W2",
       {"the value of W1, transposed, is used in place of W3", "of which dL/da2 is computed"}},
      {S, through(only(1, [](const Net& n) { return n.right.updates(alpha)[2].W; })), "W1",
       {"W3 is updated before the error is propagated through it", "0.05",
        "compute all gradients first"}},
      // Wrong inputs of dW
      {S, with_input(1, [](const Net& n) { return n.right.z[0]; }), "W2",
       {"the value of z1 = x W1ᵀ + b1 is used in place of a1 = σ(z1)", "of which dL/dW2 is computed"}},
      {S, with_input(1, [](const Net& n) { return n.x; }), "W2",
       {"the value of x is used in place of a1 = σ(z1)", "of which dL/dW2 is computed"}},
      {S, with_input(2, [](const Net& n) { return n.right.a[0]; }), "W3",
       {"the value of a1 = σ(z1) is used in place of a2 = σ(z2)", "of which dL/dW3 is computed"}},
      {S, with_input(0, [](const Net& n) { return n.right.a[0]; }), "W1",
       {"the value of a1 = σ(z1) is used in place of x", "of which dL/dW1 is computed"}}};
  for (const Planted& p : table) {
    const Net net(p.g);
    Derivation wrong(net);
    p.plant(wrong);
    check_hint(compare_gradients<double>(wrong.pairs(), net.options), p.row, p.says);
    // Without the layers there is nothing to go by.
    const auto blind = compare_gradients<double>(wrong.pairs(), {.batch_size = batch});
    CHECK_MESSAGE(hint_of(blind, p.row).empty(), p.says[0] << ": " << hint_of(blind, p.row));
    // Two mistakes at once.
    auto scaled = wrong.pairs();
    for (auto& pair : scaled) pair.other = pair.other / double(batch);
    const auto twice = compare_gradients<double>(scaled, net.options);
    check_hint(twice, p.row, p.says);
    check_hint(twice, p.row, {"; besides, the whole is off by the factor 0.166667: it is divided by 6"});
  }
  for (const Activation g : {S, H, R, Activation::identity}) {
    const Net net(g);
    CHECK(compare_gradients<double>(Derivation(net).pairs(), net.options).passed);
  }
}

TEST_CASE("with the layers: samples left out, δ of another layer, cross-entropy") {
  const Net net(Activation::tanh);
  auto pairs = net.pairs;
  const auto row = [](const Matrix& m, std::size_t i) { return slice(m, i); };
  pairs[2].other = outer(row(net.right.delta[1], 0), row(net.right.a[0], 0));
  pairs[3].other = row(net.right.delta[1], batch - 1);
  pairs[4].other = matmul(transpose(net.right.delta[1]), net.right.a[1]);
  const auto table = compare_gradients<double>(pairs, net.options);
  check_hint(table, "W2", {"the gradient of W2 takes the first of the 6 samples alone: sum over all"});
  check_hint(table, "b2", {"the gradient of b2 takes the last sample alone, and is not summed over the batch of 6"});
  check_hint(table, "W3", {"δ2 is used in place of δ3"});

  // a − y is δ of the sigmoid with cross-entropy: times g'(z) again it is wrong.
  const auto r = nn::hand::layers(net.x, net.y, {{net.layers[0].W, net.layers[0].b, Activation::sigmoid}},
                                  Loss::binary_cross_entropy);
  const Matrix wrong = r.delta[0] * r.a[0] * (1 - r.a[0]);
  check_hint(compare_gradients<double>({{"b1", r.db[0], sum(wrong, 0)}}, r.compare_options()), "b1",
             {"multiplied in twice; with cross-entropy, a − y is δ already"});
  check_hint(compare_gradients<double>({{"b1", r.db[0], sum(r.error[0], 0)}}, r.compare_options()), "b1",
             {"the derivative of sigmoid is missing"});
}

TEST_CASE("with the layers: every activation, its derivative missing, at a, and of a factor") {
  for (const Activation g : {Activation::sigmoid, Activation::tanh, Activation::relu, Activation::leaky_relu,
                             Activation::elu, Activation::gelu, Activation::silu, Activation::softplus}) {
    const Net net(g, 5);
    CHECK(compare_gradients<double>(Derivation(net).pairs(), net.options).passed);
    const std::string name = to_string(g);
    const auto wrong_in_2 = [&](auto slope) {
      Derivation d(net);
      d.derivative = [&net, slope, right = d.derivative](std::size_t l) {
        return l == 1 ? slope(net.right.z[l], net.right.a[l]) : right(l);
      };
      return compare_gradients<double>(d.pairs(), net.options);
    };
    const auto missing = wrong_in_2([](const Matrix& z, const Matrix&) { return ones<double>(z.shape()); });
    for (const std::string row : {"W1", "b1", "W2", "b2"})
      check_hint(missing, row, {"the derivative of " + name + " is missing", "in a2 = "});
    for (const std::string row : {"W3", "b3"}) CHECK(hint_of(missing, row) == "passed");
    if (g == Activation::relu || g == Activation::leaky_relu) continue;  // the same at a
    const auto at_a = wrong_in_2([g](const Matrix&, const Matrix& a) { return derivative(g, a, activate(g, a)); });
    check_hint(at_a, "W1", {"the derivative of " + name + " is taken at its output, a, in place of z"});
    if (g == Activation::tanh) continue;
    const auto of_tanh = wrong_in_2([](const Matrix& z, const Matrix&) { return 1 - square(tanh(z)); });
    check_hint(of_tanh, "W1", {"the derivative of tanh is used, and the activation is " + name, "in a2 = "});
  }
}

TEST_CASE("with the layers: an output without activation is in no hint on the others") {
  random::seed(31);
  const Matrix x = random::normal<double>({batch, 3}), y = random::normal<double>({batch, 2});
  const std::vector<nn::hand::Layer<double>> layers{
      {random::normal<double>({4, 3}), random::normal<double>({4}), Activation::tanh},
      {random::normal<double>({4, 4}), random::normal<double>({4}), Activation::tanh},
      {random::normal<double>({2, 4}), random::normal<double>({2}), Activation::identity}};
  const auto r = nn::hand::layers(x, y, layers, Loss::mean_squared_error);
  const auto slope = [&](std::size_t l) { return 1 - square(tanh(r.a[l])); };
  const Matrix delta2 = matmul(r.delta[2], layers[2].W) * slope(1);
  const Matrix delta1 = matmul(delta2, layers[1].W) * slope(0);
  const auto table = compare_gradients<double>({{"W2", r.dW[1], matmul(transpose(delta2), r.a[0])},
                                                {"W1", r.dW[0], matmul(transpose(delta1), x)}},
                                               r.compare_options());
  check_hint(table, "W2", {"the derivative of tanh is taken at its output, a, in place of z", "in a2 = tanh(z2)"});
  check_hint(table, "W1", {"the derivative of tanh is taken at its output, a, in place of z", "at every tanh"});
  for (const auto& row : table.rows) CHECK(!contains(row.hint, "identity"));
}

TEST_CASE("a trusted gradient that was accumulated is blamed, and not the formula") {
  const Net net(Activation::tanh);
  const auto loss = [&net] {
    Matrix a = net.x;
    for (const auto& layer : net.layers) a = tanh(linear(a, layer.W, layer.b));
    return nn::half_squared_error(a, net.y);
  };
  CompareOptions<double> with_loss{.batch_size = batch};
  with_loss.loss = loss;
  for (const auto& options : {net.options, with_loss})
    for (const int times : {2, 3, int(batch)}) {
      auto pairs = net.pairs;
      for (auto& pair : pairs) pair.gradient = times * pair.gradient;
      const auto table = compare_gradients<double>(pairs, options);
      const std::string count = std::to_string(times);
      for (const auto& row : table.rows)
        check_hint(table, row.name,
                   {"the trusted gradient is " + count + " times what the loss gives, and the formula's is right",
                    "accumulated by " + count + " backward passes", "zero_grad()"});
      // The formula is wrong, too: first things first.
      pairs[0].other = transpose(pairs[0].other);
      const auto both = compare_gradients<double>(pairs, options);
      check_hint(both, "W1", {"the trusted gradient is " + count + " times what the loss gives", "zero_grad()"});
      CHECK(!contains(hint_of(both, "W1"), "is right"));
    }
  auto halved = net.pairs;
  halved[0].gradient = halved[0].gradient / 2;
  const auto table = compare_gradients<double>(halved, with_loss);
  check_hint(table, "W1", {"the trusted gradient is 0.5 times what the loss gives", "another loss"});
  CHECK(!contains(hint_of(table, "W1"), "zero_grad"));
}

TEST_CASE("factors of the batch and the outputs: those of one mistake come first, and say nothing of the loss") {
  random::seed(32);
  const auto text = [](std::size_t n, std::size_t outputs, double value) {
    const auto r = nn::hand::layers(
        random::normal<double>({n, 3}), random::normal<double>({n, outputs}),
        {{random::normal<double>({outputs, 3}), zeros<double>({outputs}), Activation::tanh}}, Loss::mean_squared_error);
    for (const auto& factor : usual_factors(r.compare_options()))
      if (std::abs(factor.value - value) < 1e-12) return factor.text;
    return std::string("none");
  };
  CHECK(text(6, 4, 24).find("24 times too large: a division by 24, that of a mean over all 24 elements") == 0);
  CHECK(text(6, 4, 4).find("4 times too large: a division by 4, that of a mean over the 4 outputs of a sample") == 0);
  CHECK(text(6, 4, 1.0 / 4).find("1/4 of the gradient: the formula divides by 4 once more") == 0);
  const std::string both = text(6, 2, 12);  // N · out and 2 · N
  CHECK(both.find("12 times too large: a division by 12, that of a mean over all 12 elements of the output") == 0);
  CHECK(contains(both, "; or 2 · 6 times too large"));
  const std::string twice = text(6, 2, 2);  // 2 and out
  CHECK(twice.find("twice too large: a ½") == 0);
  CHECK(contains(twice, "; or 2 times too large: a division by 2, that of a mean over the 2 outputs of a sample"));
  for (const double value : {6.0, 1.0 / 6, 12.0, 1.0 / 12, 3.0, 1.0 / 3, 24.0, 1.0 / 24, 4.0, 0.25, 0.5, 2.0}) {
    CHECK(text(6, 4, value) != "none");
    for (const char* const claim : {"the loss sums", "the loss takes", "the loss has", "the loss does"})
      CHECK_MESSAGE(!contains(text(6, 4, value), claim), text(6, 4, value));
  }
  // From the loss the search knows more.
  const Net net(Activation::sigmoid, 5);
  auto pairs = net.pairs;
  pairs[0].other = 5 * pairs[0].other;
  pairs[2].other = pairs[2].other / 30;
  const auto table = compare_gradients<double>(pairs, net.options);
  check_hint(table, "W1", {"off by the factor 5", "the division by 5", "outputs"});
  check_hint(table, "W2", {"off by the factor 0.0333333", "divided by 30", "elements"});
}

TEST_CASE("a random wrong gradient gets no hint, with and without the layers, for all sizes") {
  for (const std::size_t width : {1u, 2u, 4u}) {
    for (const Activation g : {Activation::sigmoid, Activation::tanh, Activation::relu}) {
      const Net net(g, width);
      for (int trial = 0; trial < 20; ++trial) {
        auto pairs = net.pairs;
        for (auto& pair : pairs) pair.other = random::normal<double>(pair.gradient.shape());
        for (const auto& options : {net.options, CompareOptions<double>{.batch_size = 32}})
          for (const auto& row : compare_gradients<double>(pairs, options).rows) {
            CHECK(!row.passed);
            CHECK_MESSAGE(row.hint.empty(), row.hint);
          }
        for (auto& pair : pairs)
          pair.other = pair.gradient + 1e-3 * random::normal<double>(pair.gradient.shape());
        for (const auto& row : compare_gradients<double>(pairs, net.options).rows)
          CHECK_MESSAGE(row.hint.empty(), row.hint);
      }
    }
  }
}

TEST_CASE("few numbers fit by chance: what counts as evidence") {
  CHECK(hint(Matrix{2.0}, Matrix{7.4}).empty());  // any factor fits one number
  CHECK(contains(hint(Matrix{2.0}, Matrix{-2.0}), "the sign is reversed"));
  CHECK(hint(Matrix{2.0, 0.0}, Matrix{7.4, 0.0}).empty());
  CHECK(contains(hint(Matrix{2.0, 1.0}, Matrix{7.4, 3.7}), "times 3.7"));
  const auto in_float = [](const Tensor<float>& a, const Tensor<float>& b) {
    return compare_gradients<float>({{"W", a, b}}, {.batch_size = 32}).rows[0].hint;
  };
  CHECK(in_float({2.0f}, {-2.0f}).empty());  // to 1e-4 hundreds of hypotheses would find one that fits
  CHECK(contains(in_float({2.0f, 1.0f}, {-2.0f, -1.0f}), "the sign is reversed"));
  CHECK(in_float({2.0f, 1.0f}, {7.4f, 3.7f}).empty());
  CHECK(contains(in_float({2.0f, 1.0f, 3.0f}, {7.4f, 3.7f, 11.1f}), "times 3.7"));
  CHECK(compare_gradients<double>({{"none", zeros<double>({0, 3}), zeros<double>({0, 3})}}).passed);
  CHECK(contains(hint(zeros<double>({0, 3}), zeros<double>({3, 0})), "shapes (0, 3) and (3, 0) differ"));
}

TEST_CASE("float, one sample, and a context that does not fit") {
  const Tensor<float> x{1.0f, 0.5f, -2.0f}, y{0.0f, 1.0f};
  random::seed(8);
  const auto r = nn::hand::layers(x, y,
                                  {{random::normal<float>({4, 3}), zeros<float>({4}), Activation::tanh},
                                   {random::normal<float>({2, 4}), zeros<float>({2}), Activation::sigmoid}},
                                  Loss::mean_squared_error);
  const auto table = compare_gradients<float>({{"W1", r.dW[0], outer(r.error[0], x)}}, r.compare_options());
  check_hint(table, "W1", {"the derivative of tanh is missing", "in a1 = tanh(z1)"});

  // Layers that do not lead to the trusted gradient say nothing.
  auto other_net = r.context();
  other_net.dJ_da = other_net.dJ_da + 1;
  other_net.output_delta = other_net.output_delta * other_net.output_delta;
  CHECK(compare_gradients<float>({{"W1", r.dW[0], outer(r.error[0], x)}},
                                 {.derivation = nn::hand::layer_hints(other_net)})
            .rows[0]
            .hint.empty());

  const auto fails = [&](auto change) {
    auto context = r.context();
    change(context);
    return nn::hand::layer_hints(context);
  };
  CHECK_THROWS_WITH_AS(fails([](auto& o) { o.layers[0].z = {}; }),
                       "[layer_hints] layer 1: give its input, z and W", Error);
  CHECK_THROWS_WITH_AS(
      fails([](auto& o) { o.layers[1].W = transpose(o.layers[1].W); }),
      doctest::Contains("[layer_hints] layer 2: input of shape (4,), z of shape (2,) and W of "
                        "shape (4, 2) do not fit"),
      Error);
  CHECK_THROWS_WITH_AS(fails([](auto& o) { o.dJ_da = o.output_delta = {}; }),
                       "[layer_hints] layer 2: give dJ_da or output_delta", Error);
}

TEST_CASE("the context is written down where it is used") {
  const Net net(Activation::sigmoid);
  const auto& [x, y, layers, right, pairs, options] = net;
  const Matrix missing = matmul(transpose(right.error[2]), right.a[1]);
  const auto table = compare_gradients<double>(
      {{"W3", layers[2].W.grad(), missing}},
      {.batch_size = 6,
       .derivation = nn::hand::layer_hints<double>({.layers = {{.weight = "W3",
                                                                .bias = "b3",
                                                                .input = right.a[1],
                                                                .z = right.z[2],
                                                                .activation = Activation::sigmoid,
                                                                .W = layers[2].W}},
                                                    .dJ_da = right.a[2] - y})});
  check_hint(table, "W3", {"the derivative of sigmoid is missing"});
  std::ostringstream out;
  out << table;
  CHECK(contains(out.str(), "DIFFERS: the derivative of sigmoid is missing"));
}
