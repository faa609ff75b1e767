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
  const Tensor<double> bases{2.0, 0.25, 0.0, -3.0}, none = zeros<double>({4});
  check_gradient(
      [&](const auto& b) {
        const Tensor<double> a = parameter(bases);
        return grad(sum(pow(a, b)), a, {.create_graph = true});
      },
      none, {0.5, 4.0, 0.0, 0.0});
  check_gradient(
      [&](const auto& a) {
        const Tensor<double> b = parameter(slice(none, xt::range(0, 2)));
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
