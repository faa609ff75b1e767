// Mistakes planted in the derivation by hand: each is found in the layers and named, and what is no mistake
// of these gets no hint.
#include <sstream>

#include "hint_cases.hpp"

using namespace xtape;
using namespace xtape::test;

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
    std::function<void(HandDerivation&)> plant;
    std::string row;
    Words says;
  };
  const auto in_layer = [](std::size_t wrong, std::function<Matrix(const Net&, std::size_t)> f) {
    return [=](HandDerivation& d) {
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
    return [=](HandDerivation& d) {
      const Net& net = d.net;
      d.error = [=, &net](std::size_t l, const Matrix& delta) { return matmul(delta, M(net, l)); };
    };
  };
  const auto only = [](std::size_t wrong, std::function<Matrix(const Net&)> M) {
    return [=](const Net& n, std::size_t l) { return l == wrong ? M(n) : n.layers[l + 1].W.detach(); };
  };
  const auto with_input = [](std::size_t wrong, std::function<Matrix(const Net&)> f) {
    return [=](HandDerivation& d) {
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
      {S,
       in_layer(1, of_tanh),
       "W2",
       {"the derivative of tanh is used, and the activation is sigmoid", "in a2 = σ(z2)"}},
      {S,
       in_layer(0, of_relu),
       "b1",
       {"the derivative of relu is used, and the activation is sigmoid", "in a1 = σ(z1)"}},
      {R,
       in_layer(1, of_tanh),
       "W2",
       {"the derivative of tanh is used, and the activation is relu", "in a2 = ReLU(z2)"}},
      {S,
       in_layer(0, tanh_formula),
       "W1",
       {"the derivative of sigmoid is a (1 − a), and 1 − a² is used, the formula of tanh", "in a1 = σ(z1)"}},
      {S,
       in_layer(0, itself),
       "W1",
       {"multiplied by the value of sigmoid in place of its derivative", "in a1 = σ(z1)"}},
      {S,
       in_layer(2, [](const Net& n, std::size_t l) { return square(n.right.a[l] * (1 - n.right.a[l])); }),
       "W3",
       {"the derivative of sigmoid is multiplied in twice; with cross-entropy, a − y is δ already",
        "in a3 = σ(z3)"}},
      {R,
       in_layer(everywhere, at_zero),
       "W1",
       {"correct except where ReLU is at 0: relu'(0) is 0, and the formula has 1"}},
      {R,
       in_layer(0, [](const Net& n,
                      std::size_t l) { return 0.5 * ((n.right.z[l] >= 0.0) + (n.right.z[l] > 0.0)); }),
       "b1",
       {"correct except where ReLU is at 0: relu'(0) is 0, and the formula has ½"}},
      // Transpose errors and wrong matrices
      {S,
       through(only(1, [](const Net& n) { return transpose(n.layers[2].W.detach()); })),
       "W2",
       {"W3 is not transposed", "in a2 W3ᵀ", "of which dL/da2 is computed"}},
      {S,
       through(only(1, [](const Net& n) { return transpose(n.layers[2].W.detach()); })),
       "b1",
       {"W3 is not transposed", "in a2 W3ᵀ", "of which dL/da2 is computed"}},
      {H,
       through([](const Net& n, std::size_t l) { return transpose(n.layers[l + 1].W.detach()); }),
       "W1",
       {"no weight matrix is transposed"}},
      {S,
       through(only(0, [](const Net& n) { return n.layers[0].W.detach(); })),
       "W1",
       {"the value of W1 is used in place of W2", "of which dL/da1 is computed"}},
      {S,
       through(only(1, [](const Net& n) { return transpose(n.layers[0].W.detach()); })),
       "W2",
       {"the value of W1, transposed, is used in place of W3", "of which dL/da2 is computed"}},
      {S,
       through(only(1, [](const Net& n) { return n.right.updates(alpha)[2].W; })),
       "W1",
       {"W3 is updated before the error is propagated through it", "0.05", "compute all gradients first"}},
      // Wrong inputs of dW
      {S,
       with_input(1, [](const Net& n) { return n.right.z[0]; }),
       "W2",
       {"the value of z1 = x W1ᵀ + b1", "is used in place of a1 = σ(z1)", "of which dL/dW2 is computed"}},
      {S,
       with_input(1, [](const Net& n) { return n.x; }),
       "W2",
       {"the value of x is used in place of a1 = σ(z1)", "of which dL/dW2 is computed"}},
      {S,
       with_input(2, [](const Net& n) { return n.right.a[0]; }),
       "W3",
       {"the value of a1 = σ(z1)", "is used in place of a2 = σ(z2)", "of which dL/dW3 is computed"}},
      {S,
       with_input(0, [](const Net& n) { return n.right.a[0]; }),
       "W1",
       {"the value of a1 = σ(z1)", "is used in place of x", "of which dL/dW1 is computed"}}};
  for (const Planted& p : table) {
    const Net net(p.g);
    HandDerivation wrong(net);
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
    CHECK(compare_gradients<double>(HandDerivation(net).pairs(), net.options).passed);
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
  check_hint(table, "b2",
             {"the gradient of b2 takes the last sample alone, and is not summed over the batch of 6"});
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
    CHECK(compare_gradients<double>(HandDerivation(net).pairs(), net.options).passed);
    const std::string name = to_string(g);
    const auto wrong_in_2 = [&](auto slope) {
      HandDerivation d(net);
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
    const auto at_a =
        wrong_in_2([g](const Matrix&, const Matrix& a) { return derivative(g, a, activate(g, a)); });
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
  const auto table = compare_gradients<double>(
      {{"W2", r.dW[1], matmul(transpose(delta2), r.a[0])}, {"W1", r.dW[0], matmul(transpose(delta1), x)}},
      r.compare_options());
  check_hint(table, "W2",
             {"the derivative of tanh is taken at its output, a, in place of z", "in a2 = tanh(z2)"});
  check_hint(table, "W1",
             {"the derivative of tanh is taken at its output, a, in place of z", "at every tanh"});
  for (const auto& row : table.rows) CHECK(!contains(row.hint, "identity"));
}

TEST_CASE_TEMPLATE("the loss of a context has the context's gradients, for every loss, batch and activation",
                   T, float, double) {
  random::seed(33);
  for (const std::size_t n : {0u, 1u, 5u})  // 0: one sample of rank 1
    for (const Loss loss : {Loss::half_squared_error, Loss::mean_squared_error, Loss::binary_cross_entropy,
                            Loss::softmax_cross_entropy})
      for (const Activation g : {Activation::identity, Activation::relu, Activation::gelu}) {
        const Tensor<T> x = n == 0 ? random::normal<T>({3}) : random::normal<T>({n, 3});
        const Tensor<T> row{T(0), T(1)};
        const Tensor<T> y = n == 0 ? row : Tensor<T>(broadcast_to(row, {n, 2}));
        const Activation output = loss == Loss::binary_cross_entropy ? Activation::sigmoid : g;
        const auto r = nn::hand::layers<T>(x, y,
                                           {{random::normal<T>({4, 3}), zeros<T>({4}), g},
                                            {random::normal<T>({2, 4}), random::normal<T>({2}), output}},
                                           loss);
        const auto options = r.compare_options();
        const auto& derivation = *options.derivation;
        const double tolerance = std::is_same_v<T, float> ? 2e-5 : 1e-12;
        for (std::size_t l = 0; l < 2; ++l) {
          const std::string number = std::to_string(l + 1);
          const auto own = grad(derivation.loss(),
                                {derivation.parameter("W" + number), derivation.parameter("b" + number)});
          check_close(own[0], r.dW[l], tolerance, tolerance);
          check_close(own[1], r.db[l], tolerance, tolerance);
        }
        CHECK(!derivation.parameter("W3").defined());
        CHECK(derivation.output_size() == (n == 0 ? 2 : 2 * n));
        // A layer without bias has 0 for it, and not what rounding leaves: ReLU has a kink there.
        for (const T b : derivation.parameter("b1").value()) CHECK(b == 0);
        const auto wrong = compare_gradients<T>({{"W1", r.dW[0], r.dW[0] + r.dW[0]}}, options);
        if (norm(r.dW[0]).item() > 0)  // else the ReLUs are dead
          check_hint(wrong, "W1", {"off by the factor 2: it is counted twice"});
      }
}

TEST_CASE("a random wrong gradient gets no hint, with and without the layers, for all sizes") {
  for (const std::size_t width : {1u, 2u, 4u}) {
    for (const Activation g : {Activation::sigmoid, Activation::tanh, Activation::relu}) {
      const Net net(g, width);
      for (int trial = 0; trial < 4; ++trial) {  // many more: test_hints_of_mistakes.cpp
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
