// odeint by Method::bdf: known solutions of stiff equations, derivatives beside those of dopri5 and of
// formulas, errors; and what it says where SUNDIALS is not.
#include <cmath>
#include <numbers>
#include <vector>

#include "../check_close.hpp"
#include "../check_error.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

using Matrix = Tensor<double>;

/// Robertson's reaction, whose rates differ by nine powers of ten.
const auto robertson = [](double, const Matrix& y, const std::vector<Matrix>& k) {
  const Matrix a = slice(y, 0), b = slice(y, 1), c = slice(y, 2);
  const Matrix first = k[0] * a, second = k[1] * b * c, third = k[2] * b * b;
  return stack({Matrix(second - first), Matrix(first - second - third), third});
};
const Matrix pure{1.0, 0.0, 0.0};
const std::vector<Matrix> rates{Matrix(0.04), Matrix(1e4), Matrix(3e7)};

}  // namespace

#ifndef XTAPE_SUNDIALS

TEST_CASE("without SUNDIALS: what to build") {
  check_error(
      [] {
        odeint(robertson, pure, {0.0, 1.0}, rates, {.method = Method::bdf});
      },
      {"[odeint] Method::bdf is not in this library", "SUNDIALS 6"});
}

#else

TEST_CASE("Robertson's reaction: the values of the documentation of SUNDIALS, in few evaluations") {
  std::size_t calls = 0;
  const auto counted = [&](double t, const Matrix& y, const std::vector<Matrix>& k) {
    ++calls;
    return robertson(t, y, k);
  };
  const OdeOptions options{.method = Method::bdf, .rtol = 1e-6, .atol = 1e-12};
  const Matrix y = odeint(counted, pure, {0.0, 0.4, 40.0, 4e5}, rates, options);
  CHECK(y.shape() == Shape{4, 3});
  check_close(slice(y, 1), Matrix{0.98517, 3.3864e-5, 0.014794}, 1e-4);
  check_close(slice(y, 2), Matrix{0.7158, 9.185e-6, 0.2842}, 2e-4);
  check_close(slice(y, 3), Matrix{4.938e-3, 1.985e-8, 0.9951}, 1e-3);
  CHECK(calls < 2000);
  calls = 0;  // the other method, to one ten thousandth of that time
  odeint(counted, pure, {0.0, 40.0}, rates, {.rtol = 1e-6, .atol = 1e-12});
  CHECK(calls > 20000);
  const Matrix rate = parameter(rates[0]);
  const Matrix last = odeint(counted, pure, {0.0, 40.0}, {rate, rates[1], rates[2]}, options);
  calls = 0;  // of the adjoint, by its own matrix of derivatives
  const Matrix slope = grad(slice(last, 1, 0), rate);
  CHECK(slope.item() < 0);
  CHECK(calls < 3000);
  // So many unknowns that there are products with it instead.
  const Matrix decays = exp(linspace<double>(0, 7, 240)), scale = parameter(Matrix(1.0));
  const auto decay = [&](double, const Matrix& z, const Matrix& factor) {
    ++calls;
    return -factor * decays * z;
  };
  const Matrix ends = odeint(decay, ones<double>({240}), {0.0, 1.0}, scale, options);
  calls = 0;
  check_close(grad(sum(slice(ends, 1)), scale), -sum(decays * exp(-decays)), 1e-4);
  CHECK(calls < 10000);
}

TEST_CASE("derivatives of first and second order, beside those of dopri5, recorded") {
  // Its adjoint runs y backward in time, where what has decayed would grow without limit.
  const std::vector<double> times{0.0, 0.0, 0.02, 0.3, 0.3};
  const std::vector<Matrix> at{Matrix{0.9, 1e-5, 0.1}, Matrix(0.04), Matrix(1.0), Matrix(3.0)};
  const Matrix weights{
      {0.3, 1e3, -0.5}, {0.1, 2e3, 0.2}, {-0.7, 1e3, 0.4}, {1.0, -3e3, 2.0}, {0.5, 1e3, -1.0}};
  const auto loss = [&](Method method) {
    return [&, method](const std::vector<Matrix>& p) {
      const Matrix y =
          odeint(robertson, p[0], times, {p[1], 1e4 * p[2], 1e7 * p[3]},
                 {.method = method, .rtol = 1e-10, .atol = 1e-14, .adjoint = method == Method::bdf});
      return sum(y * y * weights);
    };
  };
  const std::vector<Matrix> direction{Matrix{0.2, -1e-5, 0.3}, Matrix(0.01), Matrix(-0.4), Matrix(0.7)};
  const auto [first, gradients] = vjp(loss(Method::bdf), at, Matrix(1.0));
  const auto [first_known, gradients_known] = vjp(loss(Method::dopri5), at, Matrix(1.0));
  check_close(first, first_known, 1e-7);
  const auto tangent = jvp(loss(Method::bdf), at, direction).second;
  check_close(tangent, jvp(loss(Method::dopri5), at, direction).second, 1e-6);
  const auto products = hvp(loss(Method::bdf), at, direction).second;
  const auto products_known = hvp(loss(Method::dopri5), at, direction).second;
  for (std::size_t i = 0; i < at.size(); ++i) {
    CAPTURE(i);
    check_close(gradients[i], gradients_known[i], 1e-6);
    check_close(products[i], products_known[i], 1e-5);
  }
}

