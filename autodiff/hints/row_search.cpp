// When a mistake counts as found, and how factors and places are told of.
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
std::string RowSearch<T>::run() {
  if (!(own_.shape() == other_.shape())) return {};
  if (!tolerance_.same(trusted_, own_)) return of_trusted();
  const std::vector<void (RowSearch::*)()> stages{
      &RowSearch::try_whole,       &RowSearch::try_function_of,    &RowSearch::try_uses,
      &RowSearch::try_paths,       &RowSearch::try_mistakes,       &RowSearch::try_everywhere,
      &RowSearch::try_samples,     &RowSearch::try_penalty,        &RowSearch::try_bias,
      &RowSearch::try_arrangement, &RowSearch::try_clipped,        &RowSearch::try_factor_of_quotient,
      &RowSearch::try_operands,    &RowSearch::try_other_adjoints, &RowSearch::try_products,
      &RowSearch::try_updated,     &RowSearch::try_other_data,     &RowSearch::try_normalisation,
      &RowSearch::try_recurrent};
  for (const auto& stage : stages) {
    (this->*stage)();
    if (!found_.empty() || is_late()) return text();
  }
  try_with_factor();
  if (!found_.empty() || is_late()) return text();
  limit_ = graph_.work() - began_at_ + 20'000'000;
  try_pairs();
  return text();
}

template <class T>
bool RowSearch<T>::explains(const Tensor<T>& candidate, std::size_t fitted) {
  ++tried_;
  return candidate.defined() && candidate.shape() == other_.shape() && tolerance_.same(candidate, other_) &&
         excludes_chance(own_, other_, largest_difference(candidate, other_), tried_ + 50, fitted);
}

template <class T>
std::optional<double> RowSearch<T>::shares_more(const Tensor<T>& share) {
  const double norm = inner(share, share);
  if (!(norm > 0)) return {};
  const double k = inner(difference_, share) / norm;
  if (!explains(combined(own_, k, share), 1)) return {};
  return k;
}

template <class T>
void RowSearch<T>::found(const std::string& text) {
  if (std::ranges::find(found_, text) == found_.end()) found_.push_back(text);
}

template <class T>
std::string RowSearch<T>::text() const {
  std::string all;
  const std::size_t most = 4;
  for (std::size_t i = 0; i < std::min(most, found_.size()); ++i) all += (i ? "; or " : "") + found_[i];
  return all;
}

template <class T>
std::string RowSearch<T>::factor_text(double k, std::size_t step) const {
  const auto is = [&](double value) { return std::abs(k - value) <= 1e-6 * std::abs(value); };
  if (is(-1)) return "its sign is reversed";
  if (is(2)) return "it is counted twice";
  if (is(0.5)) return "it is halved";
  if (step != Graph::none)
    for (const Input& input : graph_.program().steps[step].inputs) {
      const Tensor<T>& c = graph_.value(input.place);
      if (!c.defined() || c.size() != 1) continue;
      const double number = static_cast<double>(*c.data());
      if (number == 0 || std::abs(number) == 1) continue;
      const std::string name = graph_.name(input.place);
      if (is(1 / number) || is(number))
        return "the factor " + (name.empty() ? number_text(number) : name) + " of it is left out" +
               (is(number * number) ? ", or applied twice" : "");
      if (is((number - 1) / number))
        return "it has " + number_text(number) + " where " + number_text(number - 1) + " is right";
      if (is(number / (number - 1)))
        return number_text(number - 1) + " is used in it in place of " + number_text(number) +
               " (N − 1 for N)";
      if (is(number / (number + 1)))
        return number_text(number + 1) + " is used in it in place of " + number_text(number);
      if (is(-1 / number))
        return "the factor " + number_text(number) + " of it is left out, and its sign is reversed";
    }
  for (const bool is_composed : {false, true})
    for (const std::size_t n : sizes_) {
      const double size = static_cast<double>(n);
      const std::string count = std::to_string(n);
      if (!is_composed && !is(size) && !is(1 / size)) continue;
      if (is(size))
        return "it is " + count + " times too large: the division by " + count + label(n) + " is missing";
      if (is(1 / size))
        return "it is divided by " + count + label(n) + (label(n).empty() ? "" : ",") +
               " once more than in the loss, as by a mean in place of the sum";
      if (is(std::sqrt(size)))
        return "it is √" + count + " times too large: the division by √" + count + " is missing";
      if (is(1 / std::sqrt(size))) return "it is divided by √" + count + " once more";
      if (is(size / (size - 1)) && n > 2)
        return "it is divided by N − 1 = " + std::to_string(n - 1) + " in place of N = " + count;
      if (is((size - 1) / size) && n > 2)
        return "it is divided by N = " + count + " in place of N − 1 = " + std::to_string(n - 1);
      if (is(2 * size))
        return "it is 2 · " + count + " times too large: a division by " + count + " and a ½ are missing";
      if (is(size / 2)) return "it is " + count + "/2 times too large";
      if (is(2 / size)) return "it is 2/" + count + " of what it is";
      if (is(1 / (2 * size))) return "it is 1/(2 · " + count + ") of what it is";
      if (is(-size) || is(-1 / size))
        return "its sign is reversed, and it is " +
               std::string(is(-size) ? count + " times too large" : "1/" + count + " of what it is");
    }
  if (is(-2)) return "its sign is reversed, and it is counted twice";
  if (is(-0.5)) return "its sign is reversed, and it is halved";
  if (is(4)) return "it is 4 times too large: a factor 2 is squared";
  if (is(0.25)) return "it is a quarter of what it is: a ½ is squared";
  return {};
}

template <class T>
std::string RowSearch<T>::label(std::size_t n) const {
  std::string text;
  const auto add = [&](const std::string& what) {
    if (text.find(what) == std::string::npos) text += (text.empty() ? ", the number of " : " or of ") + what;
  };
  for (const Step& step : graph_.program().steps) {
    const Shape& shape = graph_.program().places[step.output].shape;
    if (shape.size() == 4 && shape[2] * shape[3] == n) add("positions (pixels)");
    const Tensor<T>& y = graph_.value(step.output);
    if (y.defined() && y.rank() >= 2 && shape[0] == n) add("samples, the batch");
    if (y.defined() && y.rank() == 2 && shape[1] == n) add("outputs (features)");
    if (std::string(step.name()) == "sum" &&
        element_count(graph_.program().places[step.inputs[0].place].shape, "hint") == n)
      add("elements");
  }
  return text;
}

template <class T>
std::set<std::size_t> RowSearch<T>::sizes_of(const Graph& graph) {
  std::set<std::size_t> sizes;
  const auto size_at = [&](std::uint32_t place) {
    return element_count(graph.program().places[place].shape, "hint");
  };
  for (const Step& step : graph.program().steps) {
    const Shape& shape = graph.program().places[step.output].shape;
    sizes.insert(shape.begin(), shape.end());
    if (shape.size() == 4) sizes.insert(shape[2] * shape[3]);
    const std::size_t total = size_at(step.output);
    for (const Input& input : step.inputs) {
      const std::size_t own = size_at(input.place);
      if (own > 1 && own < total && total % own == 0) sizes.insert(total / own);
    }
    if (std::string_view(step.name()) == "sum") sizes.insert(size_at(step.inputs[0].place));
  }
  sizes.erase(0);
  sizes.erase(1);
  return sizes;
}

template <class T>
std::string RowSearch<T>::of_trusted() const {
  const double k = inner(trusted_, own_) / inner(own_, own_);
  const std::string what = "the trusted gradient is ";
  if (inner(own_, own_) > 0 && tolerance_.same(trusted_, own_, k)) {
    const double whole = std::round(k);
    const bool is_whole = std::abs(k - whole) < 1e-6 * std::abs(k);
    const std::string times = number_text(is_whole ? whole : rounded(k));
    const std::string right = tolerance_.same(other_, own_) ? ", and the formula's is right" : "";
    return what + times + " times what the loss gives" + right +
           (is_whole && whole >= 2
                ? ": was it accumulated by " + times +
                      " backward passes? Call zero_grad() before each; or is it the gradient of another loss?"
                : ": is it the gradient of another loss than this one, with another reduction?");
  }
  if (tolerance_.same(other_, own_))
    return what +
           "not that of the loss, and the formula's is: it was accumulated by several backward passes "
           "(zero_grad()), or is of other numbers";
  return {};
}

template <class T>
std::string RowSearch<T>::shown(std::uint32_t place) const {
  return graph_.name(place).empty() ? "its input" : graph_.name(place);
}

template <class T>
Tensor<T> RowSearch<T>::changed(std::size_t edge, const typename Graph::Change& change) const {
  const auto& e = graph_.edges()[edge];
  const Tensor<T>&g = graph_.adjoint(graph_.result_of(e)), &c = graph_.contribution(edge);
  if (!g.defined() || !c.defined()) return {};
  const Tensor<T> now = change(g, c);
  if (!now.defined() || !(now.shape() == c.shape())) return {};
  return own_ + graph_.gain(leaf_, e.from, now - c);
}

template <class T>
const std::vector<Mistake<T>>& RowSearch<T>::mistakes(std::size_t edge) {
  auto [at, is_new] = mistakes_.try_emplace(edge);
  if (is_new) at->second = mistakes_at(graph_, edge);
  return at->second;
}

template <class T>
std::string RowSearch<T>::at_edge(const std::string& text, std::size_t edge) const {
  const std::size_t step = graph_.edges()[edge].step;
  return text + "; in " + graph_.formula(step) + " of shape " +
         to_string(graph_.program().places[graph_.program().steps[step].output].shape);
}

template <class T>
std::uint32_t RowSearch<T>::root(std::uint32_t place) const {
  while (graph_.maker(place) != Graph::none) {
    const Step& step = graph_.program().steps[graph_.maker(place)];
    if (!step.operation->is_view && std::string(step.name()) != "transpose") break;
    place = step.inputs[0].place;
  }
  return place;
}

#define XTAPE_INSTANTIATE(T)                                                                             \
  template std::string RowSearch<T>::run();                                                              \
  template bool RowSearch<T>::explains(const Tensor<T>&, std::size_t);                                   \
  template std::optional<double> RowSearch<T>::shares_more(const Tensor<T>&);                            \
  template void RowSearch<T>::found(const std::string&);                                                 \
  template std::string RowSearch<T>::text() const;                                                       \
  template std::string RowSearch<T>::factor_text(double, std::size_t) const;                             \
  template std::string RowSearch<T>::label(std::size_t) const;                                           \
  template std::set<std::size_t> RowSearch<T>::sizes_of(const GradientGraph<T>&);                        \
  template std::string RowSearch<T>::of_trusted() const;                                                 \
  template std::string RowSearch<T>::shown(std::uint32_t) const;                                         \
  template Tensor<T> RowSearch<T>::changed(std::size_t, const typename GradientGraph<T>::Change&) const; \
  template const std::vector<Mistake<T>>& RowSearch<T>::mistakes(std::size_t);                           \
  template std::string RowSearch<T>::at_edge(const std::string&, std::size_t) const;                     \
  template std::uint32_t RowSearch<T>::root(std::uint32_t) const;
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail
