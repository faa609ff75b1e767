// Sparse Jacobians and Hessians: the pattern that a program has, the products that it takes, the elements.
#include <numeric>

#include <autodiff/program/coloring.hpp>

#include "../check_close.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

using Elements = std::vector<std::pair<std::size_t, std::size_t>>;

template <class T>
Elements places(const SparseMatrix<T>& matrix) {
  Elements all;
  for (std::size_t k = 0; k < matrix.rows.size(); ++k) all.emplace_back(matrix.rows[k], matrix.columns[k]);
  return all;
}

template <class T>
Tensor<T> dense(const SparseMatrix<T>& matrix, std::size_t m, std::size_t n) {
  Tensor<T> all = zeros<T>({m, n});
  for (std::size_t k = 0; k < matrix.rows.size(); ++k)
    all.mutable_data()[matrix.rows[k] * n + matrix.columns[k]] = matrix.values.data()[k];
  return all;
}

template <class F>
void check_jacobian(const F& f, const Tensor<double>& x, const Elements& expected) {
  const Tensor<double> full = jacobian(f, x);
  const std::size_t m = f(x).size();
  for (const Mode mode : {Mode::automatic, Mode::forward, Mode::reverse}) {
    const SparseMatrix<double> sparse = sparse_jacobian(f, x, {.mode = mode});
    CHECK(places(sparse) == expected);
    check_close(dense(sparse, m, x.size()), reshape(full, Dims{m, x.size()}), 1e-13, 1e-13);
  }
}

/// A pattern with about `each` elements a row.
detail::Pattern random_pattern(std::size_t rows, std::size_t columns, double each) {
  detail::Pattern pattern{columns};
  const auto numbers = random::uniform<double>({rows, columns}, 0, 1);
  for (std::size_t i = 0; i < rows; ++i) {
    std::vector<std::uint32_t> row;
    for (std::size_t j = 0; j < columns; ++j)
      if (numbers.data()[i * columns + j] * static_cast<double>(columns) < each)
        row.push_back(static_cast<std::uint32_t>(j));
    pattern.add_row(row);
  }
  return pattern;
}

bool has(const detail::Pattern& pattern, std::size_t i, std::size_t j) {
  return std::ranges::binary_search(pattern.row(i), static_cast<std::uint32_t>(j));
}

}  // namespace

TEST_CASE("a sparse Jacobian has the elements that the function's results depend on, and no others") {
  const auto x = parameter(sin(arange<double>(1.0, 7.0)));
  const auto front = [](const auto& a) { return slice(a, xt::range(0, 5)); };
  const auto back = [](const auto& a) { return slice(a, xt::range(1, 6)); };
  const auto product = [&](const auto& a) { return exp(front(a)) * square(back(a)); };
  check_jacobian(product, x,
                 {{0, 0}, {0, 1}, {1, 1}, {1, 2}, {2, 2}, {2, 3}, {3, 3}, {3, 4}, {4, 4}, {4, 5}});
  check_jacobian([](const auto& a) { return tanh(a); }, x, {{0, 0}, {1, 1}, {2, 2}, {3, 3}, {4, 4}, {5, 5}});
  // Where a derivative is 0 at this x, the element is there all the same.
  check_jacobian([](const auto& a) { return relu(slice(a, xt::range(3, 6))); }, x, {{0, 3}, {1, 4}, {2, 5}});
  check_jacobian(
      [](const auto& a) {
        return sum(reshape(a, {2, 3}), 0) * 2;
      },
      x, {{0, 0}, {0, 3}, {1, 1}, {1, 4}, {2, 2}, {2, 5}});
  check_jacobian(
      [](const auto& a) {
        return softmax(reshape(a, {3, 2}), 1);
      },
      x, {{0, 0}, {0, 1}, {1, 0}, {1, 1}, {2, 2}, {2, 3}, {3, 2}, {3, 3}, {4, 4}, {4, 5}, {5, 4}, {5, 5}});
  check_jacobian([](const auto& a) { return take(a, {4, 1, 1}, 0) + 1; }, x, {{0, 4}, {1, 1}, {2, 1}});
  check_jacobian(
      [](const auto& a) {
        return transpose(reshape(a, {2, 3})) * 3;
      },
      x, {{0, 0}, {1, 3}, {2, 1}, {3, 4}, {4, 2}, {5, 5}});
}

TEST_CASE("products read rows and columns, windows what they cover") {
  const auto x = parameter(reshape(cos(arange<double>(8.0)), {2, 4}));
  const auto w = reshape(sin(arange<double>(12.0)), {4, 3});
  const SparseMatrix<double> rows = sparse_jacobian([&](const auto& a) { return matmul(a, w); }, x);
  CHECK(rows.rows.size() == 6 * 4);
  CHECK(rows.columns[0] == 0);
  CHECK(rows.columns.back() == 7);
  const auto signal = parameter(cos(arange<double>(12.0)));
  const auto kernel = reshape(Tensor<double>{0.5, -1, 0.25}, {1, 1, 1, 3});
  const auto filtered = [&](const auto& a) { return conv2d(reshape(a, {1, 1, 1, 12}), kernel); };
  const SparseMatrix<double> band = sparse_jacobian(filtered, signal);
  CHECK(band.rows.size() == 10 * 3);
  check_close(dense(band, 10, 12), reshape(jacobian(filtered, signal), {10, 12}), 1e-14, 1e-14);
  const auto half = [](const auto& a) {
    return a * sum(a.detach());
  };  // what is detached counts: it may be 0
  CHECK(sparse_jacobian(half, signal).rows.size() == 144);
  const auto chosen = [](const auto& a) { return max(reshape(a, {3, 4}), 1); };
  CHECK(sparse_jacobian(chosen, signal).rows.size() == 12);
}

TEST_CASE("a band of 20,000 takes as many products as it is wide") {
  const std::size_t n = 20000;
  const auto x = sin(arange<double>(static_cast<double>(n)));
  std::size_t runs = 0;
  const auto last = static_cast<std::ptrdiff_t>(n);
  const auto laplace = [&](const Tensor<double>& a) {
    ++runs;
    const auto inner = slice(a, xt::range(1, last - 1));
    return slice(a, xt::range(0, last - 2)) - 2 * inner * inner + slice(a, xt::range(2, last));
  };
  const SparseMatrix<double> band = sparse_jacobian(laplace, x, {.mode = Mode::forward});
  CHECK(runs == 1 + 1 + 3);  // the pattern, the value, a product for each of three colours
  REQUIRE(band.rows.size() == 3 * (n - 2));
  for (std::size_t k = 0; k < band.rows.size(); ++k) {
    const std::size_t i = band.rows[k], j = band.columns[k];
    REQUIRE(i == k / 3);
    REQUIRE(j == i + k % 3);
    REQUIRE(band.values.data()[k] == (j == i + 1 ? -4 * x.data()[j] : 1));
  }
}

TEST_CASE("a sparse Hessian has both halves, and computes one") {
  const auto x = parameter(0.1 * arange<double>(1.0, 9.0));
  std::size_t runs = 0;
  // The first element meets each, the others only it: an arrow.
  const auto arrow = [&](const Tensor<double>& a) {
    ++runs;
    return sum(exp(slice(a, xt::range(0, 1)) * slice(a, xt::range(1, 8))) * 2) + sum(square(square(a)));
  };
  const SparseMatrix<double> sparse = sparse_hessian(arrow, x, {.mode = Mode::forward});
  CHECK(runs == 1 + 1 + 2);
  CHECK(sparse.rows.size() == 8 + 2 * 7);
  check_close(dense(sparse, 8, 8), hessian(arrow, x), 1e-12, 1e-12);
  check_close(dense(sparse_hessian(arrow, x), 8, 8), hessian(arrow, x), 1e-12, 1e-12);

  const auto chain = [](const Tensor<double>& a) {
    return sum(sin(slice(a, xt::range(1, 8)) * slice(a, xt::range(0, 7))));
  };
  const SparseMatrix<double> band = sparse_hessian(chain, x);
  CHECK(band.rows.size() == 8 + 2 * 7);
  check_close(dense(band, 8, 8), hessian(chain, x), 1e-13, 1e-13);
  CHECK(sparse_hessian([](const auto& a) { return sum(3 * a); }, x).rows.empty());
}

TEST_CASE("full patterns, and the highest rank") {
  const auto x = 0.001 * arange<double>(600.0);
  const auto full = [](const Tensor<double>& a) { return sin(sum(square(a))); };
  const SparseMatrix<double> all = sparse_hessian(full, x);
  REQUIRE(all.rows.size() == 600 * 600);
  check_close(reshape(all.values, {600, 600}), hessian(full, x), 1e-13, 1e-13);
  const auto deep = reshape(arange<double>(12.0), {1, 2, 1, 3, 1, 2, 1, 1});
  const SparseMatrix<double> diagonal =
      sparse_jacobian([](const Tensor<double>& a) { return square(a); }, deep);
  check_close(diagonal.values, 2 * arange<double>(12.0), 0, 0);
}

