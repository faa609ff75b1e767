// Random programs: what is drawn, the program that it stands for, and its text in C++.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <autodiff/autodiff.hpp>

namespace xtape::properties {

/// One drawn statement. It means something only relative to the statements before it, and means something
/// whatever these are: so any list of genes is a program, also one from which some were dropped.
struct Gene {
  std::uint16_t kind = 0;   ///< a leaf (0), a block, or a row of ops.inc
  std::uint16_t place = 0;  ///< of the result on a ring; an operand is a place too, and means the next
                            ///< result. So dropping a statement redirects only what used it.
  std::array<std::uint16_t, 3> operands{};
  std::array<std::uint16_t, 4> numbers{};  ///< where axes, sizes and positions are taken from
};

/// How a recipe becomes a program.
struct Choices {
  bool wide = false;     ///< tensors large enough to be shared among threads
  double margin = 0.02;  ///< at least this far from kinks and poles; 0 where no differences are taken
  bool planted = false;  ///< includes the wrong rules at the end of ops.inc
};

struct Recipe {
  std::vector<Gene> genes;
  Choices choices;
};

/// What an operation takes beside tensors. Only what its form needs is set.
struct Parameters {
  long axis = 0, k = 0, low = 0, high = 0, step = 1;
  bool keep = false;
  double scale = 1;
  std::vector<long> axes{}, shape{},
      index{};  ///< shape: also that of `positions`, whose elements are in index
};

enum class Kind { parameter, constant, operation, checkpoint, no_grad, map };

struct Statement {
  Kind kind = Kind::operation;
  std::size_t result = 0;               ///< its number: it is called v<result>
  std::size_t op = 0;                   ///< an operation's row
  std::vector<std::size_t> operands{};  ///< numbers of earlier results
  Parameters with{};
  std::vector<double> numbers{};         ///< a leaf's elements
  std::vector<std::size_t> arguments{};  ///< what a block's lambda calls its operands
  std::vector<Statement> body{};         ///< a block's statements; its result is that of the last
};

/// Every operand is the result of an earlier statement, or an argument of a block around it.
struct Program {
  std::vector<Statement> statements;
  std::vector<std::size_t> leaves;   ///< results of parameters
  std::vector<std::size_t> outputs;  ///< results that no statement uses: the loss is the sum of their sines
  std::size_t results = 0;           ///< numbers that are given away
};

Program resolve(const Recipe& recipe);

/// Calls f for every statement, also for those in blocks.
template <class F>
void for_each_statement(const std::vector<Statement>& list, const F& f) {
  for (const Statement& s : list) {
    f(s);
    for_each_statement(s.body, f);
  }
}

/// A leaf's elements as text, where they are many the formula for them.
std::string print_leaf(const Statement& leaf);

/// The program as a complete file in C++ that prints the loss and the gradients of the leaves.
std::string print(const Program& program);

/// Leaves with more elements are sin(0.7 i + scale).
inline constexpr std::size_t most_literals = 64;

}  // namespace xtape::properties
