// What a Derivation holds.
#pragma once
#include "lines.hpp"

namespace xtape {

struct Derivation::State {
  detail::Source source;
  detail::Lines lines;
};

}  // namespace xtape
