// What runs a program: the calls that its steps take, over an arena in which places whose lives do not meet
// share memory. To run it allocates nothing, checks no shape and counts no reference.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <utility>
#include <vector>

#include "../tensor.hpp"
#include "program.hpp"

namespace xtape::detail {

/// The elements of a tensor, to be bound.
template <class T>
std::byte* bytes_of(const Tensor<T>& x) {
  return const_cast<std::byte*>(reinterpret_cast<const std::byte*>(x.data()));
}
/// A value of its own with the same elements.
ValueRef copy_of(const Value& value);

/// Elements; what lies between the steps of a group of arrays no longer than that is in the arena.
inline constexpr std::size_t least_in_tiles = 64;

class Plan {
 public:
  /// Of a program without dead steps, which must live as long. Where it is split, what the steps of gradients
  /// read of those before them is kept in a block of its own, and not written over, so that they can run
  /// later and more than once.
  Plan(const Program& program, bool is_split);
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  /// Where the elements of an argument are.
  void bind(std::uint32_t place, std::byte* data);
  void bind_arguments(std::span<const Handle> x);
  /// Where an output is to be: the run writes it there, or finish_output() copies it.
  void bind_output(std::size_t output, std::byte* to);
  void finish_output(std::size_t output, std::byte* to) const;
  /// Whether the run writes an output where bind_output() says, and nowhere else.
  bool is_direct(std::size_t output) const { return direct_[output]; }
  const Value& at(std::uint32_t place) const { return values_[place]; }
  /// How many elements the arrays have that it runs on, each of one axis. For a program of nothing but
  /// elementwise steps on arrays of one size, sums of all of one, and single numbers: a single group, between
  /// whose steps no array is in memory.
  void resize(std::size_t elements);
  /// Copies of the random numbers that the forward part has drawn, by place.
  std::vector<std::pair<std::uint32_t, ValueRef>> drawn() const;

  /// Bytes that steps of the backward part read of the forward part, and where they are.
  std::size_t kept_bytes() const { return kept_bytes_; }
  void bind_kept(std::byte* block);

  void run() {
    run_forward();
    run_backward();
  }
  void run_forward();
  void run_backward();

  /// Of the arena, with what is kept.
  std::size_t bytes() const { return kept_bytes_ + scratch_bytes_; }
  std::size_t calls() const { return calls_.size(); }
  std::size_t groups() const { return groups_.size(); }  ///< calls that run several elementwise steps, or one

 private:
  /// An operand or the result of a row: an array, one number, or a register of the tile.
  struct Slot {
    const Value* value = nullptr;  ///< null for what is not read
    std::int32_t register_ = -1;
    bool is_number = false;
  };
  /// An elementwise step, or a copy.
  struct Row {
    void (*kernel)();
    const void* numbers;
    Slot y;
    std::array<Slot, 5> x;
    std::array<std::ptrdiff_t, 5> stride;  ///< 0 for a number
    bool accumulate;
  };
  /// A sum of all elements, added to those of `base` where that is not null.
  struct Total {
    Slot x;
    const Value *base, *y;
  };
  /// A step that its operation computes, or a group of rows and sums.
  struct Call {
    decltype(Operation::run) run;  ///< null for a group
    const void* op;
    Value* y;
    const Value* base;           ///< is copied to y first, where that is another place
    std::uint32_t first, count;  ///< inputs, or rows
    bool accumulate;
    // Of a group:
    std::uint32_t registers = 0, first_total = 0, totals = 0;
  };
  /// The places that share memory.
  struct Root {
    std::vector<std::uint32_t> members;
    std::size_t bytes = 0, offset = 0;  ///< of a register: its number
    enum class Where : std::uint8_t { given, scratch, kept, tile } where = Where::given;
  };
  /// Elementwise steps on arrays of one size, and sums of all of one, which run tile by tile. Between them
  /// lie steps that take no time: views, and repeated numbers that are never an array.
  struct Group {
    std::size_t first, last;  ///< steps
    std::uint32_t registers = 0;
  };

  struct Lives;

  void find_numbers();
  void find_groups(std::size_t split);
  Lives find_lives(std::size_t split) const;
  void join_roots(const Lives& lives);
  std::vector<char> choose_direct();  ///< by place: whether it is where the caller says
  void give_memory(const Lives& lives, const std::vector<char>& is_given, std::size_t split);
  bool is_result(std::uint32_t place) const { return program_.places[place].kind == Place::Kind::result; }
  bool is_row(const Step& step) const;
  bool is_total(const Step& step, std::size_t size) const;
  bool takes_no_time(const Step& step) const { return step.operation->is_view || is_number_[step.output]; }
  bool is_copied_to(const Step& step) const {
    return step.base != Step::none && root_of_[step.base] != root_of_[step.output];
  }
  void add_group(const Group& group);
  void run(std::size_t first, std::size_t last);
  template <class T>
  void run_group(const Call& call) const;
  void set_data(const Root& root, std::byte* data);

  const Program& program_;
  std::deque<Value> values_;  ///< by place, with the shape, and where the elements are
  std::vector<std::uint32_t> root_of_;
  std::vector<Root> roots_;      ///< by place
  std::vector<char> is_number_;  ///< by place: an array of one number, which is not written down
  std::vector<Group> groups_;
  std::vector<Value*> inputs_;
  std::vector<Row> rows_;
  std::vector<Total> totals_;
  std::vector<Call> calls_;
  std::size_t forward_calls_ = 0;
  std::vector<char> direct_;
  std::size_t kept_bytes_ = 0, scratch_bytes_ = 0;
  ValueRef scratch_;
};

}  // namespace xtape::detail
