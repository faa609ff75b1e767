// The search for the mistake in one gradient: one stage after the other, the usual mistakes first.
#pragma once
#include <array>
#include <cmath>
#include <cstdio>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "../checks/gradient_hints.hpp"
#include "../compare_gradients.hpp"
#include "../indexing.hpp"
#include "../layout.hpp"
#include "mistakes.hpp"

namespace xtape::detail {

template <class T>
double inner(const Tensor<T>& a, const Tensor<T>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    sum += static_cast<double>(a.data()[i]) * static_cast<double>(b.data()[i]);
  return sum;
}

/// a + k b
template <class T>
Tensor<T> combined(const Tensor<T>& a, double k, const Tensor<T>& b) {
  return a + static_cast<T>(k) * b;
}

template <class T>
class RowSearch {
 public:
  using Graph = GradientGraph<T>;
  using Changes = typename Graph::Changes;
  RowSearch(const Graph& graph, const CompareOptions<T>& options, std::uint32_t leaf,
            const Tensor<T>& trusted, const Tensor<T>& other)
      : graph_(graph),
        options_(options),
        tolerance_(tolerance_of(options)),
        leaf_(leaf),
        own_(graph.adjoint(leaf).defined() ? graph.adjoint(leaf) : zeros<T>(other.shape())),
        trusted_(trusted),
        other_(other),
        difference_(other - own_),
        sizes_(sizes_of(graph)),
        began_at_(graph.work()) {}
  std::string run();

 private:
  // ---- what counts
  /// Whether these numbers explain the row, where `fitted` constants were chosen so that they do.
  bool explains(const Tensor<T>& candidate, std::size_t fitted = 0);
  /// How many of these shares the row has more than is right, where that explains it.
  std::optional<double> shares_more(const Tensor<T>& share);
  /// What a search may cost: half a second or so; the pairs at its end, 30 ms.
  bool is_late() const { return graph_.work() - began_at_ > limit_; }
  void found(const std::string& text);
  std::string text() const;
  // ---- factors
  /// What a factor of what is passed along somewhere says; "" for one that nobody would make a mistake by.
  /// `step` is where it is, where that is known.
  std::string factor_text(double k, std::size_t step) const;
  /// What there are so many of.
  std::string label(std::size_t n) const;
  /// The axes that sums and means run over: the batch, the outputs, the features.
  static std::set<std::size_t> sizes_of(const Graph& graph);
  // ---- the hypotheses
  std::string of_trusted() const;
  /// The whole gradient by a factor.
  void try_whole();
  /// The derivative with respect to a function of the parameter.
  void try_function_of();
  /// What an edge, or the adjoint of a place, adds to the row.
  Tensor<T> share_of_edge(std::size_t edge) const;
  struct Path {
    std::size_t edge;
    Tensor<T> share;
  };
  const std::vector<Path>& paths();
  std::string path_name(std::size_t edge) const;
  /// The step that is told of in place of one that only gives another shape.
  std::size_t told(std::size_t step) const;
  /// Whether a share is a multiple of the parameter, as the gradient of λ‖W‖² is.
  bool is_penalty(const Tensor<T>& share) const;
  /// "the mean" or "the variance", where what begins at a step is one, over an axis; else "".
  std::string moment_through(std::size_t step) const;
  std::string shown(std::uint32_t place) const;
  /// One of several paths left out, or counted with a factor.
  void try_paths();
  std::string left_out(std::size_t edge) const;
  /// The change of one edge, as what the row becomes.
  Tensor<T> changed(std::size_t edge, const typename Graph::Change& change) const;
  bool leads(std::size_t edge) const { return graph_.leads_to(graph_.edges()[edge].from, leaf_); }
  const std::vector<Mistake<T>>& mistakes(std::size_t edge);
  std::string at_edge(const std::string& text, std::size_t edge) const;
  void try_mistakes();
  /// Of the derivatives of other activations several are the same on some numbers, and often what has been
  /// found already: that of ReLU is 1 for positive z.
  bool is_said_simpler(const std::string& key) const {
    return !found_.empty() && key.find("/of ") != std::string::npos;
  }
  /// For what tries two at once, unless it would take much memory.
  void keep(const Tensor<T>& candidate, const std::string& text) {
    if (candidate.size() <= 65536) kept_.emplace_back(candidate, text);
  }
  /// The same mistake at all operations of one name; the same path left out at every step.
  void try_everywhere();
  /// The same at every time step: at all operations that play the same part.
  void try_roles();
  /// Another value in the place of one, at every time step: the nearest one of its part before, or after.
  void try_operands_of_roles(
      const std::map<std::pair<std::size_t, std::size_t>, std::vector<std::size_t>>& groups);
  static Tensor<T> nothing(const Tensor<T>&, const Tensor<T>&) { return {}; }
  /// Edges of one kind, by what they have in common.
  void try_left_out_everywhere();
  /// Samples that are not in it: parts of the batch in the sum of the loss.
  void try_samples();
  /// Of a parameter that is used several times: some uses only.
  void try_uses();
  static std::string ordinal(std::size_t k) {
    return k == 1 ? "first" : k == 2 ? "second" : k == 3 ? "third" : std::to_string(k) + "th";
  }
  /// A penalty that the loss does not have, or has otherwise.
  void try_penalty();
  static double rounded(double x) {
    std::array<char, 32> text;
    std::snprintf(text.data(), text.size(), "%.6g", x);
    return std::strtod(text.data(), nullptr);
  }
  /// Of a bias: sums of the gradient of the weight that is used with it.
  void try_bias();
  /// Of a weight or a scale: the product of another value with another error.
  void try_products();
  /// A factor of a numerator, which the divisor's gradient has as well.
  void try_factor_of_quotient();
  /// The error of another layer in the place of one.
  void try_other_adjoints();
  /// ", z2 = …, a2 = …": the steps from one place to another, where there are few.
  std::string between(std::uint32_t from, std::uint32_t to) const;
  /// Through time: a weight that is used at every step.
  void try_recurrent();
  /// Of a normalisation as a whole.
  void try_normalisation();
  std::uint32_t root(std::uint32_t place) const;
  /// The edge of the operation on one operand that reads what a step gives, through sums.
  std::optional<std::size_t> activation_above(std::size_t step) const;
  /// What the weight is multiplied with, of the step after, or before.
  void try_shifted(const std::vector<std::size_t>& uses);
  /// Constants with other numbers: labels of another sample, or off by one.
  void try_other_data();
  /// Parts of the gradient in each other's places.
  void try_arrangement();
  /// Its elements cut off at a bound.
  void try_clipped();
  static Tensor<T> roll(const Tensor<T>& x, std::ptrdiff_t by) {
    const auto n = static_cast<std::ptrdiff_t>(x.shape()[0]);
    std::vector<std::ptrdiff_t> index;
    for (std::ptrdiff_t i = 0; i < n; ++i) index.push_back((i + by + n) % n);
    return take(x, Indices(index), 0);
  }
  /// Another value in the place of one.
  void try_operands();
  std::string operand_text(const std::string& text, std::size_t edge) const {
    return at_edge(text, edge) + ", of which " + graph_.gradient_name(graph_.edges()[edge].from) +
           " is computed";
  }
  /// A parameter that was updated before the error was propagated through it, with a rate that is found.
  void try_updated();
  /// One mistake, and the whole by a factor.
  void try_with_factor();
  /// Two paths, or two mistakes at different operations.
  void try_pairs();
  std::string part_text(double k, std::size_t edge) const;
  const Graph& graph_;
  const CompareOptions<T>& options_;
  Tolerance tolerance_;
  std::uint32_t leaf_;
  Tensor<T> own_, trusted_, other_, difference_;
  std::size_t tried_ = 0;
  std::vector<std::string> found_;
  std::vector<Path> paths_;
  bool paths_known_ = false;
  std::set<std::size_t> sizes_;
  std::map<std::size_t, std::vector<Mistake<T>>> mistakes_;
  std::vector<std::pair<Tensor<T>, std::string>> kept_;  ///< what was tried of several operations at once
  std::size_t began_at_, limit_ = 500'000'000;
};

}  // namespace xtape::detail
