// Numbers as texts.
#include "text.hpp"

#include <charconv>
#include <cstdio>

namespace xtape::detail {

std::string number_text(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", number);
  return text;
}

std::string exact_text(double number) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, number).ptr};
}

}  // namespace xtape::detail
