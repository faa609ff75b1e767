// The document on backpropagation that this library stands on: its formulas, written out by hand with loops
// over plain arrays, against the tape; and its step-by-step example with every number that it prints.
#include <cmath>
#include <functional>
#include <vector>

#include "../check_close.hpp"

#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;

namespace {

using Matrix = xt::xarray<double>;

double logistic(double z) { return 1 / (1 + std::exp(-z)); }
double logistic_derivative(double z) { return logistic(z) * (1 - logistic(z)); }

/// The gradients of steps 1 to 4, for a batch in the rows of x and y, summed over the batch.
struct HandDerived {
  Matrix z1, a1, z2, a2, dJ_da2, delta2, delta1, dW2, dW1, db2, db1;
};

HandDerived by_hand(const Matrix& x, const Matrix& y, const Matrix& W1, const Matrix& b1, const Matrix& W2,
                    const Matrix& b2, bool cross_entropy) {
  const std::size_t n = x.shape()[0], in = x.shape()[1], hidden = W1.shape()[0], out = W2.shape()[0];
  HandDerived r;
  r.z1 = xt::zeros<double>({n, hidden});
  r.a1 = r.delta1 = r.z1;
  r.z2 = xt::zeros<double>({n, out});
  r.a2 = r.dJ_da2 = r.delta2 = r.z2;
  r.dW2 = xt::zeros<double>({out, hidden});
  r.dW1 = xt::zeros<double>({hidden, in});
  r.db2 = xt::zeros<double>({out});
  r.db1 = xt::zeros<double>({hidden});
  for (std::size_t s = 0; s < n; ++s) {
    // Forward: z = W a + b, a = g(z)
    for (std::size_t i = 0; i < hidden; ++i) {
      r.z1(s, i) = b1(i);
      for (std::size_t j = 0; j < in; ++j) r.z1(s, i) += W1(i, j) * x(s, j);
      r.a1(s, i) = logistic(r.z1(s, i));
    }
    for (std::size_t i = 0; i < out; ++i) {
      r.z2(s, i) = b2(i);
      for (std::size_t j = 0; j < hidden; ++j) r.z2(s, i) += W2(i, j) * r.a1(s, j);
      r.a2(s, i) = logistic(r.z2(s, i));
      // Step 1: dJ/da2; step 2: δ2 = dJ/da2 · g'(z2)
      const double a = r.a2(s, i), t = y(s, i);
      r.dJ_da2(s, i) = cross_entropy ? -t / a + (1 - t) / (1 - a) : a - t;
      r.delta2(s, i) = r.dJ_da2(s, i) * a * (1 - a);
    }
    // Step 3: δ1 = W2ᵀ δ2 · g'(z1)
    for (std::size_t j = 0; j < hidden; ++j) {
      for (std::size_t i = 0; i < out; ++i) r.delta1(s, j) += W2(i, j) * r.delta2(s, i);
      r.delta1(s, j) *= logistic_derivative(r.z1(s, j));
    }
    // Step 4: dW2 = δ2 a1ᵀ, dW1 = δ1 xᵀ, db = δ
    for (std::size_t i = 0; i < out; ++i) {
      r.db2(i) += r.delta2(s, i);
      for (std::size_t j = 0; j < hidden; ++j) r.dW2(i, j) += r.delta2(s, i) * r.a1(s, j);
    }
    for (std::size_t i = 0; i < hidden; ++i) {
      r.db1(i) += r.delta1(s, i);
      for (std::size_t j = 0; j < in; ++j) r.dW1(i, j) += r.delta1(s, i) * x(s, j);
    }
  }
  return r;
}

/// As the document prints its numbers: three digits behind the point.
double rounded(double v) { return std::round(v * 1000) / 1000; }

}  // namespace

TEST_CASE("the chain rule: dJ/dw = dJ/da · da/dz · dz/dw") {
  const auto w = parameter<double>(0.4);
  const double x = 1.5, y = 0.8;
  const Tensor<double> z = w * x, a = sigmoid(z), J = 0.5 * square(a - y);
  const auto [dJ_da, dJ_dz, dJ_dw] = [&] {
    const auto g = grad(J, {a, z, w}, {.retain_tape = true});
    return std::tuple(g[0].item(), g[1].item(), g[2].item());
  }();
  const double da_dz = grad(a, {z}, {.retain_tape = true})[0].item(), dz_dw = grad(z, {w})[0].item();
  CHECK(dJ_da == doctest::Approx(a.item() - y).epsilon(1e-15));
  CHECK(da_dz == doctest::Approx(logistic_derivative(z.item())).epsilon(1e-15));
  CHECK(dz_dw == x);
  CHECK(dJ_dz == doctest::Approx(dJ_da * da_dz).epsilon(1e-15));
  CHECK(dJ_dw == doctest::Approx(dJ_da * da_dz * dz_dw).epsilon(1e-15));
}

