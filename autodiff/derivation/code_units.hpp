// Which tasks of a computation share loops, and in which order it is done.
#pragma once
#include "code.hpp"

namespace xtape::detail {

/// Tasks that are written together: one that has loops of its own, or several under the same loops, each
/// element of which passes from one to the next as a number.
struct CodeUnit {
  std::vector<std::size_t> tasks;
  bool is_nest = false;  ///< of elementwise tasks, reductions and small products
  Nest nest{1};
};

/// The units in their order.
std::vector<CodeUnit> code_units(const Code& code, bool cblas);

}  // namespace xtape::detail
