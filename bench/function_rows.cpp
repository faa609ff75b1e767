// The rows about functions: chains, elementwise work, second derivatives, likelihoods.
#include "data.hpp"
#include "hand_written.hpp"
#include "tensor_mixture.hpp"
#include "torch_peers.hpp"
#include "tuned_peers.hpp"

namespace bench {
namespace {

using xtape::Tensor;

struct ChainOfSin {
  std::size_t n;
  Tensor<float> x, one;

  explicit ChainOfSin(const hand_written::ChainOfSin& data)
      : n(data.n), x(parameter(data.x, {data.x.size()})), one(xtape::ones<float>({data.x.size()})) {}

  void run() {
    Tensor<float> y = x;
    for (std::size_t i = 0; i < n; ++i) y = sin(y);
    x.zero_grad();
    y.backward({.seed = one});
  }
  std::vector<double> gradients() const { return flat(x.grad()); }
};

/// The same by compile().
struct CompiledChain : ChainOfSin {
  xtape::Compiled<std::function<Tensor<float>()>> compiled{[this] {
    Tensor<float> y = x;
    for (std::size_t i = 0; i < n; ++i) y = sin(y);
    return sum(y);
  }};
  using ChainOfSin::ChainOfSin;

  void run() { compiled.backward(); }
};

hand_written::ChainOfSin chain_data(std::size_t n) {
  hand_written::ChainOfSin data{};
  data.n = n;
  data.x = {0.1f, 0.2f, 0.3f, 0.4f};
  return data;
}

Side counted(Side side, std::size_t operations) {
  side.operations = static_cast<double>(operations);
  return side;
}

template <class Work>
Comparison short_chain() {
  const auto data = chain_data(100);
  return {counted(side<Work>(data), data.n), counted(side<hand_written::ChainOfSin>(data), data.n),
          counted(tuned_peers::side(data), data.n), counted(torch_peers::chain_of_sin(data), data.n)};
}

Comparison long_chain() {
  const auto data = chain_data(1'000'000);
  Side of_100 = counted(side<ChainOfSin>(chain_data(100)), 100);
  of_100.gradients = nullptr;  // of another function
  return {counted(side<ChainOfSin>(data), data.n),
          counted(side<hand_written::ChainOfSin>(data), data.n),
          counted(tuned_peers::side(data), data.n),
          {},
          of_100};
}

Tensor<float> fused_exp_sin(const Tensor<float>& x) {
  return xtape::map([](auto a) { return exp(a) * sin(a) + a * a; }, x);
}

Tensor<float> separate_exp_sin(const Tensor<float>& x) { return exp(x) * sin(x) + x * x; }

template <auto f, int threads = 1>
struct ExpSin {
  Tensor<float> x, g, gradient;

  explicit ExpSin(const hand_written::ExpSin& data)
      : x(parameter(data.x, {data.x.size()})), g(tensor(data.g, {data.x.size()})) {}

  void run() {
    if constexpr (threads != 1) xtape::set_num_threads(threads);
    gradient = grad(f(x), x, {.seed = g});
    if constexpr (threads != 1) xtape::set_num_threads(1);
  }
  std::vector<double> gradients() const { return flat(gradient); }
};

/// Separate operations by compile().
struct CompiledExpSin : ExpSin<separate_exp_sin> {
  xtape::Compiled<Tensor<float> (*)(const Tensor<float>&)> compiled{separate_exp_sin};
  using ExpSin<separate_exp_sin>::ExpSin;

  void run() { gradient = grad(compiled(x), x, {.seed = g}); }
};

hand_written::ExpSin exp_sin_data(std::size_t n) {
  hand_written::ExpSin data{};
  data.x = normal<float>(n);
  data.g = normal<float>(n);
  return data;
}

template <auto f>
Comparison exp_sin() {
  const auto data = exp_sin_data(1'000'000);
  return {side<ExpSin<f>>(data), side<hand_written::ExpSin>(data), tuned_peers::side(data),
          torch_peers::exp_sin(data)};
}

Comparison compiled_exp_sin() {
  const auto data = exp_sin_data(1'000'000);
  return {side<CompiledExpSin>(data), side<hand_written::ExpSin>(data), tuned_peers::side(data),
          torch_peers::exp_sin(data), side<ExpSin<fused_exp_sin>>(data)};
}

Comparison two_threads() {
  const auto data = exp_sin_data(4'000'000);
  return {side<ExpSin<fused_exp_sin, 2>>(data), {}, {}, {}, side<ExpSin<fused_exp_sin>>(data)};
}

/// Ten cheap operations, whose result is all that is written: the time of memory is a copy.
struct CheapMap {
  static constexpr std::size_t n = 4'000'000;
  Tensor<float> x = xtape::random::normal<float>({n}), y;

  void run() {
    y = xtape::map(
        [](auto a) {
          const auto b = maximum(a * 2 + 1, a - 3), c = b * b - a;
          return where(c > 0, c, -a) * b + a;
        },
        x);
  }
};
struct Copy {
  std::vector<float> x = std::vector<float>(CheapMap::n, 1.0f), y = x;

