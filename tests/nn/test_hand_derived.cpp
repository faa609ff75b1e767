// The formulas of the textbook against the tape, for every activation, loss, batch and depth.
#include <cmath>
#include <set>
#include <string>

#include "../check_close.hpp"

#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;
using nn::Reduction;
using nn::hand::Loss;
using nn::hand::Options;

namespace {

constexpr Activation activations[]{Activation::identity, Activation::sigmoid,    Activation::tanh,
                                   Activation::relu,     Activation::leaky_relu, Activation::elu,
                                   Activation::gelu,     Activation::silu,       Activation::softplus};
constexpr Loss losses[]{Loss::half_squared_error, Loss::mean_squared_error, Loss::binary_cross_entropy,
                        Loss::softmax_cross_entropy};
constexpr Reduction reductions[]{Reduction::mean, Reduction::sum, Reduction::batch_mean};

template <class T>
Tensor<T> recorded(Activation g, const Tensor<T>& z) {
  switch (g) {
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
    default:
      return z;
  }
}

template <class T>
Tensor<T> recorded(Loss loss, const Tensor<T>& z, Activation g, const Tensor<T>& y,
                   std::optional<Reduction> r) {
  switch (loss) {
    case Loss::half_squared_error:
      return nn::half_squared_error(recorded(g, z), y, r.value_or(Reduction::sum));
    case Loss::mean_squared_error:
      return nn::mse_loss(recorded(g, z), y, r.value_or(Reduction::mean));
    case Loss::binary_cross_entropy:
      return nn::binary_cross_entropy(recorded(g, z), y, r.value_or(Reduction::mean));
    default:
      return nn::cross_entropy(z, y, r.value_or(Reduction::mean));
  }
}

template <class T>
Tensor<T> targets(Loss loss, std::size_t N, std::size_t out) {
  if (loss != Loss::softmax_cross_entropy) return random::uniform<T>({N, out}, 0, 1);
  Tensor<T> y = zeros<T>({N, out});
  for (std::size_t i = 0; i < N; ++i) y.mutable_data()[i * out + (7 * i + 2) % out] = T(1);
  return y;
}

const std::vector<std::size_t> widths{3, 5, 4, 5, 2};  // of the layers, from the input on

/// All gradients of `depth` layers, by hand and by the tape.
template <class T>
void compare(std::size_t depth, std::size_t N, Activation hidden, Activation output, Loss loss,
             std::optional<Reduction> reduction, double tolerance) {
  const Tensor<T> x = random::normal<T>({N, widths[0]}), y = targets<T>(loss, N, widths[depth]);
  std::vector<nn::hand::Layer<T>> layers;
  Tensor<T> a = x, z;
  for (std::size_t l = 0; l < depth; ++l) {
    // Small, so that no sigmoid rounds to 1: there the tape's product dJ/da · a (1 − a) is 0 · ∞.
    layers.push_back({parameter(random::normal<T>({widths[l + 1], widths[l]}, 0, T(0.4))),
                      parameter(random::normal<T>({widths[l + 1]}, 0, T(0.4))),
                      l + 1 < depth ? hidden : output});
    z = linear(a, layers[l].W, layers[l].b);
    if (l + 1 < depth) a = recorded(hidden, z);
  }
  const Tensor<T> J = recorded(loss, z, output, y, reduction);
  J.backward();
  const auto hand = nn::hand::layers(x, y, layers, loss, reduction);
  CHECK(!hand.J.requires_grad());
  check_close(hand.J, J, tolerance, tolerance);
  const auto scale = [](const Tensor<T>& t) { return 1 + static_cast<double>(norm(t).item()); };
  for (std::size_t l = 0; l < depth; ++l) {
    const Tensor<T> dW = layers[l].W.grad(), db = layers[l].b.grad();
    check_close(hand.dW[l], dW, 0, tolerance * scale(dW));
    check_close(hand.db[l], db, 0, tolerance * scale(db));
    CHECK(hand.delta[l].shape() == Shape{N, widths[l + 1]});
  }
  CHECK(Tape::current().size() == 0);
}

template <class T>
struct Net {
  Tensor<T> W1 = parameter(random::normal<T>({4, 3})), b1 = parameter(random::normal<T>({4})),
            W2 = parameter(random::normal<T>({2, 4})), b2 = parameter(random::normal<T>({2}));
};

}  // namespace

