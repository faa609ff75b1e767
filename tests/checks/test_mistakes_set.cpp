// The sets of mistakes themselves: what they say is right and wrong is so.
#include <set>

#include <doctest/doctest.h>

#include "mistakes_graph.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

/// That names are unique, the trusted gradients are the tape's, and the others wrong. The right formulas are
/// checked where the lists are built, which throws.
template <class T>
void check(const std::vector<MistakeOf<T>>& list, std::set<std::string>& names) {
  for (const MistakeOf<T>& mistake : list) {
    CAPTURE(mistake.name);
    CHECK(names.insert(mistake.name).second);
    CHECK_FALSE(mistake.kind.empty());
    CHECK_FALSE(mistake.explanation.empty());
    for (const Expectation& groups : mistake.any_of) {
      CHECK_FALSE(groups.empty());
      for (const Words& words : groups)
        for (const std::string& word : words) CHECK(word == lower_case(word));
    }
    const double difference = relative_difference(mistake.trusted, mistake.mine);
    CHECK(difference > (sizeof(T) == 8 ? 9e-7 : 1e-3));
    CHECK(difference < 2 + 1e-12);
    for (const T x : mistake.mine) CHECK(std::isfinite(x));

    const Tensor<T> tape = grad(mistake.loss(), mistake.parameter);
    CHECK(relative_difference(tape * mistake.passes, mistake.trusted) < (sizeof(T) == 8 ? 1e-13 : 1e-6));
  }
}

}  // namespace

TEST_CASE("mistakes: set A") {
  std::set<std::string> names;
  const auto list = mistakes_a();
  check(list, names);
  MESSAGE(list.size() << " mistakes in set A");
}

TEST_CASE("mistakes: set B") {
  std::set<std::string> names;
  const auto list = mistakes_b();
  check(list, names);
  MESSAGE(list.size() << " mistakes in set B");
}
