// The workers that share elementwise work, and the number of threads. OpenBLAS has its own threads and
// functions for them; another BLAS is left as its environment says.
#include "../threads.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "../error.hpp"

extern "C" {
void openblas_set_num_threads(int) __attribute__((weak));
int openblas_get_num_threads(void) __attribute__((weak));
}

namespace xtape {
namespace {

std::atomic<int> chosen{0};
std::atomic<int> blas_threads{0};  ///< what OpenBLAS is to use after a SerialBlas, while there is one
std::mutex serial_mutex;
int serial_count = 0;
constinit std::atomic<bool> closed = false;  ///< the workers have ended with the program
constinit thread_local bool takes_part = false;

/// Threads that wait for one job at a time. Whoever brings a job takes part in it.
class Workers {
 public:
  ~Workers() {
    {
      const std::scoped_lock lock(mutex_);
      closing_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    closed = true;
  }

  /// False when another thread's job is running, or no thread can be had: nothing has been done then.
  bool run(std::size_t count, void (*work)(const void*, std::size_t), const void* context) {
    const std::unique_lock one_job(job_mutex_, std::try_to_lock);
    if (!one_job) return false;
    const std::size_t helpers = std::min(static_cast<std::size_t>(num_threads()), count) - 1;
    if (!start(helpers)) return false;
    {
      const std::scoped_lock lock(mutex_);
      work_ = work;
      context_ = context;
      count_ = count;
      next_.store(0, std::memory_order_relaxed);
      wanted_ = helpers;
    }
    wake_.notify_all();
    take_part();
    std::unique_lock lock(mutex_);
    wanted_ = 0;  // who has not come yet is not needed any more
    done_.wait(lock, [this] { return working_ == 0; });
    return true;
  }

 private:
  bool start(std::size_t helpers) noexcept {
    try {
      while (threads_.size() < helpers) threads_.emplace_back([this] { serve(); });
    } catch (...) { return false; }
    return true;
  }

  void serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return closing_ || wanted_ != 0; });
      if (closing_) return;
      --wanted_;
      ++working_;
      lock.unlock();
      take_part();
      lock.lock();
      if (--working_ == 0) done_.notify_one();
    }
  }

  void take_part() {
    takes_part = true;
    for (std::size_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < count_;) work_(context_, i);
    takes_part = false;
  }

  std::mutex job_mutex_;  ///< held by who brings a job
  std::mutex mutex_;      ///< guards what follows, but for next_
  std::condition_variable wake_, done_;
  std::vector<std::thread> threads_;
  void (*work_)(const void*, std::size_t) = nullptr;
  const void* context_ = nullptr;
  std::size_t count_ = 0;
  std::atomic<std::size_t> next_{0};
  std::size_t wanted_ = 0;   ///< threads that may still join the job
  std::size_t working_ = 0;  ///< threads that have joined it
  bool closing_ = false;
};

}  // namespace

void set_num_threads(int n) {
  if (n < 1) throw Error("set_num_threads", std::to_string(n) + " threads: at least 1 is needed");
  chosen = n;
  const std::scoped_lock lock(serial_mutex);
  if (serial_count != 0)
    blas_threads = n;
  else if (openblas_set_num_threads)
    openblas_set_num_threads(n);
}

int num_threads() {
  if (chosen != 0) return chosen;
  if (const int later = blas_threads) return later;
  return openblas_get_num_threads ? openblas_get_num_threads() : 1;
}

detail::SerialBlas::SerialBlas() {
  const std::scoped_lock lock(serial_mutex);
  if (serial_count++ != 0 || !openblas_set_num_threads || !openblas_get_num_threads) return;
  blas_threads = openblas_get_num_threads();
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
  if (num_threads() > 1 && !takes_part && !closed) {
    static Workers workers;
    if (workers.run(count, work, context)) return;
  }
  for (std::size_t i = 0; i < count; ++i) work(context, i);
}

}  // namespace xtape
