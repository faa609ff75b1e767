// Linear algebra beyond the rows of the table: identities at all sizes, what has no answer, errors, float,
// threads, einsum against loops.
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <autodiff/linalg/lapack.hpp>
#include <xtensor/xview.hpp>

#include "../check_close.hpp"
#include "../check_error.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

using Matrix = Tensor<double>;

Matrix T_(const Matrix& a) {
  Axes order;
  for (std::size_t i = 0; i < a.rank(); ++i) order.push_back(static_cast<std::ptrdiff_t>(i));
  std::swap(order.end()[-1], order.end()[-2]);
  return transpose(a, order);
}
Matrix normal(const Shape& shape) { return random::normal<double>(shape); }
Matrix positive(const Shape& shape) {
  const Matrix a = normal(shape);
  return matmul(a, T_(a)) + eye<double>(a.shape(-1));
}
bool has_nan_or_infinity(const Matrix& a) {
  for (const double x : a.value())
    if (!std::isfinite(x)) return true;
  return false;
}

}  // namespace

TEST_CASE("factors multiply to the matrix, solutions solve, at sizes of every path") {
  random::seed(1);
  for (const std::size_t n : std::initializer_list<std::size_t>{1, 2, 3, 5, 8, 13, 33, 70})
    for (const Shape& batch : {Shape{}, Shape{3}, Shape{2, 2}}) {
      CAPTURE(n);
      const auto of = [&](std::size_t rows, std::size_t columns) {
        Shape s = batch;
        s.push_back(rows);
        s.push_back(columns);
        return s;
      };
      const Matrix A = normal(of(n, n)), S = positive(of(n, n)), B = normal(of(n, 4));
      const double close = 1e-12 * static_cast<double>(n * n);
      const Matrix L = linalg::cholesky(S);
      check_close(matmul(L, T_(L)), S, close, close);
      check_close(tril(L), L, 0);
      check_close(matmul(S, linalg::cho_solve(L, B)), B, close, close);
      check_close(matmul(S, linalg::solve(S, B)), B, close, close);
      check_close(matmul(L, linalg::solve_triangular(L, B)), B, close, close);
      check_close(matmul(T_(L), linalg::solve_triangular(L, B, {.transpose = true})), B, close, close);
      check_close(matmul(T_(L), linalg::solve_triangular(T_(L), B, {.lower = false})), B, close, close);
      check_close(matmul(S, linalg::inv(S)), broadcast_to(eye<double>(n), S.shape()), close, close);
      const auto [sign, log] = linalg::slogdet(A);
      check_close(sign * exp(log), linalg::det(A), close, close);
      for (const Matrix& X : {A, normal(of(n + 3, n)), normal(of(n, n + 3))}) {
        const auto [Q, R] = linalg::qr(X);
        check_close(matmul(Q, R), X, close, close);
        check_close(matmul(T_(Q), Q), broadcast_to(eye<double>(n), matmul(T_(Q), Q).shape()), close, close);
        check_close(triu(R), R, 0);
        const auto [U, s, Vh] = linalg::svd(X);
        check_close(matmul(U * unsqueeze(s, -2), Vh), X, close, close);
        CHECK(min(s).item() >= 0);
        const Matrix P = linalg::pinv(X);
        check_close(matmul(matmul(X, P), X), X, 10 * close, 10 * close);
        check_close(matmul(P, B.rank() == X.rank() && X.shape(-2) == n ? B : X),
                    linalg::lstsq(X, X.shape(-2) == n ? B : X), 10 * close, 10 * close);
      }
      const auto [w, V] = linalg::eigh(S);
      check_close(matmul(V * unsqueeze(w, -2), T_(V)), S, close, close);
      check_close(linalg::eigvalsh(S), w, 0);
    }
}

TEST_CASE("known numbers") {
  const Matrix A{{4, 2}, {2, 3}};
  check_close(linalg::cholesky(A), Matrix{{2, 0}, {1, std::sqrt(2)}}, 1e-15);
  check_close(linalg::det(A), Matrix(8.0), 1e-15);
  const Matrix range{{0, 1e200, 0, 0}, {1e200, 0, 0, 0}, {0, 0, 1e-200, 0}, {0, 0, 0, -1e-200}};
  check_close(linalg::det(range), Matrix(1.0), 1e-15);  // not a product on the way overflows
  check_close(linalg::inv(A), Matrix{{0.375, -0.25}, {-0.25, 0.5}}, 1e-15);
  check_close(linalg::eigvalsh(A), Matrix{(7 - std::sqrt(17)) / 2, (7 + std::sqrt(17)) / 2}, 1e-15);
  check_close(linalg::expm(Matrix{{0, -1}, {1, 0}}),
              Matrix{{std::cos(1), -std::sin(1)}, {std::sin(1), std::cos(1)}}, 1e-15);
  check_close(
      linalg::expm(Matrix{{-49, 24}, {-64, 31}}),  // Moler and Van Loan's, by its eigenvalues -1 and -17
      Matrix{{-0.735759, 0.551819}, {-1.471518, 1.103638}}, 1e-5);
  check_close(linalg::matrix_power(Matrix{{1, 1}, {1, 0}}, 10), Matrix{{89, 55}, {55, 34}}, 1e-14);
  const Matrix nan = full<double>({3, 2, 2}, std::numeric_limits<double>::quiet_NaN());
  check_close(linalg::matrix_power(nan, 0), broadcast_to(eye<double>(2), {3, 2, 2}), 0);
  check_close(linalg::lstsq(Matrix{{1, 0}, {1, 1}, {1, 2}}, Matrix{1, 2, 4}), Matrix{5.0 / 6, 1.5}, 1e-14);
  check_close(linalg::pinv(Matrix{{1, 1}, {1, 1}}), Matrix{{0.25, 0.25}, {0.25, 0.25}}, 1e-15);
  const auto [sign, log] = linalg::slogdet(-A);
  CHECK(sign.item() == 1);
  check_close(linalg::slogdet(Matrix(200 * eye<double>(300))).logabsdet, Matrix(300 * std::log(200.0)),
              1e-14);
}

TEST_CASE("work for LAPACK is at least what it asks for, also where that is rounded to float") {
  for (const int n : {1, 1000, (1 << 24) + 1, (1 << 24) + 3, (1 << 30) + 1}) {
    CHECK(detail::lapack::work_length(static_cast<float>(n)) >= n);
    CHECK(detail::lapack::work_length(static_cast<double>(n)) == n);
  }
  CHECK(detail::lapack::work_length(0.0f) == 1);
  CHECK(detail::lapack::work_length(1e10f) == std::numeric_limits<int>::max());
}

TEST_CASE("the gradient of the factor by blocks is that of the formula") {
  random::seed(3);
  for (const std::size_t n : std::initializer_list<std::size_t>{1, 7, 64, 65, 150}) {
    const Matrix S = positive({n, n}) + 3 * eye<double>(n), seed = normal({n, n});
    const auto x = parameter(S);
    const Matrix L = linalg::cholesky(x);
    const Matrix by_blocks = grad(L, x, {.seed = seed, .retain_tape = true}),
                 by_formula = grad(L, x, {.seed = seed, .create_graph = true});
    check_close(by_blocks, by_formula, 1e-10, 1e-11);
  }
}

TEST_CASE("a determinant of a singular matrix has its gradient, the cofactors") {
  const auto A = parameter<double>({{1, 2, 3}, {4, 5, 6}, {7, 8, 9}});
  const Matrix y = linalg::det(A);
  CHECK(std::abs(y.item()) < 1e-14);
  check_close(grad(y, A), Matrix{{-3, 6, -3}, {6, -12, 6}, {-3, 6, -3}}, 1e-13, 1e-13);
  const auto zero = parameter(zeros<double>({2, 2}));
  check_close(grad(linalg::det(zero), zero), zeros<double>({2, 2}), 0);
  const auto rank_1 = parameter<double>({{0, 0}, {0, 5}});
  check_close(grad(linalg::det(rank_1), rank_1), Matrix{{5, 0}, {0, 0}}, 1e-15, 1e-15);
  CHECK(linalg::slogdet(rank_1.detach()).sign.item() == 0);
  CHECK(linalg::slogdet(rank_1.detach()).logabsdet.item() == -std::numeric_limits<double>::infinity());
}

TEST_CASE(
    "equal eigenvalues: what does not depend on the choice of vectors is right, the rest is not hidden") {
  const auto A = parameter<double>({{2, 0, 0}, {0, 2, 0}, {0, 0, 5}});
  // tr exp(A) = sum exp(w): the gradient is exp(A).
  check_close(grad(sum(exp(linalg::eigvalsh(A))), A), linalg::expm(A.detach()), 1e-12, 1e-12);
  const Matrix pick = random::normal<double>({3, 3});
  CHECK(has_nan_or_infinity(grad(sum(linalg::eigh(A).vectors * pick), A)));
  const auto x = parameter(eye<double>(2) * 3.0);
  check_close(grad(sum(linalg::svdvals(x)), x), eye<double>(2), 1e-15, 1e-15);
  CHECK(has_nan_or_infinity(grad(sum(linalg::svd(x).U * Matrix{{1, 2}, {3, 4}}), x)));
  // Of the nuclear norm of a matrix of rank 1, the part that is determined.
  const auto thin = parameter<double>({{3, 0}, {0, 0}, {4, 0}});
  const Matrix g = grad(slice(linalg::svdvals(thin), 0), thin);
  check_close(g, Matrix{{0.6, 0}, {0, 0}, {0.8, 0}}, 1e-15, 1e-15);
}

TEST_CASE("symmetric arguments: the lower triangle is read, and the gradient is symmetric") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto A = parameter<double>({{4, nan}, {2, 3}});
  const Matrix L = linalg::cholesky(A);
  check_close(L, Matrix{{2, 0}, {1, std::sqrt(2)}}, 1e-15);
  const Matrix g = grad(sum(L), A);
  CHECK(g.value()(0, 1) == g.value()(1, 0));
  const Matrix gw = grad(sum(square(linalg::eigvalsh(A))), A);  // tr A², of which the gradient is 2 A
  check_close(gw, Matrix{{8, 4}, {4, 6}}, 1e-13, 1e-13);
}

TEST_CASE("errors name what fails, and where") {
  const Matrix indefinite{{1, 2}, {2, 1}}, singular{{1, 2}, {2, 4}}, wide{{1, 2, 3}, {4, 5, 6}};
  check_error([&] { (void)linalg::cholesky(indefinite); },
              {"[cholesky]", "not positive definite: the leading minor of order 2"});
  const Matrix batch = stack({Matrix(eye<double>(2)), indefinite});
  check_error([&] { (void)linalg::cholesky(batch); }, {"order 2, matrix 1 of the batch"});
  check_error([&] { (void)linalg::cholesky(unsqueeze(batch, 0)); }, {"matrix (0, 1) of the batch"});
  Matrix many = broadcast_to(eye<double>(8), {8000, 8, 8});  // on several threads
  for (const std::size_t i : std::initializer_list<std::size_t>{7999, 702, 701})
    many.mutable_data()[i * 64 + (i == 701 ? 45 : 0)] = -1;
  const int threads = num_threads();
  set_num_threads(3);
  check_error([&] { (void)linalg::cholesky(many); }, {"order 6", "matrix 701 of the batch"});
  set_num_threads(threads);
  const std::size_t above_int = std::size_t(1) << 31;
  check_error(
      [&] {
        (void)linalg::svd(zeros<double>(Shape{above_int, 0}));
      },
      {"[linalg] a dimension of 2147483648 is more than LAPACK counts"});
  check_error([&] { (void)linalg::cholesky(wide); }, {"[cholesky] shape (2, 3): the matrix must be square"});
  check_error([&] { (void)linalg::solve(singular, indefinite); }, {"[solve] singular at pivot 2", "lstsq()"});
  check_error([&] { (void)linalg::inv(singular); }, {"[inv] singular at pivot 2"});
  check_error(
      [&] {
        (void)linalg::solve(indefinite, Matrix{1, 2, 3});
      },
      {"[solve]", "(2, 2) of A", "A has 2 rows, and B 3"});
  check_error(
      [&] {
        (void)linalg::solve_triangular(Matrix{{1, 0}, {1, 0}}, indefinite);
      },
      {"[solve_triangular] singular at pivot 2"});
  check_error([&] { (void)linalg::inv(Matrix{1, 2}); }, {"[inv] shape (2,): a matrix", "unsqueeze"});
  check_error([&] { (void)linalg::eigh(wide); }, {"[eigh]", "square"});
  check_error([&] { (void)linalg::lstsq(wide, Matrix{1, 2, 3}); }, {"[lstsq]", "A has 2 rows, and B 3"});
  check_error([&] { (void)linalg::pinv(wide, -1.0); }, {"[pinv] rcond = -1"});
  check_error([&] { (void)linalg::qr(Matrix(1.0)); }, {"[qr] shape (): a matrix"});
  check_error([&] { (void)linalg::expm(Matrix{{std::numeric_limits<double>::infinity()}}); },
              {"[expm] an element is infinite or NaN"});
  const auto x = parameter(singular);
  const Matrix log = linalg::slogdet(x).logabsdet;
  check_error([&] { (void)grad(log, x); }, {"singular at pivot 2"});
  check_error([&] { (void)einsum("ij,jk->ik", {wide}); }, {"subscripts for 2 operands, and 1 are given"});
  check_error([&] { (void)einsum("ij->ik", {wide}); }, {"'k' is in the result, and in no operand"});
  check_error(
      [&] {
        (void)einsum("ij,jk", {wide, wide});
      },
      {"'j' is 3 and, in operand 1 of shape (2, 3), 2"});
  check_error([&] { (void)einsum("ij->ii", {wide}); }, {"'i' is twice in the result"});
  check_error([&] { (void)einsum("i", {wide}); }, {"operand 0 has 2 axes, and 1 subscripts"});
  check_error([&] { (void)einsum("i1", {wide}); }, {"'1' is no letter"});
  check_error([&] { (void)einsum("......", {wide}); }, {"two ellipses"});
  check_error([&] { (void)einsum("", std::vector<Matrix>{}); }, {"there is no operand"});
}

TEST_CASE("float gives what double gives, to float's precision") {
  const auto run = []<class T>(T) {
    random::seed(4);
    const Tensor<double> start = random::normal<double>({4, 4});
    const Tensor<T> x = parameter(start.astype<T>()), S = matmul(x, transpose(x)) + eye<T>(4) * T(2);
    const auto [w, V] = linalg::eigh(S);
    const auto [U, s, Vh] = linalg::svd(x);
    const auto [Q, R] = linalg::qr(S);
    const Tensor<T> y = sum(linalg::cholesky(S)) + sum(linalg::solve(S, x)) + linalg::det(x) +
                        linalg::slogdet(S).logabsdet + sum(linalg::expm(x * T(0.3))) + sum(w) +
                        sum(square(V)) + sum(s * s) + sum(square(Vh)) + sum(R) + sum(Q) +
                        sum(linalg::lstsq(S, x)) + sum(einsum("ij,kj->ik", {x, S}));
    return Tensor<double>(grad(y, x).template astype<double>());
  };
  check_close(run(1.0f), run(1.0), 2e-3, 2e-3);
}

