// The textbook's function in NumPy, as it is written there: with weights (in, out), and with its mixture of
// weight gradients that are summed over the batch and bias gradients that are averaged.
#pragma once
#include <autodiff/tensor.hpp>

namespace xtape::nn::hand {

/// What the forward pass leaves for the backward pass, N samples in rows.
template <class T>
struct NumpyForward {
  Tensor<T> inputs;         ///< (N, in)
  Tensor<T> hidden_input;   ///< z1 (N, hidden)
  Tensor<T> hidden_output;  ///< a1 = sigmoid(z1)
  Tensor<T> output_input;   ///< z2 (N, out)
  Tensor<T> final_output;   ///< a2 = sigmoid(z2)
};

/// The textbook's network of two sigmoid layers.
template <class T>
struct NumpyNetwork {
  Tensor<T> weights_input_to_hidden;   ///< (in, hidden)
  Tensor<T> bias_hidden;               ///< (1, hidden)
  Tensor<T> weights_hidden_to_output;  ///< (hidden, out)
  Tensor<T> bias_output;               ///< (1, out)

  NumpyForward<T> forward(const Tensor<T>& inputs) const;
};

/// One step with the squared error's output_error = final_output − target, in place as in NumPy: tensors that
/// share the elements see it. Returns np.mean(output_error ** 2).
/// Weights move by the sum of the samples' gradients of ½ (a − y)², biases by their mean. For one sample both
/// are the same. For a batch of N no loss has this gradient: the step of the biases is N times shorter than
/// the one that goes with the step of the weights. Error when the target has another shape than the output.
template <class T>
T numpy_backpropagation(NumpyNetwork<T>& network, const NumpyForward<std::type_identity_t<T>>& forward_result,
                        const Tensor<std::type_identity_t<T>>& target,
                        std::type_identity_t<T> learning_rate = T(0.1));

}  // namespace xtape::nn::hand
