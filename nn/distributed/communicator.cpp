// The beginning and the end of MPI, and sums in rank order.
#include "communicator.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <thread>

#include "../write_file.hpp"

namespace xtape::mpi {
namespace {

std::atomic<bool> failed = false;
bool began_here = false;  // MPI
std::chrono::microseconds the_delay{0};

void begin(int* argc, char*** argv, const EnvironmentOptions& options) {
  int begun = 0, ended = 0;
  MPI_Initialized(&begun);
  MPI_Finalized(&ended);
  if (ended) throw Error("mpi::Environment", "MPI has ended, and begins only once in a program");
  if (!begun) {
    int given = 0;
    detail::check(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &given), "mpi::Environment");
    began_here = true;
  }
  detail::check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "mpi::Environment");
  the_delay = options.delay;
  int rank = 0;
  detail::check(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "mpi::Environment");
  if (rank == 0 || !options.first_writes) return;
  nn::set_writes_files(false);
  std::fflush(stdout);
  if (!std::freopen("/dev/null", "w", stdout))
    throw Error("mpi::Environment", "the standard output cannot be dropped");
}

void end() {
  int ended = 0;
  MPI_Finalized(&ended);
  if (!began_here || ended) return;
  if (failed) MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
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
  if (failed.exchange(true)) return;
  int rank = 0, size = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  std::fprintf(stderr, "xtape: rank %d of %d ends by an exception, and the job with it\n", rank, size);
  // Who catches the exception has the time to say what it was. The other ranks may wait for this one.
  std::thread([] {
    std::this_thread::sleep_for(std::chrono::seconds(2));
    MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
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
  state->delay = the_delay;
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
      sum_(part_) {}

template <class T>
OrderedSum<T>::~OrderedSum() {
  if (request_ == MPI_REQUEST_NULL) return;
  // After an exception. A collective cannot be called off, and its memory must stay.
  for (std::vector<T>* const one : {&data_, &parts_, &sum_}) new std::vector<T>(std::move(*one));
}

template <class T>
void OrderedSum<T>::start() {
  began_ = phase_began_ = Clock::now();
  phase_ = Phase::parts;
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
  return Clock::now() - phase_began_ >= ranks_.state().delay;
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
    phase_began_ = Clock::now();
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
