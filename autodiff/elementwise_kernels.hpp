// Row kernels of the elementwise operations, made from their rules.
#pragma once
#include <array>
#include <type_traits>
#include <utility>

#include "activation_rules.hpp"
#include "kernels.hpp"

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

/// The adjoint of input I, on numbers or tensors.
template <std::size_t I, class Rule, class X, class... In>
auto gradient(const Rule& rule, const X& g, const X& y, const In&... x) {
  if constexpr (requires { Rule::keeps; })
    return rule.template gradient<static_cast<int>(I)>(g, x..., y);
  else if constexpr (derives_from_output<Rule>)
    return g * rule.derivative_from_output(y);
  else
    return g * rule.derivative(x...);
}

/// y = f(x…) on a row; operands outside of `used` are not read.
template <unsigned used, class T, class F, std::size_t... K>
void run_row(T* __restrict y, bool accumulate, std::size_t n, const T* const* x, const std::ptrdiff_t* stride,
             const F& f, std::index_sequence<K...>) {
  const auto at = [&]<std::size_t k>(std::integral_constant<std::size_t, k>, std::ptrdiff_t i) {
    if constexpr (used >> k & 1u)
      return x[k][i];
    else
      return T(0);
  };
  const bool contiguous = ((!(used >> K & 1u) || stride[K] == 1) && ...);
  const auto count = static_cast<std::ptrdiff_t>(n);
  if (contiguous && accumulate) {
    for (std::ptrdiff_t i = 0; i < count; ++i) y[i] += f(at(std::integral_constant<std::size_t, K>(), i)...);
  } else if (contiguous) {
    for (std::ptrdiff_t i = 0; i < count; ++i) y[i] = f(at(std::integral_constant<std::size_t, K>(), i)...);
  } else {
    for (std::ptrdiff_t i = 0; i < count; ++i) {
      const T result = f(at(std::integral_constant<std::size_t, K>(), i * stride[K])...);
      y[i] = accumulate ? y[i] + result : result;
    }
  }
}

/// Operands: the N inputs.
template <class T, class Rule, std::size_t N>
RowKernel<T> value_kernel() {
  return [](const void* op, T* y, bool accumulate, std::size_t n, const T* const* x,
            const std::ptrdiff_t* stride) {
    const Rule& rule = *static_cast<const Rule*>(op);
    run_row<(1u << N) - 1u>(
        y, accumulate, n, x, stride, [&rule](auto... in) { return rule.value(in...); },
        std::make_index_sequence<N>());
  };
}

/// Operands: the adjoint, the N inputs, the output; those that the gradient of input I does not use may be
/// null.
template <class T, class Rule, std::size_t N, std::size_t I>
RowKernel<T> gradient_kernel() {
  return [](const void* op, T* y, bool accumulate, std::size_t n, const T* const* x,
            const std::ptrdiff_t* stride) {
    const Rule& rule = *static_cast<const Rule*>(op);
    constexpr unsigned kept = kept_by<Rule>(I);
    constexpr unsigned used = 1u | (kept & ~ops::y_) << 1 | (kept & ops::y_ ? 1u << (N + 1) : 0u);
    const auto f = [&rule]<std::size_t... K>(std::index_sequence<K...>) {
      return [&rule](auto g, auto... in) {
        const std::array<T, N + 1> all{in...};
        return gradient<I>(rule, g, all[N], all[K]...);
      };
    };
    run_row<used>(y, accumulate, n, x, stride, f(std::make_index_sequence<N>()),
                  std::make_index_sequence<N + 2>());
  };
}

}  // namespace xtape::detail
