// The sets of mistakes themselves: what they say is right and wrong is so.
#include <map>
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
  check(mistakes_a(), names);
  check(mistakes_float_a(), names);
  CHECK(names.size() >= 100);
}

TEST_CASE("mistakes: set B") {
  std::set<std::string> names;
  check(mistakes_b(), names);
  check(mistakes_float_b(), names);
  CHECK(names.size() >= 100);
}

TEST_CASE("mistakes: set C") {
  std::set<std::string> names;
  check(mistakes_c(), names);
  CHECK(names.size() >= 80);
}

TEST_CASE("mistakes: nothing to explain") {
  std::set<std::string> names;
  const auto list = nothing(), list_c = nothing_c();
  check(list, names);
  check(list_c, names);
  CHECK(list.size() >= 40);
  CHECK(list_c.size() >= 8);
  for (const Mistake& mistake : list) CHECK(mistake.any_of.empty());
  for (const Mistake& mistake : list_c) CHECK(mistake.any_of.empty());
}

TEST_CASE("mistakes: an explanation is right for its own mistake, and wrong for the others") {
  for (const auto& list : {mistakes_a(), mistakes_b(), mistakes_c()})
    for (const Mistake& mistake : list) {
      const std::string graph = mistake.name.substr(0, mistake.name.find(':'));
      CAPTURE(mistake.name);
      CHECK(is_right(mistake, mistake.explanation));
      CHECK_FALSE(is_right(mistake, ""));
      CHECK_FALSE(is_right(mistake, "all elements are a little different, as if by chance"));
      for (const Mistake& other : list) {
        if (other.name == mistake.name || other.row != mistake.row || other.kind == "pair" ||
            other.name.substr(0, other.name.find(':')) != graph)
          continue;  // of a pair, one half may be what this is about
        CAPTURE(other.explanation);
        CHECK_FALSE(is_right(mistake, other.explanation));
      }
    }
}

TEST_CASE("mistakes: each kind is on several graphs") {
  std::map<std::string, std::set<std::string>> graphs;
  for (const auto& list : {mistakes_a(), mistakes_b(), mistakes_c()})
    for (const Mistake& mistake : list)
      graphs[mistake.kind].insert(mistake.name.substr(0, mistake.name.find(':')));
  for (const auto& kind : graphs) {
    CAPTURE(kind.first);
    CHECK(kind.second.size() >= 2);
  }
}
