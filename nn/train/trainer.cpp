// The loop of training.
#include "../trainer.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <set>
#include <string_view>

#include <autodiff/elementwise.hpp>
#include <autodiff/engine.hpp>
#include <autodiff/random.hpp>

#include "../clip.hpp"
#include "../progress.hpp"

namespace xtape::nn {
namespace {

constexpr std::string_view best_prefix = "best.", gradient_prefix = "gradient.";

/// Numbers as a text, which reads back to the same ones, and from it.
std::string text_of(std::initializer_list<double> numbers) {
  std::string text;
  for (const double x : numbers) text += (text.empty() ? "" : " ") + engine::exact_text(x);
  return text;
}

class StateReader {
 public:
  explicit StateReader(const std::string& text) : at_(text.data()), end_(text.data() + text.size()) {}
  bool ended() const { return at_ == end_; }
  template <class X>
  StateReader& operator>>(X& x) {
    const char* rest = at_;
    bool is_good;
    if constexpr (std::is_same_v<X, double>) {
      is_good = engine::read_number(rest, end_, x) == engine::ReadNumber::good;
    } else {
      const auto read = std::from_chars(at_, end_, x);
      rest = read.ptr;
      is_good = read.ec == std::errc();
    }
    if (!is_good) throw Error("Trainer", "'" + std::string(at_, end_) + "' is no saved state");
    at_ = rest;
    if (!ended() && (*at_ == ' ' || *at_ == '\n')) ++at_;
    return *this;
  }

 private:
  const char *at_, *end_;
};

}  // namespace

template <class T>
Trainer<T>::Trainer(Module<T>& model, Optimizer<T>& optimizer, std::type_identity_t<LossFunction<T>> loss,
                    TrainerOptions o)
    : options(std::move(o)), model_(model), optimizer_(optimizer), loss_(std::move(loss)) {
  if (!loss_) throw Error("Trainer", "the loss is no function");
}

template <class T>
const History& Trainer<T>::fit(DataLoader<T>& training, const Dataset<T>& validation) {
  if (training.size() == 0) throw Error("Trainer", "the training data make no batch");
  if (options.patience > 0 && validation.size() == 0)
    throw Error("Trainer", "early stopping needs validation data");
  if (options.accumulate == 0) throw Error("Trainer", "accumulate is 0: an update needs one batch at least");
  if (!(options.clip_norm >= 0))
    throw Error("Trainer", "clip_norm " + engine::number_text(options.clip_norm) + " is negative");
  const ModeScope<T> mode(model_, true);
  const std::size_t first = history.epochs.size() + 1, last = history.epochs.size() + options.epochs;
  Progress progress(options.progress, last, options.progress_every);
  if (std::exchange(goes_on_, false)) {
    training.restore(state_.place);
    random::generator() = state_.generator;
  } else {
    state_ = {};
  }
  bool go_on = options.patience == 0 || state_.waited < options.patience;
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
      const bool lower = epoch.validation_loss < state_.lowest;
      if (lower) {
        std::vector<Tensor<T>> best;
        for (const auto& [name, x] : model_.state_dict()) best.emplace_back(x.value());
        state_.best = std::move(best);
        state_.lowest = epoch.validation_loss;
      }
      state_.waited = lower ? 0 : state_.waited + 1;
      go_on = state_.waited < options.patience;
    }
    if (options.on_epoch_end && !options.on_epoch_end(epoch)) go_on = false;
  }
  auto model = model_.state_dict();
  for (std::size_t i = 0; i < state_.best.size(); ++i) model[i].second.assign(state_.best[i]);
  const auto place = state_.place;
  state_ = {};  // what is saved from here on waits anew
  state_.place = place;
  return history;
}

template <class T>
Tensor<T> Trainer<T>::forward(const Dataset<T>& batch) {
  optimizer_.zero_grad();
  return loss_(model_(batch.inputs), batch);
}

template <class T>
Tensor<T> Trainer<T>::compiled_backward(const Dataset<T>& batch) {
  if (!compiled_) compiled_.emplace(model_, loss_, optimizer_);
  return compiled_->backward(batch);
}

/// Gathers the gradients of a batch, and puts their mean in their place where they are those of an update.
template <class T>
bool Trainer<T>::completes_update(std::size_t samples, bool is_last) {
  if (options.accumulate == 1 && state_.batches_since == 0) return true;
  std::vector<Tensor<T>> parameters = optimizer_.parameters();  // handles
  state_.gradients.resize(parameters.size());
  const T weight = static_cast<T>(samples);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (!parameters[i].has_grad()) continue;
    Tensor<T>& sum = state_.gradients[i];
    const Tensor<T> part = weight * parameters[i].grad().detach();
    sum = sum.defined() ? sum + part : part;
  }
  state_.samples_since += samples;
  if (++state_.batches_since < options.accumulate && !is_last) return false;
  const T all = static_cast<T>(std::exchange(state_.samples_since, 0));
  state_.batches_since = 0;
  const std::vector<Tensor<T>> sums = std::exchange(state_.gradients, {});
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (sums[i].defined() && parameters[i].requires_grad()) parameters[i].set_grad(sums[i] / all);
  return true;
}

template <class T>
void Trainer<T>::update() {
  if (options.after_backward) options.after_backward();
  if (options.clip_norm > 0) clip_grad_norm(optimizer_.parameters(), options.clip_norm);
  optimizer_.step();
}

template <class T>
void Trainer<T>::require_parameters(const Tensor<T>& loss) const {
  using engine::Node;
  std::set<const Node*> named, trained;
  for (const Tensor<T>& p : model_.parameters()) named.insert(p.handle().node.get());
  for (const Tensor<T>& p : optimizer_.parameters()) trained.insert(p.handle().node.get());
  std::vector<Node*> found{loss.handle().node.get()};
  if (options.compiled)
    for (const Tensor<T>& leaf : compiled_->leaves()) found.push_back(leaf.handle().node.get());
  std::set<const Node*> seen(found.begin(), found.end());
  bool any_trained = false;
  while (!found.empty()) {
    Node* const node = found.back();
    found.pop_back();
    if (!node) continue;
    if (node->opaque) any_trained = true;  // what a checkpoint captures is out of sight
    if (!node->is_leaf()) {
      for (Node* input : node->inputs())
        if (seen.insert(input).second) found.push_back(input);
    } else if (trained.contains(node)) {
      any_trained = true;
    } else if (!named.contains(node)) {
      throw Error("Trainer",
                  "the loss depends on a parameter of shape " + to_string(node->shape()) +
                      " that neither the model's members() name nor the optimiser has: it would be "
                      "neither trained nor saved");
    }
  }
  if (!any_trained && (options.compiled || loss.requires_grad()))
    throw Error("Trainer",
                "the loss depends on none of the optimiser's parameters: make it with those of "
                "this model");
}

template <class T>
NamedTensors<T> Trainer<T>::state() const {
  NamedTensors<T> all;
  const auto model = model_.state_dict();
  for (std::size_t i = 0; i < state_.best.size(); ++i)
    all.tensors.emplace_back(std::string(best_prefix) + model[i].first, state_.best[i]);
  const auto count = [](auto n) { return std::to_string(n); };
  if (state_.batches_since > 0) {
    const std::vector<std::string> names = optimizer_.names_of_parameters(model_.named_parameters());
    for (std::size_t i = 0; i < names.size(); ++i)
      if (state_.gradients[i].defined())
        all.tensors.emplace_back(std::string(gradient_prefix) + names[i], state_.gradients[i]);
    all.metadata["accumulated"] = count(state_.batches_since) + " " + count(state_.samples_since);
  }
  all.metadata["early_stopping"] = text_of({state_.lowest}) + " " + count(state_.waited);
  all.metadata["epoch"] = text_of({state_.total}) + " " + count(state_.samples);
  const auto& place = state_.place;
  all.metadata["place"] = count(place.seed) + " " + count(place.epoch) + " " + count(place.batch);
  all.metadata["generator"] = engine::generator_text(goes_on_ ? state_.generator : random::generator());
  std::string& epochs = all.metadata["history"];
  for (const Epoch& e : history.epochs)
    epochs += count(e.number) + " " +
              text_of({e.train_loss, e.validation_loss, e.validation_accuracy, e.learning_rate, e.seconds}) +
              "\n";
  return all;
}

template <class T>
typename Trainer<T>::State Trainer<T>::read(const NamedTensors<T>& saved) const {
  const auto text = [&](const char* name) -> const std::string& {
    const auto found = saved.metadata.find(name);
    if (found == saved.metadata.end())
      throw Error("Trainer", std::string("there is no '") + name + "': it was saved without a trainer");
    return found->second;
  };
  State state;
  StateReader(text("early_stopping")) >> state.lowest >> state.waited;
  StateReader(text("epoch")) >> state.total >> state.samples;
  StateReader(text("place")) >> state.place.seed >> state.place.epoch >> state.place.batch;
  if (!engine::read_generator(text("generator"), state.generator))
    throw Error("Trainer", "the saved random generator is damaged");
  for (StateReader epochs(text("history")); !epochs.ended();) {
    Epoch& e = state.history.epochs.emplace_back();
    epochs >> e.number >> e.train_loss >> e.validation_loss >> e.validation_accuracy >> e.learning_rate >>
        e.seconds;
  }
  const auto require_shape = [](const char* what, const std::string& name, const Tensor<T>& found,
                                const Tensor<T>& x) {
    if (!(found.shape() == x.shape()))
      throw Error("Trainer", std::string("the ") + what + " '" + name + "' is of shape " +
                                 to_string(found.shape()) + ", and in the model of shape " +
                                 to_string(x.shape()));
  };
  if (const auto found = saved.metadata.find("accumulated"); found != saved.metadata.end()) {
    StateReader(found->second) >> state.batches_since >> state.samples_since;
    const std::vector<std::string> names = optimizer_.names_of_parameters(model_.named_parameters());
    state.gradients.resize(names.size());
    for (std::size_t i = 0; i < names.size(); ++i)
      for (const auto& [name, x] : saved.tensors)
        if (name == std::string(gradient_prefix) + names[i]) {
          require_shape("gradient of", names[i], x, optimizer_.parameters()[i]);
          state.gradients[i] = x;
        }
  }
  const auto is_best = [](const auto& entry) { return entry.first.starts_with(best_prefix); };
  if (std::ranges::none_of(saved.tensors, is_best)) return state;
  for (const auto& [name, x] : model_.state_dict()) {
    const Tensor<T>& best = saved.at(std::string(best_prefix) + name);
    require_shape("best", name, best, x);
    state.best.push_back(best);
  }
  return state;
}

template <class T>
void Trainer<T>::adopt(State state) noexcept {
  history = std::exchange(state.history, {});
  state_ = std::move(state);
  goes_on_ = true;
}

template <class T>
double Trainer<T>::train_epoch(DataLoader<T>& training, std::size_t epoch, Progress& progress) {
  bool is_first = true;
  const auto step = [&](const Dataset<T>& batch) {
    const std::size_t number = training.state().batch;
    const Tensor<T> loss = options.compiled ? compiled_backward(batch) : forward(batch);
    double value = static_cast<double>(loss.item());
    const auto require_finite = [&] {
      if (std::isfinite(value)) return;
      if (options.on_batch_end) options.on_batch_end(epoch, number, value);
      throw Error("Trainer", "the loss is " + engine::number_text(value) + " in epoch " +
                                 std::to_string(epoch) + ", batch " + std::to_string(number) +
                                 ": the weights are those before it; look at the inputs, lower the "
                                 "learning rate, or clip the gradients");
    };
    // Processes that train together find it together, after the pass.
    if (!options.reduced_loss) require_finite();
    if (std::exchange(is_first, false)) require_parameters(loss);
    if (!options.compiled) loss.backward();
    if (options.reduced_loss) {
      value = options.reduced_loss();
      require_finite();
    }
    if (completes_update(training.samples(), number == training.size())) update();
    state_.total += value * static_cast<double>(training.samples());
    state_.samples += training.samples();
    state_.place = training.state();
    if (options.on_batch_end) options.on_batch_end(epoch, number, value);
    progress.batch(epoch, number, training.size(), value);
  };
  if (state_.place.batch < training.size())  // else it was saved after the last batch of an epoch
    for (const Dataset<T>& batch : training) step(batch);
  state_.place = training.state();
  const double mean = state_.total / static_cast<double>(state_.samples);
  state_.total = 0;
  state_.samples = 0;
  return mean;
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace xtape::nn
