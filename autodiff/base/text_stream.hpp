// A stream into a string.
#pragma once
#include <ios>
#include <sstream>
#include <string>
#include <utility>

namespace xtape::detail {

/// Throws where there is no memory for the text; a std::ostringstream ends it there, and says nothing.
struct TextStream : std::ostringstream {
  TextStream() { exceptions(std::ios::badbit); }
};

/// What is written of x.
template <class X>
std::string text_of(const X& x) {
  TextStream text;
  text << x;
  return std::move(text).str();
}

}  // namespace xtape::detail
