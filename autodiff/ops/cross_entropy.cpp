// The cross-entropy of a softmax and class labels, as one operation.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <tuple>
#include <utility>

#include "../derivation/code.hpp"
#include "../elementwise.hpp"
#include "../engine.hpp"
#include "../indexing.hpp"
#include "../kernels/kernels.hpp"
#include "../layout.hpp"
#include "../notation/term.hpp"
#include "../reductions.hpp"
#include "../tape/op.hpp"
#include "softmax_ops.hpp"

namespace xtape::detail {
namespace {

/// (2, N) of z (N, C): the largest logit of each row, and what ln Σ exp adds to it. Without a gradient of
/// their own: what is computed with their help gives that of z.
template <class T>
struct LogTotals {
  static constexpr const char* name = "log_totals";

  Shape shape(const Shape& z) const { return {2, z[0]}; }
  Tensor<T> decomposed(const Tensor<T>& z) const {
    const Tensor<T> largest = max(z, 1);
    return stack(std::vector<Tensor<T>>{largest, log(sum(exp(z - unsqueeze(largest, 1)), 1))});
  }
  void compute(Target<T> y, const Tensor<T>& z) const {
    const std::size_t N = z.shape()[0], C = z.shape()[1];
    for_blocks(N, z.size(), [&](std::size_t first, std::size_t last) {
      for (std::size_t i = first; i < last; ++i)
        kernels<T>().logsumexp(y.data + N + i, y.data + i, z.data() + i * C, C, 1);
    });
  }
};

/// dz = g (softmax(z) − onehot(label)), row by row: g (N), z (N, C)
template <class T>
struct SoftmaxCrossEntropyGradient {
  static constexpr bool accumulates = true;
  using Inputs = std::tuple<Tensor<T>, Tensor<T>, Tensor<T>, Indices>;
  static constexpr const char* name = "cross_entropy_gradient";

  Shape shape(const Shape&, const Shape& z, const Shape&, const Shape&) const { return z; }
  Tensor<T> decomposed(const Tensor<T>& g, const Tensor<T>& z, const Tensor<T>&,
                       const Indices& labels) const {
    return (softmax(z, 1) - one_hot<T>(labels, z.shape()[1])) * unsqueeze(g, 1);
  }
  void compute(Target<T> dz, const Tensor<T>& g, const Tensor<T>& z, const Tensor<T>& totals,
               const Indices& labels) const {
    const std::size_t N = z.shape()[0], C = z.shape()[1];
    for_blocks(N, z.size(), [&](std::size_t first, std::size_t last) {
      for (std::size_t i = first; i < last; ++i) {
        const Target<T> row{dz.data + i * C, C, dz.accumulate};
        add_row(row, g.data() + i, z.data() + i * C, C, totals.data() + i, totals.data()[N + i]);
        row.data[labels.data()[i]] -= g.data()[i];
      }
    });
  }
  static constexpr unsigned keeps(unsigned i) {
    return (i == 1 ? keep_input(0) : 0) | keep_input(1) | keep_input(2) | keep_input(3);
  }
  void tangent(Tangents<T>& t) const {
    const Tensor<T> z = t.input(1);
    if (t.has(0)) t.add(*this, t.of(0), z, t.input(2), t.indices(3));
    if (t.has(1)) t.add(SoftmaxGradient<T>{1}, unsqueeze(t.input(0), 1) * t.of(1), softmax(z, 1));
  }
  void backward(Gradients<T>& d) const {
    const Tensor<T>&h = d.adjoint, z = d.input(1);
    if (d.needs(0)) {
      const Tensor<T> one = ones<T>({z.shape()[0]});
      d.add(0, sum(h * apply<T>(*this, one, z, d.input(2), d.indices(3)), 1));
    }
    if (d.needs(1)) d.add(1, SoftmaxGradient<T>{1}, unsqueeze(d.input(0), 1) * h, softmax(z, 1));
  }

 private:
  /// dz = g softmax(z)
  static void add_row(Target<T> dz, const T* g, const T* z, std::size_t C, const T* largest, T rest) {
    constexpr T infinity = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
    if (*largest == infinity) {  // it takes all, unless there are several
      const T all = rest == 0 ? *g : nan;
      for (std::size_t j = 0; j < C; ++j) {
        const T part = z[j] == infinity ? all : all * 0;
        dz.data[j] = dz.accumulate ? dz.data[j] + part : part;
      }
      return;
    }
    if (std::isinf(*largest)) rest = nan;  // all are −∞: there is no distribution
    kernels<T>().logsumexp_gradient(dz.data, dz.accumulate, g, z, &rest, largest, C, 1);
  }
};

void require_classes(const Indices& labels, std::size_t classes) {
  const std::ptrdiff_t* const label = labels.data();
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (label[i] < 0 || label[i] >= static_cast<std::ptrdiff_t>(classes))
      throw Error("cross_entropy", "label " + std::to_string(label[i]) + " at " + std::to_string(i) +
                                       " is not one of the " + std::to_string(classes) + " classes from 0");
}

/// y = ln Σ exp(z) − z[label] for each row, in two parts. The gradient computes the exponentials again.
template <class T>
struct SoftmaxCrossEntropy {
  using Inputs = std::tuple<Tensor<T>, Tensor<T>, Indices>;
  static constexpr const char* name = "cross_entropy";

  void write(Notation& to) const {
    to.set(-Term::call(WrittenAs{"cross_entropy", "ln softmax(#0)[#1]",
                                 "\\ln \\operatorname{softmax}\\left(#0\\right)_{[#1]}"},
                       {to.x[0], to.x[2]}, to.shape));
  }

  Shape shape(const Shape& z, const Shape&, const Shape&) const { return {z[0]}; }
  Tensor<T> decomposed(const Tensor<T>& z, const Tensor<T>&, const Indices& labels) const {
    return logsumexp(z, 1) - sum(z * one_hot<T>(labels, z.shape()[1]), 1);
  }
  void compute(Target<T> y, const Tensor<T>& z, const Tensor<T>& totals, const Indices& labels) const {
    const std::size_t N = z.shape()[0], C = z.shape()[1];
    require_classes(labels, C);
    const T *const largest = totals.data(), *const rest = largest + N;
    for (std::size_t i = 0; i < N; ++i) {
      const T logit = z.data()[i * C + static_cast<std::size_t>(labels.data()[i])];
      y.data[i] = (std::isinf(logit) && logit > 0 ? T(0) : largest[i] - logit) + rest[i];
    }
  }
  static constexpr unsigned keeps(unsigned) { return keep_input(0) | keep_input(1) | keep_input(2); }
  void tangent(Tangents<T>& t) const {
    const Tensor<T> z = t.input(0), one = ones<T>({z.shape()[0]});
    t.add(sum(t.of(0) * apply<T>(SoftmaxCrossEntropyGradient<T>{}, one, z, t.input(1), t.indices(2)), 1));
  }
  void backward(Gradients<T>& d) const {
    d.add(0, SoftmaxCrossEntropyGradient<T>{}, d.adjoint, d.input(0), d.input(1), d.indices(2));
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
  using namespace detail;
  const Tensor<T> totals = apply<T>(LogTotals<T>{}, logits);
  return apply<T>(SoftmaxCrossEntropy<T>{}, logits, totals, labels);
}

template Tensor<float> softmax_cross_entropy(const Tensor<float>&, const Indices&);
template Tensor<double> softmax_cross_entropy(const Tensor<double>&, const Indices&);

}  // namespace xtape::engine