TEST_CASE("layers: 1 to 4 layers, all activations, losses, reductions and batches agree with the tape") {
  random::seed(1);
  for (const std::size_t depth : {1u, 2u, 3u, 4u})
    for (const std::size_t N : {1u, 2u, 32u})
      for (const Activation g : activations)
        for (const Loss loss : losses) {
          const bool sigmoid_only = loss == Loss::binary_cross_entropy;
          CAPTURE(depth);
          CAPTURE(N);
          CAPTURE(to_string(g));
          CAPTURE(static_cast<int>(loss));
          compare<double>(depth, N, g, sigmoid_only ? Activation::sigmoid : g, loss, {}, 1e-13);
          compare<float>(depth, N, g, sigmoid_only ? Activation::sigmoid : g, loss, {}, 3e-5);
          for (const Reduction r : reductions)
            compare<double>(depth, N, g, sigmoid_only ? Activation::sigmoid : Activation::identity, loss, r,
                            1e-13);
        }
}

TEST_CASE("two_layer names every quantity of the textbook, and the updates") {
  random::seed(2);
  const Net<double> n;
  const Tensor<double> x = random::normal<double>({5, 3}), y = random::uniform<double>({5, 2});
  const auto h =
      nn::hand::two_layer(x, y, n.W1, n.b1, n.W2, n.b2, Activation::sigmoid, Loss::half_squared_error);
  const auto z1 = linear(x, n.W1, n.b1), a1 = sigmoid(z1), z2 = linear(a1, n.W2, n.b2), a2 = sigmoid(z2);
  const auto J = nn::half_squared_error(a2, y);
  const auto g = grad(J, {a2, z2, a1, z1, n.W2, n.W1, n.b2, n.b1});
  const auto same = [](const Tensor<double>& actual, const Tensor<double>& expected) {
    check_close(actual, expected.detach(), 1e-12, 1e-14);
  };
  same(h.z1, z1), same(h.a1, a1), same(h.z2, z2), same(h.a2, a2), same(h.J, J);
  same(h.dJ_da2, g[0]), same(h.delta2, g[1]), same(h.hidden_error, g[2]), same(h.delta1, g[3]);
  same(h.dW2, g[4]), same(h.dW1, g[5]), same(h.db2, g[6]), same(h.db1, g[7]);
  const auto u = h.updates(0.1);
  same(u.change_W2, -0.1 * g[4]), same(u.change_W1, -0.1 * g[5]);
  same(u.change_b2, -0.1 * g[6]), same(u.change_b1, -0.1 * g[7]);
  same(u.W2, n.W2 - 0.1 * g[4]), same(u.W1, n.W1 - 0.1 * g[5]);
  same(u.b2, n.b2 - 0.1 * g[6]), same(u.b1, n.b1 - 0.1 * g[7]);
  CHECK(!u.W2.requires_grad());
  check_close(derivative<double>(Activation::relu, {-1.0, 0.0, 2.0}, {0.0, 0.0, 2.0}), {0.0, 0.0, 1.0}, 0);
}

TEST_CASE_TEMPLATE("activations: values and derivatives are the tape's, where they have a kink too", T, float,
                   double) {
  random::seed(6);
  const Tensor<T> z = concatenate<T>({random::normal<T>({40}) * T(3), {T(0), T(-0.0), T(1e-3), T(-1e-3)}}, 0);
  std::set<std::string> names, texts;
  for (const Activation g : activations) {
    CAPTURE(to_string(g));
    names.insert(to_string(g)), texts.insert(derivative_text(g));
    const Tensor<T> x = parameter<T>(z * 1), y = recorded(g, x);
    const Tensor<T> a = activate(g, x);
    CHECK(!a.requires_grad());
    check_close(a, y.detach(), 0);
    const Tensor<T> slope = derivative(g, x, a);
    CHECK(!slope.requires_grad());
    const double tolerance = std::is_same_v<T, float> ? 1e-6 : 1e-15;
    check_close(slope, g == Activation::identity ? ones<T>(z.shape()) : grad(sum(y), {x})[0], tolerance,
                tolerance);
  }
  CHECK(names.size() == std::size(activations));
  CHECK(texts.size() == std::size(activations));
  const auto unknown = static_cast<Activation>(99);
  const auto says =
      doctest::Contains("none of identity, sigmoid, tanh, relu, leaky_relu, elu, gelu, silu and");
  CHECK_THROWS_WITH_AS(to_string(unknown), says, Error);
  CHECK_THROWS_WITH_AS(derivative_text(unknown), says, Error);
  CHECK_THROWS_WITH_AS(activate(unknown, z), says, Error);
  CHECK_THROWS_WITH_AS(derivative(unknown, z, z), says, Error);
}

