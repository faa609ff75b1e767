// Batch and layer normalisation: kernels of every architecture against loops in long double, moments,
// precision.
#include <cmath>

#include "../check_close.hpp"

#include <autodiff/kernels/kernel_table.hpp>

using namespace xtape;
using namespace xtape::test;
using namespace xtape::detail;

namespace {

using Real = long double;

/// All that one normalisation gives, forward and backward, at an offset that is not aligned.
template <class T>
struct Results {
  std::vector<T> y, mean, inverse, dx, dgamma, dbeta;
};

template <class T>
struct Problem {
  std::size_t rows, n;
  bool batch;
  std::vector<T> x, g, gamma, beta;
  T epsilon = T(1e-3);

  Problem(std::size_t r, std::size_t c, bool b) : rows(r), n(c), batch(b) {
    const auto fill = [](std::size_t count, double step) {
      std::vector<T> v(count + 1);
      for (std::size_t i = 0; i < v.size(); ++i)
        v[i] = static_cast<T>(std::sin(static_cast<double>(i) * step) + 0.3 * step);
      return v;
    };
    x = fill(r * c, 0.7);
    g = fill(r * c, 1.9);
    gamma = fill(c, 2.3);
    beta = fill(c, 0.4);
  }

  Results<T> by(const Kernels<T>& k) const {
    const std::size_t lines = batch ? n : rows;
    Results<T> r{std::vector<T>(rows * n + 1), std::vector<T>(lines + 1), std::vector<T>(lines + 1),
                 std::vector<T>(rows * n + 1), std::vector<T>(n + 1),     std::vector<T>(n + 1)};
    const T* const from = x.data() + 1;
    std::vector<T> moments(4 * lines + 1);
    T* const all = moments.data() + 1;
    if (batch)
      k.moments(all, from, rows, n, epsilon);
    else
      for (std::size_t i = 0; i < rows; ++i) k.moments(all + 4 * i, from + i * n, n, 1, epsilon);
    (batch ? k.normalize_columns : k.normalize_rows)(r.y.data() + 1, from, gamma.data() + 1, beta.data() + 1,
                                                     all, rows, n);
    for (std::size_t i = 0; i < lines; ++i) {
      const auto moment = [&](std::size_t j) { return all[batch ? j * n + i : 4 * i + j]; };
      r.mean[i + 1] = moment(0) + moment(1);
      r.inverse[i + 1] = moment(3);
    }
    std::vector<T> sums(2 * n + 1);
    (batch ? k.sums_of_columns : k.sums_of_rows)(sums.data() + 1, g.data() + 1, from, all, rows, n);
    std::copy_n(sums.begin() + 1, n, r.dbeta.begin() + 1);
    std::copy_n(sums.begin() + 1 + static_cast<std::ptrdiff_t>(n), n, r.dgamma.begin() + 1);
    T* const dx = r.dx.data() + 1;
    if (batch)
      k.normalize_columns_gradient(dx, false, g.data() + 1, from, gamma.data() + 1, all, sums.data() + 1,
                                   rows, n);
    else
      k.normalize_rows_gradient(dx, false, g.data() + 1, from, gamma.data() + 1, all, rows, n);
    return r;
  }

