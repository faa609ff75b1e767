// compile: what a function records, run again without recording it.
#pragma once
#include <array>
#include <concepts>
#include <functional>
#include <iosfwd>
#include <memory>
#include <mutex>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "indices.hpp"
#include "tensor.hpp"

namespace xtape {

namespace detail {

/// What is asked of a function whatever it gives.
class CompiledBase {
 public:
  virtual ~CompiledBase() = default;
  virtual std::size_t traces() const = 0;
  virtual void print(std::ostream& out) const = 0;
};
/// The programs and plans of one function, by the shapes of its arguments, tensors and Indices; T is the
/// element type of its result.
template <class T>
class CompiledFunction : public CompiledBase {
 public:
  using Arguments = std::span<const Handle>;
  using Function = std::function<std::vector<Tensor<T>>(Arguments)>;
  explicit CompiledFunction(Function f);
  ~CompiledFunction() override;
  CompiledFunction(const CompiledFunction&) = delete;
  CompiledFunction& operator=(const CompiledFunction&) = delete;

  /// f(x…) with one node on the tape.
  Tensor<T> call(Arguments x);
  /// The same of an f with several results, which are parts of that node's.
  std::vector<Tensor<T>> call_list(Arguments x);
  /// {f(x…), the gradients of leaves()}, as one run.
  std::pair<Tensor<T>, std::vector<Tensor<T>>> value_and_grad(Arguments x);
  /// The same, with the gradients left in the leaves, where they replace those of before.
  Tensor<T> backward(Arguments x);
  std::vector<Tensor<T>> leaves() const;
  /// Which program ran last on any thread.
  const void* last() const;
  std::size_t traces() const override;
  void print(std::ostream& out) const override;

 private:
  class State;
  std::unique_ptr<State> state_;
};

/// A name for the types of arguments.
template <class... A>
inline constexpr char signature = 0;

/// What one function has been compiled to, for each list of types of its arguments.
class CompiledSignatures {
 public:
  template <class T, class... A, class Make>
  CompiledFunction<T>& get(const Make& make) {
    const std::scoped_lock lock(mutex_);
    for (auto& [of, made] : all_)
      if (of == &signature<A...>) {
        last_ = made.get();
        return static_cast<CompiledFunction<T>&>(*made);
      }
    all_.emplace_back(&signature<A...>, make());
    last_ = all_.back().second.get();
    return static_cast<CompiledFunction<T>&>(*all_.back().second);
  }
  /// The one that ran last, if its result is of this type.
  template <class T>
  const CompiledFunction<T>* last() const {
    const std::scoped_lock lock(mutex_);
    return dynamic_cast<const CompiledFunction<T>*>(last_);
  }
  template <class F>
  void each(const F& f) const {
    const std::scoped_lock lock(mutex_);
    for (const auto& [of, made] : all_) f(*made);
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::pair<const void*, std::unique_ptr<CompiledBase>>> all_;
  const CompiledBase* last_ = nullptr;
};

/// The element type of a tensor or a list of them; void for others.
template <class Y>
struct ElementOfResult {
  using type = void;
};
template <class T>
struct ElementOfResult<Tensor<T>> {
  using type = T;
};
template <class T>
struct ElementOfResult<std::vector<Tensor<T>>> {
  using type = T;
};
/// Of what a function gives; double where that depends on its arguments.
template <class F>
struct ElementOf {
  using type = double;
};
template <class C, class Y, class... A>
struct ElementOf<Y (C::*)(A...) const> : ElementOfResult<Y> {};
template <class F>
requires requires { &F::operator(); }
struct ElementOf<F> : ElementOf<decltype(&F::operator())> {};
template <class Y, class... A>
struct ElementOf<Y (*)(A...)> : ElementOfResult<Y> {};

template <class A>
inline constexpr bool is_argument =
    std::is_same_v<A, Tensor<float>> || std::is_same_v<A, Tensor<double>> || std::is_same_v<A, Indices>;
}  // namespace detail

/// What a compiled function takes.
template <class A>
concept Argument = detail::is_argument<A>;

/// A function that runs what it has recorded: see compile().
template <class F>
class Compiled {
 public:
  explicit Compiled(F f) : function_(std::make_shared<F>(std::move(f))) {}

  /// The function's value: with its bits, and its gradients, of any order. Where it is recorded, it is one
  /// node.
  template <Argument... A>
  auto operator()(const A&... x) const {
    return call<A...>(std::array<detail::Handle, sizeof...(A)>{x.handle()...});
  }
  /// The same of a function of a list.
  template <class T>
  auto operator()(const std::vector<Tensor<T>>& x) const {
    return call<std::vector<Tensor<T>>>(handles(x));
  }

  /// {the value, the gradients in the order of leaves()} of a function with one element, without the tape.
  template <Argument... A>
  auto value_and_grad(const A&... x) const {
    return state<A...>().value_and_grad(std::array<detail::Handle, sizeof...(A)>{x.handle()...});
  }
  template <class T>
  auto value_and_grad(const std::vector<Tensor<T>>& x) const {
    return state<std::vector<Tensor<T>>>().value_and_grad(handles(x));
  }

