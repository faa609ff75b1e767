// odeint: solutions with known formulas, the order of the method, gradients of both kinds against each other
// and against differences, errors.
#include <cmath>
#include <vector>

#include "../check_close.hpp"
#include "../check_error.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

using Matrix = Tensor<double>;

const auto decay = [](double, const Matrix& y, const Matrix& rate) { return -rate * y; };
/// x'' = -w² x - c x', state (x, x')
const auto oscillator = [](double, const Matrix& y, const std::vector<Matrix>& p) {
  const auto x = slice(y, 0), v = slice(y, 1);
  return stack({v, -p[0] * p[0] * x - p[1] * v});
};

}  // namespace

TEST_CASE("solutions that are known, forward and backward in time, at many times or few") {
  const Matrix times = linspace<double>(0, 3, 31);
  const Matrix y = odeint(decay, Matrix{1.0, 2.0}, times, Matrix(0.7), {.rtol = 1e-9, .atol = 1e-11});
  CHECK(y.shape() == Shape{31, 2});
  check_close(y, Matrix(exp(-0.7 * unsqueeze(times, 1)) * Matrix{1.0, 2.0}), 1e-7);
  const Matrix back =
      odeint(decay, slice(y, -1), {3.0, 1.5, 0.0}, Matrix(0.7), {.rtol = 1e-9, .atol = 1e-11});
  check_close(slice(back, -1), Matrix{1.0, 2.0}, 1e-7);
  // with the time in it: y' = cos t
  const Matrix s = odeint([](double t, const Matrix& q) { return q * 0 + std::cos(t); }, Matrix(0.0), times);
  check_close(s, Matrix(sin(times)), 1e-5, 1e-6);
  // a state of two axes; the first time again; one time
  CHECK(odeint(decay, ones<double>({2, 3}), {0.0, 0.0, 1.0}, Matrix(1.0)).shape() == Shape{3, 2, 3});
  check_close(odeint(decay, Matrix(2.0), {0.0}, Matrix(1.0)), Matrix{2.0}, 0);
}

TEST_CASE("the error follows the tolerance, at the steps and between them") {
  const Matrix times = linspace<double>(0, 10, 57);
  const Matrix exact = stack({Matrix(cos(2 * times)), Matrix(-2 * sin(2 * times))}, 1);
  double before = 1;
  for (const double rtol : {1e-4, 1e-6, 1e-8, 1e-10}) {
    const Matrix y =
        odeint(oscillator, Matrix{1.0, 0.0}, times, {Matrix(2.0), Matrix(0.0)}, {.rtol = rtol, .atol = rtol});
    const double error = max(abs(y - exact)).item();
    CHECK(error < 100 * rtol);
    CHECK(error < before / 10);
    before = error;
  }
}

TEST_CASE("gradients: by the adjoint, by recording, and by differences, to second order") {
  const std::vector<double> times{0.0, 0.4, 1.0, 1.3};
  const std::vector<Matrix> at{Matrix{1.0, 0.5}, Matrix(1.3), Matrix(0.2)};
  const auto f = [&](bool adjoint) {
    return [&times, adjoint](const std::vector<Matrix>& p) {
      return odeint(oscillator, p[0], times, {p[1], p[2]},
                    {.rtol = 1e-10, .atol = 1e-12, .adjoint = adjoint});
    };
  };
  for (const bool adjoint : {true, false}) {
    CAPTURE(adjoint);
    const GradientReport report = check_gradients<double>(f(adjoint), at, {.order = 2});
    CHECK_MESSAGE(report.passed, report);
    CHECK(!report.all_zero);
  }
  std::vector<Matrix> x, z;
  for (const Matrix& p : at) x.push_back(parameter(p)), z.push_back(parameter(p));
  const auto by_adjoint = grad(sum(square(f(true)(x))), x), by_record = grad(sum(square(f(false)(z))), z);
  for (std::size_t i = 0; i < at.size(); ++i) check_close(by_adjoint[i], by_record[i], 1e-8, 1e-8);
  const Matrix v(0.7);
  const auto of_w = [&](const Matrix& w) { return f(true)({at[0], w, at[2]}); };
  const Matrix u = sin(reshape(arange<double>(8.0), {4, 2}));
  check_close(sum(u * jvp(of_w, at[1], v).second), sum(v * vjp(of_w, at[1], u).second), 1e-7, 1e-8);
}

