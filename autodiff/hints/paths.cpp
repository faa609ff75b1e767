// Paths that are left out or counted with a factor, uses of a weight, penalties, samples.
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
void RowSearch<T>::try_whole() {
  const double norm = inner(own_, own_);
  if (!(norm > 0)) return;
  const double k = inner(other_, own_) / norm;
  if (k == 0 || !explains(static_cast<T>(k) * own_, 1)) return;
  const std::string text = factor_text(k, Graph::none);
  const auto is = [&](double value) { return std::abs(k - value) <= 1e-6; };
  const std::string why =
      is(-1)  ? ": the error is a − y, not y − a; or this is the update −α dW, and not the gradient dW"
      : is(2) ? ", or a ½ of the loss is forgotten, or two backward passes are added up: zero_grad()"
      : is(0.5) ? ", or a 2 of the loss is forgotten: d(a − y)² is 2 (a − y)"
                : "";
  if (!text.empty())
    found("the whole gradient is off by the factor " + number_text(rounded(k)) + ": " + text + why);
}

template <class T>
void RowSearch<T>::try_function_of() {
  const Tensor<T>& w = graph_.value(leaf_);
  if (!w.defined()) return;
  const std::string name = shown(leaf_);
  if (explains(own_ / exp(w)))
    found("the derivative is with respect to exp(" + name + "), and not to " + name + ": the factor exp(" +
          name + ") is missing (the derivative of exp is forgotten)");
  if (explains(own_ * exp(w))) found("the factor exp(" + name + ") is multiplied in once more");
  if (explains(own_ / w))
    found("the gradient is divided by " + name +
          ": the derivative with respect to its logarithm was meant, or is used the other way round");
  if (explains(own_ * w))
    found("the gradient is multiplied by " + name + ": that is the derivative with respect to ln " + name);
}

template <class T>
Tensor<T> RowSearch<T>::share_of_edge(std::size_t edge) const {
  const Tensor<T>& c = graph_.contribution(edge);
  if (!c.defined() || !graph_.leads_to(graph_.edges()[edge].from, leaf_)) return {};
  return graph_.gain(leaf_, graph_.edges()[edge].from, c);
}

template <class T>
auto RowSearch<T>::paths() -> const std::vector<Path>& {
  if (!paths_.empty() || paths_known_) return paths_;
  paths_known_ = true;
  for (std::size_t e = 0; e < graph_.edges().size() && !is_late(); ++e) {
    Tensor<T> share = share_of_edge(e);
    if (!share.defined() || tolerance_.same(share, own_) || largest_element(share) == 0) continue;
    if (std::ranges::any_of(paths_, [&](const Path& other) { return tolerance_.same(other.share, share); }))
      continue;
    paths_.push_back({e, std::move(share)});
  }
  return paths_;
}

template <class T>
std::string RowSearch<T>::path_name(std::size_t edge) const {
  const auto& e = graph_.edges()[edge];
  if (is_penalty(share_of_edge(edge)))
    return "the penalty (weight decay) on " + shown(leaf_) + ", " + graph_.formula(e.step);
  const std::string moment = moment_through(e.step);
  if (!moment.empty())
    return "the gradient through " + moment + " of the normalisation, " + graph_.formula(e.step);
  if (graph_.maker(e.from) == Graph::none && graph_.readers(e.from).size() > 1)
    return "one use of " + shown(e.from) + ", the path of its gradient through " +
           graph_.formula(told(e.step));
  return "the path of the gradient of " + shown(e.from) + " through " + graph_.formula(told(e.step));
}

template <class T>
std::size_t RowSearch<T>::told(std::size_t step) const {
  for (int i = 0; i < 4; ++i) {
    const Step& one = graph_.program().steps[step];
    const auto& readers = graph_.readers(one.output);
    const bool is_same =
        one.operation->is_view || one.operation->repeats || std::string(one.name()) == "transpose";
    if (!is_same || readers.size() != 1) break;
    step = readers.front();
  }
  return step;
}

template <class T>
bool RowSearch<T>::is_penalty(const Tensor<T>& share) const {
  const Tensor<T>& W = graph_.value(leaf_);
  if (!share.defined() || !W.defined() || W.size() < 2) return false;
  const double norm = inner(W, W);
  return norm > 0 && tolerance_.same(share, W, inner(share, W) / norm);
}

