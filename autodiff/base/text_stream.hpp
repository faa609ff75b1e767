// A stream into a string.
#pragma once
#include <ios>
#include <sstream>

namespace xtape::detail {

/// Throws where there is no memory for the text; a std::ostringstream ends it there, and says nothing.
struct TextStream : std::ostringstream {
  TextStream() { exceptions(std::ios::badbit); }
};

}  // namespace xtape::detail
