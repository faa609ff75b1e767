#include "latex_tokens.hpp"

#include <algorithm>
#include <cctype>
#include <iterator>

namespace xtape::detail {
namespace {

using TokenKind = Token::Kind;

/// Commands whose braces hold a word, not a formula.
constexpr std::string_view words[] = {"mathtt",       "mathit", "mathrm", "mathbf",
                                      "operatorname", "text",   "textrm"};

bool is_alphabetic(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }
bool is_numeral(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

}  // namespace

Tokens latex_tokens(std::string_view text) {
  Tokens all;
  std::size_t at = 0;
  const auto run = [&](auto&& belongs) {
    const std::size_t start = at;
    while (at < text.size() && belongs(text[at])) ++at;
    return std::string(text.substr(start, at - start));
  };
  // {…} as it is, without the backslashes of \_ and the like.
  const auto word = [&] {
    run([](char c) { return c == ' '; });
    if (at == text.size() || text[at] != '{') throw UnknownLatex();
    std::string content;
    for (int depth = 0; at < text.size(); ++at) {
      if (text[at] == '\\' && at + 1 < text.size()) {
        if (is_alphabetic(text[++at])) throw UnknownLatex();
      } else if (text[at] == '{' && depth++ == 0) {
        continue;
      } else if (text[at] == '}' && --depth == 0) {
        return ++at, content;
      }
      content += text[at];
    }
    throw UnknownLatex();
  };
  while (at < text.size()) {
    const char c = text[at];
    if (c == ' ' || c == '\n') {
      ++at;
    } else if (c == '\\') {
      if (++at == text.size()) throw UnknownLatex();
      const std::string name = is_alphabetic(text[at]) ? run(is_alphabetic) : std::string(1, text[at++]);
      const bool has_word = std::ranges::find(words, name) != std::end(words);
      all.push_back({has_word ? TokenKind::word : TokenKind::command, has_word ? name + " " + word() : name});
    } else if (is_numeral(c)) {
      all.push_back({TokenKind::number, run([](char d) { return is_numeral(d) || d == '.'; })});
    } else if (is_alphabetic(c)) {
      all.push_back({TokenKind::letter, std::string(1, text[at++])});
    } else if ((static_cast<unsigned char>(c) & 0x80u) != 0) {
      const std::size_t start = at++;
      run([](char d) { return (static_cast<unsigned char>(d) & 0xC0u) == 0x80u; });
      all.push_back({TokenKind::letter, std::string(text.substr(start, at - start))});
    } else {
      all.push_back({TokenKind::sign, std::string(1, text[at++])});
    }
  }
  return all;
}

}  // namespace xtape::detail
