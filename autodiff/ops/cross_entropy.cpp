// The cross-entropy of a softmax and class labels, as one operation.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "../elementwise.hpp"
#include "../engine.hpp"
#include "../kernels/kernels.hpp"
#include "../layout.hpp"
#include "../reductions.hpp"
#include "../tape/op.hpp"
#include "softmax_ops.hpp"

namespace xtape::detail {
namespace {

/// The labels of N rows, in a block of the pool.
struct Labels {
  ValueRef numbers;

  explicit Labels(const Indices& labels)
      : numbers(make_value(labels.shape(), sizeof(std::ptrdiff_t), "cross_entropy")) {
    std::ranges::copy(labels.values(), reinterpret_cast<std::ptrdiff_t*>(numbers->data));
  }
  bool operator==(const Labels& other) const {
    return numbers->shape == other.numbers->shape &&
           std::memcmp(numbers->data, other.numbers->data, numbers->bytes()) == 0;
  }
  std::size_t operator[](std::size_t i) const {
    return static_cast<std::size_t>(numbers->elements<std::ptrdiff_t>()[i]);
  }
};

/// (2, N) of z (N, C): the largest logit of each row, and what ln Σ exp adds to it. Without a gradient of
/// their own: what is computed with their help gives that of z.
template <class T>
struct LogTotals {
  static constexpr const char* name = "log_totals";

  Shape shape(const Shape& z) const { return {2, z[0]}; }
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
  Labels labels;
  static constexpr const char* name = "cross_entropy_gradient";
  bool operator==(const SoftmaxCrossEntropyGradient&) const = default;

  Shape shape(const Shape&, const Shape& z, const Shape&) const { return z; }
  void compute(Target<T> dz, const Tensor<T>& g, const Tensor<T>& z, const Tensor<T>& totals) const {
    const std::size_t N = z.shape()[0], C = z.shape()[1];
    for_blocks(N, z.size(), [&](std::size_t first, std::size_t last) {
      for (std::size_t i = first; i < last; ++i) {
        const Target<T> row{dz.data + i * C, C, dz.accumulate};
        add_row(row, g.data() + i, z.data() + i * C, C, totals.data() + i, totals.data()[N + i]);
        row.data[labels[i]] -= g.data()[i];
      }
    });
  }
  static constexpr unsigned keeps(unsigned i) {
    return (i == 1 ? keep_input(0) : 0) | keep_input(1) | keep_input(2);
  }
  void tangent(Tangents<T>& t) const {
    const Tensor<T> z = t.input(1);
    if (t.has(0)) t.add(*this, t.of(0), z, t.input(2));
    if (t.has(1)) t.add(SoftmaxGradient<T>{1}, unsqueeze(t.input(0), 1) * t.of(1), softmax(z, 1));
  }
  void backward(Gradients<T>& d) const {
    const Tensor<T>&h = d.adjoint, z = d.input(1);
    if (d.needs(0)) {
      const Tensor<T> one = ones<T>({z.shape()[0]});
      d.add(0, sum(h * apply<T>(*this, one, z, d.input(2)), 1));
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

/// y = ln Σ exp(z) − z[label] for each row, in two parts. The gradient computes the exponentials again.
template <class T>
struct SoftmaxCrossEntropy {
  Labels labels;
  static constexpr const char* name = "cross_entropy";
  bool operator==(const SoftmaxCrossEntropy&) const = default;

  Shape shape(const Shape& z, const Shape&) const { return {z[0]}; }
  void compute(Target<T> y, const Tensor<T>& z, const Tensor<T>& totals) const {
    const std::size_t N = z.shape()[0], C = z.shape()[1];
    const T *const largest = totals.data(), *const rest = largest + N;
    for (std::size_t i = 0; i < N; ++i) {
      const T logit = z.data()[i * C + labels[i]];
      y.data[i] = (std::isinf(logit) && logit > 0 ? T(0) : largest[i] - logit) + rest[i];
    }
  }
  static constexpr unsigned keeps(unsigned) { return keep_input(0) | keep_input(1); }
  void tangent(Tangents<T>& t) const {
    const Tensor<T> z = t.input(0), one = ones<T>({z.shape()[0]});
    t.add(sum(t.of(0) * apply<T>(SoftmaxCrossEntropyGradient<T>{labels}, one, z, t.input(1)), 1));
  }
  void backward(Gradients<T>& d) const {
    d.add(0, SoftmaxCrossEntropyGradient<T>{labels}, d.adjoint, d.input(0), d.input(1));
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
  using namespace detail;
  const Tensor<T> totals = apply<T>(LogTotals<T>{}, logits);
  return apply<T>(SoftmaxCrossEntropy<T>{Labels(labels)}, logits, totals);
}

template Tensor<float> softmax_cross_entropy(const Tensor<float>&, const Indices&);
template Tensor<double> softmax_cross_entropy(const Tensor<double>&, const Indices&);

}  // namespace xtape::engine