TEST_CASE("the same bits for any number of threads, and of a batch as of its matrices") {
  random::seed(5);
  const Matrix S = positive({40, 20, 20}), B = normal({40, 20, 3});
  const auto all = [&] {
    const auto x = parameter(S);
    const Matrix y = sum(linalg::cholesky(x)) + sum(linalg::solve(x, B)) + sum(linalg::eigvalsh(x));
    return grad(y, x);
  };
  const int threads = num_threads();
  set_num_threads(1);
  const Matrix one = all();
  set_num_threads(3);
  check_close(all(), one, 0);
  // One matrix, of every size.
  for (std::size_t n = 1; n < 40; ++n) {
    CAPTURE(n);
    const Matrix A = positive({n, n}), b = normal({n, 2});
    const auto parts = [&] {
      const auto [w, V] = linalg::eigh(A);
      const auto [U, s, Vh] = linalg::svd(A);
      const auto [Q, R] = linalg::qr(A);
      return concatenate({V, U, Vh, Q, R, unsqueeze(w, 0), unsqueeze(s, 0), linalg::cholesky(A),
                          linalg::expm(A / 100), transpose(linalg::solve(A, b))});
    };
    set_num_threads(1);
    const Matrix alone = parts();
    set_num_threads(3);
    CHECK(same_bits(parts(), alone));
  }
  set_num_threads(threads);
  const Matrix inverses = linalg::inv(S);
  for (std::size_t i = 0; i < 40; i += 13)
    check_close(slice(inverses, static_cast<int>(i)), linalg::inv(slice(S, static_cast<int>(i))), 0);
}

TEST_CASE("einsum: what NumPy's gives") {
  const Matrix a = reshape(arange<double>(6.0), {2, 3}), b = reshape(arange<double>(12.0), {3, 4});
  check_close(einsum("ij,jk", {a, b}), matmul(a, b), 0);
  check_close(einsum("ij", {a}), a, 0);
  check_close(einsum("ba", {a}), transpose(a), 0);  // by the alphabet
  check_close(einsum("ij->", {a}), Matrix(15.0), 0);
  check_close(einsum(" i j , j k -> k i ", {a, b}), transpose(matmul(a, b)), 0);
  check_close(einsum("ij,ij->ij", {a, a}), square(a), 0);
  check_close(einsum("i,i", {Matrix{1, 2, 3}, Matrix{4, 5, 6}}), Matrix(32.0), 0);
  check_close(einsum("ii", {Matrix{{1, 2}, {3, 4}}}), Matrix(5.0), 0);
  check_close(einsum("ij,i->ij", {a, Matrix{2, 3}}), a * Matrix{{2}, {3}}, 0);
  check_close(einsum("...j->...", {a}), sum(a, 1), 0);
  check_close(einsum("ij,j", {a, Matrix{2.0}}), 2 * sum(a, 1), 0);  // a length of 1 is repeated
  check_close(einsum("ij,kj->", {a, Matrix{{1.0, 2.0, 3.0}}}), Matrix(sum(a * Matrix{1, 2, 3})), 0);
  check_close(einsum(",ij", {Matrix(3.0), a}), 3 * a, 0);
  random::seed(6);
  const Matrix x = normal({2, 3, 4}), y = normal({3, 5}), z = normal({5, 4, 2}), w = normal({5}),
               v = normal({4});
  const Matrix four = einsum("abc,bd,dca,d,c->ab", {x, y, z, w, v});
  for (std::size_t i = 0; i < 2; ++i)
    for (std::size_t j = 0; j < 3; ++j) {
      double total = 0;
      for (std::size_t c = 0; c < 4; ++c)
        for (std::size_t d = 0; d < 5; ++d)
          total += x.value()(i, j, c) * y.value()(j, d) * z.value()(d, c, i) * w.value()(d) * v.value()(c);
      CHECK(four.value()(i, j) == doctest::Approx(total).epsilon(1e-12));
    }
}

TEST_CASE("what a program reads of a factorisation: whole matrices, each of its own in a batch") {
  random::seed(7);
  const Matrix S = positive({2, 2, 2});
  const auto f = [](const Matrix& x) { return linalg::inv(x); };
  const auto sparse = sparse_jacobian(f, S);
  CHECK(sparse.values.size() == 2 * 4 * 4);
}