TEST_CASE("backward in time, in float, with the times' gradients, without parameters") {
  const auto decay = [](auto, const auto& y, const auto& rate) { return -rate * y; };
  const OdeOptions options{.method = Method::bdf, .rtol = 1e-9, .atol = 1e-12};
  const Matrix rate = parameter(Matrix(0.7)), start = parameter(Matrix{1.0, 2.0});
  const Matrix y = odeint(decay, start, {3.0, 1.5, 0.0}, rate, options);
  check_close(slice(y, -1), Matrix(exp(Matrix(2.1)) * Matrix{1.0, 2.0}), 1e-7);
  sum(slice(y, -1)).backward();
  check_close(start.grad(), Matrix(exp(Matrix(2.1)) * ones<double>({2})), 1e-6);
  check_close(rate.grad(), Matrix(3.0 * 3.0 * exp(Matrix(2.1))), 1e-6);

  const Matrix times = parameter(Matrix{0.0, 0.5, 1.0});
  sum(odeint(decay, Matrix(2.0), times, Matrix(0.7), options)).backward();
  // y(t_k) = 2 exp(-0.7 (t_k - t_0))
  const double a = -1.4 * std::exp(-0.35), b = -1.4 * std::exp(-0.7);
  check_close(times.grad(), Matrix{-a - b, a, b}, 1e-6);

  const Tensor<float> y_float = odeint(decay, Tensor<float>{1.0F}, {0.0, 2.0}, Tensor<float>(0.7F),
                                       {.method = Method::bdf, .rtol = 1e-5, .atol = 1e-7});
  check_close(slice(y_float, 1), Tensor<float>{std::exp(-1.4F)}, 1e-3);

  const Matrix alone = parameter(Matrix{1.0, 3.0});
  sum(slice(odeint([](double t, const Matrix& x) { return -1000 * (x - std::cos(t)); }, alone, {0.0, 0.001},
                   options),
            1))
      .backward();
  check_close(alone.grad(), Matrix(std::exp(-1.0) * ones<double>({2})), 1e-5);
}

TEST_CASE("many unknowns: no matrix, and the decay of a wave in heat that the formula gives") {
  const std::size_t n = 300;
  const auto heat = [](double, const Matrix& y, const Matrix& k) {
    return k * (roll(y, 1, 0) + roll(y, -1, 0) - 2 * y);
  };
  const double circle = 2 * std::numbers::pi;
  const Matrix wave =
      sin(linspace<double>(0, circle * static_cast<double>(n - 1) / static_cast<double>(n), n));
  const Matrix k = parameter(Matrix(100.0));
  const Matrix y = odeint(heat, wave, {0.0, 10.0, 15.0}, k, {.method = Method::bdf, .rtol = 1e-8});
  const Matrix rest = sum(slice(y, -1) * wave);
  const double rate = 2 - 2 * std::cos(circle / static_cast<double>(n));
  const double known = static_cast<double>(n) / 2 * std::exp(-100 * rate * 15);
  CHECK(rest.item() == doctest::Approx(known).epsilon(1e-5));
  rest.backward();
  CHECK(k.grad().item() == doctest::Approx(-15 * rate * known).epsilon(1e-5));
}

TEST_CASE("forward mode and products of Hessians with the default tolerances; no unknowns") {
  const std::vector<Matrix> at{Matrix{1.0, 0.2, 0.1}, Matrix(0.04), Matrix(1.0)},
      direction{Matrix{0.1, 0.0, 0.3}, Matrix(0.01), Matrix(-0.4)};
  const auto loss = [](OdeOptions options) {
    return [options](const std::vector<Matrix>& p) {
      return sum(square(odeint(robertson, p[0], {0.0, 0.3}, {p[1], p[2], Matrix(3.0)}, options)));
    };
  };
  const OdeOptions exact{.rtol = 1e-11, .atol = 1e-13};
  for (const Method method : {Method::dopri5, Method::bdf}) {
    CAPTURE(method == Method::bdf);
    check_close(jvp(loss({.method = method}), at, direction).second, jvp(loss(exact), at, direction).second,
                1e-4);
    const auto products = hvp(loss({.method = method}), at, direction).second,
               known = hvp(loss(exact), at, direction).second;
    for (std::size_t i = 0; i < at.size(); ++i) check_close(products[i], known[i], 1e-3, 1e-4);
    const Matrix nothing = parameter(zeros<double>({0}));
    const Matrix y =
        odeint([](double, const Matrix& x) { return -x; }, nothing, {0.0, 1.0}, {.method = method});
    CHECK(y.shape() == Shape{2, 0});
    sum(y).backward();
  }
}

TEST_CASE("errors: of the function itself, of its shape, of steps, of what it captures") {
  const OdeOptions options{.method = Method::bdf};
  const auto solve = [&](const auto& f) {
    return [&options, f] { odeint(f, Matrix{1.0, 2.0}, {0.0, 2.0}, options); };
  };
  check_error(solve([](double t, const Matrix& y) {
                if (t > 0.5) throw Error("mine", "no further");
                return -y;
              }),
              {"[mine] no further"});
  check_error(solve([](double, const Matrix& y) { return sum(y); }), {"[odeint] f gives shape ()", "(2,)"});
  const Matrix other = parameter(Matrix(1.0));
  check_error(solve([&](double, const Matrix& y) { return y * other; }), {"not in theta"});
  check_error(
      [] {
        odeint([](double, const Matrix& y) { return y * y; }, Matrix{1.0}, {0.0, 2.0},
               {.method = Method::bdf, .max_steps = 500});
      },
      {"[odeint] after t = ", "more than 500 steps"});
  check_error(solve([](double, const Matrix& y) { return y * std::nan(""); }),
              {"[odeint] after t = 0", "CVODES"});
  check_error(
      [] {
        odeint(robertson, pure, {0.0, 1.0}, rates, {.method = Method::bdf, .adjoint = false});
      },
      {"adjoint = true"});
}

#endif
