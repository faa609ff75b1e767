// Row kernels of the elementwise operations, made from their rules.
#pragma once
#include <array>
#include <utility>

#include "batch_functions.hpp"  // before the rules, which find the functions of batches by name
#include "kernel_table.hpp"
#include "rule_traits.hpp"

namespace xtape::detail {

/// Rules say where they are a few instructions, without exp, log or sin: their loops are worth more code than
/// those that call functions.
template <class Rule>
inline constexpr bool is_cheap = requires {
  Rule::is_cheap;
};
template <class Rule>
inline constexpr bool has_cheap_gradient = is_cheap<Rule> || derives_from_output<Rule> || requires {
  Rule::has_cheap_gradient;
};

/// y = f(x…) on a row; operands outside of `used` are not read. What an element becomes does not depend on
/// where the row ends: lanes beyond it repeat a number that is there, which takes no other path and raises no
/// other flag.
template <bool cheap, unsigned used, class B, class T, class F, std::size_t... K>
void run_row(T* y, bool accumulate, std::size_t n, const T* const* operands, const std::ptrdiff_t* stride,
             const F& f, std::index_sequence<K...>) {
  constexpr std::size_t W = B::size;
  // Of our own: a store of a batch might change what the caller's array holds, for all that the compiler
  // knows.
  const std::array<const T*, sizeof...(K)> x{operands[K]...};
  std::size_t i = 0;
  if constexpr (cheap) {
    // Whole batches, where at most one operand is a number: known at compile time, it stays in a register.
    const auto batches = [&]<bool accumulates, std::size_t number>(
                             std::bool_constant<accumulates>, std::integral_constant<std::size_t, number>) {
      const B constant = number < sizeof...(K) ? B(*x[number < sizeof...(K) ? number : 0]) : B(T(0));
      const auto read = [&](std::size_t k, std::size_t at) {
        if (!(used >> k & 1u)) return B(T(0));
        return k == number ? constant : B::load_unaligned(x[k] + at);
      };
      const auto write = [&](std::size_t at) {
        B result = f(read(K, at)...);
        if constexpr (accumulates) result += B::load_unaligned(y + at);
        result.store_unaligned(y + at);
      };
      for (; i + 4 * W <= n; i += 4 * W) write(i), write(i + W), write(i + 2 * W), write(i + 3 * W);
      for (; i + W <= n; i += W) write(i);
    };
    const auto choose = [&](auto number) {
      accumulate ? batches(std::true_type(), number) : batches(std::false_type(), number);
    };
    const unsigned numbers = ((used >> K & 1u && stride[K] == 0 ? 1u << K : 0u) | ...);
    const auto if_alone = [&]<std::size_t k>(std::integral_constant<std::size_t, k> number) {
      if constexpr ((used >> k & 1u) != 0)
        if (numbers == 1u << k) choose(number);
    };
    if (n >= W) {
      if (numbers == 0) choose(std::integral_constant<std::size_t, sizeof...(K)>());
      (if_alone(std::integral_constant<std::size_t, K>()), ...);
    }
  }
  // One number is read again and again from a batch of copies, so that reading does not branch.
  alignas(B) T copies[sizeof...(K)][W];
  std::array<const T*, sizeof...(K)> from{};
  std::array<std::size_t, sizeof...(K)> mask{};
  const auto start = [&](std::size_t k) {
    if (!(used >> k & 1u)) return;
    from[k] = stride[k] == 0 ? copies[k] : x[k];
    mask[k] = stride[k] == 0 ? 0 : ~std::size_t(0);
    if (stride[k] == 0) B(*x[k]).store_aligned(copies[k]);
  };
  const auto whole = [&](std::size_t k) {
    return used >> k & 1u ? B::load_unaligned(from[k] + (i & mask[k])) : B(T(0));
  };
  const auto part = [&](std::size_t k) {
    if (!(used >> k & 1u)) return B(T(0));
    return stride[k] == 0 ? B(*x[k]) : load_part(x[k] + i, n - i, B(x[k][i]));
  };
  if (n - i >= W) (start(K), ...);
  if constexpr (cheap) {
    for (; i + W <= n; i += W) store(y + i, W, accumulate, B(f(whole(K)...)));
    if (i < n) store(y + i, n - i, accumulate, B(f(part(K)...)));
  } else {
    for (; i < n; i += W) store(y + i, n - i, accumulate, B(f((n - i >= W ? whole(K) : part(K))...)));
  }
}

/// Operands: the N inputs.
template <class T, class Rule, std::size_t N, class Arch = xsimd::default_arch>
constexpr RowKernel<T> value_kernel() {
  return [](const void* op, T* y, bool accumulate, std::size_t n, const T* const* x,
            const std::ptrdiff_t* stride) {
    const Rule rule = *static_cast<const Rule*>(op);
    run_row<is_cheap<Rule>, (1u << N) - 1u, xsimd::batch<T, Arch>>(
        y, accumulate, n, x, stride, [&rule](const auto&... in) { return rule.value(in...); },
        std::make_index_sequence<N>());
  };
}

/// Operands: the adjoint, the N inputs, the output; those that the gradient of input I does not use may be
/// null.
template <class T, class Rule, std::size_t N, std::size_t I, class Arch = xsimd::default_arch>
constexpr RowKernel<T> gradient_kernel() {
  return [](const void* op, T* y, bool accumulate, std::size_t n, const T* const* x,
            const std::ptrdiff_t* stride) {
    using B = xsimd::batch<T, Arch>;
    const Rule rule = *static_cast<const Rule*>(op);
    constexpr unsigned kept = kept_by<Rule>(I);
    constexpr unsigned used = 1u | (kept & ~ops::y_) << 1 | (kept & ops::y_ ? 1u << (N + 1) : 0u);
    const auto f = [&rule]<std::size_t... K>(std::index_sequence<K...>) {
      return [&rule](const B& g, const auto&... in) {
        const B all[] = {in...};
        return gradient<I>(rule, g, all[N], all[K]...);
      };
    };
    run_row<has_cheap_gradient<Rule>, used, B>(y, accumulate, n, x, stride, f(std::make_index_sequence<N>()),
                                               std::make_index_sequence<N + 2>());
  };
}

}  // namespace xtape::detail
