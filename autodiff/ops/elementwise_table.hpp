// What is known at run time of each elementwise operation.
#pragma once
#include <array>

#include "../kernels/op_number.hpp"
#include "../kernels/rule_traits.hpp"
#include "symbol.hpp"

namespace xtape::detail {

template <class T>
struct ElementwiseInfo : RuleTraits {
  /// The adjoint of an input for the adjoint g of the output y, by the text of the rule; `numbers` are those
  /// that the operation carries, `x` its inputs. What it does not use may be anything.
  using Gradient = Symbol<T> (*)(const T* numbers, const Symbol<T>& g, const Symbol<T>* x,
                                 const Symbol<T>& y);

  OpNumber number;
  const char *name, *gradient_name;
  std::size_t operands = 0;
  bool is_length = false;  ///< 0 only where its inputs are, with a direction but no slope there: |x|, hypot
  std::array<Gradient, 3> gradient{};
  /// What the gradient of each input uses, as RuleTraits::kept says: inputs by number, and as `operands` the
  /// output.
  struct Used {
    unsigned char count = 0;
    std::array<unsigned char, 4> place{};
  };
  std::array<Used, 3> used{};
};

template <class T>
const ElementwiseInfo<T>* info_of(OpNumber op);

}  // namespace xtape::detail
