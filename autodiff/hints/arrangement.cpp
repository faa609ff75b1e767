// Gradients whose numbers are right and in the wrong place, or cut off.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "../base/text.hpp"
#include "../elementwise.hpp"
#include "../indexing.hpp"
#include "../reductions.hpp"
#include "row_search.hpp"

namespace xtape::detail {
namespace {

/// The largest b for which `from` moves blocks of b whole; all of them, where it moves nothing.
std::size_t block_of(const std::vector<std::ptrdiff_t>& from) {
  const std::size_t n = from.size();
  for (std::size_t b = n; b > 1; --b) {
    if (n % b != 0) continue;
    bool is_whole = true;
    for (std::size_t i = 0; i < n && is_whole; ++i)
      is_whole = from[i] == from[i - i % b] + static_cast<std::ptrdiff_t>(i % b) &&
                 from[i - i % b] % static_cast<std::ptrdiff_t>(b) == 0;
    if (is_whole) return b;
  }
  return 1;
}

/// How parts of a gradient are exchanged: part i is where part from[i] belongs.
std::string order_text(const std::vector<std::ptrdiff_t>& from, const std::string& parts) {
  const std::size_t n = from.size(), b = block_of(from), blocks = n / b;
  std::vector<std::ptrdiff_t> order;
  for (std::size_t i = 0; i < n; i += b) order.push_back(from[i] / static_cast<std::ptrdiff_t>(b));
  const auto is = [&](auto f) {
    for (std::size_t i = 0; i < blocks; ++i)
      if (static_cast<std::size_t>(order[i]) != f(i)) return false;
    return true;
  };
  const std::string what = b == 1 ? parts : "blocks of " + std::to_string(b) + " " + parts;
  if (blocks > 2 && is([&](std::size_t i) { return blocks - 1 - i; })) return what + " are in reverse order";
  for (const std::size_t by : {std::size_t(1), blocks - 1})
    if (blocks > 2 && is([&](std::size_t i) { return (i + by) % blocks; }))
      return what + " are shifted by one";
  std::string list;
  for (std::size_t i = 0; i < std::min<std::size_t>(blocks, 8); ++i)
    list += (i == 0 ? "" : ", ") + std::to_string(order[i] + 1);
  if (blocks > 8) list += ", …";
  std::vector<std::ptrdiff_t> sorted = order;
  std::ranges::sort(sorted);
  const bool is_repeated = std::ranges::adjacent_find(sorted) != sorted.end();
  return what + (is_repeated
                     ? " are not the right ones: some are used twice, others not at all (" + list + ")"
                     : " are exchanged: their order is " + list);
}

}  // namespace

template <class T>
void RowSearch<T>::try_arrangement() {
  const Shape& shape = own_.shape();
  constexpr std::size_t most_parts = 64, most_elements = 16384;
  if (own_.size() > most_elements) return;
  const double limit = tolerance_.atol + tolerance_.rtol * largest_element(own_);
  std::size_t inner = own_.size();
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    const std::size_t n = shape[axis], span = inner;
    inner /= n;
    if (n < 2 || n > most_parts) continue;
    const auto is_part = [&](std::size_t i,
                             std::size_t j) {  // part i of the formula's is part j of the trusted
      for (std::size_t at = 0; at < own_.size(); at += span)
        for (std::size_t k = 0; k < inner; ++k)
          if (!(std::abs(other_.data()[at + i * inner + k] - own_.data()[at + j * inner + k]) <= limit))
            return false;
      return true;
    };
    std::vector<std::ptrdiff_t> from(n);
    bool is_known = true, moves = false;
    for (std::size_t i = 0; i < n && is_known; ++i) {
      std::size_t j = i;
      if (!is_part(i, i))
        for (j = 0; j < n && !is_part(i, j);) ++j;
      is_known = j < n;
      moves = moves || j != i;
      from[i] = static_cast<std::ptrdiff_t>(j);
    }
    if (!is_known || !moves || !explains(take(own_, Indices(from), static_cast<std::ptrdiff_t>(axis))))
      continue;
    const std::string parts = shape.size() == 1   ? "elements"
                              : shape.size() == 2 ? (axis == 0 ? "rows" : "columns")
                                                  : "parts along axis " + std::to_string(axis);
    found("the numbers are right, and in the wrong places: the " + order_text(from, parts));
  }
}

template <class T>
void RowSearch<T>::try_clipped() {
  const T bound = max(abs(other_)).item();
  if (!(bound > 0) || !(max(abs(own_)).item() > bound)) return;
  if (explains(clamp(own_, -bound, bound), 1))
    found("the gradient is clipped to ±" + number_text(rounded(static_cast<double>(bound))) +
          ": the elements beyond that are cut off");
}

#define XTAPE_INSTANTIATE(T)                     \
  template void RowSearch<T>::try_arrangement(); \
  template void RowSearch<T>::try_clipped();
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail
