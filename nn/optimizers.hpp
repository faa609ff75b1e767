// Optimisers: they change parameters, and, but for LBFGS, never gradients.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <autodiff/tensor.hpp>

#include "line_search.hpp"

namespace xtape::nn {

/// What a group of parameters has of its own; what it does not say is as in the optimiser's options.
struct GroupOptions {
  /// A schedule, or set_learning_rate(), changes it in proportion to the optimiser's.
  std::optional<double> learning_rate{};
  std::optional<double> weight_decay{};
};

/// Parameters with options of their own.
template <class T>
struct Group {
  std::vector<Tensor<T>> parameters;
  GroupOptions options{};
};

/// What optimisers take instead of a list of parameters; made by groups().
template <class T>
class Groups {
 public:
  explicit Groups(std::vector<Group<T>> groups) : groups_(std::move(groups)) {}
  std::vector<Group<T>> release() && { return std::move(groups_); }

 private:
  std::vector<Group<T>> groups_;
};

/// nn::AdamW<T>(nn::groups<T>({{weights, {.weight_decay = 0.1}}, {biases, {.weight_decay = 0}}}), {…}). The
/// state is saved by the names of the parameters, so that groups may be others when it is loaded. Errors, of
/// the optimiser: a group without parameters, a parameter in two groups, a negative rate or decay.
template <class T>
Groups<T> groups(std::vector<Group<T>> list) {
  return Groups<T>(std::move(list));
}

/// What schedules see of an optimiser of any element type.
class HasLearningRate {
 public:
  virtual ~HasLearningRate() = default;
  /// α, the factor of the next step.
  virtual double learning_rate() const = 0;
  /// Error for one that is negative or no number; 0 stands still.
  virtual void set_learning_rate(double rate) = 0;

  /// The rate that schedules start from: the present one, unless a schedule has set that; then the one that
  /// the schedule started from.
  double first_learning_rate() const { return learning_rate() == scheduled_ ? first_ : learning_rate(); }
  /// The rate that a schedule comes to, which started from `first`.
  void schedule_learning_rate(double rate, double first) {
    set_learning_rate(rate);
    scheduled_ = learning_rate();
    first_ = first;
  }

 protected:
  double scheduled_ = -1;  ///< the present rate, where a schedule has set it
  double first_ = 0;
};

/// How processes that train together, with the same gradients, divide an optimiser's state: each keeps that
/// of its own parameters, and updates these. mpi::DataParallel::shard() makes one.
template <class T>
class StateShards {
 public:
  virtual ~StateShards() = default;
  /// Whether parameter i is this process's.
  virtual bool is_own(std::size_t i) const = 0;
  /// Gives the new values of all parameters to all processes.
  virtual void exchange(std::vector<Tensor<T>>& parameters) = 0;
  /// What the process that parameter i belongs to gives as `own`; undefined where that is. All call it.
  virtual Tensor<T> gather(std::size_t i, const Tensor<T>& own) = 0;
};

/// What optimisers have in common: the parameters, and what the steps carry on for each of them. A rule
/// derives from it and writes update().
template <class T>
class Optimizer : public HasLearningRate {
 public:
  /// Tensors by name, as Module::named_parameters() gives them.
  using Named = std::vector<std::pair<std::string, Tensor<T>>>;

  /// `memories` names the arrays that the rule keeps for each parameter. Error for no parameters, for a
  /// tensor that is no leaf, and for one that is listed twice.
  explicit Optimizer(std::vector<Tensor<T>> parameters, std::vector<std::string> memories = {})
      : Optimizer(Groups<T>({{std::move(parameters), {}}}), std::move(memories), 0) {}
  /// The rates of groups are relative to `learning_rate`, the optimiser's.
  Optimizer(Groups<T> groups, std::vector<std::string> memories, double learning_rate);
  Optimizer(const Optimizer&) = delete;  // a copy would share the arrays, and change them with its steps
  Optimizer& operator=(const Optimizer&) = delete;
  Optimizer(Optimizer&&) noexcept = default;
  Optimizer& operator=(Optimizer&&) noexcept = default;