TEST_CASE("sparse derivatives can be differentiated, and compiled") {
  const auto x = parameter(0.2 * arange<double>(1.0, 6.0));
  const auto f = [](const Tensor<double>& a) {
    return slice(a, xt::range(0, 4)) * sin(slice(a, xt::range(1, 5)));
  };
  const auto total = [&](const Tensor<double>& a) {
    return sum(square(sparse_jacobian(f, a, {.create_graph = true}).values));
  };
  const auto expected = [&](const Tensor<double>& a) {
    return sum(square(jacobian(f, a, {.create_graph = true})));
  };
  check_close(grad(total(x), x), grad(expected(x), x), 1e-13, 1e-13);
  const auto compiled = compile(total);
  check_close(compiled(x), total(x), 1e-13, 1e-13);
  check_close(grad(compiled(x), x), grad(expected(x), x), 1e-13, 1e-13);
  const auto single = parameter<float>({0.5f, 1.5f});
  check_close(sparse_jacobian([](const auto& a) { return a * a; }, single).values, Tensor<float>{1, 3}, 0, 0);
}

TEST_CASE("what a sparse derivative makes of rules of one's own, of constants and of what is not traced") {
  const auto x = parameter<double>({1, 2, 3});
  const auto own = [](const Tensor<double>& a) {
    return custom<double>("mixed", {a}, a.detach() * 1,
                          [](const auto& g) { return std::vector{sum(g) + 0 * g}; });
  };
  const SparseMatrix<double> all = sparse_jacobian(own, x, {.mode = Mode::reverse});
  CHECK(all.rows.size() == 9);
  check_close(all.values, ones<double>({9}), 0, 0);
  CHECK(sparse_jacobian([](const auto& a) { return 0 * a.detach(); }, x).values.size() == 0);
  CHECK_THROWS_WITH_AS(
      sparse_jacobian([](const auto& a) { return a.item() > 0 ? a : -a; }, Tensor<double>(2.0)),
      doctest::Contains("[sparse_jacobian] item() reads"), Error);
  auto statistics = zeros<double>({3});
  const auto assigning = [&](const Tensor<double>& a) {
    statistics.assign(a.detach());
    return a * 2;
  };
  CHECK_THROWS_WITH_AS(sparse_jacobian(assigning, x), doctest::Contains("assigns a tensor"), Error);
  CHECK(sparse_jacobian([](const auto& a) { return exp(a); }, zeros<double>({0})).rows.empty());
}

TEST_CASE("colourings of random patterns allow direct recovery, with few colours") {
  random::seed(7);
  for (int round = 0; round < 50; ++round) {
    const auto n = static_cast<std::size_t>(5 + round);
    const detail::Pattern pattern = random_pattern(2 * n, n, 2.5);
    const detail::Coloring columns = detail::column_coloring(pattern);
    for (std::size_t i = 0; i < pattern.rows(); ++i) {
      std::vector<std::uint32_t> seen;
      for (const std::uint32_t j : pattern.row(i)) seen.push_back(columns.of[j]);
      std::ranges::sort(seen);
      REQUIRE(std::ranges::adjacent_find(seen) == seen.end());
    }
    detail::Pattern square = detail::symmetric(random_pattern(n, n, 1.5));
    const detail::Coloring star = detail::star_coloring(square);
    CHECK(star.count <= detail::column_coloring(square).count + 2);
    const auto alone = [&](std::size_t i, std::size_t j) {  // of its colour in row i
      return std::ranges::count(square.row(i), star.of[j], [&](std::uint32_t k) { return star.of[k]; }) == 1;
    };
    for (std::size_t i = 0; i < n; ++i)
      for (const std::uint32_t j : square.row(i)) REQUIRE((alone(i, j) || alone(j, i)));
  }
  const detail::Pattern pattern = random_pattern(30, 20, 3);
  const detail::Pattern turned = detail::transposed(pattern);
  CHECK(turned.rows() == 20);
  for (std::size_t i = 0; i < 30; ++i)
    for (std::size_t j = 0; j < 20; ++j) REQUIRE(has(pattern, i, j) == has(turned, j, i));
}
