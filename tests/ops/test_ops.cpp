// Every operation against differences of itself, over shapes of all ranks; and that no operation is left out.
#include <fstream>
#include <regex>
#include <set>

#include "../check_close.hpp"
#include "op_table.hpp"

using namespace xtape;
using namespace xtape::test;

TEST_CASE("every operation agrees with differences, to the order it is smooth, for every shape") {
  for (const OpRow& row : op_table()) {
    CAPTURE(row.id());
    bool says_something = false;
    for (std::size_t set = 0; set < row.shapes.size(); ++set) {
      CAPTURE(set);
      const GradientReport report = check_gradients<double>(row.f, sample(row, set), {.order = row.order});
      // A single shape may make an operation constant, such as the softmax of one element.
      CHECK_MESSAGE((report.passed || report.all_zero), report);
      CHECK_MESSAGE(report.mismatches == 0, report);
      CHECK_MESSAGE(report.kinks.empty(), report);
      says_something |= report.compared != 0 && !report.all_zero;
    }
    CHECK(says_something);
    CHECK(Tape::current().size() == 0);
  }
}

TEST_CASE("the fused rule and the recorded rule give the same gradients") {
  for (const OpRow& row : op_table())
    for (std::size_t set = 0; set < row.shapes.size(); ++set) {
      CAPTURE(row.id());
      CAPTURE(set);
      Tensors leaves;
      for (const Tensor<double>& x : sample(row, set)) leaves.push_back(parameter(x));
      const Tensor<double> y = row.f(leaves);
      if (!y.requires_grad()) continue;
      const Tensor<double> seed = cos(y.detach() + 1);
      const auto fused = grad(y, leaves, {.seed = seed, .retain_tape = true});
      const auto recorded = grad(y, leaves, {.seed = seed, .create_graph = true});
      for (std::size_t i = 0; i < leaves.size(); ++i) check_close(fused[i], recorded[i], 1e-12, 1e-13);
    }
}

/// J v by the reverse mode twice: u ↦ uᵀ J is linear, and its derivative along v is J v.
template <class F>
Tensor<double> by_reverse_twice(const F& f, const Tensor<double>& x, const Tensor<double>& v) {
  const Tensor<double> y = f(x);
  if (!y.requires_grad()) return zeros<double>(y.shape());
  const Tensor<double> u = parameter(zeros<double>(y.shape()));
  const Tensor<double> g = grad(y, x, {.seed = u, .create_graph = true});
  return g.requires_grad() ? grad(g, u, {.seed = v, .create_graph = true}) : zeros<double>(y.shape());
}

TEST_CASE("u · (J v) is (uᵀ J) · v for every operation and each of its inputs, with J v by both modes") {
  for (const OpRow& row : op_table())
    for (std::size_t set = 0; set < row.shapes.size(); ++set) {
      const Tensors x = sample(row, set);
      for (std::size_t i = 0; i < x.size(); ++i) {
        CAPTURE(row.id());
        CAPTURE(set);
        CAPTURE(i);
        if (x[i].size() == 0) continue;  // the mean of nothing is NaN
        const auto f = [&](const Tensor<double>& at) {
          Tensors all = x;
          all[i] = at;
          return row.f(all);
        };
        const Tensor<double> v = cos(3 * x[i] + 1), u = sin(2 * f(x[i]) + 1);
        const Tensor<double> across = sum(vjp(f, x[i], u).second * v), leaf = parameter(x[i]);
        check_close(sum(u * jvp(f, x[i], v).second), across, 1e-11, 1e-11);
        check_close(sum(u * by_reverse_twice(f, leaf, v)).detach(), across, 1e-11, 1e-11);
        if (row.order < 2) continue;
        // and their derivatives: reverse over forward, forward over forward
        const Tensor<double> forward = sum(u * jvp(f, leaf, v, {.create_graph = true}).second),
                             reverse = sum(u * by_reverse_twice(f, leaf, v));
        if (!reverse.requires_grad()) {
          if (forward.requires_grad()) check_close(grad(forward, leaf), zeros<double>(leaf.shape()), 0);
          continue;
        }
        const Tensor<double> expected = grad(reverse, leaf);
        REQUIRE(forward.requires_grad());
        check_close(grad(forward, leaf), expected, 1e-10, 1e-10);
        const auto along = [&](const Tensor<double>& at) {
          return sum(u * jvp(f, at, v, {.create_graph = true}).second);
        };
        check_close(jvp(along, x[i], v).second, sum(expected * v), 1e-10, 1e-10);
      }
    }
}

TEST_CASE("float gives what double gives, to float's precision") {
  // The table is in double; a few operations of each family stand for the instantiations in float.
  const auto run = []<class T>(T) {
    const Tensor<T> x = parameter(sin(arange<T>(T(0), T(24))) * T(0.7));
    const Tensor<T> m = reshape(x, {4, 6});
    const Tensor<T> y = sum(softmax(matmul(m, transpose(m)), 1) * tanh(linear(m, slice(m, xt::range(0, 4)))) +
                            logsumexp(m, 1, true)) +
                        sum(map([](auto a) { return where(a > 0, exp(a), a * a); }, x)) + norm(x) + max(x) +
                        sum(take(m, {0, 2, 2}, 0)) + var(x) + prod(x + 2);
    y.backward();
    return x.grad();
  };
  const Tensor<float> narrow = run(1.0f);
  check_close(Tensor<double>(xt::cast<double>(narrow.value())), run(1.0), 1e-4, 1e-4);
}

TEST_CASE("every function of the public headers has a row") {
  std::set<std::string> rows;
  for (const OpRow& row : op_table()) rows.insert(row.op);
  rows.insert({"variance", "stddev"});  // other names of var and std
  const std::regex declaration(
      R"(^(?:auto|X|Tensor<T>|std::vector<Tensor<T>>|Indices|MatrixIndices|TopK<T>) (\w+|operator\S+)\()");
  std::size_t found = 0;
  for (const char* header : {"elementwise.hpp", "reductions.hpp", "linalg.hpp", "layout.hpp", "indexing.hpp",
                             "map.hpp", "normalization.hpp", "convolution.hpp", "pooling.hpp", "arrange.hpp",
                             "masks.hpp", "sorting.hpp", "special.hpp"}) {
    std::ifstream file(std::string(XTAPE_SOURCE_DIR) + "/autodiff/" + header);
    REQUIRE(file.good());
    bool is_public = true;
    for (std::string line; std::getline(file, line);) {
      if (line == "namespace detail {") is_public = false;
      if (line == "}  // namespace detail") is_public = true;
      std::smatch match;
      if (!is_public) continue;
      if (!std::regex_search(line, match, declaration)) continue;
      ++found;
      CHECK_MESSAGE(rows.contains(match[1].str()),
                    header << ": " << match[1].str() << " has no row in elementwise.inc or op_table.cpp");
    }
  }
  CHECK(found > 90);
}
