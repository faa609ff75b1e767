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
  constexpr std::size_t W = B::size, N = sizeof...(K), unrolled = cheap ? 4 : 1;
  // Of our own: a store of a batch might change what the caller's array holds, for all that the compiler
  // knows.
  const std::array<const T*, N> x{operands[K]...};
  std::size_t i = 0;
  // One number is read again and again from batches of copies, so that reading does not branch.
  alignas(B) T copies[N][unrolled * W];
  std::array<const T*, N> from{};
  std::array<std::size_t, N> mask{};
  const auto start = [&](std::size_t k) {
    if (!(used >> k & 1u)) return;
    from[k] = stride[k] == 0 ? copies[k] : x[k];
    mask[k] = stride[k] == 0 ? 0 : ~std::size_t(0);
    if (stride[k] == 0)
      for (std::size_t u = 0; u < unrolled; ++u) B(*x[k]).store_aligned(copies[k] + u * W);
  };
  const auto whole = [&](std::size_t k) {
    return used >> k & 1u ? B::load_unaligned(from[k] + (i & mask[k])) : B(T(0));
  };
  const auto part = [&](std::size_t k) {
    if (!(used >> k & 1u)) return B(T(0));
    return stride[k] == 0 ? B(*x[k]) : load_part(x[k] + i, n - i, B(x[k][i]));
  };
  if (n >= W) (start(K), ...);
  if constexpr (cheap) {
    const auto batches = [&]<bool accumulates>(std::bool_constant<accumulates>) {
      for (; i + unrolled * W <= n; i += unrolled * W) {
        const std::array<const T*, N> at{from[K] + (i & mask[K])...};
        for (std::size_t u = 0; u < unrolled; ++u) {
          B result = f((used >> K & 1u ? B::load_unaligned(at[K] + u * W) : B(T(0)))...);
          if constexpr (accumulates) result += B::load_unaligned(y + i + u * W);
          result.store_unaligned(y + i + u * W);
        }
      }
    };
    accumulate ? batches(std::true_type()) : batches(std::false_type());
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
