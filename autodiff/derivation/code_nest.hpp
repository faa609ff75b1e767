// Tasks under the same loops.
#pragma once
#include "code_writer.hpp"

namespace xtape::detail {

/// Writes a unit of elementwise tasks, reductions and small products: what passes from one to the next is a
/// number of its own, named where it is used more than once.
class NestWriter {
 public:
  NestWriter(CodeWriter& writer, const CodeUnit& unit);
  void write(std::vector<Statement>& to);

 private:
  using Kind = CodeTask::Kind;
  using Statements = std::vector<Statement>;
  /// A reduction: the loops from `first` on go over what one of its results, or one of their parts, is of.
  struct Reduction {
    const CodeTask* task;
    std::vector<std::ptrdiff_t> strides;
    std::size_t first;
    bool is_part;     ///< loops outside of these go over what is reduced, too
    bool has_lanes;   ///< several sums side by side
    std::string sum;  ///< the variable
  };

  void find_reductions();
  void split_sums();
  void write_element(Statements& to, const CodeTask& task);
  void write_result(Statements& to, const CodeTask& task, const std::string& expression, bool is_simple);
  void write_sum(Statements& to, Reduction& reduction);
  std::string with_operands(const CodeTask& task);
  /// An element; `is_whole` where no brackets are needed around it.
  std::string operand(const CodeRead& read, bool is_whole);
  void write_dot(Statements& to, const CodeTask& task);
  std::string taken(const Reduction& reduction, const std::string& so_far, const std::string& one) const;
  std::string start(const Reduction& reduction) const;
  std::string total(const Reduction& reduction) const;

  CodeWriter& writer_;
  const CodeUnit& unit_;
  Nest nest_;
  std::vector<std::string> loops_;
  std::vector<Reduction> reductions_;
  std::size_t lanes_ = 0;                     ///< the size of the innermost loop, where sums have lanes
  std::map<std::size_t, std::string> texts_;  ///< of the arrays of which an element is at hand
  std::set<std::size_t> in_brackets_;         ///< those of them that have brackets around them
  std::map<std::size_t, std::size_t> uses_;
};

}  // namespace xtape::detail
