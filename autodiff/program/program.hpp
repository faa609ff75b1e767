// What is done with a program: it is made smaller, compared, printed, and run again by operations. See
// ../program.md.
#pragma once
#include <iosfwd>
#include <span>
#include <string>
#include <vector>

#include "../base/pool_vector.hpp"
#include "../error.hpp"
#include "../tape/backward.hpp"
#include "../tape/trace.hpp"

namespace xtape::detail {

/// The leaves that the function reads. Error, naming `op`, for a tensor that was recorded outside of it;
/// `advice` says what to do with that.
std::vector<Handle> captured_leaves(const Program& program, const char* op, const char* advice);

/// Makes the gradient that a pass has found for a node an output of the program; its number, or 0 where there
/// is none, or only what is at the place `unchanged`. Error for another element type than that of `item_size`
/// bytes.
std::size_t add_gradient(Trace& trace, const Pass& pass, const Node* node, std::size_t item_size,
                         std::uint32_t unchanged = Step::none);

/// Leaves out the steps that nothing needs. Random numbers are drawn all the same.
void remove_dead_steps(Program& program);

/// The program that computes what f(trace) gives, a range of tensors, from the arguments that it asks the
/// trace for. Error with the text `refusal` where the function assigns a tensor.
template <class F>
Program traced(const char* op, const char* refusal, const F& f) {
  Program program;
  {
    Trace trace(op);
    for (const auto& y : f(trace)) trace.program().outputs.push_back(trace.input_of(y.handle()));
    program = std::move(trace.program());
  }
  if (!program.stores.empty()) throw Error(op, refusal);
  program.forward = program.steps.size();
  remove_dead_steps(program);
  return program;
}

/// Lets the backward part compute large elementwise results again, right before it reads them, where what
/// they are computed from is kept for later steps anyway: they need no memory in between. Those alone that no
/// elementwise step reads, which would have them in its tiles.
void recompute_from_kept(Program& program);

/// What differs between two traces of one function, in words; empty where they are the same.
std::string difference(const Program& program, const Program& other);

/// Runs the first `steps` steps as operations, which are recorded, traced and watched as
/// those of the function were. What lies at each place; `given` is what lies at some already: the random
/// numbers of an earlier run, and what was read from outside before that stored there. What the function had
/// not recorded is detached, unless all is to be recorded.
std::vector<Handle> replay(const Program& program, std::span<const Handle> arguments, std::size_t steps,
                           const std::vector<std::pair<std::uint32_t, ValueRef>>& given = {},
                           bool record_all = false);

/// The tensors from outside that the steps from the first to before the last read, with their versions.
PoolVector<Kept> read_from_outside(const Program& program, std::size_t first, std::size_t last);
/// Error where one has been assigned since, which `what` needs.
void require_unchanged(std::span<const Kept> read, const char* what);

/// A step a line: "p5 (4, 8) = linear(p0, p1, p2)".
void print(std::ostream& out, const Program& program);

}  // namespace xtape::detail