TEST_CASE("steps 1 to 5 by hand and by tape, for batches of 1 and 32, with both losses") {
  for (const std::size_t n : {std::size_t{1}, std::size_t{32}})
    for (const bool cross_entropy : {false, true}) {
      CAPTURE(n);
      CAPTURE(cross_entropy);
      random::seed(100 + n);
      const Tensor<double> x = random::normal<double>({n, 5}),
                           y = random::uniform<double>({n, 3}, 0.05, 0.95);
      auto W1 = parameter(random::normal<double>({4, 5}, 0, 0.5)),
           b1 = parameter(random::normal<double>({4}, 0, 0.1));
      auto W2 = parameter(random::normal<double>({3, 4}, 0, 0.5)),
           b2 = parameter(random::normal<double>({3}, 0, 0.1));

      const Tensor<double> z1 = linear(x, W1, b1), a1 = sigmoid(z1), z2 = linear(a1, W2, b2),
                           a2 = sigmoid(z2);
      const Tensor<double> J =
          cross_entropy ? nn::binary_cross_entropy(a2, y, nn::Reduction::sum) : nn::half_squared_error(a2, y);
      const HandDerived hand =
          by_hand(x.value(), y.value(), W1.value(), b1.value(), W2.value(), b2.value(), cross_entropy);

      const double rtol = 1e-14, atol = 1e-14;
      check_close(z1, hand.z1, rtol, atol);
      check_close(a1, hand.a1, rtol, atol);
      check_close(z2, hand.z2, rtol, atol);
      check_close(a2, hand.a2, rtol, atol);
      const auto interior = grad(J, {a2, z2, z1}, {.retain_tape = true});
      check_close(interior[0], hand.dJ_da2, rtol, atol);
      check_close(interior[1], hand.delta2, rtol, atol);
      check_close(interior[2], hand.delta1, rtol, atol);
      J.backward();
      check_close(W2.grad(), hand.dW2, rtol, atol);
      check_close(W1.grad(), hand.dW1, rtol, atol);
      check_close(b2.grad(), hand.db2, rtol, atol);
      check_close(b1.grad(), hand.db1, rtol, atol);

      // The same from logits, as one stable operation.
      if (cross_entropy) {
        const auto g = grad(nn::binary_cross_entropy_with_logits(linear(sigmoid(linear(x, W1, b1)), W2, b2),
                                                                 y, nn::Reduction::sum),
                            {W1, W2});
        check_close(g[0], hand.dW1, 1e-13, 1e-14);
        check_close(g[1], hand.dW2, 1e-13, 1e-14);
      }

      // Step 5: W := W − α dJ/dW
      const double alpha = 0.1;
      const Tensor<double> updated_W1(W1.value() - alpha * hand.dW1),
          updated_b2(b2.value() - alpha * hand.db2);
      nn::SGD<double>({W1, b1, W2, b2}, {.learning_rate = alpha}).step();
      check_close(W1, updated_W1, rtol, atol);
      check_close(b2, updated_b2, rtol, atol);
    }
}

TEST_CASE("the step-by-step example, with every number that the document prints") {
  const Tensor<double> x{{1.0, 0.5}}, y{{0.8}};

  // The document gives no weights. These make its z1 = [0.5, 0.3], z2 = 0.6 and hidden errors [-0.008,
  // -0.007].
  const auto W1 = parameter<double>({{0.4, 0.1}, {0.1, 0.2}}), b1 = parameter<double>({0.05, 0.1});
  const auto W2 = parameter<double>({{0.95, 0.8}}), b2 = parameter<double>({-0.451});

  // Forward pass
  const Tensor<double> Z1 = linear(x, W1, b1), A1 = sigmoid(Z1), Z2 = linear(A1, W2, b2), A2 = sigmoid(Z2);
  check_close(Z1, Tensor<double>{{0.5, 0.3}}, 1e-15);
  CHECK(rounded(A1.value()(0, 0)) == 0.622);
  CHECK(rounded(A1.value()(0, 1)) == 0.574);
  CHECK(rounded(Z2.item()) == 0.6);
  CHECK(rounded(A2.item()) == 0.646);

  // Backward pass
  const Tensor<double> J = nn::half_squared_error(A2, y);
  const auto g = grad(J, {A2, Z2, Z1, W2, W1, b2, b1});
  CHECK(rounded(g[0].item()) == -0.154);                    // output error a2 − y
  CHECK(rounded(logistic_derivative(Z2.item())) == 0.229);  // σ'(z2)
  CHECK(rounded(g[1].item()) == -0.035);                    // output delta
  CHECK(rounded(g[2].value()(0, 0)) == -0.008);             // hidden errors δ1
  CHECK(rounded(g[2].value()(0, 1)) == -0.007);
  check_close(g[3], Tensor<double>{{g[1].item() * A1.value()(0, 0), g[1].item() * A1.value()(0, 1)}}, 1e-15);
  CHECK(rounded(g[3].value()(0, 0)) == -0.022);  // ΔW2 = δ2 a1ᵀ
  CHECK(rounded(g[3].value()(0, 1)) == -0.020);
  // ΔW1 = δ1 xᵀ
  CHECK(rounded(g[4].value()(0, 0)) == -0.008);
  CHECK(rounded(g[4].value()(0, 1)) == -0.004);
  CHECK(rounded(g[4].value()(1, 0)) == -0.007);
  CHECK(rounded(g[4].value()(1, 1)) == -0.003);
  check_close(g[5], reshape(g[1], {1}), 0);  // db = δ
  check_close(g[6], reshape(g[2], {2}), 0);
}

TEST_CASE("the activation's derivative at the document's key values") {
  const auto derivative = [](double z) {
    const auto at = parameter<double>(z);
    return grad(sigmoid(at), at).item();
  };
  CHECK(derivative(0) == 0.25);
  CHECK(std::round(derivative(1) * 10000) / 10000 == 0.1966);
  CHECK(rounded(derivative(3)) == 0.045);
  CHECK(std::round(sigmoid(Tensor<double>(1.0)).item() * 10000) / 10000 == 0.7311);

  // Vanishing: a chain of factors 0.2
  const auto x = parameter<double>(1.0);
  Tensor<double> y = x;
  for (double expected : {0.2, 0.04, 0.008, 0.0016}) {
    y = y * 0.2;
    CHECK(grad(y, x, {.retain_tape = true}).item() == doctest::Approx(expected).epsilon(1e-14));
  }
}
