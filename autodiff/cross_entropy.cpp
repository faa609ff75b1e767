// Keeps the logits only; their exponentials are computed again for the gradient.
#include "cross_entropy.hpp"

#include <cmath>
#include <memory>
#include <string>

#include "elementwise.hpp"
#include "op.hpp"
#include "reduction_ops.hpp"

namespace xtape::detail {
namespace {

template <class T>
struct SoftmaxCrossEntropy {
  std::shared_ptr<const std::vector<std::ptrdiff_t>> labels;
  static constexpr const char* name = "cross_entropy";

  Shape shape(const Shape& z) const { return {z[0]}; }
  void compute(Target<T> y, const Tensor<T>& z) const {
    const std::size_t C = z.shape()[1];
    for (std::size_t i = 0; i < labels->size(); ++i) {
      const T* row = z.data() + i * C;
      y.data[i] = line_logsumexp(row, C, 1) - row[(*labels)[i]];
    }
  }
  static constexpr unsigned keeps(unsigned) { return keep_input(0); }
  void backward(Gradients<T>& d) const {
    const Tensor<T> z = d.input(0);
    const std::size_t C = z.shape()[1];
    if (d.creates_graph()) {
      Tensor<T> onehot = zeros<T>(z.shape());
      for (std::size_t i = 0; i < labels->size(); ++i)
        onehot.mutable_data()[i * C + static_cast<std::size_t>((*labels)[i])] = T(1);
      return d.add(0, unsqueeze(d.adjoint, 1) * (softmax(z, 1) - onehot));
    }
    d.accumulate(0, [&](Target<T> dz) {
      for (std::size_t i = 0; i < labels->size(); ++i) {
        const T* row = z.data() + i * C;
        const T g = d.adjoint.data()[i], total = line_logsumexp(row, C, 1);
        T* to = dz.data + i * C;
        for (std::size_t c = 0; c < C; ++c) {
          const T p = g * std::exp(row[c] - total);
          to[c] = dz.accumulate ? to[c] + p : p;
        }
        to[(*labels)[i]] -= g;
      }
    });
  }
};

}  // namespace

template <class T>
Tensor<T> softmax_cross_entropy(const Tensor<T>& logits, const Indices& labels) {
  const Shape& z = logits.shape();
  if (z.size() != 2) throw Error("cross_entropy", "logits of shape " + to_string(z) + " are not (N, C)");
  if (!(labels.shape() == Shape{z[0]}))
    throw Error("cross_entropy", "labels of shape " + to_string(labels.shape()) + " for logits of shape " +
                                     to_string(z) + ": one label for each row is needed");
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels.values()[i] < 0 || labels.values()[i] >= static_cast<std::ptrdiff_t>(z[1]))
      throw Error("cross_entropy", "label " + std::to_string(labels.values()[i]) + " at " +
                                       std::to_string(i) + " is not one of the " + std::to_string(z[1]) +
                                       " classes from 0");
  return apply<T>(
      SoftmaxCrossEntropy<T>{std::make_shared<const std::vector<std::ptrdiff_t>>(labels.values())}, logits);
}

template Tensor<float> softmax_cross_entropy(const Tensor<float>&, const Indices&);
template Tensor<double> softmax_cross_entropy(const Tensor<double>&, const Indices&);

}  // namespace xtape::detail
