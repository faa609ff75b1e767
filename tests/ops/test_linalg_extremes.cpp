// Linear algebra where there is little to compute with: no matrix, no row, NaN and infinity, numbers near the
// ends of their type, matrices near singular ones.
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "../check_close.hpp"
#include "../check_error.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

template <class T>
struct MatrixFunction {
  std::string name;
  bool of_squares;
  double degree;  ///< f(c A) = c^degree f(A); NaN where there is none
  std::function<Tensor<T>(const Tensor<T>&)> f;
};

constexpr double no_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

template <class T>
std::vector<MatrixFunction<T>> matrix_functions() {
  using X = const Tensor<T>&;
  const auto right = [](X a) { return ones<T>({a.shape(-2), 2}); };
  return {
      {"cholesky", true, 0.5, [](X a) { return linalg::cholesky(a); }},
      {"cho_solve", true, -1, [=](X a) { return linalg::cho_solve(linalg::cholesky(a), right(a)); }},
      {"solve_triangular", true, -1, [=](X a) { return linalg::solve_triangular(a, right(a)); }},
      {"solve", true, -1, [=](X a) { return linalg::solve(a, right(a)); }},
      {"inv", true, -1, [](X a) { return linalg::inv(a); }},
      {"det", true, 2, [](X a) { return linalg::det(a); }},
      {"slogdet", true, no_number, [](X a) { return linalg::slogdet(a).logabsdet; }},
      {"matrix_power", true, -1, [](X a) { return linalg::matrix_power(a, -1); }},
      {"matrix_power 0", true, 0, [](X a) { return linalg::matrix_power(a, 0); }},
      {"expm", true, no_number, [](X a) { return linalg::expm(a); }},
      {"eigvalsh", true, 1, [](X a) { return linalg::eigvalsh(a); }},
      {"eigh", true, 0, [](X a) { return square(linalg::eigh(a).vectors); }},
      {"Q", false, 0, [](X a) { return linalg::qr(a)[0]; }},
      {"R", false, 1, [](X a) { return linalg::qr(a)[1]; }},
      {"svdvals", false, 1, [](X a) { return linalg::svdvals(a); }},
      {"U", false, 0, [](X a) { return square(linalg::svd(a).U); }},
      {"Vh", false, 0, [](X a) { return square(linalg::svd(a).Vh); }},
      {"lstsq", false, -1, [=](X a) { return linalg::lstsq(a, right(a)); }},
      {"pinv", false, -1, [](X a) { return linalg::pinv(a); }},
      {"einsum", false, 2,
       [](X a) {
         return einsum("...ij,...kj->...ik", {a, a});
       }},
  };
}

/// A number that all elements are part of, differently.
template <class T>
Tensor<T> weighted_sum(const Tensor<T>& y) {
  return sum(flatten(y) * cos(arange<T>(static_cast<T>(y.size()))));
}

bool all_finite(const Tensor<double>& x) { return sum(isfinite(x)).item() == static_cast<double>(x.size()); }

}  // namespace

TEST_CASE("a batch of no matrix, and matrices without rows or columns, have values and derivatives") {
  for (const auto& one : matrix_functions<double>())
    for (const Shape& shape :
         {Shape{0, 2, 2}, Shape{0, 0}, Shape{2, 0, 0}, Shape{0, 3}, Shape{3, 0}, Shape{2, 1, 0}}) {
      if (one.of_squares && shape.end()[-1] != shape.end()[-2]) continue;
      CAPTURE(one.name);
      CAPTURE(shape);
      const auto x = parameter(zeros<double>(shape));
      const Tensor<double> y = one.f(x);
      CHECK(all_finite(y));
      const auto g = grad(sum(y), x, {.create_graph = true});
      CHECK(g.shape() == shape);
      if (g.requires_grad()) CHECK(grad(sum(g), x).shape() == shape);
      CHECK(jvp(one.f, x.detach(), zeros<double>(shape)).second.shape() == y.shape());
    }
  CHECK(linalg::det(zeros<double>({0, 0})).item() == 1);
  CHECK(linalg::slogdet(zeros<double>({0, 0})).sign.item() == 1);
  CHECK(linalg::slogdet(zeros<double>({0, 0})).logabsdet.item() == 0);
  check_close(linalg::lstsq(zeros<double>({0, 3}), zeros<double>({0, 1})), zeros<double>({3, 1}), 0);
  CHECK(linalg::svd(zeros<double>({3, 0})).U.shape() == Shape{3, 0});
  CHECK(linalg::qr(zeros<double>({0, 3}))[1].shape() == Shape{0, 3});
  check_close(einsum("ij,kj", {zeros<double>({2, 0}), zeros<double>({3, 0})}), zeros<double>({2, 3}), 0);
}

TEST_CASE("a matrix of one number is that number") {
  const double a = 4, c = std::cos(1);
  const auto expected = [&](const std::string& name) -> std::pair<double, double> {  // of the first element
    if (name == "cholesky") return {2, 0.25};
    if (name == "cho_solve" || name == "solve" || name == "solve_triangular" || name == "lstsq")
      return {1 / a, -(1 + c) / (a * a)};
    if (name == "inv" || name == "pinv" || name == "matrix_power") return {1 / a, -1 / (a * a)};
    if (name == "slogdet") return {std::log(a), 1 / a};
    if (name == "expm") return {std::exp(a), std::exp(a)};
    if (name == "einsum") return {a * a, 2 * a};
    if (name == "det" || name == "eigvalsh" || name == "svdvals") return {a, 1};
    if (name == "R") return {a, 1};
    return {1, 0};
  };
  for (const auto& one : matrix_functions<double>()) {
    CAPTURE(one.name);
    const auto x = parameter<double>({{a}});
    const Tensor<double> y = one.f(x);
    const auto [value, slope] = expected(one.name);
    CHECK(std::abs(y.data()[0]) == doctest::Approx(value).epsilon(1e-14));
    CHECK(grad(weighted_sum(y), x).item() ==
          doctest::Approx(slope * (y.data()[0] < 0 ? -1 : 1)).epsilon(1e-13));
  }
}

TEST_CASE("NaN and infinity: an error where iterations would end with any number, else what they lead to") {
  const std::string by_iteration = "is an element infinite or NaN?";
  for (const std::size_t n : std::initializer_list<std::size_t>{1, 2, 3, 40})
    for (const double bad : {no_number, infinity, -infinity})
      for (const std::size_t at : {std::size_t{0}, n * n - 1, (n - 1) * n}) {
        CAPTURE(n);
        CAPTURE(bad);
        CAPTURE(at);
        Tensor<double> A = 2 * eye<double>(n) + 0.1;
        A.mutable_data()[at] = bad;
        for (const auto& one : matrix_functions<double>()) {
          CAPTURE(one.name);
          if (one.name == "eigvalsh" || one.name == "eigh") {
            check_error([&] { (void)one.f(A); }, {"[eigh]", by_iteration});
          } else if (one.name == "svdvals" || one.name == "U" || one.name == "Vh" || one.name == "lstsq" ||
                     one.name == "pinv") {
            check_error([&] { (void)one.f(A); }, {"[svd]", by_iteration});
          } else if (one.name == "expm") {
            check_error([&] { (void)one.f(A); }, {"[expm] an element is infinite or NaN"});
          } else if (one.name == "matrix_power 0") {
            check_close(one.f(A), eye<double>(n), 0);
          } else if (one.name == "cholesky") {
            if (std::isnan(bad) || bad < 0) check_error([&] { (void)one.f(A); }, {"[cholesky] not positive"});
          } else if (std::isnan(bad) && one.name != "cho_solve" && one.name != "Q") {  // R tells
            CHECK(!all_finite(one.f(A)));
          } else {  // whatever comes of it, it comes
            try {
              (void)one.f(A);
            } catch (const Error&) {}
          }
        }
      }
  // The gradient of a determinant that is NaN is NaN.
  const auto nans = parameter<double>({{0, 0}, {0, no_number}});
  CHECK(!all_finite(grad(linalg::det(nans), nans)));
  // What is above the diagonal of the gradient of a factor, NaN here, does not count.
  const auto C = parameter<double>({{4, 1}, {1, 3}});
  check_close(grad(sum(diag(log(linalg::cholesky(C)))), C), grad(sum(log(diag(linalg::cholesky(C)))), C),
              1e-15);
  // Above the diagonal a symmetric matrix is not read.
  check_close(linalg::eigvalsh(Tensor<double>{{4, no_number}, {0, 3}}), Tensor<double>{3, 4}, 1e-15);
  // One matrix of a batch is named.
  check_error(
      [] {
        (void)linalg::eigvalsh(Tensor<double>{{{1}}, {{no_number}}});
      },
      {"[eigh]", "matrix 1 of the batch"});
  check_error(
      [] {
        (void)linalg::svd(Tensor<double>{{{1}}, {{infinity}}});
      },
      {"[svd]", "matrix 1 of the batch"});
  check_error(
      [] {
        (void)linalg::expm(Tensor<double>{{{1}}, {{no_number}}});
      },
      {"[expm]", "matrix 1 of the batch"});
  check_error(
      [] {
        (void)linalg::cholesky(Tensor<double>{{{1}}, {{no_number}}});
      },
      {"order 1, matrix 1 of the batch"});
  // As NumPy's: the sign of NaN is no sign, and the logarithm tells.
  const auto [sign, log] = linalg::slogdet(Tensor<double>{{1, 0}, {0, no_number}});
  CHECK(sign.item() == 1);
  CHECK(std::isnan(log.item()));
}

/// All are as exact for 2^±exponent A as they are for A, and so are gradients.
template <class T>
void check_scales(int exponent, double close) {
  const Tensor<T> A{{4, 1}, {1, 3}};
  for (const auto& one : matrix_functions<T>())
    for (const int e : {exponent, -exponent}) {
      if (std::isnan(one.degree)) continue;
      CAPTURE(one.name);
      CAPTURE(e);
      const auto scale = [&](double power) {
        return static_cast<T>(std::ldexp(1, static_cast<int>(e * power)));
      };
      const auto x = parameter(A), z = parameter(A * scale(1));
      const Tensor<T> y = one.f(x), w = one.f(z);
      check_close(w / scale(one.degree), y, close, close);
      check_close(grad(weighted_sum(w), z) / scale(one.degree - 1), grad(weighted_sum(y), x), close, close);
      const Tensor<T> v{{0.5, -1}, {2, 1}};
      check_close(jvp(one.f, z.detach(), v).second / scale(one.degree - 1), jvp(one.f, x.detach(), v).second,
                  close, close);
    }
}

TEST_CASE("matrices scaled by 1e±150, in float by 1e±18, have the scaled results and gradients") {
  check_scales<double>(498, 1e-14);
  check_scales<float>(60, 1e-5);
  for (const double scale : {1e150, 1e-150}) {
    const auto x = parameter(scale * Tensor<double>{{4, 1}, {1, 3}});
    const Tensor<double> log = linalg::slogdet(x).logabsdet;
    CHECK(log.item() == doctest::Approx(std::log(11) + 2 * std::log(scale)).epsilon(1e-14));
    check_close(grad(log, x), Tensor<double>{{3, -1}, {-1, 4}} / scale / 11, 1e-14);
  }
}

TEST_CASE(
    "a determinant is there where the product of its first factors is not, and its gradient where it is "
    "not") {
  const auto diagonal = [](const Tensor<double>& x) { return linalg::det(diag(x)); };
  for (const Tensor<double>& x :
       {Tensor<double>{1e200, 1e200, 1e-200, 2e-200}, Tensor<double>{1e-200, 1e-200, 1e200, 2e200}})
    CHECK(diagonal(x).item() == doctest::Approx(2).epsilon(1e-14));
  for (const double scale : {1e200, 1e-200}) {
    const auto x = parameter(scale * Tensor<double>{{4, 1}, {1, 3}});
    const Tensor<double> y = linalg::det(x);
    CHECK(y.item() == (scale > 1 ? infinity : 0));
    check_close(grad(y, x), scale * Tensor<double>{{3, -1}, {-1, 4}}, 1e-15);
  }
  // Numerically singular: by singular values. Eigen divides by the largest element first, so that smaller
  // ones than 1e-308 of it are 0.
#ifdef XTAPE_WITHOUT_BLAS
  const double large = 1e150, small = 1e-150;
#else
  const double large = 1e200, small = 1e-200;
#endif
  const auto x = parameter<double>({large, large, small, 2 * small});
  check_close(grad(diagonal(x), x), Tensor<double>{2 * small, 2 * small, 2 * large, large}, 1e-13);
}

TEST_CASE("the exponential of large matrices is infinite where it is too large, and exact where it is not") {
  check_close(linalg::expm(1e150 * Tensor<double>{{4, 1}, {1, 3}}),
              Tensor<double>{{infinity, infinity}, {infinity, infinity}}, 0);
  check_close(linalg::expm(Tensor<double>{{0, 1e150}, {0, 0}}), Tensor<double>{{1, 1e150}, {0, 1}}, 1e-13);
  const auto x = parameter(1e-150 * Tensor<double>{{4, 1}, {1, 3}});
  check_close(grad(sum(linalg::expm(x)), x), ones<double>({2, 2}), 1e-15);
  // Linear in the adjoint, whatever its size, and none is an error.
  const auto z = parameter<double>({{0.4, 1}, {-0.2, 0.3}});
  const Tensor<double> seed{{1, -2}, {0.5, 3}}, y = linalg::expm(z),
                                                g = grad(y, z, {.seed = seed, .retain_tape = true});
  for (const double scale : {1e-300, 1e-10, 1e10, 1e300})
    check_close(grad(y, z, {.seed = scale * seed, .retain_tape = true}) / scale, g, 1e-14);
  for (const double bad : {no_number, infinity})
    CHECK(!all_finite(grad(y, z, {.seed = bad * seed, .retain_tape = true})));
  const Tensor<double> below{{-1, -2}, {-0.5, 1e-12}};
  check_close(grad(y, z, {.seed = below, .retain_tape = true}),
              -grad(y, z, {.seed = -below, .retain_tape = true}), 1e-14);
  check_close(grad(y, z, {.seed = 0 * seed}), zeros<double>({2, 2}), 0);
}

TEST_CASE("near a singular matrix: solved as it is, and of lower rank for least squares") {
  const double small = std::ldexp(1, -51);
  const Tensor<double> A{{1, 1}, {1, 1 + small}}, B{{1}, {1 + small}};
  check_close(linalg::solve(A, B), Tensor<double>{{0}, {1}}, 0);
  check_close(matmul(A, linalg::inv(A)), eye<double>(2), 0);
  CHECK(linalg::det(A).item() == small);
  CHECK(linalg::slogdet(A).logabsdet.item() == doctest::Approx(-51 * std::log(2)).epsilon(1e-15));
  check_close(linalg::cholesky(A), Tensor<double>{{1, 0}, {1, std::sqrt(small)}}, 1e-15);
  CHECK(linalg::svdvals(A).data()[1] > small / 4);
  CHECK(linalg::svdvals(A).data()[1] < small);
  const auto x = parameter(A);
  check_close(grad(linalg::det(x), x), Tensor<double>{{1 + small, -1}, {-1, 1}}, 1e-15);
  const Tensor<double> half{{0.25, 0.25}, {0.25, 0.25}};
  check_close(linalg::pinv(A), half, 1e-14);
  check_close(linalg::lstsq(A, B), matmul(half, B), 1e-14);
  CHECK(std::abs(linalg::pinv(A, 0.0).data()[0]) > 0.1 / small);
  check_error(
      [] {
        (void)linalg::solve(Tensor<double>{{1, 1}, {1, 1}}, ones<double>({2}));
      },
      {"singular at pivot 2"});
  check_error(
      [&] {
        (void)linalg::cholesky(Tensor<double>{{1, 1}, {1, 1 - small}});
      },
      {"the leading minor of order 2"});
  // Eigenvalues apart by little: the gradients of vectors are large, and right.
  const double gap = 1e-9, turn = 0.3;
  const Tensor<double> R{{std::cos(turn), -std::sin(turn)}, {std::sin(turn), std::cos(turn)}};
  const auto S = parameter(matmul(R * Tensor<double>{1, 1 + gap}, transpose(R)));
  const Tensor<double> g = grad(slice(square(linalg::eigh(S).vectors), 0, 0), S);
  // v = (cos φ, sin φ) of the least eigenvalue turns by dφ = -uᵀ dS v / gap, u across v: d cos² φ = -sin 2φ
  // dφ.
  const Tensor<double> across = matmul(R, Tensor<double>{{0, 1}, {1, 0}});
  check_close(g, std::sin(2 * turn) / gap * matmul(across, transpose(R)) / 2, 1e-5);
}
