// Checkpoints: computing again instead of keeping, less memory for a second forward pass.
#pragma once
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tensor.hpp"

namespace xtape {

namespace detail {
template <class T>
using Function = std::function<Tensor<T>(const std::vector<Tensor<T>>&)>;

/// f(x) as one node: the pass runs f again, recorded, and continues through it.
template <class T>
Tensor<T> checkpoint(Function<T> f, const std::vector<Tensor<T>>& x);

template <class T, class F, std::size_t... I>
Function<T> unpacking(F f, std::index_sequence<I...>) {
  return [f = std::move(f)](const std::vector<Tensor<T>>& x) -> Tensor<T> { return f(x[I]...); };
}

/// f of several tensors, which it takes as a list or one by one. Error, naming `op`, when it takes another
/// number of them.
template <class T, std::size_t N = 2, class F>
Tensor<T> call(const char* op, F& f, const std::vector<Tensor<T>>& x) {
  constexpr std::size_t most = 8;
  if constexpr (std::is_invocable_v<F&, const std::vector<Tensor<T>>&>) {
    return f(x);
  } else if constexpr (N > most) {
    throw Error(op, "f does not take " + std::to_string(x.size()) +
                        " tensors: write it over const std::vector<Tensor<T>>&");
  } else {
    constexpr auto takes = []<std::size_t... I>(std::index_sequence<I...>) {
      return std::is_invocable_v<F&, std::conditional_t<I == N, void, const Tensor<T>&>...>;
    };
    if constexpr (takes(std::make_index_sequence<N>()))
      if (x.size() == N) return [&]<std::size_t... I>(std::index_sequence<I...>)->Tensor<T> {
          return f(x[I]...);
        }
    (std::make_index_sequence<N>());
    return call<T, N + 1>(op, f, x);
  }
}
}  // namespace detail

/// f(x, …), keeping only the arguments: the backward pass, and forward mode, compute f again for its
/// intermediates. Gradients are those of f, also for leaves that f captures. f must compute the same again:
/// the random generator is set back for it, and what else f reads, such as a global or a number captured by
/// reference, must not have changed, as that is not seen. Error, in the backward pass, when a captured tensor
/// was assigned since, or the shape is another one than at first.
template <class F, class T, class... Rest>
Tensor<T> checkpoint(F f, const Tensor<T>& x, const Rest&... rest) {
  const detail::Function<T> function =
      detail::unpacking<T>(std::move(f), std::make_index_sequence<1 + sizeof...(Rest)>());
  return detail::checkpoint<T>(function, {x, rest...});
}

}  // namespace xtape
