// A scan's step as a program, and what runs it forward.
#pragma once
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "../custom.hpp"
#include "../kernels/kernel_table.hpp"
#include "../layout.hpp"
#include "../scan.hpp"
#include "../tape/op.hpp"
#include "plan.hpp"

namespace xtape::detail {

inline constexpr const char* scan_op = "scan";

/// A step's program. Its arguments: the carry, x, then the adjoints of what it gives, and for each leaf the
/// sum of its gradients so far. It gives the next carry and y; then the adjoints of the carry, of x, the
/// sums.
template <class T>
struct StepProgram {
  Program program;
  std::vector<Shape> carry;
  Shape x, y;
  std::vector<Tensor<T>> leaves;
  bool requires_grad = false;
  std::vector<std::uint32_t> seeds, sums;  ///< places
  /// Outputs that are gradients, by carry, x and leaf; 0 for none.
  std::vector<std::size_t> of_carry, of_leaves;
  std::size_t of_x = 0;
  std::vector<std::size_t> offsets;  ///< of each tensor of a carry in a block
  std::size_t carry_bytes = 0, x_bytes = 0, y_bytes = 0;
  std::unique_ptr<Plan> plan;
  // What it was traced for.
  bool records = false, of_xs = false;
  std::thread::id thread = std::this_thread::get_id();
  const Kernels<T>* kernels = &detail::kernels<T>();
  std::vector<Tensor<T>> reads;
  std::uint64_t modes = mode_changes.load(std::memory_order_relaxed);

  std::size_t carries() const { return carry.size(); }
};

template <class T>
std::shared_ptr<StepProgram<T>> trace_step(const ScanStep<T>& step, const std::vector<Tensor<T>>& carry,
                                           const Tensor<T>& xs, bool records) {
  auto own = std::make_shared<StepProgram<T>>();
  own->records = records;
  own->of_xs = records && xs.requires_grad();
  const RecordingScope scope(records);
  Trace trace(scan_op);
  Program& program = trace.program();
  own->x = xs.shape();
  own->x.erase(0);
  std::vector<Tensor<T>> in;
  for (const Tensor<T>& one : carry) {
    own->carry.push_back(one.shape());
    in.emplace_back(trace.argument(one.shape(), sizeof(T), false, records));
  }
  const Tensor<T> x(trace.argument(own->x, sizeof(T), false, own->of_xs));
  auto [outputs, y] = step(in, x);
  if (outputs.size() != carry.size())
    throw Error(scan_op, "the step gives a carry of " + std::to_string(outputs.size()) +
                             " tensors, and takes " + std::to_string(carry.size()));
  for (std::size_t i = 0; i < carry.size(); ++i)
    if (!(outputs[i].shape() == own->carry[i]))
      throw Error(scan_op, "the carry changes its shape from " + to_string(own->carry[i]) + " to " +
                               to_string(outputs[i].shape()));
  own->y = y.shape();
  outputs.push_back(y);
  for (const Tensor<T>& one : outputs) {
    program.outputs.push_back(trace.input_of(one.handle()));
    own->requires_grad = own->requires_grad || one.requires_grad();
  }
  program.forward = program.steps.size();
  if (!program.stores.empty()) throw Error(scan_op, "the step assigns a tensor: carry it");
  const std::vector<Handle> captured = captured_leaves(program, scan_op, "make it part of the carry");
  if (own->requires_grad) {
    std::vector<Tensor<T>> seeds;
    for (const Tensor<T>& one : outputs) {
      own->seeds.push_back(static_cast<std::uint32_t>(program.places.size()));
      seeds.emplace_back(trace.argument(one.shape(), sizeof(T), false, false));
    }
    std::vector<Pass::Target> targets;
    std::vector<std::uint32_t> sums;
    for (const Handle& leaf : captured) {
      sums.push_back(static_cast<std::uint32_t>(program.places.size()));
      targets.push_back({leaf.node.get(), trace.argument(*leaf.value.get(), false)});
      program.places[sums.back()].is_consumed = true;
    }
    for (const Tensor<T>& one : in) targets.push_back({one.handle().node.get(), {}});
    if (x.requires_grad()) targets.push_back({x.handle().node.get(), {}});
    const bool is_opaque = program.is_opaque;  // but for this
    const Tensor<T> root = custom<T>("scan", outputs, Tensor<T>(0), [&](const Tensor<T>&) { return seeds; });
    program.is_opaque = is_opaque;
    Pass pass(false, false, std::move(targets));
    pass.replay(*root.handle().node.get(), Tensor<T>(1).handle());
    const auto output_of = [&](const Handle& tensor, std::uint32_t unchanged = Step::none) {
      return add_gradient(trace, pass, tensor.node.get(), sizeof(T), unchanged);
    };
    for (const Tensor<T>& one : in) own->of_carry.push_back(output_of(one.handle()));
    own->of_x = output_of(x.handle());
    for (std::size_t i = 0; i < captured.size(); ++i)
      if (const std::size_t output = output_of(captured[i], sums[i])) {
        own->leaves.emplace_back(Handle(captured[i]));
        own->sums.push_back(sums[i]);
        own->of_leaves.push_back(output);
      }
  }
  remove_dead_steps(program);
  own->program = std::move(program);
  own->plan = std::make_unique<Plan>(own->program, own->requires_grad);
  for (const Shape& shape : own->carry) {
    own->offsets.push_back(own->carry_bytes);
    const std::size_t bytes = element_count(shape, scan_op) * sizeof(T);
    own->carry_bytes += (bytes + alignment - 1) / alignment * alignment;
  }
  own->x_bytes = element_count(own->x, scan_op) * sizeof(T);
  own->y_bytes = element_count(own->y, scan_op) * sizeof(T);
  return own;
}

/// What runs steps forward.
template <class T>
struct Runner {
  StepProgram<T>& step;
  std::byte* xs;

  void bind_inputs(std::size_t t, std::byte* carry) const {
    for (std::size_t i = 0; i < step.carries(); ++i)
      step.plan->bind(static_cast<std::uint32_t>(i), carry + step.offsets[i]);
    step.plan->bind(static_cast<std::uint32_t>(step.carries()), xs + t * step.x_bytes);
  }
  void bind_results(std::byte* next, std::byte* y) const {
    each_result(next, y, [&](std::size_t k, std::byte* to) { step.plan->bind_output(k, to); });
  }
  /// Step t: from the carry to the next one and y.
  void run(std::size_t t, std::byte* carry, std::byte* next, std::byte* y) const {
    bind_inputs(t, carry);
    bind_results(next, y);
    step.plan->run_forward();
    each_result(next, y, [&](std::size_t k, std::byte* to) { step.plan->finish_output(k, to); });
  }

 private:
  template <class F>
  void each_result(std::byte* next, std::byte* y, const F& f) const {
    for (std::size_t k = 0; k < step.carries(); ++k) f(k, next + step.offsets[k]);
    f(step.carries(), y);
  }
};

}  // namespace xtape::detail
