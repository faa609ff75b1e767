// The function that does a computation, as C++.
#pragma once
#include "code_names.hpp"
#include "code_units.hpp"

namespace xtape::detail {

/// A statement, and what is under it where it is a loop.
struct Statement {
  std::string text;
  std::vector<Statement> body{};
};
std::string to_text(const std::vector<Statement>& all, std::size_t indent);

/// A gradient that the function gives; without an array where it is 0.
struct CodeGradient {
  std::string name;  ///< of the parameter that points to it
  CodeType type;
  std::size_t size;
  std::optional<CodeRead> read;
};

/// Memory of the function beside its arguments: arrays on the stack, or one static array of items of a type.
struct CodeMemory {
  std::size_t bytes = 0;
  std::string type{};  ///< empty for arrays on the stack
  std::size_t item_size = 1;
};

/// Writes the units of a computation. `names` gives each array that has no name yet one.
class CodeWriter {
 public:
  CodeWriter(Code& code, CodeNames& names, std::vector<CodeUnit> units, bool cblas);
  /// `formulas` are those of the tasks' lines.
  std::vector<Statement> body(const std::vector<std::string>& formulas, const CodeRead& loss,
                              const std::vector<CodeGradient>& gradients);
  CodeMemory memory() const { return memory_; }
  bool uses_cblas() const { return uses_cblas_; }

 private:
  using Kind = CodeTask::Kind;
  using Statements = std::vector<Statement>;
  struct Lifetime {
    std::size_t first = 0, last = 0;  ///< units
    bool is_kept = false;             ///< read outside of its unit
    bool is_given = false;            ///< lies in an argument
  };

  void find_lifetimes(const CodeRead& loss, const std::vector<CodeGradient>& gradients);
  void place();
  void declare(Statements& to, std::size_t unit);
  void write_nest(Statements& to, const CodeUnit& unit);
  void write_product(Statements& to, const CodeTask& task);
  bool write_cblas(Statements& to, const CodeTask& task, const std::string& a, const std::string& b,
                   const std::string& y);
  void write_writes(Statements& to, const CodeTask& task);
  void write_text(Statements& to, const CodeTask& task);
  void write_copy(Statements& to, const std::string& name, const CodeRead& read, std::size_t size);
  void fill(Statements& to, const std::string& name, std::size_t size, const std::string& number);

  /// A variable, not an array.
  bool is_variable(std::size_t array) const { return variables_.contains(array); }
  std::string element(const CodeRead& read, const std::vector<std::string>& loops,
                      const std::vector<std::ptrdiff_t>& strides) const;
  std::string element(const CodeRead& read, const Nest& nest) const;
  std::string type(std::size_t array) const { return code_name(code_.arrays[array].type); }
  const std::string& name(std::size_t array);

  Code& code_;
  CodeNames& names_;
  std::vector<CodeUnit> units_;
  bool cblas_, uses_cblas_ = false;
  std::map<std::size_t, Lifetime> lifetimes_;
  std::map<std::size_t, std::string> places_;  ///< of arrays in the static memory
  std::set<std::size_t> variables_;
  CodeMemory memory_;

  friend class NestWriter;
};

/// "i", "j" … of a nest of loops.
std::string code_loop(std::size_t depth);
/// "for (std::size_t i = 0; i < 8; ++i)"
std::string code_for(const std::string& variable, std::size_t n);
/// "3 + i * 8 + j"
std::string code_index(std::ptrdiff_t offset, const std::vector<std::string>& loops,
                       const std::vector<std::ptrdiff_t>& strides);

}  // namespace xtape::detail
