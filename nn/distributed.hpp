// Training on several processes, on one machine or many, by MPI: a library of its own, xtape-mpi.
#pragma once
#include <chrono>
#include <cstddef>
#include <memory>

#include "data_loader.hpp"
#include "module.hpp"
#include "trainer.hpp"

/// Several processes that run the same program. Each has a rank, from 0 on.
namespace xtape::mpi {

struct EnvironmentOptions {
  /// The first rank alone prints and writes files: the standard output of the others is dropped, and
  /// nn::set_writes_files is off there.
  bool first_writes = true;
};

/// Begins MPI, unless the program has, and ends it with its life; once in a program, and around the `try`
/// that catches what a rank throws. A rank that ends by an exception says so, with its number, and the job
/// ends within seconds.
class Environment {
 public:
  Environment(int& argc, char**& argv, const EnvironmentOptions& options = {});
  explicit Environment(const EnvironmentOptions& options = {});
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  int exceptions_;
};

/// Processes that work together.
class Communicator {
 public:
  struct State;
  explicit Communicator(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::size_t rank() const;
  std::size_t size() const;
  bool is_first() const { return rank() == 0; }
  /// Returns when all have called it.
  void barrier() const;
  /// The same processes, where each of the two messages of a sum takes so long, one after the other, as if
  /// they shared a slow network: to see what of it is hidden behind the backward pass.
  Communicator delayed(std::chrono::microseconds delay) const;
  State& state() const { return *state_; }

 private:
  std::shared_ptr<State> state_;
};

/// All processes. Without an Environment it begins MPI, which then ends with the program.
Communicator world();

/// Σ x over the ranks, in their order, so that all have the same bits, and the same ones in each run. All
/// ranks call it with x of one shape. Its gradient is the sum of the ranks' adjoints, so all of them run it
/// backward. Errors: shapes that differ; an x that requires a gradient on some ranks and not on others.
template <class T>
Tensor<T> all_reduce(const Tensor<T>& x, const Communicator& ranks = world());

/// The x of rank `root`, whose gradient is the sum of all ranks' adjoints, and 0 on the others. All ranks
/// call it with x of one shape. Errors as of all_reduce, and a root that is none.
template <class T>
Tensor<T> broadcast(const Tensor<T>& x, std::size_t root = 0, const Communicator& ranks = world());

struct DataParallelOptions {
  /// Gradients travel together until they are so many bytes: more of them wait for fewer messages.
  std::size_t bucket_bytes = std::size_t(1) << 20;
};

/// While it lives, each backward() on its thread of a loss of the model leaves the gradients of the whole
/// batch, on every rank with the same bits: sums over the ranks' shares, in rank order. They are on their way
/// while the pass still runs: a gradient is sent when the last operation that uses its parameter has run its
/// rule.
///
/// In the beginning all ranks take the parameters and buffers of the first; after each pass its buffers, such
/// as running means. All ranks must build the same model and run the same passes; what differs is the data.
/// After each pass they have the first rank's generator, too. What depends on a loss, as when to stop, is to
/// be decided by loss(), which all have alike, and not by a rank's own.
///
/// Errors, of backward() on every rank, with no gradient changed: a NaN or an infinity in some rank's
/// gradient, naming rank and parameter; a parameter that some ranks' losses depend on and others' do not. One
/// with create_graph is an error, too. Buffers, as running means, have then seen the batch.
///
///     mpi::DataParallel<float> parallel(model);            // a loop of one's own
///     mpi::DataParallel<float> parallel(trainer, loader);  // or an nn::Trainer
template <class T>
class DataParallel {
 public:
  /// Losses are means over shares of the same size: batches that the ranks divide evenly, and drop_last.
  /// Error where the ranks' models differ in names or shapes.
  explicit DataParallel(nn::Module<T>& model, const Communicator& ranks = world(),
                        const DataParallelOptions& options = {});
  /// The loader deals out its batches, whatever their size, and the trainer reports the loss of the whole
  /// batch. It validates on each rank alike. Both must live as long.
  DataParallel(nn::Trainer<T>& trainer, nn::DataLoader<T>& loader, const Communicator& ranks = world(),
               const DataParallelOptions& options = {});
  ~DataParallel();
  DataParallel(const DataParallel&) = delete;
  DataParallel& operator=(const DataParallel&) = delete;

  /// Divides the optimiser's state among the ranks: each keeps that of some whole parameters, and after its
  /// step() gives their new values to the others. Saved and loaded it is whole, on every rank, so that the
  /// number of ranks may be another: all ranks must call nn::save. Error for LBFGS.
  void shard(nn::Optimizer<T>& optimizer);

  const Communicator& ranks() const;
  /// The mean over the whole batch of the loss that backward() ran last on, if that was one number.
  double loss() const;
  /// How long the sums of the last pass took, each from its beginning to its end, and how long backward()
  /// waited for the last of them.
  struct Times {
    double communicating = 0, waiting = 0;  ///< seconds
    std::size_t collectives = 0;
  };
  Times times() const;

 private:
  class Reducer;
  std::unique_ptr<Reducer> reducer_;
  nn::Trainer<T>* trainer_ = nullptr;
  nn::DataLoader<T>* loader_ = nullptr;
};

}  // namespace xtape::mpi
