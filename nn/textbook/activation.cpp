// The formulas, in values.
#include <autodiff/elementwise.hpp>

#include "../textbook.hpp"

namespace xtape {

const char* to_string(Activation g) {
  switch (g) {
    case Activation::identity:
      return "identity";
    case Activation::sigmoid:
      return "sigmoid";
    case Activation::tanh:
      return "tanh";
    case Activation::relu:
      return "relu";
  }
  throw Error("activation", "it is none of identity, sigmoid, tanh and relu");
}

template <class T>
Tensor<T> activate(Activation g, const Tensor<T>& z) {
  const Tensor<T> value = z.detach();
  switch (g) {
    case Activation::identity:
      return value;
    case Activation::sigmoid:
      return sigmoid(value);
    case Activation::tanh:
      return tanh(value);
    case Activation::relu:
      return relu(value);
  }
  throw Error("activation", "it is none of identity, sigmoid, tanh and relu");
}

template <class T>
Tensor<T> derivative(Activation g, const Tensor<T>& z, const Tensor<std::type_identity_t<T>>& a) {
  const Tensor<T> output = a.detach();
  switch (g) {
    case Activation::identity:
      return ones<T>(z.shape());
    case Activation::sigmoid:
      return output * (1 - output);
    case Activation::tanh:
      return 1 - square(output);
    case Activation::relu:
      return z.detach() > T(0);
  }
  throw Error("activation", "it is none of identity, sigmoid, tanh and relu");
}

#define XTAPE_INSTANTIATE(T)                                 \
  template Tensor<T> activate(Activation, const Tensor<T>&); \
  template Tensor<T> derivative(Activation, const Tensor<T>&, const Tensor<T>&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape
