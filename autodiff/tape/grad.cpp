// backward() and grad(): the checks before a pass, and what is done with its results.
#include "../grad.hpp"

#include <algorithm>
#include <string>

#include "../kernels/kernels.hpp"
#include "observer.hpp"
#include "op.hpp"

namespace xtape {
namespace {

/// The adjoint of the output that a pass begins with.
template <class T>
Tensor<T> seed_for(const char* op, const Tensor<T>& output, const BackwardOptions<T>& options) {
  if (!output.requires_grad() && is_recording())
    throw Error(
        op,
        "the output does not depend on any tensor that requires a gradient: make the leaves with "
        "parameter(), and compute outside of NoGrad. A gradient is a constant, too, where the function "
        "is linear (its second derivative is 0), and where it was taken without create_graph");
  if (!output.requires_grad())
    throw Error(
        op,
        "the output does not depend on any tensor that requires a gradient, as nothing is recorded here: "
        "compute it in a scope of EnableGrad, or outside of NoGrad. A rule of custom() runs without "
        "recording, unless create_graph is set; so do the function of a checkpoint in its forward pass, and "
        "models in evaluate and summary");
  if (options.seed.defined()) {
    if (!(options.seed.shape() == output.shape()))
      throw Error(op, "the seed has the shape " + to_string(options.seed.shape()) + ", the output " +
                          to_string(output.shape()));
    return options.create_graph ? options.seed : options.seed.detach();
  }
  if (output.size() != 1)
    throw Error(op, "the output has the shape " + to_string(output.shape()) +
                        ", not one element: reduce it, for instance by sum(), or give a seed");
  return full<T>(output.shape(), T(1));
}

/// A gradient that shares its elements with nothing else.
template <class T>
detail::Handle own(detail::Handle handle) {
  if (handle.node || is_abstract(*handle.value.get()) || handle.value.unique()) return handle;
  Tensor<T> copy = Tensor<T>::uninitialized(handle.value->shape, "backward");
  const T* from = handle.value->elements<T>();
  T* const to = copy.mutable_data();
  detail::for_blocks(copy.size(), copy.size(), [&](std::size_t first, std::size_t last) {
    std::copy(from + first, from + last, to + first);
  });
  return copy.handle();
}

}  // namespace

template <class T>
void detail::backward(const Tensor<T>& output, const BackwardOptions<T>& options) {
  if (detail::tracing)
    throw Error("backward",
                "the function is traced, and a gradient that is left in the parameters is not its "
                "result: take value_and_grad(), or grad() within it");
  const Tensor<T> seed = seed_for("backward", output, options);
  detail::Pass pass(options.retain_tape, options.create_graph);
  detail::observe_pass_begins(pass, output.handle());
  pass.replay(*output.handle().node.get(), seed.handle());
  detail::observe_pass_ends(pass.leaves());

  const detail::RecordingScope scope(options.create_graph);
  const auto adds_in_place = [&](const detail::Leaf& leaf) {
    return leaf.grad.value && !options.create_graph && !leaf.grad.node && leaf.grad.value.unique();
  };
  // Of the leaf's own element type, which astype() may have changed on the way.
  const auto total = [&]<class U>(const detail::Leaf& leaf, detail::Handle gradient, U) {
    if (!leaf.grad.value) return own<U>(std::move(gradient));
    return detail::sum_of_adjoints(Tensor<U>(detail::Handle(leaf.grad)), Tensor<U>(std::move(gradient)))
        .release();
  };
  const auto add = []<class U>(const detail::Value& to, const detail::Value& gradient, U) {
    detail::add_in_place(reinterpret_cast<U*>(to.data), gradient.elements<U>(), gradient.size);
  };
  const auto is_float = [](const detail::Handle& x) { return x.value->item_size == sizeof(float); };
  // All that may throw comes before the first gradient changes.
  for (detail::Node* node : pass.leaves()) {
    const auto& leaf = static_cast<const detail::Leaf&>(*node);
    detail::Handle& gradient = node->adjoint;
    if (!gradient.value || adds_in_place(leaf)) continue;
    gradient =
        is_float(gradient) ? total(leaf, std::move(gradient), 0.0f) : total(leaf, std::move(gradient), 0.0);
  }
  for (detail::Node* node : pass.leaves()) {
    auto& leaf = static_cast<detail::Leaf&>(*node);
    if (!node->adjoint.value) continue;
    detail::Handle gradient = std::exchange(node->adjoint, {});
    if (!adds_in_place(leaf))
      leaf.grad = std::move(gradient);
    else if (is_float(gradient))
      add(*leaf.grad.value.get(), *gradient.value.get(), 0.0f);
    else
      add(*leaf.grad.value.get(), *gradient.value.get(), 0.0);
  }
}

template <class T>
std::vector<Tensor<T>> grad(const Tensor<T>& output, std::vector<Tensor<std::type_identity_t<T>>> inputs,
                            const BackwardOptions<std::type_identity_t<T>>& options) {
  const Tensor<T> seed = seed_for("grad", output, options);
  std::vector<detail::Pass::Target> targets;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].requires_grad())
      throw Error("grad", "input " + std::to_string(i) +
                              " does not require a gradient: it is a constant, or frozen. Make it with "
                              "parameter() before what "
                              "is computed from it; a tensor that was computed must have been recorded");
    targets.push_back({inputs[i].handle().node.get(), {}});
  }
  detail::Pass pass(options.retain_tape, options.create_graph, std::move(targets));
  pass.replay(*output.handle().node.get(), seed.handle());

  std::vector<Tensor<T>> gradients;
  gradients.reserve(inputs.size());
  for (const Tensor<T>& input : inputs) {
    detail::Pass::Target& target = *pass.find(*input.handle().node.get());
    const bool is_last = --target.uses == 0;
    if (!target.gradient.value)
      gradients.push_back(zeros<T>(input.shape()));
    else
      gradients.emplace_back(own<T>(is_last ? std::move(target.gradient) : target.gradient));
  }
  return gradients;
}

#define XTAPE_INSTANTIATE(T)                                                   \
  template void detail::backward(const Tensor<T>&, const BackwardOptions<T>&); \
  template std::vector<Tensor<T>> grad(const Tensor<T>&, std::vector<Tensor<T>>, const BackwardOptions<T>&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape
