// The rows of linear algebra. Of what has a free sign, such as eigenvectors, they take the square.
#include "op_table.hpp"

namespace xtape::test {
namespace {

using Tensor = xtape::Tensor<double>;
using Sets = std::vector<std::vector<Shape>>;

const Sets squares{{{1, 1}}, {{2, 2}}, {{3, 3}}, {{4, 4}}, {{2, 3, 3}}, {{2, 1, 2, 2}}, {{0, 2, 2}}};

Tensor swapped(const Tensor& a) {
  Axes order;
  for (std::size_t i = 0; i < a.rank(); ++i) order.push_back(static_cast<std::ptrdiff_t>(i));
  std::swap(order.end()[-1], order.end()[-2]);
  return transpose(a, order);
}
/// Symmetric, with eigenvalues of at least 1.
Tensor positive(const Tensor& a) { return matmul(a, swapped(a)) + eye<double>(a.shape(-1)); }
/// Far from singular: elements of up to 0.4 beside a diagonal of 2, 3, 4 …
Tensor regular(const Tensor& a) {
  const std::size_t n = a.shape(-1);
  return 0.2 * a + diag(arange<double>(2.0, 2.0 + static_cast<double>(n)));
}
/// Symmetric with eigenvalues apart.
Tensor symmetric(const Tensor& a) { return regular(a) + swapped(regular(a)); }
/// Of full rank, with singular values apart: ones like 2, 3, 4 on the diagonal.
Tensor full(const Tensor& a) {
  const std::size_t m = a.shape(-2), n = a.shape(-1), k = std::min(m, n);
  Tensor d = zeros<double>({m, n});
  for (std::size_t i = 0; i < k; ++i) d.mutable_data()[i * n + i] = 2.0 + static_cast<double>(i);
  return 0.2 * a + d;
}

}  // namespace

void add_linalg(std::vector<OpRow>& rows) {
  const auto add = [&](const char* op, const char* variant, std::function<Tensor(const Tensors&)> f,
                       Sets shapes) {
    rows.push_back({op, variant, std::move(f), std::move(shapes), {{}}, 2, {}, true});
  };
  const Sets systems{
      {{1, 1}, {1, 1}}, {{3, 3}, {3, 2}}, {{2, 3, 3}, {3, 1}}, {{2, 2}, {3, 2, 1}}, {{2, 2}, {2, 0}}};

  add(
      "cholesky", "", [](const Tensors& x) { return linalg::cholesky(positive(x[0])); }, squares);
  add(
      "solve_triangular", "", [](const Tensors& x) { return linalg::solve_triangular(regular(x[0]), x[1]); },
      systems);
  add(
      "solve_triangular", "upper",
      [](const Tensors& x) { return linalg::solve_triangular(regular(x[0]), x[1], {.lower = false}); },
      systems);
  add(
      "solve_triangular", "transpose",
      [](const Tensors& x) { return linalg::solve_triangular(regular(x[0]), x[1], {.transpose = true}); },
      systems);
  add(
      "solve_triangular", "unit",
      [](const Tensors& x) {
        return linalg::solve_triangular(0.3 * x[0], x[1], {.lower = false, .transpose = true, .unit = true});
      },
      systems);
  add(
      "solve_triangular", "unit lower",
      [](const Tensors& x) { return linalg::solve_triangular(0.3 * x[0], x[1], {.unit = true}); }, systems);
  add(
      "cho_solve", "",
      [](const Tensors& x) { return linalg::cho_solve(linalg::cholesky(positive(x[0])), x[1]); }, systems);
  add(
      "solve", "", [](const Tensors& x) { return linalg::solve(regular(x[0]), x[1]); }, systems);
  add("solve", "vector", [](const Tensors& x) { return linalg::solve(regular(x[0]), x[1]); },
      {{{3, 3}, {3}}, {{2, 2, 2}, {2}}});
  add(
      "inv", "", [](const Tensors& x) { return linalg::inv(regular(x[0])); }, squares);
  add(
      "det", "", [](const Tensors& x) { return linalg::det(x[0] + 0.1); }, squares);
  add(
      "slogdet", "",
      [](const Tensors& x) {
        const auto [sign, logabsdet] = linalg::slogdet(regular(x[0]));
        return sign * logabsdet;
      },
      squares);
  add(
      "matrix_power", "", [](const Tensors& x) { return linalg::matrix_power(x[0], 5); }, squares);
  add(
      "matrix_power", "negative", [](const Tensors& x) { return linalg::matrix_power(regular(x[0]), -2); },
      squares);
  add(
      "matrix_power", "0", [](const Tensors& x) { return linalg::matrix_power(x[0], 0) * x[0]; }, squares);
  add(
      "expm", "", [](const Tensors& x) { return linalg::expm(0.5 * x[0]); }, squares);
  add("expm", "large", [](const Tensors& x) { return linalg::expm(3 * x[0]) / 100; }, {{{3, 3}}});
  const Sets tall{{{1, 1}}, {{3, 3}}, {{4, 2}}, {{2, 3, 2}}, {{0, 3, 2}}},
      wide{{{2, 3}}, {{1, 3}}, {{2, 2, 4}}};
  for (const bool is_tall : {true, false}) {
    const Sets& shapes = is_tall ? tall : wide;
    add(
        "qr", is_tall ? "Q" : "Q wide", [](const Tensors& x) { return square(linalg::qr(full(x[0]))[0]); },
        shapes);
    add(
        "qr", is_tall ? "R" : "R wide", [](const Tensors& x) { return square(linalg::qr(full(x[0]))[1]); },
        shapes);
    add(
        "svd", is_tall ? "U" : "U wide", [](const Tensors& x) { return square(linalg::svd(full(x[0])).U); },
        shapes);
    add(
        "svd", is_tall ? "s and Vh" : "s and Vh wide",
        [](const Tensors& x) {
          const auto [U, s, Vh] = linalg::svd(full(x[0]));
          return unsqueeze(s, -1) * square(Vh);
        },
        shapes);
    add(
        "svdvals", is_tall ? "" : "wide", [](const Tensors& x) { return linalg::svdvals(full(x[0])); },
        shapes);
    add(
        "pinv", is_tall ? "" : "wide", [](const Tensors& x) { return linalg::pinv(full(x[0])); }, shapes);
  }
  add(
      "eigh", "", [](const Tensors& x) { return square(linalg::eigh(symmetric(x[0])).vectors); }, squares);
  add(
      "eigh", "both",
      [](const Tensors& x) {
        const auto [values, vectors] = linalg::eigh(symmetric(x[0]));
        return unsqueeze(values, -2) * square(vectors);
      },
      squares);
  add(
      "eigvalsh", "", [](const Tensors& x) { return linalg::eigvalsh(symmetric(x[0])); }, squares);
  add("lstsq", "", [](const Tensors& x) { return linalg::lstsq(full(x[0]), x[1]); },
      {{{4, 2}, {4, 1}}, {{3, 3}, {3, 2}}, {{2, 3, 2}, {3, 2}}, {{4, 2}, {4}}});
  add("lstsq", "wide", [](const Tensors& x) { return linalg::lstsq(full(x[0]), x[1]); },
      {{{2, 4}, {2, 1}}, {{2, 3}, {2, 2, 1}}});
  const auto contraction = [&](const char* subscripts, Sets shapes) {
    add(
        "einsum", subscripts, [subscripts](const Tensors& x) { return einsum(subscripts, x); },
        std::move(shapes));
  };
  contraction("bij,bjk->bik", {{{2, 2, 3}, {2, 3, 2}}, {{1, 1, 2}, {1, 2, 1}}, {{2, 2, 0}, {2, 0, 3}}});
  contraction("bji,kbj->ikb", {{{2, 2, 3}, {2, 2, 2}}});
  contraction("ii->i", {{{3, 3}}, {{0, 0}}});
  contraction("ijii->j", {{{2, 3, 2, 2}}});
  contraction("ij,ij->i", {{{2, 3}, {2, 3}}});
  contraction("i,j", {{{2}, {3}}});
  contraction("ij,jk,kl->il", {{{2, 3}, {3, 4}, {4, 2}}});
  contraction("...ij,...jk->...ik", {{{2, 1, 2, 3}, {3, 3, 2}}, {{2, 3}, {2, 3, 1}}});
  contraction("ij,kj", {{{2, 3}, {2, 3}}, {{2, 1}, {2, 3}}});
}

}  // namespace xtape::test
