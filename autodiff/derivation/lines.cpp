// Which of the places of a program are lines, how they are called, and what is written into the formula of
// another.
#include "lines.hpp"

#include <algorithm>
#include <cctype>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <string_view>

#include "../notation/axes.hpp"
#include "../notation/term.hpp"
#include "names.hpp"

namespace xtape::detail {
namespace {

/// What is left as it is in formulas: what has a notation of its own.
bool has_notation(const Step& step) { return step.operation->write != nullptr; }

/// In characters, not bytes.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0u) != 0x80u; }));
}

class Writer {
 public:
  explicit Writer(Lines& to) : to_(to), program_(to.derived.program), names_(to.derived) {
    terms_.resize(program_.places.size());
  }

  void run() {
    name_given();
    write_forward();
    write_backward();
    number_reads();
    for (const std::uint32_t place : to_.derived.recorded) {
      const bool is_there = place != Step::none;  // what nothing reads any more is not
      to_.steps.push_back(is_there && terms_[place] ? terms_[place]->text() : "");
      to_.formulas.push_back(is_there && names_.maker(place) ? write(*names_.maker(place)).text() : "");
    }
    std::uint32_t place = 0;
    for (std::size_t i = 0; i < to_.derived.arguments.size(); ++i, ++place) {
      while (program_.places[place].kind != Place::Kind::argument) ++place;
      to_.arguments.push_back(terms_[place] ? terms_[place]->text() : "");
    }
    drop_unread();
  }

 private:
  using Part = DerivationLine::Part;

  void name_given() {
    // What shows the numbers of another argument in another shape is written as a view of it.
    std::vector<std::uint32_t> arguments;
    std::map<const std::byte*, std::size_t> owners;
    for (std::uint32_t p = 0; p < program_.places.size(); ++p)
      if (program_.places[p].kind == Place::Kind::argument && p != to_.derived.seed) arguments.push_back(p);
    const auto is_own = [&](std::size_t i) {
      return to_.derived.arguments[i].is_leaf || !to_.derived.arguments[i].name.empty();
    };
    for (const bool own : {true, false})
      for (std::size_t i = 0; i < arguments.size(); ++i)
        if (const std::byte* const at = data_of(i); at && is_own(i) == own) owners.try_emplace(at, i);
    const auto owner = [&](std::size_t i) {
      const std::byte* const at = data_of(i);
      return at && !is_own(i) && size_of(arguments[i]) == size_of(arguments[owners.at(at)]) ? owners.at(at)
                                                                                            : i;
    };
    std::size_t next = 0;
    for (std::uint32_t p = 0; p < program_.places.size(); ++p) {
      const Place& place = program_.places[p];
      if (p == to_.derived.seed) {
        terms_[p] = Term::number(1, place.shape);
      } else if (place.kind == Place::Kind::argument) {
        const std::size_t i = next++;
        const Source::Argument& one = to_.derived.arguments[i];
        if (owner(i) == i && (one.is_leaf || !one.name.empty() || names_.uses(p) != 0)) {
          give(p, names_.of_argument(p, one));
          if (is_binary(one.tensor)) terms_[p] = terms_[p]->as_mask();
        }
      } else if (place.kind != Place::Kind::result) {
        if (const auto number = uniform(place))
          terms_[p] = Term::number(*number, place.shape);
        else if (names_.uses(p) != 0)
          give(p, "c0");
      }
    }
    for (std::size_t i = 0; i < arguments.size(); ++i)
      if (const std::uint32_t from = arguments[owner(i)], p = arguments[i]; from != p && terms_[from]) {
        terms_[p] = reshaped(*terms_[from], program_.places[p].shape);
        lines_at_[p] = lines_at_.at(from);
      } else if (!terms_[p] && names_.uses(p) != 0) {  // of what is itself not read
        give(p, names_.of_argument(p, to_.derived.arguments[i]));
      }
  }
  std::size_t size_of(std::uint32_t place) const {
    return element_count(program_.places[place].shape, "derivation");
  }
  const std::byte* data_of(std::size_t argument) const {
    const ValueRef& value = to_.derived.arguments[argument].tensor.value;
    return value && !value->integers && value->size > 1 ? reinterpret_cast<const std::byte*>(value->data)
                                                        : nullptr;
  }
  void give(std::uint32_t place, const std::string& name) {
    names_.set(place, name);
    terms_[place] = Term::name(name, latex_name(name), program_.places[place].shape);
    lines_at_[place] = to_.all.size();
    to_.all.push_back({Part::given, name, {}, latex_name(name), {}, program_.places[place].shape, {}, {}});
    to_.places.push_back(place);
  }

  /// A line for each recorded result, but for those that are short and written into what reads them.
  void write_forward() {
    for (const std::uint32_t place : to_.derived.recorded) {
      const Step* const step = place == Step::none ? nullptr : names_.maker(place);
      if (!step || terms_[place]) continue;
      std::string name = names_.own(place);
      if (name.empty() && names_.is_part(place)) continue;
      const Term term = write(*step);
      if (name.empty()) {
        const bool is_short = width(term.text()) <= (names_.uses(place) == 1 ? 40 : 16);
        if (term.is_number() || (is_short && names_.is_arithmetic(place))) {
          terms_[place] = term;
          continue;
        }
        name = names_.of_result(place);
      }
      names_.set(place, name);
      results_.push_back(place);
      add_line(Part::forward, place, name, term);
    }
  }

  Term write(const Step& step) {
    std::vector<Term> x;
    for (const Input& input : step.inputs) x.push_back(require(input.place));
    const Shape& shape = program_.places[step.output].shape;
    if (!step.operation->write) return Term::call(step.name(), std::move(x), shape);
    Notation notation(std::move(x), shape);
    step.operation->write(step.op.get(), notation);
    return *notation.y;
  }

  /// The term of a place as an operand: a name, or, for what is used once or is short, its formula.
  Term require(std::uint32_t place) {
    if (terms_[place]) return *terms_[place];
    const Step& step = *names_.maker(place);
    const Term term = write(step);
    const bool is_softmax = std::string_view(step.name()) == "softmax" && !term.is_number();
    const bool is_short = term.is_number() || term.kind() == Term::Kind::name ||
                          term.kind() == Term::Kind::transposed || step.operation->is_view ||
                          step.operation->repeats || term.text().ends_with("= ∞]") ||
                          term.text().ends_with("= −∞]") || std::string_view(step.name()) == "concatenate" ||
                          width(term.text()) <= 14;
    if (is_softmax || (names_.uses(place) > 1 && !is_short))
      add_line(in_backward_ ? Part::backward : Part::forward, place,
               is_softmax ? names_.of_result(place) : names_.of_temporary(), term);
    else
      terms_[place] = term;
    return *terms_[place];
  }

  void add_line(Part part, std::uint32_t place, const std::string& name, const Term& formula,
                std::string latex = {}) {
    if (latex.empty()) latex = latex_name(name);
    const Step* const step = names_.maker(place);
    lines_at_.try_emplace(place, to_.all.size());
    to_.all.push_back({part,
                       name,
                       formula.text(),
                       latex + " &= " + formula.latex(),
                       step ? step->name() : "",
                       program_.places[place].shape,
                       {},
                       {}});
    to_.places.push_back(place);
    names_.set(place, name);
    if (part == Part::backward && formula.is_number()) {  // what reads it has the number, and not the name
      terms_[place] = formula;
    } else if (part == Part::forward || !terms_[place] || terms_[place]->kind() != Term::Kind::name) {
      terms_[place] = Term::name(name, latex, program_.places[place].shape);
      if (formula.is_mask()) terms_[place] = terms_[place]->as_mask();
    }
  }

  void write_backward() {
    in_backward_ = true;
    struct Adjoint {
      std::size_t step;
      std::uint32_t of, place;
    };
    std::map<std::uint32_t, std::size_t> step_of;
    for (std::size_t k = 0; k < program_.steps.size(); ++k) step_of[program_.steps[k].output] = k + 1;
    std::vector<Adjoint> all;
    std::vector<std::uint32_t> quantities;  // the last first, then what is given
    for (auto at = results_.rbegin(); at != results_.rend(); ++at) quantities.push_back(*at);
    for (std::uint32_t p = 0; p < program_.places.size(); ++p)
      if (program_.places[p].kind == Place::Kind::argument) quantities.push_back(p);
    for (const std::uint32_t of : quantities) {
      const std::uint32_t place = to_.derived.adjoints[of];
      if (place == Step::none || of == to_.derived.loss || !names_.has(of)) continue;
      all.push_back({step_of.contains(place) ? step_of[place] : 0, of, place});
    }
    std::ranges::stable_sort(all, {}, &Adjoint::step);
    for (const Adjoint& one : all) {
      const std::string& of = names_.of(one.of);
      const bool is_delta = of.size() > 1 && of[0] == 'z' && std::isdigit(static_cast<unsigned char>(of[1]));
      const std::string name = is_delta ? "δ" + of.substr(1) : "d" + loss_name() + "/d" + of;
      const std::string latex =
          is_delta ? latex_name(name)
                   : "\\frac{\\partial " + latex_name(loss_name()) + "}{\\partial " + latex_name(of) + "}";
      const Step* const step = names_.maker(one.place);
      const bool is_named = terms_[one.place] && (!step || terms_[one.place]->kind() == Term::Kind::name);
      const Term formula = is_named || !step ? require(one.place) : write(*step);
      if (is_named || !step) {
        // The same numbers as another's: a name of its own that nothing reads.
        to_.all.push_back({Part::backward,
                           name,
                           formula.text(),
                           latex + " &= " + formula.latex(),
                           "",
                           program_.places[one.of].shape,
                           {},
                           {}});
        to_.places.push_back(one.place);
      } else {
        add_line(Part::backward, one.place, name, formula, latex);
      }
    }
  }
  std::string loss_name() const { return names_.of(to_.derived.loss); }

  /// Which lines each reads: those whose places its formula goes back to.
  void number_reads() {
    for (std::size_t i = 0; i < to_.all.size(); ++i) {
      if (to_.all[i].part == Part::given) continue;
      std::set<std::size_t> found;
      const auto first = lines_at_.find(to_.places[i]);
      if (first != lines_at_.end() && first->second != i) {
        to_.all[i].reads = {first->second};
        continue;
      }
      std::vector<std::uint32_t> open;
      const auto follow = [&](const Step& step) {
        for (const Input& input : step.inputs) open.push_back(input.place);
      };
      if (const Step* step = names_.maker(to_.places[i])) follow(*step);
      std::set<std::uint32_t> visited;
      while (!open.empty()) {
        const std::uint32_t place = open.back();
        open.pop_back();
        if (!visited.insert(place).second) continue;
        if (const auto at = lines_at_.find(place); at != lines_at_.end())
          found.insert(at->second);
        else if (const Step* const step = names_.maker(place))
          follow(*step);
      }
      to_.all[i].reads.assign(found.begin(), found.end());
    }
  }

  /// What was given without a name, and is in no formula: the moments that an operation computes for itself.
  void drop_unread() {
    std::vector<char> is_read(to_.all.size(), false);
    for (std::size_t i = 0; i < to_.all.size(); ++i) {
      if (to_.all[i].part != Part::given) {
        is_read[i] = true;
        for (const std::size_t k : to_.all[i].reads) {
          const std::string& formula = to_.all[i].formula;
          is_read[k] = is_read[k] || to_.all[k].part != Part::given ||
                       formula.find(to_.all[k].name) != std::string::npos;
        }
      }
    }
    std::size_t next = 0;
    for (std::uint32_t p = 0; p < program_.places.size(); ++p)
      if (program_.places[p].kind == Place::Kind::argument && p != to_.derived.seed) {
        const Source::Argument& one = to_.derived.arguments[next++];
        if ((one.is_leaf || !one.name.empty()) && lines_at_.contains(p)) is_read[lines_at_[p]] = true;
      }
    std::vector<std::size_t> now(to_.all.size());
    std::size_t kept = 0;
    for (std::size_t i = 0; i < now.size(); ++i) now[i] = is_read[i] ? kept++ : now.size();
    for (std::size_t i = now.size(); i-- > 0;)
      if (!is_read[i]) {
        to_.all.erase(to_.all.begin() + static_cast<std::ptrdiff_t>(i));
        to_.places.erase(to_.places.begin() + static_cast<std::ptrdiff_t>(i));
      }
    for (DerivationLine& line : to_.all) {
      std::erase_if(line.reads, [&](std::size_t k) { return now[k] == now.size(); });
      for (std::size_t& k : line.reads) k = now[k];
    }
  }

  Lines& to_;
  const Program& program_;
  Names names_;
  std::vector<std::optional<Term>> terms_;
  std::map<std::uint32_t, std::size_t> lines_at_;
  std::vector<std::uint32_t> results_;
  bool in_backward_ = false;
};

void add_values(Lines& lines) {
  std::vector<Handle> arguments;
  for (const Source::Argument& one : lines.derived.arguments) {
    if (!one.tensor.value) return;
    arguments.push_back({one.tensor.value, {}});
  }
  const std::vector<Handle> at = values_of(lines.derived, arguments);
  for (std::size_t i = 0; i < lines.all.size(); ++i) {
    const Value* const value = at[lines.places[i]].value.get();
    if (!value) continue;
    lines.all[i].values.resize(value->size);
    for (std::size_t k = 0; k < value->size; ++k) lines.all[i].values[k] = element(*value, k);
  }
}

/// Whether a tensor is read with its gradient and, as after detach(), without it: then equal steps differ.
bool has_detached(const Program& program) {
  std::vector<char> with(program.places.size(), false), without(with);
  for (const Step& step : program.steps)
    for (const Input& input : step.inputs) (input.recorded ? with : without)[input.place] = true;
  for (std::size_t p = 0; p < with.size(); ++p)
    if (with[p] && without[p]) return true;
  return false;
}

}  // namespace

Lines lines_of(const Source& source) {
  Lines lines;
  Source shown = source;
  give_constants(shown);
  // What is computed twice is one quantity, whose gradient is that of both.
  std::vector<std::uint32_t> now(shown.program.places.size());
  std::iota(now.begin(), now.end(), 0u);
  std::vector<std::uint32_t> recorded;
  for (const Step& step : shown.program.steps) recorded.push_back(step.output);
  if (!has_detached(shown.program)) merge_equal_steps(shown.program, now);
  for (auto& [place, name] : shown.results) place = now[place];
  lines.derived = derive(shown, [](const Step&) { return true; });
  std::map<std::uint32_t, std::uint32_t> place_of;
  for (std::size_t k = 0; k < lines.derived.recorded.size(); ++k)
    place_of[shown.program.steps[k].output] = lines.derived.recorded[k];
  lines.derived.recorded.clear();
  for (const std::uint32_t place : recorded) {
    const auto at = place_of.find(now[place]);
    lines.derived.recorded.push_back(at == place_of.end() ? Step::none : at->second);
  }
  simplify(lines.derived, has_notation);
  Writer(lines).run();
  add_values(lines);
  return lines;
}

}  // namespace xtape::detail
