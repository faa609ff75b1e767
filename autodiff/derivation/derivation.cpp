// A derivation as text and as LaTeX.
#include "../derivation.hpp"

#include <algorithm>
#include <ostream>
#include <vector>

#include "lines.hpp"
#include "state.hpp"

namespace xtape {
namespace {

/// Characters, not bytes.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0u) != 0x80u; }));
}

/// A sign that a reader may not know: said where one of these is in a formula or a name.
struct Sign {
  std::vector<const char*> signs;
  const char* meaning;
};
const Sign signs[] = {
    {{"⊙"}, "⊙ multiplies element by element"},
    {{"ᵀ"}, "ᵀ transposes; arrays with nothing between them are multiplied as matrices"},
    {{"Σ "}, "Σ adds up all elements"},
    {{"Σ₀"}, "Σ₀ adds up along axis 0, which is the batch where there is one"},
    {{"Σ₁", "Σ₂", "Σ₃"}, "Σ₁ adds up along axis 1, and so on"},
    {{"δ"}, "δ1 is dL/dz1, and so on"},
    {{" > ", " < ", " ≥ ", " ≤ ", " = "}, "[…] with a comparison is 1 where it holds, else 0"},
    {{"σ("}, "σ(z) is 1 / (1 + exp(−z))"},
    {{"recurrence("}, "recurrence(a, b) is y with yₖ = aₖ yₖ₋₁ + bₖ from the first place on, where y₋₁ is 0"},
    {{"recurrence_from_end("},
     "recurrence_from_end(a, b) is y with yₖ = aₖ₊₁ yₖ₊₁ + bₖ from the last place on"},
    {{"argsort("}, "argsort(x) are the positions of the elements of x in their order"},
    {{"one_hot("}, "one_hot(labels) has a row for each label, which is 1 at the label and 0 elsewhere"},
    {{"[labels]"}, "[labels] takes the element of the label from each row"},
    {{"[indices"}, "E[indices] are the rows of E that the indices name"},
    {{"scatter_add("},
     "scatter_add(g, indices) adds the rows of g to the rows of zeros that the indices name"},
    {{"put("}, "put(g, [i]) is 0 everywhere but at [i], where it is g; [:, 0:2] are the columns 0 and 1"},
    {{"cumsum_from_end"}, "cumsum_from_end adds up from each element to the last"},
    {{"max_pool2d_gradient("},
     "max_pool2d_gradient(g, x, y) gives each g to the element of x that was the largest, y"},
    {{"conv2d_weight_gradient("},
     "conv2d_weight_gradient(g, x) multiplies each g by the window of x that it comes from, and adds up"},
    {{"conv2d_image_gradient("},
     "conv2d_image_gradient(g, K) adds each g, times the kernel, to the window of x that it comes from"}};

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
    all += " " + line.formula + " " + line.name;
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
    if (std::ranges::any_of(one.signs,
                            [&](const char* sign) { return all.find(sign) != std::string::npos; })) {
      out += (begun ? ";\n" : "\n") + std::string(one.meaning);
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
