// fixed_point, root and argmin: solutions, derivatives to second order in both modes, by a matrix and by
// products, and what is said when there is no solution.
#include <cmath>
#include <vector>

#include "../check_close.hpp"
#include "../check_error.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

using Matrix = Tensor<double>;

template <class F>
void agrees_with_differences(const F& f, const std::vector<Matrix>& at) {
  const GradientReport report = check_gradients<double>(f, at, {.order = 2});
  CHECK_MESSAGE(report.passed, report);
  CHECK(!report.all_zero);
}

}  // namespace

TEST_CASE("a fixed point of a contraction: an implicit layer, with its derivatives") {
  random::seed(1);
  const Matrix W = 0.3 * random::normal<double>({4, 4}), x = random::normal<double>({3, 4});
  const auto layer = [](const Matrix& z, const std::vector<Matrix>& p) {
    return tanh(matmul(z, p[0]) + p[1]);
  };
  for (const std::size_t dense_limit : std::initializer_list<std::size_t>{200, 0}) {
    CAPTURE(dense_limit);
    const auto f = [&](const std::vector<Matrix>& p) {
      return fixed_point(layer, zeros<double>({3, 4}), p, {.tolerance = 1e-13, .dense_limit = dense_limit});
    };
    const Matrix z = f({W, x});
    check_close(z, layer(z, {W, x}), 1e-12, 1e-12);
    agrees_with_differences(f, {W, x});
    // Unrolled, it is the same.
    const Matrix p = parameter(W);
    Matrix unrolled = zeros<double>({3, 4});
    for (int i = 0; i < 200; ++i) unrolled = layer(unrolled, {p, x});
    check_close(grad(sum(square(f({p, x}))), p), grad(sum(square(unrolled)), p), 1e-9, 1e-11);
    // forward mode
    const Matrix v = random::normal<double>({4, 4}), u = random::normal<double>({3, 4});
    const auto of_W = [&](const Matrix& w) { return f({w, x}); };
    check_close(sum(u * jvp(of_W, W, v).second), sum(v * vjp(of_W, W, u).second), 1e-10, 1e-12);
  }
  // plain iteration finds the same
  const Matrix plain = fixed_point(layer, zeros<double>({3, 4}), {W, x}, {.iterations = 1000, .memory = 0});
  check_close(plain, fixed_point(layer, zeros<double>({3, 4}), {W, x}), 1e-8, 1e-9);
}

TEST_CASE("a root: the square root, a system, both with second derivatives") {
  const auto square_is = [](const Matrix& z, const Matrix& a) { return z * z - a; };
  const auto a = parameter<double>({2.0, 9.0});
  const Matrix z = root(square_is, ones<double>({2}), a);
  check_close(z, Matrix{std::sqrt(2.0), 3.0}, 1e-14);
  const Matrix g = grad(sum(z), a, {.create_graph = true});
  check_close(g, Matrix{0.5 / std::sqrt(2.0), 1.0 / 6}, 1e-12);
  const Matrix h = grad(sum(g), a, {.create_graph = true});
  check_close(h, Matrix{-0.25 * std::pow(2.0, -1.5), -0.25 / 27}, 1e-12);
  check_close(grad(sum(h), a), Matrix{0.375 * std::pow(2.0, -2.5), 0.375 / 243}, 1e-11);  // third order
  // x² + y² = r², y = s x³, in two unknowns and two parameters, one by one or in a list
  const auto system = [](const Matrix& q, const std::vector<Matrix>& p) {
    const auto x = slice(q, 0), y = slice(q, 1);
    return stack({x * x + y * y - p[0] * p[0], y - p[1] * x * x * x});
  };
  for (const std::size_t dense_limit : std::initializer_list<std::size_t>{200, 0})
    agrees_with_differences(
        [&](const std::vector<Matrix>& p) {
          return root(system, Matrix{1, 1}, p, {.tolerance = 1e-13, .dense_limit = dense_limit});
        },
        {Matrix(1.5), Matrix(0.7)});
  CHECK(root([](const Matrix& x) { return cos(x) - x; }, Matrix(1.0)).item() ==
        doctest::Approx(0.7390851332151607));
  // What does not require a gradient gets none, and the solution is a constant.
  CHECK(!root(square_is, ones<double>({2}), a.detach()).requires_grad());
}

