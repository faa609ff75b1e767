// How an operation is written: a struct with its value and its derivative. Not for users' programs; see
// CONTRIBUTING.md for a walk through one.
//
//   struct Op {
//     static constexpr const char* name = "op";
//     Shape shape(const Shape& a, ...) const;                      // of the result; checks the arguments
//     void compute(Target<T> y, const Tensor<T>& a, ...) const;    // y = op(a, ...)
//     static constexpr bool accumulates = true;                    // compute() also does y += op(a, ...)
//     static constexpr unsigned keeps(unsigned i);                 // what the gradient of input i needs
//     void backward(Gradients<T>& d) const;                        // d.add(i, …) for each input
//     void tangent(Tangents<T>& t) const;                          // t.add(…); or is_linear: tangents.hpp
//     bool operator==(const Op&) const = default;                  // where it holds anything
//   };
//
// broadcasts: inputs have leading axes that broadcast; mixes_matrices: each last two axes of the result
// depend on all of the inputs' (a factorisation, which cannot be run on any numbers to see what it reads).
// Without backward() the result is a constant. With compute(y, std::span<const Tensor<T>> x) it takes any
// number of inputs.
#pragma once
#include <algorithm>
#include <array>
#include <new>
#include <span>
#include <tuple>
#include <type_traits>

#include "../base/make_like.hpp"
#include "../base/pool_vector.hpp"
#include "../indices.hpp"
#include "adjoint_sums.hpp"
#include "backward.hpp"
#include "observer.hpp"
#include "operation.hpp"
#include "trace.hpp"

namespace xtape::detail {

/// Bits for Op::keeps: inputs by number, and keep_output. Inputs from number 31 on are never kept.
inline constexpr unsigned keep_all_inputs = ~keep_output;
constexpr unsigned keep_input(unsigned i) { return 1u << i; }

template <class T, class Op, class First, class... Rest>
Tensor<T> apply(const Op& op, const First& first, const Rest&... rest);
/// The same for inputs as pointers to handles, and a result of this shape.
template <class T, class Op>
Tensor<T> perform_here(const Op& op, std::span<const Handle* const> inputs, const Shape& shape);

/// What long sums in sequence are computed in.
template <class T>
using Wider = std::conditional_t<sizeof(T) == sizeof(float), double, long double>;

/// Whether an element is this number, as far as is known.
template <class T>
bool contains(const Tensor<T>& x, std::type_identity_t<T> number) {
  if (is_abstract(*x.handle().value.get())) return true;  // it may
  return std::find(x.data(), x.data() + x.size(), number) != x.data() + x.size();
}

/// A tensor, or indices, that does not count as a holder of its value, which somebody else holds longer.
template <class X>
class BorrowedAs : public X {
 public:
  BorrowedAs(Value* value, Node* node) : X(Handle{ValueRef(value), NodeRef::share(node)}) {}
  BorrowedAs(const BorrowedAs&) = delete;  // and returned as const, so that nothing is moved out of it
  BorrowedAs& operator=(const BorrowedAs&) = delete;
  ~BorrowedAs() { std::move(*this).X::release().value.release(); }
};
template <class T>
using Borrowed = BorrowedAs<Tensor<T>>;

/// What a rule sees: the adjoint of the node's output, what was kept, and the accumulator of each input.
template <class T>
class Gradients {
 public:
  Gradients(Node& node, Pass& pass, Handle&& g) : adjoint(std::move(g)), node_(node), pass_(pass) {}

  /// dL/d(output), of the output's shape. A rule may move it into its last add().
  Tensor<T> adjoint;

  /// Whether input i takes part: a rule may skip work for it. add() does so by itself.
  bool needs(std::size_t i) const { return node_.inputs()[i] && pass_.wants(*node_.inputs()[i]); }
  std::size_t input_count() const { return node_.input_count; }
  /// The shape of an input that takes part.
  Shape shape(std::size_t i) const { return node_.inputs()[i]->shape(); }
  bool has_shape(std::size_t i, const Shape& s) const { return node_.inputs()[i]->has_shape(s); }
  /// Whether others have added to the adjoint of an input that takes part.
  bool is_begun(std::size_t i) const { return pass_.collected(*node_.inputs()[i]) != nullptr; }
  /// A kept input, or the kept output: recorded tensors when the pass creates a graph.
  Tensor<T> input(std::size_t i) const { return operand(i); }
  Tensor<T> output() const { return operand(input_count()); }
  /// The same, for i = input_count() the output, as an operand of add() and the like.
  const Borrowed<T> operand(std::size_t i) const {
    return {kept(i).value.get(), !creates_graph() ? nullptr : i < input_count() ? node_.inputs()[i] : &node_};
  }
  /// A kept input that is no tensor.
  Indices indices(std::size_t i) const { return Indices(Handle{kept(i).value, {}}); }
  /// A kept input with its place on the tape, for a rule that records and replays.
  Tensor<T> recorded_input(std::size_t i) const {
    return Tensor<T>(Handle{kept(i).value, NodeRef::share(node_.inputs()[i])});
  }
  bool creates_graph() const { return pass_.creates_graph(); }
  /// d(adjoint)/d(output) at the elements of the output that `mask` marks and where the adjoint is 0, and 0
  /// at others. Where the output is 0 and g(y) / y is wanted, as at the origin of a norm, this is its limit,
  /// by l'Hôpital: so ‖x‖² has its second derivative there. Only a pass that creates a graph has it.
  Tensor<T> adjoint_slope(const Tensor<T>& mask);
  Pass& pass() const { return pass_; }
  /// For inputs of another element type, without the adjoint.
  template <class From>
  Gradients<From> of_type() const {
    return Gradients<From>(node_, pass_, {});
  }

  /// Adds `gradient` to the adjoint of input i; it may have the wider shape that input i was broadcast to.
  /// The first one is taken over without a copy.
  void add(std::size_t i, Tensor<T> gradient) {
    if (!needs(i)) return;
    if (pass_.creates_graph())
      add_recorded(i, gradient);
    else if (has_shape(i, gradient.shape()))
      add_same_shape(i, std::move(gradient));
    else
      add(i, SumTo<T>::of(gradient.shape(), shape(i)), gradient);
  }

  /// Adds op(in…), computed straight into the adjoint where the shapes allow it.
  template <class Op, class... In>
  requires requires(const Op& op) { name_of(op); }
  void add(std::size_t i, const Op& op, const In&... in) {
    if (!needs(i)) return;
    if constexpr (requires { Op::accumulates; })
      if (!pass_.creates_graph() && has_shape(i, op.shape(in.shape()...))) {
        if (tracing) [[unlikely]]
          return add_step(i, op, std::array{&in.handle()...});
        return accumulate_needed(i, [&](Target<T> y) { op.compute(y, in...); });
      }
    add(i, apply<T>(op, in...));
  }

  /// The same for what the rule adds last, of the adjoint's shape, where op.compute() may write over its
  /// first operand, the adjoint: if nobody else holds that, its memory becomes that of the input's.
  template <class Op, class... In>
  void add_last(std::size_t i, const Op& op, const In&... in) {
    if (!needs(i)) return;
    if (pass_.creates_graph() || tracing || !has_shape(i, adjoint.shape())) return add(i, op, in...);
    Node& to = *node_.inputs()[i];
    Handle& slot = pass_.slot(to);
    if (slot.value || !adjoint.handle().value.unique())
      return accumulate_into(slot, to, [&](Target<T> y) { op.compute(y, in...); });
    op.compute(Target<T>{adjoint.mutable_data(), adjoint.size()}, in...);
    slot = std::move(adjoint).release();
  }

  /// Adds op(inputs), of input i's shape, as a step of the program that is being traced.
  template <class Op>
  void add_step(std::size_t i, const Op& op, std::span<const Handle* const> inputs) {
    if (!needs(i)) return;
    Node& to = *node_.inputs()[i];
    Handle& slot = pass_.slot(to);
    const Shape shape = to.shape();
    slot.value = slot.value ? tracing->add(operation<T, Op>, std::make_shared<const Op>(op), inputs, shape,
                                           sizeof(T), slot.value)
                            : perform_here<T>(op, inputs, shape).release().value;
  }

  /// Runs write(Target) on the adjoint of input i. For passes that create no graph.
  template <class Write>
  void accumulate(std::size_t i, Write&& write) {
    if (needs(i)) accumulate_needed(i, write);
  }

 private:
  template <class Write>
  void accumulate_needed(std::size_t i, const Write& write) {
    Node& to = *node_.inputs()[i];
    accumulate_into(pass_.slot(to), to, write);
  }
  template <class Write>
  void accumulate_into(Handle& slot, Node& to, const Write& write) {
    if (!slot.value) {
      const Value* const like = adjoint.handle().value.get();  // null where a rule has moved it on
      ValueRef fresh = like && to.has_shape(like->shape) ? make_like(*like)
                                                         : make_value(to.shape(), sizeof(T), node_.name);
      write(Target<T>{reinterpret_cast<T*>(fresh->data), fresh->size});
      slot.value = std::move(fresh);
    } else {
      if (!slot.value.unique()) slot.value = copy(slot.value);
      write(Target<T>{reinterpret_cast<T*>(slot.value->data), slot.value->size, true});
    }
  }

  const Kept& kept(std::size_t i) const {
    if (i == node_.input_count) return node_.kept().back();
    return node_.kept()[bit_count(node_.kept_mask & ((1u << i) - 1u))];
  }
  static ValueRef copy(const ValueRef& value) {
    Tensor<T> fresh = Tensor<T>::uninitialized(value->shape);
    const T* from = value->elements<T>();
    std::copy(from, from + value->size, fresh.mutable_data());
    return fresh.handle().value;
  }
  void add_same_shape(std::size_t i, Tensor<T> gradient);
  void add_recorded(std::size_t i, const Tensor<T>& gradient);

  Node& node_;
  Pass& pass_;
};

/// Appends a node for `op`, and gives `y`, its value, that place on the tape.
template <class T, class Op, class Inputs>
Tensor<T> append(Op op, Tensor<T> y, const Inputs& inputs, std::uint32_t kept_mask) {
  static_assert(std::is_nothrow_move_constructible_v<Op> && alignof(Op) <= op_alignment);
  Node* node = append(name_of(op), y.shape(), inputs, kept_mask, y.handle().value, sizeof(Op));
  ::new (node->op()) Op(std::move(op));
  node->operation = &operation<T, Op>;
  node->traced = tracing != nullptr;
  return Tensor<T>(Handle{std::move(y).release().value, NodeRef(node)});
}

/// Whether an operation on these inputs is to be recorded.
template <class Inputs>
bool records(const Inputs& inputs) {
  for (const Handle* input : inputs)
    if (input->active()) {
      if (recording) return true;
      if (skipped_inputs) skipped_inputs->push_back({input->value, input->value->owner().version});
    }
  return false;
}

/// The inputs of an operation that takes any number of them, as the pointers that a record takes.
template <class T>
class Handles {
 public:
  explicit Handles(std::span<const Tensor<T>> inputs) : inputs_(inputs) {}
  std::size_t size() const { return inputs_.size(); }
  const Handle* operator[](std::size_t i) const { return &inputs_[i].handle(); }

  struct Iterator {
    const Tensor<T>* at;
    const Handle* operator*() const { return &at->handle(); }
    Iterator& operator++() { return ++at, *this; }
    bool operator==(const Iterator&) const = default;
  };
  Iterator begin() const { return {inputs_.data()}; }
  Iterator end() const { return {inputs_.data() + inputs_.size()}; }

 private:
  std::span<const Tensor<T>> inputs_;
};

/// Records `op` with the value `y` that it has computed, when an input requires a gradient.
template <class T, class Op, class Inputs>
Tensor<T> record(Op&& op, Tensor<T> y, const Inputs& inputs) {
  if (!records(inputs)) return y;
  std::uint32_t kept = 0;
  if constexpr (requires { op.keeps(0u); })
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (inputs[i]->active()) kept |= op.keeps(static_cast<unsigned>(i));
  if (inputs.size() < 31) kept &= ((1u << inputs.size()) - 1u) | keep_output;
  return append<T>(std::forward<Op>(op), std::move(y), inputs, kept);
}

/// An uninitialised tensor of a shape which is often that of `x`.
template <class T>
Tensor<T> make_result(const Shape& shape, const char* op, const Tensor<T>& x) {
  const Value& like = *x.handle().value.get();
  return Tensor<T>(Handle{shape == like.shape ? make_like(like) : make_value(shape, sizeof(T), op), {}});
}

/// The value of an operation while a trace runs: a step's, or what value(op) computes from constants.
template <class T, class Op, class Inputs, class F>
[[gnu::noinline]] Tensor<T> traced_value(const Op& op, const Inputs& inputs, const Shape& shape,
                                         const F& value) {
  if constexpr (is_step<T, Op>) {
    std::vector<const Handle*> list;
    for (const Handle* input : inputs) list.push_back(input);
    if (tracing->defers(list, element_count(shape, name_of(op))))
      return Tensor<T>(
          Handle{tracing->add(operation<T, Op>, std::make_shared<const Op>(op), list, shape, sizeof(T)), {}});
    Tensor<T> y = value(op);
    tracing->note_constant(y.handle().value);
    return y;
  } else {
    for (const Handle* input : inputs) {
      tracing->input_of(*input);  // a leaf that its rule may reach
      if (recording && input->node) tracing->program().is_opaque = true;
    }
    return value(op);
  }
}

/// An operation on `inputs`, for who watches, too: value(op) is its value, of this shape, which is recorded
/// where there is a rule.
template <class T, class Op, class Inputs, class F>
Tensor<T> perform(Op&& op, const Inputs& inputs, const Shape& shape, const F& value) {
  using Plain = std::remove_cvref_t<Op>;
  Observed observed(name_of(op));
  Tensor<T> result = [&] {
    Tensor<T> y = tracing ? traced_value<T, Plain>(op, inputs, shape, value) : value(std::as_const(op));
    if constexpr (has_backward<T, Plain>)
      return record<T>(std::forward<Op>(op), std::move(y), inputs);
    else
      return y;
  }();
  observed.result(result.handle(), inputs);
  return result;
}

template <class T, class Op, class First, class... Rest>
Tensor<T> apply(const Op& op, const First& first, const Rest&... rest) {
  const std::array<const Handle*, 1 + sizeof...(Rest)> inputs{&first.handle(), &rest.handle()...};
  const Shape shape = op.shape(first.shape(), rest.shape()...);
  return perform<T>(op, inputs, shape, [&](const Op& same) {
    Tensor<T> y = make_result<T>(shape, name_of(same), first);
    same.compute(Target<T>{y.mutable_data(), y.size()}, first, rest...);
    return y;
  });
}

}  // namespace xtape::detail

#include "steps.hpp"
#include "tangents.hpp"
