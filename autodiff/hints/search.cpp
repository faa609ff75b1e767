// The order of the hypotheses, and when one counts as found.
#include "search.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <set>

#include "../base/text.hpp"
#include "../checks/gradient_hints.hpp"
#include "../elementwise.hpp"
#include "../indexing.hpp"
#include "../layout.hpp"
#include "../reductions.hpp"
#include "mistakes.hpp"

namespace xtape::detail {
namespace {

template <class T>
double inner(const Tensor<T>& a, const Tensor<T>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a.data()[i]) * static_cast<double>(b.data()[i]);
  return sum;
}

template <class T>
Tensor<T> combined(const Tensor<T>& a, double k, const Tensor<T>& b) {
  return a + static_cast<T>(k) * b;
}

}  // namespace

/// The search for one row.
template <class T>
class MistakeSearch<T>::Row {
 public:
  using Graph = GradientGraph<T>;
  using Changes = typename Graph::Changes;

  Row(const Graph& graph, const CompareOptions<T>& options, std::uint32_t leaf, const Tensor<T>& trusted, const Tensor<T>& other)
      : graph_(graph),
        options_(options),
        tolerance_(tolerance_of(options)),
        leaf_(leaf),
        own_(graph.adjoint(leaf).defined() ? graph.adjoint(leaf) : zeros<T>(other.shape())),
        trusted_(trusted),
        other_(other),
        difference_(other - own_),
        started_(std::chrono::steady_clock::now()) {}

  std::string run() {
    if (!(own_.shape() == other_.shape())) return {};
    if (!tolerance_.same(trusted_, own_)) return of_trusted();
    const std::vector<void (Row::*)()> stages{
        &Row::try_whole, &Row::try_paths, &Row::try_mistakes, &Row::try_everywhere, &Row::try_samples, &Row::try_uses,
        &Row::try_penalty, &Row::try_other_data, &Row::try_operands, &Row::try_updated};
    for (const auto& stage : stages) {
      (this->*stage)();
      if (!found_.empty() || is_late()) return text();
    }
    try_with_factor();
    if (found_.empty() && !is_late()) try_pairs();
    return text();
  }

 private:
  // ---- what counts

  /// Whether these numbers explain the row, where `fitted` constants were chosen so that they do.
  bool explains(const Tensor<T>& candidate, std::size_t fitted = 0) {
    ++tried_;
    if (!candidate.defined() || !(candidate.shape() == other_.shape()) || !tolerance_.same(candidate, other_)) return false;
    return is_evidence(candidate, fitted);
  }
  bool is_evidence(const Tensor<T>& candidate, std::size_t fitted) const {
    const double residual = largest_difference(candidate, other_), scale = largest_element(difference_);
    const double digits = static_cast<double>(std::numeric_limits<T>::epsilon()) * largest_element(other_);
    const double chance = std::max(residual, digits) / scale;
    if (!(chance < 0.5)) return false;
    std::size_t seen = 0;  // elements that the mistake made
    for (std::size_t i = 0; i < difference_.size() && seen < 64; ++i)
      seen += std::abs(static_cast<double>(difference_.data()[i])) > 8 * std::max(residual, digits);
    if (seen <= fitted) return false;
    constexpr double most = 1e-8;  // that any of the mistakes tried would be found where there is none
    return static_cast<double>(tried_ + 50) * std::pow(2 * chance, static_cast<double>(seen - fitted)) < most;
  }
  bool is_late() const {
    return std::chrono::steady_clock::now() - started_ > std::chrono::milliseconds(900);
  }
  void found(const std::string& text) {
    if (std::ranges::find(found_, text) == found_.end()) found_.push_back(text);
  }
  std::string text() const {
    std::string all;
    const std::size_t most = 4;
    for (std::size_t i = 0; i < std::min(most, found_.size()); ++i) all += (i ? "; or " : "") + found_[i];
    return all;
  }

  // ---- factors

