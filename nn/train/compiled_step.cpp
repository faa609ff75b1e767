#include "../compiled_step.hpp"

#include <utility>

namespace xtape::nn {
namespace {

/// The loss of a batch as a function of its arrays.
template <class T, class Y>
auto of_arrays(Module<T>& model, const typename CompiledStep<T>::Loss& loss) {
  return [&model, loss](const Tensor<T>& x, const Y& y) {
    Dataset<T> batch;
    batch.inputs = x;
    if constexpr (std::same_as<Y, Indices>)
      batch.labels = y;
    else
      batch.targets = y;
    return loss(model(x), Batch<T>(batch));
  };
}

}  // namespace

template <class T>
CompiledStep<T>::CompiledStep(Module<T>& model, Loss loss, Optimizer<T>& optimizer)
    : optimizer_(optimizer),
      on_targets_(of_arrays<T, Tensor<T>>(model, loss)),
      on_labels_(of_arrays<T, Indices>(model, loss)) {
  if (!loss) throw Error("CompiledStep", "the loss is no function");
}

template <class T>
template <class F, class Y>
Tensor<T> CompiledStep<T>::run(const F& compiled, const Tensor<T>& x, const Y& y) {
  // What this loss does not depend on has no gradient, as after zero_grad() and backward().
  if (leaves_.size() != optimizer_.parameters().size()) optimizer_.zero_grad();
  const std::size_t before = compiled.traces();
  Tensor<T> loss = compiled.backward(x, y);
  if (compiled.traces() != before) leaves_ = compiled.template leaves<T>();
  return loss;
}

#define XTAPE_INSTANTIATE(T)                                                                               \
  template class CompiledStep<T>;                                                                          \
  template Tensor<T> CompiledStep<T>::run(const Compiled<OnTargets>&, const Tensor<T>&, const Tensor<T>&); \
  template Tensor<T> CompiledStep<T>::run(const Compiled<OnLabels>&, const Tensor<T>&, const Indices&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn
