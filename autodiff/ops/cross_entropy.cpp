// Keeps the logits and ln Σ exp of each row, in two parts; the exponentials are computed again for the
// gradient.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "../elementwise.hpp"
#include "../engine.hpp"
#include "../kernels/kernels.hpp"
#include "../layout.hpp"
#include "../reductions.hpp"
#include "../tape/op.hpp"

namespace xtape::detail {
namespace {

template <class T>
struct SoftmaxCrossEntropy {
  ValueRef labels;  ///< N of std::ptrdiff_t, in a block of the pool
  ValueRef totals;  ///< 2N of T: the largest logit of each row, and what ln Σ exp adds to each
  static constexpr const char* name = "cross_entropy";

  std::size_t label(std::size_t i) const {
    return static_cast<std::size_t>(reinterpret_cast<const std::ptrdiff_t*>(labels->data)[i]);
  }
  T* largest() const { return reinterpret_cast<T*>(totals->data); }
  T* rest() const { return largest() + labels->size; }
  Shape shape(const Shape& z) const { return {z[0]}; }
  void compute(Target<T> y, const Tensor<T>& z) const {
    const std::size_t C = z.shape()[1];
    for_blocks(labels->size, z.size(), [&](std::size_t first, std::size_t last) {
      for (std::size_t i = first; i < last; ++i) {
        const T* const row = z.data() + i * C;
        kernels<T>().logsumexp(rest() + i, largest() + i, row, C, 1);
        const T logit = row[label(i)];
        y.data[i] = (std::isinf(logit) && logit > 0 ? T(0) : largest()[i] - logit) + rest()[i];
      }
    });
  }
  static constexpr unsigned keeps(unsigned) { return keep_input(0); }
  void backward(Gradients<T>& d) const {
    const Tensor<T> z = d.input(0);
    const std::size_t C = z.shape()[1];
    if (d.creates_graph()) {
      Tensor<T> onehot = zeros<T>(z.shape());
      for (std::size_t i = 0; i < labels->size; ++i) onehot.mutable_data()[i * C + label(i)] = T(1);
      return d.add(0, unsqueeze(d.adjoint, 1) * (softmax(z, 1) - onehot));
    }
    d.accumulate(0, [&](Target<T> dz) {
      const auto row_gradient = [&](std::size_t i) {
        const T* const g = d.adjoint.data() + i;
        const T* const row = z.data() + i * C;
        T* const to = dz.data + i * C;
        constexpr T nan = std::numeric_limits<T>::quiet_NaN();
        if (largest()[i] == std::numeric_limits<T>::infinity()) {  // it takes all, unless there are several
          const T all = rest()[i] == 0 ? *g : nan;
          for (std::size_t j = 0; j < C; ++j) {
            const T part = row[j] == largest()[i] ? all : all * 0;
            to[j] = dz.accumulate ? to[j] + part : part;
          }
        } else {
          // Where all are −∞ there is no distribution, and the gradient is NaN.
          const T sum = std::isinf(largest()[i]) ? nan : rest()[i];
          kernels<T>().logsumexp_gradient(to, dz.accumulate, g, row, &sum, largest() + i, C, 1);
        }
        to[label(i)] -= *g;
      };
      for_blocks(labels->size, z.size(), [&](std::size_t first, std::size_t last) {
        for (std::size_t i = first; i < last; ++i) row_gradient(i);
      });
    });
  }
};

}  // namespace

}  // namespace xtape::detail

namespace xtape::engine {

template <class T>
Tensor<T> softmax_cross_entropy(const Tensor<T>& logits, const Indices& labels) {
  const Shape& z = logits.shape();
  if (z.size() != 2) throw Error("cross_entropy", "logits of shape " + to_string(z) + " are not (N, C)");
  if (!(labels.shape() == Shape{z[0]}))
    throw Error("cross_entropy",
                "labels of shape " + to_string(labels.shape()) + " for logits of shape " + to_string(z) +
                    ": one label for each row is needed" +
                    (labels.size() == z[0] ? ": reshape them to " + to_string(Shape{z[0]}) : ""));
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels.values()[i] < 0 || labels.values()[i] >= static_cast<std::ptrdiff_t>(z[1]))
      throw Error("cross_entropy", "label " + std::to_string(labels.values()[i]) + " at " +
                                       std::to_string(i) + " is not one of the " + std::to_string(z[1]) +
                                       " classes from 0");
  detail::ValueRef kept = detail::make_value(labels.shape(), sizeof(std::ptrdiff_t), "cross_entropy");
  std::ranges::copy(labels.values(), reinterpret_cast<std::ptrdiff_t*>(kept->data));
  detail::ValueRef totals = detail::make_value({2, labels.size()}, sizeof(T), "cross_entropy");
  return detail::apply<T>(detail::SoftmaxCrossEntropy<T>{std::move(kept), std::move(totals)}, logits);
}

template Tensor<float> softmax_cross_entropy(const Tensor<float>&, const Indices&);
template Tensor<double> softmax_cross_entropy(const Tensor<double>&, const Indices&);

}  // namespace xtape::engine
