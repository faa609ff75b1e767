// What a rule of forward mode sees. An operation says `static constexpr bool is_linear = true` where its
// tangent is the operation itself on the tangent of its only input; `is_bilinear` where it is linear in each
// of two inputs; or
//
//   void tangent(Tangents<T>& t) const;   // t.add(…) for each input that t.has(i)
#pragma once
#include <span>
#include <vector>

#include "adjoint_sums.hpp"
#include "forward.hpp"

namespace xtape::detail {

/// The inputs and the result of an operation that has run, the tangents of the inputs, and the sum that is to
/// become that of the result.
template <class T>
class Tangents {
 public:
  using Pointers = std::span<const Handle* const>;
  Tangents(ForwardPass& pass, const Handle& y, Pointers inputs, Pointers tangents)
      : pass_(pass), y_(y), inputs_(inputs), tangents_(tangents) {}

  std::size_t input_count() const { return inputs_.size(); }
  bool has(std::size_t i) const { return tangents_[i] != nullptr; }
  /// The tangent of input i.
  Tensor<T> of(std::size_t i) const { return Tensor<T>(Handle(*tangents_[i])); }
  /// The input and the result, as recorded where tangents are to be differentiated.
  Tensor<T> input(std::size_t i) const { return tensor(*inputs_[i]); }
  Tensor<T> output() const { return tensor(y_); }
  /// The same, for i = input_count() the result, as Gradients::operand().
  Tensor<T> operand(std::size_t i) const { return i < input_count() ? input(i) : output(); }
  /// An input that is no tensor.
  Indices indices(std::size_t i) const { return Indices(Handle(*inputs_[i])); }
  /// The tangent of an input of another element type.
  template <class From>
  Tensor<From> of_type(std::size_t i) const {
    return Tensor<From>(Handle(*tangents_[i]));
  }
  ForwardPass& pass() const { return pass_; }
  /// Adds the tangent of f(inputs), whose operations carry theirs.
  template <class F>
  void replay(const F& f) {
    std::vector<Tensor<T>> x;
    for (const Handle* input : inputs_) x.emplace_back(Handle(*input));
    const ForwardPass::Watch this_one(&pass_);
    const Tensor<T> y = f(x);
    if (const Handle* const found = pass_.find(y.handle().node.get())) add(Tensor<T>(Handle(*found)));
  }

  /// Adds to the tangent of the result; `part` may have a shape that broadcasts to it.
  void add(const Tensor<T>& part) { sum_ = sum_.defined() ? sum_of_adjoints(sum_, part) : part; }
  template <class Op, class... In>
  requires requires(const Op& op) { name_of(op); }
  void add(const Op& op, const In&... in) { add(apply<T>(op, plain(in)...)); }
  /// Of the result's shape; an empty handle for 0.
  Handle sum() && {
    if (!sum_.defined()) return {};
    const Shape& shape = y_.value->shape;
    return sum_.shape() == shape ? std::move(sum_).release() : widened(sum_, shape).release();
  }

 private:
  static const Tensor<T>& plain(const Tensor<T>& x) { return x; }
  static const Indices& plain(const Indices& x) { return x; }
  Tensor<T> tensor(const Handle& x) const {
    return pass_.creates_graph() ? Tensor<T>(Handle(x)) : Tensor<T>(Handle{x.value, {}});
  }

  ForwardPass& pass_;
  const Handle& y_;
  Pointers inputs_, tangents_;
  Tensor<T> sum_;
};

/// Operation::tangent of an operation.
template <class T, class Op>
Handle tangent_of(const void* op, ForwardPass& pass, const Handle& y, std::span<const Handle* const> inputs,
                  std::span<const Handle* const> tangents) {
  Tangents<T> t(pass, y, inputs, tangents);
  const Op& self = *static_cast<const Op*>(op);
  if constexpr (requires { Op::is_linear; }) {
    t.add(self, t.of(0));
  } else if constexpr (requires { Op::is_bilinear; }) {
    if (t.has(0)) t.add(self, t.of(0), t.input(1));
    if (t.has(1)) t.add(self, t.input(0), t.of(1));
  } else {
    self.tangent(t);
  }
  return std::move(t).sum();
}

}  // namespace xtape::detail
