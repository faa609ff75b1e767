// What runs a program: the calls that its steps take, over an arena in which places whose lives do not meet
// share memory. To run it allocates nothing, checks no shape and counts no reference.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "program.hpp"

namespace xtape::detail {

class Plan {
 public:
  /// Of a program without dead steps, which must live as long. Where it is split, what the steps of gradients
  /// read of those before them is kept in a block of its own, and not written over, so that they can run later
  /// and more than once.
  Plan(const Program& program, bool is_split);
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  /// Where the elements of an argument are, or those of an output that is written where the caller says.
  void bind(std::uint32_t place, std::byte* data);
  /// Whether an output is; else it is to be copied, after the run.
  bool is_direct(std::size_t output) const { return direct_[output]; }
  const Value& at(std::uint32_t place) const { return values_[place]; }

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

 private:
  struct Call {
    decltype(Operation::run) run;
    const void* op;
    Value* y;
    const Value* base;  ///< is copied to y first, where that is another place
    std::uint32_t first_input, inputs;
    bool accumulate;
  };
  /// The places that share memory.
  struct Root {
    std::vector<std::uint32_t> members;
    std::size_t bytes = 0, offset = 0;
    enum class Where : std::uint8_t { given, scratch, kept } where = Where::given;
  };

  void place_roots(std::size_t split);
  void run(std::size_t first, std::size_t last);
  void set_data(const Root& root, std::byte* data);

  const Program& program_;
  std::deque<Value> values_;  ///< by place, with the shape, and where the elements are
  std::vector<std::uint32_t> root_of_;
  std::vector<Root> roots_;  ///< by place
  std::vector<Value*> inputs_;
  std::vector<Call> calls_;
  std::size_t forward_calls_ = 0;
  std::vector<char> direct_;
  std::size_t kept_bytes_ = 0, scratch_bytes_ = 0;
  ValueRef scratch_;
};

}  // namespace xtape::detail
