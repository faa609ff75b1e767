// A loss as a graph whose gradients are computed with mistakes on purpose.
#pragma once
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "../derivation/derived.hpp"
#include "../tensor.hpp"

namespace xtape::detail {

/// The operations behind a loss with their values, in simple steps: a normalisation is its mean, its variance
/// and what is done with them. An edge is an input of a step that a parameter lies behind: backpropagation
/// passes a contribution along it.
template <class T>
class GradientGraph {
 public:
  struct Edge {
    std::size_t step;
    std::size_t input;
    std::uint32_t from;  ///< the place of the input, whose adjoint the contribution is added to
  };
  /// What is passed on in place of a contribution c, for the adjoint g of the step's result. Undefined: 0.
  using Change = std::function<Tensor<T>(const Tensor<T>& g, const Tensor<T>& c)>;
  using Changes = std::map<std::size_t, Change>;  ///< by number of edge

  /// Error as traced_source().
  explicit GradientGraph(const std::function<Tensor<T>()>& loss);
  GradientGraph(const GradientGraph&) = delete;
  GradientGraph& operator=(const GradientGraph&) = delete;

  const Program& program() const { return program_; }
  const std::vector<Edge>& edges() const { return edges_; }
  const Step& step_of(const Edge& edge) const { return program_.steps[edge.step]; }
  std::string op_of(const Edge& edge) const { return step_of(edge).name(); }
  std::uint32_t result_of(const Edge& edge) const { return step_of(edge).output; }
  /// How a place is called, or written; and its gradient.
  const std::string& name(std::uint32_t place) const { return names_[place]; }
  std::string gradient_name(std::uint32_t place) const;
  /// Whether that is a name, and no formula.
  bool has_name(std::uint32_t place) const {
    return !name(place).empty() && name(place).find(' ') == std::string::npos;
  }
  /// "a1 = tanh(z1)", or the name of what is given.
  std::string definition(std::uint32_t place) const {
    return makers_[place] == none ? name(place) : formula(makers_[place]);
  }
  /// "a1 = tanh(z1)"
  std::string formula(std::size_t step) const;
  /// Names all places, as derivation() does, where these leaves have these names.
  void write_names(const std::map<std::uint32_t, std::string>& leaves);
  const Tensor<T>& value(std::uint32_t place) const { return values_[place]; }
  /// The places of parameters.
  const std::vector<std::uint32_t>& leaves() const { return leaves_; }
  bool is_leaf(std::uint32_t place) const { return below_.contains(place); }
  /// The steps that read a place.
  const std::vector<std::size_t>& readers(std::uint32_t place) const { return readers_[place]; }
  /// The step that a place is the result of; none for others.
  static constexpr std::size_t none = ~std::size_t{0};
  std::size_t maker(std::uint32_t place) const { return makers_[place]; }
  /// The same number for steps that play the same part, as those of a recurrent net do at each time step: the
  /// same operations on the same parameters, four operations deep.
  std::size_t role(std::size_t step) const { return roles_[step]; }
  /// Whether the gradient of `leaf` depends on the adjoint of a place.
  bool leads_to(std::uint32_t place, std::uint32_t leaf) const { return below_.at(leaf)[place] != 0; }

  /// dL/d of each place, as it is; and what is passed along an edge. Undefined where there is nothing.
  const Tensor<T>& adjoint(std::uint32_t place) const { return adjoints_[place]; }
  const Tensor<T>& contribution(std::size_t edge) const { return contributions_[edge]; }
  /// The gradient of a leaf with these mistakes.
  Tensor<T> gradient(std::uint32_t leaf, const Changes& mistakes) const;
  /// The gradient of a leaf by those paths alone that go along at most so many of these edges.
  Tensor<T> gradient_within(std::uint32_t leaf, const std::set<std::size_t>& edges, std::size_t most) const;
  /// What the gradient of a leaf gains when the adjoint of a place does by `more`.
  Tensor<T> gain(std::uint32_t leaf, std::uint32_t place, const Tensor<T>& more) const;
  /// What is passed along an edge for the adjoint g, where the step's inputs have these values, which are not
  /// those of the graph for the numbers that are given.
  Tensor<T> contribution_with(std::size_t edge, const Tensor<T>& g,
                              const std::vector<std::pair<std::size_t, Handle>>& inputs) const;
  /// The graph on other numbers: a constant or a parameter has this value.
  Tensor<T> gradient_with(std::uint32_t leaf, std::uint32_t place, Handle other) const;
  /// What all passes have cost so far, in nanoseconds as they are estimated: the same on every machine.
  std::size_t work() const { return work_; }
  /// What lies at a place that is no tensor: indices.
  const Handle& handle(std::uint32_t place) const { return at_[place]; }

 private:
  struct Recorded {
    std::vector<Handle> x;
    Tensor<T> y;
  };
  void find_roles();
  bool has_same_role(const Step& a, const Step& b, int depth) const;
  /// A step with leaves among its inputs; all steps, for what lies at each place.
  Recorded record(const Step& step, std::vector<Handle> x) const;
  std::vector<Recorded> record(const std::vector<Handle>& at) const;
  /// What a step passes on to each of the inputs that are wanted.
  std::vector<Tensor<T>> pass_back(const Recorded& step, const Tensor<T>& g,
                                   const std::vector<char>& wanted) const;
  /// Backpropagation from before step `from` on, to the places that lead somewhere; passed(edge, g, part) is
  /// what takes the place of a contribution.
  template <class F>
  void walk(std::vector<Tensor<T>>& adjoints, std::size_t from, const std::vector<char>& leads,
            const std::vector<Recorded>& steps, const F& passed) const;
  /// dL/dL = 1, and nothing else yet.
  std::vector<Tensor<T>> seeded() const;
  Tensor<T> at_leaf(const std::vector<Tensor<T>>& adjoints, std::uint32_t leaf) const;

  Source source_;
  const Program& program_ = source_.program;
  std::vector<Handle> at_;
  std::vector<Tensor<T>> values_;
  std::vector<std::string> names_, formulas_;
  std::vector<std::uint32_t> leaves_;
  std::vector<std::size_t> makers_, roles_;
  std::vector<std::vector<std::size_t>> readers_;
  std::vector<Recorded> recorded_;
  std::vector<Edge> edges_;
  std::vector<std::vector<std::size_t>> edge_at_;     ///< by step and input; none
  std::map<std::uint32_t, std::vector<char>> below_;  ///< of each leaf: the places whose adjoints it needs
  std::vector<char> needed_;                          ///< … of any
  std::vector<Tensor<T>> adjoints_, contributions_;
  mutable std::size_t work_ = 0;
};

}  // namespace xtape::detail