  /// The value of a function with one element, whose gradients are left in the leaves that it captures, in
  /// the place of those that were there: zero_grad() and backward() at once.
  template <Argument... A>
  auto backward(const A&... x) const {
    return state<A...>().backward(std::array<detail::Handle, sizeof...(A)>{x.handle()...});
  }

  /// The leaves that its value depends on, as of the last call: those that it captures, then the arguments
  /// that required a gradient.
  template <class T = typename detail::ElementOf<F>::type>
  std::vector<Tensor<T>> leaves() const {
    const detail::CompiledFunction<T>* const made = states_->last<T>();
    return made ? made->leaves() : std::vector<Tensor<T>>();
  }
  /// Identifies the program that the last call ran.
  template <class T = typename detail::ElementOf<F>::type>
  const void* last() const {
    const detail::CompiledFunction<T>* const made = states_->last<T>();
    return made ? made->last() : nullptr;
  }

  /// How often the function has run, to be traced.
  std::size_t traces() const {
    std::size_t n = 0;
    states_->each([&](const detail::CompiledBase& made) { n += made.traces(); });
    return n;
  }

  friend std::ostream& operator<<(std::ostream& out, const Compiled& f) {
    f.states_->each([&](const detail::CompiledBase& made) { made.print(out); });
    return out;
  }

 private:
  template <class... A>
  using Result = std::remove_cvref_t<std::invoke_result_t<F&, const A&...>>;
  template <class... A>
  using Element = typename detail::ElementOfResult<Result<A...>>::type;

  template <class T>
  static std::vector<detail::Handle> handles(const std::vector<Tensor<T>>& x) {
    std::vector<detail::Handle> all;
    for (const Tensor<T>& one : x) all.push_back(one.handle());
    return all;
  }

  /// What f gives for arguments of the types A, as a list.
  template <class... A>
  static std::vector<Tensor<Element<A...>>> run(F& f, std::span<const detail::Handle> x) {
    const auto result = [&]<std::size_t... I>(std::index_sequence<I...>) {
      return f(A(detail::Handle(x[I]))...);
    };
    const auto list = [&]<class L>(std::type_identity<L>) {
      L tensors;
      for (const detail::Handle& one : x) tensors.emplace_back(detail::Handle(one));
      return f(tensors);
    };
    const auto y = [&] {
      if constexpr ((detail::is_argument<A> && ...))
        return result(std::index_sequence_for<A...>());
      else
        return list(std::type_identity<A...>());
    }();
    if constexpr (std::is_same_v<Result<A...>, Tensor<Element<A...>>>)
      return {y};
    else
      return y;
  }
  template <class... A>
  detail::CompiledFunction<Element<A...>>& state() const {
    static_assert(!std::is_void_v<Element<A...>>,
                  "a compiled function gives a Tensor, or a std::vector of tensors");
    using Function = detail::CompiledFunction<Element<A...>>;
    return states_->template get<Element<A...>, A...>([&] {
      return std::make_unique<Function>(
          [f = function_](std::span<const detail::Handle> x) { return run<A...>(*f, x); });
    });
  }
  template <class... A>
  auto call(std::span<const detail::Handle> x) const {
    if constexpr (std::is_same_v<Result<A...>, Tensor<Element<A...>>>)
      return state<A...>().call(x);
    else
      return state<A...>().call_list(x);
  }

  std::shared_ptr<F> function_;
  std::shared_ptr<detail::CompiledSignatures> states_ = std::make_shared<detail::CompiledSignatures>();
};

/// A function of tensors and Indices, (Tensor…) -> Tensor or std::vector<Tensor>, that is traced at its first
/// call for each set of shapes, and then run as a plan, in an arena: without the tape, and, but when it is
/// traced, without an allocation but for the results. Value and gradients have the bits of the function
/// itself. Copies share what they have traced.
///
///     auto loss = compile([&](const Tensor<double>& x) { return sum(square(linear(x, W, b))); });
///     auto [value, gradients] = loss.value_and_grad(x);
///
/// Leaves and other tensors that the function captures are read anew at each call, so they may be assigned
/// between calls, as may running statistics within it; random numbers are drawn anew. Anything else that the
/// function reads, such as a captured number or a variable that is bound to another tensor, is that of the
/// first call. The function is traced again at the second, fourth, eighth … call, and a difference is an
/// error that names it; until then a change goes unnoticed. Errors: item() or value() of a tensor, and data()
/// of an argument or of what is computed from one; a recorded tensor that is no argument; backward() within.
/// In another trace, and where operations are watched (jvp, Profile, DetectAnomaly), the function itself
/// runs.
template <class F>
Compiled<std::decay_t<F>> compile(F&& f) {
  return Compiled<std::decay_t<F>>(std::forward<F>(f));
}

}  // namespace xtape
