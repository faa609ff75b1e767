// Mistakes as learners make them when they derive gradients by hand, and how a hint about one is judged.
#pragma once
#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include <autodiff/autodiff.hpp>

namespace xtape::test {

/// Alternatives in lower case: a text has the words when it contains one of them.
using Words = std::vector<std::string>;
/// A hint is right when it has the words of every group.
using Expectation = std::vector<Words>;

/// A hand-derived gradient that is wrong, for a known reason.
template <class T>
struct MistakeOf {
  std::string name;  ///< unique: graph, mistake, row
  std::string kind;  ///< the same on several graphs
  std::string row;   ///< the parameter's name
  Tensor<T> parameter;
  Tensor<T> trusted, mine;
  std::function<Tensor<T>()> loss;  ///< builds the whole graph from its parameters, which require a gradient
  std::vector<Expectation> any_of;  ///< a hint is right by any of these; none: no hint is right
  Words never;                      ///< but a hint with one of these blames something else
  std::string explanation;          ///< what such a hint might say
  double passes = 1;  ///< trusted is so many times the gradient of `loss`, where zero_grad() was forgotten
};
using Mistake = MistakeOf<double>;

/// The sets, of the same kinds on different graphs: A may be looked at, B is for judging, and C was written
/// without a look at the search, after questions that people asked.
std::vector<Mistake> mistakes_a();
std::vector<Mistake> mistakes_b();
std::vector<Mistake> mistakes_c();
std::vector<MistakeOf<float>> mistakes_float_a();
std::vector<MistakeOf<float>> mistakes_float_b();
/// Wrong gradients that no hint explains: of graphs of their own, and of set C's.
std::vector<Mistake> nothing();
std::vector<Mistake> nothing_c();

/// Of ASCII letters; others stay.
inline std::string lower_case(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

/// Whether the hint names the mistake. For one of nothing(), whether there is no hint.
template <class T>
bool is_right(const MistakeOf<T>& mistake, const std::string& hint) {
  if (mistake.any_of.empty()) return hint.empty();
  const std::string text = lower_case(hint);
  const auto has = [&](const Words& words) {
    return std::any_of(words.begin(), words.end(),
                       [&](const std::string& word) { return text.find(word) != std::string::npos; });
  };
  return !has(mistake.never) &&
         std::any_of(mistake.any_of.begin(), mistake.any_of.end(), [&](const Expectation& groups) {
           return std::all_of(groups.begin(), groups.end(), has);
         });
}

}  // namespace xtape::test
