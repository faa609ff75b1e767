// The beginning and the end of MPI, and sums in rank order.
#include "communicator.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <limits>
#include <thread>

#include <autodiff/platform/system.hpp>

#include "../write_file.hpp"

namespace xtape::mpi {
namespace {

std::atomic<bool> failed = false;
bool began_here = false;  // MPI
MPI_Comm at_end = MPI_COMM_NULL;
std::chrono::steady_clock::time_point link_free{};  // see Communicator::delayed

void begin(int* argc, char*** argv, const EnvironmentOptions& options) {
  int begun = 0, ended = 0;
  MPI_Initialized(&begun);
  MPI_Finalized(&ended);
  if (ended) throw Error("mpi::Environment", "MPI has ended, and begins only once in a program");
  if (!begun) {
    // A program that mpirun did not start is one rank, and Open MPI need start no other process for it.
    constexpr const char* alone = "OMPI_MCA_ess_singleton_isolated";
    if (!std::getenv(alone)) platform::set_environment(alone, "1");
    int given = 0;
    detail::check(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &given), "mpi::Environment");
    began_here = true;
    detail::check(MPI_Comm_dup(MPI_COMM_WORLD, &at_end), "mpi::Environment");
  }
  detail::check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "mpi::Environment");
  int rank = 0;
  detail::check(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "mpi::Environment");
  if (rank == 0 || !options.first_writes) return;
  nn::set_writes_files(false);
  std::fflush(stdout);
  if (!std::freopen(platform::null_device, "w", stdout))
    throw Error("mpi::Environment", "the standard output cannot be dropped");
}

void end() {
  int ended = 0;
  MPI_Finalized(&ended);
  if (!began_here || ended) return;
  if (failed) MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
  // It would wait without end for a rank that waits for this one.
  MPI_Request all = MPI_REQUEST_NULL;
  int done = MPI_Ibarrier(at_end, &all) != MPI_SUCCESS;
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!done && std::chrono::steady_clock::now() < limit) {
    if (MPI_Test(&all, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS) done = true;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  if (!done) {
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    std::fprintf(stderr, "xtape: rank %d has ended, and after 10 seconds others have not: the job ends\n",
                 rank);
    MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
  }
  MPI_Comm_free(&at_end);
  MPI_Finalize();
}

}  // namespace

void detail::check(int answer, const char* op) {
  if (answer == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(answer, text, &length);
  throw Error(op, "MPI: " + std::string(text, static_cast<std::size_t>(length)));
}

void detail::note_failure() {
  int rank = 0, size = 1, ended = 0;
  MPI_Finalized(&ended);
  if (ended) return;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (size == 1 || failed.exchange(true)) return;
  std::fprintf(stderr, "xtape: rank %d of %d ends by an exception, and the job with it\n", rank, size);
  // Who catches the exception has the time to say what it was. The other ranks may wait for this one: MPI
  // ends the job of a process that is gone. It may not be called by a second thread.
  std::thread([] {
    std::this_thread::sleep_for(std::chrono::seconds(2));
    std::_Exit(EXIT_FAILURE);
  }).detach();
}

Environment::Environment(int& argc, char**& argv, const EnvironmentOptions& options)
    : exceptions_(std::uncaught_exceptions()) {
  begin(&argc, &argv, options);
}

Environment::Environment(const EnvironmentOptions& options) : exceptions_(std::uncaught_exceptions()) {
  begin(nullptr, nullptr, options);
}

Environment::~Environment() {
  if (std::uncaught_exceptions() > exceptions_)
    detail::note_failure();
  else
    end();
}

std::size_t Communicator::rank() const { return state_->rank; }
std::size_t Communicator::size() const { return state_->size; }
void Communicator::barrier() const { detail::check(MPI_Barrier(state_->comm), "barrier"); }

Communicator Communicator::delayed(std::chrono::microseconds delay) const {
  auto other = std::make_shared<State>(*state_);
  other->delay = delay;
  return Communicator(std::move(other));
}

Communicator world() {
  static const bool begun = [] {
    int already = 0;
    MPI_Initialized(&already);
    if (already) return true;
    begin(nullptr, nullptr, {});
    std::atexit(end);
    return true;
  }();
  (void)begun;
  auto state = std::make_shared<Communicator::State>();
  int rank = 0, size = 1;
  detail::check(MPI_Comm_rank(state->comm, &rank), "world");
  detail::check(MPI_Comm_size(state->comm, &size), "world");
  state->rank = static_cast<std::size_t>(rank);
  state->size = static_cast<std::size_t>(size);
  return Communicator(std::move(state));
}

namespace detail {

template <class T>
OrderedSum<T>::OrderedSum(Communicator ranks, std::size_t n, MPI_Comm parts, MPI_Comm sums)
    : ranks_(std::move(ranks)),
      n_(n),
      part_((n + ranks_.size() - 1) / ranks_.size()),
      parts_comm_(parts),
      sums_comm_(sums),
      data_(part_ * ranks_.size()),
      parts_(data_.size()),
      sum_(part_) {
  if (part_ > static_cast<std::size_t>(std::numeric_limits<int>::max()))
    throw Error("all_reduce", std::to_string(n) + " numbers at once are more than MPI counts");
}

template <class T>
OrderedSum<T>::~OrderedSum() {
  if (request_ == MPI_REQUEST_NULL) return;
  // After an exception. A collective cannot be called off, and its memory must stay.
  for (std::vector<T>* const one : {&data_, &parts_, &sum_}) new std::vector<T>(std::move(*one));
}

template <class T>
void OrderedSum<T>::start() {
  began_ = Clock::now();
  phase_ = Phase::parts;
  take_link();
  check(MPI_Ialltoall(data_.data(), static_cast<int>(part_), type_of<T>(), parts_.data(),
                      static_cast<int>(part_), type_of<T>(), parts_comm_, &request_),
        "all_reduce");
}

template <class T>
bool OrderedSum<T>::arrived() {
  if (request_ != MPI_REQUEST_NULL) {
    int done = 0;
    check(MPI_Test(&request_, &done, MPI_STATUS_IGNORE), "all_reduce");
    if (!done) return false;
  }
  return Clock::now() >= ready_;
}

template <class T>
void OrderedSum<T>::take_link() {
  const auto delay = ranks_.state().delay;
  if (delay.count() != 0) ready_ = link_free = std::max(Clock::now(), link_free) + delay;
}

template <class T>
void OrderedSum<T>::add_parts() {
  std::copy_n(parts_.begin(), part_, sum_.begin());
  for (std::size_t r = 1; r < ranks_.size(); ++r) {
    const T* const from = parts_.data() + r * part_;
    for (std::size_t i = 0; i < part_; ++i) sum_[i] += from[i];
  }
}

template <class T>
bool OrderedSum<T>::progress() {
  if (phase_ == Phase::parts && arrived()) {
    add_parts();
    phase_ = Phase::sums;
    take_link();
    check(MPI_Iallgather(sum_.data(), static_cast<int>(part_), type_of<T>(), data_.data(),
                         static_cast<int>(part_), type_of<T>(), sums_comm_, &request_),
          "all_reduce");
  }
  if (phase_ == Phase::sums && arrived()) {
    phase_ = Phase::idle;
    seconds = std::chrono::duration<double>(Clock::now() - began_).count();
  }
  return phase_ == Phase::idle;
}

template <class T>
void OrderedSum<T>::wait() {
  while (!progress())
    if (ranks_.state().delay.count() == 0 && request_ != MPI_REQUEST_NULL)
      check(MPI_Wait(&request_, MPI_STATUS_IGNORE), "all_reduce");
    else
      std::this_thread::yield();
}

template class OrderedSum<float>;
template class OrderedSum<double>;

}  // namespace detail
}  // namespace xtape::mpi