TEST_CASE("gradients of times, of both kinds, with a time in f, down, and with the first one twice") {
  const auto f = [](double t, const Matrix& y, const Matrix& p) { return (std::cos(3 * t) - p) * y; };
  for (const bool adjoint : {true, false})
    for (const Matrix& times : {Matrix{0.2, 0.5, 1.4}, Matrix{1.0, 0.3, -0.5}, Matrix{0.7}}) {
      CAPTURE(adjoint);
      CAPTURE(times);
      const auto solve = [&](const std::vector<Matrix>& x) {
        return odeint(f, x[0], x[1], x[2], {.rtol = 1e-11, .atol = 1e-13, .adjoint = adjoint});
      };
      const std::vector<Matrix> at{Matrix{{1.0, 0.5}}, times, Matrix(0.8)};
      const GradientReport report = check_gradients<double>(solve, at);
      CHECK_MESSAGE(report.passed, report);
      // The values are those without gradients, and y at the first time is y0.
      const Matrix t = parameter(times), y = solve({at[0], t, at[2]});
      check_close(y, solve(at), 0, 0);
      check_close(grad(sum(slice(y, 0)), t), zeros<double>(times.shape()), 0, 0);
    }
  const auto both = parameter<double>({0.0, 0.0, 1.0});
  const Matrix y = odeint(decay, Matrix(2.0), both, Matrix(0.7));
  check_close(grad(sum(y), both), Matrix{1.4 + 1.4 * std::exp(-0.7), -1.4, -1.4 * std::exp(-0.7)}, 1e-5);
}

TEST_CASE("the adjoint keeps one state, however many steps are taken") {
  const auto rate = parameter<double>(0.5);
  const Matrix y = odeint(decay, ones<double>({1000}), {0.0, 50.0}, rate, {.rtol = 1e-8, .atol = 1e-10});
  CHECK(Tape::current().size() == 1);
  sum(y).backward();
  CHECK(rate.grad().item() == doctest::Approx(-50 * 1000 * std::exp(-25.0)).epsilon(1e-3));
}

TEST_CASE("float") {
  const auto rate = parameter<float>(0.7f);
  const auto f = [](float, const Tensor<float>& y, const Tensor<float>& r) { return -r * y; };
  const Tensor<float> y = odeint(f, Tensor<float>{1.0f}, {0.0, 1.0}, rate, {.rtol = 1e-4, .atol = 1e-5});
  check_close(slice(y, 1), Tensor<float>{std::exp(-0.7f)}, 1e-4);
  check_close(grad(sum(slice(y, 1)), rate), Tensor<float>(-std::exp(-0.7f)), 1e-3);
}

TEST_CASE("errors name what is wrong, and when") {
  const Matrix one(1.0);
  check_error([&] { (void)odeint(decay, one, std::vector<double>{}, one); }, {"[odeint] there are no times"});
  check_error([&] { (void)odeint(decay, one, {0.0, 1.0, 0.5}, one); }, {"times turn at number 2"});
  check_error([&] { (void)odeint(decay, one, ones<double>({2, 2}), one); }, {"times of shape (2, 2)"});
  check_error([&] { (void)odeint(decay, one, {0.0, 1.0}, one, {.rtol = 0, .atol = 0}); }, {"not both 0"});
  check_error(
      [&] {
        (void)odeint([](double, const Matrix& y) { return stack({y, y}); }, one, {0.0, 1.0});
      },
      {"f gives shape (2,) for y of shape ()"});
  check_error(
      [&] {
        (void)odeint([](double, const Matrix& y) { return y * y; }, one, {0.0, 2.0});
      },  // 1 / (1 - t)
      {"at t = ", "a singularity"});
  check_error(
      [&] {
        (void)odeint(decay, one, {0.0, 1000.0}, Matrix(1e5), {.max_steps = 100});
      },
      {"more than 100 steps"});
  const auto times = parameter<double>({0.0, 1.0});
  const auto rate = parameter(one);
  for (const Matrix& x : {times, rate})  // that of the rate depends on the times, too
    check_error([&] { (void)grad(sum(odeint(decay, one, times, rate)), x, {.create_graph = true}); },
                {"[odeint] with times that require a gradient there are first derivatives", "detach()"});
  check_error([&] { (void)jvp([&](const Matrix& t) { return odeint(decay, one, t, one); }, times, times); },
              {"in reverse mode, alone"});
  check_error(
      [&] {
        (void)odeint([](double, const Matrix& y) { return stack({y, y}); }, one, times);
      },
      {"f gives shape (2,) for y of shape ()"});
  check_error([&] { (void)odeint([](float, const Tensor<float>& y) { return y; }, Tensor<float>{1}, times); },
              {"[odeint] times have another element type than y"});
  const auto forgotten = parameter<double>(1.0);
  check_error(
      [&] {
        (void)odeint([&](double, const Matrix& y) { return y * forgotten; }, one, {0.0, 1.0});
      },
      {"[odeint] the function depends on a tensor that requires a gradient and is not in theta"});
}
