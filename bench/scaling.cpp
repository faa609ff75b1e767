// A training step on several ranks, one thread each, started by mpirun: how long it takes for a batch of a
// given size, and what of the gradients' way is hidden behind the backward pass. ./dev bench scaling runs it
// on 1, 2 and 4. The first argument is a delay of each collective in microseconds.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <tuple>

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

/// A step of n ranks with a share of the same size each, by the latency of a message and the bandwidth of a
/// link. A bucket takes 2 (n − 1) messages one after the other, of a part each. The pass back is two thirds
/// of the step; buckets are ready at even distances in it, and the last one at its end.
double modelled_step(double alone, std::size_t n, double bytes, double buckets, double latency,
                     double bandwidth) {
  const double ranks = static_cast<double>(n),
               bucket = 2 * (ranks - 1) * (latency + bytes / buckets / ranks / bandwidth),
               backward = alone * 2 / 3;
  double free = 0;  // when the link has sent what was ready
  for (double b = 1; b <= buckets; ++b) free = std::max(free, backward * b / buckets) + bucket;
  return alone + free - backward;
}

void print_model(double alone) {
  const double bytes = 8 * (512 * 512 + 512) * sizeof(float);
  std::printf("\nmodelled: each rank has %.1f ms of work, %.1f MB of gradients in 8 buckets\n", 1e3 * alone,
              1e-6 * bytes);
  for (const auto& [name, latency, bandwidth] :
       {std::tuple{"25 us, 10 Gbit/s", 25e-6, 1.25e9}, std::tuple{"2 us, 100 Gbit/s", 2e-6, 12.5e9}}) {
    std::printf("%-18s", name);
    for (const std::size_t n : {2u, 4u, 16u, 64u, 256u, 1024u})
      std::printf("  %4zu ranks %3.0f %%", n,
                  100 * alone / modelled_step(alone, n, bytes, 8, latency, bandwidth));
    std::printf("\n");
  }
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
      const double late = 1e-6 * static_cast<double>(delay.count()) * static_cast<double>(m.collectives);
      std::printf(": of %.0f ms of delay %.0f %% are hidden", 1e3 * late, 100 * (1 - m.waiting / late));
    }
    std::printf("\n");
    if (ranks.size() == 1 && samples == 1024) print_model(m.step);
  }
  return 0;
}
