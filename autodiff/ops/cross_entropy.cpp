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

// Rows are along the last axis of z (…, C), labels are (…); N is the number of rows.

/// How many rows z has.
std::size_t rows_of_classes(const Shape& z) {
  return element_count(z, "cross_entropy") / std::max<std::size_t>(z.back(), 1);
}

/// (2, N): the largest logit of each row, and what ln Σ exp adds to it. Without a gradient of their own: what
/// is computed with their help gives that of z.
template <class T>
struct LogTotals {
  static constexpr const char* name = "log_totals";

  Shape shape(const Shape& z) const { return {2, rows_of_classes(z)}; }
  Tensor<T> decomposed(const Tensor<T>& z) const {
    const Tensor<T> rows = reshape(z, Dims{rows_of_classes(z.shape()), z.shape(-1)}), largest = max(rows, 1);
    return stack(std::vector<Tensor<T>>{largest, log(sum(exp(rows - unsqueeze(largest, 1)), 1))});
  }
  void compute(Target<T> y, const Tensor<T>& z) const {
    const std::size_t C = z.shape().back(), N = rows_of_classes(z.shape());
    for_blocks(N, z.size(), [&](std::size_t first, std::size_t last) {
      for (std::size_t i = first; i < last; ++i)
        kernels<T>().logsumexp(y.data + N + i, y.data + i, z.data() + i * C, C, 1, 1);
    });
  }
};

/// dz = g (softmax(z) − onehot(label)), row by row: g (…)
template <class T>
struct SoftmaxCrossEntropyGradient {
  static constexpr bool accumulates = true;
  using Inputs = std::tuple<Tensor<T>, Tensor<T>, Tensor<T>, Indices>;
  static constexpr const char* name = "cross_entropy_gradient";

  Shape shape(const Shape&, const Shape& z, const Shape&, const Shape&) const { return z; }
  Tensor<T> decomposed(const Tensor<T>& g, const Tensor<T>& z, const Tensor<T>&,
                       const Indices& labels) const {
    return (softmax(z, -1) - one_hot<T>(labels, z.shape(-1))) * unsqueeze(g, -1);
  }
  void compute(Target<T> dz, const Tensor<T>& g, const Tensor<T>& z, const Tensor<T>& totals,
               const Indices& labels) const {
    const std::size_t C = z.shape().back(), N = rows_of_classes(z.shape());
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
    if (t.has(1))
      t.add(SoftmaxGradient<T>{z.rank() - 1}, unsqueeze(t.input(0), -1) * t.of(1), softmax(z, -1));
  }
  void backward(Gradients<T>& d) const {
    const Tensor<T>&h = d.adjoint, z = d.input(1);
    if (d.needs(0)) {
      const Tensor<T> one = ones<T>(d.shape(0));
      d.add(0, sum(h * apply<T>(*this, one, z, d.input(2), d.indices(3)), -1));
    }
    if (d.needs(1)) d.add(1, SoftmaxGradient<T>{z.rank() - 1}, unsqueeze(d.input(0), -1) * h, softmax(z, -1));
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

  Shape shape(const Shape&, const Shape&, const Shape& labels) const { return labels; }
  Tensor<T> decomposed(const Tensor<T>& z, const Tensor<T>&, const Indices& labels) const {
    return logsumexp(z, -1) - sum(z * one_hot<T>(labels, z.shape(-1)), -1);
  }
  void compute(Target<T> y, const Tensor<T>& z, const Tensor<T>& totals, const Indices& labels) const {
    const std::size_t C = z.shape().back(), N = rows_of_classes(z.shape());
    require_classes(labels, C);
    const T *const largest = totals.data(), *const rest = largest + N;
    for (std::size_t i = 0; i < N; ++i) {
      const T logit = z.data()[i * C + static_cast<std::size_t>(labels.data()[i])];
      y.data[i] = (std::isinf(logit) && logit > 0 ? T(0) : largest[i] - logit) + rest[i];
    }
  }
  static constexpr unsigned keeps(unsigned) { return keep_input(0) | keep_input(1) | keep_input(2); }
  void tangent(Tangents<T>& t) const {
    const Tensor<T> z = t.input(0), one = ones<T>(t.indices(2).shape());
    t.add(sum(t.of(0) * apply<T>(SoftmaxCrossEntropyGradient<T>{}, one, z, t.input(1), t.indices(2)), -1));
  }
  void backward(Gradients<T>& d) const {
    d.add(0, SoftmaxCrossEntropyGradient<T>{}, d.adjoint, d.input(0), d.input(1), d.indices(2));
  }
};

/// 0 in place of the labels that are ignored, so that each is a class.
struct KeptLabels {
  std::ptrdiff_t ignored;
  using Inputs = std::tuple<Indices>;
  static constexpr const char* name = "kept_labels";
  static constexpr bool gives_integers = true;
  bool operator==(const KeptLabels&) const = default;
  Tensor<double> lifted(std::span<const Handle* const> in, const std::vector<char>&,
                        const Shape& shape) const {
    return perform_here<double>(*this, in, shape);
  }
  void code(Code& to) const {
    to.text("for (std::size_t i = 0; i < size; ++i) $y[i] = $0[i] == " + std::to_string(ignored) +
                " ? 0 : $0[i];",
            {{"size", element_count(to.shape(), name)}});
  }

  Shape shape(const Shape& labels) const { return labels; }
  /// y is an array of integers, which are of the size of double.
  void compute(Target<double> y, const Indices& labels) const {
    auto* const to = reinterpret_cast<std::ptrdiff_t*>(y.data);
    std::replace_copy(labels.data(), labels.data() + labels.size(), to, ignored, std::ptrdiff_t{0});
  }
};

/// 0 where a label is ignored, else 1. Error where all are, if one is needed.
template <class T>
struct KeptMask {
  std::ptrdiff_t ignored;
  bool needs_one;
  using Inputs = std::tuple<Indices>;
  static constexpr const char* name = "kept_mask";
  bool operator==(const KeptMask&) const = default;
  Tensor<T> lifted(std::span<const Handle* const> in, const std::vector<char>&, const Shape& shape) const {
    return perform_here<T>(*this, in, shape);
  }
  void code(Code& to) const {
    to.text("for (std::size_t i = 0; i < size; ++i) $y[i] = $0[i] != " + std::to_string(ignored) + ";",
            {{"size", element_count(to.shape(), name)}});
  }

  Shape shape(const Shape& labels) const { return labels; }
  void compute(Target<T> y, const Indices& labels) const {
    const std::ptrdiff_t* const label = labels.data();
    for (std::size_t i = 0; i < labels.size(); ++i) y.data[i] = T(label[i] != ignored);
    if (needs_one && std::find(y.data, y.data + y.size, T(1)) == y.data + y.size)
      throw Error("cross_entropy", "all of the " + std::to_string(y.size) + " labels are " +
                                       std::to_string(ignored) +
                                       ", the ignore_index, so that there is no mean: leave the batch out");
  }
};

}  // namespace

}  // namespace xtape::detail

namespace xtape::engine {

Indices kept_labels(const Indices& labels, std::ptrdiff_t ignored) {
  return Indices(
      detail::perform_here<double>(detail::KeptLabels{ignored}, std::array{&labels.handle()}, labels.shape())
          .release());
}

template <class T>
Tensor<T> kept_mask(const Indices& labels, std::ptrdiff_t ignored, bool needs_one) {
  return detail::perform_here<T>(detail::KeptMask<T>{ignored, needs_one}, std::array{&labels.handle()},
                                 labels.shape());
}

template <class T>
Tensor<T> softmax_cross_entropy(const Tensor<T>& logits, const Indices& labels) {
  const Shape& z = logits.shape();
  if (z.empty()) throw Error("cross_entropy", "logits of shape () have no axis of classes");
  Shape rows = z, second = z;
  rows.erase(z.size() - 1);
  if (z.size() > 2) second.erase(1);
  if (!(labels.shape() == rows))
    throw Error("cross_entropy",
                "labels of shape " + to_string(labels.shape()) + " for logits of shape " + to_string(z) +
                    ": one label for each row is needed" +
                    (labels.shape() == second
                         ? ", and rows are along the last axis: move that of the classes there, by moveaxis"
                     : labels.size() == detail::rows_of_classes(z) ? ": reshape them to " + to_string(rows)
                                                                   : ""));
  using namespace detail;
  const Tensor<T> totals = apply<T>(LogTotals<T>{}, logits);
  return apply<T>(SoftmaxCrossEntropy<T>{}, logits, totals, labels);
}

template Tensor<float> kept_mask<float>(const Indices&, std::ptrdiff_t, bool);
template Tensor<double> kept_mask<double>(const Indices&, std::ptrdiff_t, bool);
template Tensor<float> softmax_cross_entropy(const Tensor<float>&, const Indices&);
template Tensor<double> softmax_cross_entropy(const Tensor<double>&, const Indices&);

}  // namespace xtape::engine
