// Gradients, as a function of an output, without touching the leaves.
#pragma once
#include <concepts>
#include <vector>

#include "tensor.hpp"

namespace xtape {

/// d(output)/d(input) for each of the inputs, which are leaves or recorded tensors; 0 where the output does
/// not depend on one. The leaves' grad() stays as it is, and nothing that the inputs do not need is computed.
/// Options and errors as for Tensor::backward; an input that requires no gradient is an error too.
template <class T>
std::vector<Tensor<T>> grad(const Tensor<T>& output, std::vector<Tensor<std::type_identity_t<T>>> inputs,
                            const BackwardOptions<std::type_identity_t<T>>& options = {});

/// For one input.
template <class T, std::same_as<Tensor<T>> Input>
Tensor<T> grad(const Tensor<T>& output, const Input& input,
               const BackwardOptions<std::type_identity_t<T>>& options = {}) {
  return grad(output, std::vector<Tensor<T>>{input}, options).front();
}

namespace detail {

/// What Tensor::backward() does.
template <class T>
void backward(const Tensor<T>& output, const BackwardOptions<T>& options);

}  // namespace detail

}  // namespace xtape
