// vmap: a function of single samples on a batch of them at once.
#pragma once
#include <array>
#include <functional>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "tensor.hpp"

namespace xtape {

/// The axis of an argument that vmap() gives whole to each call. No variable, so that one of a program's own
/// may have its name.
enum : std::ptrdiff_t { none = std::numeric_limits<std::ptrdiff_t>::min() };

/// How a function is mapped.
struct VmapOptions {
  /// The axis of each argument that counts the samples, or none; 0 for an argument that is left out.
  std::vector<std::ptrdiff_t> in = {};
  std::ptrdiff_t out = 0;            ///< where that axis is in the result
  bool same_random_numbers = false;  ///< draws once for all samples
};

namespace detail {

template <class T>
std::vector<Tensor<T>> vmap(const std::function<std::vector<Tensor<T>>(const std::vector<Tensor<T>>&)>& f,
                            const std::vector<Tensor<T>>& x, const VmapOptions& options);

}  // namespace detail

/// vmap(f)(x, …) is what f gives for each sample of its arguments, stacked, as if it were called in a loop: f
/// is traced once, for one sample, and its operations then run for all of them. It may take gradients within,
/// which are those of each sample; and what vmap gives can be differentiated, compiled and mapped again.
///
///     const auto slope = [&](const auto& x, const auto& y) { return grad(loss(x, y), w); };
///     const auto slopes = vmap(slope)(xs, ys);  // (samples, shape of w…)
///
/// Arguments are (…, samples, …), with the axis of samples where options.in says, and results likewise, by
/// options.out. Random numbers are drawn for each sample. A function that holds a rule of custom() or a
/// checkpoint, which is recorded, is called sample by sample; so are operations that have no form for a
/// batch: see program.md.
///
/// Errors: arguments with different numbers of samples, or none of them with any; an axis out of range; what
/// a trace refuses, see compile(); an assignment within.
template <class F>
auto vmap(F f, VmapOptions options = {}) {
  return [f = std::move(f), options = std::move(options)]<class T, class... Rest>(const Tensor<T>& x,
                                                                                  const Rest&... rest) {
    constexpr auto all = std::make_index_sequence<1 + sizeof...(Rest)>();
    using Result = std::remove_cvref_t<std::invoke_result_t<const F&, const Tensor<T>&, const Rest&...>>;
    const auto list = [&]<std::size_t... I>(const std::vector<Tensor<T>>& in, std::index_sequence<I...>) {
      if constexpr (std::is_same_v<Result, Tensor<T>>)
        return std::vector<Tensor<T>>{f(in[I]...)};
      else
        return f(in[I]...);
    };
    std::vector<Tensor<T>> y = detail::vmap<T>(
        [&](const std::vector<Tensor<T>>& in) { return list(in, all); }, {x, rest...}, options);
    if constexpr (std::is_same_v<Result, Tensor<T>>)
      return y.front();
    else
      return y;
  };
}

}  // namespace xtape
