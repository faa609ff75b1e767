// The order of the hypotheses, and when one counts as found.
#include "search.hpp"

#include <algorithm>
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
        began_at_(graph.work()) {}

  std::string run() {
    if (!(own_.shape() == other_.shape())) return {};
    if (!tolerance_.same(trusted_, own_)) return of_trusted();
    const std::vector<void (Row::*)()> stages{
        &Row::try_whole,   &Row::try_function_of, &Row::try_uses,       &Row::try_paths,     &Row::try_mistakes, &Row::try_everywhere,
        &Row::try_samples, &Row::try_penalty,    &Row::try_bias,      &Row::try_factor_of_quotient, &Row::try_operands, &Row::try_other_adjoints, &Row::try_products,
        &Row::try_updated, &Row::try_other_data, &Row::try_recurrent};
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
  /// What a search may cost: half a second or so; the pairs at its end, 30 ms.
  bool is_late() const { return graph_.work() - began_at_ > limit_; }
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
    for (const bool is_composed : {false, true})
    for (const std::size_t n : sizes()) {
      const double size = static_cast<double>(n);
      const std::string count = std::to_string(n);
      if (!is_composed && !is(size) && !is(1 / size)) continue;
      if (is(size)) return "it is " + count + " times too large: the division by " + count + label(n) + " is missing";
      if (is(1 / size)) return "it is divided by " + count + label(n) + (label(n).empty() ? "" : ",") + " once more than in the loss, as by a mean in place of the sum";
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
  /// What there are so many of.
  std::string label(std::size_t n) const {
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
      if (std::string(step.name()) == "sum" && element_count(graph_.program().places[step.inputs[0].place].shape, "hint") == n)
        add("elements");
    }
    return text;
  }
  /// The axes that sums and means run over: the batch, the outputs, the features.
  const std::set<std::size_t>& sizes() const {
    if (sizes_.empty()) {
      for (const Step& step : graph_.program().steps) {
        const Shape& shape = graph_.program().places[step.output].shape;
        for (const std::size_t d : shape)
          if (d > 1) sizes_.insert(d);
        if (shape.size() == 4 && shape[2] * shape[3] > 1) sizes_.insert(shape[2] * shape[3]);
        const std::size_t total = element_count(shape, "hint");
        for (const Input& input : step.inputs) {
          const std::size_t own = element_count(graph_.program().places[input.place].shape, "hint");
          if (own > 1 && own < total && total % own == 0) sizes_.insert(total / own);
        }
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
      const bool is_whole = std::abs(k - whole) < 1e-6 * std::abs(k);
      const std::string times = number_text(is_whole ? whole : rounded(k));
      const std::string right = tolerance_.same(other_, own_) ? ", and the formula's is right" : "";
      return what + times + " times what the loss gives" + right +
             (is_whole && whole >= 2 ? ": was it accumulated by " + times + " backward passes? Call zero_grad() before each; or is it the gradient of another loss than this one?"
                                     : ": is it the gradient of another loss than this one, with another reduction?");
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
    const auto is = [&](double value) { return std::abs(k - value) <= 1e-6; };
    const std::string why = is(-1)    ? ": the error is a − y, not y − a; or this is the update −α dW, and not the gradient dW"
                            : is(2)   ? ", or a ½ of the loss is forgotten"
                            : is(0.5) ? ", or a 2 of the loss is forgotten: d(a − y)² is 2 (a − y)"
                                      : "";
    if (!text.empty()) found("the whole gradient is off by the factor " + number_text(rounded(k)) + ": " + text + why);
  }
  /// The derivative with respect to a function of the parameter.
  void try_function_of() {
    const Tensor<T>& w = graph_.value(leaf_);
    if (!w.defined()) return;
    const std::string name = shown(leaf_);
    if (explains(own_ / exp(w))) found("the derivative is with respect to exp(" + name + "), and not to " + name + ": the factor exp(" + name + ") is missing (the derivative of exp is forgotten)");
    if (explains(own_ * exp(w))) found("the factor exp(" + name + ") is multiplied in once more");
    if (explains(own_ / w)) found("the gradient is divided by " + name + ": the derivative with respect to its logarithm was meant, or is used the other way round");
    if (explains(own_ * w)) found("the gradient is multiplied by " + name + ": that is the derivative with respect to ln " + name);
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
    if (is_penalty(share_of_edge(edge))) return "the penalty (weight decay) on " + shown(leaf_) + ", " + graph_.formula(e.step);
    const std::string moment = moment_through(e.step);
    if (!moment.empty()) return "the gradient through " + moment + " of the normalisation, " + graph_.formula(e.step);
    if (graph_.maker(e.from) == Graph::none && graph_.readers(e.from).size() > 1)
      return "one use of " + shown(e.from) + ", the path of its gradient through " + graph_.formula(told(e.step));
    return "the path of the gradient of " + shown(e.from) + " through " + graph_.formula(told(e.step));
  }
  /// The step that is told of in place of one that only gives another shape.
  std::size_t told(std::size_t step) const {
    for (int i = 0; i < 4; ++i) {
      const Step& one = graph_.program().steps[step];
      const auto& readers = graph_.readers(one.output);
      const bool is_same = one.operation->is_view || one.operation->repeats || std::string(one.name()) == "transpose";
      if (!is_same || readers.size() != 1) break;
      step = readers.front();
    }
    return step;
  }
  /// Whether a share is a multiple of the parameter, as the gradient of λ‖W‖² is.
  bool is_penalty(const Tensor<T>& share) const {
    const Tensor<T>& W = graph_.value(leaf_);
    if (!share.defined() || !W.defined() || W.size() < 2) return false;
    const double norm = inner(W, W);
    return norm > 0 && tolerance_.same(share, W, inner(share, W) / norm);
  }
  /// "the mean" or "the variance", where what begins at a step is one, over an axis; else "".
  std::string moment_through(std::size_t step) const {
    bool is_square = false;
    for (int i = 0; i < 5; ++i) {
      const Step& one = graph_.program().steps[step];
      const std::string op = one.name();
      is_square = is_square || op == "square" || (op == "multiply" && one.inputs[0].place == one.inputs[1].place);
      if (op == "sum")
        return element_count(graph_.program().places[one.output].shape, "hint") < 2 ? ""
               : is_square                                                         ? "the variance"
                                                                                    : "the mean";
      const auto& readers = graph_.readers(one.output);
      if (readers.size() != 1 || !(is_square || op == "square" || one.operation->is_view)) return {};
      step = readers.front();
    }
    return {};
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
      if (explains(path.share)) {
        found("only " + path_name(path.edge) + " is in it: all other paths are left out");
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
    if (is_penalty(share_of_edge(edge))) return path_name(edge) + ", is forgotten: its gradient is left out";
    const std::string moment = moment_through(e.step);
    if (!moment.empty())
      return moment + " of the normalisation is treated as a constant: the gradient through " + graph_.formula(e.step) + " is left out";
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
    const std::size_t step = graph_.edges()[edge].step;
    return text + "; in " + graph_.formula(step) + " of shape " + to_string(graph_.program().places[graph_.program().steps[step].output].shape);
  }

  void try_mistakes() {
    for (std::size_t e = 0; e < graph_.edges().size() && !is_late(); ++e)
      if (leads(e))
        for (const Mistake<T>& one : mistakes(e))
          if (!is_said_simpler(one.key) && explains(changed(e, one.change))) found(at_edge(one.text, e));
  }
  /// Of the derivatives of other activations several are the same on some numbers, and often what has been found
  /// already: that of ReLU is 1 for positive z.
  bool is_said_simpler(const std::string& key) const { return !found_.empty() && key.find("/of ") != std::string::npos; }

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
        const Tensor<T> candidate = graph_.gradient(leaf_, made);
        const std::string text = list.front().second->text + "; " + where + graph_.op_of(graph_.edges()[list.front().first]);
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
  /// The same at every time step: at all operations that play the same part.
  void try_roles() {
    std::map<std::pair<std::size_t, std::size_t>, std::vector<std::size_t>> groups;
    for (std::size_t e = 0; e < graph_.edges().size(); ++e)
      if (leads(e)) groups[{graph_.role(graph_.edges()[e].step), graph_.edges()[e].input}].push_back(e);
    for (const auto& [part, list] : groups) {
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
        return "the path of the gradient of " + shown(graph_.edges()[last].from) + " through " + where + ", is left out (forgotten): it is treated as a constant there";
      });
      for (const double k : {-1.0, 2.0, 0.5})
        check(std::vector<typename Graph::Change>(list.size(), [k](const Tensor<T>&, const Tensor<T>& c) { return static_cast<T>(k) * c; }),
              [&] { return "the path of the gradient of " + shown(graph_.edges()[last].from) + " through " + where + ": " + factor_text(k, Graph::none); });
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
  /// Another value in the place of one, at every time step: the nearest one of its part before, or after.
  void try_operands_of_roles(const std::map<std::pair<std::size_t, std::size_t>, std::vector<std::size_t>>& groups) {
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
          if (explains(graph_.gradient(leaf_, made))) found(shown(step.inputs[i].place) + " is not transposed; in " + graph_.formula(last.step) + ", and at every time step");
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
              if (!value.defined() || !(value.shape() == own.shape()) || place == graph_.step_of(edge).inputs[i].place) continue;
              made[e] = [this, e, i, value](const Tensor<T>& g, const Tensor<T>&) {
                return graph_.contribution_with(e, g, {{i, value.handle()}});
              };
              if (e == list.back()) shown_place = place;
            }
            if (made.size() < 2 || made.size() + 1 < list.size() || shown_place == 0) continue;
            if (explains(graph_.gradient(leaf_, made)))
              found("the value of " + defined(shown_place) + " is used in place of " + defined(step.inputs[i].place) + "; in " + graph_.formula(last.step) + ", and at every time step");
          }
      }
    }
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
      everywhere_.emplace_back(graph_.gradient(leaf_, made), text);
      if (explains(everywhere_.back().first)) found(text);
    }
  }
  /// For try_with_factor(), unless it would take much memory.
  void keep(const Tensor<T>& candidate, const std::string& text) {
    if (candidate.size() <= 65536) several_.emplace_back(candidate, text);
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
        const std::string rest = n - k == 1 ? "the last sample" : "the last " + std::to_string(n - k) + " samples";
        check(sum, static_cast<double>(k), "only " + these + " of the " + count + " of the batch " + (k == 1 ? "is" : "are") + " in it, " + rest + " left out");
        check(total - sum, all - static_cast<double>(k), "only " + rest + " of the " + count + " of the batch in it, " + these + " left out: add up (+=) over all " + count);
        sum = sum + shares[k];
      }
      for (std::size_t k = 1; k + 1 < n; ++k) {
        check(total - shares[k], all - 1, "the sample " + std::to_string(k) + " of the " + count + " of the batch is left out");
        check(shares[k], 1, "only the sample " + std::to_string(k) + " of the " + count + " of the batch is in it");
      }
      if (!found_.empty()) return;
    }
  }

  /// Of a parameter that is used several times: some uses only.
  void try_uses() {
    std::vector<std::size_t> uses;
    for (std::size_t e = 0; e < graph_.edges().size(); ++e)
      if (graph_.edges()[e].from == leaf_ && graph_.contribution(e).defined() && !is_penalty(graph_.contribution(e)))
        uses.push_back(e);
    const std::size_t n = uses.size();
    if (n < 2) return;
    const std::string times = std::to_string(n), name = shown(leaf_);
    Tensor<T> sum = zeros<T>(own_.shape());
    const auto in_it = [&](std::size_t k, const char* which) {
      return k == 1 ? "only one use of " + name + " is in it, the " + which + " of " + times
                    : "only the " + std::string(which) + " " + std::to_string(k) + " of the " + times + " uses (time steps) of " + name + " are in it";
    };
    for (std::size_t k = 1; k < n; ++k) {
      const Tensor<T>& c = graph_.contribution(uses[k - 1]);
      sum = sum + c;
      const std::string in = graph_.formula(graph_.edges()[uses[k - 1]].step);
      if (explains(c)) found("only one use of " + name + " is in it, the " + ordinal(k) + " of " + times + ", in " + in + ": add up (+=) over all");
      if (k > 1 && explains(sum)) found(in_it(k, "first") + ": add up (+=) over all");
      if (n - k > 1 && explains(own_ - sum)) found(in_it(n - k, "last") + ": backpropagation is truncated");
    }
    if (explains(graph_.contribution(uses[n - 1]))) found("only one use of " + name + " is in it, the last of " + times + ", in " + graph_.formula(graph_.edges()[uses[n - 1]].step));
    if (explains(own_ / static_cast<T>(n))) found("the gradients of the " + times + " uses of " + name + " are averaged, and not added up");
  }

  static std::string ordinal(std::size_t k) {
    return k == 1 ? "first" : k == 2 ? "second" : k == 3 ? "third" : std::to_string(k) + "th";
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

  /// Of a bias: sums of the gradient of the weight that is used with it.
  void try_bias() {
    const Shape& shape = other_.shape();
    if (shape.empty() || other_.size() < 2) return;
    for (const std::uint32_t W : graph_.leaves()) {
      std::vector<Tensor<T>> gradients{graph_.adjoint(W)};
      for (std::size_t e = 0; e < graph_.edges().size(); ++e)
        if (graph_.edges()[e].from == W && graph_.contribution(e).defined()) gradients.push_back(graph_.contribution(e));
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

  /// Of a weight or a scale: the product of another value with another error.
  void try_products() {
    std::vector<std::size_t> uses;
    for (std::size_t e = 0; e < graph_.edges().size(); ++e)
      if (root(graph_.edges()[e].from) == leaf_ && !graph_.step_of(graph_.edges()[e]).operation->is_view) uses.push_back(e);
    if (uses.size() != 1) return;
    const auto& edge = graph_.edges()[uses[0]];
    const Step& step = graph_.step_of(edge);
    const std::string op = step.name();
    if ((op != "matmul" && op != "multiply") || step.inputs.size() != 2) return;
    const std::uint32_t right_value = step.inputs[1 - edge.input].place, right_error = step.output;
    for (std::uint32_t p = 0; p < graph_.program().places.size() && !is_late(); ++p) {
      const Tensor<T>& g = graph_.adjoint(p);
      if (!g.defined() || !is_named(p) || !(g.shape() == graph_.adjoint(right_error).shape())) continue;
      for (std::uint32_t q = 0; q < graph_.program().places.size(); ++q) {
        const Tensor<T>& x = graph_.value(q);
        if (!x.defined() || !is_named(q) || !(x.shape() == graph_.value(right_value).shape()) || (p == right_error && q == right_value)) continue;
        const Tensor<T> c = graph_.contribution_with(uses[0], g, {{1 - edge.input, x.handle()}});
        if (!c.defined() || !(c.shape() == graph_.contribution(uses[0]).shape())) continue;
        if (explains(own_ - graph_.gain(leaf_, edge.from, graph_.contribution(uses[0]) - c)))
          found("the gradient of " + shown(leaf_) + " is the product of " + graph_.gradient_name(p) + " and " + defined(q) + ", and not of " +
                graph_.gradient_name(right_error) + " and " + defined(right_value));
      }
    }
  }
  /// "a1 = tanh(z1)"
  std::string defined(std::uint32_t place) const {
    return graph_.maker(place) == Graph::none ? shown(place) : graph_.formula(graph_.maker(place));
  }

  /// A factor of a numerator, which the divisor's gradient has as well.
  void try_factor_of_quotient() {
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
          made[d] = [this, d, x](const Tensor<T>& g, const Tensor<T>&) { return graph_.contribution_with(d, g, {{0, x.handle()}}); };
      if (made.size() == 2 && explains(graph_.gradient(leaf_, made)))
        found("the factor " + shown(step.inputs[1 - edge.input].place) + " is missing: the gradient is passed on without it; in " + graph_.formula(edge.step));
    }
  }

  /// The error of another layer in the place of one.
  void try_other_adjoints() {
    const std::size_t places = graph_.program().places.size();
    for (std::uint32_t p = 0; p < places && !is_late(); ++p) {
      if (graph_.maker(p) == Graph::none || !graph_.leads_to(p, leaf_) || !is_named(p) || !graph_.adjoint(p).defined()) continue;
      for (std::uint32_t q = 0; q < places; ++q) {
        if (p == q || !is_named(q) || graph_.maker(q) == Graph::none || !graph_.adjoint(q).defined() ||
            !(graph_.adjoint(p).shape() == graph_.adjoint(q).shape()))
          continue;
        if (explains(own_ + graph_.gain(leaf_, p, graph_.adjoint(q) - graph_.adjoint(p)))) {
          const std::string skipped = between(p, q);  // "" for an error from further below
          found(graph_.gradient_name(q) + " is used in place of " + graph_.gradient_name(p) + ", as if " + graph_.name(p) + " were " + graph_.name(q) +
                (skipped.empty() ? "" : ": what lies between them is skipped (left out)" + skipped));
        }
      }
    }
  }
  /// ", z2 = …, a2 = …": the steps from one place to another, where there are few.
  std::string between(std::uint32_t from, std::uint32_t to) const {
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
      if (const std::uint32_t y = steps[k].output; y != from && reached[y] && leads[y] && ++count < 6) text += ", " + graph_.formula(k);
    return text;
  }
  bool is_named(std::uint32_t place) const {
    const std::string& name = graph_.name(place);
    return !name.empty() && name.find(' ') == std::string::npos;
  }

  /// Through time: a weight that is used at every step.
  void try_recurrent() {
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
            found("backpropagation through time is truncated after " + std::to_string(hops) + (hops == 1 ? " step" : " steps") + ": the gradient goes no further back through " +
                  shown(W));
        Changes made;
        for (const std::size_t e : into_state)
          if (const auto above = activation_above(graph_.edges()[e].step))
            made[e] = [this, e, a = *above](const Tensor<T>&, const Tensor<T>&) {
              return graph_.contribution_with(e, graph_.running_adjoint(a), {});
            };
        if (!made.empty() && explains(graph_.gradient(leaf_, made)))
          found("the derivative of the activation is missing where the error goes back to the previous time step, at every step");
      }
    }
  }
  std::uint32_t root(std::uint32_t place) const {
    while (graph_.maker(place) != Graph::none) {
      const Step& step = graph_.program().steps[graph_.maker(place)];
      if (!step.operation->is_view && std::string(step.name()) != "transpose") break;
      place = step.inputs[0].place;
    }
    return place;
  }
  /// The result of the operation on one operand that reads what a step gives, through sums.
  std::optional<std::uint32_t> activation_above(std::size_t step) const {
    for (int i = 0; i < 4; ++i) {
      const auto& readers = graph_.readers(graph_.program().steps[step].output);
      if (readers.size() != 1) return {};
      step = readers.front();
      const Step& one = graph_.program().steps[step];
      if (one.inputs.size() == 1 && one.operation->row_call) return one.output;
      if (std::string(one.name()) != "add") return {};
    }
    return {};
  }
  /// What the weight is multiplied with, of the step after, or before.
  void try_shifted(const std::vector<std::size_t>& uses) {
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
                graph_.contribution_with(uses[t], graph_.adjoint(graph_.result_of(edge)), {{1 - edge.input, x.handle()}});
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
        check(all, "the state h(t) after the step is used in place of h(t−1), the state before it, in the gradient of " + shown(leaf_) + ", at every time step");
      }
    std::vector<std::uint32_t> all{right.front()};
    all.insert(all.end(), earlier.begin(), earlier.end());
    check(all, "the state of one time step before, h(t−2), is used in place of h(t−1) in the gradient of " + shown(leaf_) + ", at every time step");
    std::reverse(right.begin(), right.end());
    check(right, "the states are taken in reverse order in the gradient of " + shown(leaf_));
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
      if (x.rank() == 2 && x.shape()[1] > 2) {
        check(transpose(roll(transpose(x), 1)).handle(), "the labels (columns) of " + name + " are off by one");
        check(transpose(roll(transpose(x), -1)).handle(), "the labels (columns) of " + name + " are off by one");
      }
    }
  }
  static Tensor<T> roll(const Tensor<T>& x, std::ptrdiff_t by) {
    const auto n = static_cast<std::ptrdiff_t>(x.shape()[0]);
    std::vector<std::ptrdiff_t> index;
    for (std::ptrdiff_t i = 0; i < n; ++i) index.push_back((i + by + n) % n);
    return take(x, Indices(index), 0);
  }

  std::string operand_text(const std::string& text, std::size_t edge) const {
    return at_edge(text, edge) + ", of which " + graph_.gradient_name(graph_.edges()[edge].from) + " is computed";
  }
  /// Another value in the place of one.
  void try_operands() {
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
        const auto text = [&](double rate) {
          return shown(*leaf) + " is updated before the error is propagated through it (a step with the rate " + number_text(rounded(rate)) +
                 "): compute all gradients first, then update";
        };
        if (k < 0 && tolerance_.same(candidate, other_) && is_evidence(candidate, 1)) found(text(-k));
        if (const double rate = options_.learning_rate; rate > 0) keep(combined(own_, -rate, share), text(rate));
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
    for (const auto& [candidate, text] : everywhere_) check(candidate, [&] { return text; });
    for (const auto& [candidate, text] : several_) check(candidate, [&] { return text; });
    for (std::size_t e = 0; e < graph_.edges().size() && !is_late(); ++e)
      if (leads(e))
        for (const Mistake<T>& one : mistakes(e))
          if (!is_said_simpler(one.key)) check(changed(e, one.change), [&] { return at_edge(one.text, e); });
    if (!found_.empty()) return;
    for (std::size_t e = 0; e < graph_.edges().size() && !is_late(); ++e)
      if (leads(e))
        for (const Mistake<T>& one : wrong_operands(graph_, e)) check(changed(e, one.change), [&] { return operand_text(one.text, e); });
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
    const auto with_path = [&](const Tensor<T>& wrong, const auto& what) {
      if (!wrong.defined() || !(wrong.shape() == other_.shape())) return;
      const Tensor<T> rest = other_ - wrong;
      for (const Path& path : all) {
        const double more = inner(rest, path.share) / inner(path.share, path.share);
        ++tried_;
        const Tensor<T> candidate = combined(wrong, more, path.share);
        if (std::abs(more) < 1e-9 || !tolerance_.same(candidate, other_) || !is_evidence(candidate, 1)) continue;
        if (const std::string text = part_text(1 + more, path.edge); !text.empty()) found(what() + "; and " + text);
      }
    };
    for (const auto& [candidate, text] : everywhere_) with_path(candidate, [&] { return text; });
    for (std::size_t e = 0; e < graph_.edges().size() && !is_late(); ++e)
      if (leads(e))
        for (const Mistake<T>& one : mistakes(e)) with_path(changed(e, one.change), [&] { return at_edge(one.text, e); });
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
  std::vector<std::pair<Tensor<T>, std::string>> everywhere_;  ///< what was tried of paths left out everywhere
  std::vector<std::pair<Tensor<T>, std::string>> several_;     ///< … of mistakes at several operations at once
  std::size_t began_at_, limit_ = 500'000'000;
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
  for (const auto& pair : pairs)  // by its name
    take(pair, [&](std::uint32_t leaf) {
      if (!options_.derivation) return false;
      const Tensor<T> of_name = options_.derivation->parameter(pair.name);
      return of_name.defined() && of_name.handle().node.get() == graph_->leaf(leaf).node.get();
    });
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
