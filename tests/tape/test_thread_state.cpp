// What belongs to a thread or a process: workers over a fork, blocks of memory, random numbers. Also run
// under the thread sanitizer; see ./dev sanitize thread.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <future>
#include <set>
#include <thread>

#include "../check_close.hpp"
#include "thread_scope.hpp"

#include <nn/nn.hpp>

using namespace xtape;
using test::same_bits, test::Threads;

namespace {

// The thread sanitizer does not follow a process that has forked with threads.
#if defined(__SANITIZE_THREAD__)
constexpr bool follows_forks = false;
#elif defined(__has_feature)
constexpr bool follows_forks = !__has_feature(thread_sanitizer);
#else
constexpr bool follows_forks = true;
#endif

bool is_child = false;

/// Runs f in a forked process, which then ends as a program does. What f returned, or -1 where the process
/// has not ended by itself.
template <class F>
int in_child(const F& f) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    is_child = true;
    std::exit(f());
  }
  for (int i = 0; i < 3000; ++i) {
    int status = 0;
    if (waitpid(child, &status, WNOHANG) == child) return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  return -1;
}

/// Elementwise work, reductions and products, each shared out.
std::vector<Tensor<float>> shared_work() {
  const Tensor<float> x = parameter<float>(reshape(arange<float>(0, 300 * 1000, 1), {300, 1000}) * 1e-6f);
  const Tensor<float> loss = sum(matmul(exp(x), transpose(sin(x)))) + sum(sum(x, 0));
  return {loss.detach(), grad(loss, x)};
}

bool same_work(const std::vector<Tensor<float>>& a, const std::vector<Tensor<float>>& b) {
  return same_bits(a[0], b[0]) && same_bits(a[1], b[1]);
}

/// Bytes of memory that the process occupies.
std::size_t resident() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  return pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

// What the other threads of the parent held is nobody's in the child: no leak, says this to the address
// sanitizer.
extern "C" int __lsan_is_turned_off();
extern "C" int __lsan_is_turned_off() { return is_child; }

TEST_CASE("a forked process computes, with threads of its own, and ends" * doctest::skip(!follows_forks)) {
  const Threads two(2);
  const auto expected = shared_work();
  CHECK(in_child([] { return 0; }) == 0);
  const auto computes = [&](int threads) {
    set_num_threads(threads);
    std::atomic<bool> shared = false;
    const std::thread::id self = std::this_thread::get_id();
    for (int i = 0; i < 1000 && !shared && threads > 1; ++i)
      detail::parallel_for(4, [&](std::size_t) {
        if (std::this_thread::get_id() != self) shared = true;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      });
    return same_work(shared_work(), expected) && shared == (threads > 1) && num_threads() == threads ? 0 : 1;
  };
  for (const int threads : {1, 2, 3}) CHECK(in_child([&] { return computes(threads); }) == 0);
  // A process that such a process has forked, before and after it has computed.
  CHECK(in_child([&] { return in_child([&] { return computes(2); }); }) == 0);
  CHECK(in_child([&] { return computes(2) + in_child([&] { return computes(2); }) + computes(2); }) == 0);
  // From another thread than the main one.
  int result = -1;
  std::thread([&] { result = in_child([&] { return computes(2); }); }).join();
  CHECK(result == 0);
  CHECK(same_work(shared_work(), expected));
  CHECK(num_threads() == 2);
}

TEST_CASE("a process forks while other threads compute and draw" * doctest::skip(!follows_forks)) {
  const Threads two(2);
  const auto expected = shared_work();
  std::atomic<bool> stop = false, right = true;
  std::vector<std::thread> threads;
  for (int k = 0; k < 2; ++k)
    threads.emplace_back([&] {
      while (!stop) {
        if (!same_work(shared_work(), expected)) right = false;
        std::thread([] { random::uniform<float>({1000}); }).join();
      }
    });
  for (int i = 0; i < 20; ++i)
    CHECK(in_child([&] {
            bool same = true;
            for (int k = 0; k < 2; ++k) same = same && same_work(shared_work(), expected);
            std::thread([] { random::uniform<float>({1000}); }).join();
            return same && num_threads() == 2 ? 0 : 1;
          }) == 0);
  stop = true;
  for (auto& thread : threads) thread.join();
  CHECK(right);
}

TEST_CASE("a thread keeps none of the large tensors that others have made") {
  release_cached_memory();
  const auto own = full<float>({1 << 22}, 1.0f);  // 16 MiB, which are none of what it takes over
  std::size_t before = resident();
  for (int i = 0; i < 200; ++i) {
    const auto made = std::async(std::launch::async, [] { return full<float>({1'000'000}, 1.0f); }).get();
    CHECK(made.size() == 1'000'000);
    if (i == 20) before = resident();
  }
  CHECK(memory_use().cached < (std::size_t{2} << 20));
  CHECK(resident() < before + (std::size_t{32} << 20));

  // All at once, and in both directions.
  std::vector<Tensor<float>> all;
  std::thread([&] {
    for (int i = 0; i < 100; ++i) all.push_back(full<float>({1'000'000}, 1.0f));
  }).join();
  all.clear();
  CHECK(memory_use().cached < (std::size_t{2} << 20));
  for (int i = 0; i < 100; ++i) all.push_back(full<float>({1'000'000}, 1.0f));
  std::thread([&] {
    all.clear();
    CHECK(memory_use().cached == 0);
    for (int i = 0; i < 100; ++i) all.push_back(full<float>({1'000'000}, 1.0f));
  }).join();
  all.clear();
  CHECK(memory_use().cached < (std::size_t{2} << 20));
}

TEST_CASE("threads that hand tensors on take no memory from the heap after the first") {
  // As a loader of data and a training loop do. Each size class for itself.
  for (const std::size_t n : {4u, 100u, 1000u, 100'000u}) {
    Tensor<float> passed;
    std::atomic<int> turn = 0;
    std::size_t calls = 0;
    std::thread maker([&] {
      for (int i = 0; i < 300; ++i) {
        while (turn != 2 * i) std::this_thread::yield();
        if (i == 100) calls = memory_use().heap_calls;
        passed = full<float>({n}, 1.0f);
        turn = 2 * i + 1;
      }
      calls = memory_use().heap_calls - calls;
    });
    for (int i = 0; i < 300; ++i) {
      while (turn != 2 * i + 1) std::this_thread::yield();
      passed = {};
      turn = 2 * i + 2;
    }
    maker.join();
    CHECK(calls <= 1);
  }
}

TEST_CASE("threads draw different numbers, which the main thread's seed decides") {
  const auto draw = [] {
    const auto x = random::uniform<double>({4});
    return std::vector<double>(x.begin(), x.end());
  };
  const auto in_thread = [&](const auto& f) {
    std::vector<double> drawn;
    std::thread([&] { drawn = f(); }).join();
    return drawn;
  };
  const auto all = [&](std::uint64_t seed) {
    random::seed(seed);
    std::vector<std::vector<double>> streams;
    for (int i = 0; i < 4; ++i) streams.push_back(in_thread(draw));
    streams.push_back(draw());
    return streams;
  };
  const auto first = all(42), other = all(43), again = all(42);
  CHECK(first == again);
  std::set<std::vector<double>> distinct(first.begin(), first.end());
  distinct.insert(other.begin(), other.end());
  CHECK(distinct.size() == 10);

  // In a thread, a seed gives the same numbers as on the main one, and concerns nobody else.
  random::seed(42);
  const auto own = in_thread([&] {
    random::seed(7);
    return draw();
  });
  CHECK(in_thread(draw) == first[1]);
  random::seed(7);
  CHECK(draw() == own);

  // At once: no two alike.
  random::seed(42);
  std::vector<std::vector<double>> masks(4);
  std::vector<std::thread> threads;
  for (auto& mask : masks)
    threads.emplace_back([&] {
      nn::Dropout<double> dropout(0.5);
      const auto y = dropout(ones<double>({64}));
      mask.assign(y.begin(), y.end());
    });
  for (auto& thread : threads) thread.join();
  CHECK(std::set(masks.begin(), masks.end()).size() == 4);
}