  /// The formulas, line by line.
  Results<T> by_loops() const {
    const std::size_t lines = batch ? n : rows, length = batch ? rows : n;
    Results<T> r{std::vector<T>(rows * n + 1), std::vector<T>(lines + 1), std::vector<T>(lines + 1),
                 std::vector<T>(rows * n + 1), std::vector<T>(n + 1),     std::vector<T>(n + 1)};
    std::vector<Real> dgamma(n), dbeta(n);
    for (std::size_t line = 0; line < lines; ++line) {
      const auto at = [&](std::size_t i) { return 1 + (batch ? i * n + line : line * n + i); };
      const auto feature = [&](std::size_t i) { return batch ? line : i; };
      Real mean = 0, variance = 0, sums = 0, products = 0;
      const Real share = Real(1) / static_cast<Real>(length);
      for (std::size_t i = 0; i < length; ++i) mean += x[at(i)] * share;
      for (std::size_t i = 0; i < length; ++i) variance += (x[at(i)] - mean) * (x[at(i)] - mean) * share;
      const Real inverse = 1 / std::sqrt(variance + static_cast<Real>(epsilon));
      const auto normalized = [&](std::size_t i) { return (x[at(i)] - mean) * inverse; };
      for (std::size_t i = 0; i < length; ++i) {
        const std::size_t f = feature(i);
        r.y[at(i)] = static_cast<T>(gamma[f + 1] * normalized(i) + beta[f + 1]);
        sums += gamma[f + 1] * static_cast<Real>(g[at(i)]) * share;
        products += gamma[f + 1] * g[at(i)] * normalized(i) * share;
        dgamma[f] += g[at(i)] * normalized(i);
        dbeta[f] += g[at(i)];
      }
      for (std::size_t i = 0; i < length; ++i)
        r.dx[at(i)] = static_cast<T>(inverse * (gamma[feature(i) + 1] * static_cast<Real>(g[at(i)]) - sums -
                                                normalized(i) * products));
      r.mean[line + 1] = static_cast<T>(mean);
      r.inverse[line + 1] = static_cast<T>(inverse);
    }
    for (std::size_t f = 0; f < n; ++f) {
      r.dgamma[f + 1] += static_cast<T>(dgamma[f]);
      r.dbeta[f + 1] += static_cast<T>(dbeta[f]);
    }
    return r;
  }
};

}  // namespace

TEST_CASE_TEMPLATE("the kernels of each architecture give what the formulas give", T, float, double) {
  const double rtol = std::is_same_v<T, float> ? 2e-5 : 1e-13;
  const auto available = available_kernels<T>();
  for (const bool batch : {true, false})
    for (const std::size_t rows : {1u, 2u, 63u, 64u, 130u})
      for (const std::size_t n : {1u, 2u, 7u, 8u, 15u, 16u, 17u, 50u, 64u, 65u}) {
        const Problem<T> problem(rows, n, batch);
        const Results<T> expected = problem.by_loops();
        for (std::size_t k = 0; k < available.count; ++k) {
          CAPTURE(available.tables[k]->arch);
          CAPTURE(batch);
          CAPTURE(rows);
          CAPTURE(n);
          const Results<T> actual = problem.by(*available.tables[k]);
          const auto close = [&](const std::vector<T>& a, const std::vector<T>& b) {
            check_close(Tensor<T>(a), Tensor<T>(b), rtol, rtol * 30);
          };
          close(actual.y, expected.y);
          close(actual.mean, expected.mean);
          close(actual.inverse, expected.inverse);
          close(actual.dx, expected.dx);
          close(actual.dgamma, expected.dgamma);
          close(actual.dbeta, expected.dbeta);
        }
      }
}

TEST_CASE("moments are those of the columns") {
  const Tensor<double> x{{1, 10}, {2, 20}, {6, 60}};
  Moments<double> moments;
  const auto y = batch_norm(x, ones<double>({2}), zeros<double>({2}), 0, &moments);
  check_close(moments.mean, mean(x, 0), 1e-15);
  check_close(moments.variance, var(x, 0), 1e-14);
  check_close(mean(y, 0), zeros<double>({2}), 0, 1e-15);
  check_close(var(y, 0), ones<double>({2}), 1e-14);
  CHECK(!moments.mean.requires_grad());
}

TEST_CASE("a large mean does not spoil the variance") {
  const Tensor<double> spread{{-1}, {0}, {1}};
  const auto one = ones<double>({1}), zero = zeros<double>({1});
  check_close(batch_norm(spread + 1e8, one, zero), batch_norm(spread, one, zero), 1e-7);
  check_close(layer_norm(transpose(spread) + 1e8, ones<double>({3}), zeros<double>({3})),
              layer_norm(transpose(spread), ones<double>({3}), zeros<double>({3})), 1e-7);
}

