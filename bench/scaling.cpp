// A training step on several ranks, one thread each, started by mpirun: how long it takes for a batch of a
// given size, and how much longer where each message of the gradients' sums is late, by a millisecond unless
// the argument says other microseconds. ./dev bench scaling runs it on 1, 2 and 4.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include <autodiff/threads.hpp>
#include <nn/distributed.hpp>
#include <nn/nn.hpp>

using namespace xtape;
using Clock = std::chrono::steady_clock;

namespace {

/// A step, of the same model each time.
class Training {
 public:
  Training(std::size_t samples, const mpi::Communicator& ranks) : ranks_(ranks) {
    random::seed(1);
    for (int layer = 0; layer < 8; ++layer) {
      model_.add(nn::Linear<float>(512, 512));
      model_.add(nn::ReLU<float>());
    }
    sgd_.emplace(model_.parameters(), nn::SGDOptions{.learning_rate = 1e-3});
    parallel_.emplace(model_, ranks);
    x_ = random::normal<float>({static_cast<std::ptrdiff_t>(samples / ranks.size()), 512});
  }
  void step() {
    ranks_.barrier();
    const auto start = Clock::now();
    sgd_->zero_grad();
    mean(square(model_(x_))).backward();
    sgd_->step();
    ranks_.barrier();
    seconds_.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  double median() {
    std::ranges::sort(seconds_);
    return seconds_[seconds_.size() / 2];
  }
  std::size_t messages() const { return parallel_->times().collectives; }

 private:
  mpi::Communicator ranks_;
  nn::Sequential<float> model_;
  std::optional<nn::SGD<float>> sgd_;
  std::optional<mpi::DataParallel<float>> parallel_;
  Tensor<float> x_;
  std::vector<double> seconds_;
};

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
  const std::chrono::microseconds delay(argc > 1 ? std::stoi(argv[1]) : 1000);
  const mpi::Environment environment(argc, argv);
  set_num_threads(1);
  const mpi::Communicator ranks = mpi::world();
  for (const std::size_t samples : {256u, 1024u, 4096u}) {
    // A gradient goes to all that are there, so each has its turn alone.
    std::vector<double> medians;
    std::size_t messages = 0;
    for (const auto& communicator : {ranks, ranks.delayed(delay), ranks, ranks.delayed(delay)}) {
      Training training(samples, communicator);
      for (int i = 0; i < 15; ++i) training.step();
      medians.push_back(training.median());
      messages = training.messages();
    }
    const double step = std::min(medians[0], medians[2]), late_step = std::min(medians[1], medians[3]);
    std::printf("%zu ranks, %4zu samples: a step takes %7.2f ms", ranks.size(), samples, 1e3 * step);
    if (ranks.size() > 1) {
      const double late = 1e-6 * static_cast<double>(delay.count()) * static_cast<double>(messages);
      std::printf("; with %zu messages late by %.1f ms in all %7.2f ms: %.0f %% hidden", messages, 1e3 * late,
                  1e3 * late_step, 100 * (1 - (late_step - step) / late));
    }
    std::printf("\n");
    if (ranks.size() == 1 && samples == 1024) print_model(step);
  }
  return 0;
}