template <class T>
std::string RowSearch<T>::moment_through(std::size_t step) const {
  bool is_square = false;
  for (int i = 0; i < 5; ++i) {
    const Step& one = graph_.program().steps[step];
    const std::string op = one.name();
    is_square =
        is_square || op == "square" || (op == "multiply" && one.inputs[0].place == one.inputs[1].place);
    if (op == "sum")
      return element_count(graph_.program().places[one.output].shape, "hint") < 2 ? ""
             : is_square                                                          ? "the variance"
                                                                                  : "the mean";
    const auto& readers = graph_.readers(one.output);
    if (readers.size() != 1 || !(is_square || op == "square" || one.operation->is_view)) return {};
    step = readers.front();
  }
  return {};
}

template <class T>
void RowSearch<T>::try_paths() {
  for (const Path& path : paths()) {
    if (explains(own_ - path.share)) {
      found(left_out(path.edge));
      continue;
    }
    if (explains(path.share)) {
      found("only " + path_name(path.edge) + " is in it: all other paths are left out");
      continue;
    }
    const auto more = shares_more(path.share);
    if (!more) continue;
    const std::string text = factor_text(1 + *more, graph_.edges()[path.edge].step);
    if (!text.empty()) found(path_name(path.edge) + ": " + text);
  }
}

template <class T>
std::string RowSearch<T>::left_out(std::size_t edge) const {
  const auto& e = graph_.edges()[edge];
  const bool is_leaf = graph_.maker(e.from) == Graph::none;
  const std::string times = std::to_string(graph_.readers(e.from).size());
  if (is_penalty(share_of_edge(edge))) return path_name(edge) + ", is forgotten: its gradient is left out";
  const std::string moment = moment_through(e.step);
  if (!moment.empty())
    return moment + " of the normalisation is treated as a constant: the gradient through " +
           graph_.formula(e.step) + " is left out";
  if (is_leaf && graph_.readers(e.from).size() > 1)
    return "one use of " + shown(e.from) + " is left out, that in " + graph_.formula(e.step) +
           ": it is used " + times + " times, and the gradients of all uses are added up";
  return path_name(edge) + " is left out: " + shown(e.from) + " is treated as a constant there";
}

template <class T>
void RowSearch<T>::try_samples() {
  for (std::size_t e = 0; e < graph_.edges().size(); ++e) {
    const auto& edge = graph_.edges()[e];
    const Tensor<T>& c = graph_.contribution(e);
    if (!leads(e) || graph_.op_of(edge) != "sum" || !c.defined() || c.rank() == 0) continue;
    const std::size_t axis = c.rank() == 2 && c.shape()[0] == 1 ? 1 : 0;  // samples may be columns
    const Shape& to = graph_.program().places[graph_.result_of(edge)].shape;
    if (element_count(to, "hint") != 1) continue;
    const std::size_t n = c.shape()[axis];
    if (n < 2 || n > 64) continue;
    const std::string count = std::to_string(n);
    std::vector<Tensor<T>> shares;
    for (std::size_t i = 0; i < n && !is_late(); ++i) {
      Shape column(c.rank(), 1);
      column[axis] = n;
      const Tensor<T> mask = equal(reshape(arange<T>(static_cast<T>(n)), Dims(column)), static_cast<T>(i));
      shares.push_back(graph_.gain(leaf_, edge.from, c * mask));
    }
    if (shares.size() != n) return;
    const double all = static_cast<double>(n);
    Tensor<T> sum = shares[0], total = shares[0];
    for (std::size_t i = 1; i < n; ++i) total = total + shares[i];
    const Tensor<T> rest_of_it = own_ - total;  // what is of no sample, such as a penalty
    const auto check = [&](const Tensor<T>& of_samples, double of, const std::string& text) {
      if (explains(rest_of_it + of_samples))
        found(text);
      else if (of > 0 && explains(rest_of_it + of_samples * static_cast<T>(all / of)))
        found(text + "; the mean is taken over those alone");
    };
    for (std::size_t k = 1; k < n; ++k) {  // the first k samples, and the others
      const std::string these = k == 1 ? "the first sample" : "the first " + std::to_string(k) + " samples";
      const std::string rest =
          n - k == 1 ? "the last sample" : "the last " + std::to_string(n - k) + " samples";
      check(sum, static_cast<double>(k),
            "only " + these + " of the " + count + " of the batch " + (k == 1 ? "is" : "are") + " in it, " +
                rest + " left out");
      check(total - sum, all - static_cast<double>(k),
            "only " + rest + " of the " + count + " of the batch in it, " + these +
                " left out: add up (+=) over all " + count);
      sum = sum + shares[k];
    }
    for (std::size_t k = 1; k + 1 < n; ++k) {
      check(total - shares[k], all - 1,
            "the sample " + std::to_string(k) + " of the " + count + " of the batch is left out");
      check(shares[k], 1,
            "only the sample " + std::to_string(k) + " of the " + count + " of the batch is in it");
    }
    if (!found_.empty()) return;
  }
}

template <class T>
void RowSearch<T>::try_uses() {
  std::vector<std::size_t> uses;
  for (std::size_t e = 0; e < graph_.edges().size(); ++e)
    if (graph_.edges()[e].from == leaf_ && graph_.contribution(e).defined() &&
        !is_penalty(graph_.contribution(e)))
      uses.push_back(e);
  const std::size_t n = uses.size();
  if (n < 2) return;
  const std::string times = std::to_string(n), name = shown(leaf_);
  Tensor<T> sum = zeros<T>(own_.shape());
  const auto in_it = [&](std::size_t k, const char* which) {
    return k == 1 ? "only one use of " + name + " is in it, the " + which + " of " + times
                  : "only the " + std::string(which) + " " + std::to_string(k) + " of the " + times +
                        " uses (time steps) of " + name + " are in it";
  };
  for (std::size_t k = 1; k < n; ++k) {
    const Tensor<T>& c = graph_.contribution(uses[k - 1]);
    sum = sum + c;
    const std::string in = graph_.formula(graph_.edges()[uses[k - 1]].step);
    if (explains(c))
      found("only one use of " + name + " is in it, the " + ordinal(k) + " of " + times + ", in " + in +
            ": add up (+=) over all");
    if (k > 1 && explains(sum)) found(in_it(k, "first") + ": add up (+=) over all");
    if (n - k > 1 && explains(own_ - sum)) found(in_it(n - k, "last") + ": backpropagation is truncated");
  }
  if (explains(graph_.contribution(uses[n - 1])))
    found("only one use of " + name + " is in it, the last of " + times + ", in " +
          graph_.formula(graph_.edges()[uses[n - 1]].step));
  if (explains(own_ / static_cast<T>(n)))
    found("the gradients of the " + times + " uses of " + name + " are averaged, and not added up");
}

template <class T>
void RowSearch<T>::try_penalty() {
  const Tensor<T>& W = graph_.value(leaf_);
  if (!W.defined()) return;
  if (const auto k = shares_more(W))
    found("a penalty (weight decay) of " + number_text(rounded(*k)) + " · " + shown(leaf_) +
          " is added that the loss does not have on it" + (W.rank() < 2 ? ": biases are not penalised" : ""));
}

template <class T>
std::string RowSearch<T>::part_text(double k, std::size_t edge) const {
  if (std::abs(k) < 1e-6) return left_out(edge);
  const std::string text = factor_text(k, graph_.edges()[edge].step);
  return text.empty() ? text : path_name(edge) + ": " + text;
}

#define XTAPE_INSTANTIATE(T)                                             \
  template void RowSearch<T>::try_whole();                               \
  template void RowSearch<T>::try_function_of();                         \
  template Tensor<T> RowSearch<T>::share_of_edge(std::size_t) const;     \
  template const std::vector<RowSearch<T>::Path>& RowSearch<T>::paths(); \
  template std::string RowSearch<T>::path_name(std::size_t) const;       \
  template std::size_t RowSearch<T>::told(std::size_t) const;            \
  template bool RowSearch<T>::is_penalty(const Tensor<T>&) const;        \
  template std::string RowSearch<T>::moment_through(std::size_t) const;  \
  template void RowSearch<T>::try_paths();                               \
  template std::string RowSearch<T>::left_out(std::size_t) const;        \
  template void RowSearch<T>::try_samples();                             \
  template void RowSearch<T>::try_uses();                                \
  template void RowSearch<T>::try_penalty();                             \
  template std::string RowSearch<T>::part_text(double, std::size_t) const;
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail
