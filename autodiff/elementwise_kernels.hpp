// Row kernels of the elementwise operations, made from their rules.
#pragma once
#include <array>
#include <utility>

#include "batch_functions.hpp"  // before the rules, which find the functions of batches by name
#include "kernel_table.hpp"
#include "rule_traits.hpp"

namespace xtape::detail {

/// An operand of a row kernel, read batch by batch. One number (stride 0) is read again and again from a
/// batch of copies, so that reading does not branch.
template <class B>
class RowOperand {
  using T = typename B::value_type;

 public:
  RowOperand() = default;
  RowOperand(const RowOperand&) = delete;
  RowOperand& operator=(const RowOperand&) = delete;
  void start(const T* x, std::ptrdiff_t stride) {
    step_ = static_cast<std::size_t>(stride) * B::size;
    next_ = stride == 0 ? copies_ : x;
    if (stride == 0) B(*x).store_aligned(copies_);
  }
  /// Lanes beyond the end repeat a number that is there: they take no other path and raise no other flag.
  B read(std::size_t left) {
    const T* from = next_;
    next_ += step_;
    return left >= B::size || step_ == 0 ? B::load_unaligned(from) : load_part(from, left, B(*from));
  }

 private:
  const T* next_;
  std::size_t step_;
  alignas(B) T copies_[B::size];
};

/// y = f(x…) on a row; operands outside of `used` are not read. The last batch may be a part of one: what an
/// element becomes does not depend on where the row ends.
template <unsigned used, class B, class T, class F, std::size_t... K>
void run_row(T* y, bool accumulate, std::size_t n, const T* const* x, const std::ptrdiff_t* stride,
             const F& f, std::index_sequence<K...>) {
  std::array<RowOperand<B>, sizeof...(K)> operands;
  ((used >> K & 1u ? operands[K].start(x[K], stride[K]) : void()), ...);
  for (std::size_t i = 0; i < n; i += B::size) {
    const auto read = [&](auto& operand, bool is_used) { return is_used ? operand.read(n - i) : B(T(0)); };
    store(y + i, n - i, accumulate, B(f(read(operands[K], (used >> K & 1u) != 0)...)));
  }
}

/// Operands: the N inputs.
template <class T, class Rule, std::size_t N, class Arch = xsimd::default_arch>
constexpr RowKernel<T> value_kernel() {
  return [](const void* op, T* y, bool accumulate, std::size_t n, const T* const* x,
            const std::ptrdiff_t* stride) {
    const Rule rule = *static_cast<const Rule*>(op);
    run_row<(1u << N) - 1u, xsimd::batch<T, Arch>>(
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
    run_row<used, B>(y, accumulate, n, x, stride, f(std::make_index_sequence<N>()),
                     std::make_index_sequence<N + 2>());
  };
}

}  // namespace xtape::detail
