// How the time of forward and backward grows: with depth, width, batch and fan-out. Google Benchmark fits the
// complexity; the counter is the time for one node, or one row, of the recording.
#include <benchmark/benchmark.h>

#include <autodiff/autodiff.hpp>

namespace {

using xtape::Tensor;

Tensor<float> random_parameter(const xtape::Shape& shape) {
  return xtape::parameter(xtape::random::normal<float>(shape, 0, 0.1f));
}

void count(benchmark::State& state, const char* name, double units) {
  state.counters[name] = benchmark::Counter(static_cast<double>(state.iterations()) * units,
                                            benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.SetComplexityN(state.range(0));
}

/// A chain of n sines on 4 numbers.
void depth(benchmark::State& state) {
  auto x = random_parameter({4});
  const auto one = xtape::ones<float>({4});
  for (auto _ : state) {
    Tensor<float> y = x;
    for (std::int64_t i = 0; i < state.range(0); ++i) y = sin(y);
    x.zero_grad();
    y.backward({.seed = one});
  }
  count(state, "per_node", static_cast<double>(state.range(0)));
}

/// A dense layer of n units, with n inputs and 16 rows: n² multiplications for each.
void width(benchmark::State& state) {
  const std::int64_t n = state.range(0);
  const auto x = random_parameter({16, n}), W = random_parameter({n, n}), b = random_parameter({n});
  for (auto _ : state) benchmark::DoNotOptimize(grad(sum(relu(linear(x, W, b))), {x, W, b}));
  count(state, "per_weight", static_cast<double>(n * n));
}

/// n rows through a dense layer of 64 units.
void batch(benchmark::State& state) {
  const auto x = random_parameter({state.range(0), 64}), W = random_parameter({64, 64}),
             b = random_parameter({64});
  for (auto _ : state) benchmark::DoNotOptimize(grad(sum(relu(linear(x, W, b))), {x, W, b}));
  count(state, "per_row", static_cast<double>(state.range(0)));
}

/// One tensor that n operations use; their results are added up, by n more.
void fan_out(benchmark::State& state) {
  const auto x = random_parameter({4});
  const auto one = xtape::ones<float>({4});
  for (auto _ : state) {
    Tensor<float> y = sin(x);
    for (std::int64_t i = 1; i < state.range(0); ++i) y = y + sin(x);
    benchmark::DoNotOptimize(grad(y, x, {.seed = one}));
  }
  count(state, "per_node", static_cast<double>(2 * state.range(0) - 1));
}

}  // namespace

BENCHMARK(depth)->RangeMultiplier(10)->Range(10, 1'000'000)->Complexity(benchmark::oN);
BENCHMARK(width)->RangeMultiplier(4)->Range(16, 4096)->Complexity(benchmark::oNSquared);
BENCHMARK(batch)->RangeMultiplier(8)->Range(1, 4096)->Complexity(benchmark::oN);
BENCHMARK(fan_out)->RangeMultiplier(10)->Range(10, 100'000)->Complexity(benchmark::oN);

int main(int argc, char** argv) {
  xtape::set_num_threads(1);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
