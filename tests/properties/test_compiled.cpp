// A compiled program gives the bits of the program, forward and backward.
#include "generate.hpp"
#include "properties.hpp"

#include <autodiff/compile.hpp>

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
  check_programs("compiled", 10000, {.margin = 0},
                 [](const Recipe& recipe) { compiles<T>(resolve(recipe)); });
}

TEST_CASE("compiled programs give the same bits with threads") {
  const int before = num_threads();
  set_num_threads(2);
  check_programs("compiled, large", 100, {.wide = true, .margin = 0},
                 [](const Recipe& recipe) { compiles<float>(resolve(recipe)); });
  set_num_threads(before);
}
