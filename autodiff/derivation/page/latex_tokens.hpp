// LaTeX as tokens.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace xtape::detail {

struct Token {
  enum class Kind { command, word, number, letter, sign, end };
  Kind kind;
  std::string text;  ///< of a word: the command, a space, and what stands in its braces
  bool operator==(const Token&) const = default;
};
using Tokens = std::vector<Token>;

/// What refuses a formula. mathml() catches it: that is shorter than an optional in each function.
struct UnknownLatex {};

Tokens latex_tokens(std::string_view text);

}  // namespace xtape::detail