TEST_CASE("one sample of rank 1 has the shapes of the textbook; a batch of one has the same numbers") {
  random::seed(3);
  const Net<double> n;
  const Tensor<double> x{1.0, 0.5, -2.0}, y{0.0, 1.0};
  for (const Loss loss : losses) {
    const Options sigmoid_output{.output_activation = Activation::sigmoid};
    const auto one =
        nn::hand::two_layer(x, y, n.W1, n.b1, n.W2, n.b2, Activation::relu, loss, sigmoid_output);
    const auto row = nn::hand::two_layer(unsqueeze(x, 0), unsqueeze(y, 0), n.W1, n.b1, n.W2, n.b2,
                                         Activation::relu, loss, sigmoid_output);
    CHECK(one.z1.shape() == Shape{4});
    CHECK(one.delta2.shape() == Shape{2});
    check_close(one.db2, one.delta2, 0);
    check_close(one.dW1, outer(one.delta1, x), 1e-15);
    check_close(one.dW1, row.dW1, 0);
    check_close(one.J, row.J, 0);
  }
}

TEST_CASE("cross-entropies stay finite where the probabilities are 0 or 1") {
  const Tensor<double> x{{1000.0}, {-1000.0}}, y{{0.0}, {1.0}};
  const auto r = nn::hand::layers(x, y, {{Tensor<double>{{1.0}}, Tensor<double>{0.0}, Activation::sigmoid}},
                                  Loss::binary_cross_entropy);
  check_close(r.delta[0], {{0.5}, {-0.5}}, 1e-15);
  CHECK(r.J.item() == 100);
  const Tensor<double> z{{1000.0, 0.0}}, onehot{{1.0, 0.0}};
  const auto s = nn::hand::layers(z, onehot, {{eye<double>(2), zeros<double>({2}), Activation::identity}},
                                  Loss::softmax_cross_entropy);
  check_close(s.error[0], {{-1.0, 0.0}}, 0);
  check_close(s.delta[0], {{0.0, 0.0}}, 0);
  const auto never =
      nn::hand::layers(Tensor<double>{{1.0}}, onehot,
                       {{ones<double>({2, 1}), Tensor<double>{0.0, -std::numeric_limits<double>::infinity()},
                         Activation::identity}},
                       Loss::softmax_cross_entropy);
  CHECK(never.J.item() == 0);
}

TEST_CASE("shapes that do not fit are errors that name the quantity and say what to do") {
  const Tensor<double> x = zeros<double>({8, 2}), y = zeros<double>({8, 3}), W1 = zeros<double>({4, 2}),
                       b1 = zeros<double>({4}), W2 = zeros<double>({3, 4}), b2 = zeros<double>({3});
  const auto call = [&](const Tensor<double>& in, const Tensor<double>& target, const Tensor<double>& w1,
                        const Tensor<double>& c1, const Tensor<double>& w2,
                        Loss loss = Loss::half_squared_error, Options options = {}) {
    nn::hand::two_layer(in, target, w1, c1, w2, b2, Activation::tanh, loss, options);
  };
  CHECK_NOTHROW(call(x, y, W1, b1, W2));
  CHECK_THROWS_WITH_AS(
      call(x, y, W1, b1, transpose(W2)),
      "[two_layer] W2 of shape (4, 3) does not take a1 of shape (8, 4): its columns, 3, must be the "
      "features, 4; is it transposed?",
      Error);
  CHECK_THROWS_WITH_AS(
      call(x, y, zeros<double>({4, 7}), b1, W2),
      "[two_layer] W1 of shape (4, 7) does not take x of shape (8, 2): its columns, 7, must be the "
      "features, 2",
      Error);
  CHECK_THROWS_WITH_AS(call(x, y, W1, zeros<double>({1, 4}), W2),
                       "[two_layer] b1 of shape (1, 4) for W1 of shape (4, 2): it must be (4,)", Error);
  CHECK_THROWS_WITH_AS(call(x, zeros<double>({8}), W1, b1, W2),
                       doctest::Contains("[two_layer] y of shape (8,) for the output a2 of shape (8, 3)"),
                       Error);
  CHECK_THROWS_WITH_AS(call(zeros<double>({2, 2, 2}), y, W1, b1, W2), doctest::Contains("it must be (N, in)"),
                       Error);
  CHECK_THROWS_WITH_AS(
      call(x, y, W1, b1, W2, Loss::binary_cross_entropy),
      doctest::Contains("[two_layer] binary cross-entropy needs probabilities, and the output's "
                        "activation is tanh: make it Activation::sigmoid"),
      Error);
  CHECK_THROWS_WITH_AS(call(x, y, W1, b1, W2, Loss::softmax_cross_entropy),
                       doctest::Contains("row 0 of y sums to 0"), Error);
  CHECK_THROWS_WITH_AS(call(x, y, W1, b1, W2, Loss::half_squared_error, {.reduction = Reduction::none}),
                       doctest::Contains("J is one number"), Error);
  CHECK_THROWS_WITH_AS(nn::hand::layers(x, y, {}, Loss::half_squared_error), "[layers] there are no layers",
                       Error);
}

