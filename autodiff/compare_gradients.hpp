// Comparing gradients of two origins, such as the tape's and hand-derived ones, as a table with hints.
#pragma once
#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "tensor.hpp"

namespace xtape {

/// One row to compare: the gradient that is trusted, and the one in question.
template <class T>
struct GradientPair {
  std::string name;
  Tensor<T> gradient;
  Tensor<T> other;
};

/// Knows the computation behind the gradients, where the loss itself is not at hand: see
/// nn::hand::layer_hints for dense layers.
template <class T>
class DerivationHints {
 public:
  enum class Role { unknown, weight, bias };

  virtual ~DerivationHints() = default;
  /// What the row of a name is the gradient of.
  virtual Role role(const std::string& row) const = 0;
  /// How many elements the output has, batch included.
  virtual std::size_t output_size() const = 0;
  /// A loss with the gradients that are right, recorded anew: mistakes are looked for in its derivation.
  virtual Tensor<T> loss() const = 0;
  /// The parameter of loss() that the row of a name is the gradient of; empty where the name is of none: then
  /// it is known by its numbers.
  virtual Tensor<T> parameter(const std::string& row) const = 0;
};

/// Tolerances of compare_gradients(), and what its hints know of the computation.
template <class T>
struct CompareOptions {
  std::size_t batch_size = 0;  ///< known to the hints: a factor of the batch size is named as such
  double rtol = -1;            ///< of the largest element; default 1e-9 for double, 1e-4 for float
  double atol = -1;            ///< default 1e-12 for double, 1e-6 for float
  double learning_rate = 0;    ///< known to the hints, when it is given
  /// Computes the loss, from the parameters whose gradients are compared: for hints that find the mistake in
  /// the derivation.
  std::function<Tensor<T>()> loss{};
  /// In place of `loss`, where that is not at hand; it also says which rows are biases.
  std::shared_ptr<const DerivationHints<T>> derivation{};
};

/// When two arrays count as the same: every difference at most atol + rtol · the largest element. Hints are
/// tested by it.
struct Tolerance {
  double rtol, atol;

  /// A match of k numbers is evidence when chance would not bring it about: with `fitted` constants chosen to
  /// make it hold, k − fitted of them have agreed to rtol.
  template <class T>
  bool is_evidence(const Tensor<T>& x, std::size_t fitted = 0) const;
  /// Of the same shape, and |a − factor · b| of every element within the limit.
  template <class T>
  bool same(const Tensor<T>& a, const Tensor<T>& b, double factor = 1) const;
};

/// That of the options, or the default of the type, by which rows are judged.
template <class T>
Tolerance tolerance_of(const CompareOptions<T>& options);

/// A factor by which a formula is often off, and what it comes from.
struct UsualFactor {
  double value;
  std::string text;
};
/// −1, 2, ½, and those of the batch, the output and the learning rate, where they are known.
template <class T>
std::vector<UsualFactor> usual_factors(const CompareOptions<T>& options);

/// The result of a comparison.
struct GradientTable {
  /// One pair of gradients.
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
/// on purpose, the mistake gives the very numbers of `other`. Those that need the two arrays alone are
/// tested (a factor, another order, another row's gradient …), and with `loss` or `derivation` first of all
/// mistakes in the derivation, for instance a missing g'(z). A difference that nothing explains gets no hint.
template <class T>
GradientTable compare_gradients(const std::vector<GradientPair<T>>& pairs,
                                const CompareOptions<std::type_identity_t<T>>& options = {});

}  // namespace xtape
