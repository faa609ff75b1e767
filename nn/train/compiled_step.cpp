#include "../compiled_step.hpp"

#include <algorithm>
#include <concepts>
#include <type_traits>
#include <utility>

namespace xtape::nn {
namespace {

/// The loss of a batch as a function of its arrays.
template <class T, class... Y>
auto of_arrays(Module<T>& model, const typename CompiledStep<T>::Loss& loss) {
  return [&model, loss](const Tensor<T>& x, const Y&... y) {
    Dataset<T> batch;
    batch.inputs = x;
    const auto take = [&](const auto& part) {
      if constexpr (std::same_as<std::remove_cvref_t<decltype(part)>, Indices>)
        batch.labels = part;
      else
        batch.targets = part;
    };
    (take(y), ...);
    return loss(model(x), Batch<T>(batch));
  };
}

}  // namespace

template <class T>
CompiledStep<T>::CompiledStep(Module<T>& model, std::type_identity_t<Loss> loss, Optimizer<T>& optimizer)
    : optimizer_(optimizer),
      on_targets_(of_arrays<T, Tensor<T>>(model, loss)),
      on_labels_(of_arrays<T, Indices>(model, loss)),
      on_both_(of_arrays<T, Tensor<T>, Indices>(model, loss)) {
  if (!loss) throw Error("CompiledStep", "the loss is no function");
}

template <class T>
template <class F, class... Y>
Tensor<T> CompiledStep<T>::run(const F& compiled, const Tensor<T>& x, const Y&... y) {
  Tensor<T> loss = compiled.backward(x, y...);
  if (const void* const program = compiled.template last<T>(); program != last_) {
    leaves_ = compiled.template leaves<T>();
    others_.clear();
    for (const Tensor<T>& p : optimizer_.parameters())
      if (std::ranges::none_of(leaves_, [&](const Tensor<T>& leaf) {
            return leaf.handle().node.get() == p.handle().node.get();
          }))
        others_.push_back(p);
    last_ = program;
  }
  // What this loss does not depend on has no gradient, as after zero_grad() and backward().
  for (Tensor<T>& p : others_) p.zero_grad();
  return loss;
}

#define XTAPE_INSTANTIATE(T)                                                                               \
  template class CompiledStep<T>;                                                                          \
  template Tensor<T> CompiledStep<T>::run(const Compiled<OnTargets>&, const Tensor<T>&, const Tensor<T>&); \
  template Tensor<T> CompiledStep<T>::run(const Compiled<OnLabels>&, const Tensor<T>&, const Indices&);    \
  template Tensor<T> CompiledStep<T>::run(const Compiled<OnBoth>&, const Tensor<T>&, const Tensor<T>&,     \
                                          const Indices&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn
