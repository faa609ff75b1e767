// Trainer: the loop over epochs and batches, with validation, early stopping and places to hook in.
#pragma once
#include <functional>
#include <iosfwd>
#include <limits>
#include <optional>
#include <random>

#include "compiled_step.hpp"
#include "data_loader.hpp"
#include "evaluate.hpp"
#include "history.hpp"
#include "optimizers.hpp"
#include "safetensors.hpp"

namespace xtape::nn {

class Progress;

/// How a Trainer trains, and functions that it calls on the way.
struct TrainerOptions {
  std::size_t epochs = 10;           ///< of one fit()
  std::size_t patience = 0;          ///< early stopping, see fit(); 0: none
  std::ostream* progress = nullptr;  ///< a bar on a terminal, else lines; see Progress
  std::size_t progress_every = 1;    ///< epochs from line to line
  bool compiled = false;             ///< steps are traced once and run as a plan: see CompiledStep
  /// Batches for one update, by the gradient of the mean over all their samples, where losses are means: to
  /// rounding that of one large batch. The last update of an epoch has those that are left.
  std::size_t accumulate = 1;
  /// The limit of clip_grad_norm, for the optimiser's parameters, before each update; 0: none. It comes after
  /// after_backward, which sees the gradients as they are, and whose changes cannot exceed the limit.
  double clip_norm = 0;

  std::function<void(std::size_t epoch)> on_epoch_begin = {};
  /// The gradients of an update are there, and it is to come: the place to change or to look at them.
  std::function<void()> after_backward = {};
  /// Of processes that train together: the loss of the whole batch, after backward(); that is then reported,
  /// and tested for NaN. mpi::DataParallel sets it.
  std::function<double()> reduced_loss = {};
  /// After each batch, and its update if one was due; and for a loss that is NaN or infinite, without one,
  /// before fit() throws.
  std::function<void(std::size_t epoch, std::size_t batch, double loss)> on_batch_end = {};
  /// The place of schedules. Training ends when it returns false.
  std::function<bool(const Epoch& epoch)> on_epoch_end = {};
};

/// Trains a model: for each batch zero_grad, forward, loss, backward, step; nothing that a loop of one's own
/// could not do as well. The model, the optimiser and what the callbacks use must live as long. Epochs and
/// batches count from 1.
template <class T>
class Trainer {
 public:
  Trainer(Module<T>& model, Optimizer<T>& optimizer, std::type_identity_t<LossFunction<T>> loss,
          TrainerOptions options = {});

  /// Trains for options.epochs epochs, in training mode, and evaluates the validation data, if there are any,
  /// after each. With patience p it ends after p epochs without a lower validation loss, and leaves the
  /// parameters and buffers of the epoch with the lowest. Called again it goes on, and waits anew; after
  /// load(path, trainer) it goes on within the fit() that was saved. Errors: a loss that is NaN or infinite,
  /// naming epoch and batch: the weights are those before it, and the history is kept; a loss of parameters
  /// that are neither the model's nor the optimiser's, or of none of the optimiser's.
  const History& fit(DataLoader<T>& training, const Dataset<T>& validation = {});

  TrainerOptions options;
  History history;  ///< of all calls of fit; may be set, to go on with one that was kept

  Module<T>& model() const { return model_; }
  Optimizer<T>& optimizer() const { return optimizer_; }

  /// What fit() carries on from batch to batch and from epoch to epoch.
  class State {
    friend class Trainer;
    double lowest = std::numeric_limits<double>::infinity();  ///< validation loss
    std::size_t waited = 0;                                   ///< epochs since then
    std::vector<Tensor<T>> best{};                            ///< the model's state_dict() then
    double total = 0;                                         ///< of the losses of this epoch
    std::size_t samples = 0;                                  ///< of this epoch
    std::vector<Tensor<T>>
        gradients{};  ///< of the optimiser's parameters, times samples, since the last update
    std::size_t batches_since = 0, samples_since = 0;  ///< that they are of
    typename DataLoader<T>::State place{};
    std::mt19937_64 generator{};
    History history{};
  };
  /// The State as arrays for a file: see save(path, trainer).
  NamedTensors<T> state() const;
  /// The State from such arrays. Error for what is not as state() gives it, and for arrays that do not fit
  /// the model.
  State read(const NamedTensors<T>& saved) const;
  /// Goes on from a State with the next fit().
  void adopt(State state) noexcept;

 private:
  double train_epoch(DataLoader<T>& training, std::size_t epoch, Progress& progress);
  Tensor<T> forward(const Dataset<T>& batch);
  Tensor<T> compiled_backward(const Dataset<T>& batch);
  bool completes_update(std::size_t samples, bool is_last);
  void update();
  void require_parameters(const Tensor<T>& loss) const;

  Module<T>& model_;
  Optimizer<T>& optimizer_;
  LossFunction<T> loss_;
  std::optional<CompiledStep<T>> compiled_;  ///< made by the first compiled step
  State state_;
  bool goes_on_ = false;  ///< the next fit() is the rest of a saved one
};

}  // namespace xtape::nn
