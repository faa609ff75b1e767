// compile: what a function records, run again without recording it.
#pragma once
#include <array>
#include <concepts>
#include <functional>
#include <iosfwd>
#include <memory>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "tensor.hpp"

namespace xtape {

namespace detail {

/// The programs and plans of one function, by the shapes of its arguments.
template <class T>
class CompiledFunction {
 public:
  using Function = std::function<std::vector<Tensor<T>>(std::span<const Tensor<T>>)>;
  explicit CompiledFunction(Function f);
  ~CompiledFunction();
  CompiledFunction(const CompiledFunction&) = delete;
  CompiledFunction& operator=(const CompiledFunction&) = delete;

  /// f(x…) with one node on the tape; several results one behind the other, flat.
  Tensor<T> call(std::span<const Tensor<T>> x);
  /// The results of f, of those that call() gave.
  std::vector<Tensor<T>> parts(const Tensor<T>& results) const;
  /// {f(x…), the gradients of leaves()}, as one run.
  std::pair<Tensor<T>, std::vector<Tensor<T>>> value_and_grad(std::span<const Tensor<T>> x);
  /// The same, with the gradients left in the leaves, where they replace those of before.
  Tensor<T> backward(std::span<const Tensor<T>> x);
  std::vector<Tensor<T>> leaves() const;
  void print(std::ostream& out) const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

/// The element type of a function's first argument, or without arguments of its result; double where that
/// cannot be known.
template <class F>
struct ElementOf {
  using type = double;
};
template <class Y>
struct ElementOfResult {
  using type = double;
};
template <class T>
struct ElementOfResult<Tensor<T>> {
  using type = T;
};
template <class T>
struct ElementOfResult<std::vector<Tensor<T>>> {
  using type = T;
};
template <class C, class Y, class First, class... Rest>
struct ElementOf<Y (C::*)(First, Rest...) const> : ElementOfResult<std::remove_cvref_t<First>> {};
template <class C, class Y>
struct ElementOf<Y (C::*)() const> : ElementOfResult<Y> {};
template <class F>
requires requires { &F::operator(); }
struct ElementOf<F> : ElementOf<decltype(&F::operator())> {};
template <class Y, class First, class... Rest>
struct ElementOf<Y (*)(First, Rest...)> : ElementOfResult<std::remove_cvref_t<First>> {};

}  // namespace detail

/// A function that runs what it has recorded: see compile().
template <class F>
class Compiled {
 public:
  explicit Compiled(F f) : function_(std::make_shared<F>(std::move(f))) {}

  /// The function's value: with its bits, and its gradients, of any order. Where it is recorded, it is one
  /// node.
  template <class T, std::same_as<Tensor<T>>... Rest>
  auto operator()(const Tensor<T>& x, const Rest&... rest) const {
    const std::array<Tensor<T>, 1 + sizeof...(Rest)> in{x, rest...};
    return call<T, const Tensor<T>&, As<Rest, const Tensor<T>&>...>(in);
  }
  auto operator()() const { return call<Element>({}); }
  /// The same of a function of a list.
  template <class T>
  auto operator()(const std::vector<Tensor<T>>& x) const {
    return call<T, const std::vector<Tensor<T>>&>(x);
  }

  /// {the value, the gradients in the order of leaves()} of a function with one element, without the tape.
  template <class T, std::same_as<Tensor<T>>... Rest>
  std::pair<Tensor<T>, std::vector<Tensor<T>>> value_and_grad(const Tensor<T>& x, const Rest&... rest) const {
    const std::array<Tensor<T>, 1 + sizeof...(Rest)> in{x, rest...};
    return state<T, const Tensor<T>&, As<Rest, const Tensor<T>&>...>().value_and_grad(in);
  }
  auto value_and_grad() const { return state<Element>().value_and_grad({}); }
  template <class T>
  std::pair<Tensor<T>, std::vector<Tensor<T>>> value_and_grad(const std::vector<Tensor<T>>& x) const {
    return state<T, const std::vector<Tensor<T>>&>().value_and_grad(x);
  }

  /// The leaves that its value depends on, as far as they were read by the last call: those that it captures,
  /// then the arguments that required a gradient.
  template <class T = typename detail::ElementOf<F>::type>
  std::vector<Tensor<T>> leaves() const {
    const auto& made = std::get<std::unique_ptr<detail::CompiledFunction<T>>>(*states_);
    return made ? made->leaves() : std::vector<Tensor<T>>();
  }

  friend std::ostream& operator<<(std::ostream& out, const Compiled& f) {
    std::apply([&](const auto&... made) { ((made ? made->print(out) : void()), ...); }, *f.states_);
    return out;
  }

 private:
  using Element = typename detail::ElementOf<F>::type;
  template <class, class B>
  using As = B;

  template <class T, class... A>
  static constexpr bool returns_one = std::is_convertible_v<std::invoke_result_t<F&, A...>, Tensor<T>>;

  /// What f gives for arguments of the types A, as a list.
  template <class T, class... A>
  static std::vector<Tensor<T>> run(F& f, std::span<const Tensor<T>> x) {
    const auto result = [&]<std::size_t... I>(std::index_sequence<I...>) {
      if constexpr ((std::is_same_v<A, const std::vector<Tensor<T>>&> || ...))
        return f(std::vector<Tensor<T>>(x.begin(), x.end()));
      else
        return f(x[I]...);
    }
    (std::make_index_sequence<sizeof...(A)>());
    if constexpr (returns_one<T, A...>)
      return {Tensor<T>(result)};
    else
      return result;
  }
  template <class T, class... A>
  detail::CompiledFunction<T>& state() const {
    auto& made = std::get<std::unique_ptr<detail::CompiledFunction<T>>>(*states_);
    if (!made)
      made = std::make_unique<detail::CompiledFunction<T>>(
          [f = function_](std::span<const Tensor<T>> x) { return run<T, A...>(*f, x); });
    return *made;
  }
  template <class T, class... A>
  auto call(std::span<const Tensor<T>> x) const {
    detail::CompiledFunction<T>& own = state<T, A...>();
    Tensor<T> y = own.call(x);
    if constexpr (returns_one<T, A...>)
      return y;
    else
      return own.parts(y);
  }

  using States = std::tuple<std::unique_ptr<detail::CompiledFunction<float>>,
                            std::unique_ptr<detail::CompiledFunction<double>>>;
  std::shared_ptr<F> function_;
  std::shared_ptr<States> states_ = std::make_shared<States>();
};

/// A function of tensors, (Tensor…) -> Tensor or std::vector<Tensor>, that is traced at its first call for
/// each set of shapes, and then run as a plan: without the tape, without an allocation, in an arena. Value and
/// gradients have the bits of the function itself. Copies share what they have traced.
///
///     auto loss = compile([&](const Tensor<double>& x) { return sum(square(linear(x, W, b))); });
///     auto [value, gradients] = loss.value_and_grad(x);
///
/// Leaves and other tensors that the function captures are read anew at each call, so they may be assigned
/// between calls, as may running statistics within it; random numbers are drawn anew. What the function reads
/// besides, such as a number or a variable that is bound to another tensor, is that of the first call: a
/// second trace, at the second, fourth, eighth … call, is compared with the first, and names what differs.
/// Errors: a number that is read on the way (item(), value(), data()); a recorded tensor that is no argument;
/// backward() within. In another trace, and where operations are watched (jvp, Profile, DetectAnomaly), the
/// function itself runs.
template <class F>
Compiled<std::decay_t<F>> compile(F&& f) {
  return Compiled<std::decay_t<F>>(std::forward<F>(f));
}

}  // namespace xtape
