// What follows from a rule of an elementwise operation: how it gives its derivative, and what that keeps.
#pragma once
#include <array>
#include <type_traits>

#include "activation_rules.hpp"
#include "loss_rules.hpp"
#include "selection_rules.hpp"
#include "special_rules.hpp"

namespace xtape::detail {

template <class Rule>
struct ElementOf;
template <template <class> class Op, class T>
struct ElementOf<Op<T>> {
  using type = T;
};
template <class Rule, class T = typename ElementOf<Rule>::type>
inline constexpr bool derives_from_input = requires(Rule rule, T x) {
  rule.derivative(x);
};
template <class Rule, class T = typename ElementOf<Rule>::type>
inline constexpr bool derives_from_output = requires(Rule rule, T y) {
  rule.derivative_from_output(y);
};

/// Comparisons have no rule for gradients.
template <class Rule>
inline constexpr bool is_differentiable = requires {
  Rule::keeps;
}
|| derives_from_input<Rule> || derives_from_output<Rule>;

/// A rule with its numbers, where it has any.
template <class T, class Rule>
Rule make_rule(T p, T q) {
  if constexpr (std::is_base_of_v<ops::Parameters<T>, Rule>) {
    Rule rule;
    rule.p = p;
    rule.q = q;
    return rule;
  } else {
    return Rule{};
  }
}

/// What the gradient of input i uses: bits of inputs, and ops::y_ for the output.
template <class Rule>
constexpr unsigned kept_by(unsigned i) {
  if constexpr (!is_differentiable<Rule>)
    return ops::none;
  else if constexpr (requires { Rule::keeps; })
    return Rule::keeps[i];
  else if constexpr (derives_from_output<Rule>)
    return ops::y_;
  else
    return ops::a_;
}

/// Whether the gradient of input i is the adjoint itself.
template <class Rule>
constexpr bool passes_adjoint(unsigned i) {
  if constexpr (requires { Rule::passes_adjoint; })
    return Rule::passes_adjoint[i];
  else
    return false;
}

/// The same for all inputs, for code that serves many rules.
struct RuleTraits {
  std::array<unsigned, 3> kept{};
  std::array<bool, 3> passes_adjoint{};
};

template <class Rule>
constexpr RuleTraits traits_of() {
  RuleTraits traits;
  for (unsigned i = 0; i < 3; ++i) {
    if constexpr (requires { Rule::keeps; })
      if (i >= Rule::keeps.size()) break;
    traits.kept[i] = kept_by<Rule>(i);
    if (i == 0 || requires { Rule::passes_adjoint; }) traits.passes_adjoint[i] = passes_adjoint<Rule>(i);
  }
  return traits;
}

/// The adjoint of input I, on numbers, batches of them or symbols.
template <std::size_t I, class Rule, class X, class... In>
auto gradient(const Rule& rule, const X& g, const X& y, const In&... x) {
  if constexpr (requires { Rule::keeps; })
    return rule.template gradient<static_cast<int>(I)>(g, x..., y);
  else if constexpr (derives_from_output<Rule>)
    return g * rule.derivative_from_output(y);
  else
    return g * rule.derivative(x...);
}

}  // namespace xtape::detail
