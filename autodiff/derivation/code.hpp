// What operations say to have C++ written for them, and what is made of that: tasks on arrays. See cpp.md.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "../kernels/op_number.hpp"
#include "../tape/trace.hpp"
#include "placing.hpp"

namespace xtape::detail {

/// What errors name.
inline constexpr const char* cpp_op = "cpp";

enum class CodeType : unsigned char { real64, real32, index };

/// An array of the file, or a number.
struct CodeArray {
  enum class Kind { argument, constant, number, computed };
  Kind kind;
  CodeType type;
  std::size_t size;  ///< elements
  double number = 0;
  Handle constant{};
  std::string name{};
};

/// The elements of an array that a tensor shows.
struct CodeRead {
  std::size_t array;
  Placing placing;
  bool operator==(const CodeRead&) const = default;
};

/// One step of the computation.
struct CodeTask {
  enum class Kind { elements, sum, largest, smallest, product, writes, text };
  Kind kind = Kind::elements;
  std::size_t array = 0;  ///< the result
  std::vector<CodeRead> reads{};
  std::size_t size = 0;  ///< of elements, reductions and products: how many the loops go over
  /// Of elements: the expression, $0, $1 … for operands. Of text: lines, with $y, $0 … for arrays.
  std::string text{};
  Placing to{};  ///< of reductions: where each of the elements that are read goes
  /// Of products: how many are summed, the strides along that, and the axes of one matrix of the result. The
  /// reads are those of the elements of the result.
  std::size_t inner = 0, rows = 0, columns = 0;
  std::ptrdiff_t inner_stride[2]{}, outer_stride[2]{};
  Placing batches[2]{};            ///< where the matrices begin
  std::vector<Placing> targets{};  ///< of writes: where what is read goes
  bool fills = false;              ///< of writes and text: the result is zero before
  std::vector<std::size_t> lines{};
};

/// Takes what the operations of a program say, one after the other. An operation calls one of the functions
/// for its result.
class Code {
 public:
  explicit Code(const Program& program);
  /// Asks the operations of all steps. Error where one cannot be written.
  void run();

  // ---- for operations
  /// Of input i, and of the result.
  const Shape& shape(std::size_t i) const { return program_.places[step_->inputs[i].place].shape; }
  const Shape& shape() const { return program_.places[step_->output].shape; }
  /// An elementwise operation on the inputs, which broadcast.
  void elements(OpNumber op, double p, double q);
  /// The input in the element type of the result.
  void cast();
  /// The elements of the input, in another shape.
  void same();
  /// The elements of the input at offset + Σ index·stride, where its own lie one behind the other. `sizes`
  /// are those of the result, or of its axes in parts.
  void read(std::ptrdiff_t offset, std::span<const std::size_t> sizes,
            std::span<const std::ptrdiff_t> strides);
  /// The same of strides that are numbered from the result's axes.
  void read(std::ptrdiff_t offset, const Dims& strides) { read(offset, shape(), strides); }
  /// Writes input i to the result at offset + Σ index·stride, with indices of the input's shape; once for
  /// each input. What is not written is 0.
  void write(std::size_t i, std::ptrdiff_t offset, const Dims& strides);
  void sum(unsigned mask) { reduce(CodeTask::Kind::sum, mask); }
  void largest(unsigned mask) { reduce(CodeTask::Kind::largest, mask); }
  void smallest(unsigned mask) { reduce(CodeTask::Kind::smallest, mask); }
  /// The product of two matrices, of which each may be transposed, for all that batch axes name.
  void product(bool transpose_a, bool transpose_b);
  /// Lines of C++. $y is the array of the result, which is zero before where it is `filled`; $0, $1 … those
  /// of the inputs, row-major; $T the element type; other names stand for these numbers.
  void text(std::string_view lines, std::initializer_list<std::pair<std::string_view, std::size_t>> numbers,
            bool filled = false);
  /// A number of the result's type.
  std::string number(double x) const;

  // ---- what has been made of it
  std::vector<CodeArray> arrays;
  std::vector<CodeTask> tasks;
  /// Of each place.
  const CodeRead& at(std::uint32_t place) const { return at_.at(place); }
  bool has(std::uint32_t place) const { return at_.contains(place); }

 private:
  void given(std::uint32_t place);
  std::size_t add_array(CodeArray array);
  CodeTask task(CodeTask::Kind kind, std::size_t size) const;
  void add(CodeTask task, CodeType type, std::size_t size);
  CodeRead number_read(double number, CodeType type, std::size_t size);
  /// Input i, read as the elements of its shape once more, or repeated to a wider shape.
  CodeRead input(std::size_t i) const { return at_.at(step_->inputs[i].place); }
  CodeRead read_again(const CodeRead& x, const Placing& again);
  CodeRead broadcast(std::size_t i, const Shape& to);
  /// The same elements in an array of their own, one behind the other.
  CodeRead copy(const CodeRead& x);
  void reduce(CodeTask::Kind kind, unsigned mask);
  void set(CodeRead read) { at_[step_->output] = std::move(read); }
  bool is_number(const CodeRead& x, double number) const;
  std::optional<double> folded(const std::vector<CodeRead>& x, OpNumber number) const;
  CodeType type_of(const Place& place) const;

  const Program& program_;
  const Step* step_ = nullptr;
  std::map<std::uint32_t, CodeRead> at_;
  std::vector<std::pair<CodeRead, CodeRead>> copies_;
};

/// The text with these words replaced, in their order.
std::string replaced(std::string text,
                     std::initializer_list<std::pair<std::string_view, std::string_view>> words);
/// The expression of an elementwise operation, $0, $1 … for operands. The functions that it calls are among
/// those of code_functions().
std::string code_expression(OpNumber op, const std::string& p, const std::string& q);
/// The definitions of the functions that a text calls, each after those that it calls itself.
std::string code_functions(const std::string& text);
/// A number that reads back to the same bits.
std::string code_number(double x, CodeType type);
const char* code_name(CodeType type);

}  // namespace xtape::detail
