// Terms as text and as LaTeX.
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>

#include "term_data.hpp"

namespace xtape::detail {
namespace {

/// Numbers that are known by another name.
struct KnownNumber {
  double value;
  std::string text, latex;
  bool is_root = false;
};

/// Whether x is that number, but for rounding to its type.
bool is_rounded(double x, double number) {
  const bool is_float = static_cast<double>(static_cast<float>(x)) == x;
  return std::abs(x - number) <= (is_float ? 6e-8 : 1e-14) * std::abs(number);
}

std::optional<KnownNumber> known(double x) {
  static const std::vector<KnownNumber> numbers = {
      {0.5, "½", "\\tfrac{1}{2}"},
      {2.50662827463100050, "√(2π)", "\\sqrt{2\\pi}", true},
      {1.12837916709551257, "2/√π", "\\tfrac{2}{\\sqrt{\\pi}}"},
      {0.69314718055994531, "ln 2", "\\ln 2"},
      {2.30258509299404568, "ln 10", "\\ln 10"},
      {1.83787706640934548, "ln(2π)", "\\ln(2\\pi)"},
      {0.91893853320467274, "½ ln(2π)", "\\tfrac{1}{2} \\ln(2\\pi)"},
      {3.14159265358979324, "π", "\\pi"},
      {6.28318530717958648, "2π", "2\\pi"},
  };
  for (const KnownNumber& one : numbers)
    if (one.value == 0.5 ? x == 0.5 : is_rounded(x, one.value)) return one;
  const double square = std::round(x * x);
  if (square >= 2 && square <= 9999 && std::floor(x) != x && is_rounded(x, std::sqrt(square))) {
    const std::string n = std::to_string(static_cast<int>(square));
    return KnownNumber{x, "√" + n, "\\sqrt{" + n + "}", true};
  }
  return {};
}
/// √n, where x is 1 / √n.
std::optional<KnownNumber> known_inverse(double x) {
  if (const auto root = known(1 / x); root && root->is_root && x < 1) return root;
  return {};
}
/// p / q of what has no short decimals; 0 / 0 where there are none.
std::pair<int, int> fraction(double x) {
  for (int q = 3; q <= 100; ++q)
    if (const double p = std::round(x * q); p >= 1 && p <= 100 && is_rounded(x, p / q))
      return {static_cast<int>(p), q};
  return {0, 0};
}

/// The shortest text of a number, of float where it is one.
std::string plain(double x) {
  if (std::isnan(x)) return "NaN";
  if (std::isinf(x)) return x > 0 ? "∞" : "−∞";
  std::array<char, 32> buffer;
  const auto as_float = static_cast<float>(x);
  const auto end = static_cast<double>(as_float) == x
                       ? std::to_chars(buffer.data(), buffer.data() + buffer.size(), as_float).ptr
                       : std::to_chars(buffer.data(), buffer.data() + buffer.size(), x).ptr;
  std::string text(buffer.data(), end);
  if (text.front() == '-') text.replace(0, 1, "−");
  return text;
}

std::string superscript(double exponent) {
  static constexpr const char* digits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  if (exponent == 0.5) return "^½";
  if (std::floor(exponent) != exponent || std::abs(exponent) > 99) return "^" + plain(exponent);
  std::string text;
  for (const char c : std::to_string(static_cast<int>(exponent))) text += c == '-' ? "⁻" : digits[c - '0'];
  return text;
}

}  // namespace

class Term::Printer {
 public:
  explicit Printer(bool latex) : latex_(latex) {}

  // How tightly a term binds.
  enum Level { of_sum = 1, of_product = 2, of_matmul = 3, of_atom = 5 };

  std::string print(const Term& t, int least = 0) const {
    const std::string text = body(t);
    return level(t) < least ? brackets(text) : text;
  }

 private:
  std::string brackets(const std::string& text) const {
    return latex_ ? "\\left(" + text + "\\right)" : "(" + text + ")";
  }
  std::string number(double x) const {
    if (x < 0) return (latex_ ? "-" : "−") + number(-x);
    if (const auto one = known(x)) return latex_ ? one->latex : one->text;
    if (const auto root = known_inverse(x))
      return latex_ ? "\\tfrac{1}{" + root->latex + "}" : "1/" + root->text;
    const std::string text = plain(x);
    if (text.size() > 8 && std::isfinite(x))
      if (const auto [p, q] = fraction(x); q != 0)
        return latex_ ? "\\tfrac{" + std::to_string(p) + "}{" + std::to_string(q) + "}"
                      : std::to_string(p) + "/" + std::to_string(q);
    if (const std::size_t e = text.find('e'); e != std::string::npos) {
      const double exponent = std::stod(text.substr(e + 1));
      const std::string factor =
          text.substr(0, e) == "1" ? "" : text.substr(0, e) + (latex_ ? " \\cdot " : "·");
      return factor + "10" +
             (latex_ ? "^{" + std::to_string(static_cast<int>(exponent)) + "}" : superscript(exponent));
    }
    return latex_ && text == "∞" ? "\\infty" : text;
  }
  static int level(const Term& t) {
    switch (t.kind()) {
      case Kind::sum:
        return of_sum;
      case Kind::product:
        return of_product;
      case Kind::number:
        return t.data_->under != 1 || t.data_->over < 0 ? of_product : of_atom;
      case Kind::matmul:
        return of_matmul;
      case Kind::function:
        return t.data_->function && !t.data_->function->is_atom ? of_matmul : of_atom;
      default:
        return of_atom;
    }
  }

  std::string body(const Term& t) const {
    const Data& d = *t.data_;
    switch (d.kind) {
      case Kind::number:
        if (d.under == 1) return number(d.over);
        return latex_ ? "\\tfrac{" + number(d.over) + "}{" + number(d.under) + "}"
                      : number(d.over) + "/" + number(d.under);
      case Kind::name:
        return latex_ ? d.latex : d.name;
      case Kind::sum:
        return sum(d);
      case Kind::product:
        return product(d);
      case Kind::matmul: {
        std::string text;
        for (const Term& part : d.parts)
          text += (text.empty() ? "" : latex_ ? " \\, " : " ") + print(part, of_matmul + 1);
        return text;
      }
      case Kind::transposed:
        return print(d.parts.front(), of_atom) + (latex_ ? "^{\\top}" : "ᵀ");
      case Kind::power: {
        const std::string base = print(d.parts.front(), of_atom);
        const bool is_bare = d.parts.front().kind() == Kind::name || base.back() == ')' || !latex_;
        return (is_bare ? base : "{" + base + "}") +
               (latex_ ? "^{" + number(d.over) + "}" : superscript(d.over));
      }
      case Kind::function:
        return function(t);
    }
    return {};
  }

  std::string sum(const Data& d) const {
    std::string text;
    for (const Term& part : d.parts) {
      Factors f = factors(part);
      const bool negative = f.over < 0;
      const std::string one = print(negative ? -part : part, of_sum + 1);
      if (text.empty())
        text = (negative ? (latex_ ? "-" : "−") : "") + one;
      else
        text += (negative ? (latex_ ? " - " : " − ") : " + ") + one;
    }
    return text;
  }

  /// Factors one after the other; scalars first.
  std::string factors_text(const std::vector<Term>& parts, const std::string& coefficient) const {
    std::string text = coefficient;
    bool after_array = false;
    const bool alone = parts.size() == 1;
    for (const bool scalars : {true, false})
      for (const Term& part : parts) {
        if (part.is_scalar() != scalars) continue;
        const char* const sign =
            after_array && !scalars ? (latex_ ? " \\odot " : " ⊙ ") : (latex_ ? " \\, " : " ");
        text += (text.empty() ? "" : sign) + print(part, alone ? of_matmul : of_matmul + 1);
        after_array = !scalars;
      }
    return text;
  }

  std::string product(const Data& d) const {
    const std::string sign = d.over < 0 ? (latex_ ? "-" : "−") : "";
    const double over = std::abs(d.over);
    std::string half;  // ½ x
    double under = d.under;
    if (over == 1 && under == 2) half = number(0.5), under = 1;
    const auto root = under == 1 ? known_inverse(over) : std::nullopt;  // x / √2
    std::string above = factors_text(d.parts, root ? "" : over == 1 ? half : number(over));
    if (above.empty()) above = "1";
    if (under == 1 && d.divisors.empty() && !root) return sign + above;
    const std::string below = factors_text(d.divisors, root         ? (latex_ ? root->latex : root->text)
                                                       : under == 1 ? ""
                                                                    : number(under));
    if (latex_) return sign + "\\frac{" + above + "}{" + below + "}";
    const bool is_one = d.divisors.size() + (under == 1 && !root ? 0 : 1) == 1;
    return sign + above + " / " +
           (is_one && (d.divisors.empty() || level(d.divisors.front()) >= of_atom) ? below : brackets(below));
  }

  std::string function(const Term& t) const {
    const Data& d = *t.data_;
    std::string text;
    if (!d.function) {
      text = latex_ ? "\\operatorname{" + escaped(d.name) + "}" : d.name;
      std::string list;
      for (const Term& part : d.parts) list += (list.empty() ? "" : ", ") + print(part);
      return text + brackets(list);
    }
    const std::string_view form = latex_ ? d.function->latex : d.function->text;
    for (std::size_t i = 0; i < form.size(); ++i) {
      const bool is_operand =
          form[i] == '#' && i + 1 < form.size() && std::isdigit(static_cast<unsigned char>(form[i + 1]));
      if (!is_operand) {
        text += form[i];
        continue;
      }
      const auto k = static_cast<std::size_t>(form[++i] - '0');
      const bool is_tight = i + 1 < form.size() && form[i + 1] == '!';
      i += is_tight ? 1 : 0;
      text += print(d.parts[k], is_tight ? of_atom : 0);
    }
    return text;
  }

  static std::string escaped(const std::string& name) {
    std::string text;
    for (const char c : name) text += c == '_' ? std::string("\\_") : std::string(1, c);
    return text;
  }

  bool latex_;
};

std::string Term::text() const { return Printer(false).print(*this); }
std::string Term::latex() const { return Printer(true).print(*this); }

std::string latex_name(const std::string& name) {
  static constexpr const char* greek[] = {"alpha", "beta",  "gamma", "delta", "epsilon", "theta", "lambda",
                                          "mu",    "sigma", "omega", "phi",   "rho",     "tau",   "eta"};
  std::size_t letters = 0;
  while (letters < name.size() && std::isalpha(static_cast<unsigned char>(name[letters]))) ++letters;
  std::size_t end = letters;
  while (end < name.size() && std::isdigit(static_cast<unsigned char>(name[end]))) ++end;
  const bool is_delta = name.starts_with("δ");
  if (is_delta) letters = std::string("δ").size(), end = name.size();
  std::string base = name.substr(0, letters);
  if (base.empty() || end != name.size()) {
    std::string text;
    for (const char c : name) text += c == '_' ? std::string("\\_") : std::string(1, c);
    return "\\mathtt{" + text + "}";
  }
  if (is_delta)
    base = "\\delta";
  else if (base.size() > 1) {
    bool found = false;
    for (const char* one : greek) found = found || base == one;
    base = found ? "\\" + base : "\\mathit{" + base + "}";
  }
  const std::string number = name.substr(letters);
  return number.empty() ? base : base + "_{" + number + "}";
}

}  // namespace xtape::detail
