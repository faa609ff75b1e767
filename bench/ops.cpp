// Single operations, forward and backward: for profiling one of them. XTAPE_BENCH_THREADS=2 gives them two
// threads.
#include <cstdlib>
#include <string>

#include <benchmark/benchmark.h>

#include <autodiff/autodiff.hpp>

namespace {

using xtape::Tensor;

/// f on a tensor of the shape; the counter is the time for one element of it.
template <class F>
void add(const std::string& name, const xtape::Shape& shape, F f) {
  benchmark::RegisterBenchmark((name + xtape::to_string(shape)).c_str(), [=](benchmark::State& state) {
    // Away from 0: logarithms and square roots are among the operations.
    const auto x = xtape::parameter(xtape::random::uniform<float>(shape, 0.5f, 1.5f));
    const auto seed = xtape::ones<float>(f(x).shape());
    for (auto _ : state) benchmark::DoNotOptimize(grad(f(x), x, {.seed = seed}));
    state.counters["per_element"] =
        benchmark::Counter(static_cast<double>(state.iterations()) * static_cast<double>(x.size()),
                           benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  });
}

void add_elementwise(int n) {
  add("add", {n}, [](const auto& x) { return x + x; });
  add("multiply", {n}, [](const auto& x) { return x * x; });
  add("divide", {n}, [](const auto& x) { return 1 / x; });
  add("square", {n}, [](const auto& x) { return square(x); });
  add("sqrt", {n}, [](const auto& x) { return sqrt(x); });
  add("exp", {n}, [](const auto& x) { return exp(x); });
  add("log", {n}, [](const auto& x) { return log(x); });
  add("sin", {n}, [](const auto& x) { return sin(x); });
  add("tanh", {n}, [](const auto& x) { return tanh(x); });
  add("sigmoid", {n}, [](const auto& x) { return sigmoid(x); });
  add("relu", {n}, [](const auto& x) { return relu(x); });
  add("gelu", {n}, [](const auto& x) { return gelu(x); });
  add("map of exp and sin", {n},
      [](const auto& x) { return xtape::map([](auto a) { return exp(a) * sin(a) + a * a; }, x); });
}

void add_matrices(const xtape::Shape& shape) {
  add("sum", shape, [](const auto& x) { return sum(x); });
  add("sum over axis 0", shape, [](const auto& x) { return sum(x, 0); });
  add("sum over axis 1", shape, [](const auto& x) { return sum(x, 1); });
  add("max over axis 0", shape, [](const auto& x) { return max(x, 0); });
  add("max over axis 1", shape, [](const auto& x) { return max(x, 1); });
  add("var over axis 0", shape, [](const auto& x) { return var(x, 0); });
  add("logsumexp over axis 1", shape, [](const auto& x) { return logsumexp(x, 1); });
  add("softmax over axis 0", shape, [](const auto& x) { return softmax(x, 0); });
  add("softmax over axis 1", shape, [](const auto& x) { return softmax(x, 1); });
  add("log_softmax over axis 1", shape, [](const auto& x) { return log_softmax(x, 1); });
  add("transpose", shape, [](const auto& x) { return transpose(x); });
  add("add a row", shape, [row = xtape::ones<float>({shape[1]})](const auto& x) { return x + row; });
  add("add a column", shape,
      [column = xtape::ones<float>({shape[0], 1})](const auto& x) { return x + column; });
}

}  // namespace

int main(int argc, char** argv) {
  const char* const threads = std::getenv("XTAPE_BENCH_THREADS");
  xtape::set_num_threads(threads ? std::atoi(threads) : 1);
  for (const int n : {16, 256, 4096, 65536, 131072, 1048576}) add_elementwise(n);
  for (const xtape::Shape& shape : {xtape::Shape{32, 10}, xtape::Shape{128, 1000}, xtape::Shape{1000, 128},
                                    xtape::Shape{1024, 128}, xtape::Shape{1024, 512}})
    add_matrices(shape);
  for (const int n : {2, 4, 8, 16, 32, 64, 128, 256})
    add("matmul", {n, n}, [](const auto& x) { return matmul(x, x); });
  for (const int n : {16, 32, 64})
    add("matmul of a batch", {64, n, n}, [](const auto& x) { return matmul(x, x); });
  for (const xtape::Size2 kernel : {2, 3, 4}) {
    const std::string windows =
        " of " + std::to_string(kernel.height) + " by " + std::to_string(kernel.width);
    add("max_pool2d" + windows, {16, 4, 12, 12}, [=](const auto& x) { return max_pool2d(x, kernel); });
    add("avg_pool2d" + windows, {16, 4, 12, 12}, [=](const auto& x) { return avg_pool2d(x, kernel); });
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