TEST_CASE("a constant column gives beta, and finite gradients") {
  const auto x = parameter(ones<double>({4, 2}));
  const auto gamma = parameter(ones<double>({2})), beta = parameter<double>({3.0, 4.0});
  const auto y = batch_norm(x, gamma, beta);
  check_close(y.detach(), broadcast_to(beta.detach(), {4, 2}), 0);
  sum(y * y).backward();
  check_close(x.grad(), zeros<double>({4, 2}), 0, 1e-9);
  check_close(beta.grad(), {24.0, 32.0}, 1e-15);
}

TEST_CASE("moments are the caller's own, and right where the variance is nothing, or next to it") {
  const auto x = parameter<float>({{1, 1e-4f}, {1, -1e-4f}}), w = parameter<float>({{1, 2}, {3, 5}});
  const auto gamma = ones<float>({2}), beta = zeros<float>({2});
  Moments<float> moments;
  const auto y = batch_norm(x, gamma, beta, 0.1f, &moments);
  CHECK(moments.variance.data()[0] == 0);
  CHECK(moments.variance.data()[1] == doctest::Approx(1e-8).epsilon(1e-6));
  const auto before = grad(sum(y * w), {x}, {.retain_tape = true})[0];
  moments.mean.assign(ones<float>({2}));
  check_close(grad(sum(y * w), {x})[0], before, 0);
}

TEST_CASE("long rows and many rows lose no digits in float") {
  const std::size_t n = 1 << 18;
  const Tensor<float> x =
      reshape(sign(sin((arange<float>(0, 2) * 2 - 1) * ones<float>({n / 2, 1}))) * 1.1f, {1, -1});
  const auto y = layer_norm(x, ones<float>({n}), zeros<float>({n}), 0);
  CHECK(std::abs(y.data()[1] - 1) < 1e-6f);

  const auto beta = parameter<float>(zeros<float>({1}));
  const auto many = layer_norm(zeros<float>({n, 1}), ones<float>({1}), beta);
  many.backward({.seed = full<float>({n, 1}, 0.1f)});
  CHECK(std::abs(beta.grad().item() / (0.1f * static_cast<float>(n)) - 1) < 1e-5f);
}

TEST_CASE("layer_norm of so many rows that blocks of them are shared out") {
  random::seed(3);
  const std::size_t rows = 6000, n = 7, piece = 500;
  const Tensor<double> x = random::normal<double>({rows, n}, 1, 2), w = random::normal<double>({rows, n});
  const Tensor<double> gamma = random::uniform<double>({n}, 0.5, 2), beta = zeros<double>({n});
  const auto gradients = [&](std::size_t first, std::size_t last) {
    const auto part = [&](const auto& a) { return slice(a, xt::range(first, last)).detach(); };
    const auto leaf = parameter(part(x)), g = parameter(gamma), b = parameter(beta);
    return grad(sum(layer_norm(leaf, g, b) * part(w)), {leaf, g, b});
  };
  const auto whole = gradients(0, rows);
  std::vector<Tensor<double>> sums{zeros<double>({n}), zeros<double>({n})};
  for (std::size_t first = 0; first < rows; first += piece) {
    const auto some = gradients(first, first + piece);
    check_close(slice(whole[0], xt::range(first, first + piece)), some[0], 0);
    for (const std::size_t i : {0u, 1u}) sums[i] = sums[i] + some[i + 1];
  }
  for (const std::size_t i : {0u, 1u}) check_close(whole[i + 1], sums[i], 1e-12);
}

TEST_CASE("beta may be assigned between forward and backward") {
  auto beta = parameter<double>({0.0, 0.0});
  const auto y = batch_norm(Tensor<double>{{1, 2}, {3, 5}}, ones<double>({2}), beta);
  beta.assign({1.0, 1.0});
  sum(y).backward();
  check_close(beta.grad(), {2.0, 2.0}, 0);
}
