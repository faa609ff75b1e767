// Mistakes at one operation, and the same at all of a kind or at every time step.
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
void RowSearch<T>::try_mistakes() {
  for (std::size_t e = 0; e < graph_.edges().size() && !is_late(); ++e)
    if (leads(e))
      for (const Mistake<T>& one : mistakes(e))
        if (!is_said_simpler(one.key) && explains(changed(e, one.change))) found(at_edge(one.text, e));
}

template <class T>
void RowSearch<T>::try_everywhere() {
  std::map<std::string, std::vector<std::pair<std::size_t, const Mistake<T>*>>> groups;
  for (std::size_t e = 0; e < graph_.edges().size(); ++e)
    if (leads(e))
      for (const Mistake<T>& one : mistakes(e)) groups[one.key].emplace_back(e, &one);
  for (const auto& group : groups) {
    const auto& key = group.first;
    const auto& list = group.second;
    if (is_late()) return;
    const auto all = [&](std::size_t first, std::size_t last, const std::string& where) {
      if (last - first < 2) return;
      Changes made;
      for (std::size_t i = first; i < last; ++i) made[list[i].first] = list[i].second->change;
      const Tensor<T> candidate = graph_.gradient(leaf_, made);
      const std::string text =
          list.front().second->text + "; " + where + graph_.op_of(graph_.edges()[list.front().first]);
      if (!is_said_simpler(key) && explains(candidate)) found(text);
      keep(candidate, text);
    };
    all(0, list.size(), "at every ");
    if (found_.empty() && list.size() > 2) {
      all(0, list.size() - 1, "at every hidden ");
      all(1, list.size(), "at every but the first ");
    }
  }
  if (found_.empty()) try_left_out_everywhere();
  if (found_.empty()) try_roles();
}

template <class T>
void RowSearch<T>::try_roles() {
  std::map<std::pair<std::size_t, std::size_t>, std::vector<std::size_t>> groups;
  for (std::size_t e = 0; e < graph_.edges().size(); ++e)
    if (leads(e)) groups[{graph_.role(graph_.edges()[e].step), graph_.edges()[e].input}].push_back(e);
  for (const auto& group : groups) {
    const auto& list = group.second;
    if (list.size() < 2) continue;
    const std::size_t last = list.back();
    const std::string where = graph_.formula(graph_.edges()[last].step) + ", and at every time step";
    const auto check = [&](const std::vector<typename Graph::Change>& change, const auto& text) {
      if (is_late()) return;
      Changes made;
      for (std::size_t i = 0; i < list.size(); ++i)
        if (change[i]) made[list[i]] = change[i];
      if (made.size() < 2) return;
      const Tensor<T> candidate = graph_.gradient(leaf_, made);
      if (explains(candidate)) found(text());
    };
    check(std::vector<typename Graph::Change>(list.size(), nothing), [&] {
      return "the path of the gradient of " + shown(graph_.edges()[last].from) + " through " + where +
             ", is left out (forgotten): it is treated as a constant there";
    });
    for (const double k : {-1.0, 2.0, 0.5})
      check(std::vector<typename Graph::Change>(
                list.size(), [k](const Tensor<T>&, const Tensor<T>& c) { return static_cast<T>(k) * c; }),
            [&] {
              return "the path of the gradient of " + shown(graph_.edges()[last].from) + " through " + where +
                     ": " + factor_text(k, Graph::none);
            });
    for (std::size_t m = 0; m < mistakes(last).size(); ++m) {
      std::vector<typename Graph::Change> change(list.size());
      const Mistake<T>& one = mistakes(last)[m];
      for (std::size_t i = 0; i < list.size(); ++i)
        for (const Mistake<T>& other : mistakes(list[i]))
          if (other.key == one.key) change[i] = other.change;
      check(change, [&] { return one.text + "; in " + where; });
    }
  }
  if (found_.empty()) try_operands_of_roles(groups);
}

template <class T>
void RowSearch<T>::try_operands_of_roles(
    const std::map<std::pair<std::size_t, std::size_t>, std::vector<std::size_t>>& groups) {
  const auto& steps = graph_.program().steps;
  std::map<std::size_t, std::vector<std::size_t>> parts;
  for (std::size_t k = 0; k < steps.size(); ++k) parts[graph_.role(k)].push_back(k);
  for (const auto& [part, list] : groups) {
    if (list.size() < 2) continue;
    const auto& last = graph_.edges()[list.back()];
    const Step& step = graph_.step_of(last);
    for (std::size_t i = 0; i < step.inputs.size(); ++i) {
      const Tensor<T>& own = graph_.value(step.inputs[i].place);
      const bool is_unary = step.inputs.size() == 1 && step.operation->row_call;
      if ((i == last.input && !is_unary) || !own.defined() || own.size() < 2) continue;
      if (std::string(step.name()) == "matmul" && own.rank() == 2 && own.shape()[0] == own.shape()[1]) {
        Changes made;
        for (const std::size_t e : list)
          made[e] = [this, e, i](const Tensor<T>& g, const Tensor<T>&) {
            const Tensor<T>& right = graph_.value(graph_.step_of(graph_.edges()[e]).inputs[i].place);
            return graph_.contribution_with(e, g, {{i, transpose(right).handle()}});
          };
        if (explains(graph_.gradient(leaf_, made)))
          found(shown(step.inputs[i].place) + " is not transposed; in " + graph_.formula(last.step) +
                ", and at every time step");
      }
      for (const auto& [role, makers] : parts)
        for (const bool is_before : {true, false}) {
          if (is_late()) return;
          Changes made;
          std::uint32_t shown_place = 0;
          for (const std::size_t e : list) {
            const auto& edge = graph_.edges()[e];
            std::size_t nearest = Graph::none;
            for (const std::size_t k : makers)
              if (is_before ? k < edge.step : k > edge.step && nearest == Graph::none) nearest = k;
            if (nearest == Graph::none) continue;
            const std::uint32_t place = steps[nearest].output;
            const Tensor<T>& value = graph_.value(place);
            if (!value.defined() || !(value.shape() == own.shape()) ||
                place == graph_.step_of(edge).inputs[i].place)
              continue;
            made[e] = [this, e, i, value](const Tensor<T>& g, const Tensor<T>&) {
              return graph_.contribution_with(e, g, {{i, value.handle()}});
            };
            if (e == list.back()) shown_place = place;
          }
          if (made.size() < 2 || made.size() + 1 < list.size() || shown_place == 0) continue;
          if (explains(graph_.gradient(leaf_, made)))
            found("the value of " + graph_.definition(shown_place) + " is used in place of " +
                  graph_.definition(step.inputs[i].place) + "; in " + graph_.formula(last.step) +
                  ", and at every time step");
        }
    }
  }
}

template <class T>
void RowSearch<T>::try_left_out_everywhere() {
  std::map<std::string, std::vector<std::size_t>> groups;
  for (std::size_t e = 0; e < graph_.edges().size(); ++e) {
    if (!leads(e)) continue;
    const auto& edge = graph_.edges()[e];
    const Step& step = graph_.step_of(edge);
    const std::string op = step.name();
    for (std::size_t i = 0; i < step.inputs.size(); ++i)
      if (i != edge.input && graph_.maker(step.inputs[i].place) == Graph::none &&
          !graph_.name(step.inputs[i].place).empty())
        groups["the gradient through the product with " + graph_.name(step.inputs[i].place) +
               " is left out at every step: what it is multiplied with is treated as a constant"]
            .push_back(e);
    const bool is_sum = op == "sum" && element_count(graph_.program().places[step.output].shape, "hint") > 1;
    if (is_sum)
      groups
          ["the means (sums) of a normalisation are treated as constants: the mean and the variance depend "
           "on the input, too"]
              .push_back(e);
    groups["the gradient through " + op + " (input " + std::to_string(edge.input + 1) +
           ") is left out everywhere, as if that input were a constant"]
        .push_back(e);
  }
  for (const auto& [text, list] : groups) {
    if (is_late()) return;
    if (list.size() < 2) continue;
    Changes made;
    for (const std::size_t e : list) made[e] = nothing;
    const Tensor<T> candidate = graph_.gradient(leaf_, made);
    if (explains(candidate)) found(text);
    keep(candidate, text);
  }
}

#define XTAPE_INSTANTIATE(T)                                                           \
  template void RowSearch<T>::try_mistakes();                                          \
  template void RowSearch<T>::try_everywhere();                                        \
  template void RowSearch<T>::try_roles();                                             \
  template void RowSearch<T>::try_operands_of_roles(                                   \
      const std::map<std::pair<std::size_t, std::size_t>, std::vector<std::size_t>>&); \
  template void RowSearch<T>::try_left_out_everywhere();
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail
