// Which mistakes in the derivation of a gradient give the very numbers that were found.
#pragma once
#include <memory>
#include <string>

#include "../compare_gradients.hpp"
#include "graph.hpp"

namespace xtape::detail {

/// The search for the gradients of one loss.
template <class T>
class MistakeSearch {
 public:
  /// Error as traced_source().
  MistakeSearch(const std::function<Tensor<T>()>& loss, const CompareOptions<T>& options);
  ~MistakeSearch();

  /// Gives the leaves the names of the rows.
  void name_rows(const std::vector<GradientPair<T>>& pairs);
  /// What explains `other`, the simplest first, joined by "or"; "" when nothing does. One mistake is looked
  /// for before two. A mistake is named when it gives the very numbers, and chance is excluded: that one of
  /// all the mistakes tried agrees to so many digits in so many elements.
  std::string hint(const GradientPair<T>& pair) const;

 private:
  std::unique_ptr<GradientGraph<T>> graph_;
  CompareOptions<T> options_;
  std::vector<std::pair<std::string, std::uint32_t>> leaf_of_row_;
};

}  // namespace xtape::detail
