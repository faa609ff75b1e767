// Clipping: limits on gradients, between backward() and the optimiser's step.
#pragma once
#include <vector>

#include <autodiff/tensor.hpp>

namespace xtape::nn {

/// Scales the gradients of the parameters so that their common norm, that of all their elements together, is
/// at most `max`: by max / (norm + 1e-6) where that is below 1, as in PyTorch (Pascanu et al., 2013). Returns
/// the norm before that, in double and without overflow on the way. Where that is NaN or infinite no gradient
/// changes: a caller that tests it may skip the step. Parameters without a gradient are left out. Error for a
/// tensor that is no leaf, and for a max that is negative or NaN.
template <class T>
double clip_grad_norm(const std::vector<Tensor<T>>& parameters, double max);

/// Limits each element of the gradients to [−max, max]; NaN stays. Errors as for clip_grad_norm.
template <class T>
void clip_grad_value(const std::vector<Tensor<T>>& parameters, double max);

}  // namespace xtape::nn
