// Layers: dense, residual, dropout.
#pragma once
#include <functional>
#include <string>

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
  template <LayerOf<T> M>
  requires(!std::same_as<std::remove_cvref_t<M>, Residual>)  // a copy
      explicit Residual(M&& module)
      : module_(std::forward<M>(module)) {
    require_module();
  }
  Tensor<T> forward(const Tensor<T>& x) override;
  void members(Members<T>& m) override { m.module("module", *module_); }
  std::string describe() const override { return "Residual"; }

 private:
  void require_module();

  HeldModule<T> module_;
};

template <class M>
requires requires { typename std::remove_cvref_t<M>::value_type; }
Residual(M&&)->Residual<typename std::remove_cvref_t<M>::value_type>;
template <class M>
Residual(std::shared_ptr<M>) -> Residual<typename M::value_type>;

/// y = f(x): a function in the place of a layer, such as
///
///     nn::Lambda<T>([](const auto& x) { return reshape(x, {-1, 64}); })
///
/// Parameters that it captures are named by nobody, so they are neither trained nor saved; a model with
/// parameters is a class of its own. The name is for summary. Error for an empty function.
template <class T>
class Lambda : public Module<T> {
 public:
  explicit Lambda(std::function<Tensor<T>(const Tensor<T>&)> f, std::string name = "Lambda");
  Tensor<T> forward(const Tensor<T>& x) override { return f_(x); }
  std::string describe() const override { return name_; }

 private:
  std::function<Tensor<T>(const Tensor<T>&)> f_;
  std::string name_;
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
