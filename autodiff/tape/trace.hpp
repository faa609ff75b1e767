// A trace: a function runs once on tensors that have a shape and no elements, and its operations become the
// steps of a program instead of being computed. See program.md.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "../tape.hpp"
#include "forward.hpp"

namespace xtape::detail {

/// What a step reads: a place, and whether the tensor there was recorded. Where it was not, as after
/// detach(), no gradient and no tangent passes, when the step is run again as an operation.
struct Input {
  std::uint32_t place;
  bool recorded = false;
  bool operator==(const Input&) const = default;
};

/// An operation on places.
struct Step {
  static constexpr std::uint32_t none = ~std::uint32_t{0};
  const Operation* operation;
  std::shared_ptr<const void> op;
  std::vector<Input> inputs;
  std::uint32_t output;
  std::uint32_t base = none;  ///< the place that the result is added to, as adjoints are

  const char* name() const { return operation->name(op.get()); }
};

/// What is at a place: a tensor that is given, or comes from outside; a constant of the program; the result
/// of a step.
struct Place {
  enum class Kind : std::uint8_t { argument, outside, constant, result };
  Kind kind;
  std::uint16_t item_size;
  bool integers;
  Shape shape;
  Handle tensor{};  ///< of one from outside, and of a constant
  /// An argument whose memory a step may write to that reads it last, as what it adds to.
  bool is_consumed = false;
};

/// New elements for a tensor from outside.
struct Store {
  std::uint32_t target, value;
  bool operator==(const Store&) const = default;
};

/// What a function computes. Places have one writer each, and steps are in the order in which they ran.
struct Program {
  std::vector<Place> places;
  std::vector<Step> steps;
  std::size_t forward = 0;  ///< the steps before those of gradients
  std::vector<Store> stores;
  std::vector<Input> outputs;
  /// It holds a recorded custom() or checkpoint(), which are no steps: its derivatives are not those of a
  /// replay.
  bool is_opaque = false;
};

/// A tensor of a trace: a shape without elements, that stands for a place.
struct AbstractValue : Value {
  std::uint64_t trace;  ///< the number of its trace
  std::uint32_t place;
  AbstractValue(const Shape& s, std::uint64_t of, std::uint32_t at) : Value(s), trace(of), place(at) {}
};

inline bool is_abstract(const Value& value) { return value.data == nullptr; }

/// While it lives, this thread's operations on abstract tensors, and on tensors that were there before it,
/// are steps of its program. What is computed from plain numbers alone is computed at once, and is a constant
/// of the program. Traces nest: what an outer one computes is outside for an inner one.
class Trace {
 public:
  explicit Trace(const char* op);
  ~Trace();
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  const char* op() const { return op_; }
  Program& program() { return program_; }

  /// What is given to the program; with a leaf of its own where it is to be recorded.
  Handle argument(const Shape& shape, std::size_t item_size, bool integers, bool recorded);
  Handle argument(const Value& like, bool recorded) {
    return argument(like.shape, like.item_size, like.integers, recorded);
  }
  /// The place of a tensor: a new one for one from outside.
  Input input_of(const Handle& tensor);

  using Inputs = std::span<const Handle* const>;
  /// Whether an operation is to be a step, for a result with so many elements; else it is computed at once.
  bool defers(Inputs inputs, std::size_t elements) const;
  /// Appends a step, whose result is added to `base` where that is not null.
  ValueRef add(const Operation& operation, std::shared_ptr<const void> op, Inputs inputs, const Shape& shape,
               std::size_t item_size, const ValueRef& base = {});
  /// The same for random numbers, which a function that is run again draws again: see RandomPoint.
  ValueRef add_random(const Operation& operation, std::shared_ptr<const void> op, const Shape& shape,
                      std::size_t item_size);
  /// Notes what was computed from plain numbers, beside the values that are made anew.
  void note_constant(const ValueRef& value) { made_.push_back(value); }
  void store(const Handle& target, const Handle& value);
  /// Error where the elements of a value are not there yet, or will be others in another run.
  void require_readable(const Value& value, const char* what) const;

  std::uint64_t number() const { return number_; }
  std::size_t drawn = 0;   ///< of the random numbers: those from here on have been drawn before
  bool draws_now = false;  ///< numbers that were drawn before the trace are drawn again, and are constants

 private:
  bool is_constant(const Value& value) const;
  std::uint32_t place_of(const Handle& tensor);
  ValueRef result(std::uint32_t place) const;

  const char* op_;
  std::uint64_t number_;
  Trace* outer_;
  Observer* hidden_;  ///< observers would look at elements
  ForwardPass::Watch no_tangents_{nullptr};
  Program program_;
  std::unordered_map<const Value*, std::uint32_t> places_;  ///< of tensors from outside and constants
  std::vector<ValueRef> made_;                              ///< held, so that no other gets its address
  std::vector<ValueRef>* made_before_;
  mutable std::unordered_set<const Value*> constants_;  ///< of made_, as far as it has been looked at
  mutable std::size_t seen_ = 0;
  std::vector<std::size_t> random_;  ///< the steps that draw
};

}  // namespace xtape::detail
