// The workers that share elementwise work, and the number of threads. OpenBLAS has its own threads and
// functions for them; another BLAS is left as its environment says.
#include "../threads.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../error.hpp"
#include "../kernels/gemm.hpp"
#include "../platform/compiler.hpp"
#include "../platform/system.hpp"

#ifdef XTAPE_WITHOUT_BLAS
namespace {
constexpr void (*openblas_set_num_threads)(int) = nullptr;
constexpr int (*openblas_get_num_threads)() = nullptr;
}  // namespace
#else
extern "C" {
void openblas_set_num_threads(int) XTAPE_WEAK;
int openblas_get_num_threads(void) XTAPE_WEAK;
}
#endif

namespace xtape {
namespace {

std::atomic<int> chosen{0};
XTAPE_CONSTINIT std::mutex serial_mutex;  ///< guards the two below
std::atomic<int> blas_threads{0};         ///< what OpenBLAS is to use after a SerialBlas, while there is one
int serial_count = 0;
XTAPE_CONSTINIT std::mutex job_mutex;  ///< held by who brings a job, as by who ends or forks the process
bool closed = false;                   ///< the workers have ended with the program
constinit thread_local bool takes_part = false;

/// Calls until() again and again until it is true, or for as long as an operation of middle size takes:
/// waking a thread that sleeps takes longer. After some µs, as between small operations, it leaves the core
/// to whoever has work for it.
template <class F>
bool spin(const F& until) {
  using Clock = std::chrono::steady_clock;
  for (int i = 0; i < 200; ++i) {
    if (until()) return true;
    platform::pause();
  }
  for (const auto end = Clock::now() + std::chrono::microseconds(50); !until(); std::this_thread::yield())
    if (Clock::now() > end) return false;
  return true;
}

/// Threads that wait for one job at a time. Whoever brings a job takes part in it.
class Workers {
 public:
  ~Workers() {
    const std::scoped_lock no_job(job_mutex);
    closed = true;
    state_ = closing;
    platform::wake_all(state_);
    for (std::thread& thread : threads_) thread.join();
  }

  /// With job_mutex held. False when no thread can be had: nothing has been done then.
  bool run(std::size_t count, void (*work)(const void*, std::size_t), const void* context) {
    const auto threads = static_cast<std::size_t>(num_threads());
    const std::size_t helpers = start(std::min({threads, count, most + std::size_t{1}}) - 1);
    if (helpers == 0) return false;
    spins_.store(threads <= cores_, std::memory_order_relaxed);
    work_ = work;
    context_ = context;
    parts_ = {0, static_cast<std::uint32_t>(count)};
    state_ = static_cast<std::uint32_t>(helpers);
    for (std::size_t awake = spinning_; awake < helpers; ++awake) platform::wake_one(state_);
    take_part(true);
    state_ &= ~most;  // who has not come yet is not needed any more
    const auto finished = [this] { return state_ < one_working; };
    if (!spins_ || !spin(finished))
      for (std::uint32_t left = left_; !finished(); left = left_) platform::wait(left_, left);
    detail::multiply_adds += helpers_products_.exchange(0);
    return true;
  }

  /// In a process that was forked, where there are no threads but the one that forked.
  void forget_threads() {
    for (std::thread& thread : threads_) std::construct_at(&thread);  // there is nobody to join
    threads_.clear();
    spinning_ = 0;
  }

 private:
  static constexpr std::uint32_t most = 0x7fff, closing = 0x8000, one_working = 0x10000;

  /// At most so many helpers: how many there are.
  std::size_t start(std::size_t helpers) noexcept {
    try {
      threads_.reserve(helpers);
      while (threads_.size() < helpers) threads_.emplace_back([this] { serve(); });
    } catch (const std::exception&) {}  // no memory, or no thread: with those that there are
    return std::min(helpers, threads_.size());
  }

  void serve() {
    for (;;) {
      std::uint32_t state = 0;
      const auto called = [&] { return ((state = state_) & (most | closing)) != 0; };
      ++spinning_;
      const bool is_called = spins_ && spin(called);
      --spinning_;
      if (!is_called && !called()) platform::wait(state_, state);
      while ((state & most) != 0)
        if (state_.compare_exchange_weak(state, state - 1 + one_working)) {
          take_part(false);
          helpers_products_ += std::exchange(detail::multiply_adds, 0);
          if ((state_ -= one_working) < one_working) ++left_, platform::wake_one(left_);
          break;
        }
      if (state & closing) return;
    }
  }

  /// Takes parts from the front, or from the back: so that in one operation after the other a thread reads
  /// what it has written itself.
  void take_part(bool front) {
    takes_part = true;
    for (Parts left = parts_; left.first != left.end;) {
      const Parts rest = front ? Parts{left.first + 1, left.end} : Parts{left.first, left.end - 1};
      if (!parts_.compare_exchange_weak(left, rest, std::memory_order_relaxed)) continue;
      work_(context_, front ? left.first : rest.end);
      left = parts_;
    }
    takes_part = false;
  }

  const std::size_t cores_ = std::thread::hardware_concurrency();  // asks the system: once
  std::vector<std::thread> threads_;
  void (*work_)(const void*, std::size_t) = nullptr;
  const void* context_ = nullptr;
  std::atomic<std::size_t> helpers_products_ = 0;  ///< multiplications that count for who has brought the job
  std::atomic<bool> spins_ = false;                ///< there is a core for each thread
  std::atomic<std::uint32_t> left_ = 0;            ///< changes when the last thread has left a job
  std::atomic<std::uint32_t> spinning_ = 0;        ///< threads that look out for a job
  /// Threads that may still join the job, whether the program ends, and threads that have joined.
  alignas(64) std::atomic<std::uint32_t> state_ = 0;
  struct alignas(std::uint64_t) Parts {  // so that Clang, too, takes it for one word
    std::uint32_t first, end;
  };
  alignas(64) std::atomic<Parts> parts_{};  ///< of the job that are to be done
};

Workers& workers() {  // with job_mutex held
  static Workers instance;
  return instance;
}

// A process forks between two jobs, and not while the numbers of BLAS's threads change.
[[maybe_unused]] const bool fork_handlers = platform::at_fork(
    [] {
      job_mutex.lock();
      serial_mutex.lock();
    },
    [] {
      serial_mutex.unlock();
      job_mutex.unlock();
    },
    [] {
      serial_count = 0;  // other threads' products: the next of our own gives OpenBLAS its threads back
      if (!closed) workers().forget_threads();
      serial_mutex.unlock();
      job_mutex.unlock();
    });

}  // namespace

void set_num_threads(int n) {
  if (n < 1) throw Error("set_num_threads", std::to_string(n) + " threads: at least 1 is needed");
  chosen = n;
  const std::scoped_lock lock(serial_mutex);
  blas_threads = serial_count != 0 ? n : 0;
  if (serial_count == 0 && openblas_set_num_threads) openblas_set_num_threads(n);
}

int num_threads() {
  if (chosen != 0) return chosen;
  if (const int later = blas_threads) return later;
  if (openblas_get_num_threads) return openblas_get_num_threads();
  static const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  return cores;
}

detail::SerialBlas::SerialBlas() {
  const std::scoped_lock lock(serial_mutex);
  if (serial_count++ != 0 || !openblas_set_num_threads || !openblas_get_num_threads) return;
  if (blas_threads == 0) blas_threads = openblas_get_num_threads();
  openblas_set_num_threads(1);
}

detail::SerialBlas::~SerialBlas() {
  const std::scoped_lock lock(serial_mutex);
  if (--serial_count != 0 || !openblas_set_num_threads || !openblas_get_num_threads) return;
  openblas_set_num_threads(blas_threads);
  blas_threads = 0;
}

void detail::run_parallel(std::size_t count, void (*work)(const void*, std::size_t),
                          const void* context) noexcept {
  if (num_threads() > 1 && !takes_part) {
    const std::unique_lock one_job(job_mutex, std::try_to_lock);
    if (one_job && !closed && workers().run(count, work, context)) return;
  }
  for (std::size_t i = 0; i < count; ++i) work(context, i);
}

}  // namespace xtape
