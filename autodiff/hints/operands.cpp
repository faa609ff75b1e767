// Another value, or another error, in the place of the right one.
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
void RowSearch<T>::try_bias() {
  const Shape& shape = other_.shape();
  if (shape.empty() || other_.size() < 2) return;
  for (const std::uint32_t W : graph_.leaves()) {
    std::vector<Tensor<T>> gradients{graph_.adjoint(W)};
    for (std::size_t e = 0; e < graph_.edges().size(); ++e)
      if (graph_.edges()[e].from == W && graph_.contribution(e).defined())
        gradients.push_back(graph_.contribution(e));
    if (W == leaf_) continue;
    for (const Tensor<T>& dW : gradients) {
      if (!dW.defined() || dW.rank() != 2) continue;
      const auto check = [&](const Tensor<T>& candidate, const std::string& text) {
        if (candidate.size() == other_.size() && explains(reshape(candidate, Dims(shape))))
          found("the gradient of " + shown(leaf_) + " is " + text + " of the gradient of " + shown(W) +
                ", and not the sum of δ over the batch: the wrong reduction");
      };
      check(sum(dW, 0), "the sum of the rows");
      check(sum(dW, 1), "the sum of the columns");
      check(mean(dW, 0), "the mean of the rows");
      check(mean(dW, 1), "the mean of the columns");
      check(slice(dW, 0), "the first row");
      check(slice(dW, xt::all(), 0), "the first column");
    }
  }
}

template <class T>
void RowSearch<T>::try_products() {
  std::vector<std::size_t> uses;
  for (std::size_t e = 0; e < graph_.edges().size(); ++e)
    if (root(graph_.edges()[e].from) == leaf_ && !graph_.step_of(graph_.edges()[e]).operation->is_view)
      uses.push_back(e);
  if (uses.size() != 1) return;
  const auto& edge = graph_.edges()[uses[0]];
  const Step& step = graph_.step_of(edge);
  const std::string op = step.name();
  if ((op != "matmul" && op != "multiply") || step.inputs.size() != 2) return;
  const std::uint32_t right_value = step.inputs[1 - edge.input].place, right_error = step.output;
  for (std::uint32_t p = 0; p < graph_.program().places.size() && !is_late(); ++p) {
    const Tensor<T>& g = graph_.adjoint(p);
    if (!g.defined() || !graph_.has_name(p) || !(g.shape() == graph_.adjoint(right_error).shape())) continue;
    for (std::uint32_t q = 0; q < graph_.program().places.size(); ++q) {
      const Tensor<T>& x = graph_.value(q);
      if (!x.defined() || !graph_.has_name(q) || !(x.shape() == graph_.value(right_value).shape()) ||
          (p == right_error && q == right_value))
        continue;
      const Tensor<T> c = graph_.contribution_with(uses[0], g, {{1 - edge.input, x.handle()}});
      if (!c.defined() || !(c.shape() == graph_.contribution(uses[0]).shape())) continue;
      if (explains(own_ - graph_.gain(leaf_, edge.from, graph_.contribution(uses[0]) - c)))
        found("the gradient of " + shown(leaf_) + " is the product of " + graph_.gradient_name(p) + " and " +
              graph_.definition(q) + ", and not of " + graph_.gradient_name(right_error) + " and " +
              graph_.definition(right_value));
    }
  }
}

template <class T>
void RowSearch<T>::try_factor_of_quotient() {
  for (std::size_t e = 0; e < graph_.edges().size() && !is_late(); ++e) {
    const auto& edge = graph_.edges()[e];
    const Step& step = graph_.step_of(edge);
    const auto& readers = graph_.readers(step.output);
    if (!leads(e) || std::string(step.name()) != "multiply" || readers.size() != 1) continue;
    const Step& quotient = graph_.program().steps[readers.front()];
    if (std::string(quotient.name()) != "divide" || quotient.inputs[0].place != step.output) continue;
    const Tensor<T>& x = graph_.value(edge.from);
    if (!x.defined() || !(x.shape() == graph_.value(step.output).shape())) continue;
    Changes made;
    made[e] = [](const Tensor<T>& g, const Tensor<T>&) { return g; };
    for (std::size_t d = 0; d < graph_.edges().size(); ++d)
      if (graph_.edges()[d].step == readers.front() && graph_.edges()[d].input == 1)
        made[d] = [this, d, x](const Tensor<T>& g, const Tensor<T>&) {
          return graph_.contribution_with(d, g, {{0, x.handle()}});
        };
    if (made.size() == 2 && explains(graph_.gradient(leaf_, made)))
      found("the factor " + shown(step.inputs[1 - edge.input].place) +
            " is missing: the gradient is passed on without it; in " + graph_.formula(edge.step));
  }
}

template <class T>
void RowSearch<T>::try_other_adjoints() {
  const std::size_t places = graph_.program().places.size();
  for (std::uint32_t p = 0; p < places && !is_late(); ++p) {
    if (graph_.maker(p) == Graph::none || !graph_.leads_to(p, leaf_) || !graph_.has_name(p) ||
        !graph_.adjoint(p).defined())
      continue;
    for (std::uint32_t q = 0; q < places; ++q) {
      if (p == q || !graph_.has_name(q) || graph_.maker(q) == Graph::none || !graph_.adjoint(q).defined() ||
          !(graph_.adjoint(p).shape() == graph_.adjoint(q).shape()))
        continue;
      if (explains(own_ + graph_.gain(leaf_, p, graph_.adjoint(q) - graph_.adjoint(p)))) {
        const std::string skipped = between(p, q);  // "" for an error from further below
        found(graph_.gradient_name(q) + " is used in place of " + graph_.gradient_name(p) + ", as if " +
              graph_.name(p) + " were " + graph_.name(q) +
              (skipped.empty() ? "" : ": what lies between them is skipped (left out)" + skipped));
      }
    }
  }
}

template <class T>
std::string RowSearch<T>::between(std::uint32_t from, std::uint32_t to) const {
  std::vector<char> reached(graph_.program().places.size(), false), leads(reached);
  reached[from] = leads[to] = true;
  const auto& steps = graph_.program().steps;
  for (const Step& step : steps)
    for (const Input& input : step.inputs) reached[step.output] |= reached[input.place];
  for (std::size_t k = steps.size(); k-- > 0;)
    if (leads[steps[k].output])
      for (const Input& input : steps[k].inputs) leads[input.place] = true;
  std::string text;
  std::size_t count = 0;
  for (std::size_t k = 0; k < steps.size(); ++k)
    if (const std::uint32_t y = steps[k].output; y != from && reached[y] && leads[y] && ++count < 6)
      text += ", " + graph_.formula(k);
  return text;
}

template <class T>
void RowSearch<T>::try_operands() {
  std::map<std::string, std::vector<std::pair<std::size_t, Mistake<T>>>> turned;
  for (std::size_t e = 0; e < graph_.edges().size() && !is_late(); ++e) {
    if (!leads(e)) continue;
    for (Mistake<T>& one : wrong_operands(graph_, e)) {
      if (explains(changed(e, one.change))) found(operand_text(one.text, e));
      if (one.key == "matmul/transposed") turned[one.key].emplace_back(e, std::move(one));
    }
  }
  for (const auto& [key, list] : turned) {
    if (list.size() < 2 || !found_.empty()) continue;
    Changes made;
    for (const auto& [e, one] : list) made[e] = one.change;
    const Tensor<T> candidate = graph_.gradient(leaf_, made);
    const std::string text = "no weight matrix is transposed: the error of a layer is Wᵀ δ of the next";
    if (explains(candidate)) found(text);
    keep(candidate, text);
  }
}

template <class T>
void RowSearch<T>::try_updated() {
  for (std::size_t e = 0; e < graph_.edges().size() && !is_late(); ++e) {
    const auto& edge = graph_.edges()[e];
    const Step& step = graph_.step_of(edge);
    if (!leads(e) || std::string(step.name()) != "matmul") continue;
    for (std::size_t i = 0; i < step.inputs.size(); ++i) {
      const std::uint32_t at = step.inputs[i].place;
      const std::uint32_t leaf = root(at);
      if (i == edge.input || !graph_.is_leaf(leaf) || leaf == leaf_) continue;
      const Tensor<T>& dW = graph_.adjoint(at);
      if (!dW.defined()) continue;
      const Tensor<T> more = graph_.contribution_with(e, graph_.adjoint(step.output), {{i, dW.handle()}});
      if (!more.defined()) continue;
      const Tensor<T> share = graph_.gain(leaf_, edge.from, more);
      const auto text = [&](double rate) {
        return shown(leaf) + " is updated before the error is propagated through it (a step with the rate " +
               number_text(rounded(rate)) + "): compute all gradients first, then update";
      };
      if (const auto k = shares_more(share); k && *k < 0) found(text(-*k));
      if (const double rate = options_.learning_rate; rate > 0)
        keep(combined(own_, -rate, share), text(rate));
    }
  }
}

#define XTAPE_INSTANTIATE(T)                                                      \
  template void RowSearch<T>::try_bias();                                         \
  template void RowSearch<T>::try_products();                                     \
  template void RowSearch<T>::try_factor_of_quotient();                           \
  template void RowSearch<T>::try_other_adjoints();                               \
  template std::string RowSearch<T>::between(std::uint32_t, std::uint32_t) const; \
  template void RowSearch<T>::try_operands();                                     \
  template void RowSearch<T>::try_updated();
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail
