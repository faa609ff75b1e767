// Layers: dense, residual, dropout.
#pragma once
#include "module.hpp"

namespace xtape::nn {

/// y = x Wᵀ + b: x (…, in), y (…, out). The weight (out, in) starts as init::xavier_uniform, the bias (out)
/// at 0. Error for 0 features.
template <class T>
class Linear : public Module<T> {
 public:
  Linear(std::size_t in, std::size_t out, bool with_bias = true);
  Tensor<T> forward(const Tensor<T>& x) override;
  void members(Members<T>& m) override;
  std::string describe() const override;

  Tensor<T> weight;
  Tensor<T> bias;  ///< empty without a bias
};

/// y = x + f(x): the gradient passes f by (He et al., 2016). f is a layer or a shared pointer to a module, as
/// for Sequential; of a Residual, it takes a shared pointer. Error where f(x) has another shape than x.
template <class T>
class Residual : public Module<T> {
 public:
  explicit Residual(std::shared_ptr<Module<T>> module);
  template <class M>
  requires(std::derived_from<std::remove_cvref_t<M>, Module<T>> &&
           !std::same_as<std::remove_cvref_t<M>, Residual>)  // a copy
      explicit Residual(M&& module)
      : Residual(Module<T>::shared(std::forward<M>(module))) {}
  Tensor<T> forward(const Tensor<T>& x) override;
  void members(Members<T>& m) override { m.module("module", *module_); }
  std::string describe() const override { return "Residual"; }

 private:
  std::shared_ptr<Module<T>> module_;
};

/// In training each element is 0 with the probability p and otherwise multiplied by 1 / (1 − p), so that its
/// mean stays; in evaluation y = x (Srivastava et al., 2014). The choice is random::uniform's. Error for p
/// outside [0, 1).
template <class T>
class Dropout : public Module<T> {
 public:
  explicit Dropout(double p = 0.5);
  Tensor<T> forward(const Tensor<T>& x) override;
  std::string describe() const override;

 private:
  double p_;
};

}  // namespace xtape::nn
