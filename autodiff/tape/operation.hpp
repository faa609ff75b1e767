// What the struct of an operation offers, and the table of functions that the engine knows it by. See op.hpp.
#pragma once
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "../indices.hpp"
#include "adjoint_sums.hpp"
#include "forward.hpp"

namespace xtape::detail {

/// The name of an operation, which may depend on what it holds.
template <class Op>
const char* name_of(const Op& op) {
  if constexpr (requires { op.name(); })
    return op.name();
  else
    return op.name;
}

template <class T>
class Gradients;
template <class T>
class Tangents;
template <class T, class Op>
Handle tangent_of(const void* op, ForwardPass& pass, const Handle& y, std::span<const Handle* const> inputs,
                  std::span<const Handle* const> tangents);
template <class T, class Op>
inline constexpr bool has_tangent = requires {
  Op::is_linear;
}
|| requires { Op::is_bilinear; }
|| requires(const Op& op, Tangents<T>& t) { op.tangent(t); };
template <class T, class Op>
inline constexpr bool has_backward = requires(const Op& op, Gradients<T>& d) {
  op.backward(d);
};
/// The type of input i of an operation: Tensor<T>, unless it has a list of its own.
template <class T, class Op, std::size_t i>
auto input_type() {
  if constexpr (!requires { typename Op::Inputs; })
    return std::type_identity<Tensor<T>>();
  else if constexpr (i < std::tuple_size_v<typename Op::Inputs>)
    return std::type_identity<std::tuple_element_t<i, typename Op::Inputs>>();
  else
    return std::type_identity<void*>();
}
template <class T, class Op, std::size_t i>
using InputType = typename decltype(input_type<T, Op, i>())::type;

/// Whether an operation computes from n inputs, or from a list of them.
template <class T, class Op, class Numbers>
inline constexpr bool takes_numbered = false;
template <class T, class Op, std::size_t... i>
inline constexpr bool takes_numbered<T, Op, std::index_sequence<i...>> =
    requires(const Op& op, Target<T> y, const InputType<T, Op, i>&... x) {
  op.compute(y, x...);
};
template <class T, class Op, std::size_t n>
inline constexpr bool takes = takes_numbered<T, Op, std::make_index_sequence<n>>;
template <class T, class Op>
inline constexpr bool takes_list =
    !takes<T, Op, 1> && requires(const Op& op, Target<T> y, std::span<const Tensor<T>> x) {
  op.compute(y, x);
};
/// Whether it can be a step of a program: what it computes does not come from the caller.
template <class T, class Op>
inline constexpr bool is_step = takes_list<T, Op> || takes<T, Op, 0> || takes<T, Op, 1> || takes<T, Op, 2> ||
                                takes<T, Op, 3> || takes<T, Op, 4> || takes<T, Op, 5> || requires {
  Op::is_view;
};

/// Operation::run.
template <class T, class Op>
void run_step(const void* op, const Value& y, bool accumulate, std::span<Value* const> x);
/// Operation::again.
template <class T, class Op>
Handle perform_again(const void* op, std::span<const Handle* const> inputs, const Shape& shape);

/// Operation::lift.
template <class T, class Op>
Handle lift(const void* op, std::span<const Handle* const> inputs, const std::vector<char>& batched,
            const Shape& shape);

/// Operation::decompose.
template <class T, class Op>
Handle decompose(const void* op, std::span<const Handle* const> inputs);
template <class T, class Op, std::size_t... i>
constexpr bool decomposes_numbered(std::index_sequence<i...>) {
  return requires(const Op& op, const InputType<T, Op, i>&... x) { op.decomposed(x...); };
}
template <class T, class Op, std::size_t n>
inline constexpr bool decomposes = decomposes_numbered<T, Op>(std::make_index_sequence<n>());
template <class T, class Op>
inline constexpr bool decomposes_list = requires(const Op& op, std::span<const Tensor<T>> x) {
  op.decomposed(x);
};

template <class T, class Op>
constexpr Operation describe() {
  Operation all{};
  if constexpr (has_backward<T, Op>)
    all.backward = [](Node& node, Pass& pass, Handle&& adjoint) {
      Gradients<T> d(node, pass, std::move(adjoint));
      static_cast<const Op*>(node.op())->backward(d);
    };
  if constexpr (!std::is_trivially_destructible_v<Op>)
    all.destroy = [](void* op) { static_cast<Op*>(op)->~Op(); };
  if constexpr (has_tangent<T, Op>) all.tangent = &tangent_of<T, Op>;
  all.name = [](const void* op) { return name_of(*static_cast<const Op*>(op)); };
  if constexpr (decomposes_list<T, Op> || decomposes<T, Op, 1> || decomposes<T, Op, 2> ||
                decomposes<T, Op, 3> || decomposes<T, Op, 4> || decomposes<T, Op, 5>)
    all.decompose = &decompose<T, Op>;
  if constexpr (requires(const Op& op, Notation& to) { op.write(to); })
    all.write = [](const void* op, Notation& to) { static_cast<const Op*>(op)->write(to); };
  if constexpr (requires(const Op& op, Code& to) { op.code(to); })
    all.code = [](const void* op, Code& to) { static_cast<const Op*>(op)->code(to); };
  if constexpr (is_step<T, Op>) {
    all.run = &run_step<T, Op>;
    all.again = &perform_again<T, Op>;
    all.lift = &lift<T, Op>;
    all.equal = [](const void* op, const void* other) {
      if constexpr (std::is_empty_v<Op>)
        return true;
      else
        return *static_cast<const Op*>(op) == *static_cast<const Op*>(other);
    };
    all.is_view = requires { Op::is_view; };
    all.repeats = requires { Op::repeats; };
    all.sums = requires { Op::sums; };
    all.gives_integers = requires { Op::gives_integers; };
    all.is_random = requires { Op::is_random; };
    all.mixes_matrices = requires { Op::mixes_matrices; };
    if constexpr (requires(const Op& op) { op.row_call(); })
      all.row_call = [](const void* op) { return static_cast<const Op*>(op)->row_call(); };
  }
  return all;
}
template <class T, class Op>
inline constexpr Operation operation = describe<T, Op>();

}  // namespace xtape::detail
