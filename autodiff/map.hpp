// map: a scalar function of the user's as one fused node.
#pragma once
#include <memory>
#include <type_traits>
#include <vector>

#include "checkpoint.hpp"
#include "elementwise.hpp"

namespace xtape {

namespace detail {

template <class T>
struct ProgramHandle {
  std::shared_ptr<Program<T>> program;
  std::vector<Symbol<T>> arguments;
};

template <class T>
ProgramHandle<T> start_program(std::size_t arguments);
template <class T>
void finish_program(Program<T>& program, const Symbol<T>& result);
template <class T>
Tensor<T> run_program(std::shared_ptr<const Program<T>> program, const std::vector<Tensor<T>>& x,
                      Function<T> f);

template <class T, class F, std::size_t... I>
std::shared_ptr<const Program<T>> trace(const F& f, std::index_sequence<I...>) {
  ProgramHandle<T> handle = start_program<T>(sizeof...(I));
  const Symbol<T> result = f(handle.arguments[I]...);
  finish_program(*handle.program, result);
  return handle.program;
}

}  // namespace detail

/// f(x, …) element by element, of the broadcast shape. f is a generic lambda over numbers, written with
/// xtape's elementwise operations and comparisons; where() takes the place of a branch, and a branch does not
/// compile. f is called once with symbols and leaves a short program, which then runs over tiles that stay in
/// the cache, forward and backward, as one node that keeps only its arguments. Gradients can be
/// differentiated again. Error when the shapes do not broadcast, and for more than 30 arguments.
template <class F, class T, class... Rest>
Tensor<T> map(F f, const Tensor<T>& x, const Rest&... rest) {
  constexpr auto all = std::make_index_sequence<1 + sizeof...(Rest)>();
  // Traced at every call: even a lambda without captures may read a global.
  std::shared_ptr<const detail::Program<T>> program = detail::trace<T>(f, all);
  return detail::run_program<T>(std::move(program), {x, detail::as<Tensor<T>>(rest)...},
                                detail::unpacking<T>(std::move(f), all));
}

}  // namespace xtape
