// map: a scalar function of the user's as one fused node.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

#include "base/pool_vector.hpp"
#include "elementwise.hpp"

namespace xtape {

namespace detail {

/// An elementwise operation on what earlier places hold, or a number.
template <class T>
struct Instruction {
  std::size_t op;  ///< its number, or op_count for a number
  std::uint32_t operand_count = 0;
  std::array<std::int32_t, 3> operands{};
  std::array<T, 2> numbers{};  ///< those that the operation carries, or the number
};
static_assert(sizeof(Instruction<float>) == 32 &&
              sizeof(Instruction<double>) == 40);  // no padding: bytes are compared

/// What a traced lambda leaves. Places: first the arguments, then one for each instruction.
template <class T>
class Formula {
 public:
  /// Error for more than 30 arguments.
  explicit Formula(std::size_t arguments);

  /// The place of an instruction, of an equal earlier one where there is one.
  std::int32_t add(const Instruction<T>& instruction);
  /// Where a symbol's value is; that of a number is made. Error for a symbol of another formula.
  std::int32_t place_of(const Symbol<T>& symbol);
  void finish(const Symbol<T>& result) { result_ = place_of(result); }

  bool operator==(const Formula& other) const {
    return result_ == other.result_ &&
           std::ranges::equal(instructions_, other.instructions_, [](const auto& a, const auto& b) {
             return std::memcmp(&a, &b, sizeof(a)) == 0;
           });
  }
  /// The same but for the numbers that operations take as operands.
  bool has_steps_of(const Formula& other) const {
    return result_ == other.result_ && arguments_ == other.arguments_ &&
           std::ranges::equal(instructions_, other.instructions_, [](const auto& a, const auto& b) {
             return a.op == b.op && (a.op == op_count || std::memcmp(&a, &b, sizeof(a)) == 0);
           });
  }
  std::size_t arguments() const { return arguments_; }
  std::size_t places() const { return arguments_ + instructions_.size(); }
  std::size_t result() const { return static_cast<std::size_t>(result_); }
  bool is_number(std::size_t place) const { return at(place).op == op_count; }
  const Instruction<T>& at(std::size_t place) const { return instructions_[place - arguments_]; }

 private:
  std::size_t arguments_;
  std::int32_t result_ = -1;
  PoolVector<Instruction<T>> instructions_;
};

template <class T>
Tensor<T> run_formula(Formula<T> formula, std::span<const Tensor<T>> x);

}  // namespace detail

/// f(x, …) element by element, of the broadcast shape. f is a generic lambda over numbers, written with
/// xtape's elementwise operations and comparisons; where() takes the place of a branch, and a branch does not
/// compile. f is called once with symbols and leaves a short formula, which then runs over tiles that stay in
/// the cache, forward and backward, as one node that keeps only its arguments. What runs is a program of
/// elementwise operations, with their gradients, as compile() makes it; a thread keeps those of its last
/// formulas. Gradients can be differentiated again: they come from the same formula. Error when the shapes do
/// not broadcast, and for more than 30 arguments.
template <class F, class T, class... Rest>
Tensor<T> map(F f, const Tensor<T>& x, const Rest&... rest) {
  constexpr auto all = std::make_index_sequence<1 + sizeof...(Rest)>();
  // Traced at every call: even a lambda without captures may read a global.
  detail::Formula<T> formula(all.size());
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    formula.finish(f(Symbol<T>(&formula, static_cast<int>(I))...));
  }
  (all);
  const std::array<Tensor<T>, all.size()> arguments{x, detail::as<Tensor<T>>(rest)...};
  return detail::run_formula<T>(std::move(formula), arguments);
}

}  // namespace xtape
