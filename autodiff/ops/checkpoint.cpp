// A node that runs its function again in the backward pass, and continues the pass through what that records.
#include "../checkpoint.hpp"

#include <utility>
#include <vector>

#include "../random.hpp"
#include "../tape/op.hpp"
#include "layout_ops.hpp"

namespace xtape::detail {
namespace {

template <class T>
struct Checkpoint {
  Function<T> f;
  std::vector<Kept> captured;  ///< what f used besides its arguments
  RandomPoint random;          ///< as it was before f ran

  static constexpr const char* name = "checkpoint";

  void tangent(Tangents<T>& t) const {
    const RandomAgain then(random);
    t.replay([&](const std::vector<Tensor<T>>& x) { return f(x); });
  }
  void backward(Gradients<T>& d) const {
    for (const Kept& kept : captured)
      if (kept.value->owner().version != kept.version)
        throw Error(name, "a value of shape " + to_string(kept.value->shape) +
                              " that the function captured was assigned since: assign after backward()");
    std::vector<Tensor<T>> x;
    for (std::size_t i = 0; i < d.input_count(); ++i) x.push_back(d.recorded_input(i));
    const RandomAgain then(random);
    replay_through<T>(name, d, [&] { return f(std::exchange(x, {})); });
  }
};

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
  Checkpoint<T> op{std::move(f), {}, {}};

  Tensor<T> y;
  {
    const NoGrad no_grad;
    SkippedInputs used;
    y = op.f(x);
    op.captured = std::move(used.values);
  }
  if (const Handle& result = y.handle(); result.active()) {
    // f returned what it captured, unchanged, or recorded in a scope of EnableGrad: no operation has read it.
    op.captured.push_back({result.value, result.value->owner().version});
    if (tracing) tracing->input_of(result);
  }
  if (skipped_inputs) skipped_inputs->insert(skipped_inputs->end(), op.captured.begin(), op.captured.end());
  y = y.detach();
  if (recording && (records(inputs) || !op.captured.empty())) {
    const std::uint32_t keep_all = (1u << x.size()) - 1u;
    y = append<T>(std::move(op), std::move(y), inputs, keep_all);
    y.handle().node->opaque = true;
    if (tracing) tracing->program().is_opaque = true;
  }
  observed.result(y.handle(), inputs);
  return y;
}

template Tensor<float> checkpoint(Function<float>, const std::vector<Tensor<float>>&);
template Tensor<double> checkpoint(Function<double>, const std::vector<Tensor<double>>&);

}  // namespace xtape::detail
