// Derivatives where a formula alone does not say them: kinks, ties, limits and infinities, by the fused rules
// and the recorded ones.
#include <cmath>
#include <limits>

#include <nn/nn.hpp>

#include "../check_close.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// The gradient of 3 Σ f(x) is three times `expected`, fused and recorded.
template <class F>
void check_gradient(const F& f, const Tensor<double>& x, const Tensor<double>& expected) {
  const Tensor<double> leaf = parameter(x);
  const Tensor<double> y = 3 * sum(f(leaf));
  check_close(grad(y, leaf, {.retain_tape = true}), 3 * expected, 1e-14);
  check_close(grad(y, leaf, {.create_graph = true}).detach(), 3 * expected, 1e-14);
}

}  // namespace

TEST_CASE("activations at their kinks, next to them and far away") {
  const Tensor<double> x{-1000.0, -0.5, 0.0, 0.5, 1000.0};
  const double e = std::exp(-0.5), s = 1 / (1 + e);
  check_gradient([](const auto& a) { return relu(a); }, x, {0.0, 0.0, 0.0, 1.0, 1.0});
  check_gradient([](const auto& a) { return leaky_relu(a, 0.1); }, x, {0.1, 0.1, 0.1, 1.0, 1.0});
  check_gradient([](const auto& a) { return elu(a, 1.5); }, x, {0.0, 1.5 * e, 1.5, 1.0, 1.0});
  check_gradient([](const auto& a) { return softplus(a); }, x, {0.0, 1 - s, 0.5, s, 1.0});
  check_gradient([](const auto& a) { return log_sigmoid(a); }, x, {1.0, s, 0.5, 1 - s, 0.0});
  check_gradient([](const auto& a) { return abs(a); }, x, {-1.0, -1.0, 0.0, 1.0, 1.0});
  check_gradient([](const auto& a) { return sign(a); }, x, {0.0, 0.0, 0.0, 0.0, 0.0});
  check_gradient([](const auto& a) { return clamp(a, -0.5, 0.5); }, x, {0.0, 1.0, 1.0, 1.0, 0.0});
  // The side that is not taken overflows, and must not be multiplied by 0.
  const auto slope = [](const auto& a) { return grad(sum(elu(a, 1.5)), a, {.create_graph = true}); };
  check_gradient(slope, {-1000.0, -0.5, 0.5, 1000.0}, {0.0, 1.5 * e, 0.0, 0.0});
}

TEST_CASE("equal operands of maximum and minimum share the gradient, others have all or nothing of it") {
  const Tensor<double> a{1.0, 2.0, 3.0}, b{2.0, 2.0, 2.0};
  check_gradient([&](const auto& x) { return maximum(x, b); }, a, {0.0, 0.5, 1.0});
  check_gradient([&](const auto& x) { return maximum(a, x); }, b, {1.0, 0.5, 0.0});
  check_gradient([&](const auto& x) { return minimum(x, b); }, a, {1.0, 0.5, 0.0});
  check_gradient([&](const auto& x) { return minimum(a, x); }, b, {0.0, 0.5, 1.0});
  const Tensor<double> rows{{1.0, 4.0, 4.0}, {5.0, 5.0, 5.0}};
  constexpr double third = 1.0 / 3.0;
  check_gradient([](const auto& x) { return max(x, 1); }, rows,
                 where(rows > 4, third, where(rows > 1, 0.5, 0.0)));
  check_gradient([](const auto& x) { return min(-x, {0, 1}); }, rows, where(rows > 4, -third, 0.0));
}

TEST_CASE("where selects the adjoint: where it is infinite and belongs to the other side, it gives 0") {
  const Tensor<double> condition{1.0, 0.0, -2.0}, x{4.0, 4.0, 4.0}, zero{0.0, 0.0, 0.0};
  check_gradient([&](const auto& a) { return sqrt(where(condition, a, zero)); }, x, {0.25, 0.0, 0.25});
  check_gradient([&](const auto& a) { return sqrt(where(1 - condition, zero, a)); }, x, {0.25, 0.0, 0.0});
  check_gradient([&](const auto& a) { return where(a, x, zero); }, condition, {0.0, 0.0, 0.0});
}

TEST_CASE("powers: a base or an exponent of 0") {
  const Tensor<double> base{0.0, 0.0, 2.0, 2.0}, exponent{0.0, 2.0, 0.0, 3.0};
  const double ln2 = std::log(2.0);
  check_gradient([&](const auto& a) { return pow(a, exponent); }, base, {0.0, 0.0, 0.0, 12.0});
  check_gradient([&](const auto& b) { return pow(base, b); }, exponent, {0.0, 0.0, ln2, 8 * ln2});
  const auto slope = [&](const auto& b) { return grad(sum(pow(base, b)), b, {.create_graph = true}); };
  check_gradient(slope, exponent, {0.0, 0.0, ln2 * ln2, 8 * ln2 * ln2});
  check_gradient([](const auto& b) { return pow(Tensor<double>{0.0}, b); }, {-1.0}, {0.0});  // of infinity
  const auto scaled_slope = [&](const auto& c) {
    const Tensor<double> b = parameter(exponent);
    return grad(sum(pow(base, b) * c), b, {.create_graph = true});
  };
  check_gradient(scaled_slope, ones<double>({4}), {0.0, 0.0, ln2, 8 * ln2});
  // ∂²aᵇ/∂a∂b at b = 0 is 1/a for a > 0, by either order; 0 by convention where that is infinite or nothing
  const Tensor<double> bases{2.0, 0.25, 0.0, -3.0}, nothing = zeros<double>({4});
  check_gradient(
      [&](const auto& b) {
        const Tensor<double> a = parameter(bases);
        return grad(sum(pow(a, b)), a, {.create_graph = true});
      },
      nothing, {0.5, 4.0, 0.0, 0.0});
  check_gradient(
      [&](const auto& a) {
        const Tensor<double> b = parameter(slice(nothing, xt::range(0, 2)));
        return grad(sum(pow(a, b)), b, {.create_graph = true});
      },
      slice(bases, xt::range(0, 2)), {0.5, 4.0});
  check_gradient([](const auto& a) { return pow(a, 0); }, {0.0, 2.0, infinity}, {0.0, 0.0, 0.0});
  check_gradient([](const auto& a) { return pow(a, 1); }, base, {1.0, 1.0, 1.0, 1.0});
}

TEST_CASE("binary cross-entropy at certainty: PyTorch's limits") {
  const Tensor<double> p{0.0, 0.0, 1.0, 1.0, 0.25}, y{0.0, 1.0, 0.0, 1.0, 1.0};
  const auto loss = [](const auto& a, const auto& b) {
    return nn::binary_cross_entropy(a, b, nn::Reduction::sum);
  };
  check_gradient([&](const auto& a) { return loss(a, y); }, p, {0.0, -1e12, 1e12, 0.0, -4.0});
  check_gradient([&](const auto& b) { return loss(p, b); }, y, {100.0, 100.0, -100.0, -100.0, std::log(3.0)});
}

TEST_CASE("lines of −∞, and of zeros") {
  const Tensor<double> x{{-infinity, -infinity}, {-infinity, 0.0}};
  check_gradient([](const auto& a) { return logsumexp(a, 1); }, x, {{0.0, 0.0}, {0.0, 1.0}});
  const Tensor<double> rows{{0.0, 0.0}, {3.0, 4.0}};
  check_gradient([](const auto& a) { return norm(a, 1); }, rows, {{0.0, 0.0}, {0.6, 0.8}});
  check_gradient([](const auto& a) { return norm(a, 0); }, transpose(rows), {{0.0, 0.6}, {0.0, 0.8}});
  // Where no class is possible there is no distribution: the gradient is NaN, as the loss is.
  check_gradient([](const auto& a) { return nn::cross_entropy(a, {0}); }, {{-infinity, -infinity}},
                 {{std::nan(""), std::nan("")}});
}

TEST_CASE("the second derivative of cross_entropy, also by way of its adjoint") {
  const auto f = [](const auto& z) { return sum(square(nn::cross_entropy(z, {2, 0}, nn::Reduction::none))); };
  const auto z = parameter<double>({{0.3, -1.0, 0.5}, {0.1, 0.2, 2.0}});
  const auto report = check_gradients(f, z, {.order = 2});
  CHECK_MESSAGE(report.passed, report);
}

TEST_CASE("along a direction, equal extremes give the mean of what they move by") {
  const Tensor<double> x{{{{2.0, 2.0}, {1.0, 2.0}}}}, v{{{{1.0, 4.0}, {8.0, 10.0}}}};
  check_close(jvp([](const auto& a) { return max_pool2d(a, 2); }, x, v).second, Tensor<double>{{{{5.0}}}},
              1e-15);
  check_close(jvp([](const auto& a) { return max(a); }, x, v).second, Tensor<double>(5.0), 1e-15);
}

TEST_CASE("hypot at the origin, where each derivative is 0 by convention") {
  const Tensor<double> a{0.0, 3.0, 0.0}, b{0.0, 4.0, -2.0};
  check_gradient([&](const auto& x) { return hypot(x, b); }, a, {0.0, 0.6, 0.0});
  check_gradient([&](const auto& x) { return hypot(a, x); }, b, {0.0, 0.8, -1.0});
  const auto slope = [&](const auto& x) { return grad(sum(hypot(x, b)), x, {.create_graph = true}); };
  check_gradient(slope, a, {0.0, 0.128, 0.5});  // b² / y³
}

