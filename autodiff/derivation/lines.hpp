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
  std::string head;  ///< "L" as LaTeX: what each line begins with is in DerivationLine::latex
};
Lines lines_of(const Source& source);

}  // namespace xtape::detail
