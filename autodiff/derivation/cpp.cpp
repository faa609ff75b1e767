// A derivation as a file of C++.
#include <algorithm>
#include <cctype>
#include <sstream>

#include "../derivation.hpp"
#include "code_writer.hpp"
#include "state.hpp"

namespace xtape {
namespace {

using namespace detail;

/// Of the arguments those are constants that nobody named, and dL/dL, which is 1.
void give_back_constants(Derived& derived) {
  std::vector<Source::Argument> arguments;
  std::size_t next = 0;
  for (std::uint32_t p = 0; p < derived.program.places.size(); ++p) {
    Place& place = derived.program.places[p];
    if (place.kind != Place::Kind::argument) continue;
    const bool is_seed = p == derived.seed;
    const Source::Argument* const one = is_seed ? nullptr : &derived.arguments.at(next++);
    if (one && (one->is_leaf || !one->name.empty())) {
      arguments.push_back(*one);
      continue;
    }
    place.kind = Place::Kind::constant;
    if (one)
      place.tensor = one->tensor;
    else if (place.item_size == sizeof(float))
      place.tensor = ones<float>(place.shape).release();
    else
      place.tensor = ones<double>(place.shape).release();
  }
  derived.arguments = std::move(arguments);
}

/// The program with the loss and the gradients of leaves as its only results, and all by simple operations.
/// `places` are those of the lines, Step::none where there is none any more.
Derived simple_program(const Lines& lines, std::vector<std::uint32_t>& places) {
  Derived derived = lines.derived;
  give_back_constants(derived);
  derived.results.clear();
  for (const std::uint32_t place : lines.places) derived.results.emplace_back(place, "");
  simplify(derived, {});
  for (const auto& [place, name] : derived.results) places.push_back(place);
  Program& program = derived.program;
  program.outputs = {{derived.loss}};
  std::size_t next = 0;
  for (std::uint32_t p = 0; p < program.places.size(); ++p)
    if (program.places[p].kind == Place::Kind::argument && derived.arguments.at(next++).is_leaf &&
        derived.adjoints[p] != Step::none)
      program.outputs.push_back({derived.adjoints[p]});
  remove_dead_steps(program);
  return derived;
}

std::string padded(const std::string& text, std::size_t to) {
  return text + std::string(to - std::min(to, text.size()), ' ');
}

/// Each line of a text as a comment.
std::string comment(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    out += "//" + (end == at ? "" : " " + text.substr(at, end - at)) + "\n";
    at = end + 1;
  }
  return out;
}

std::string without_comments(const std::string& code) {
  std::istringstream lines(code);
  std::string out;
  for (std::string line; std::getline(lines, line);)
    if (line.find("//") == std::string::npos) out += line + "\n";
  return out;
}

/// The elements of a constant.
std::string elements(const CodeArray& array) {
  const Value& value = *array.constant.value.get();
  std::string out, line;
  for (std::size_t i = 0; i < value.size; ++i) {
    const std::string one = array.type == CodeType::index
                                ? std::to_string(value.elements<std::ptrdiff_t>()[i])
                                : code_number(element(value, i), array.type);
    if (line.size() + one.size() > 100) out += line + "\n   ", line.clear();
    line += (line.empty() && out.empty() ? "" : " ") + one + (i + 1 == value.size ? "" : ",");
  }
  return out + line;
}

class CppFile {
 public:
  CppFile(const Derivation& derivation, const Lines& lines, const std::string& function,
          const CppOptions& options)
      : derivation_(derivation), lines_(lines), function_(function), options_(options) {}

  std::string write() {
    std::vector<std::uint32_t> places;
    derived_ = simple_program(lines_, places);
    names_.give(function_);
    Code code(derived_.program);
    name_arguments(code);
    code.run();
    const std::vector<std::string> formulas = note_lines(code, places);
    CodeWriter writer(code, names_, code_units(code, options_.cblas), options_.cblas);
    const CodeRead& loss = code.at(derived_.loss);
    const std::string body = to_text(writer.body(formulas, loss, gradients(code)), 2);
    const std::string type = code_name(code.arrays[loss.array].type), heading = signature(code, type, body);

    std::string constants;
    for (const CodeArray& one : code.arrays)
      if (one.kind == CodeArray::Kind::constant && one.size != 0 && reads(body, one.name))
        constants += std::string("constexpr ") + code_name(one.type) + " " + one.name + "[" +
                     std::to_string(one.size) + "] = {" + elements(one) + "};\n";
    if (!writer.memory().type.empty())
      constants += "\n#ifndef " + storage_name() + "\n#define " + storage_name() +
                   " static thread_local\n#endif\n" + "alignas(64) " + storage_name() + " " +
                   writer.memory().type + " memory[" +
                   std::to_string(writer.memory().bytes / writer.memory().item_size) + "];\n";
    const std::string functions = code_functions(without_comments(body));
    std::string out =
        head(code, writer, heading) + "#include <cmath>\n#include <cstddef>\n#include <limits>\n";
    if (writer.uses_cblas()) out += "\n#include <cblas.h>\n";
    if (!functions.empty() || !constants.empty())
      out +=
          "\nnamespace {\n" + functions + (constants.empty() ? "" : "\n" + constants) + "\n}  // namespace\n";
    return out + "\n" + heading + " {\n" + body + "}\n";
  }

 private:
  std::string storage_name() const { return function_ + "_storage"; }

  static bool reads(const std::string& body, const std::string& name) {
    const auto is_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; };
    for (std::size_t at = body.find(name); at != std::string::npos; at = body.find(name, at + 1)) {
      const std::size_t line = body.rfind('\n', at) + 1;
      const bool is_comment = body.find("//", line) < at;
      if (!is_comment && (at == 0 || !is_word(body[at - 1])) &&
          (at + name.size() == body.size() || !is_word(body[at + name.size()])))
        return true;
    }
    return false;
  }

  /// As the lines call them.
  void name_arguments(Code& code) {
    std::size_t next = 0;
    for (std::uint32_t p = 0; p < derived_.program.places.size(); ++p) {
      const Place& place = derived_.program.places[p];
      if (place.kind != Place::Kind::argument) continue;
      const Source::Argument& argument = derived_.arguments.at(next++);
      const std::string name =
          names_.give(argument.name.empty() ? name_of_leaf(arguments_.size()) : argument.name);
      code.arrays[code.at(p).array].name = name;
      arguments_.push_back({p, name, argument.is_leaf ? names_.give("d_" + name) : ""});
    }
  }
  /// What the lines call argument number n.
  std::string name_of_leaf(std::size_t n) const {
    std::size_t number = 0, kept = 0;
    const Program& shown = lines_.derived.program;
    for (std::uint32_t p = 0; p < shown.places.size(); ++p) {
      if (shown.places[p].kind != Place::Kind::argument || p == lines_.derived.seed) continue;
      const Source::Argument& one = lines_.derived.arguments.at(number++);
      if ((!one.is_leaf && one.name.empty()) || kept++ != n) continue;
      for (std::size_t i = 0; i < lines_.all.size(); ++i)
        if (lines_.places[i] == p && lines_.all[i].part == DerivationLine::Part::given)
          return lines_.all[i].name;
    }
    return "x";
  }

  /// Which formula belongs to which task, and names for the arrays.
  std::vector<std::string> note_lines(Code& code, const std::vector<std::uint32_t>& places) {
    std::vector<std::string> formulas;
    std::map<std::size_t, std::size_t> tasks;
    for (std::size_t t = 0; t < code.tasks.size(); ++t) tasks[code.tasks[t].array] = t;
    for (std::size_t i = 0; i < lines_.all.size(); ++i) {
      const DerivationLine& line = lines_.all[i];
      formulas.push_back(line.name + " = " + line.formula);
      if (line.formula.empty() || places[i] == Step::none || !code.has(places[i])) continue;
      const CodeRead& read = code.at(places[i]);
      const auto at = tasks.find(read.array);
      if (at == tasks.end()) continue;
      if (line.formula != "") code.tasks[at->second].lines.push_back(i);
      CodeArray& array = code.arrays[read.array];
      if (array.name.empty() && read.placing.is_contiguous()) array.name = names_.give(line.name);
    }
    return formulas;
  }

  std::vector<CodeGradient> gradients(const Code& code) {
    std::vector<CodeGradient> all;
    for (const Argument& one : arguments_) {
      if (one.gradient.empty()) continue;
      const std::uint32_t adjoint = derived_.adjoints[one.place];
      const CodeArray& array = code.arrays[code.at(one.place).array];
      all.push_back({one.gradient, array.type, array.size,
                     adjoint == Step::none ? std::nullopt : std::optional(code.at(adjoint))});
    }
    return all;
  }

  std::string signature(const Code& code, const std::string& type, const std::string& body) const {
    std::vector<std::string> parameters;
    for (const Argument& one : arguments_) {
      const CodeArray& array = code.arrays[code.at(one.place).array];
      // A parameter that is not read has no name, so that nobody warns of it.
      parameters.push_back(std::string("const ") + code_name(array.type) + "* " +
                           (reads(body, one.name) ? one.name : "/*" + one.name + "*/"));
    }
    for (const Argument& one : arguments_)
      if (!one.gradient.empty())
        parameters.push_back(std::string(code_name(code.arrays[code.at(one.place).array].type)) + "* " +
                             one.gradient);
    std::string out, line = type + " " + function_ + "(";
    const std::size_t indent = line.size();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const std::string one = parameters[i] + (i + 1 == parameters.size() ? ")" : ",");
      if (line.size() + one.size() > 110 && line.size() > indent)
        out += line + "\n", line = std::string(indent - 1, ' ');
      line += (line.size() == indent ? "" : " ") + one;
    }
    return out + line;
  }

  std::string head(const Code& code, const CodeWriter& writer, const std::string& heading) const {
    std::string out = "// The loss " + name_of_loss() +
                      " and its gradients, written by xtape from its derivation: C++17 that needs ";
    out += writer.uses_cblas() ? "CBLAS alone.\n" : "nothing else.\n";
    out += "//\n" + comment(heading + ";") + "//\n";
    std::size_t width = 0;
    for (const Argument& one : arguments_) width = std::max({width, one.name.size(), one.gradient.size()});
    for (const Argument& one : arguments_)
      out += "//   " + padded(one.name, width) + "  in   " +
             to_string(derived_.program.places[one.place].shape) +
             (code.arrays[code.at(one.place).array].type == CodeType::index ? ", whole numbers" : "") + "\n";
    for (const Argument& one : arguments_)
      if (!one.gradient.empty())
        out += "//   " + padded(one.gradient, width) + "  out  " +
               to_string(derived_.program.places[one.place].shape) + "\n";
    out += "// Arrays are row-major, that of a single number has one element, and none overlaps another.\n";
    const CodeMemory memory = writer.memory();
    if (memory.type.empty())
      out += "// It takes " + std::to_string(memory.bytes) +
             " bytes of arrays on the stack and allocates nothing; threads may call it at the same time.\n";
    else
      out += "// It allocates nothing: its " + std::to_string(memory.bytes) +
             " bytes of intermediate results are static, of each thread its own. With\n// -D" +
             storage_name() + "=static there is one for all, so that one thread at a time may call it.\n";
    return out + "//\n" + comment(derivation_.text()) + "\n";
  }
  std::string name_of_loss() const {
    for (std::size_t i = 0; i < lines_.all.size(); ++i)
      if (lines_.places[i] == lines_.derived.loss) return lines_.all[i].name;
    return "L";
  }

  struct Argument {
    std::uint32_t place;
    std::string name, gradient;  ///< parameters of the function; no gradient of what is no leaf
  };

  const Derivation& derivation_;
  const Lines& lines_;
  const std::string& function_;
  const CppOptions& options_;
  Derived derived_{};
  CodeNames names_;
  std::vector<Argument> arguments_;
};

}  // namespace

std::string Derivation::cpp(const std::string& name, const CppOptions& options) const {
  if (!CodeNames().is_free(name))
    throw Error(
        cpp_op,
        "'" + name + "' cannot be the name of a function: give an identifier of C++ that is no keyword");
  for (const Step& step : state_->source.program.steps)
    if (step.operation->is_random)  // which would be the same at each call
      throw Error(cpp_op,
                  std::string("'") + step.name() +
                      "' draws random numbers: draw them outside and name them, so that they are an input");
  return CppFile(*this, state_->lines, name, options).write();
}

}  // namespace xtape
