// Two mistakes at once.
#include <algorithm>

#include "../base/text.hpp"
#include "../elementwise.hpp"
#include "../indexing.hpp"
#include "../layout.hpp"
#include "../linalg.hpp"
#include "../reductions.hpp"
#include "row_search.hpp"

namespace xtape::detail {

template <class T>
void RowSearch<T>::try_with_factor() {
  const auto check = [&](const Tensor<T>& candidate, const auto& text) {
    if (!candidate.defined() || !(candidate.shape() == other_.shape())) return;
    const double norm = inner(candidate, candidate);
    if (!(norm > 0)) return;
    const double k = inner(other_, candidate) / norm;
    if (std::abs(k - 1) < 1e-6 || !explains(candidate * static_cast<T>(k), 1)) return;
    const std::string factor = factor_text(k, Graph::none);
    if (!factor.empty())
      found(text() + "; besides, the whole is off by the factor " + number_text(rounded(k)) + ": " + factor);
  };
  for (const Path& path : paths()) check(own_ - path.share, [&] { return left_out(path.edge); });
  for (const auto& one : kept_) check(one.first, [&] { return one.second; });
  for (std::size_t e = 0; e < graph_.edges().size() && !is_late(); ++e)
    if (leads(e))
      for (const Mistake<T>& one : mistakes(e))
        if (!is_said_simpler(one.key)) check(changed(e, one.change), [&] { return at_edge(one.text, e); });
  if (!found_.empty()) return;
  for (std::size_t e = 0; e < graph_.edges().size() && !is_late(); ++e)
    if (leads(e))
      for (const Mistake<T>& one : wrong_operands(graph_, e))
        check(changed(e, one.change), [&] { return operand_text(one.text, e); });
}

template <class T>
void RowSearch<T>::try_pairs() {
  const std::vector<Path>& all = paths();
  for (std::size_t i = 0; i < all.size() && !is_late(); ++i)
    for (std::size_t j = i + 1; j < all.size(); ++j) {
      const Tensor<T>&a = all[i].share, &b = all[j].share;
      const double aa = inner(a, a), ab = inner(a, b), bb = inner(b, b), da = inner(difference_, a),
                   db = inner(difference_, b);
      const double det = aa * bb - ab * ab;
      if (!(det > 1e-10 * aa * bb)) continue;
      const double p = (da * bb - db * ab) / det, q = (db * aa - da * ab) / det;
      if (!explains(combined(combined(own_, p, a), q, b), 2)) continue;
      const std::string first = part_text(1 + p, all[i].edge), second = part_text(1 + q, all[j].edge);
      if (!first.empty() && !second.empty()) found(first + "; and " + second);
    }
  if (!found_.empty()) return;
  const auto with_path = [&](const Tensor<T>& wrong, const auto& what) {
    if (!wrong.defined() || !(wrong.shape() == other_.shape())) return;
    const Tensor<T> rest = other_ - wrong;
    for (const Path& path : all) {
      const double more = inner(rest, path.share) / inner(path.share, path.share);
      if (std::abs(more) < 1e-9 || !explains(combined(wrong, more, path.share), 1)) continue;
      if (const std::string text = part_text(1 + more, path.edge); !text.empty())
        found(what() + "; and " + text);
    }
  };
  for (const auto& one : kept_) with_path(one.first, [&] { return one.second; });
  for (std::size_t e = 0; e < graph_.edges().size() && !is_late(); ++e)
    if (leads(e))
      for (const Mistake<T>& one : mistakes(e))
        with_path(changed(e, one.change), [&] { return at_edge(one.text, e); });
  if (!found_.empty()) return;
  struct One {
    std::size_t edge;
    const Mistake<T>* mistake;
  };
  std::vector<One> list;
  for (std::size_t e = 0; e < graph_.edges().size(); ++e)
    if (leads(e))
      for (const Mistake<T>& one : mistakes(e)) list.push_back({e, &one});
  for (std::size_t i = 0; i < list.size() && !is_late(); ++i)
    for (std::size_t j = i + 1; j < list.size() && !is_late(); ++j) {
      if (list[i].edge == list[j].edge) continue;
      if (explains(graph_.gradient(
              leaf_, {{list[i].edge, list[i].mistake->change}, {list[j].edge, list[j].mistake->change}}))) {
        found(at_edge(list[i].mistake->text, list[i].edge) + "; and " +
              at_edge(list[j].mistake->text, list[j].edge));
        return;
      }
    }
}

#define XTAPE_INSTANTIATE(T)                     \
  template void RowSearch<T>::try_with_factor(); \
  template void RowSearch<T>::try_pairs();
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail
