// Runs a program with xtape.
#pragma once
#include "ops.hpp"

namespace xtape::properties {

template <class T>
Tensor<T> leaf_value(const Statement& leaf);

/// The operands of an operation; what it does not have is its first.
template <class X>
Operands<X> operands(const Statement& s, const std::vector<X>& values) {
  const auto at = [&](std::size_t i) { return &values[s.operands[i < s.operands.size() ? i : 0]]; };
  return {at(0), at(1), at(2)};
}

/// Values that are constants for a derivative: results of detach() and of NoGrad. A run writes them down
/// where `replay` is false, and later runs, from moved leaves, take them from here: else differences would
/// see what gradients do not.
template <class T>
struct Frozen {
  std::vector<Tensor<T>> values;
  bool replay = false;
};

/// The leaves of a program, parameters of their own.
template <class T>
std::vector<Tensor<T>> make_leaves(const Program& program);

/// The loss, of rank 0.
template <class T>
Tensor<T> run(const Program& program, const std::vector<Tensor<T>>& leaves, Frozen<T>* frozen = nullptr);

}  // namespace xtape::properties