TEST_CASE("norm and logsumexp of so many elements that blocks of them are shared out") {
  random::seed(3);
  const Tensor<double> x = parameter(random::normal<double>({200'001}));
  check_close(grad(norm(x), x), (x / norm(x)).detach(), 1e-14);
  check_close(grad(logsumexp(x, 0), x), softmax(x, 0).detach(), 1e-12);
}

TEST_CASE("functions of a length have their second derivative where it is 0") {
  const Tensor<double> nothing = zeros<double>({3}), identity = eye<double>(3);
  const auto check = [&](const auto& f, double factor) {
    check_close(hessian(f, nothing), factor * identity, 0, 1e-15);
  };
  // f''(0) times the identity for f(‖x‖) with f'(0) = 0
  check([](const auto& x) { return square(norm(x)); }, 2);
  check(
      [](const auto& x) {
        const auto y = norm(x);
        return y * y;
      },
      2);
  check([](const auto& x) { return pow(norm(x, 0, true), 2); }, 2);
  check([](const auto& x) { return sum(3 * square(norm(x, 0))); }, 6);
  check([](const auto& x) { return cosh(norm(x)); }, 1);
  check([](const auto& x) { return sqrt(1 + square(norm(x))); }, 1);
  check([](const auto& x) { return sum(square(abs(x))); }, 2);
  check([](const auto& x) { return sum(square(hypot(x, zeros<double>({3})))); }, 2);
  check([](const auto& x) { return sum(square(hypot(x, 2 * x))); }, 10);
  check([](const auto& x) { return squared_norm(x); }, 2);
  check([](const auto& x) { return sum(squared_norm(x, 0, true)); }, 2);
  // by convention where there is none
  check([](const auto& x) { return norm(x); }, 0);
  check(
      [](const auto& x) {
        const auto y = norm(x);
        return y + square(y);
      },
      0);
  check([](const auto& x) { return sum(abs(x)); }, 0);
  check([](const auto& x) { return sum(hypot(x, 2 * x)); }, 0);
}

TEST_CASE("per axis, only the lines whose length is 0 are special") {
  const Tensor<double> x{{0.0, 0.0}, {3.0, 4.0}};
  check_close(reshape(hessian([](const auto& a) { return sum(square(norm(a, 1))); }, x), {4, 4}),
              2 * eye<double>(4), 0, 1e-14);
  check_close(reshape(hessian([](const auto& a) { return sum(square(norm(a, 0))); }, transpose(x)), {4, 4}),
              2 * eye<double>(4), 0, 1e-14);
  const Tensor<double> cube = zeros<double>({2, 2, 2});
  check_close(reshape(hessian(
                          [](const auto& a) {
                            return sum(square(norm(a, {0, 2}, true)));
                          },
                          cube),
                      {8, 8}),
              2 * eye<double>(8), 0, 1e-15);
  const Tensor<double> one = sum(hessian([](const auto& a) { return sum(norm(a, 1)); }, x));
  check_close(one, Tensor<double>((16.0 + 9.0 - 24.0) / 125), 1e-12);  // of the row that is not 0
}

TEST_CASE("the standard deviation where nothing varies") {
  const auto variance_of = [](const auto& x) { return square(xtape::std(x)); };
  const Tensor<double> same = full<double>({4}, 2.5);
  const Tensor<double> expected = (eye<double>(4) - 0.25) / 2;
  check_close(hessian([](const auto& x) { return var(x); }, same), expected, 1e-15, 1e-16);
  check_close(hessian(variance_of, same), expected, 1e-15, 1e-16);
  check_close(hessian([](const auto& x) { return xtape::std(x); }, same), zeros<double>({4, 4}), 0);
  const Tensor<double> others{1.0, 2.0, 4.0, 9.0};
  check_close(hessian(variance_of, others), expected, 1e-13, 1e-14);
  // Without an epsilon, what does not vary is normalised to beta.
  const Tensor<double> rows = parameter(full<double>({2, 3}, 0.1)), beta = parameter<double>({1.0, 2.0, 3.0});
  for (const Tensor<double>& y :
       {layer_norm(rows, ones<double>({3}), beta, 0), batch_norm(rows, ones<double>({3}), beta, 0)}) {
    check_close(y.detach(), broadcast_to(beta.detach(), {2, 3}), 0);
    check_close(grad(sum(y * y), rows, {.create_graph = true}).detach(), zeros<double>({2, 3}), 0);
    check_close(grad(sum(y * y), rows), zeros<double>({2, 3}), 0);
  }
}

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// Value, gradient and the sum of the Hessian's columns at x.
template <class F>
void check_to_second_order(const F& f, const Tensor<double>& x, const Tensor<double>& value,
                           const Tensor<double>& gradient, const Tensor<double>& second) {
  CAPTURE(x);
  check_close(f(x), value, 1e-15);
  check_gradient(f, x, gradient);
  const auto slope = [&](const auto& a) { return grad(sum(f(a)), a, {.create_graph = true}); };
  check_gradient(slope, x, second);
}

}  // namespace

TEST_CASE("infinities in log-space, by one convention, to second order") {
  const double inf = infinity;
  const Tensor<double> zero{0.0, 0.0}, no{not_a_number, not_a_number};
  const auto pair = [](const auto& a) { return slice(a, 0); };
  const auto other = [](const auto& a) { return slice(a, 1); };
  // Both rules, and logaddexp of the two elements
  const auto both = [&](const Tensor<double>& x, double value, const Tensor<double>& gradient,
                        const Tensor<double>& second) {
    check_to_second_order([](const auto& a) { return logsumexp(a); }, x, value, gradient, second);
    check_to_second_order([](const auto& a) { return slice(logsumexp(unsqueeze(a, 1), 0), 0); }, x, value,
                          gradient, second);
    check_to_second_order([&](const auto& a) { return logaddexp(pair(a), other(a)); }, x, value, gradient,
                          second);
    check_to_second_order(
        [&](const auto& a) { return map([](auto p, auto q) { return logaddexp(p, q); }, pair(a), other(a)); },
        x, value, gradient, second);
  };
  both({2.0, inf}, inf, {0.0, 1.0}, zero);
  both({inf, -inf}, inf, {1.0, 0.0}, zero);
  both({2.0, -inf}, 2.0, {1.0, 0.0}, zero);
  both({-inf, -inf}, -inf, zero, zero);
  const Tensor<double> tops{inf, inf};
  check_gradient([](const auto& a) { return logsumexp(a); }, tops, no);
  check_gradient([&](const auto& a) { return logaddexp(pair(a), other(a)); }, tops, no);

  // softmax and its logarithm: the limit, where there is one
  const auto first = [](const auto& a) { return slice(softmax(a), 0); };
  const auto first_log = [](const auto& a) { return slice(log_softmax(a), 0); };
  check_to_second_order(first, {2.0, inf}, Tensor<double>(0.0), zero, zero);
  check_to_second_order(first, {inf, 2.0}, Tensor<double>(1.0), zero, zero);
  check_to_second_order(first, {2.0, -inf}, Tensor<double>(1.0), zero, zero);
  check_to_second_order(first_log, {2.0, inf}, Tensor<double>(-inf), {1.0, -1.0}, zero);
  check_to_second_order(first_log, {inf, 2.0}, Tensor<double>(0.0), zero, zero);
  check_to_second_order(first_log, {2.0, -inf}, Tensor<double>(0.0), zero, zero);
  for (const Tensor<double>& x : {tops, -tops}) {
    check_close(softmax(x), no, 0);
    check_close(log_softmax(x), no, 0);
    check_close(nn::cross_entropy(unsqueeze(x, 0), {0}), Tensor<double>(not_a_number), 0);
  }
  const auto loss = [](const auto& a) { return nn::cross_entropy(unsqueeze(a, 0), {0}); };
  const auto loss_of_rows = [](const auto& a) {
    return nn::cross_entropy(unsqueeze(a, 0), Tensor<double>{{1.0, 0.0}});
  };
  check_gradient(loss, Tensor<double>{inf, inf, 1.0},
                 Tensor<double>{not_a_number, not_a_number, not_a_number});
  check_to_second_order([&](const auto& a) { return loss(a) + loss(a); }, {2.0, inf}, Tensor<double>(inf),
                        {-2.0, 2.0}, zero);
  check_to_second_order(loss, {inf, 2.0}, Tensor<double>(0.0), zero, zero);
  check_to_second_order(loss, {2.0, inf}, Tensor<double>(inf), {-1.0, 1.0}, zero);
  check_to_second_order(loss, {2.0, -inf}, Tensor<double>(0.0), zero, zero);
  check_to_second_order(loss_of_rows, {inf, 2.0}, Tensor<double>(0.0), zero, zero);

  check_to_second_order([](const auto& a) { return softplus(a); }, {-inf, inf}, {0.0, inf}, {0.0, 1.0}, zero);
  check_to_second_order([](const auto& a) { return log_sigmoid(a); }, {-inf, inf}, {-inf, 0.0}, {1.0, 0.0},
                        zero);
}

TEST_CASE("many lines, of which some have infinite elements") {
  // So long and so many that there are whole batches, parts of lines and parts of batches.
  for (const std::size_t n : {5u, 700u})
    for (const std::size_t lines : {1u, 19u}) {
      Tensor<double> x = zeros<double>({n, lines});
      for (std::size_t j = 0; j < lines; j += 3) x.mutable_data()[(n - 1) * lines + j] = infinity;
      Tensor<double> expected = full<double>({n, lines}, 1.0 / static_cast<double>(n));
      for (std::size_t j = 0; j < lines; j += 3)
        for (std::size_t i = 0; i < n; ++i) expected.mutable_data()[i * lines + j] = i + 1 == n;
      check_close(softmax(x, 0), expected, 1e-14);
      check_close(exp(log_softmax(x, 0)), expected, 1e-13);
      check_gradient([](const auto& a) { return logsumexp(a, 0); }, x, expected);
      check_gradient([](const auto& a) { return logsumexp(a, 1); }, transpose(x), transpose(expected));
      check_close(softmax(transpose(x), 1), transpose(expected), 1e-14);
      check_close(exp(log_softmax(transpose(x), 1)), transpose(expected), 1e-13);
    }
}
