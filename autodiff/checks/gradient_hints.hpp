// Hypotheses about a wrong gradient that need no more than the arrays of the table, and what hints of a
// derivation share with them. Not for users' programs.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "../compare_gradients.hpp"

namespace xtape::detail {

/// When two arrays count as the same: every difference at most atol + rtol · the largest element.
struct Tolerance {
  double rtol, atol;

  /// A match of k numbers is evidence when chance would not bring it about: with `fitted` constants chosen to
  /// make it hold, k − fitted of them have agreed to rtol.
  template <class T>
  bool is_evidence(const Tensor<T>& x, std::size_t fitted = 0) const;
  /// |a − factor · b|, over all elements.
  template <class T>
  bool same(const Tensor<T>& a, const Tensor<T>& b, double factor = 1) const;
};

template <class T>
double largest_element(const Tensor<T>& x);
/// NaN and infinities make it NaN or infinite.
template <class T>
double largest_difference(const Tensor<T>& a, const Tensor<T>& b, double factor = 1);

/// Σa², Σab and Σb² of a / scale_a and b / scale_b, whose largest element is 1: so they do not overflow.
struct Products {
  double scale_a, scale_b;
  double aa = 0, ab = 0, bb = 0;
};
template <class T>
Products scaled_products(const Tensor<T>& a, const Tensor<T>& b);

/// That of the options, or the default of the type.
template <class T>
Tolerance tolerance_of(const CompareOptions<T>& options);

/// A factor by which a formula is often off, and what it comes from.
struct Factor {
  double value;
  std::string text;
};
template <class T>
std::vector<Factor> usual_factors(const CompareOptions<T>& options);

/// What explains row `i` of `table`, whose other rows are judged already; "" when nothing does.
template <class T>
std::string hint_from_arrays(const std::vector<GradientPair<T>>& pairs, const GradientTable& table,
                             std::size_t i, const CompareOptions<T>& options, const Tolerance& tolerance);

/// The last resorts: a factor that is fitted, and the same numbers in another order.
template <class T>
std::string hint_from_numbers(const Tensor<T>& gradient, const Tensor<T>& other, const Tolerance& tolerance);

}  // namespace xtape::detail
