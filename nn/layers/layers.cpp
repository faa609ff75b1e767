// Dense, residual and dropout layers.
#include "../layers.hpp"

#include <autodiff/elementwise.hpp>
#include <autodiff/engine.hpp>
#include <autodiff/linalg.hpp>
#include <autodiff/random.hpp>

#include "../init.hpp"

namespace xtape::nn {

template <class T>
Linear<T>::Linear(std::size_t in, std::size_t out, bool with_bias) {
  if (in == 0 || out == 0)
    throw Error("Linear", std::to_string(in) + " features in and " + std::to_string(out) +
                              " out: both must be positive");
  weight = parameter(init::xavier_uniform<T>({out, in}));
  if (with_bias) bias = parameter(init::zeros<T>({out}));
}

template <class T>
Tensor<T> Linear<T>::forward(const Tensor<T>& x) {
  return bias.defined() ? linear(x, weight, bias) : linear(x, weight);
}

template <class T>
void Linear<T>::members(Members<T>& m) {
  m.parameter("weight", weight);
  if (bias.defined()) m.parameter("bias", bias);
}

template <class T>
std::string Linear<T>::describe() const {
  return "Linear(" + std::to_string(weight.shape()[1]) + ", " + std::to_string(weight.shape()[0]) +
         (bias.defined() ? ")" : ", no bias)");
}

template <class T>
void Residual<T>::require_module() {
  if (!module_) throw Error("Residual", "the module is null");
  this->hold_shared();
}

template <class T>
Tensor<T> Residual<T>::forward(const Tensor<T>& x) {
  const Tensor<T> y = (*module_)(x);
  if (!(y.shape() == x.shape()))
    throw Error("Residual", "shapes " + to_string(x.shape()) + " of x and " + to_string(y.shape()) +
                                " of f(x) differ: " + module_->describe() + " must keep the shape");
  return x + y;
}

template <class T>
Lambda<T>::Lambda(std::function<Tensor<T>(const Tensor<T>&)> f, std::string name)
    : f_(std::move(f)), name_(std::move(name)) {
  if (!f_) throw Error("Lambda", "the function is empty");
}

template <class T>
Dropout<T>::Dropout(double p) : p_(p) {
  if (!(p >= 0 && p < 1))
    throw Error("Dropout", "the probability " + engine::number_text(p) + " is not in [0, 1)");
}

template <class T>
Tensor<T> Dropout<T>::forward(const Tensor<T>& x) {
  if (!this->training() || p_ == 0) return x;
  const Tensor<T> kept = random::uniform<T>(x.shape()) >= static_cast<T>(p_);
  return x * (kept * static_cast<T>(1 / (1 - p_)));
}

template <class T>
std::string Dropout<T>::describe() const {
  return "Dropout(" + engine::number_text(p_) + ")";
}

#define XTAPE_INSTANTIATE(T)  \
  template class Linear<T>;   \
  template class Residual<T>; \
  template class Lambda<T>;   \
  template class Dropout<T>;
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn
