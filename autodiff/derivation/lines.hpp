// A derived program as named quantities, each with its formula.
#pragma once
#include "../derivation.hpp"
#include "derived.hpp"

namespace xtape::detail {

/// What derivation() shows, and the place of each line.
struct Lines {
  Derived derived;  ///< simplified, as it is shown
  std::vector<DerivationLine> all;
  std::vector<std::uint32_t> places;
  /// How the result of each step of the source is called, or written; and its arguments.
  std::vector<std::string> steps, arguments;
  std::vector<std::string> formulas;  ///< of each step
};
Lines lines_of(const Source& source);

}  // namespace xtape::detail
