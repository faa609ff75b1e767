// A compiled program gives the bits of the program, forward and backward.
#include "generate.hpp"
#include "properties.hpp"

#include <cmath>

#include <autodiff/compile.hpp>
#include <autodiff/derivatives.hpp>

using namespace xtape;
using namespace xtape::properties;

namespace {

template <class T>
void require_same(const char* what, const Tensor<T>& expected, const Tensor<T>& got) {
  if (!same_bits<T>({expected}, {got})) throw Broken(std::string(what) + " differs");
}

/// As a node and without the tape, with the leaves captured and as arguments.
template <class T>
void compiles(const Program& program) {
  const List<T> leaves = make_leaves<T>(program);
  const Tensor<T> loss = run(program, leaves);
  const List<T> expected = gradients(loss, leaves);
  const auto captured = compile([&] { return run(program, leaves); });
  const auto given = compile([&](const List<T>& x) { return run(program, x); });
  for (int call = 0; call < 2; ++call) {
    require_same("the value, with captured leaves,", loss.detach(), captured().detach());
    const Tensor<T> y = given(leaves);
    require_same("the value", loss.detach(), y.detach());
    if (y.requires_grad() != loss.requires_grad()) throw Broken("requires_grad() differs");
    if (!loss.requires_grad()) continue;
    const List<T> got = gradients(y, leaves), in_captured = gradients(captured(), leaves);
    const auto [value, all] = given.value_and_grad(leaves);
    require_same("the value of value_and_grad", loss.detach(), value);
    for (std::size_t i = 0; i < leaves.size(); ++i) {
      require_same("a gradient", expected[i], got[i]);
      require_same("a gradient of captured leaves", expected[i], in_captured[i]);
      require_same("a gradient of value_and_grad", expected[i], all[i]);
    }
  }
}

}  // namespace

TEST_CASE_TEMPLATE("compiled programs give the same bits", T, float, double) {
  check_programs("compiled", 20000, {.margin = 0},
                 [](const Recipe& recipe) { compiles<T>(resolve(recipe)); });
}

TEST_CASE("compiled programs give the same bits with threads") {
  const int before = num_threads();
  set_num_threads(2);
  check_programs("compiled, large", 100, {.wide = true, .margin = 0},
                 [](const Recipe& recipe) { compiles<float>(resolve(recipe)); });
  set_num_threads(before);
}

TEST_CASE("Hessians at once, and by their pattern, are those row by row") {
  check_programs("Hessians", 2000, {.margin = 0.1}, [](const Recipe& recipe) {
    const Program program = resolve(recipe);
    const List<double> leaves = make_leaves<double>(program);
    for (std::size_t i = 0; i < leaves.size(); ++i) {
      const auto f = [&](const Tensor<double>& x) {
        List<double> all = leaves;
        all[i] = x;
        return run(program, all);
      };
      const std::size_t n = leaves[i].size();
      if (n == 0 || n > 40) continue;
      const Tensor<double> full = hessian(f, leaves[i]);
      const SparseMatrix<double> sparse = sparse_hessian(f, leaves[i]);
      Tensor<double> by_pattern = zeros<double>({n, n});
      for (std::size_t k = 0; k < sparse.rows.size(); ++k)
        by_pattern.mutable_data()[sparse.rows[k] * n + sparse.columns[k]] = sparse.values.data()[k];
      for (std::size_t row = 0; row < n; ++row) {
        Tensor<double> unit = zeros<double>(leaves[i].shape());
        unit.mutable_data()[row] = 1;
        const Tensor<double> expected = hvp(f, leaves[i], unit).second;
        for (std::size_t k = 0; k < n; ++k)
          for (const Tensor<double>& matrix : {full, by_pattern}) {
            const double e = expected.data()[k], got = matrix.data()[row * n + k];
            if (std::isfinite(e) && !(std::abs(got - e) <= 1e-8 * (1 + std::abs(e))))
              throw Broken("an element of the Hessian is " + std::to_string(got) + ", and not " +
                           std::to_string(e));
          }
      }
    }
  });
}
