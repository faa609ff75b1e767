// The table of differences; the hints are found in gradient_hints.cpp and in the derivation (hints/).
#include "../compare_gradients.hpp"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <optional>
#include <ostream>

#include "../base/text_stream.hpp"
#include "../hints/search.hpp"
#include "gradient_hints.hpp"

namespace xtape {
namespace {

template <class T>
GradientTable::Row compare(const GradientPair<T>& pair, const Tolerance& tolerance) {
  GradientTable::Row row;
  row.name = pair.name;
  const Tensor<T>&a = pair.gradient, &b = pair.other;
  if (!a.defined() || !b.defined() || !(a.shape() == b.shape())) {
    row.passed = false;
    row.max_abs_difference = row.max_rel_difference = row.cosine = std::nan("");
    return row;
  }
  row.shape = to_string(a.shape());
  const double largest = std::max(detail::largest_element(a), detail::largest_element(b));
  row.max_abs_difference = detail::largest_difference(a, b);
  row.max_rel_difference = largest > 0 ? row.max_abs_difference / largest : 0;
  const detail::Products p = detail::scaled_products(a, b);
  row.cosine = p.aa > 0 && p.bb > 0 ? p.ab / std::sqrt(p.aa * p.bb) : p.aa == p.bb ? 1 : 0;
  row.passed = std::isfinite(largest) && tolerance.same(a, b);
  return row;
}

}  // namespace

template <class T>
GradientTable compare_gradients(const std::vector<GradientPair<T>>& pairs,
                                const CompareOptions<std::type_identity_t<T>>& options) {
  const Tolerance tolerance = tolerance_of(options);
  const NoGrad no_grad;

  GradientTable table;
  for (const GradientPair<T>& pair : pairs) {
    table.rows.push_back(compare(pair, tolerance));
    table.passed = table.passed && table.rows.back().passed;
  }
  std::optional<detail::MistakeSearch<T>> search;
  std::string no_search;  // why there is none
  const auto loss = [&] { return options.loss ? options.loss() : options.derivation->loss(); };
  if (!table.passed && (options.loss || options.derivation)) {
    try {
      search.emplace(loss, options);
      search->name_rows(pairs);
    } catch (const Error& error) {
      search.reset();
      no_search = std::string("no mistake was looked for in the graph: ") + error.what();
    }
  }
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    GradientTable::Row& row = table.rows[i];
    if (row.passed) continue;
    if (search) row.hint = search->hint(pairs[i]);
    if (!row.hint.empty()) row.hint += detail::note_on_bias(pairs, table, i, options, tolerance);
    if (row.hint.empty()) row.hint = detail::hint_from_arrays(pairs, table, i, options, tolerance);
    if (row.hint.empty()) row.hint = detail::hint_from_numbers(pairs[i].gradient, pairs[i].other, tolerance);
    if (row.hint.empty()) row.hint = no_search;
  }
  return table;
}

std::ostream& operator<<(std::ostream& out, const GradientTable& table) {
  std::size_t name = 4, shape = 5;
  for (const auto& row : table.rows) {
    name = std::max(name, row.name.size());
    shape = std::max(shape, row.shape.size());
  }
  detail::TextStream text;
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

template GradientTable compare_gradients(const std::vector<GradientPair<float>>&,
                                         const CompareOptions<float>&);
template GradientTable compare_gradients(const std::vector<GradientPair<double>>&,
                                         const CompareOptions<double>&);

}  // namespace xtape