TEST_CASE_TEMPLATE("the textbook's NumPy function sums for the weights and averages for the biases", T, float,
                   double) {
  const double tolerance = std::is_same_v<T, float> ? 2e-4 : 1e-11;
  for (const std::size_t N : {std::size_t(1), std::size_t(32)}) {
    random::seed(4);
    const Net<T> n;
    const Tensor<T> x = random::normal<T>({N, 3}), y = random::uniform<T>({N, 2});
    const auto h =
        nn::hand::two_layer(x, y, n.W1, n.b1, n.W2, n.b2, Activation::sigmoid, Loss::half_squared_error);
    const auto own = [](const Tensor<T>& t) { return t.detach() * 1; };
    nn::hand::NumpyNetwork<T> network{own(transpose(n.W1)), own(unsqueeze(n.b1, 0)), own(transpose(n.W2)),
                                      own(unsqueeze(n.b2, 0))};
    const nn::hand::NumpyNetwork<T> before{own(network.weights_input_to_hidden), own(network.bias_hidden),
                                           own(network.weights_hidden_to_output), own(network.bias_output)};
    const auto forward = network.forward(x);
    check_close(forward.final_output, h.a2, tolerance);
    const T error = nn::hand::numpy_backpropagation(network, forward, y, T(0.5));
    CHECK(std::abs(static_cast<double>(error - nn::mse_loss(h.a2, y).item())) < tolerance);
    const auto gradient = [](const Tensor<T>& old, const Tensor<T>& now) { return (old - now) / T(0.5); };
    const auto dW2 = gradient(before.weights_hidden_to_output, network.weights_hidden_to_output);
    const auto dW1 = gradient(before.weights_input_to_hidden, network.weights_input_to_hidden);
    const auto db2 = gradient(before.bias_output, network.bias_output);
    const auto db1 = gradient(before.bias_hidden, network.bias_hidden);
    check_close(dW2, transpose(h.dW2), tolerance, tolerance);
    check_close(dW1, transpose(h.dW1), tolerance, tolerance);
    // 1/N of the gradient that goes with them: the same for one sample, 32 times smaller for 32.
    check_close(db2 * static_cast<T>(N), unsqueeze(h.db2, 0), 32 * tolerance, 32 * tolerance);
    check_close(db1 * static_cast<T>(N), unsqueeze(h.db1, 0), 32 * tolerance, 32 * tolerance);
    const double ratio = static_cast<double>(norm(h.db2).item() / norm(db2).item());
    CHECK(ratio == doctest::Approx(static_cast<double>(N)).epsilon(1e-2));
  }
}

TEST_CASE("the NumPy function checks all shapes before it changes a weight") {
  nn::hand::NumpyNetwork<double> network{ones<double>({3, 4}), zeros<double>({1, 4}), ones<double>({4, 2}),
                                         zeros<double>({2})};
  const auto forward = network.forward(ones<double>({5, 3}));
  CHECK_THROWS_WITH_AS(nn::hand::numpy_backpropagation(network, forward, zeros<double>({5, 2})),
                       "[numpy_backpropagation] bias_output of shape (2,) is not (1, 2)", Error);
  CHECK_THROWS_WITH_AS(nn::hand::numpy_backpropagation(network, forward, zeros<double>({5})),
                       doctest::Contains("shapes (5, 2) of final_output and (5,) of the target differ"),
                       Error);
  check_close(network.weights_hidden_to_output, ones<double>({4, 2}), 0);
}
