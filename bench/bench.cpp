// Training steps beside hand-written ones, and the cost of one recorded operation. See README.md.
#include <cstdlib>
#include <iostream>

#include <benchmark/benchmark.h>

#include <nn/nn.hpp>

#include "hand_written.hpp"

namespace {

using xtape::Tensor;

/// The same weights and data for both sides.
struct Problem {
  Tensor<float> x, y, W1, b1, W2, b2;
  hand_written::Network peer;

  Problem(std::size_t batch, std::size_t in, std::size_t hidden, std::size_t out)
      : peer(batch, in, hidden, out) {
    namespace random = xtape::random;
    random::seed(1);
    x = random::normal<float>({batch, in});
    y = random::uniform<float>({batch, out});
    W1 = xtape::parameter(xtape::nn::init::xavier_uniform<float>({hidden, in}));
    b1 = xtape::parameter(xtape::zeros<float>({hidden}));
    W2 = xtape::parameter(xtape::nn::init::xavier_uniform<float>({out, hidden}));
    b2 = xtape::parameter(xtape::zeros<float>({out}));
    const auto copy = [](const Tensor<float>& t) { return std::vector<float>(t.begin(), t.end()); };
    peer.x = copy(x);
    peer.y = copy(y);
    peer.W1 = copy(W1);
    peer.b1 = copy(b1);
    peer.W2 = copy(W2);
    peer.b2 = copy(b2);
  }

  float step(xtape::nn::SGD<float>& sgd) {
    using xtape::sigmoid, xtape::linear;
    sgd.zero_grad();
    const Tensor<float> loss = xtape::nn::mse_loss(sigmoid(linear(sigmoid(linear(x, W1, b1)), W2, b2)), y);
    loss.backward();
    sgd.step();
    return loss.item();
  }

  /// Both sides must do the same work: stops the run when their weights part.
  void require_equal(xtape::nn::SGD<float>& sgd) {
    for (int i = 0; i < 3; ++i) {
      const float a = step(sgd), b = peer.step(0.1f);
      const auto table = xtape::compare_gradients<float>(
          {{"W1", W1, Tensor<float>(xt::adapt(peer.W1, std::vector<std::size_t>(W1.shape())))},
           {"b2", b2, Tensor<float>(xt::adapt(peer.b2, std::vector<std::size_t>(b2.shape())))}});
      if (std::abs(a - b) <= 1e-5f * std::abs(b) && table.passed) continue;
      std::cerr << "the two sides differ: loss " << a << " and " << b << '\n' << table;
      std::exit(1);
    }
  }
};

void step_xtape(benchmark::State& state) {
  const auto size = [&](std::size_t i) { return static_cast<std::size_t>(state.range(i)); };
  Problem problem(size(0), size(1), size(2), size(3));
  xtape::nn::SGD<float> sgd({problem.W1, problem.b1, problem.W2, problem.b2}, {.learning_rate = 0.1});
  problem.require_equal(sgd);
  for (auto _ : state) benchmark::DoNotOptimize(problem.step(sgd));
}

void step_hand_written(benchmark::State& state) {
  const auto size = [&](std::size_t i) { return static_cast<std::size_t>(state.range(i)); };
  Problem problem(size(0), size(1), size(2), size(3));
  for (auto _ : state) benchmark::DoNotOptimize(problem.peer.step(0.1f));
}

/// A chain of sines on 4 numbers, forward and backward; the counter is the time of one operation.
void chain_of_sin(benchmark::State& state) {
  const auto x = xtape::parameter<float>({0.1f, 0.2f, 0.3f, 0.4f});
  const Tensor<float> seed = xtape::ones<float>({4});
  for (auto _ : state) {
    Tensor<float> y = x;
    for (std::int64_t i = 0; i < state.range(0); ++i) y = sin(y);
    benchmark::DoNotOptimize(xtape::grad(y, x, {.seed = seed}));
  }
  state.counters["per operation"] =
      benchmark::Counter(static_cast<double>(state.iterations() * state.range(0)),
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void shapes(benchmark::internal::Benchmark* b) {
  b->Args({1, 2, 2, 1})->Args({4, 2, 8, 1})->Args({32, 64, 32, 10})->Args({64, 784, 128, 10});
}

}  // namespace

BENCHMARK(step_xtape)->Apply(shapes);
BENCHMARK(step_hand_written)->Apply(shapes);
BENCHMARK(chain_of_sin)->Arg(100)->Arg(10000)->Arg(1000000);

int main(int argc, char** argv) {
  xtape::set_num_threads(1);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
