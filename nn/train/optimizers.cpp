// Each update is one pass over a parameter.
#include "../optimizers.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include <autodiff/engine.hpp>

namespace xtape::nn {

namespace {

void require_not_negative(const char* op, const char* what, double value) {
  if (!(value >= 0)) throw Error(op, std::string(what) + " " + engine::number_text(value) + " is negative");
}

}  // namespace

template <class T>
Optimizer<T>::Optimizer(Groups<T> groups, std::vector<std::string> memories, double learning_rate)
    : first_options_rate_(learning_rate) {
  std::vector<Group<T>> list = std::move(groups).release();
  for (std::size_t k = 0; k < list.size(); ++k) {
    const std::string name = "group " + std::to_string(k);
    if (list[k].parameters.empty() && list.size() > 1) throw Error("optimizer", name + " has no parameters");
    const auto& [rate, decay] = list[k].options;
    require_not_negative("optimizer", "the learning rate", rate.value_or(0));
    require_not_negative("optimizer", "the weight decay", decay.value_or(0));
    if (rate && learning_rate == 0)
      throw Error("optimizer", name +
                                   " has a learning rate, and that of the options is 0, to which it cannot "
                                   "be in proportion");
    for (Tensor<T>& p : list[k].parameters) parameters_.push_back(std::move(p));
    groups_.resize(parameters_.size(), list[k].options);
  }
  if (parameters_.empty())
    throw Error("optimizer", "there are no parameters: a module lists those that its members() names");
  std::map<const void*, std::size_t> place;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const std::string which = "tensor " + std::to_string(i);
    if (!parameters_[i].is_leaf())
      throw Error("optimizer", which + " is no parameter: make it with parameter()");
    if (const auto [first, is_new] = place.emplace(parameters_[i].handle().node.get(), i); !is_new)
      throw Error("optimizer", which + " is tensor " + std::to_string(first->second) +
                                   " again: each step would update it twice");
  }
  state_.steps.resize(parameters_.size());
  for (std::string& name : memories)
    state_.memories.emplace_back(std::move(name), std::vector<Tensor<T>>(parameters_.size()));
}

template <class T>
void Optimizer<T>::step() {
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (parameters_[i].has_grad() && is_own(i)) prepare(i);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    Tensor<T>& p = parameters_[i];
    if (!p.has_grad()) continue;
    const Tensor<T> gradient = p.grad();
    ++state_.steps[i];
    if (is_own(i)) update(i, p.begin_update(), gradient.data(), p.size());
  }
  if (shards_) shards_->exchange(parameters_);
}

template <class T>
void Optimizer<T>::drop_others() noexcept {
  for (auto& memory : state_.memories)
    for (std::size_t i = 0; i < parameters_.size(); ++i)
      if (!is_own(i)) memory.second[i] = {};
}

template <class T>
void Optimizer<T>::zero_grad() {
  for (Tensor<T>& p : parameters_) p.zero_grad();
}

template <class T>
double Optimizer<T>::rate(std::size_t i, double of_options) const {
  const std::optional<double>& own = groups_[i].learning_rate;
  return own ? *own * (of_options / first_options_rate_) : of_options;
}

template <class T>
double Optimizer<T>::decay(std::size_t i, double of_options) const {
  return groups_[i].weight_decay.value_or(of_options);
}

template <class T>
void Optimizer<T>::set_rate(double& rate, double value) {
  require_not_negative("optimizer", "the learning rate", value);
  rate = value;
  this->scheduled_ = -1;  // from here on schedules start from this one
}

template <class T>
T* Optimizer<T>::memory(std::size_t which, std::size_t i, T initial) {
  Tensor<T>& own = state_.memories[which].second[i];
  if (!own.defined()) own = full<T>(parameters_[i].shape(), initial);
  return own.mutable_data();
}

template <class T>
std::vector<std::string> Optimizer<T>::names_of_parameters(const Named& names) const {
  std::map<const void*, std::string> name_of;
  for (const auto& [name, p] : names) name_of.emplace(p.handle().node.get(), name);
  std::vector<std::string> result;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const auto found = name_of.find(parameters_[i].handle().node.get());
    if (found == name_of.end())
      throw Error("optimizer",
                  "tensor " + std::to_string(i) + " of shape " + to_string(parameters_[i].shape()) +
                      " has no name: it is no parameter of the model, or members() leaves it out");
    result.push_back(found->second);
  }
  return result;
}

template <class T>
typename Optimizer<T>::Named Optimizer<T>::state(const Named& names) const {
  const std::vector<std::string> own = names_of_parameters(names);
  Named all;
  for (std::size_t i = 0; i < own.size(); ++i) {
    if (steps(i) == 0) continue;
    all.emplace_back("steps." + own[i], Tensor<T>(steps(i)));
    for (const auto& [name, tensors] : state_.memories) {
      const Tensor<T> one = shards_ ? shards_->gather(i, tensors[i]) : tensors[i];
      if (one.defined()) all.emplace_back(name + "." + own[i], one);
    }
  }
  return all;
}

template <class T>
typename Optimizer<T>::State Optimizer<T>::read(const Named& names, const Named& state) const {
  const std::vector<std::string> own = names_of_parameters(names);
  std::map<std::string, std::size_t> place;
  for (std::size_t i = 0; i < own.size(); ++i) place.emplace(own[i], i);
  State result;
  result.steps.resize(own.size());
  for (const auto& memory : state_.memories)
    result.memories.emplace_back(memory.first, std::vector<Tensor<T>>(own.size()));
  for (const auto& [key, value] : state) {
    const std::string& entry = key;  // Clang 14 captures no binding
    const std::string which = entry.substr(0, entry.find('.'));
    const std::string name = entry.substr(std::min(entry.size(), which.size() + 1));
    const auto fail = [&](const std::string& what) { throw Error("optimizer", "'" + entry + "' " + what); };
    const auto found = place.find(name);
    if (found == place.end() && !name.empty() && name.find_first_not_of("0123456789") == std::string::npos)
      fail(
          "names a parameter by its place, as files of version 0.1 do: load the model without its optimiser");
    if (found == place.end()) fail("belongs to a parameter that this optimiser does not have");
    const std::size_t i = found->second;
    if (which == "steps") {
      if (value.size() != 1 || !(value.item() >= 0 && value.item() < T(0x1p53)))
        fail("is no number of steps");
      result.steps[i] = static_cast<std::size_t>(value.item());
      continue;
    }
    const auto memory =
        std::ranges::find(result.memories, which, [](const auto& own_memory) { return own_memory.first; });
    if (memory == result.memories.end()) fail("is the state of another rule");
    if (!(value.shape() == parameters_[i].shape()))
      fail("is of shape " + to_string(value.shape()) + ", and the parameter of shape " +
           to_string(parameters_[i].shape()));
    memory->second[i] = full<T>(value.shape(), 0);
    memory->second[i].assign(value);
  }
  for (const auto& [name, tensors] : result.memories)
    for (std::size_t i = 0; i < own.size(); ++i)
      if (tensors[i].defined() && result.steps[i] == 0)
        throw Error("optimizer", "there is '" + name + "." + own[i] + "', and no 'steps." + own[i] + "'");
  return result;
}

template <class T>
SGD<T>::SGD(Groups<T> groups, SGDOptions o)
    : Optimizer<T>(std::move(groups), {"velocity"}, o.learning_rate), options(o) {
  require_not_negative("SGD", "the learning rate", o.learning_rate);
  require_not_negative("SGD", "the momentum", o.momentum);
  require_not_negative("SGD", "the weight decay", o.weight_decay);
  if (o.nesterov && o.momentum == 0) throw Error("SGD", "Nesterov needs a momentum");
}

template <class T>
void SGD<T>::prepare(std::size_t i) {
  if (options.momentum != 0) this->memory(0, i);
}

template <class T>
void SGD<T>::update(std::size_t i, T* w, const T* g, std::size_t n) {
  // A velocity of 0 makes the first step that of the gradient alone.
  T* const velocity = options.momentum != 0 ? this->memory(0, i) : nullptr;
  engine::sgd_update(w, velocity, g, n,
                     {static_cast<T>(this->rate(i, options.learning_rate)), static_cast<T>(options.momentum),
                      static_cast<T>(this->decay(i, options.weight_decay)), options.nesterov});
}

template <class T>
Adam<T>::Adam(const char* name, Groups<T> groups, AdamOptions o, bool decoupled)
    : Optimizer<T>(std::move(groups), {"mean", "square"}, o.learning_rate),
      options(o),
      decoupled_(decoupled) {
  require_not_negative(name, "the learning rate", o.learning_rate);
  require_not_negative(name, "epsilon", o.epsilon);
  require_not_negative(name, "the weight decay", o.weight_decay);
  if (!(o.beta1 >= 0 && o.beta1 < 1 && o.beta2 >= 0 && o.beta2 < 1))
    throw Error(name, "beta1 " + engine::number_text(o.beta1) + " and beta2 " + engine::number_text(o.beta2) +
                          " must be in [0, 1)");
}

template <class T>
void Adam<T>::prepare(std::size_t i) {
  this->memory(0, i);
  this->memory(1, i);
}

template <class T>
void Adam<T>::update(std::size_t i, T* w, const T* g, std::size_t n) {
  const auto t = static_cast<double>(this->steps(i));
  const double rate = this->rate(i, options.learning_rate);
  const double correction1 = 1 - std::pow(options.beta1, t), correction2 = 1 - std::pow(options.beta2, t);
  const double shrink = decoupled_ ? 1 - rate * this->decay(i, options.weight_decay) : 1;
  const engine::AdamStep<T> step{
      .rate = static_cast<T>(rate / correction1),
      .root = static_cast<T>(1 / std::sqrt(correction2)),
      .beta1 = static_cast<T>(options.beta1),
      .beta2 = static_cast<T>(options.beta2),
      .one_minus_beta1 = static_cast<T>(1 - options.beta1),
      .one_minus_beta2 = static_cast<T>(1 - options.beta2),
      .epsilon = static_cast<T>(options.epsilon),
      .decay = decoupled_ ? T(0) : static_cast<T>(this->decay(i, options.weight_decay)),
      .shrink = static_cast<T>(shrink),
  };
  engine::adam_update(w, this->memory(0, i), this->memory(1, i), g, n, step);
}

template <class T>
RMSprop<T>::RMSprop(Groups<T> groups, RMSpropOptions o)
    : Optimizer<T>(std::move(groups), {"square", "mean", "velocity"}, o.learning_rate), options(o) {
  require_not_negative("RMSprop", "the learning rate", o.learning_rate);
  require_not_negative("RMSprop", "epsilon", o.epsilon);
  require_not_negative("RMSprop", "the momentum", o.momentum);
  require_not_negative("RMSprop", "the weight decay", o.weight_decay);
  if (!(o.alpha >= 0 && o.alpha < 1))
    throw Error("RMSprop", "alpha " + engine::number_text(o.alpha) + " must be in [0, 1)");
}

template <class T>
void RMSprop<T>::prepare(std::size_t i) {
  this->memory(0, i);
  if (options.centered) this->memory(1, i);
  if (options.momentum != 0) this->memory(2, i);
}

template <class T>
void RMSprop<T>::update(std::size_t i, T* w, const T* g, std::size_t n) {
  T* const mean = options.centered ? this->memory(1, i) : nullptr;
  T* const velocity = options.momentum != 0 ? this->memory(2, i) : nullptr;
  engine::rmsprop_update(
      w, this->memory(0, i), mean, velocity, g, n,
      {static_cast<T>(this->rate(i, options.learning_rate)), static_cast<T>(options.alpha),
       static_cast<T>(1 - options.alpha), static_cast<T>(options.epsilon), static_cast<T>(options.momentum),
       static_cast<T>(this->decay(i, options.weight_decay))});
}

template <class T>
Adagrad<T>::Adagrad(Groups<T> groups, AdagradOptions o)
    : Optimizer<T>(std::move(groups), {"square"}, o.learning_rate), options(o) {
  require_not_negative("Adagrad", "the learning rate", o.learning_rate);
  require_not_negative("Adagrad", "the rate's decay", o.rate_decay);
  require_not_negative("Adagrad", "the initial square", o.initial_square);
  require_not_negative("Adagrad", "epsilon", o.epsilon);
  require_not_negative("Adagrad", "the weight decay", o.weight_decay);
}

template <class T>
void Adagrad<T>::prepare(std::size_t i) {
  this->memory(0, i, static_cast<T>(options.initial_square));
}

template <class T>
void Adagrad<T>::update(std::size_t i, T* w, const T* g, std::size_t n) {
  const double rate = this->rate(i, options.learning_rate) /
                      (1 + static_cast<double>(this->steps(i) - 1) * options.rate_decay);
  engine::adagrad_update(w, this->memory(0, i), g, n,
                         {static_cast<T>(rate), static_cast<T>(options.epsilon),
                          static_cast<T>(this->decay(i, options.weight_decay))});
}

#define XTAPE_INSTANTIATE(T)   \
  template class Optimizer<T>; \
  template class SGD<T>;       \
  template class Adam<T>;      \
  template class AdamW<T>;     \
  template class RMSprop<T>;   \
  template class Adagrad<T>;
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn
