// Processes that fork: their children compute, with workers of their own, and end.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "../check_close.hpp"
#include "sanitizers.hpp"
#include "thread_scope.hpp"

#include <autodiff/autodiff.hpp>

using namespace xtape;
using test::same_bits, test::Threads;

namespace {

// The thread sanitizer does not follow a process that has forked with threads, and a child may wait for ever
// for what another thread held of the address sanitizer's memory.
constexpr bool follows_forks = !test::thread_sanitizer;
constexpr bool follows_threads = follows_forks && !test::address_sanitizer;

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

TEST_CASE("a process forks while other threads compute and draw" * doctest::skip(!follows_threads)) {
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