  void run() { std::copy(x.begin(), x.end(), y.begin()); }
};
template <class Work>
Side without_gradients() {
  const auto work = std::make_shared<Work>();
  return {[work] { work->run(); }, {}};
}
Comparison cheap_map() { return {without_gradients<CheapMap>(), {}, {}, {}, without_gradients<Copy>()}; }

struct HessianVector {
  Tensor<double> A, w, v, product;

  explicit HessianVector(const hand_written::HessianVector& data)
      : A(tensor(data.A, {data.n, data.n})), w(tensor(data.w, {data.n})), v(tensor(data.v, {data.n})) {}

  void run() {
    product = xtape::hvp([this](const auto& at) { return sum(square(tanh(matmul(A, at)))); }, w, v).second;
  }
  std::vector<double> gradients() const { return flat(product); }
};

/// The same by compile().
struct CompiledHessianVector : HessianVector {
  xtape::Compiled<std::function<Tensor<double>(const Tensor<double>&, const Tensor<double>&)>> compiled{
      [this](const Tensor<double>& at, const Tensor<double>& along) {
        return xtape::hvp([this](const auto& in) { return sum(square(tanh(matmul(A, in)))); }, at, along)
            .second;
      }};
  using HessianVector::HessianVector;

  void run() { product = compiled(w, v); }
};

template <class Work>
Comparison hessian_vector() {
  hand_written::HessianVector data{};
  data.n = 50;
  data.A = normal<double>(data.n * data.n, std::sqrt(1 / static_cast<double>(data.n)));
  data.w = normal<double>(data.n);
  data.v = normal<double>(data.n);
  return {side<Work>(data),
          side<hand_written::HessianVector>(data),
          tuned_peers::side(data),
          torch_peers::hessian_vector(data),
          {},
          1e-9};
}

struct LogSumExp {
  Tensor<double> x, value, gradient;

  explicit LogSumExp(const hand_written::LogSumExp& data) : x(parameter(data.x, {data.x.size()})) {}

  void run() {
    value = logsumexp(x);
    gradient = grad(value, x);
  }
  std::vector<double> gradients() const { return flat(gradient); }
};

Comparison log_sum_exp() {
  hand_written::LogSumExp data{};
  data.x = normal<double>(1'280'000);
  return {side<LogSumExp>(data),
          side<hand_written::LogSumExp>(data),
          tuned_peers::side(data),
          torch_peers::log_sum_exp(data),
          {},
          1e-9};
}

struct Mixture {
  TensorMixture mixture;
  std::vector<Tensor<double>> gradient;

  explicit Mixture(const GaussianMixture& data) : mixture(data) {}

  void run() { gradient = mixture.value_and_grad().second; }
  std::vector<double> gradients() const { return flat(gradient[0], gradient[1], gradient[2], gradient[3]); }
};

Comparison gaussian_mixture() {
  GaussianMixture data{};
  data.n = 10'000;
  data.d = 10;
  data.K = 25;
  data.x = normal<double>(data.n * data.d);
  data.alpha = normal<double>(data.K);
  data.mu = uniform<double>(data.K * data.d);
  data.q = normal<double>(data.K * data.d);
  data.l = normal<double>(data.K * data.below_diagonal());
  return {side<Mixture>(data),
          side<HandWrittenMixture>(data),
          tuned_peers::side(data),
          torch_peers::gaussian_mixture(data),
          {},
          1e-9};
}

}  // namespace

std::vector<Row> function_rows() {
  return {
      row("chain of 100 sin on 4 elements, per operation", short_chain<ChainOfSin>,
          {faster_than_libtorch(45), at_most(70e-9, "time")}),
      row("chain of 1,000,000 sin, per operation", long_chain, {within_baseline(1.3, "that of 100")}),
      row("exp(x)·sin(x)+x·x by map, 1M floats", exp_sin<fused_exp_sin>, {faster_than_libtorch(2.5)}),
      row("the same by separate operations", exp_sin<separate_exp_sin>, {faster_than_libtorch(1.3)}),
      row("separate operations, compiled", compiled_exp_sin, {within_baseline(1.05, "map")}),
      row("compiled chain of 100 sin on 4 elements, per operation", short_chain<CompiledChain>,
          {within_hand_written(1.4)}),
      row("map, 4M floats, 2 threads", two_threads, {faster_than_baseline(1.7, "1 thread")}),
      row("map of 10 cheap operations, 4M floats, value", cheap_map, {within_baseline(1.5, "a copy")}),
      row("Hessian-vector product, 50 unknowns", hessian_vector<HessianVector>, {faster_than_libtorch(8)}),
      row("the same, compiled", hessian_vector<CompiledHessianVector>, {within_hand_written(2)}),
      row("log-sum-exp, 1.28M doubles", log_sum_exp, {faster_than_hand_written(2)}),
      row("Gaussian mixture, d 10, K 25, n 10,000", gaussian_mixture, {faster_than_hand_written(1.5)}),
  };
}

}  // namespace bench
