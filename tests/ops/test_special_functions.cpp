// Special functions and roundings: known values, identities, poles, ties, orders.
#include <numbers>

#include "../check_close.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

using X = Tensor<double>;
constexpr double pi = std::numbers::pi, euler = std::numbers::egamma;

}  // namespace

TEST_CASE("lgamma, digamma and polygamma: known values") {
  check_close(lgamma(X{0.5, 1.0, 2.0, 5.0, -0.5}),
              {std::log(pi) / 2, 0.0, 0.0, std::log(24.0), std::log(2 * std::sqrt(pi))}, 1e-15, 1e-16);
  check_close(digamma(X{1.0, 0.5, 2.0, -0.5}),
              {-euler, -euler - 2 * std::log(2.0), 1 - euler, 2 - euler - 2 * std::log(2.0)}, 1e-14, 1e-16);
  check_close(polygamma(1, X{1.0, 0.5}), {pi * pi / 6, pi * pi / 2}, 1e-15);
  check_close(polygamma(2, X{1.0}), {-2.4041138063191885708}, 1e-14);
  check_close(polygamma(0, X{3.3}), digamma(X{3.3}), 0);
  check_close(polygamma(std::size_t{3}, X{1.0}), {std::pow(pi, 4) / 15}, 1e-14);
  CHECK_THROWS_WITH_AS(polygamma(-1, X{1.0}), "[polygamma] the order -1 is negative", Error);
  CHECK_THROWS_WITH_AS(polygamma(1000001, X{1.0}), "[polygamma] the order 1000001 is above 1000000", Error);
  CHECK_THROWS_AS(polygamma(std::numeric_limits<std::size_t>::max(), X{1.0}), Error);
  constexpr double infinity = std::numeric_limits<double>::infinity();
  check_close(polygamma(1000000, X{0.5, 3.0, 1e7, -0.5, -1.5, -1000.25}),
              {-infinity, -infinity, 0.0, -infinity, -infinity, infinity}, 0);
  check_close(polygamma(999999, X{3.0, 1e7, -0.5, -1000.25}), {infinity, 0.0, infinity, infinity}, 0);
  check_close(polygamma(1000, X{-0.5, -1000.25}), {-infinity, infinity}, 0);
  check_close(polygamma(200, X{50.0}), {-2.58297139307054e33}, 1e-12);
  check_close(polygamma(1000, X{400.0}), {-9.54632866022891e-38}, 1e-12);
}

TEST_CASE("lgamma has derivatives of any order, in both modes") {
  const auto x = parameter<double>({0.7, 2.5, 11.0});
  X y = lgamma(x);
  for (int order = 0; order < 5; ++order) {
    y = grad(sum(y), x, {.create_graph = true});
    check_close(y.detach(), polygamma(order, x.detach()), 1e-13);
  }
  check_close(jvp([](const auto& a) { return lgamma(a); }, x, ones<double>({3})).second, digamma(x.detach()),
              1e-15);
  // ψ(1 − x) − ψ(x) = π cot πx
  const X z{0.1, 0.3, -1.7};
  check_close(digamma(1 - z) - digamma(z), pi / tan(pi * z), 1e-13);
}

TEST_CASE("erfc keeps its digits, erfinv undoes erf") {
  check_close(erfc(X{10.0}), {2.0884875837625447570e-45}, 1e-13);
  const X x = linspace<double>(-4, 4, 33);
  check_close(erf(x) + erfc(x), ones<double>({33}), 1e-15);
  const X near = linspace<double>(-2, 2, 33);
  check_close(erfinv(erf(near)), near, 1e-13, 1e-15);
  check_close(erfinv(X{0.5, 1e-300}), {0.47693627620446987338, 8.8622692545275801365e-301}, 1e-15);
  check_close(erfinv(Tensor<float>{0.5f}), {0.47693628f}, 1e-6);
}

TEST_CASE("inverse hyperbolic functions far out, where squares leave the range") {
  const auto x = parameter<double>({1e200, -1e200, 1e-200});
  check_close(asinh(x), {std::asinh(1e200), -std::asinh(1e200), 1e-200}, 1e-15);
  check_close(grad(sum(asinh(x)), x), {1e-200, 1e-200, 1.0}, 1e-15);
  check_close(grad(sum(acosh(abs(x) + 1)), x), {1e-200, -1e-200, std::numeric_limits<double>::infinity()},
              1e-15);
}

TEST_CASE("floor, ceil and round: halves to even, signs of 0, numbers without a fraction") {
  const X x{-2.5, -1.5, -0.5, -0.2, 0.5, 1.5, 2.5, 0.49999999999999994, 4503599627370495.5, 1e300};
  check_close(round(x), {-2.0, -2.0, -0.0, -0.0, 0.0, 2.0, 2.0, 0.0, 4503599627370496.0, 1e300}, 0);
  check_close(floor(x), {-3.0, -2.0, -1.0, -1.0, 0.0, 1.0, 2.0, 0.0, 4503599627370495.0, 1e300}, 0);
  check_close(ceil(x), {-2.0, -1.0, -0.0, -0.0, 1.0, 2.0, 3.0, 1.0, 4503599627370496.0, 1e300}, 0);
  for (const X& y : {round(x), ceil(x)}) CHECK(std::signbit(y.data()[3]));
  const Tensor<float> f{8388607.5f, -8388607.5f, 8388609.0f, 2.5f};
  check_close(round(f), {8388608.0f, -8388608.0f, 8388609.0f, 2.0f}, 0);
  check_close(floor(f), {8388607.0f, -8388608.0f, 8388609.0f, 2.0f}, 0);
  const auto leaf = parameter(x);
  for (const X& y : {floor(leaf), ceil(leaf), round(leaf)})
    check_close(grad(sum(y), leaf), zeros<double>({10}), 0);
}

TEST_CASE("fmod has the sign of its first operand, and the quotient as its derivative") {
  const auto a = parameter<double>({7.0, -7.0, 7.0, -7.0, 1.0, 5.0}),
             b = parameter<double>({3.0, 3.0, -3.0, -3.0, 1e300, 0.0});
  check_close(fmod(a, b), {1.0, -1.0, 1.0, -1.0, 1.0, std::nan("")}, 0);
  check_close(grad(sum(fmod(a, b)), a), ones<double>({6}), 0);
  check_close(grad(sum(fmod(a, b)), b), {-2.0, 2.0, 2.0, -2.0, 0.0, std::nan("")}, 0);
  check_close(fmod(a, 2), {1.0, -1.0, 1.0, -1.0, 1.0, 1.0}, 0);
  check_close(map([](auto u) { return fmod(u, 4) + floor(u) + lgamma(abs(u)); }, X{6.5}),
              {8.5 + std::lgamma(6.5)}, 1e-15);
}
