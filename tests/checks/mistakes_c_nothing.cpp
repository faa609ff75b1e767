// Wrong gradients of set C's graphs that come from no mistake in the derivation: no hint explains them.
#include "mistakes_index.hpp"

namespace xtape::test {
namespace {

/// The first mistake of set C on this graph, in this row: for its loss and its trusted gradient.
const Mistake& on_graph(const Mistakes& list, const std::string& graph, const std::string& row) {
  for (const Mistake& mistake : list)
    if (mistake.name.starts_with(graph + ":") && mistake.row == row && mistake.passes == 1) return mistake;
  throw std::logic_error("no mistake on " + graph + " in " + row);
}

/// What `compute` gives while `change` is added to the parameter.
Matrix elsewhere(const Mistake& mistake, const Matrix& change, const std::function<Matrix()>& compute) {
  Matrix leaf = mistake.parameter;
  const std::vector<double> before(leaf.data(), leaf.data() + leaf.size());
  for (std::size_t i = 0; i < leaf.size(); ++i) leaf.mutable_data()[i] += change.data()[i];
  const Matrix result = compute();
  std::copy(before.begin(), before.end(), leaf.mutable_data());
  return result;
}

/// The gradient at weights that are off by random numbers.
Matrix at_another_point(const Mistake& mistake, double size) {
  const Matrix change = normal(mistake.parameter.shape(), size);
  return elsewhere(mistake, change, [&] { return grad(mistake.loss(), mistake.parameter); });
}

/// Differences with a step that is far too large.
Matrix rough_differences(const Mistake& mistake, double step) {
  Matrix result = zeros_like(mistake.trusted);
  const double here = mistake.loss().item();
  for (std::size_t i = 0; i < result.size(); ++i) {
    Matrix change = zeros_like(mistake.trusted);
    change.mutable_data()[i] = step;
    const Matrix there = elsewhere(mistake, change, mistake.loss);
    result.mutable_data()[i] = (there.item() - here) / step;
  }
  return result;
}

double largest_of(const Matrix& x) { return max(abs(x)).item(); }

}  // namespace

std::vector<Mistake> nothing_c() {
  const Mistakes of_graphs = mistakes_c();
  Mistakes list;
  random::seed(520);
  const auto add = [&](const std::string& graph, const std::string& row, const std::string& how,
                       const std::function<Matrix(const Mistake&)>& make) {
    const Mistake& from = on_graph(of_graphs, graph, row);
    list.push_back({"nothing, " + graph + ": " + how + ", " + row,
                    how,
                    row,
                    from.parameter,
                    from.trusted,
                    Matrix(make(from)),
                    from.loss,
                    {},
                    {},
                    "no mistake: " + how});
  };
  add("deep classifier", "W2", "weights of another day",
      [](const Mistake& m) { return at_another_point(m, 0.3); });
  add("weighted logistic", "W", "noise", [](const Mistake& m) {
    return Matrix(m.trusted + 1e-3 * largest_of(m.trusted) * normal(m.trusted.shape()));
  });
  add("joint lstm", "Wx", "relative noise",
      [](const Mistake& m) { return Matrix(m.trusted * (1 + 1e-5 * normal(m.trusted.shape()))); });
  add("pooled convolution", "w1", "squashed", [](const Mistake& m) {
    return Matrix(largest_of(m.trusted) * tanh(1.9 * m.trusted / largest_of(m.trusted)));
  });
  // As of eight bits and fewer.
  add("two heads", "Wv", "rounded", [](const Mistake& m) {
    Matrix result = m.trusted * 1;
    const double unit = largest_of(m.trusted) / 20;
    for (std::size_t i = 0; i < result.size(); ++i)
      result.mutable_data()[i] = std::round(result.data()[i] / unit) * unit;
    return result;
  });
  // As of a momentum that is not the gradient.
  add("cbow", "E", "running mean", [](const Mistake& m) {
    return Matrix(0.4 * m.trusted + 0.35 * at_another_point(m, 0.2) + 0.25 * at_another_point(m, 0.4));
  });
  add("policy gradient", "W2", "rough differences",
      [](const Mistake& m) { return rough_differences(m, 0.3); });
  add("batch norm residual", "W0", "random numbers",
      [](const Mistake& m) { return Matrix(largest_of(m.trusted) * normal(m.trusted.shape())); });
  return list;
}

}  // namespace xtape::test
