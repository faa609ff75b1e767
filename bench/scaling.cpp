// A training step on several ranks, one thread each, started by mpirun: how long it takes for a batch of a
// given size, and what of the gradients' way is hidden behind the backward pass. ./dev bench scaling runs it
// on 1, 2 and 4. The first argument is a delay of each collective in microseconds.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>

#include <autodiff/threads.hpp>
#include <nn/distributed.hpp>
#include <nn/nn.hpp>

using namespace xtape;
using Clock = std::chrono::steady_clock;

namespace {

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// The median over steps of the slowest rank's time.
struct Measured {
  double step = 0, communicating = 0, waiting = 0;
  std::size_t collectives = 0;
};

Measured measure(std::size_t samples, const mpi::Communicator& ranks) {
  random::seed(1);
  nn::Sequential<float> model;
  for (int layer = 0; layer < 8; ++layer) {
    model.add(nn::Linear<float>(512, 512));
    model.add(nn::ReLU<float>());
  }
  nn::SGD<float> sgd(model.parameters(), {.learning_rate = 1e-3f});
  const mpi::DataParallel<float> parallel(model, ranks);
  const auto rows = static_cast<std::ptrdiff_t>(samples / ranks.size());
  const Tensor<float> x = random::normal<float>({rows, 512});
  std::vector<Measured> all;
  for (int i = 0; i < 25; ++i) {
    ranks.barrier();
    const auto start = Clock::now();
    sgd.zero_grad();
    mean(square(model(x))).backward();
    sgd.step();
    ranks.barrier();
    const auto times = parallel.times();
    if (i >= 5) all.push_back({seconds_since(start), times.communicating, times.waiting, times.collectives});
  }
  std::ranges::sort(all, {}, &Measured::step);
  return all[all.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const std::chrono::microseconds delay(argc > 1 ? std::stoi(argv[1]) : 0);
  const mpi::Environment environment(argc, argv, {.delay = delay});
  set_num_threads(1);
  const mpi::Communicator ranks = mpi::world();
  for (const std::size_t samples : {256u, 1024u}) {
    const Measured m = measure(samples, ranks);
    std::printf("%zu ranks, %4zu samples: a step takes %7.2f ms", ranks.size(), samples, 1e3 * m.step);
    if (ranks.size() > 1)
      std::printf(", waits for %5.2f ms at its end of %zu collectives that take %6.2f ms", 1e3 * m.waiting,
                  m.collectives, 1e3 * m.communicating);
    if (ranks.size() > 1 && delay.count() != 0) {
      // What the network is late by is hidden but for the wait.
      const double late = 1e-6 * static_cast<double>(delay.count()) * static_cast<double>(m.collectives);
      std::printf(": of %.0f ms of delay %.0f %% are hidden", 1e3 * late, 100 * (1 - m.waiting / late));
    }
    std::printf("\n");
  }
  return 0;
}
