// The loop of training.
#include "../trainer.hpp"

#include <chrono>
#include <cmath>

#include <autodiff/base/text.hpp>
#include "../progress.hpp"

namespace xtape::nn {
namespace {

/// Copies of a model's parameters and buffers.
template <class T>
class Snapshot {
 public:
  void take(Module<T>& model) {
    tensors_.clear();
    for (const Tensor<T>& p : model.parameters()) tensors_.emplace_back(p, Tensor<T>(p.value()));
    for (const auto& [name, b] : model.named_buffers()) tensors_.emplace_back(b, Tensor<T>(b.value()));
  }
  void restore() {
    for (auto& [tensor, copy] : tensors_) tensor.assign(copy);
  }

 private:
  std::vector<std::pair<Tensor<T>, Tensor<T>>> tensors_;
};

}  // namespace

template <class T>
Trainer<T>::Trainer(Module<T>& model, Optimizer<T>& optimizer, Loss<T> loss, TrainerOptions o)
    : options(std::move(o)), model_(model), optimizer_(optimizer), loss_(std::move(loss)) {
  if (!loss_) throw Error("Trainer", "the loss is no function");
}

template <class T>
const History& Trainer<T>::fit(DataLoader<T>& training, const Dataset<T>& validation) {
  if (training.size() == 0) throw Error("Trainer", "the training data make no batch");
  if (options.patience > 0 && validation.size() == 0)
    throw Error("Trainer", "early stopping needs validation data");
  const ModeScope<T> mode(model_, true);
  const std::size_t first = history.epochs.size() + 1, last = history.epochs.size() + options.epochs;
  Progress progress(options.progress, last, options.progress_every);
  Snapshot<T> best;
  double lowest = std::numeric_limits<double>::infinity();
  std::size_t waited = 0;
  bool go_on = true;
  for (std::size_t number = first; number <= last && go_on; ++number) {
    const auto start = std::chrono::steady_clock::now();
    if (options.on_epoch_begin) options.on_epoch_begin(number);
    Epoch epoch{.number = number, .learning_rate = optimizer_.learning_rate()};
    epoch.train_loss = train_epoch(training, number, progress);
    if (validation.size() > 0) {
      const Evaluation reached = evaluate(model_, validation, loss_);
      epoch.validation_loss = reached.loss;
      epoch.validation_accuracy = reached.accuracy;
    }
    epoch.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    history.epochs.push_back(epoch);
    progress.epoch(epoch);
    if (options.patience > 0) {
      const bool lower = epoch.validation_loss < lowest;
      if (lower) lowest = epoch.validation_loss, best.take(model_);
      waited = lower ? 0 : waited + 1;
      go_on = waited < options.patience;
    }
    if (options.on_epoch_end && !options.on_epoch_end(epoch)) go_on = false;
  }
  best.restore();
  return history;
}

template <class T>
double Trainer<T>::train_epoch(DataLoader<T>& training, std::size_t epoch, Progress& progress) {
  double total = 0;
  std::size_t samples = 0;
  for (const Dataset<T>& batch : training) {
    const std::size_t number = training.state().batch;
    optimizer_.zero_grad();
    const Tensor<T> loss = loss_(model_(batch.inputs), batch);
    const double value = static_cast<double>(loss.item());
    if (!std::isfinite(value)) {
      if (options.on_batch_end) options.on_batch_end(epoch, number, value);
      throw Error("Trainer", "the loss is " + xtape::detail::number_text(value) + " in epoch " +
                                 std::to_string(epoch) + ", batch " + std::to_string(number) +
                                 ": the weights are those before it; look at the inputs, lower the "
                                 "learning rate, or clip the gradients");
    }
    loss.backward();
    if (options.after_backward) options.after_backward();
    optimizer_.step();
    total += value * static_cast<double>(batch.size());
    samples += batch.size();
    if (options.on_batch_end) options.on_batch_end(epoch, number, value);
    progress.batch(epoch, number, training.size(), value);
  }
  return total / static_cast<double>(samples);
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace xtape::nn
