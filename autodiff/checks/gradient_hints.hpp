// Hypotheses about a wrong gradient that need no more than the arrays of the table.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "../compare_gradients.hpp"

namespace xtape::detail {

template <class T>
double largest_element(const Tensor<T>& x);
/// NaN and infinities make it NaN or infinite.
template <class T>
double largest_difference(const Tensor<T>& a, const Tensor<T>& b, double factor = 1);

/// Whether what explains `other`, a wrong gradient in place of `right`, up to `residual` is evidence: that
/// one of `tried` explanations, in which `fitted` constants were chosen, would do so by chance is below 1e-8.
/// The chance of an element is the residual, or the last digits of the type, over the difference to explain.
template <class T>
bool excludes_chance(const Tensor<T>& right, const Tensor<T>& other, double residual, std::size_t tried,
                     std::size_t fitted);

/// Σa², Σab and Σb² of a / scale_a and b / scale_b, whose largest element is 1: so they do not overflow.
struct Products {
  double scale_a, scale_b;
  double aa = 0, ab = 0, bb = 0;
};
template <class T>
Products scaled_products(const Tensor<T>& a, const Tensor<T>& b);

/// What explains row `i` of `table`, whose other rows are judged already; "" when nothing does.
template <class T>
std::string hint_from_arrays(const std::vector<GradientPair<T>>& pairs, const GradientTable& table,
                             std::size_t i, const CompareOptions<T>& options, const Tolerance& tolerance);

/// What to add to a hint on a bias whose gradient is off by a factor where those of the weights are right; ""
/// otherwise.
template <class T>
std::string note_on_bias(const std::vector<GradientPair<T>>& pairs, const GradientTable& table, std::size_t i,
                         const CompareOptions<T>& options, const Tolerance& tolerance);

/// The last resorts: a factor that is fitted, and the same numbers in another order.
template <class T>
std::string hint_from_numbers(const Tensor<T>& gradient, const Tensor<T>& other, const Tolerance& tolerance);

}  // namespace xtape::detail
