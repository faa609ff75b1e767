// The textbook's function line by line.
#include "../hand_numpy.hpp"

#include <autodiff/elementwise.hpp>
#include <autodiff/layout.hpp>
#include <autodiff/linalg.hpp>
#include <autodiff/reductions.hpp>

namespace xtape::nn::hand {
namespace {

template <class T>
Tensor<T> sigmoid_derivative(const Tensor<T>& z) {
  return sigmoid(z) * (1 - sigmoid(z));
}

template <class T>
void require_row(const char* name, const Tensor<T>& bias, std::size_t n) {
  if (!(bias.shape() == Shape{1, n}))
    throw Error("numpy_backpropagation",
                name + (" of shape " + to_string(bias.shape())) + " is not " + to_string(Shape{1, n}));
}

/// array -= step
template <class T>
void subtract(Tensor<T>& array, const Tensor<T>& step) {
  array.assign(array.detach() - step);
}

}  // namespace

template <class T>
NumpyForward<T> NumpyNetwork<T>::forward(const Tensor<T>& inputs) const {
  const NoGrad no_grad;
  NumpyForward<T> r;
  r.inputs = inputs.detach();
  r.hidden_input = dot(r.inputs, weights_input_to_hidden) + bias_hidden;
  r.hidden_output = sigmoid(r.hidden_input);
  r.output_input = dot(r.hidden_output, weights_hidden_to_output) + bias_output;
  r.final_output = sigmoid(r.output_input);
  return r;
}

template <class T>
T numpy_backpropagation(NumpyNetwork<T>& network, const NumpyForward<std::type_identity_t<T>>& forward_result,
                        const Tensor<std::type_identity_t<T>>& target,
                        std::type_identity_t<T> learning_rate) {
  const NoGrad no_grad;
  const auto& [inputs, hidden_input, hidden_output, output_input, final_output] = forward_result;
  if (!(target.shape() == final_output.shape()))
    throw Error("numpy_backpropagation", "shapes " + to_string(final_output.shape()) +
                                             " of final_output and " + to_string(target.shape()) +
                                             " of the target differ");
  require_row("bias_output", network.bias_output, target.shape()[1]);
  require_row("bias_hidden", network.bias_hidden, hidden_input.shape()[1]);

  // Step 1: Calculate output error
  const Tensor<T> output_error = final_output - target;

  // Step 2: Calculate output layer gradient
  const Tensor<T> output_delta = output_error * sigmoid_derivative(output_input);

  // Step 3: Propagate error to hidden layer
  const Tensor<T> hidden_error = dot(output_delta, transpose(network.weights_hidden_to_output));
  const Tensor<T> hidden_delta = hidden_error * sigmoid_derivative(hidden_input);

  // Step 4: Calculate weight updates
  const Tensor<T> weights_hidden_to_output_update = dot(transpose(hidden_output), output_delta);
  const Tensor<T> weights_input_to_hidden_update = dot(transpose(inputs), hidden_delta);

  // Step 5: Update weights
  subtract<T>(network.weights_hidden_to_output, learning_rate * weights_hidden_to_output_update);
  subtract<T>(network.weights_input_to_hidden, learning_rate * weights_input_to_hidden_update);

  // Update biases
  subtract<T>(network.bias_output, learning_rate * mean(output_delta, 0, true));
  subtract<T>(network.bias_hidden, learning_rate * mean(hidden_delta, 0, true));

  return mean(square(output_error)).item();
}

#define XTAPE_INSTANTIATE(T)       \
  template struct NumpyNetwork<T>; \
  template T numpy_backpropagation(NumpyNetwork<T>&, const NumpyForward<T>&, const Tensor<T>&, T);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn::hand
