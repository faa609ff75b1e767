// Which of the places of a program are lines, how they are called, and what is written into the formula of
// another.
#include "lines.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "../notation/term.hpp"

namespace xtape::detail {
namespace {

constexpr std::string_view activations[] = {"sigmoid", "tanh", "relu", "leaky_relu",
                                            "elu",     "gelu", "silu", "softplus"};
constexpr std::string_view layers[] = {"linear", "matmul", "conv2d"};
bool is_one_of(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

/// What is left as it is in formulas: what has a notation of its own.
bool has_notation(const Step& step) { return step.operation->write != nullptr; }

class Writer {
 public:
  explicit Writer(Lines& to) : to_(to), program_(to.derived.program) {
    terms_.resize(program_.places.size());
    makers_.resize(program_.places.size());
    uses_.resize(program_.places.size());
    for (const Step& step : program_.steps) {
      makers_[step.output] = &step;
      for (const Input& input : step.inputs) ++uses_[input.place];
    }
  }

  void run() {
    name_given();
    name_results();
    for (const std::uint32_t place : results_) {
      require(place, true);
      add_line(DerivationLine::Part::forward, place, names_.at(place), write(*makers_[place]));
    }
    write_backward();
    number_reads();
    for (const std::uint32_t place : to_.derived.recorded) {
      const bool is_there = place != Step::none;  // what nothing reads any more is not
      to_.steps.push_back(is_there && terms_[place] ? terms_[place]->text() : "");
      to_.formulas.push_back(is_there && makers_[place] ? write(*makers_[place]).text() : "");
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
    std::size_t next = 0;
    for (const Source::Argument& one : to_.derived.arguments) taken_.insert(one.name);
    for (const auto& [place, name] : to_.derived.results) taken_.insert(name);
    for (std::uint32_t p = 0; p < program_.places.size(); ++p) {
      const Place& place = program_.places[p];
      if (p == to_.derived.seed) {
        terms_[p] = Term::number(1, place.shape);
      } else if (place.kind == Place::Kind::argument) {
        const Source::Argument& one = to_.derived.arguments[next++];
        std::string name = one.name;
        if (name.empty()) name = role_of(p, one.is_leaf);
        if (one.is_leaf || !one.name.empty() || uses_[p] != 0) give(p, name);
      } else if (place.kind != Place::Kind::result) {
        if (const auto number = uniform(place))
          terms_[p] = Term::number(*number, place.shape);
        else if (uses_[p] != 0)
          give(p, "c0");
      }
    }
  }
  /// For what has no name: "W1", "b1" of a parameter; "x" of data that a layer reads, "y" of what a loss
  /// compares with, "mask" of a factor, "labels" of indices; else "c1".
  std::string role_of(std::uint32_t place, bool is_leaf) {
    if (!is_leaf) return fresh(role_of_data(place), false);
    return fresh(program_.places[place].shape.size() >= 2 ? "W" : "b", true);
  }
  std::string role_of_data(std::uint32_t place) const {
    if (program_.places[place].integers) return "labels";
    for (const Step& step : program_.steps)
      for (std::size_t i = 0; i < step.inputs.size(); ++i) {
        if (step.inputs[i].place != place) continue;
        const std::string_view op = step.name();
        if (is_one_of(layers, op)) return i == 0 ? "x" : "c";
        if (op == "squared_difference" || op.starts_with("binary_cross_entropy") || op == "subtract")
          return i == 1 ? "y" : "x";
        if (op == "where" && i == 0) return "mask";
        if (op == "multiply") return has_zeros(place) ? "mask" : "c";
        if (step.operation->is_view || op == "slice" || op == "transpose") return "x";
        return "c";
      }
    return "c";
  }
  /// Whether half of the elements or less are 0, and some are: a mask.
  bool has_zeros(std::uint32_t place) const {
    std::size_t next = 0;
    for (std::uint32_t p = 0; p < place; ++p)
      next += program_.places[p].kind == Place::Kind::argument && p != to_.derived.seed;
    const Handle& tensor = to_.derived.arguments[next].tensor;
    if (!tensor.value || tensor.value->integers) return false;
    std::size_t zeros = 0;
    for (std::size_t i = 0; i < tensor.value->size; ++i)
      zeros += tensor.value->item_size == sizeof(float) ? tensor.value->elements<float>()[i] == 0
                                                        : tensor.value->elements<double>()[i] == 0;
    return zeros != 0 && zeros != tensor.value->size;
  }
  /// A name that nothing has: parameters are numbered, of others those after the first.
  std::string fresh(const std::string& letter, bool numbered) {
    for (;;) {
      const int n = ++unnamed_[letter];
      std::string name = numbered || n > 1 || letter == "c" ? letter + std::to_string(n) : letter;
      if (!taken_.contains(name)) return name;
    }
  }
  void give(std::uint32_t place, const std::string& name) {
    names_[place] = name;
    terms_[place] = Term::name(name, latex_name(name), program_.places[place].shape);
    lines_at_[place] = to_.all.size();
    to_.all.push_back({Part::given, name, {}, latex_name(name), {}, program_.places[place].shape, {}, {}});
    to_.places.push_back(place);
  }
  /// Names of the recorded results, but of those that only give what they read another shape.
  void name_results() {
    int layer = 0, others = 0;
    std::map<std::uint32_t, std::string> given(to_.derived.results.begin(), to_.derived.results.end());
    std::set<std::uint32_t> seen;
    for (const std::uint32_t place : to_.derived.recorded) {
      if (place == Step::none) continue;
      const Step* const step = makers_[place];
      if (!step || !seen.insert(place).second || terms_[place]) continue;
      std::string name;
      if (const auto at = given.find(place); at != given.end()) {
        name = at->second;
      } else if (place == to_.derived.loss) {
        name = "L";
      } else if (step->operation->is_view || step->operation->repeats || uses_[place] == 0 ||
                 is_product_before_bias(place)) {
        continue;
      } else if (is_layer(*step)) {
        name = "z" + std::to_string(++layer);
      } else if (is_one_of(activations, step->name()) && names_.contains(source_of(step->inputs[0].place)) &&
                 names_[source_of(step->inputs[0].place)].starts_with("z")) {
        name = "a" + names_[source_of(step->inputs[0].place)].substr(1);
      } else {
        const bool is_softmax = std::string_view(step->name()) == "softmax" && !has_p_;
        has_p_ = has_p_ || is_softmax;
        name = is_softmax ? "p" : "v" + std::to_string(++others);
      }
      names_[place] = name;
      results_.push_back(place);
    }
  }
  /// What a view shows.
  std::uint32_t source_of(std::uint32_t place) const {
    while (makers_[place] && makers_[place]->operation->is_view) place = makers_[place]->inputs[0].place;
    return place;
  }
  bool is_layer(const Step& step) const {
    if (is_one_of(layers, step.name())) return true;
    return std::string_view(step.name()) == "add" &&
           std::ranges::any_of(step.inputs,
                               [&](const Input& input) { return is_product_before_bias(input.place); });
  }
  /// x W, to which alone a parameter is added: one line, x W + b.
  bool is_product_before_bias(std::uint32_t place) const {
    const Step* const step = makers_[place];
    if (!step || uses_[place] != 1 || std::string_view(step->name()) != "matmul") return false;
    for (const Step& reader : program_.steps)
      for (const Input& input : reader.inputs)
        if (input.place == place)
          return std::string_view(reader.name()) == "add" &&
                 std::ranges::any_of(reader.inputs, [&](const Input& other) {
                   return program_.places[source_of(other.place)].kind == Place::Kind::argument;
                 });
    return false;
  }

  Term write(const Step& step) {
    std::vector<Term> x;
    for (const Input& input : step.inputs) x.push_back(require(input.place, false));
    const Shape& shape = program_.places[step.output].shape;
    if (!step.operation->write) return Term::call(step.name(), std::move(x), shape);
    Notation notation(std::move(x), shape);
    step.operation->write(step.op.get(), notation);
    return *notation.y;
  }

  /// The term of a place as an operand: a name, or, for what is used once or is short, its formula.
  Term require(std::uint32_t place, bool only_operands) {
    if (terms_[place]) return *terms_[place];
    const Step& step = *makers_[place];
    if (only_operands) {
      for (const Input& input : step.inputs) require(input.place, false);
      return Term::number(0);
    }
    Term term = write(step);
    const bool is_softmax = std::string_view(step.name()) == "softmax" && !has_p_;
    const bool is_short = term.is_number() || term.kind() == Term::Kind::name ||
                          (term.kind() == Term::Kind::transposed) || step.operation->is_view ||
                          step.operation->repeats || std::string_view(step.name()) == "concatenate" ||
                          term.text().size() < 12;
    if (is_softmax || (uses_[place] > 1 && !is_short)) {
      has_p_ = has_p_ || is_softmax;
      const std::string name = is_softmax ? "p" : "t" + std::to_string(++temporaries_);
      add_line(place_is_forward(place) ? Part::forward : Part::backward, place, name, term);
    } else {
      terms_[place] = term;
    }
    return *terms_[place];
  }
  bool place_is_forward(std::uint32_t) const { return !in_backward_; }

  void add_line(Part part, std::uint32_t place, const std::string& name, const Term& formula,
                std::string latex = {}) {
    if (latex.empty()) latex = latex_name(name);
    const Step* const step = makers_[place];
    if (!lines_at_.contains(place)) lines_at_[place] = to_.all.size();
    to_.all.push_back({part,
                       name,
                       formula.text(),
                       latex + " &= " + formula.latex(),
                       step ? step->name() : "",
                       program_.places[place].shape,
                       {},
                       {}});
    to_.places.push_back(place);
    names_.try_emplace(place, name);
    if (!terms_[place] || terms_[place]->kind() != Term::Kind::name)
      terms_[place] = Term::name(name, latex, program_.places[place].shape);
    else if (part == Part::forward)
      terms_[place] = Term::name(name, latex, program_.places[place].shape);
  }

  void write_backward() {
    in_backward_ = true;
    struct Adjoint {
      std::size_t step;
      std::size_t order;
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
      if (place == Step::none || of == to_.derived.loss) continue;
      all.push_back({step_of.contains(place) ? step_of[place] : 0, all.size(), of, place});
    }
    std::ranges::stable_sort(all, {}, &Adjoint::step);
    for (const Adjoint& one : all) {
      const std::string& of = names_.at(one.of);
      const bool is_delta = of.size() > 1 && of[0] == 'z' && std::isdigit(static_cast<unsigned char>(of[1]));
      const std::string name = is_delta ? "δ" + of.substr(1) : "d" + loss_name() + "/d" + of;
      const std::string latex =
          is_delta ? latex_name(name)
                   : "\\frac{\\partial " + latex_name(loss_name()) + "}{\\partial " + latex_name(of) + "}";
      const Step* const step = makers_[one.place];
      const bool is_named = terms_[one.place] && (!step || terms_[one.place]->kind() == Term::Kind::name);
      const Term formula = is_named || !step ? require(one.place, false) : write(*step);
      const std::size_t line = to_.all.size();
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
      (void)line;
    }
  }
  std::string loss_name() const { return names_.at(to_.derived.loss); }

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
      if (const Step* step = makers_[to_.places[i]]) follow(*step);
      std::set<std::uint32_t> visited;
      while (!open.empty()) {
        const std::uint32_t place = open.back();
        open.pop_back();
        if (!visited.insert(place).second) continue;
        if (const auto at = lines_at_.find(place); at != lines_at_.end())
          found.insert(at->second);
        else if (makers_[place])
          follow(*makers_[place]);
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
  std::vector<std::optional<Term>> terms_;
  std::vector<const Step*> makers_;
  std::vector<std::size_t> uses_;
  std::map<std::uint32_t, std::string> names_;
  std::map<std::uint32_t, std::size_t> lines_at_;
  std::map<std::string, int> unnamed_;
  std::set<std::string> taken_;  ///< names that were given
  std::vector<std::uint32_t> results_;
  int temporaries_ = 0;
  bool has_p_ = false, in_backward_ = false;
};

template <class T>
std::vector<double> numbers(const Value& value) {
  if (value.integers) {
    const auto* const from = reinterpret_cast<const std::ptrdiff_t*>(value.data);
    return std::vector<double>(from, from + value.size);
  }
  return std::vector<double>(value.elements<T>(), value.elements<T>() + value.size);
}

void add_values(Lines& lines) {
  std::vector<Handle> arguments;
  for (const Source::Argument& one : lines.derived.arguments) {
    if (!one.tensor.value) return;
    arguments.push_back({one.tensor.value, {}});
  }
  const std::vector<Handle> at = values_of(lines.derived, arguments);
  for (std::size_t i = 0; i < lines.all.size(); ++i) {
    const Value* const value = at[lines.places[i]].value.get();
    if (value)
      lines.all[i].values =
          value->item_size == sizeof(float) ? numbers<float>(*value) : numbers<double>(*value);
  }
}

}  // namespace

Lines lines_of(const Source& source) {
  Lines lines;
  Source shown = source;
  give_constants(shown);
  lines.derived = derive(shown, [](const Step&) { return true; });
  simplify(lines.derived, has_notation);
  Writer(lines).run();
  add_values(lines);
  return lines;
}

}  // namespace xtape::detail
