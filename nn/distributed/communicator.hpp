// MPI's communicator, and sums of which all ranks get the same bits.
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include <mpi.h>

#include "../distributed.hpp"

namespace xtape::mpi {

struct Communicator::State {
  MPI_Comm comm = MPI_COMM_WORLD;
  std::size_t rank = 0, size = 1;
  std::chrono::microseconds delay{0};
};

namespace detail {

/// How many numbers go in one message, which MPI counts in int.
constexpr std::size_t most_at_once = std::size_t(1) << 24;

/// Error, naming `op`, for what MPI answers.
void check(int answer, const char* op);
/// The job cannot go on: it ends with this process.
void note_failure();

template <class T>
MPI_Datatype type_of();
template <>
inline MPI_Datatype type_of<float>() {
  return MPI_FLOAT;
}
template <>
inline MPI_Datatype type_of<double>() {
  return MPI_DOUBLE;
}

/// Gives the n numbers of rank `root` to all. Errors name `op`.
template <class T>
void send_to_all(T* numbers, std::size_t n, std::size_t root, MPI_Comm comm, const char* op) {
  for (std::size_t at = 0; at < n; at += most_at_once)
    check(MPI_Bcast(numbers + at, static_cast<int>(n - at < most_at_once ? n - at : most_at_once),
                    type_of<T>(), static_cast<int>(root), comm),
          op);
}

/// A sum over all ranks of n numbers, which goes on while others are computed. Each rank adds up one part, of
/// all ranks in their order, and gives it to the others: as many bytes as a ring takes, and bits that no
/// network changes. MPI wants collectives in one order on all ranks, but it is the network that says when the
/// second of the two begins: several sums at once have a communicator for each of the two, and progress() of
/// one is called when has_parts() of those started before it.
template <class T>
class OrderedSum {
 public:
  OrderedSum(Communicator ranks, std::size_t n, MPI_Comm parts, MPI_Comm sums);
  OrderedSum(const Communicator& ranks, std::size_t n)
      : OrderedSum(ranks, n, ranks.state().comm, ranks.state().comm) {}
  ~OrderedSum();
  OrderedSum(OrderedSum&&) = delete;

  /// The numbers: this rank's, then the sums. Not to be touched from start() until it is done.
  T* data() { return data_.data(); }
  std::size_t size() const { return n_; }
  void start();
  /// Goes on if it can; whether it is done.
  bool progress();
  void wait();
  bool has_parts() const { return phase_ != Phase::parts; }

  static constexpr std::size_t collectives = 2;
  double seconds = 0;  ///< from start to end

 private:
  enum class Phase { idle, parts, sums };
  bool arrived();
  void add_parts();
  void take_link();

  using Clock = std::chrono::steady_clock;
  Communicator ranks_;
  std::size_t n_, part_;
  MPI_Comm parts_comm_, sums_comm_;
  std::vector<T> data_, parts_, sum_;  ///< data: a part for each rank
  Phase phase_ = Phase::idle;
  MPI_Request request_ = MPI_REQUEST_NULL;
  Clock::time_point began_{}, ready_{};
};

/// Whole parameters for each rank, as many numbers as can be alike.
template <class T>
std::shared_ptr<nn::StateShards<T>> shards_of(const std::vector<Tensor<T>>& parameters,
                                              const Communicator& ranks);

}  // namespace detail
}  // namespace xtape::mpi
