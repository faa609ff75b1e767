// A program as C++ that compiles: what a failing property prints.
#include <cctype>
#include <functional>
#include <map>
#include <sstream>

#include "ops.hpp"

namespace xtape::properties {
namespace {

std::string name(std::size_t result) { return "v" + std::to_string(result); }

std::string text(double x) {
  std::ostringstream out;
  out.precision(17);
  out << x;
  return out.str();
}

/// Numbers in nested braces.
template <class N>
std::string nested(const std::vector<N>& numbers, const std::vector<long>& shape) {
  std::size_t next = 0;
  const std::function<std::string(std::size_t)> level = [&](std::size_t axis) {
    if (axis == shape.size()) {
      if constexpr (std::is_same_v<N, double>) return text(numbers[next++]);
      return std::to_string(numbers[next++]);
    }
    std::string all = "{";
    for (long i = 0; i < shape[axis]; ++i) all += (i ? ", " : "") + level(axis + 1);
    return all + "}";
  };
  return level(0);
}
std::string list(const std::vector<long>& numbers) {
  return nested(numbers, {static_cast<long>(numbers.size())});
}

/// The row's expression with what its names stand for.
std::string expression(const Statement& s) {
  const Parameters& with = s.with;
  std::map<std::string, std::string> words{
      {"axis", std::to_string(with.axis)}, {"k", std::to_string(with.k)},
      {"low", std::to_string(with.low)},   {"high", std::to_string(with.high)},
      {"step", std::to_string(with.step)}, {"keep", with.keep ? "true" : "false"},
      {"scale", text(with.scale)},         {"axes", list(with.axes)},
      {"shape", list(with.shape)},         {"sizes", list(with.shape)},
      {"index", list(with.index)},         {"positions", ""}};
  const std::string& row = rows()[s.op].text;
  if (row.find("positions") != std::string::npos) words["positions"] = nested(with.index, with.shape);
  for (std::size_t i = 0; i < s.operands.size(); ++i)
    words[std::string(1, static_cast<char>('a' + i))] = name(s.operands[i]);
  std::string out;
  for (std::size_t i = 0; i < row.size();) {
    std::size_t end = i;
    while (end < row.size() && (std::isalnum(static_cast<unsigned char>(row[end])) || row[end] == '_')) ++end;
    if (end == i) {
      out += row[i++];
      continue;
    }
    const std::string word = row.substr(i, end - i);
    const auto found = words.find(word);
    const bool is_member = i > 0 && row[i - 1] == '.';
    const bool is_called = end < row.size() && row[end] == '(';
    out += found == words.end() || is_member || is_called ? word : found->second;
    i = end;
  }
  return out;
}

void print(std::ostream& out, const std::vector<Statement>& statements, const std::string& indent);

/// The statements of a block, and what it gives.
void print_body(std::ostream& out, const Statement& block, const std::string& indent) {
  print(out, block.body, indent + "  ");
  out << indent << "  return " << name(block.body.back().result) << ";\n" << indent << "}";
}

void print(std::ostream& out, const Statement& s, const std::string& indent) {
  const auto arguments = [&] {
    return "(auto " + name(s.arguments[0]) + ", auto " + name(s.arguments[1]) + ")";
  };
  const auto operands = [&] { return ", " + name(s.operands[0]) + ", " + name(s.operands[1]) + ")"; };
  switch (s.kind) {
    case Kind::parameter:
      out << "parameter<T>(" << print_leaf(s) << ")";
      break;
    case Kind::constant:
      out << "Tensor<T>(" << print_leaf(s) << ")";
      break;
    case Kind::operation:
      out << expression(s);
      break;
    case Kind::no_grad:
      out << "[&] {\n" << indent << "  const NoGrad no_grad;\n";
      print_body(out, s, indent);
      out << "()";
      break;
    case Kind::checkpoint:
      out << "checkpoint([=]" << arguments() << " {\n";
      print_body(out, s, indent);
      out << operands();
      break;
    case Kind::map:
      out << "map([]" << arguments() << " {\n";
      print_body(out, s, indent);
      out << operands();
      break;
  }
}

void print(std::ostream& out, const std::vector<Statement>& statements, const std::string& indent) {
  for (const Statement& s : statements) {
    out << indent << "const auto " << name(s.result) << " = ";
    print(out, s, indent);
    out << ";\n";
  }
}

}  // namespace

std::string print_leaf(const Statement& leaf) {
  if (leaf.numbers.size() > most_literals)
    return "reshape(sin(0.7 * arange<T>(" + std::to_string(leaf.numbers.size()) + ") + " +
           text(leaf.with.scale) + "), " + list(leaf.with.shape) + ")";
  return nested(leaf.numbers, leaf.with.shape);
}

std::string print(const Program& program) {
  std::ostringstream out;
  out << "// A random program: prints its loss and the gradients of its leaves.\n// clang-format "
         "off\n#include <iostream>\n\n#include <nn/nn.hpp>\n\nusing namespace xtape;\nusing T = "
         "double;\n\nint main() {\n";
  print(out, program.statements, "  ");
  out << "  const auto loss = ";
  for (std::size_t i = 0; i < program.outputs.size(); ++i)
    out << (i ? " + " : "") << "sum(sin(" << name(program.outputs[i]) << "))";
  out << ";\n  std::cout.precision(17);\n  std::cout << loss.item() << \"\\n\";\n"
      << "  if (!loss.requires_grad()) return 0;\n  loss.backward();\n  for (const auto& leaf : {";
  for (std::size_t i = 0; i < program.leaves.size(); ++i) out << (i ? ", " : "") << name(program.leaves[i]);
  out << "})\n    for (const T g : leaf.has_grad() ? leaf.grad() : zeros<T>(leaf.shape())) std::cout << g << "
         "\"\\n\";\n}\n";
  return out.str();
}

}  // namespace xtape::properties
