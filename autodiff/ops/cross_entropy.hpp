// The fused softmax cross-entropy of integer labels, for nn.
#pragma once
#include "../indexing.hpp"

namespace xtape::detail {

/// ln Σ exp(z) − z[label] for each row of z (N, C), as one node of shape (N,); dz = g (softmax(z) −
/// onehot(label)). Error unless there are N labels from 0 to C − 1.
template <class T>
Tensor<T> softmax_cross_entropy(const Tensor<T>& logits, const Indices& labels);

}  // namespace xtape::detail
