// Tokens are read by recursive descent.
#include "mathml.hpp"

#include <algorithm>
#include <iterator>

#include "latex_tokens.hpp"

namespace xtape::detail {
namespace {

using Kind = Token::Kind;

struct MathSymbol {
  std::string_view command, element, text;
};
constexpr std::string_view function = "function";
constexpr MathSymbol symbols[] = {
    {"alpha", "mi", "α"},
    {"beta", "mi", "β"},
    {"gamma", "mi", "γ"},
    {"delta", "mi", "δ"},
    {"epsilon", "mi", "ε"},
    {"varepsilon", "mi", "ε"},
    {"theta", "mi", "θ"},
    {"lambda", "mi", "λ"},
    {"mu", "mi", "μ"},
    {"sigma", "mi", "σ"},
    {"omega", "mi", "ω"},
    {"phi", "mi", "φ"},
    {"rho", "mi", "ρ"},
    {"tau", "mi", "τ"},
    {"eta", "mi", "η"},
    {"pi", "mi", "π"},
    {"Gamma", "mi", "Γ"},
    {"Phi", "mi", "Φ"},
    {"infty", "mi", "∞"},
    {"partial", "mi", "∂"},
    {"top", "mo", "⊤"},
    {"odot", "mo", "⊙"},
    {"cdot", "mo", "⋅"},
    {"times", "mo", "×"},
    {"circledast", "mo", "⊛"},
    {"ast", "mo", "∗"},
    {"le", "mo", "≤"},
    {"leq", "mo", "≤"},
    {"ge", "mo", "≥"},
    {"geq", "mo", "≥"},
    {"ne", "mo", "≠"},
    {"neq", "mo", "≠"},
    {"in", "mo", "∈"},
    {"to", "mo", "→"},
    {"dots", "mo", "…"},
    {"ldots", "mo", "…"},
    {"cdots", "mo", "⋯"},
    {"pm", "mo", "±"},
    {"approx", "mo", "≈"},
    {"lvert", "mo", "|"},
    {"rvert", "mo", "|"},
    {"lVert", "mo", "‖"},
    {"rVert", "mo", "‖"},
    {"|", "mo", "‖"},
    {"lfloor", "mo", "⌊"},
    {"rfloor", "mo", "⌋"},
    {"lceil", "mo", "⌈"},
    {"rceil", "mo", "⌉"},
    {"{", "mo", "{"},
    {"}", "mo", "}"},
    {"%", "mo", "%"},
    {"#", "mo", "#"},
    {"_", "mo", "_"},
    {"&", "mo", "&"},
    {"$", "mo", "$"},
    {"sum", "mo", "∑"},
    {"prod", "mo", "∏"},
    {"max", function, "max"},
    {"min", function, "min"},
    {"ln", function, "ln"},
    {"log", function, "log"},
    {"exp", function, "exp"},
    {"sin", function, "sin"},
    {"cos", function, "cos"},
    {"tan", function, "tan"},
    {"sinh", function, "sinh"},
    {"cosh", function, "cosh"},
    {"tanh", function, "tanh"},
    {"arcsin", function, "arcsin"},
    {"arccos", function, "arccos"},
    {"arctan", function, "arctan"},
    {"det", function, "det"},
    {"operatorname", function, ""},
};
constexpr std::string_view with_limits[] = {"∑", "∏", "max", "min"};
constexpr std::pair<std::string_view, std::string_view> spaces[] = {
    {",", ".17em"}, {":", ".22em"}, {";", ".28em"}, {"quad", "1em"}, {"qquad", "2em"}, {" ", ".25em"}};

std::string element(std::string_view name, std::string_view content, std::string_view attributes = {}) {
  return "<" + std::string(name) + std::string(attributes) + ">" + std::string(content) + "</" +
         std::string(name) + ">";
}
std::string space(std::string_view width) { return "<mspace width=\"" + std::string(width) + "\"></mspace>"; }

class TokenReader {
 public:
  TokenReader(Tokens tokens, const MarkedNames& names) : tokens_(std::move(tokens)) {
    for (const auto& [latex, number] : names) names_.emplace_back(latex_tokens(latex), number);
    // The longest first: W_{1} before W.
    std::ranges::stable_sort(names_,
                             [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
  }

  std::string read() {
    const std::string all = row(tokens_.size());
    if (at_ != tokens_.size()) throw UnknownLatex();
    return all;
  }

 private:
  Token peek(std::size_t ahead = 0) const {
    return at_ + ahead < tokens_.size() ? tokens_[at_ + ahead] : Token{Kind::end, {}};
  }
  bool is_next(Kind kind, std::string_view text, std::size_t ahead = 0) const {
    const Token next = peek(ahead);
    return next.kind == kind && next.text == text;
  }
  void expect(Kind kind, std::string_view text) {
    if (!is_next(kind, text)) throw UnknownLatex();
    ++at_;
  }

  /// Items up to what ends a row, or to the token of this number.
  std::string row(std::size_t end) {
    if (++depth_ > 200) throw UnknownLatex();
    std::string all;
    while (at_ < end && !is_next(Kind::sign, "}") && !is_next(Kind::command, "right") &&
           !is_next(Kind::command, "\\") && !is_next(Kind::command, "end")) {
      if (is_next(Kind::sign, "&")) {
        if (is_in_cases_) break;
        ++at_;  // where lines are aligned
        continue;
      }
      all += with_scripts(all.empty() || all.ends_with("</mo>"));
    }
    --depth_;
    return all;
  }
  std::string group() {
    expect(Kind::sign, "{");
    const bool was_in_cases = std::exchange(is_in_cases_, false);
    const std::string content = row(tokens_.size());
    is_in_cases_ = was_in_cases;
    expect(Kind::sign, "}");
    return as_one(content);
  }
  /// What may be an operand of a fraction or a script: one element.
  static std::string as_one(const std::string& content) {
    const bool is_one = content.starts_with("<m") && content.find('<', 1) == content.rfind("</");
    return is_one ? content : element("mrow", content);
  }
  std::string argument() {
    if (is_next(Kind::sign, "{")) return group();
    bool has_limits = false;
    return item(has_limits);
  }

  std::string with_scripts(bool after_sign) {
    bool has_limits = false;
    const bool is_function = is_function_name();
    std::string base = item(has_limits);
    std::string below, above;
    while (is_next(Kind::sign, "_") || is_next(Kind::sign, "^")) {
      std::string& script = tokens_[at_].text == "_" ? below : above;
      if (!script.empty()) throw UnknownLatex();
      ++at_;
      script = argument();
    }
    if (!below.empty() && !above.empty())
      base = element(has_limits ? "munderover" : "msubsup", base + below + above);
    else if (!below.empty())
      base = element(has_limits ? "munder" : "msub", base + below);
    else if (!above.empty())
      base = element(has_limits ? "mover" : "msup", base + above);
    if (!is_function) return base;
    // As TeX sets it: apart from its neighbours, but not from brackets.
    const bool before_brackets =
        is_next(Kind::command, "left") || is_next(Kind::sign, "(") || peek().kind == Kind::end;
    return (after_sign ? "" : space(".17em")) + base + (before_brackets ? "" : space(".17em"));
  }
  bool is_function_name() const {
    const Token next = peek();
    if (next.kind == Kind::word) return next.text.starts_with("operatorname ");
    return next.kind == Kind::command && symbol(next.text) && symbol(next.text)->element == function;
  }
  static const MathSymbol* symbol(std::string_view command) {
    const auto found = std::ranges::find(symbols, command, &MathSymbol::command);
    return found == std::end(symbols) ? nullptr : found;
  }

  std::string item(bool& has_limits) {
    for (const auto& [name, number] : names_) {
      if (name.empty() || name.size() > tokens_.size() - at_ ||
          !std::equal(name.begin(), name.end(), tokens_.begin() + static_cast<std::ptrdiff_t>(at_)))
        continue;
      // W is not the name in W_{1}, unless that is an index: W_{[0, :]}.
      if (is_next(Kind::sign, "_", name.size()) && !is_next(Kind::sign, "[", name.size() + 2)) continue;
      MarkedNames none;
      TokenReader inner(name, none);
      at_ += name.size();
      return element("mrow", inner.read(), " data-q=\"" + std::to_string(number) + "\"");
    }
    const Token token = peek();
    switch (token.kind) {
      case Kind::number:
        return ++at_, element("mn", token.text);
      case Kind::letter:
        return ++at_, element("mi", token.text);
      case Kind::word:
        return ++at_, word(token.text);
      case Kind::command:
        return command(token.text, has_limits);
      case Kind::sign:
        break;
      case Kind::end:
        throw UnknownLatex();
    }
    if (token.text == "{") return group();
    ++at_;
    if (token.text == "-") return element("mo", "−");
    const bool is_bracket = std::string_view("()[]|").find(token.text) != std::string_view::npos;
    return element("mo", html_escaped(token.text), is_bracket ? " stretchy=\"false\"" : "");
  }
  static std::string word(const std::string& text) {
    const std::size_t gap = text.find(' ');
    const std::string style = text.substr(0, gap), content = html_escaped(text.substr(gap + 1));
    if (style.starts_with("text")) return element("mtext", content);
    // A single letter is slanted unless it is said to be normal; more letters are upright.
    return element("mi", content,
                   style == "mathtt"   ? " class=\"tt\""
                   : style == "mathit" ? " class=\"it\""
                   : style == "mathbf" ? " class=\"bf\""
                                       : " mathvariant=\"normal\"");
  }

  std::string command(const std::string& name, bool& has_limits) {
    ++at_;
    if (name == "frac" || name == "tfrac" || name == "dfrac") {
      const std::string above = argument();
      const std::string fraction = element("mfrac", above + argument());
      return name == "tfrac" ? element("mstyle", fraction, " displaystyle=\"false\"") : fraction;
    }
    if (name == "sqrt") {
      if (!is_next(Kind::sign, "[")) return element("msqrt", argument());
      ++at_;
      std::string degree;
      while (!is_next(Kind::sign, "]")) degree += with_scripts(true);
      ++at_;
      return element("mroot", argument() + as_one(degree));
    }
    if (name == "left") {
      const std::string opening = delimiter();
      const bool was_in_cases = std::exchange(is_in_cases_, false);
      const std::string content = row(tokens_.size());
      is_in_cases_ = was_in_cases;
      expect(Kind::command, "right");
      return element("mrow", opening + content + delimiter());
    }
    if (name == "begin") return cases();
    if (name == "!") return {};
    for (const auto& [command, width] : spaces)
      if (name == command) return space(width);
    const MathSymbol* const found = symbol(name);
    if (!found || found->text.empty()) throw UnknownLatex();
    has_limits = std::ranges::find(with_limits, found->text) != std::end(with_limits);
    return element(found->element == function ? "mi" : found->element, html_escaped(found->text));
  }
  std::string delimiter() {
    const Token token = peek();
    ++at_;
    if (token.kind == Kind::sign && token.text == ".") return {};
    if (token.kind == Kind::sign && std::string_view("()[]|/").find(token.text) != std::string_view::npos)
      return element("mo", token.text, token.text == "|" ? " stretchy=\"true\"" : "");
    const MathSymbol* const found = token.kind == Kind::command ? symbol(token.text) : nullptr;
    if (!found || found->element != "mo") throw UnknownLatex();
    return element("mo", found->text);
  }
  std::string cases() {
    const auto name = [&] {
      expect(Kind::sign, "{");
      for (const char c : std::string_view("cases")) expect(Kind::letter, std::string(1, c));
      expect(Kind::sign, "}");
    };
    name();
    const bool was_in_cases = std::exchange(is_in_cases_, true);
    std::string rows, cells;
    while (true) {
      cells += element("mtd", row(tokens_.size()));
      if (is_next(Kind::sign, "&")) {
        ++at_;
        continue;
      }
      rows += element("mtr", cells);
      cells.clear();
      if (!is_next(Kind::command, "\\")) break;
      ++at_;
    }
    is_in_cases_ = was_in_cases;
    expect(Kind::command, "end");
    name();
    return element("mrow", element("mo", "{") + element("mtable", rows, " class=\"cases\""));
  }

  Tokens tokens_;
  std::vector<std::pair<Tokens, std::size_t>> names_;
  std::size_t at_ = 0;
  int depth_ = 0;
  bool is_in_cases_ = false;
};

}  // namespace

std::optional<std::string> mathml(std::string_view latex, const MarkedNames& names) {
  try {
    return TokenReader(latex_tokens(latex), names).read();
  } catch (const UnknownLatex&) { return std::nullopt; }
}

std::string html_escaped(std::string_view text) {
  std::string all;
  for (const char c : text) switch (c) {
      case '&':
        all += "&amp;";
        break;
      case '<':
        all += "&lt;";
        break;
      case '>':
        all += "&gt;";
        break;
      case '"':
        all += "&quot;";
        break;
      case '\'':
        all += "&#39;";
        break;
      default:
        all += c;
    }
  return all;
}

}  // namespace xtape::detail
