// The table of differences, and hints that hold when they explain the whole difference.
#include "compare_gradients.hpp"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <ostream>
#include <sstream>
#include <type_traits>

#include "layout.hpp"

namespace xtape {
namespace {

template <class T>
double largest_difference(const Tensor<T>& a, const Tensor<T>& b, double factor) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = std::abs(static_cast<double>(a.data()[i]) - factor * static_cast<double>(b.data()[i]));
    if (!(d <= largest)) largest = d;
    if (!std::isfinite(d)) return d;
  }
  return largest;
}

template <class T>
std::string factor_hint(const Tensor<T>& a, const Tensor<T>& b, double tolerance, std::size_t batch) {
  const double n = static_cast<double>(batch);
  const std::string size = std::to_string(batch);
  std::vector<std::pair<double, std::string>> factors{{-1, "the sign is reversed"},
                                                      {2, "twice the other: a square without its ½?"},
                                                      {0.5, "half the other: a ½ too many?"}};
  if (batch > 1)
    factors.insert(factors.end(),
                   {{n, size + " times the other: summed over the batch where the other averages"},
                    {1 / n, "1/" + size + " of the other: averaged over the batch where the other sums"}});
  for (const auto& [factor, text] : factors)
    if (largest_difference(a, b, factor) <= tolerance * std::max(1.0, std::abs(factor))) return text;
  return {};
}

template <class T>
bool is_transposed(const Tensor<T>& a, const Tensor<T>& b, double tolerance) {
  if (a.rank() != 2 || b.rank() != 2) return false;
  const Tensor<T> t = transpose(b.detach());
  return a.shape() == t.shape() && largest_difference(a, t, 1) <= tolerance;
}

}  // namespace

template <class T>
GradientTable compare_gradients(const std::vector<GradientPair<T>>& pairs, const CompareOptions& options) {
  const bool is_float = std::is_same_v<T, float>;
  const double rtol = options.rtol >= 0 ? options.rtol : is_float ? 1e-4 : 1e-9;
  const double atol = options.atol >= 0 ? options.atol : is_float ? 1e-6 : 1e-12;
  GradientTable table;
  for (const GradientPair<T>& pair : pairs) {
    GradientTable::Row row;
    row.name = pair.name;
    const Tensor<T>&a = pair.gradient, &b = pair.other;
    if (!a.defined() || !b.defined() || !(a.shape() == b.shape())) {
      row.passed = false;
      row.max_abs_difference = row.max_rel_difference = std::nan("");
      row.cosine = std::nan("");
      row.hint = !a.defined() || !b.defined()
                     ? "a gradient is empty"
                     : "shapes " + to_string(a.shape()) + " and " + to_string(b.shape()) + " differ" +
                           (is_transposed(a, b, atol) ? ": transposed" : "");
    } else {
      row.shape = to_string(a.shape());
      double ab = 0, aa = 0, bb = 0, largest = 0;
      for (std::size_t i = 0; i < a.size(); ++i) {
        const double p = static_cast<double>(a.data()[i]), q = static_cast<double>(b.data()[i]);
        ab += p * q;
        aa += p * p;
        bb += q * q;
        largest = std::max({largest, std::abs(p), std::abs(q)});
      }
      row.max_abs_difference = largest_difference(a, b, 1);
      row.max_rel_difference = largest > 0 ? row.max_abs_difference / largest : 0;
      row.cosine = aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : aa == bb ? 1 : 0;
      const double tolerance = atol + rtol * largest;
      row.passed = std::isfinite(largest) && row.max_abs_difference <= tolerance;
      if (!row.passed) row.hint = factor_hint(a, b, tolerance, options.batch_size);
      if (!row.passed && row.hint.empty() && is_transposed(a, b, tolerance)) row.hint = "transposed";
    }
    table.passed = table.passed && row.passed;
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::ostream& operator<<(std::ostream& out, const GradientTable& table) {
  std::size_t name = 4, shape = 5;
  for (const auto& row : table.rows) {
    name = std::max(name, row.name.size());
    shape = std::max(shape, row.shape.size());
  }
  std::ostringstream text;
  text << std::left << std::setw(static_cast<int>(name) + 2) << "name"
       << std::setw(static_cast<int>(shape) + 2) << "shape" << std::right << std::setw(14) << "max |a - b|"
       << std::setw(14) << "relative" << std::setw(14) << "cosine"
       << "  result\n";
  for (const auto& row : table.rows) {
    text << std::left << std::setw(static_cast<int>(name) + 2) << row.name
         << std::setw(static_cast<int>(shape) + 2) << row.shape << std::right << std::scientific
         << std::setprecision(2) << std::setw(14) << row.max_abs_difference << std::setw(14)
         << row.max_rel_difference << std::fixed << std::setprecision(9) << std::setw(14) << row.cosine
         << (row.passed ? "  agrees" : "  DIFFERS") << (row.hint.empty() ? "" : ": " + row.hint) << '\n';
  }
  return out << text.str();
}

template GradientTable compare_gradients(const std::vector<GradientPair<float>>&, const CompareOptions&);
template GradientTable compare_gradients(const std::vector<GradientPair<double>>&, const CompareOptions&);

}  // namespace xtape
