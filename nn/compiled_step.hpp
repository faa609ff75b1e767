// CompiledStep: a training step whose forward and backward pass are traced once, and then run as one plan.
#pragma once
#include <concepts>
#include <functional>
#include <type_traits>
#include <vector>

#include <autodiff/compile.hpp>

#include "data.hpp"
#include "module.hpp"
#include "optimizers.hpp"

namespace xtape::nn {

/// What a loss compares an output with: a batch, which is also its targets, or its labels.
template <class T>
struct Batch : Dataset<T> {
  explicit Batch(const Dataset<T>& batch) : Dataset<T>(batch) {}
  operator const Tensor<T>&() const { return this->targets; }  // NOLINT
  operator const Indices&() const { return this->labels; }     // NOLINT
};

/// zero_grad, forward, loss, backward and update. The model, the loss and the optimiser are as in a loop of
/// one's own, and so are the bits; but what the model and the loss compute is traced at the first step for
/// each shape of a batch (see compile() for what a trace cannot see), and then runs without the tape and
/// without an allocation. The model and the optimiser must live as long.
///
///     const auto loss = [](const auto& z, const auto& y) { return nn::mse_loss(z, y); };
///     nn::CompiledStep<float> step(model, loss, adam);
///     for (const auto& batch : loader) step(batch);
template <class T>
class CompiledStep {
 public:
  /// Of the model's output and a Batch, which goes for a tensor or for Indices: so loss(output, y) may take
  /// any of these.
  using Loss = std::function<Tensor<T>(const Tensor<T>& output, const Batch<T>& batch)>;

  CompiledStep(Module<T>& model, std::type_identity_t<Loss> loss, Optimizer<T>& optimizer);

  /// A step; the loss before it. Error unless the loss has one element.
  Tensor<T> operator()(const Tensor<T>& x, const Tensor<T>& targets) { return step(backward(x, targets)); }
  Tensor<T> operator()(const Tensor<T>& x, const Indices& labels) { return step(backward(x, labels)); }
  Tensor<T> operator()(const Dataset<T>& batch) { return step(backward(batch)); }
  /// All but the update: the loss, with the gradients in the parameters.
  Tensor<T> backward(const Tensor<T>& x, const Tensor<T>& targets) { return run(on_targets_, x, targets); }
  Tensor<T> backward(const Tensor<T>& x, const Indices& labels) { return run(on_labels_, x, labels); }
  Tensor<T> backward(const Dataset<T>& batch) {
    if (!batch.targets.defined()) return backward(batch.inputs, batch.labels);
    if (batch.labels.empty()) return backward(batch.inputs, batch.targets);
    return run(on_both_, batch.inputs, batch.targets, batch.labels);
  }
  /// The parameters that the last step's loss depended on.
  const std::vector<Tensor<T>>& leaves() const { return leaves_; }

 private:
  template <class F, class... Y>
  Tensor<T> run(const F& compiled, const Tensor<T>& x, const Y&... y);
  Tensor<T> step(Tensor<T> loss) {
    optimizer_.step();
    return loss;
  }

  using OnTargets = std::function<Tensor<T>(const Tensor<T>&, const Tensor<T>&)>;
  using OnLabels = std::function<Tensor<T>(const Tensor<T>&, const Indices&)>;
  using OnBoth = std::function<Tensor<T>(const Tensor<T>&, const Tensor<T>&, const Indices&)>;

  Optimizer<T>& optimizer_;
  Compiled<OnTargets> on_targets_;
  Compiled<OnLabels> on_labels_;
  Compiled<OnBoth> on_both_;
  const void* last_ = nullptr;  ///< the program that ran last
  std::vector<Tensor<T>> leaves_;
  std::vector<Tensor<T>> others_;  ///< parameters of the optimiser that it does not read
};

}  // namespace xtape::nn
