// Compares gradients of two origins, such as the tape's and hand-derived ones, as a table with hints.
#pragma once
#include <iosfwd>
#include <string>
#include <vector>

#include "activation.hpp"
#include "tensor.hpp"

namespace xtape {

/// One row to compare: the gradient that is trusted, and the one in question.
template <class T>
struct GradientPair {
  std::string name;
  Tensor<T> gradient;
  Tensor<T> other;
};

/// The values of one layer a = g(W input + b), from which hints recompute gradients, right and wrong ones. A
/// batch is in rows: input (N, in), z and a (N, out), W (out, in); or one sample of rank 1.
template <class T>
struct LayerContext {
  std::string weight{};  ///< the name of the row with dJ/dW
  std::string bias{};    ///< the name of the row with dJ/db
  Tensor<T> input{};     ///< a of the layer before, or x
  Tensor<T> z{};
  Tensor<T> a{};  ///< computed from z when absent
  Activation activation = Activation::identity;
  Tensor<T> W{};
};

template <class T>
struct CompareOptions {
  std::size_t batch_size = 0;             ///< known to the hints: a factor of the batch size is named as such
  double rtol = -1;                       ///< of the largest element; default 1e-9 for double, 1e-4 for float
  double atol = -1;                       ///< default 1e-12 for double, 1e-6 for float
  std::vector<LayerContext<T>> layers{};  ///< all layers from the input to the output, for more hints
  Tensor<T> dJ_da{};                      ///< with layers: of the last layer's a
  Tensor<T> output_delta{};               ///< with layers: dJ/dz of the last one; dJ_da · g'(z) when absent
  double learning_rate = 0;               ///< known to the hints, when it is given
};

/// The result of a comparison.
struct GradientTable {
  struct Row {
    std::string name;
    std::string shape;
    double max_abs_difference = 0;
    double max_rel_difference = 0;  ///< the largest difference over the largest element
    double cosine = 1;              ///< of the angle between both
    bool passed = true;
    std::string hint;  ///< what explains the whole difference, where something does
  };
  std::vector<Row> rows;
  bool passed = true;
};

std::ostream& operator<<(std::ostream& out, const GradientTable& table);

/// A row passes when every difference is at most atol + rtol · the largest element of either. Shapes that
/// differ, NaN and empty tensors are rows that do not pass. A hint is a hypothesis that has been tested: made
/// on purpose, the mistake gives the very numbers of `other`. Without layers those that need the two arrays
/// alone are tested (a factor, another order, another row's gradient …), with layers also mistakes in the
/// derivation, for instance a missing g'(z). A difference that nothing explains gets no hint. Error for
/// layers whose shapes do not fit.
template <class T>
GradientTable compare_gradients(const std::vector<GradientPair<T>>& pairs,
                                const CompareOptions<std::type_identity_t<T>>& options = {});

}  // namespace xtape