  /// One update of every parameter that has a gradient; one that has none, as it is frozen, also does not
  /// decay. Where there is no memory for what the rule keeps, nothing has changed.
  void step();
  void zero_grad();
  const std::vector<Tensor<T>>& parameters() const { return parameters_; }

  /// What the steps carry on, to be saved under the names of the parameters, model.named_parameters(): for
  /// each that has been updated its number of steps, such as "steps.hidden.weight" (beyond 2^24 rounded in
  /// float), and the arrays of the rule, such as "mean.hidden.weight". Handles share. The options are not
  /// among them. Of a state that processes share it is whole on each, and all of them must call it. Error for
  /// a parameter that is not among the names.
  Named state(const Named& names) const;
  /// Continues from a state(), which is copied; a parameter that it does not name starts anew. Error for a
  /// parameter without a name, for an entry that belongs to no parameter here or is of another shape, and for
  /// arrays without their number of steps.
  void restore(const Named& names, const Named& state) { adopt(read(names, state)); }

  /// The names of the parameters, in their order. Error for one that is not among the names.
  std::vector<std::string> names_of_parameters(const Named& names) const;

  /// A state that has been checked and copied, so that several optimisers go on together or not at all.
  class State {
    friend class Optimizer;
    std::vector<std::size_t> steps{};
    std::vector<std::pair<std::string, std::vector<Tensor<T>>>> memories{};
  };
  /// The first half of restore(), with its errors.
  State read(const Named& names, const Named& state) const;
  /// The second half.
  void adopt(State state) noexcept {
    state_ = std::move(state);
    drop_others();
  }

  /// Divides the state among processes from here on, or without shards no more: then what this process does
  /// not have starts anew. Error for a rule with a step of its own.
  virtual void shard(std::shared_ptr<StateShards<T>> shards) {
    if (!shards)
      for (std::size_t i = 0; i < parameters_.size(); ++i)
        if (!is_own(i)) state_.steps[i] = 0;
    shards_ = std::move(shards);
    drop_others();
  }

 protected:
  /// Makes the arrays that update() is to use: for all parameters, before the first of them changes.
  virtual void prepare(std::size_t) {}
  /// w ← …, the n elements of parameter i, with the gradient g.
  virtual void update(std::size_t i, T* w, const T* g, std::size_t n) = 0;
  /// How many updates parameter i has had, with the present one.
  std::size_t steps(std::size_t i) const { return state_.steps[i]; }
  /// The learning rate and the weight decay of parameter i: those of its group, if that has some, else those
  /// of the options, which are given here.
  double rate(std::size_t i, double of_options) const;
  double decay(std::size_t i, double of_options) const;
  /// Checks the new rate, as set_learning_rate() must.
  void set_rate(double& rate, double value);
  /// The array `which` of parameter i, of its size; at first all `initial`.
  T* memory(std::size_t which, std::size_t i, T initial = 0);
  /// The array itself, undefined where there is none; a rule may put another in its place.
  Tensor<T>& stored(std::size_t which, std::size_t i) { return state_.memories[which].second[i]; }
  /// Counts an update of all parameters, for a rule with a step() of its own.
  void count_step() {
    for (std::size_t& steps : state_.steps) ++steps;
  }

 private:
  bool is_own(std::size_t i) const { return !shards_ || shards_->is_own(i); }
  void drop_others() noexcept;

  std::vector<Tensor<T>> parameters_;
  std::vector<GroupOptions> groups_;  ///< of each parameter
  double first_options_rate_ = 0;     ///< what the rates of groups are relative to
  State state_;                       ///< for each parameter; arrays are empty until they are used
  std::shared_ptr<StateShards<T>> shards_;
};

/// Settings of SGD.
struct SGDOptions {
  double learning_rate = 0.1;
  double momentum = 0;
  bool nesterov = false;
  double weight_decay = 0;
};

/// Gradient descent: g ← g + λ w; v ← μ v + g; w ← w − α v (plain: w − α g; Nesterov: w − α (g + μ v)), as in
/// PyTorch. Error for a negative rate, momentum or decay.
template <class T>
class SGD : public Optimizer<T> {
 public:
  explicit SGD(std::vector<Tensor<T>> parameters, SGDOptions o = {})
      : SGD(Groups<T>({{std::move(parameters), {}}}), o) {}
  explicit SGD(Groups<T> groups, SGDOptions options = {});
  double learning_rate() const override { return options.learning_rate; }
  void set_learning_rate(double rate) override { this->set_rate(options.learning_rate, rate); }

  SGDOptions options;  ///< may be changed between steps

 protected:
  void prepare(std::size_t i) override;
  void update(std::size_t i, T* w, const T* g, std::size_t n) override;
};

/// Settings of Adam; weight_decay is added to the gradient.
struct AdamOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
};

/// Adam (Kingma and Ba, 2015): m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g²,
/// w ← w − α m̂ / (√v̂ + ε) with m̂ = m / (1−β₁ᵗ), v̂ = v / (1−β₂ᵗ). Weight decay is added to g.
template <class T>
class Adam : public Optimizer<T> {
 public:
  explicit Adam(std::vector<Tensor<T>> parameters, AdamOptions o = {})
      : Adam(Groups<T>({{std::move(parameters), {}}}), o) {}
  explicit Adam(Groups<T> groups, AdamOptions o = {}) : Adam("Adam", std::move(groups), o, false) {}
  double learning_rate() const override { return options.learning_rate; }
  void set_learning_rate(double rate) override { this->set_rate(options.learning_rate, rate); }

  AdamOptions options;  ///< may be changed between steps

 protected:
  Adam(const char* name, Groups<T> groups, AdamOptions o, bool decoupled);
  void prepare(std::size_t i) override;
  void update(std::size_t i, T* w, const T* g, std::size_t n) override;

 private:
  bool decoupled_;  ///< the decay shrinks w instead of being added to g
};

/// Settings of AdamW; weight_decay shrinks the weights themselves.
struct AdamWOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.01;
};

/// Adam whose weight decay is apart from the gradient: w ← (1 − α λ) w before the step (Loshchilov and
/// Hutter, 2019).
template <class T>
class AdamW : public Adam<T> {
 public:
  explicit AdamW(std::vector<Tensor<T>> parameters, AdamWOptions o = {})
      : AdamW(Groups<T>({{std::move(parameters), {}}}), o) {}
  explicit AdamW(Groups<T> groups, AdamWOptions o = {})
      : Adam<T>("AdamW", std::move(groups), {o.learning_rate, o.beta1, o.beta2, o.epsilon, o.weight_decay},
                true) {}
};

/// Settings of RMSprop.
struct RMSpropOptions {
  double learning_rate = 0.01;
  double alpha = 0.99;
  double epsilon = 1e-8;
  double momentum = 0;
  bool centered = false;
  double weight_decay = 0;
};

/// RMSprop (Tieleman and Hinton, 2012), as in PyTorch: g ← g + λ w; s ← αs + (1−α)g²; d = g / (√s + ε);
/// v ← μ v + d; w ← w − rate · v (without momentum: d). Centered: m ← αm + (1−α)g, and √(s − m²) for √s.
template <class T>
class RMSprop : public Optimizer<T> {
 public:
  explicit RMSprop(std::vector<Tensor<T>> parameters, RMSpropOptions o = {})
      : RMSprop(Groups<T>({{std::move(parameters), {}}}), o) {}
  explicit RMSprop(Groups<T> groups, RMSpropOptions options = {});
  double learning_rate() const override { return options.learning_rate; }
  void set_learning_rate(double rate) override { this->set_rate(options.learning_rate, rate); }

  RMSpropOptions options;  ///< may be changed between steps

 protected:
  void prepare(std::size_t i) override;
  void update(std::size_t i, T* w, const T* g, std::size_t n) override;
};

/// Settings of Adagrad.
struct AdagradOptions {
  double learning_rate = 0.01;
  double rate_decay = 0;
  double initial_square = 0;
  double epsilon = 1e-10;
  double weight_decay = 0;
};

/// Adagrad (Duchi et al., 2011): g ← g + λ w; s ← s + g², from initial_square on;
/// w ← w − α / (1 + (t − 1) rate_decay) · g / (√s + ε).
template <class T>
class Adagrad : public Optimizer<T> {
 public:
  explicit Adagrad(std::vector<Tensor<T>> parameters, AdagradOptions o = {})
      : Adagrad(Groups<T>({{std::move(parameters), {}}}), o) {}
  explicit Adagrad(Groups<T> groups, AdagradOptions options = {});
  double learning_rate() const override { return options.learning_rate; }
  void set_learning_rate(double rate) override { this->set_rate(options.learning_rate, rate); }

  AdagradOptions options;  ///< may be changed between steps

 protected:
  void prepare(std::size_t i) override;
  void update(std::size_t i, T* w, const T* g, std::size_t n) override;
};

/// Settings of LBFGS.
struct LBFGSOptions {
  double learning_rate = 1;  ///< the first step that a search tries along the direction, and its only one
                             ///< with LineSearch::none
  std::size_t max_iterations = 20;  ///< of one step()
  std::size_t max_evaluations = 0;  ///< of the closure in one step(); 0: no limit
  std::size_t history = 10;         ///< changes of parameters and gradients that are remembered
  LineSearch line_search = LineSearch::strong_wolfe;
  /// A step() ends where no component of the gradient is larger, in float as in double: mean losses have
  /// small gradients, and where the loss has no digits left it ends anyway …
  double gradient_tolerance = 1e-8;
  double value_tolerance = 0;  ///< … or an iteration changes the loss by less, relative to it …
  double step_tolerance = 0;   ///< … or no parameter by more, relative to the largest, or to 1
};

/// How a step() of LBFGS went.
struct LBFGSReport {
  double value = 0;          ///< the loss at the new parameters
  double gradient_norm = 0;  ///< the largest component of its gradient
  std::size_t iterations = 0, evaluations = 0;
  bool converged = false;  ///< a tolerance is met, or the loss has no digits left that could be decreased
  std::string message{};   ///< why it ended, with the numbers
};

/// L-BFGS (Liu and Nocedal, 1989; Nocedal and Wright, Algorithm 7.5): w ← w − α H g, where H is made of the
/// last changes of w and g, and α comes from a line search. For losses of all data, or of one batch that
/// stays; it ends where others begin to crawl.
///
///     nn::LBFGS<double> lbfgs(model.parameters());
///     while (lbfgs.step([&] { return nn::mse_loss(model(x), y); }), !lbfgs.last().converged) {}
///
/// Its state, to be saved, are those changes: "move0.hidden.weight", "change0.hidden.weight", … from the
/// oldest on, so that a file goes to an optimiser of as long a history. Training goes on with the same bits.
template <class T>
class LBFGS : public Optimizer<T> {
 public:
  explicit LBFGS(std::vector<Tensor<T>> parameters, LBFGSOptions options = {});
  /// A search goes along one line for all parameters: with a rate for each group it would be no search, and a
  /// decay, which is no part of the loss, would end it. Add the decay to the loss.
  explicit LBFGS(Groups<T> groups, LBFGSOptions options = {}) = delete;
  double learning_rate() const override { return options.learning_rate; }
  void set_learning_rate(double rate) override { this->set_rate(options.learning_rate, rate); }
  /// Error: its direction is of all parameters.
  void shard(std::shared_ptr<StateShards<T>> shards) override;

  /// Up to max_iterations iterations. The closure computes the loss at the present parameters, one element,
  /// the same each time, and is called several times; the gradients are set to zero before it, and backward()
  /// is run after it unless it has done that itself, as closures for PyTorch do. Returns the loss before the
  /// step, as PyTorch does; last() tells where it went. Then the gradients are those at the new parameters.
  /// Errors: a loss of several elements, one that depends on none of the parameters, or is NaN or infinite
  /// at the start, and what the closure throws; parameters and gradients are then as they were.
  Tensor<T> step(const std::function<Tensor<T>()>& closure);
  const LBFGSReport& last() const { return last_; }

  LBFGSOptions options;  ///< may be changed between steps, but for a longer history

 protected:
  /// Error: what Optimizer::step() is given, one gradient, is not enough.
  void prepare(std::size_t i) override;
  void update(std::size_t, T*, const T*, std::size_t) override {}

 private:
  std::size_t most_pairs_;
  LBFGSReport last_;
};

}  // namespace xtape::nn
