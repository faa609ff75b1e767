// The formulas, in values.
#include <numbers>

#include "apply.hpp"

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
    case Activation::leaky_relu:
      return "leaky_relu";
    case Activation::elu:
      return "elu";
    case Activation::gelu:
      return "gelu";
    case Activation::silu:
      return "silu";
    case Activation::softplus:
      return "softplus";
  }
  nn::textbook::fail_as_unknown();
}

const char* derivative_text(Activation g) {
  switch (g) {
    case Activation::identity:
      return "1";
    case Activation::sigmoid:
      return "a (1 − a)";
    case Activation::tanh:
      return "1 − a²";
    case Activation::relu:
      return "1 where z > 0, else 0";
    case Activation::leaky_relu:
      return "1 where z > 0, else 0.01";
    case Activation::elu:
      return "1 where z > 0, else a + 1";
    case Activation::gelu:
      return "Φ(z) + z φ(z)";
    case Activation::silu:
      return "σ(z) + z σ(z) (1 − σ(z))";
    case Activation::softplus:
      return "σ(z)";
  }
  nn::textbook::fail_as_unknown();
}

template <class T>
Tensor<T> activate(Activation g, const Tensor<T>& z) {
  return nn::textbook::apply(g, z.detach());
}

template <class T>
Tensor<T> derivative(Activation g, const Tensor<T>& z, const Tensor<std::type_identity_t<T>>& a) {
  const Tensor<T> input = z.detach(), output = a.detach();
  switch (g) {
    case Activation::identity:
      return ones<T>(input.shape());
    case Activation::sigmoid:
      return output * (1 - output);
    case Activation::tanh:
      return 1 - square(output);
    case Activation::relu:
      return input > T(0);
    case Activation::leaky_relu:
      return where(input > T(0), T(1), full_like(input, T(0.01)));
    case Activation::elu:
      return where(input > T(0), T(1), output + 1);
    case Activation::gelu: {
      constexpr T root = std::numbers::sqrt2_v<T>, norm = std::numbers::inv_sqrtpi_v<T> / root;
      return T(0.5) * (1 + erf(input / root)) + norm * input * exp(T(-0.5) * square(input));
    }
    case Activation::silu: {
      const Tensor<T> s = sigmoid(input);
      return s + input * s * (1 - s);
    }
    case Activation::softplus:
      return sigmoid(input);
  }
  nn::textbook::fail_as_unknown();
}

#define XTAPE_INSTANTIATE(T)                                 \
  template Tensor<T> activate(Activation, const Tensor<T>&); \
  template Tensor<T> derivative(Activation, const Tensor<T>&, const Tensor<T>&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape
