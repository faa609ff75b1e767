// What tests/mutation/mutate.py puts in place of the operators of a derivative: f(n, …) does what was
// written, unless mutant n, or one of those numbered from n on, is the one that this process runs.
#pragma once
#include <cstdlib>
#include <type_traits>

namespace mutant {

/// From the environment variable XTAPE_MUTANT; 0 without one.
extern const int active;

/// The mutation is not one for these types, such as a difference of pointers: the process ends and says so.
[[noreturn]] inline void does_not_apply() { std::_Exit(77); }

/// b as what a is, where that can be.
template <class A, class B>
A as(const B& b) {
  if constexpr (std::is_constructible_v<A, const B&> && std::is_pointer_v<A> == std::is_pointer_v<B>)
    return A(b);
  else
    does_not_apply();
}

template <class A, class B>
inline constexpr bool is_offset = std::is_pointer_v<A> || (std::is_integral_v<A> && std::is_integral_v<B>);

inline bool is(int n) { return active == n; }
inline bool flip(int n, bool b) { return is(n) ? !b : b; }
template <class A, class B>
A pick(int n, const A& a, const B& b) {
  return is(n) ? as<A>(b) : a;
}

/// a with the other sign.
template <class A>
auto sign(int n, const A& a) {
  if (!is(n)) return a;
  if constexpr (
      requires { a.data(); } || requires { A::size; } || std::is_floating_point_v<A>)
    return as<A>(-a);
  else
    does_not_apply();
}
template <class A>
auto negative(int n, const A& a) {
  auto result = -a;
  return is(n) ? as<decltype(result)>(a) : result;
}
/// An offset is dropped, for no element lies before the first.
template <class A, class B>
auto plus(int n, const A& a, const B& b) {
  auto result = a + b;
  if constexpr (is_offset<A, B>)
    return is(n) ? as<decltype(result)>(a) : result;
  else
    return is(n) ? as<decltype(result)>(a - b) : result;
}
template <class A, class B>
auto minus(int n, const A& a, const B& b) {
  auto result = a - b;
  using R = decltype(result);
  if constexpr (is_offset<A, B>) {
    if (is(n) || is(n + 1)) does_not_apply();
  } else {
    if (is(n)) return as<R>(a + b);
    if (is(n + 1)) return as<R>(b - a);
  }
  return result;
}
template <class A, class B>
auto times(int n, const A& a, const B& b) {
  auto result = a * b;
  using R = decltype(result);
  return is(n) ? as<R>(a) : is(n + 1) ? as<R>(b) : result;
}
template <class A, class B>
auto over(int n, const A& a, const B& b) {
  auto result = a / b;
  using R = decltype(result);
  if (is(n)) return as<R>(a);
  if (!is(n + 1)) return result;
  if constexpr (is_offset<A, B>)
    does_not_apply();
  else
    return as<R>(b / a);
}

}  // namespace mutant
