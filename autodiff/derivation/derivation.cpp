// A derivation as text and as LaTeX.
#include "../derivation.hpp"

#include <algorithm>
#include <ostream>

#include "lines.hpp"
#include "state.hpp"

namespace xtape {
namespace {

/// Characters, not bytes.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0u) != 0x80u; }));
}

struct Sign {
  const char *sign, *meaning;
};
constexpr Sign signs[] = {
    {"⊙", "⊙ multiplies element by element"},
    {"ᵀ", "ᵀ transposes"},
    {"Σ", "Σ adds up all elements; Σ₀ along axis 0, which is the batch where there is one"},
    {"δ", "δ is dL/dz"},
    {"[", "[…] is 1 where it holds, else 0"},
    {"σ(", "σ(z) is 1 / (1 + exp(−z))"}};

}  // namespace

Derivation::Derivation(detail::Source source) {
  auto state = std::make_shared<State>();
  state->lines = detail::lines_of(source);
  state->source = std::move(source);
  state_ = std::move(state);
}

const std::vector<DerivationLine>& Derivation::lines() const { return state_->lines.all; }

std::string Derivation::text() const {
  std::size_t name = 0, formula = 0;
  std::string all;
  for (const DerivationLine& line : lines()) {
    name = std::max(name, width(line.name));
    formula = std::max(formula, std::min<std::size_t>(70, width(line.formula)));
    all += line.formula + line.name;
  }
  const auto padded = [](const std::string& text, std::size_t to) {
    return text + std::string(to - std::min(to, width(text)), ' ');
  };
  std::string out;
  const auto part = [&](DerivationLine::Part of, const char* title) {
    bool begun = false;
    for (const DerivationLine& line : lines()) {
      if (line.part != of) continue;
      if (!begun) out += (out.empty() ? "" : "\n") + std::string(title) + "\n";
      begun = true;
      out += "  " + padded(line.name, name) + (line.formula.empty() ? "   " : " = ") +
             padded(line.formula, formula) + "  " + to_string(line.shape) + "\n";
    }
  };
  part(DerivationLine::Part::given, "Given");
  part(DerivationLine::Part::forward, "Forward");
  part(DerivationLine::Part::backward, "Backward");
  bool begun = false;
  for (const Sign& one : signs)
    if (all.find(one.sign) != std::string::npos) {
      out += (begun ? "; " : "\n") + std::string(one.meaning);
      begun = true;
    }
  return out + (begun ? ".\n" : "");
}

std::string Derivation::latex() const {
  std::string out = "\\begin{align*}\n";
  for (const DerivationLine& line : lines())
    if (line.part != DerivationLine::Part::given) out += "  " + line.latex + " \\\\\n";
  return out + "\\end{align*}\n";
}

std::ostream& operator<<(std::ostream& out, const Derivation& derivation) { return out << derivation.text(); }

Derivation detail::derivation_of(const Handle& loss, const DerivationNames& names) {
  return Derivation(recorded_source(loss, names));
}
Derivation detail::derivation_of(const std::function<Handle()>& f, const DerivationNames& names) {
  return Derivation(traced_source(f, names));
}

}  // namespace xtape
