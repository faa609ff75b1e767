// Mistakes in backpropagation through time.
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
void RowSearch<T>::try_recurrent() {
  for (const std::uint32_t W : graph_.leaves()) {
    std::vector<std::size_t> into_weight, into_state;  // edges, in the order of the steps
    for (std::size_t e = 0; e < graph_.edges().size(); ++e) {
      const auto& edge = graph_.edges()[e];
      const Step& step = graph_.step_of(edge);
      if (std::string(step.name()) != "matmul") continue;
      const std::uint32_t other = step.inputs[1 - edge.input].place;
      if (root(edge.from) == W) into_weight.push_back(e);
      if (root(other) == W && graph_.maker(edge.from) != Graph::none) into_state.push_back(e);
    }
    if (into_weight.size() > 1 && leaf_ == W) try_shifted(into_weight);
    if (into_state.size() > 1) {
      for (std::size_t hops = 1; hops < into_state.size() && !is_late(); ++hops)
        if (explains(graph_.gradient_within(leaf_, {into_state.begin(), into_state.end()}, hops)))
          found("backpropagation through time is truncated after " + std::to_string(hops) +
                (hops == 1 ? " step" : " steps") + ": the gradient goes no further back through " + shown(W));
      std::map<std::size_t, Tensor<T>> errors;  // dL/da of each time step, as the pass comes by
      Changes made;
      for (const std::size_t e : into_state)
        if (const auto above = activation_above(graph_.edges()[e].step)) {
          made[*above] = [&errors, a = *above](const Tensor<T>& g, const Tensor<T>& c) {
            errors[a] = g;
            return c;
          };
          made[e] = [this, &errors, e, a = *above](const Tensor<T>&, const Tensor<T>&) {
            return graph_.contribution_with(e, errors[a], {});
          };
        }
      if (!made.empty() && explains(graph_.gradient(leaf_, made)))
        found(
            "the derivative of the activation is missing where the error goes back to the previous time "
            "step, at every step");
    }
  }
}

template <class T>
std::optional<std::size_t> RowSearch<T>::activation_above(std::size_t step) const {
  for (int i = 0; i < 4; ++i) {
    const auto& readers = graph_.readers(graph_.program().steps[step].output);
    if (readers.size() != 1) return {};
    step = readers.front();
    const Step& one = graph_.program().steps[step];
    if (one.inputs.size() == 1 && one.operation->row_call)
      for (std::size_t e = 0; e < graph_.edges().size(); ++e)
        if (graph_.edges()[e].step == step) return e;
    if (std::string(one.name()) != "add") return {};
  }
  return {};
}

template <class T>
void RowSearch<T>::try_shifted(const std::vector<std::size_t>& uses) {
  const auto operand = [&](std::size_t e) {
    const auto& edge = graph_.edges()[e];
    return graph_.step_of(edge).inputs[1 - edge.input].place;
  };
  const auto check = [&](const std::vector<std::uint32_t>& now, const std::string& text) {
    Tensor<T> total = own_;
    for (std::size_t t = 0; t < uses.size(); ++t) {
      const auto& edge = graph_.edges()[uses[t]];
      const Tensor<T>& x = graph_.value(now[t]);
      if (!x.defined() || !(x.shape() == graph_.value(operand(uses[t])).shape())) return;
      total = total - graph_.contribution(uses[t]) +
              graph_.contribution_with(uses[t], graph_.adjoint(graph_.result_of(edge)),
                                       {{1 - edge.input, x.handle()}});
    }
    if (explains(total)) found(text);
  };
  std::vector<std::uint32_t> right;
  for (const std::size_t e : uses) right.push_back(operand(e));
  std::vector<std::uint32_t> later(right.begin() + 1, right.end()), earlier(right.begin(), right.end() - 1);
  for (std::uint32_t p = right.back() + 1; p < graph_.program().places.size() && !is_late(); ++p)
    if (graph_.value(p).defined() && graph_.value(p).shape() == graph_.value(right.back()).shape()) {
      std::vector<std::uint32_t> all = later;
      all.push_back(p);
      check(all,
            "the state h(t) after the step is used in place of h(t−1), the state before it, in the gradient "
            "of " +
                shown(leaf_) + ", at every time step");
    }
  std::vector<std::uint32_t> all{right.front()};
  all.insert(all.end(), earlier.begin(), earlier.end());
  check(all, "the state of one time step before, h(t−2), is used in place of h(t−1) in the gradient of " +
                 shown(leaf_) + ", at every time step");
  std::reverse(right.begin(), right.end());
  check(right, "the states are taken in reverse order in the gradient of " + shown(leaf_));
}

#define XTAPE_INSTANTIATE(T)                                                             \
  template void RowSearch<T>::try_recurrent();                                           \
  template std::optional<std::size_t> RowSearch<T>::activation_above(std::size_t) const; \
  template void RowSearch<T>::try_shifted(const std::vector<std::size_t>&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail
