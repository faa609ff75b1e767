// Each hypothesis is tested: a hint is given when it reproduces the array in question.
#include "gradient_hints.hpp"

#include <algorithm>
#include <cmath>

#include "../base/text.hpp"
#include "../layout.hpp"
#include "../reductions.hpp"

namespace xtape::detail {
namespace {

template <class T>
double at(const Tensor<T>& x, std::size_t i) {
  return static_cast<double>(x.data()[i]);
}

/// "NaN first seen at index (1, 0) of …"; "" where all is finite.
template <class T>
std::string first_nonfinite(const Tensor<T>& x, const char* whose) {
  for (std::size_t i = 0; i < x.size(); ++i)
    if (!std::isfinite(at(x, i)))
      return std::string(std::isnan(at(x, i)) ? "NaN" : "infinity") + " first seen at index " +
             index_text(i, x.shape()) + " of " + whose;
  return {};
}

/// With both the trusted one comes first: then the formula may be right, and what goes into it is not.
template <class T>
std::string hint_of_nonfinite(const Tensor<T>& gradient, const Tensor<T>& other) {
  std::string text = first_nonfinite(gradient, "the trusted gradient");
  const std::string formula = first_nonfinite(other, "the formula's gradient");
  if (text.empty() && formula.empty()) return {};
  text += (text.empty() || formula.empty() ? "" : ", and ") + formula;
  return text + ": look for log(0), 0/0, or an exp that overflows on the way to it";
}

template <class T>
std::string hint_of_shapes(const Tensor<T>& a, const Tensor<T>& b, const Tolerance& tolerance) {
  const std::string text = "shapes " + to_string(a.shape()) + " and " + to_string(b.shape()) + " differ";
  if (a.rank() == 2 && b.rank() == 2 && tolerance.same(a, transpose(b.detach())))
    return text + ": transposed; dW = δ aᵀ is (out, in), a δᵀ is (in, out)";
  if (a.size() == b.size() && tolerance.same(a, reshape(b.detach(), Dims(a.shape()))))
    return text + ": the numbers are right; reshape them";
  if (b.rank() == a.rank() + 1 && tolerance.same(a, sum(b.detach(), 0)))
    return text + ": one gradient for each of the " + std::to_string(b.shape()[0]) +
           " samples; sum them over the batch, axis 0";
  if (b.rank() == a.rank() + 1 && tolerance.same(a, mean(b.detach(), 0)))
    return text + ": one gradient for each of the " + std::to_string(b.shape()[0]) +
           " samples; average them over the batch, axis 0";
  return text;
}

/// Whether a row is the gradient of a bias: what the derivation says, else a vector is a bias's. A row (1, n)
/// counts as the weight of one output then: W (d, n) and b (1, n) have the shapes of W1 (n, d) and W2 (1, n).
template <class T>
bool is_of_bias(const GradientPair<T>& pair, const CompareOptions<T>& options) {
  using Role = typename DerivationHints<T>::Role;
  const Role role = options.derivation ? options.derivation->role(pair.name) : Role::unknown;
  return role == Role::unknown ? pair.gradient.rank() < 2 : role == Role::bias;
}

/// Whether row i is a bias's, and all weights in the table, (out, in) or (in, out), one of which has its
/// size, are right.
template <class T>
bool only_the_bias(const std::vector<GradientPair<T>>& pairs, const GradientTable& table, std::size_t i,
                   const CompareOptions<T>& options) {
  if (!is_of_bias(pairs[i], options)) return false;
  const std::size_t n = pairs[i].gradient.size();
  bool has_weight = false;
  for (std::size_t k = 0; k < pairs.size(); ++k) {
    const Tensor<T>& W = pairs[k].gradient;
    if (!W.defined() || W.rank() < 2 || is_of_bias(pairs[k], options)) continue;
    if (!table.rows[k].passed) return false;
    has_weight = has_weight || W.shape()[0] == n || W.shape()[1] == n;
  }
  return has_weight;
}

template <class T>
std::string hint_of_factor(const std::vector<GradientPair<T>>& pairs, const GradientTable& table,
                           std::size_t i, const CompareOptions<T>& options, const Tolerance& tolerance) {
  const Tensor<T>&gradient = pairs[i].gradient, &other = pairs[i].other;
  if (!tolerance.is_evidence(other)) return {};
  const double n = static_cast<double>(options.batch_size);
  for (const UsualFactor& factor : usual_factors(options)) {
    if (!tolerance.same(other, gradient, factor.value)) continue;
    if (!only_the_bias(pairs, table, i, options)) return factor.text;
    const std::string batch = std::to_string(options.batch_size);
    if (factor.value == -1)
      return "the sign of the bias gradient alone is reversed: db is δ summed over the batch, with the sign "
             "that dW has";
    if (factor.value == n)
      return batch + " times too large, in the bias alone: δ is summed over the batch of " + batch +
             " without the division that the weight gradient has; treat both alike";
    if (factor.value == 1 / n)
      return "1/" + batch + " of the gradient, in the bias alone: δ is averaged over the batch of " + batch +
             ", a division that the weight gradient does not have; treat both alike";
    return "in the bias alone, " + factor.text;
  }
  return {};
}

template <class T>
std::string hint_of_another_row(const std::vector<GradientPair<T>>& pairs, std::size_t i,
                                const Tolerance& tolerance) {
  const Tensor<T>& other = pairs[i].other;
  for (std::size_t k = 0; k < pairs.size(); ++k)
    if (k != i && pairs[k].gradient.defined() && pairs[k].gradient.shape() == other.shape() &&
        tolerance.same(other, pairs[k].gradient))
      return "this is the gradient of " + pairs[k].name +
             ": the layers are shifted, or two names are swapped";
  return {};
}

/// Of a trusted gradient that is `times` the other: it may be the one that is wrong.
std::string hint_of_passes(double times) {
  const double whole = std::round(times);
  if (whole < 2 || whole > 1000 || std::abs(times - whole) > 1e-6 * whole) return {};
  return "; or the trusted gradient was accumulated by " + number_text(whole) +
         " backward passes: zero_grad()";
}

/// The elements, smallest first.
template <class T>
std::vector<T> sorted(const T* x, std::size_t n) {
  std::vector<T> copy(x, x + n);
  std::ranges::sort(copy);
  return copy;
}

/// Whether the rows of b are those of a in another order.
template <class T>
bool rows_are_permuted(const Tensor<T>& a, const Tensor<T>& b, double limit) {
  const std::size_t rows = a.shape()[0], n = a.shape()[1];
  std::vector<bool> taken(rows, false);
  for (std::size_t i = 0; i < rows; ++i) {
    std::size_t k = 0;
    const auto is_row_k = [&] {
      for (std::size_t j = 0; j < n; ++j)
        if (!(std::abs(at(b, i * n + j) - at(a, k * n + j)) <= limit)) return false;
      return true;
    };
    while (k < rows && (taken[k] || !is_row_k())) ++k;
    if (k == rows) return false;
    taken[k] = true;
  }
  return true;
}

}  // namespace

template <class T>
double largest_element(const Tensor<T>& x) {
  double largest = 0;
  for (std::size_t i = 0; i < x.size(); ++i) largest = std::max(largest, std::abs(at(x, i)));
  return largest;
}

template <class T>
double largest_difference(const Tensor<T>& a, const Tensor<T>& b, double factor) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = std::abs(at(a, i) - factor * at(b, i));
    if (!std::isfinite(d)) return d;
    largest = std::max(largest, d);
  }
  return largest;
}

template <class T>
bool excludes_chance(const Tensor<T>& right, const Tensor<T>& other, double residual, std::size_t tried,
                     std::size_t fitted) {
  const double digits = static_cast<double>(std::numeric_limits<T>::epsilon()) * largest_element(other);
  const double least = std::max(residual, digits);
  const double chance = 2 * least / largest_difference(other, right);
  if (!(chance < 1)) return false;
  std::size_t seen = 0;  // elements that the mistake changes
  for (std::size_t i = 0; i < other.size() && seen < 64; ++i)
    seen += std::abs(at(other, i) - at(right, i)) > 8 * least;
  constexpr double most = 1e-8;
  return seen > fitted &&
         static_cast<double>(tried) * std::pow(chance, static_cast<double>(seen - fitted)) < most;
}

template <class T>
Products scaled_products(const Tensor<T>& a, const Tensor<T>& b) {
  const auto scale = [](double largest) { return largest > 0 && std::isfinite(largest) ? largest : 1; };
  Products sums{.scale_a = scale(largest_element(a)), .scale_b = scale(largest_element(b))};
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double p = at(a, i) / sums.scale_a, q = at(b, i) / sums.scale_b;
    sums.aa += p * p;
    sums.ab += p * q;
    sums.bb += q * q;
  }
  return sums;
}

template <class T>
std::string hint_from_arrays(const std::vector<GradientPair<T>>& pairs, const GradientTable& table,
                             std::size_t i, const CompareOptions<T>& options, const Tolerance& tolerance) {
  const Tensor<T>&gradient = pairs[i].gradient, &other = pairs[i].other;
  if (!gradient.defined() || !other.defined()) return "a gradient is empty";
  if (!(gradient.shape() == other.shape())) return hint_of_shapes(gradient, other, tolerance);
  if (std::string hint = hint_of_nonfinite(gradient, other); !hint.empty()) return hint;
  if (largest_element(other) == 0)
    return "all zero: was it computed, and is what it depends on above 0 at all?";
  if (std::string hint = hint_of_factor(pairs, table, i, options, tolerance); !hint.empty()) return hint;
  if (!tolerance.is_evidence(other)) return {};
  if (std::string hint = hint_of_another_row(pairs, i, tolerance); !hint.empty()) return hint;
  if (gradient.rank() != 2 || gradient.shape()[0] != gradient.shape()[1]) return {};
  const Tensor<T> turned = transpose(gradient.detach());
  if (tolerance.same(other, turned)) return "transposed: dW = δ aᵀ, not a δᵀ";
  for (const UsualFactor& factor : usual_factors(options))
    if (tolerance.same(other, turned, factor.value))
      return "transposed (dW = δ aᵀ, not a δᵀ); besides, " + factor.text;
  return {};
}

template <class T>
std::string note_on_bias(const std::vector<GradientPair<T>>& pairs, const GradientTable& table, std::size_t i,
                         const CompareOptions<T>& options, const Tolerance& tolerance) {
  const Tensor<T>&gradient = pairs[i].gradient, &other = pairs[i].other;
  if (!only_the_bias(pairs, table, i, options)) return {};
  const Products p = scaled_products(gradient, other);
  const double factor = p.aa > 0 ? p.ab / p.aa * (p.scale_b / p.scale_a) : 0;
  if (factor == 0 || !tolerance.same(other, gradient, factor)) return {};
  return "; in the bias alone: the gradients of the weights agree, treat both alike";
}

template <class T>
std::string hint_from_numbers(const Tensor<T>& gradient, const Tensor<T>& other, const Tolerance& tolerance) {
  if (!gradient.defined() || !other.defined() || !(gradient.shape() == other.shape())) return {};
  const Products products = scaled_products(gradient, other);
  if (const double c = products.ab / products.aa * (products.scale_b / products.scale_a);
      products.aa > 0 && c != 0 && tolerance.is_evidence(other, 1) && tolerance.same(other, gradient, c) &&
      excludes_chance(gradient, other, largest_difference(other, gradient, c), 1, 1))
    return "the gradient times " + number_text(c) + ", in every element: look for a constant factor " +
           number_text(c) + (std::abs(c) < 1 ? " = 1/" + number_text(1 / c) : "") + hint_of_passes(1 / c);

  const std::size_t n = gradient.size();
  const double limit =
      tolerance.atol + tolerance.rtol * std::max(largest_element(gradient), largest_element(other));
  const std::vector<T> a = sorted(gradient.data(), n), b = sorted(other.data(), n);
  if (!tolerance.is_evidence(other, 1)) return {};
  double residual = 0;
  for (std::size_t i = 0; i < n; ++i)
    residual = std::max(residual, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  if (!(residual <= limit) || !excludes_chance(gradient, other, residual, 1, 1)) return {};
  const std::string same = "permuted: the same numbers in another order";
  if (gradient.rank() != 2) return same;
  if (rows_are_permuted(gradient, other, limit))
    return same + " of the rows; do both number the units of the layer alike?";
  if (rows_are_permuted<T>(transpose(gradient.detach()), transpose(other.detach()), limit))
    return same + " of the columns; do both number the inputs of the layer alike?";
  return same + "; was it reshaped where it should be transposed?";
}

#define XTAPE_INSTANTIATE(T)                                                                                \
  template double largest_element(const Tensor<T>&);                                                        \
  template double largest_difference(const Tensor<T>&, const Tensor<T>&, double);                           \
  template Products scaled_products(const Tensor<T>&, const Tensor<T>&);                                    \
  template bool excludes_chance(const Tensor<T>&, const Tensor<T>&, double, std::size_t, std::size_t);      \
  template std::string hint_from_arrays(const std::vector<GradientPair<T>>&, const GradientTable&,          \
                                        std::size_t, const CompareOptions<T>&, const Tolerance&);           \
  template std::string note_on_bias(const std::vector<GradientPair<T>>&, const GradientTable&, std::size_t, \
                                    const CompareOptions<T>&, const Tolerance&);                            \
  template std::string hint_from_numbers(const Tensor<T>&, const Tensor<T>&, const Tolerance&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail

namespace xtape {

template <class T>
Tolerance tolerance_of(const CompareOptions<T>& options) {
  const bool is_float = std::is_same_v<T, float>;
  return {options.rtol >= 0 ? options.rtol
          : is_float        ? 1e-4
                            : 1e-9,
          options.atol >= 0 ? options.atol
          : is_float        ? 1e-6
                            : 1e-12};
}

template <class T>
bool Tolerance::same(const Tensor<T>& a, const Tensor<T>& b, double factor) const {
  if (!(a.shape() == b.shape())) return false;
  const double largest = std::max(detail::largest_element(a), std::abs(factor) * detail::largest_element(b));
  return detail::largest_difference(a, b, factor) <= atol + rtol * largest;
}

template <class T>
bool Tolerance::is_evidence(const Tensor<T>& x, std::size_t fitted) const {
  constexpr double chance = 1e-7;  // that the numbers agree all the same; hundreds of hypotheses are tested
  const double least = atol + rtol * detail::largest_element(x);
  std::size_t k = 0;
  for (std::size_t i = 0; i < x.size() && k < 16; ++i)
    k += std::abs(static_cast<double>(x.data()[i])) > least;
  return k > fitted && std::pow(rtol, static_cast<double>(k - fitted)) <= chance;
}

// What is said is what the formula does against the trusted gradient: of the loss the arrays say nothing.
template <class T>
std::vector<UsualFactor> usual_factors(const CompareOptions<T>& options) {
  std::vector<UsualFactor> factors;
  const auto add = [&](double value, const std::string& text) {
    if (value == 1) return;
    const auto known = std::ranges::find(factors, value, &UsualFactor::value);
    if (known == factors.end())
      factors.push_back({value, text});
    else  // two origins of one number
      known->text += "; or " + text;
  };
  add(-1,
      "the sign is reversed: the error is a − y, not y − a; or this is the update −α dW, not the gradient "
      "dW");
  add(2, "twice too large: a ½, or the division of a mean of two, is missing in the formula");
  add(0.5,
      "half of the gradient: the formula has a ½, or a mean of two, that the trusted gradient does not have; "
      "d(a − y)² is 2 (a − y); or the trusted gradient was accumulated by two backward passes: zero_grad()");
  struct Count {
    std::size_t n;
    std::string of;
  };
  std::vector<Count> counts;
  const std::size_t batch = options.batch_size;
  const std::size_t outputs = options.derivation ? options.derivation->output_size() : 0;
  if (batch > 1) counts.push_back({batch, "the batch of " + std::to_string(batch)});
  if (outputs > 1) counts.push_back({outputs, "all " + std::to_string(outputs) + " elements of the output"});
  if (batch > 1 && outputs > batch && outputs % batch == 0)
    counts.push_back({outputs / batch, "the " + std::to_string(outputs / batch) + " outputs of a sample"});
  const auto missing = [](const Count& c) {
    return "a division by " + std::to_string(c.n) + ", that of a mean over " + c.of +
           ", is missing in the formula";
  };
  const auto too_many = [](const Count& c) {
    return "the formula divides by " + std::to_string(c.n) +
           " once more than the trusted gradient does, as by a mean over " + c.of + " in place of the sum";
  };
  // All of one mistake come before those of two: N · out before 2 · N.
  for (const Count& c : counts) {
    const std::string n = std::to_string(c.n);
    const double size = static_cast<double>(c.n);
    add(size, n + " times too large: " + missing(c) + "; divide by " + n);
    add(1 / size, "1/" + n + " of the gradient: " + too_many(c) + "; leave out the division");
  }
  for (const Count& c : counts) {
    const std::string n = std::to_string(c.n);
    const double size = static_cast<double>(c.n);
    add(2 * size, "2 · " + n + " times too large: " + missing(c) + ", and a ½, too");
    add(1 / (2 * size), "1/(2 · " + n + ") of the gradient: " + too_many(c) + ", and has a ½ too many");
    add(size / 2, n + "/2 times too large: " + missing(c) + ", and it has a ½ too many");
    add(2 / size, "2/" + n + " of the gradient: " + too_many(c) + ", and lacks a ½");
  }
  if (options.learning_rate > 0) {
    const std::string alpha = detail::number_text(options.learning_rate);
    add(options.learning_rate, "multiplied by the learning rate " + alpha +
                                   " already: that is the step α dW; compare the gradient dW");
    add(-options.learning_rate, "multiplied by −α, the learning rate " + alpha +
                                    ": that is the update ΔW = −α dW; compare the gradient dW");
  }
  return factors;
}

#define XTAPE_INSTANTIATE(T)                                                       \
  template bool Tolerance::same(const Tensor<T>&, const Tensor<T>&, double) const; \
  template bool Tolerance::is_evidence(const Tensor<T>&, std::size_t) const;       \
  template Tolerance tolerance_of(const CompareOptions<T>&);                       \
  template std::vector<UsualFactor> usual_factors(const CompareOptions<T>&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape
