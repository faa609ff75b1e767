#include "coloring.hpp"

#include <algorithm>
#include <numeric>

namespace xtape::detail {
namespace {

constexpr std::uint32_t uncolored = ~std::uint32_t{0};

/// Colours one column after the other, those with the largest weight first, each with the first colour that
/// forbid(column, colours, taken_by) has not noted as taken by it.
template <class F>
Coloring greedy(const std::vector<std::size_t>& weight, const F& forbid) {
  Coloring coloring{std::vector<std::uint32_t>(weight.size(), uncolored)};
  std::vector<std::uint32_t> order(weight.size());
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::stable_sort(order, std::ranges::greater{}, [&](std::uint32_t j) { return weight[j]; });
  std::vector<std::uint32_t> taken_by(weight.size() + 1, uncolored);  // by colour
  for (const std::uint32_t j : order) {
    forbid(j, coloring.of, taken_by);
    std::uint32_t color = 0;
    while (taken_by[color] == j) ++color;
    coloring.of[j] = color;
    coloring.count = std::max<std::size_t>(coloring.count, color + 1);
  }
  return coloring;
}

/// Where most elements may differ from 0, colours would be as many as columns, and take long to find.
bool is_dense(const Pattern& pattern) {
  return pattern.columns > 256 && 2 * pattern.index.size() > pattern.rows() * pattern.columns;
}

}  // namespace

Coloring unit_coloring(std::size_t columns) {
  Coloring units{std::vector<std::uint32_t>(columns), columns};
  std::iota(units.of.begin(), units.of.end(), 0u);
  return units;
}

Coloring column_coloring(const Pattern& pattern) {
  if (is_dense(pattern)) return unit_coloring(pattern.columns);
  for (std::size_t i = 0; i < pattern.rows(); ++i)
    if (pattern.row(i).size() == pattern.columns) return unit_coloring(pattern.columns);
  const Pattern columns = transposed(pattern);
  std::vector<std::size_t> weight(pattern.columns, 0);
  for (std::size_t j = 0; j < pattern.columns; ++j)
    for (const std::uint32_t i : columns.row(j)) weight[j] += pattern.row(i).size();
  return greedy(weight, [&](std::uint32_t j, const auto& colors, auto& taken_by) {
    for (const std::uint32_t i : columns.row(j))
      for (const std::uint32_t k : pattern.row(i))
        if (colors[k] != uncolored) taken_by[colors[k]] = j;
  });
}

Coloring star_coloring(const Pattern& pattern) {
  if (is_dense(pattern)) return unit_coloring(pattern.columns);
  std::vector<std::size_t> weight(pattern.columns);
  for (std::size_t i = 0; i < pattern.columns; ++i) weight[i] = pattern.row(i).size();
  return greedy(weight, [&](std::uint32_t v, const auto& colors, auto& taken_by) {
    for (const std::uint32_t w : pattern.row(v))
      if (colors[w] != uncolored) taken_by[colors[w]] = v;
    for (const std::uint32_t w : pattern.row(v)) {
      if (w == v) continue;
      for (const std::uint32_t x : pattern.row(w)) {
        if (x == v || x == w || colors[x] == uncolored || taken_by[colors[x]] == v) continue;
        // Of a path v, w, x, y. While w has no colour, it may get that of any y yet.
        const bool meets =
            colors[w] == uncolored || std::ranges::any_of(pattern.row(x), [&](std::uint32_t y) {
              return y != w && y != x && colors[y] == colors[w];
            });
        if (meets) taken_by[colors[x]] = v;
      }
    }
  });
}

}  // namespace xtape::detail
