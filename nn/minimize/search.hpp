// Searches along a direction. Not for users' programs.
#pragma once
#include <cstddef>

#include "../line_search.hpp"
#include "run.hpp"

namespace xtape::nn::minimizing {

/// Where a search ended.
template <class T>
struct Found {
  bool success = false;  ///< a point that meets the conditions, or is lower at least
  Point<T> point{};
};

/// Goes from `from` along d, where gᵀd is `slope` < 0; `first` is the α that is tried first. With bounds the
/// path is projected, and α goes back from the first one. Going back, f is compared with `reference`, which
/// is f at `from` or one of the values before it.
template <class T>
Found<T> search(LineSearch kind, Run<T>& run, const Point<T>& from, const std::vector<T>& d, double slope,
                double first, double reference);

}  // namespace xtape::nn::minimizing