  /// What a factor of what is passed along somewhere says; "" for one that nobody would make a mistake by.
  /// `step` is where it is, where that is known.
  std::string factor_text(double k, std::size_t step) const {
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
        if (is((number - 1) / number)) return "it has " + number_text(number) + " where " + number_text(number - 1) + " is right";
        if (is(number / (number - 1))) return number_text(number - 1) + " is used in it in place of " + number_text(number) + " (N − 1 for N)";
        if (is(number / (number + 1))) return number_text(number + 1) + " is used in it in place of " + number_text(number);
        if (is(-1 / number)) return "the factor " + number_text(number) + " of it is left out, and its sign is reversed";
      }
    for (const std::size_t n : sizes()) {
      const double size = static_cast<double>(n);
      const std::string count = std::to_string(n);
      if (is(size)) return "it is " + count + " times too large: the division by " + count + " is missing";
      if (is(1 / size)) return "it is divided by " + count + ", of which the loss knows nothing: a sum became a mean";
      if (is(std::sqrt(size))) return "it is √" + count + " times too large: the division by √" + count + " is missing";
      if (is(1 / std::sqrt(size))) return "it is divided by √" + count + " once more";
      if (is(size / (size - 1)) && n > 2) return "it is divided by N − 1 = " + std::to_string(n - 1) + " in place of N = " + count;
      if (is((size - 1) / size) && n > 2) return "it is divided by N = " + count + " in place of N − 1 = " + std::to_string(n - 1);
      if (is(2 * size)) return "it is 2 · " + count + " times too large: a division by " + count + " and a ½ are missing";
      if (is(size / 2)) return "it is " + count + "/2 times too large";
      if (is(2 / size)) return "it is 2/" + count + " of what it is";
      if (is(1 / (2 * size))) return "it is 1/(2 · " + count + ") of what it is";
      if (is(-size) || is(-1 / size)) return "its sign is reversed, and it is " + std::string(is(-size) ? count + " times too large" : "1/" + count + " of what it is");
    }
    if (is(-2)) return "its sign is reversed, and it is counted twice";
    if (is(-0.5)) return "its sign is reversed, and it is halved";
    if (is(4)) return "it is 4 times too large: a factor 2 is squared";
    if (is(0.25)) return "it is a quarter of what it is: a ½ is squared";
    return {};
  }
  /// The axes that sums and means run over: the batch, the outputs, the features.
  const std::set<std::size_t>& sizes() const {
    if (sizes_.empty()) {
      for (const Step& step : graph_.program().steps) {
        const Shape& shape = graph_.program().places[step.output].shape;
        for (const std::size_t d : shape)
          if (d > 1) sizes_.insert(d);
        if (std::string(step.name()) == "sum") {
          const std::size_t size = element_count(graph_.program().places[step.inputs[0].place].shape, "hint");
          if (size > 1) sizes_.insert(size);
        }
      }
      sizes_.insert(1u << 30);  // so that it is not empty
    }
    return sizes_;
  }

  // ---- the hypotheses

  std::string of_trusted() const {
    const double k = inner(trusted_, own_) / inner(own_, own_);
    const std::string what = "the trusted gradient is ";
    if (inner(own_, own_) > 0 && tolerance_.same(trusted_, own_, k)) {
      const double whole = std::round(k);
      const std::string times = number_text(std::abs(k - whole) < 1e-6 * std::abs(k) ? whole : k);
      const std::string right = tolerance_.same(other_, own_) ? ", and the formula's is right" : "";
      return what + times + " times what the loss gives" + right + ": was it accumulated by several backward passes? zero_grad()";
    }
    if (tolerance_.same(other_, own_)) return what + "not that of the loss, and the formula's is: it was accumulated by several backward passes (zero_grad()), or is of other numbers";
    return {};
  }

  /// The whole gradient by a factor.
  void try_whole() {
    const double norm = inner(own_, own_);
    if (!(norm > 0)) return;
    const double k = inner(other_, own_) / norm;
    ++tried_;
    if (k == 0 || !tolerance_.same(other_, own_, k) || !is_evidence(static_cast<T>(k) * own_, 1)) return;
    const std::string text = factor_text(k, Graph::none);
    if (!text.empty()) found("the whole gradient is off by the factor " + number_text(k) + ": " + text);
  }

  /// What an edge, or the adjoint of a place, adds to the row.
  Tensor<T> share_of_edge(std::size_t edge) const {
    const Tensor<T>& c = graph_.contribution(edge);
    if (!c.defined() || !graph_.leads_to(graph_.edges()[edge].from, leaf_)) return {};
    return graph_.gain(leaf_, graph_.edges()[edge].from, c);
  }
  struct Path {
    std::size_t edge;
    Tensor<T> share;
  };
  const std::vector<Path>& paths() {
    if (!paths_.empty() || paths_known_) return paths_;
    paths_known_ = true;
    for (std::size_t e = 0; e < graph_.edges().size() && !is_late(); ++e) {
      Tensor<T> share = share_of_edge(e);
      if (!share.defined() || tolerance_.same(share, own_) || largest_element(share) == 0) continue;
      if (std::ranges::any_of(paths_, [&](const Path& other) { return tolerance_.same(other.share, share); })) continue;
      paths_.push_back({e, std::move(share)});
    }
    return paths_;
  }
  std::string path_name(std::size_t edge) const {
    const auto& e = graph_.edges()[edge];
    return "the gradient of " + shown(e.from) + " through " + graph_.formula(e.step);
  }
  std::string shown(std::uint32_t place) const {
    return graph_.name(place).empty() ? "its input" : graph_.name(place);
  }

  /// One of several paths left out, or counted with a factor.
  void try_paths() {
    for (const Path& path : paths()) {
      const double norm = inner(path.share, path.share);
      const double more = inner(difference_, path.share) / norm;
      const double k = 1 + more;
      if (std::abs(k) < 1e-6) {
        if (explains(own_ - path.share)) found(left_out(path.edge));
        continue;
      }
      ++tried_;
      const Tensor<T> candidate = combined(own_, more, path.share);
      if (!tolerance_.same(candidate, other_) || !is_evidence(candidate, 1)) continue;
      const std::string text = factor_text(k, graph_.edges()[path.edge].step);
      if (!text.empty()) found(path_name(path.edge) + ": " + text);
    }
  }
  std::string left_out(std::size_t edge) const {
    const auto& e = graph_.edges()[edge];
    const bool is_leaf = graph_.maker(e.from) == Graph::none;
    const std::string times = std::to_string(graph_.readers(e.from).size());
    if (is_leaf && graph_.readers(e.from).size() > 1)
      return "one use of " + shown(e.from) + " is left out, that in " + graph_.formula(e.step) + ": it is used " + times +
             " times, and the gradients of all uses are added up";
    return path_name(edge) + " is left out: " + shown(e.from) + " is treated as a constant there";
  }

  /// The change of one edge, as what the row becomes.
  Tensor<T> changed(std::size_t edge, const typename Graph::Change& change) const {
    const auto& e = graph_.edges()[edge];
    const Tensor<T>&g = graph_.adjoint(e.step == Graph::none ? 0 : graph_.result_of(e)), &c = graph_.contribution(edge);
    if (!g.defined() || !c.defined()) return {};
    const Tensor<T> now = change(g, c);
    if (!now.defined() || !(now.shape() == c.shape())) return {};
    return own_ + graph_.gain(leaf_, e.from, now - c);
  }
  bool leads(std::size_t edge) const { return graph_.leads_to(graph_.edges()[edge].from, leaf_); }
  const std::vector<Mistake<T>>& mistakes(std::size_t edge) {
    auto [at, is_new] = mistakes_.try_emplace(edge);
    if (is_new) at->second = mistakes_at(graph_, edge);
    return at->second;
  }
  std::string at_edge(const std::string& text, std::size_t edge) const {
    return text + "; in " + graph_.formula(graph_.edges()[edge].step);
  }

  void try_mistakes() {
    for (std::size_t e = 0; e < graph_.edges().size() && !is_late(); ++e)
      if (leads(e))
        for (const Mistake<T>& one : mistakes(e))
          if (explains(changed(e, one.change))) found(at_edge(one.text, e));
  }

  /// The same mistake at all operations of one name; the same path left out at every step.
  void try_everywhere() {
    std::map<std::string, std::vector<std::pair<std::size_t, const Mistake<T>*>>> groups;
    for (std::size_t e = 0; e < graph_.edges().size(); ++e)
      if (leads(e))
        for (const Mistake<T>& one : mistakes(e)) groups[one.key].emplace_back(e, &one);
    for (const auto& [key, list] : groups) {
      if (is_late()) return;
      const auto all = [&](std::size_t first, std::size_t last, const std::string& where) {
        if (last - first < 2) return;
        Changes made;
        for (std::size_t i = first; i < last; ++i) made[list[i].first] = list[i].second->change;
        if (explains(graph_.gradient(leaf_, made)))
          found(list.front().second->text + "; " + where + graph_.op_of(graph_.edges()[list.front().first]));
      };
      all(0, list.size(), "at every ");
      if (found_.empty() && list.size() > 2) {
        all(0, list.size() - 1, "at every hidden ");
        all(1, list.size(), "at every but the first ");
      }
    }
    if (found_.empty()) try_left_out_everywhere();
  }
  static Tensor<T> nothing(const Tensor<T>&, const Tensor<T>&) { return {}; }
  /// Edges of one kind, by what they have in common.
  void try_left_out_everywhere() {
    std::map<std::string, std::vector<std::size_t>> groups;
    for (std::size_t e = 0; e < graph_.edges().size(); ++e) {
      if (!leads(e)) continue;
      const auto& edge = graph_.edges()[e];
      const Step& step = graph_.step_of(edge);
      const std::string op = step.name();
      for (std::size_t i = 0; i < step.inputs.size(); ++i)
        if (i != edge.input && graph_.maker(step.inputs[i].place) == Graph::none && !graph_.name(step.inputs[i].place).empty())
          groups["the gradient through the product with " + graph_.name(step.inputs[i].place) + " is left out at every step: what it is multiplied with is treated as a constant"]
              .push_back(e);
      const bool is_sum = op == "sum" && element_count(graph_.program().places[step.output].shape, "hint") > 1;
      if (is_sum) groups["the means (sums) of a normalisation are treated as constants: the mean and the variance depend on the input, too"].push_back(e);
      groups["the gradient through " + op + " (input " + std::to_string(edge.input + 1) + ") is left out everywhere, as if that input were a constant"].push_back(e);
    }
    for (const auto& [text, list] : groups) {
      if (is_late()) return;
      if (list.size() < 2) continue;
      Changes made;
      for (const std::size_t e : list) made[e] = nothing;
      if (explains(graph_.gradient(leaf_, made))) found(text);
    }
  }

  /// Samples that are not in it: parts of the batch in the sum of the loss.
  void try_samples() {
    for (std::size_t e = 0; e < graph_.edges().size(); ++e) {
      const auto& edge = graph_.edges()[e];
      const Tensor<T>& c = graph_.contribution(e);
      if (!leads(e) || graph_.op_of(edge) != "sum" || !c.defined() || c.rank() == 0 || c.shape()[0] < 2) continue;
      const Shape& to = graph_.program().places[graph_.result_of(edge)].shape;
      if (element_count(to, "hint") != 1) continue;
      const std::size_t n = c.shape()[0];
      if (n > 64) continue;
      const std::string count = std::to_string(n);
      std::vector<Tensor<T>> shares;
      for (std::size_t i = 0; i < n && !is_late(); ++i) {
        Shape column(c.rank(), 1);
        column[0] = n;
        const Tensor<T> mask = equal(reshape(arange<T>(static_cast<T>(n)), Dims(column)), static_cast<T>(i));
        shares.push_back(graph_.gain(leaf_, edge.from, c * mask));
      }
      if (shares.size() != n) return;
      const double all = static_cast<double>(n);
      const auto check = [&](const Tensor<T>& candidate, double of, const std::string& text) {
        if (explains(candidate)) found(text);
        else if (of > 0 && explains(candidate * static_cast<T>(all / of)))
          found(text + "; the mean is taken over those alone");
      };
      Tensor<T> sum = shares[0];
      for (std::size_t k = 1; k < n; ++k) {  // the first k samples, and the others
        const std::string these = k == 1 ? "the first sample" : "the first " + std::to_string(k) + " samples";
        const std::string rest = n - k == 1 ? "the last sample" : "the last " + std::to_string(n - k) + " samples";
        check(sum, static_cast<double>(k), "only " + these + " of the " + count + " of the batch " + (k == 1 ? "is" : "are") + " in it, " + rest + " left out");
        check(own_ - sum, all - static_cast<double>(k), "only " + rest + " of the " + count + " of the batch in it, " + these + " left out: add up (+=) over all " + count);
        sum = sum + shares[k];
      }
      for (std::size_t k = 1; k + 1 < n; ++k) {
        check(own_ - shares[k], all - 1, "the sample " + std::to_string(k) + " of the " + count + " of the batch is left out");
        check(shares[k], 1, "only the sample " + std::to_string(k) + " of the " + count + " of the batch is in it");
      }
      if (!found_.empty()) return;
    }
  }

  /// Of a parameter that is used several times: some uses only.
  void try_uses() {
    std::vector<std::size_t> uses;
    for (std::size_t e = 0; e < graph_.edges().size(); ++e)
      if (graph_.edges()[e].from == leaf_ && graph_.contribution(e).defined()) uses.push_back(e);
    const std::size_t n = uses.size();
    if (n < 2) return;
    const std::string times = std::to_string(n), name = shown(leaf_);
    Tensor<T> sum = zeros<T>(own_.shape());
    for (std::size_t k = 1; k < n; ++k) {
      const Tensor<T>& c = graph_.contribution(uses[k - 1]);
      sum = sum + c;
      const std::string in = graph_.formula(graph_.edges()[uses[k - 1]].step);
      if (explains(c)) found("only one use of " + name + " is in it, that in " + in + ": it is used " + times + " times");
      if (explains(sum)) found("only the first " + std::to_string(k) + " of the " + times + " uses (time steps) of " + name + " are in it");
      if (explains(own_ - sum)) found("only the last " + std::to_string(n - k) + " of the " + times + " uses (time steps) of " + name + " are in it: backpropagation is truncated");
      if (explains(sum / static_cast<T>(k)) ) found("only the first " + std::to_string(k) + " uses of " + name + ", averaged");
    }
    if (explains(graph_.contribution(uses[n - 1]))) found("only one use of " + name + " is in it, the last of " + times + ", in " + graph_.formula(graph_.edges()[uses[n - 1]].step));
    if (explains(own_ / static_cast<T>(n))) found("the gradients of the " + times + " uses of " + name + " are averaged, and not added up");
  }

  /// A penalty that the loss does not have, or has otherwise.
  void try_penalty() {
    const Tensor<T>& W = graph_.value(leaf_);
    if (!W.defined()) return;
    const double norm = inner(W, W);
    if (!(norm > 0)) return;
    const double k = inner(difference_, W) / norm;
    const Tensor<T> candidate = combined(own_, k, W);
    ++tried_;
    if (!tolerance_.same(candidate, other_) || !is_evidence(candidate, 1)) return;
    found("a penalty (weight decay) of " + number_text(rounded(k)) + " · " + shown(leaf_) +
          " is added that the loss does not have on it" + (W.rank() < 2 ? ": biases are not penalised" : ""));
  }
  static double rounded(double x) {
    std::array<char, 32> text;
    std::snprintf(text.data(), text.size(), "%.6g", x);
    return std::strtod(text.data(), nullptr);
  }

  /// Constants with other numbers: labels of another sample, or off by one.
  void try_other_data() {
    for (std::uint32_t p = 0; p < graph_.program().places.size() && !is_late(); ++p) {
      const bool is_given = graph_.maker(p) == Graph::none && std::ranges::find(graph_.leaves(), p) == graph_.leaves().end();
      const Handle& handle = graph_.handle(p);
      if (!is_given || !handle.value || handle.value->size < 2 || handle.value->shape.size() == 0) continue;
      const std::string name = graph_.name(p);
      const auto check = [&](Handle other, const std::string& text) {
        try {
          if (explains(graph_.gradient_with(leaf_, p, std::move(other)))) found(text);
        } catch (const Error&) {
          // labels that are none
        }
      };
      if (handle.value->integers) {
        const auto* const index = reinterpret_cast<const std::ptrdiff_t*>(handle.value->data);
        const std::size_t n = handle.value->size;
        const auto with = [&](const std::string& text, auto f) {
          std::vector<std::ptrdiff_t> list;
          for (std::size_t i = 0; i < n; ++i) list.push_back(f(i));
          Indices other(list);
          if (handle.value->shape.size() == 1) check(other.handle(), text);
        };
        with("the labels (indices) " + name + " are off by one", [&](std::size_t i) { return index[i] + 1; });
        with("the labels (indices) " + name + " are off by one", [&](std::size_t i) { return index[i] - 1; });
        with("the labels (indices) " + name + " are shifted by one sample", [&](std::size_t i) { return index[(i + 1) % n]; });
        with("the labels (indices) " + name + " are shifted by one sample", [&](std::size_t i) { return index[(i + n - 1) % n]; });
        with("the labels (indices) " + name + " are in reverse order", [&](std::size_t i) { return index[n - 1 - i]; });
        continue;
      }
      const Tensor<T>& x = graph_.value(p);
      if (!x.defined() || x.shape()[0] < 2 || x.size() > 4096) continue;
      check(roll(x, 1).handle(), "the rows of " + name + " are shifted by one: samples and targets are misaligned");
      check(roll(x, -1).handle(), "the rows of " + name + " are shifted by one: samples and targets are misaligned");
      check(flip(x, 0).handle(), "the rows of " + name + " are in reverse order: samples and targets are misaligned");
      check((x * T(0)).handle(), name + " is taken as 0: it is not subtracted");
    }
  }
  static Tensor<T> roll(const Tensor<T>& x, std::ptrdiff_t by) {
    const auto n = static_cast<std::ptrdiff_t>(x.shape()[0]);
    std::vector<std::ptrdiff_t> index;
    for (std::ptrdiff_t i = 0; i < n; ++i) index.push_back((i + by + n) % n);
    return take(x, Indices(index), 0);
  }

  /// Another value in the place of one.
  void try_operands() {
    std::map<std::string, std::vector<std::pair<std::size_t, Mistake<T>>>> turned;
    for (std::size_t e = 0; e < graph_.edges().size() && !is_late(); ++e) {
      if (!leads(e)) continue;
      for (Mistake<T>& one : wrong_operands(graph_, e)) {
        if (explains(changed(e, one.change))) found(at_edge(one.text, e) + ", of which " + graph_.gradient_name(graph_.edges()[e].from) + " is computed");
        if (one.key == "matmul/transposed") turned[one.key].emplace_back(e, std::move(one));
      }
    }
    for (const auto& [key, list] : turned) {
      if (list.size() < 2 || !found_.empty()) continue;
      Changes made;
      for (const auto& [e, one] : list) made[e] = one.change;
      if (explains(graph_.gradient(leaf_, made))) found("no matrix is transposed: the error of a layer is Wᵀ δ of the next");
    }
  }

  /// A parameter that was updated before the error was propagated through it, with a rate that is found.
  void try_updated() {
    for (std::size_t e = 0; e < graph_.edges().size() && !is_late(); ++e) {
      const auto& edge = graph_.edges()[e];
      const Step& step = graph_.step_of(edge);
      if (!leads(e) || std::string(step.name()) != "matmul") continue;
      for (std::size_t i = 0; i < step.inputs.size(); ++i) {
        const std::uint32_t at = step.inputs[i].place;
        const auto leaf = source_leaf(at);
        if (i == edge.input || !leaf || !graph_.adjoint(*leaf).defined() || *leaf == leaf_) continue;
        const Tensor<T>& dW = graph_.adjoint(at);
        if (!dW.defined()) continue;
        const Tensor<T> more = graph_.contribution_with(e, graph_.adjoint(step.output), {{i, dW.handle()}});
        if (!more.defined()) continue;
        const Tensor<T> share = graph_.gain(leaf_, edge.from, more);
        const double norm = inner(share, share);
        if (!(norm > 0)) continue;
        const double k = inner(difference_, share) / norm;
        const Tensor<T> candidate = combined(own_, k, share);
        ++tried_;
        if (k < 0 && tolerance_.same(candidate, other_) && is_evidence(candidate, 1))
          found(shown(*leaf) + " is updated before the error is propagated through it (a step with the rate " + number_text(rounded(-k)) +
                "): compute all gradients first, then update");
      }
    }
  }
  std::optional<std::uint32_t> source_leaf(std::uint32_t place) const {
    while (graph_.maker(place) != Graph::none) {
      const Step& step = graph_.program().steps[graph_.maker(place)];
      if (!step.operation->is_view && std::string(step.name()) != "transpose") return {};
      place = step.inputs[0].place;
    }
    if (std::ranges::find(graph_.leaves(), place) == graph_.leaves().end()) return {};
    return place;
  }

  /// One mistake, and the whole by a factor.
  void try_with_factor() {
    const auto check = [&](const Tensor<T>& candidate, const auto& text) {
      if (!candidate.defined() || !(candidate.shape() == other_.shape())) return;
      const double norm = inner(candidate, candidate);
      if (!(norm > 0)) return;
      const double k = inner(other_, candidate) / norm;
      ++tried_;
      const Tensor<T> scaled = candidate * static_cast<T>(k);
      if (std::abs(k - 1) < 1e-6 || !tolerance_.same(scaled, other_) || !is_evidence(scaled, 1)) return;
      const std::string factor = factor_text(k, Graph::none);
      if (!factor.empty()) found(text() + "; besides, the whole is off by the factor " + number_text(rounded(k)) + ": " + factor);
    };
    for (const Path& path : paths()) check(own_ - path.share, [&] { return left_out(path.edge); });
    for (std::size_t e = 0; e < graph_.edges().size() && !is_late(); ++e)
      if (leads(e))
        for (const Mistake<T>& one : mistakes(e)) check(changed(e, one.change), [&] { return at_edge(one.text, e); });
    if (!found_.empty()) return;
    for (std::size_t e = 0; e < graph_.edges().size() && !is_late(); ++e)
      if (leads(e))
        for (const Mistake<T>& one : wrong_operands(graph_, e)) check(changed(e, one.change), [&] { return at_edge(one.text, e); });
  }

  /// Two paths, or two mistakes at different operations.
  void try_pairs() {
    const std::vector<Path>& all = paths();
    for (std::size_t i = 0; i < all.size() && !is_late(); ++i)
      for (std::size_t j = i + 1; j < all.size(); ++j) {
        const Tensor<T>&a = all[i].share, &b = all[j].share;
        const double aa = inner(a, a), ab = inner(a, b), bb = inner(b, b), da = inner(difference_, a), db = inner(difference_, b);
        const double det = aa * bb - ab * ab;
        if (!(det > 1e-10 * aa * bb)) continue;
        const double p = (da * bb - db * ab) / det, q = (db * aa - da * ab) / det;
        ++tried_;
        const Tensor<T> candidate = combined(combined(own_, p, a), q, b);
        if (!tolerance_.same(candidate, other_) || !is_evidence(candidate, 2)) continue;
        const std::string first = part_text(1 + p, all[i].edge), second = part_text(1 + q, all[j].edge);
        if (!first.empty() && !second.empty()) found(first + "; and " + second);
      }
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
        if (explains(graph_.gradient(leaf_, {{list[i].edge, list[i].mistake->change}, {list[j].edge, list[j].mistake->change}}))) {
          found(at_edge(list[i].mistake->text, list[i].edge) + "; and " + at_edge(list[j].mistake->text, list[j].edge));
          return;
        }
      }
  }
  std::string part_text(double k, std::size_t edge) const {
    if (std::abs(k) < 1e-6) return left_out(edge);
    const std::string text = factor_text(k, graph_.edges()[edge].step);
    return text.empty() ? text : path_name(edge) + ": " + text;
  }

  const Graph& graph_;
  const CompareOptions<T>& options_;
  Tolerance tolerance_;
  std::uint32_t leaf_;
  Tensor<T> own_, trusted_, other_, difference_;
  std::size_t tried_ = 0;
  std::vector<std::string> found_;
  std::vector<Path> paths_;
  bool paths_known_ = false;
  mutable std::set<std::size_t> sizes_;
  std::map<std::size_t, std::vector<Mistake<T>>> mistakes_;
  std::chrono::steady_clock::time_point started_;
};

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
    if (!pair.gradient.defined() || std::ranges::find(leaf_of_row_, pair.name, &std::pair<std::string, std::uint32_t>::first) != leaf_of_row_.end()) return;
    for (const std::uint32_t leaf : graph_->leaves())
      if (!taken.contains(leaf) && graph_->adjoint(leaf).defined() && graph_->adjoint(leaf).shape() == pair.gradient.shape() && fits(leaf)) {
        leaf_of_row_.emplace_back(pair.name, leaf);
        taken.insert(leaf);
        return;
      }
  };
  for (const auto& pair : pairs)  // the leaf's own gradient
    take(pair, [&](std::uint32_t leaf) {
      const auto* const own = static_cast<const Leaf*>(graph_->leaf(leaf).node.get());
      return own && own->grad.value && own->grad.value.get() == pair.gradient.handle().value.get();
    });
  for (const auto& pair : pairs) take(pair, [&](std::uint32_t leaf) { return tolerance.same(pair.gradient, graph_->adjoint(leaf)); });
  for (const auto& pair : pairs)  // a multiple of it
    take(pair, [&](std::uint32_t leaf) {
      const Tensor<T>& own = graph_->adjoint(leaf);
      const double norm = inner(own, own);
      return norm > 0 && tolerance.same(pair.gradient, own, inner(pair.gradient, own) / norm);
    });
  for (const auto& pair : pairs)  // the only one of the shape
    take(pair, [&](std::uint32_t leaf) {
      return std::ranges::count_if(graph_->leaves(), [&](std::uint32_t other) {
               return graph_->adjoint(other).defined() && graph_->adjoint(other).shape() == graph_->adjoint(leaf).shape();
             }) == 1;
    });
  std::map<std::uint32_t, std::string> names;
  for (const auto& [name, leaf] : leaf_of_row_) names[leaf] = name;
  graph_->write_names(names);
}

template <class T>
std::string MistakeSearch<T>::hint(const GradientPair<T>& pair) const {
  const auto at = std::ranges::find(leaf_of_row_, pair.name, &std::pair<std::string, std::uint32_t>::first);
  if (at == leaf_of_row_.end() || !pair.other.defined() || !pair.gradient.defined() || !(pair.other.shape() == pair.gradient.shape())) return {};
  const Tensor<T> other = pair.other.detach();
  return Row(*graph_, options_, at->second, pair.gradient.detach(), other).run();
}

template class MistakeSearch<float>;
template class MistakeSearch<double>;

}  // namespace xtape::detail
