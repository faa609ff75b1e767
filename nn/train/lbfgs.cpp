// L-BFGS on parameters: the minimiser's loop, with a closure for the function and the optimiser's arrays for
// its memory.
#include <autodiff/engine.hpp>
#include <autodiff/tape.hpp>

#include "../minimize/descend.hpp"
#include "../minimize/problem.hpp"
#include "../optimizers.hpp"

namespace xtape::nn {
namespace {

std::vector<std::string> names_of_pairs(std::size_t history) {
  std::vector<std::string> names;
  for (std::size_t k = 0; k < history; ++k) {
    names.push_back("move" + std::to_string(k));
    names.push_back("change" + std::to_string(k));
  }
  return names;
}

/// Parameters and gradients as they are, to be put back.
template <class T>
class Before {
 public:
  Before(const std::vector<Tensor<T>>& parameters, const minimizing::Unknowns<T>& unknowns)
      : parameters_(parameters), x_(unknowns.flat(parameters)) {
    for (const Tensor<T>& p : parameters_) gradients_.push_back(p.has_grad() ? p.grad() : Tensor<T>());
  }
  const std::vector<T>& x() const { return x_; }
  void put_back() { put(x_, gradients_); }

  /// New elements for the parameters.
  void assign(const std::vector<T>& x) {
    const T* from = x.data();
    for (Tensor<T>& p : parameters_) {
      std::copy(from, from + p.size(), p.begin_update());
      from += p.size();
    }
  }
  void put(const std::vector<T>& x, const std::vector<Tensor<T>>& gradients) {
    assign(x);
    for (std::size_t i = 0; i < parameters_.size(); ++i)
      gradients[i].defined() && parameters_[i].requires_grad() ? parameters_[i].set_grad(gradients[i])
                                                               : parameters_[i].zero_grad();
  }

 private:
  std::vector<Tensor<T>> parameters_, gradients_{};
  std::vector<T> x_;
};

}  // namespace

template <class T>
LBFGS<T>::LBFGS(std::vector<Tensor<T>> parameters, LBFGSOptions o)
    : Optimizer<T>(std::move(parameters), names_of_pairs(o.history)), options(o), most_pairs_(o.history) {
  if (!(o.learning_rate >= 0))
    throw Error("LBFGS", "the learning rate " + engine::number_text(o.learning_rate) + " is negative");
  (void)minimizing::limits_of("LBFGS", o);
}

template <class T>
void LBFGS<T>::prepare(std::size_t) {
  throw Error(
      "LBFGS",
      "a step computes the loss several times: call step(closure), where the closure computes and "
      "returns the loss. Trainer and CompiledStep make one gradient for a step, and need another optimiser");
}

template <class T>
Tensor<T> LBFGS<T>::step(const std::function<Tensor<T>()>& closure) {
  if (!closure) throw Error("LBFGS", "the closure is no function");
  const std::vector<Tensor<T>>& parameters = this->parameters();
  const minimizing::Unknowns<T> unknowns(parameters);
  Before<T> before(parameters, unknowns);
  minimizing::Run<T> run;
  run.limits = minimizing::limits_of("LBFGS", options);
  // A step() of few iterations is to find out, too; but where nothing is searched the loss may rise.
  run.patience = std::clamp<std::size_t>(options.max_iterations, 5, run.patience);
  if (options.line_search == LineSearch::none) run.patience = std::numeric_limits<std::size_t>::max();
  run.function = [&](std::vector<T> x) {
    before.assign(x);
    this->zero_grad();
    const EnableGrad recorded;
    const Tensor<T> loss = closure();
    if (!loss.defined() || loss.size() != 1)
      throw Error("LBFGS",
                  "the closure returns " +
                      (loss.defined() ? "the shape " + to_string(loss.shape()) : "a tensor without a value") +
                      ", and a loss has one element: take its sum() or mean()");
    const auto has_gradient = [](const Tensor<T>& p) { return p.has_grad(); };
    const bool ran_backward = std::ranges::any_of(parameters, has_gradient);
    if (!ran_backward && loss.requires_grad()) loss.backward();
    if (!ran_backward && std::ranges::none_of(parameters, has_gradient))
      throw Error("LBFGS",
                  "the loss depends on none of the parameters: compute it from them in the closure, and make "
                  "the optimiser with those of this model");
    minimizing::Point<T> point;
    point.x = std::move(x);
    point.value = static_cast<double>(loss.item());
    for (const Tensor<T>& p : parameters) {
      const Tensor<T> g = p.has_grad() ? p.grad() : zeros<T>(p.shape());
      point.gradient.insert(point.gradient.end(), g.begin(), g.end());
    }
    return point;
  };

  minimizing::Pairs<T> pairs(std::min(options.history, most_pairs_));
  for (std::size_t k = 0; k < most_pairs_; ++k) {
    minimizing::Pair<T> pair;
    const auto append = [&](std::vector<T>& to, std::size_t which) {
      for (std::size_t i = 0; i < parameters.size(); ++i)
        if (const Tensor<T>& part = this->stored(which, i); part.defined())
          to.insert(to.end(), part.begin(), part.end());
    };
    append(pair.s, 2 * k);
    append(pair.y, 2 * k + 1);
    // A pair of which a parameter has no part says nothing of the others alone.
    if (pair.s.size() == before.x().size() && pair.y.size() == before.x().size()) pairs.push(std::move(pair));
  }

  try {
    minimizing::Point<T> at = run.evaluate(before.x());
    if (!std::isfinite(at.value))
      throw Error("LBFGS", "the loss is " + engine::number_text(at.value) + " at the start of a step");
    if (!at.is_finite())
      throw Error("LBFGS", "the gradient has NaN or infinities at the start of a step, and the loss is " +
                               engine::number_text(at.value));
    const auto first = static_cast<T>(at.value);
    at = minimizing::descend(run, std::move(at),
                             {.line_search = options.line_search, .rate = options.learning_rate}, pairs);
    // All that may fail comes before the state changes.
    std::vector<std::vector<Tensor<T>>> kept;
    for (const minimizing::Pair<T>& pair : pairs.all()) {
      kept.push_back(unknowns.tensors(pair.s));
      kept.push_back(unknowns.tensors(pair.y));
    }
    kept.resize(2 * most_pairs_, std::vector<Tensor<T>>(parameters.size()));
    const std::vector<Tensor<T>> gradients = unknowns.tensors(at.gradient);
    Tensor<T> result(first);
    before.put(at.x, gradients);
    for (std::size_t which = 0; which < kept.size(); ++which)
      for (std::size_t i = 0; i < parameters.size(); ++i) this->stored(which, i) = std::move(kept[which][i]);
    this->count_step();
    const minimizing::Outcome& outcome = run.outcome;
    last_ = {outcome.value,       outcome.gradient_norm, outcome.iterations,
             outcome.evaluations, outcome.converged,     outcome.message};
    return result;
  } catch (...) {
    before.put_back();
    throw;
  }
}

template <class T>
void LBFGS<T>::shard(std::shared_ptr<StateShards<T>>) {
  throw Error("LBFGS", "its state cannot be divided: a direction is of all parameters together");
}

#define XTAPE_INSTANTIATE(T) template class LBFGS<T>;
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn
