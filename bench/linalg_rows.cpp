// The rows of linear algebra: a Gaussian process, a filter, batches of small matrices, and the product that
// takes the place of BLAS in a build without it.
#include <autodiff/kernels/kernel_table.hpp>

#include "data.hpp"
#include "hand_written.hpp"
#include "linalg_data.hpp"
#include "torch_peers.hpp"

namespace bench {
namespace {

using xtape::Tensor;
namespace linalg = xtape::linalg;

/// The negative log likelihood of observations y at x; see examples/gaussian_process.
struct Process {
  Tensor<double> x, y, parameters, gradient;
  bool with_gradient;

  explicit Process(const ProcessData& data)
      : x(tensor(data.x, {data.x.size()})),
        y(tensor(data.y, {data.y.size()})),
        parameters(parameter(data.parameters, {3})),
        with_gradient(data.with_gradient) {}

  Tensor<double> value() const {
    const auto amplitude = slice(parameters, 0), length = slice(parameters, 1), noise = slice(parameters, 2);
    const Tensor<double> K =
        map([](auto a, auto b, auto s, auto l) { return exp(s - square((a - b) * exp(-l)) / 2); },
            unsqueeze(x, 1), unsqueeze(x, 0), amplitude, length);
    const Tensor<double> L = linalg::cholesky(K + exp(noise) * xtape::eye<double>(x.size()));
    return sum(square(linalg::solve_triangular(L, y))) / 2 + sum(log(diag(L)));
  }
  void run() {
    if (with_gradient) {
      gradient = grad(value(), parameters);
    } else {
      const xtape::NoGrad off;
      gradient = value();
    }
  }
  std::vector<double> gradients() const { return flat(gradient); }
};

ProcessData process_data(std::size_t n, bool with_gradient) {
  return {normal<double>(n), normal<double>(n), {0.1, -0.3, -1.0}, with_gradient};
}
template <std::size_t n, bool with_gradient>
Comparison process() {
  const ProcessData data = process_data(n, with_gradient);
  return {side<Process>(data), {}, {}, torch_peers::process(data), {}, 1e-8};
}
/// The gradient beside the value alone.
template <std::size_t n>
Comparison process_beside_value() {
  Side value = side<Process>(process_data(n, false));
  value.gradients = {};
  return {side<Process>(process_data(n, true)), {}, {}, {}, value, 1e-8};
}

/// A Kalman filter of two states, both observed: its log likelihood, compiled.
struct Filter {
  Tensor<double> z, logarithms;
  xtape::Compiled<std::function<Tensor<double>()>> compiled{[this] { return value(); }};

  explicit Filter(const FilterData& data)
      : z(tensor(data.z, {data.z.size() / 2, 2})), logarithms(parameter(data.logarithms, {4})) {}

  Tensor<double> value() const {
    const Tensor<double> F{{1, 0.1}, {0, 1}}, I = xtape::eye<double>(2);
    const Tensor<double> Q = diag(exp(slice(logarithms, xt::range(0, 2)))),
                         R = diag(exp(slice(logarithms, xt::range(2, 4))));
    Tensor<double> x = xtape::zeros<double>({2, 1}), P = I, total(0.0);
    for (std::size_t t = 0; t < z.shape(0); ++t) {
      x = matmul(F, x);
      P = matmul(matmul(F, P), transpose(F)) + Q;
      const Tensor<double> S = P + R, e = unsqueeze(slice(z, static_cast<int>(t)), 1) - x;
      const Tensor<double> K = transpose(linalg::solve(S, P));
      total = total + sum(e * linalg::solve(S, e)) + linalg::slogdet(S).logabsdet;
      x = x + matmul(K, e);
      P = matmul(I - K, P);
    }
    return total;
  }
  void run() {
    logarithms.zero_grad();
    compiled.backward();
  }
  std::vector<double> gradients() const { return flat(logarithms.grad()); }
};

Comparison filter() {
  const FilterData data{normal<double>(1000), {-1.0, -2.0, -1.0, -1.0}};
  return {side<Filter>(data), {}, {}, torch_peers::filter(data), {}, 1e-8};
}

/// 1,000 matrices (8, 8).
template <BatchData::Kind kind>
struct Batch {
  Tensor<double> A, b, result;

  explicit Batch(const BatchData& data) : A(tensor(data.A, {1000, 8, 8})), b(tensor(data.b, {1000, 8, 1})) {}

  void run() {
    if constexpr (kind == BatchData::cholesky)
      result = linalg::cholesky(A);
    else if constexpr (kind == BatchData::solve)
      result = linalg::solve(A, b);
    else
      result = linalg::inv(A);
  }
  std::vector<double> gradients() const { return flat(result); }
};

template <BatchData::Kind kind>
Comparison batch() {
  const Tensor<double> a = xtape::random::normal<double>({1000, 8, 8});
  const Tensor<double> A = matmul(a, transpose(a, {0, 2, 1})) + xtape::eye<double>(8);
  const BatchData data{kind, {A.begin(), A.end()}, normal<double>(8000)};
  return {side<Batch<kind>>(data), {}, {}, torch_peers::batch(data), {}, 1e-7};
}

/// C = op(A) B of (512, 512), by the library's kernel or by BLAS.
template <bool own, bool transpose_a>
struct Product {
  static constexpr std::size_t n = 512;
  std::vector<float> A = normal<float>(n * n), B = normal<float>(n * n), C = std::vector<float>(n * n);

  void run() {
    if constexpr (own)
      xtape::detail::kernels<float>().blocked_gemm(transpose_a, false, n, n, n, A.data(), n, B.data(), n,
                                                   false, C.data(), n);
    else
      hand_written::product(transpose_a, false, n, n, n, A.data(), B.data(), false, C.data());
  }
  std::vector<double> gradients() const { return flat(C); }
};

template <bool transpose_a>
Comparison product() {
  xtape::random::seed(1);
  const Side own = side<Product<true, transpose_a>>();
  xtape::random::seed(1);
  return {own, side<Product<false, transpose_a>>(), {}, {}, {}};
}

}  // namespace

std::vector<Row> linalg_rows() {
  return {
      row("Gaussian process of 200 points, gradient", process<200, true>, {faster_than_libtorch(1)}),
      row("the same, beside its value", process_beside_value<200>, {within_baseline(3, "the value")}),
      row("Gaussian process of 1,000 points, gradient", process<1000, true>, {faster_than_libtorch(1)}),
      row("Kalman filter, 500 steps, compiled", filter, {faster_than_libtorch(49), at_most(2.5e-3, "time")}),
      row("cholesky, 1,000 matrices (8, 8)", batch<BatchData::cholesky>, {faster_than_libtorch(3)}),
      row("solve, 1,000 matrices (8, 8)", batch<BatchData::solve>, {faster_than_libtorch(3)}),
      row("inv, 1,000 matrices (8, 8)", batch<BatchData::inv>, {faster_than_libtorch(3)}),
      row("product (512, 512) without BLAS, beside BLAS", product<false>, {within_hand_written(2)}),
      row("the same, of a transposed matrix", product<true>, {within_hand_written(2)}),
  };
}

}  // namespace bench
