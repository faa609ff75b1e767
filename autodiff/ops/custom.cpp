// custom and checkpoint: nodes whose rule is a function of the user's.
#include "../custom.hpp"

#include <memory>
#include <mutex>
#include <random>
#include <set>

#include "../checkpoint.hpp"
#include "../random.hpp"
#include "../tape/op.hpp"
#include "layout_ops.hpp"

namespace xtape {
namespace detail {
namespace {

template <class T>
struct Custom {
  const char* name;
  CustomRule<T> rule;

  unsigned keeps(unsigned) const { return rule.takes_output() ? keep_output : 0; }
  void backward(Gradients<T>& d) const {
    const std::vector<Tensor<T>> gradients = rule(d.adjoint, rule.takes_output() ? d.output() : Tensor<T>());
    if (gradients.size() != d.input_count())
      throw Error(name, "the rule returned " + std::to_string(gradients.size()) + " gradients for " +
                            std::to_string(d.input_count()) + " inputs");
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      if (!d.needs(i) || !gradients[i].defined()) continue;
      if (!(gradients[i].shape() == d.shape(i)))
        throw Error(name, "the rule returned a gradient of shape " + to_string(gradients[i].shape()) +
                              " for input " + std::to_string(i) + " of shape " + to_string(d.shape(i)));
      d.add(i, d.creates_graph() ? gradients[i] : gradients[i].detach());
    }
  }
};

template <class T>
struct Checkpoint {
  Function<T> f;
  std::vector<Kept> captured;               ///< what f used besides its arguments
  std::unique_ptr<std::mt19937_64> random;  ///< as it was before f ran

  static constexpr const char* name = "checkpoint";

  void backward(Gradients<T>& d) const {
    for (const Kept& kept : captured)
      if (kept.value->owner().version != kept.version)
        throw Error(name, "a value of shape " + to_string(kept.value->shape) +
                              " that the function captured was assigned since: assign after backward()");
    std::vector<Tensor<T>> x;
    for (std::size_t i = 0; i < d.input_count(); ++i) x.push_back(d.recorded_input(i));
    std::mt19937_64 now = std::exchange(random::generator(), *random);
    try {
      replay_through<T>(name, d, [&] { return f(std::exchange(x, {})); });
    } catch (...) {
      random::generator() = now;
      throw;
    }
    random::generator() = now;
  }
};

/// The name for as long as the process lives: errors name nodes whose operation is gone.
const char* lasting(const std::string& name) {
  static std::mutex mutex;
  static std::set<std::string> names;
  const std::scoped_lock lock(mutex);
  return names.insert(name).first->c_str();
}

}  // namespace

template <class T>
Tensor<T> checkpoint(Function<T> f, const std::vector<Tensor<T>>& x) {
  constexpr const char* name = Checkpoint<T>::name;
  if (x.size() > 30)
    throw Error(name, "more than 30 arguments: pass them joined, or let the function capture them");
  Observed observed(name);
  std::vector<const Handle*> inputs;
  for (const Tensor<T>& one : x) {
    one.shape();  // an empty tensor is an error here already
    inputs.push_back(&one.handle());
  }
  Checkpoint<T> op{std::move(f), {}, std::make_unique<std::mt19937_64>(random::generator())};

  Tensor<T> y;
  {
    const NoGrad no_grad;
    SkippedInputs used;
    y = op.f(x);
    op.captured = std::move(used.values);
  }
  if (skipped_inputs) skipped_inputs->insert(skipped_inputs->end(), op.captured.begin(), op.captured.end());
  // f may have recorded what it computed in a scope of EnableGrad; it will do so again.
  const bool recorded_within = y.requires_grad();
  y = y.detach();
  if (recording && (records(inputs) || !op.captured.empty() || recorded_within)) {
    const std::uint32_t keep_all = (1u << x.size()) - 1u;
    y = append<T>(std::move(op), std::move(y), inputs, keep_all);
    y.handle().node->opaque = true;
  }
  observed.result(y.handle(), inputs);
  return y;
}

template Tensor<float> checkpoint(Function<float>, const std::vector<Tensor<float>>&);
template Tensor<double> checkpoint(Function<double>, const std::vector<Tensor<double>>&);

}  // namespace detail

template <class T>
Tensor<T> custom(const std::string& name, const std::vector<Tensor<std::type_identity_t<T>>>& inputs,
                 const Tensor<std::type_identity_t<T>>& value, CustomRule<std::type_identity_t<T>> rule) {
  const char* const lasting_name = detail::lasting(name);
  detail::Observed observed(lasting_name);
  std::vector<const detail::Handle*> handles;
  for (const Tensor<T>& input : inputs) handles.push_back(&input.handle());
  Tensor<T> recorded =
      detail::record<T>(detail::Custom<T>{lasting_name, std::move(rule)}, value.detach(), handles);
  observed.result(recorded.handle(), handles);
  return recorded;
}

template Tensor<float> custom<float>(const std::string&, const std::vector<Tensor<float>>&,
                                     const Tensor<float>&, CustomRule<float>);
template Tensor<double> custom<double>(const std::string&, const std::vector<Tensor<double>>&,
                                       const Tensor<double>&, CustomRule<double>);

}  // namespace xtape
