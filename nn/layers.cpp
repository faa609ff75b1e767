// Layers with parameters.
#include "layers.hpp"

#include <string>

#include "init.hpp"

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

template class Linear<float>;
template class Linear<double>;

}  // namespace xtape::nn
