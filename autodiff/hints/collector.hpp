// Collects the mistakes that are made in the derivative of one operation.
#pragma once
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "../arrange.hpp"
#include "../elementwise.hpp"
#include "../indexing.hpp"
#include "../layout.hpp"
#include "../linalg.hpp"
#include "../reductions.hpp"
#include "../tape/adjoint_sums.hpp"
#include "mistakes.hpp"

namespace xtape::detail {

inline bool is_one_of(std::initializer_list<std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

/// g as the gradient of an input of this shape, which may have been repeated.
template <class T>
Tensor<T> summed_to(const Tensor<T>& g, const Shape& shape) {
  return g.shape() == shape ? g : sum_to_shape(g, shape);
}

template <class T>
class Collector {
 public:
  using Graph = GradientGraph<T>;
  using Change = typename Graph::Change;
  Collector(const Graph& graph, std::size_t edge)
      : graph_(graph),
        edge_(edge),
        of_(graph.edges()[edge]),
        op_(graph.op_of(of_)),
        step_(graph.step_of(of_)),
        x_(graph.value(of_.from)),
        y_(graph.value(step_.output)) {}
  std::vector<Mistake<T>> run();

 private:
  void add(const std::string& key, const std::string& text, Change change);
  template <class F>
  void add_other(const std::string& key, const std::string& text, F f) {
    add(key, text, [f, x = x_](const Tensor<T>& g, const Tensor<T>&) { return f(g, x); });
  }
  void add_slope(const std::string& key, const std::string& text, const Tensor<T>& slope);
  static Tensor<T> broadcast_like(const Tensor<T>& g, const Tensor<T>& x) {
    Shape shape = g.shape();
    for (std::size_t i = 0; shape.size() < x.rank(); ++i)
      if (i >= shape.size() || shape[i] != x.shape()[i]) {
        Shape wider;
        for (std::size_t k = 0; k < i; ++k) wider.push_back(shape[k]);
        wider.push_back(1);
        for (std::size_t k = i; k < shape.size(); ++k) wider.push_back(shape[k]);
        shape = wider;
      }
    return broadcast_to(reshape(g, Dims(shape)), x.shape());
  }
  // ---- one operand
  void add_slopes();
  Tensor<T> slope_at_minus(const Tensor<T>& slope) const;
  void add_other_activations();
  // ---- several operands
  const Graph* graph_ptr() const { return &graph_; }
  void add_products();
  /// What a bias's gradient is summed over.
  void add_reductions();
  /// The derivative of what lies in the other branch.
  void add_branches();
  void add_matmul();
  static Tensor<T> roll_rows(const Tensor<T>& g, int by) {
    const auto n = static_cast<std::ptrdiff_t>(g.shape()[0]);
    std::vector<std::ptrdiff_t> index;
    for (std::ptrdiff_t i = 0; i < n; ++i) index.push_back((i + by + n) % n);
    return take(g, Indices(index), 0);
  }
  // ---- softmax and losses
  std::ptrdiff_t softmax_axis() const;
  void add_softmax();
  /// Where the loss is a cross-entropy written out, what is passed on is w (p − y): the error.
  void add_errors();
  static T largest(const Tensor<T>& x) { return x.size() ? max(abs(x)).item() : T(0); }
  static std::vector<std::ptrdiff_t> rotated(std::size_t n, std::ptrdiff_t by) {
    std::vector<std::ptrdiff_t> index;
    const auto size = static_cast<std::ptrdiff_t>(n);
    for (std::ptrdiff_t i = 0; i < size; ++i) index.push_back((i + by + size) % size);
    return index;
  }
  void add_log_softmax();
  void add_cross_entropy();
  void add_binary();
  void add_squared_difference();
  // ---- selections
  void add_extreme();
  void add_pool();
  void add_convolution();
  /// Rows that are read several times.
  void add_rows();
  void add_norm();
  void add_layout();
  const Graph& graph_;
  std::size_t edge_;
  const typename Graph::Edge& of_;
  std::string op_;
  const Step& step_;
  const Tensor<T>&x_, &y_;
  std::vector<Mistake<T>> all_;
};

}  // namespace xtape::detail
