// Which parameter a row is the gradient of.
#include "search.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "../base/text.hpp"
#include "../checks/gradient_hints.hpp"
#include "../elementwise.hpp"
#include "row_search.hpp"

namespace xtape::detail {

template <class T>
MistakeSearch<T>::MistakeSearch(const std::function<Tensor<T>()>& loss, const CompareOptions<T>& options)
    : graph_(std::make_unique<GradientGraph<T>>(loss)), options_(options) {}
template <class T>
MistakeSearch<T>::~MistakeSearch() = default;

template <class T>
void MistakeSearch<T>::name_rows(const std::vector<GradientPair<T>>& pairs) {
  const Tolerance tolerance = tolerance_of(options_);
  std::set<std::uint32_t> taken;
  const auto take = [&](const GradientPair<T>& pair, const auto& fits) {
    if (!pair.gradient.defined() ||
        std::ranges::find(leaf_of_row_, pair.name, &std::pair<std::string, std::uint32_t>::first) !=
            leaf_of_row_.end())
      return;
    for (const std::uint32_t leaf : graph_->leaves())
      if (!taken.contains(leaf) && graph_->adjoint(leaf).defined() &&
          graph_->adjoint(leaf).shape() == pair.gradient.shape() && fits(leaf)) {
        leaf_of_row_.emplace_back(pair.name, leaf);
        taken.insert(leaf);
        return;
      }
  };
  for (const auto& pair : pairs)  // by its name
    take(pair, [&](std::uint32_t leaf) {
      if (!options_.derivation) return false;
      const Tensor<T> of_name = options_.derivation->parameter(pair.name);
      return of_name.defined() && of_name.handle().node.get() == graph_->handle(leaf).node.get();
    });
  for (const auto& pair : pairs)  // the leaf's own gradient
    take(pair, [&](std::uint32_t leaf) {
      const auto* const own = static_cast<const Leaf*>(graph_->handle(leaf).node.get());
      return own && own->grad.value && own->grad.value.get() == pair.gradient.handle().value.get();
    });
  for (const auto& pair : pairs)
    take(pair, [&](std::uint32_t leaf) { return tolerance.same(pair.gradient, graph_->adjoint(leaf)); });
  for (const auto& pair : pairs)  // a multiple of it
    take(pair, [&](std::uint32_t leaf) {
      const Tensor<T>& own = graph_->adjoint(leaf);
      const double norm = inner(own, own);
      return norm > 0 && tolerance.same(pair.gradient, own, inner(pair.gradient, own) / norm);
    });
  for (const auto& pair : pairs)  // the only one of the shape
    take(pair, [&](std::uint32_t leaf) {
      return std::ranges::count_if(graph_->leaves(), [&](std::uint32_t other) {
               return graph_->adjoint(other).defined() &&
                      graph_->adjoint(other).shape() == graph_->adjoint(leaf).shape();
             }) == 1;
    });
  std::map<std::uint32_t, std::string> names;
  for (const auto& [name, leaf] : leaf_of_row_) names[leaf] = name;
  graph_->write_names(names);
}

template <class T>
std::string MistakeSearch<T>::hint(const GradientPair<T>& pair) const {
  const auto at = std::ranges::find(leaf_of_row_, pair.name, &std::pair<std::string, std::uint32_t>::first);
  if (at == leaf_of_row_.end() || !pair.other.defined() || !pair.gradient.defined() ||
      !(pair.other.shape() == pair.gradient.shape()))
    return {};
  const Tensor<T> other = pair.other.detach();
  return RowSearch<T>(*graph_, options_, at->second, pair.gradient.detach(), other).run();
}

template class MistakeSearch<float>;
template class MistakeSearch<double>;

}  // namespace xtape::detail