TEST_CASE("a large system without its matrix") {
  // -u'' + u³ = b on 400 points: the diffusion of a source, which has a gradient with respect to b.
  const std::size_t n = 400;
  const auto equation = [&](const Matrix& u, const Matrix& b) {
    const Matrix padded = concatenate({zeros<double>({1}), u, zeros<double>({1})});
    const Matrix second = slice(padded, xt::range(2, n + 2)) - 2 * u + slice(padded, xt::range(0, n));
    return 0.01 * u * u * u - second + 0.1 * u - b;
  };
  const auto b = parameter(sin(arange<double>(static_cast<double>(n)) / 20));
  const Matrix by_products = root(equation, zeros<double>({n}), b),
               by_matrix = root(equation, zeros<double>({n}), b, {.dense_limit = 1000});
  check_close(by_products, by_matrix, 1e-7, 1e-8);
  check_close(grad(sum(square(by_products)), b), grad(sum(square(by_matrix)), b), 1e-7, 1e-8);
}

TEST_CASE("a minimum: ridge regression, of which the answer is known, and its best penalty") {
  random::seed(2);
  const Matrix X = random::normal<double>({20, 3}), y = random::normal<double>({20});
  const auto loss = [&](const Matrix& w, const Matrix& lambda) {
    return sum(square(matmul(X, w) - y)) + exp(lambda) * sum(square(w));
  };
  const auto closed = [&](const Matrix& lambda) {
    return linalg::solve(matmul(transpose(X), X) + exp(lambda) * eye<double>(3), matmul(transpose(X), y));
  };
  for (const std::size_t dense_limit : std::initializer_list<std::size_t>{200, 0}) {
    const auto lambda = parameter<double>(0.3), same = parameter<double>(0.3);
    const Matrix w = argmin(loss, zeros<double>({3}), lambda, {.dense_limit = dense_limit}), v = closed(same);
    check_close(w, v, 1e-9, 1e-10);
    const Matrix on_w = grad(sum(square(w)), lambda, {.create_graph = true}),
                 on_v = grad(sum(square(v)), same, {.create_graph = true});
    check_close(on_w, on_v, 1e-9);
    check_close(grad(on_w, lambda), grad(on_v, same), 1e-8);
  }
  const auto rosenbrock = [](const Matrix& z, const Matrix& a) {
    const auto x = slice(z, 0), v = slice(z, 1);
    return square(a - x) + 100 * square(v - x * x);
  };
  const auto a = parameter<double>(1.2);
  const Matrix z = argmin(rosenbrock, Matrix{-1.2, 1.0}, a);  // (a, a²)
  check_close(z, Matrix{1.2, 1.44}, 1e-9);
  check_close(grad(slice(z, 1), a), Matrix(2.4), 1e-8);
}

TEST_CASE("float") {
  const auto a = parameter<float>({2.0f, 9.0f});
  const Tensor<float> z = root([](const auto& x, const auto& p) { return x * x - p; }, ones<float>({2}), a);
  check_close(z, Tensor<float>{std::sqrt(2.0f), 3.0f}, 1e-6);
  check_close(grad(sum(z), a), Tensor<float>{0.35355339f, 0.16666667f}, 1e-5);
}

TEST_CASE("what does not converge, and what would get no gradient, is an error") {
  const Matrix one(1.0);
  check_error([&] { (void)root([](const Matrix& z) { return z * z + 1; }, Matrix(0.5)); },
              {"[root] no solution after", "largest residual is", "minimum there that is not 0"});
  check_error([&] { (void)root([](const Matrix& z) { return z * 0 + 1; }, one); }, {"singular"});
  check_error(
      [&] {
        (void)fixed_point([](const Matrix& z, const Matrix& a) { return 3 * z * z + a; }, one, one,
                          {.memory = 0});
      },
      {"[fixed_point] no solution", "is f a contraction near z0?"});
  check_error(
      [&] {
        (void)fixed_point([](const Matrix& z, const Matrix&) { return stack({z, z}); }, one, one);
      },
      {"[fixed_point] the function gives shape (2,) for z of shape ()"});
  check_error(
      [&] {
        (void)argmin([](const Matrix& z, const Matrix& a) { return sum(z) * a; }, Matrix{1, 2}, one);
      },
      {"[argmin]"});
  check_error(
      [&] {
        (void)argmin([](const Matrix& z, const Matrix& a) { return z * a; }, Matrix{1, 2}, one);
      },
      {"[argmin] the loss has the shape (2,): it must be one element"});
  const auto forgotten = parameter<double>(2.0);
  check_error(
      [&] { (void)root([&](const Matrix& z, const Matrix& a) { return z * forgotten - a; }, one, one); },
      {"[root] the function depends on a tensor that requires a gradient and is not in theta", "detach()"});
  check_error([&] { (void)root([](const Matrix& z) { return z - 1; }, one, {.tolerance = -1}); },
              {"tolerance -1"});
}
