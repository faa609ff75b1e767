// A scan as a node: the plan of one step, run for each.
#include "../scan.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "../custom.hpp"
#include "../layout.hpp"
#include "../ops/layout_ops.hpp"
#include "../tape/op.hpp"
#include "plan.hpp"

namespace xtape::detail {
namespace {

constexpr const char* op_name = "scan";

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

  std::size_t carries() const { return carry.size(); }
  const Value& at(std::size_t output) const { return plan->at(program.outputs[output].place); }
};

ValueRef block(std::size_t bytes) { return make_value({bytes}, 1, op_name); }

template <class T>
std::shared_ptr<StepProgram<T>> trace_step(const ScanStep<T>& step, const std::vector<Tensor<T>>& carry,
                                           const Tensor<T>& xs, bool records) {
  auto own = std::make_shared<StepProgram<T>>();
  const RecordingScope scope(records);
  Trace trace(op_name);
  Program& program = trace.program();
  own->x = xs.shape();
  own->x.erase(0);
  std::vector<Tensor<T>> in;
  for (const Tensor<T>& one : carry) {
    own->carry.push_back(one.shape());
    in.emplace_back(trace.argument(one.shape(), sizeof(T), false, records));
  }
  const Tensor<T> x(trace.argument(own->x, sizeof(T), false, records && xs.requires_grad()));
  auto [outputs, y] = step(in, x);
  if (outputs.size() != carry.size())
    throw Error(op_name, "the step gives a carry of " + std::to_string(outputs.size()) +
                             " tensors, and takes " + std::to_string(carry.size()));
  for (std::size_t i = 0; i < carry.size(); ++i)
    if (!(outputs[i].shape() == own->carry[i]))
      throw Error(op_name, "the carry changes its shape from " + to_string(own->carry[i]) + " to " +
                               to_string(outputs[i].shape()));
  own->y = y.shape();
  outputs.push_back(y);
  for (const Tensor<T>& one : outputs) {
    program.outputs.push_back(trace.input_of(one.handle()));
    own->requires_grad = own->requires_grad || one.requires_grad();
  }
  program.forward = program.steps.size();
  if (!program.stores.empty()) throw Error(op_name, "the step assigns a tensor: carry it");
  for (const Place& place : program.places)
    if (place.kind == Place::Kind::outside && place.tensor.node && !place.tensor.node->is_leaf())
      throw Error(op_name, "the step captures a tensor of shape " + to_string(place.shape) +
                               " that was recorded by '" + place.tensor.node->name +
                               "': make it part of the carry, or detach() it");
  std::vector<Handle> captured;
  for (const Place& place : program.places)
    if (place.kind == Place::Kind::outside && place.tensor.node && place.item_size == sizeof(T))
      captured.push_back(place.tensor);
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
      targets.push_back({leaf.node.get(), trace.argument(leaf.value->shape, sizeof(T), false, false)});
      program.places[sums.back()].is_consumed = true;
    }
    for (const Tensor<T>& one : in) targets.push_back({one.handle().node.get(), {}});
    if (x.requires_grad()) targets.push_back({x.handle().node.get(), {}});
    const bool is_opaque = program.is_opaque;  // but for this
    const Tensor<T> root = custom<T>("scan", outputs, Tensor<T>(0), [&](const Tensor<T>&) { return seeds; });
    program.is_opaque = is_opaque;
    Pass pass(false, false, std::move(targets));
    pass.replay(*root.handle().node.get(), Tensor<T>(1).handle());
    const auto output_of = [&](const Handle& tensor, std::uint32_t unchanged) -> std::size_t {
      const Handle gradient = tensor.node ? pass.find(*tensor.node.get())->gradient : Handle();
      if (!gradient.value) return 0;
      const Input result = trace.input_of(Handle{gradient.value, {}});
      if (result.place == unchanged) return 0;
      program.outputs.push_back(result);
      return program.outputs.size() - 1;
    };
    for (const Tensor<T>& one : in) own->of_carry.push_back(output_of(one.handle(), Step::none));
    own->of_x = output_of(x.handle(), Step::none);
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
    const std::size_t bytes = element_count(shape, op_name) * sizeof(T);
    own->carry_bytes += (bytes + alignment - 1) / alignment * alignment;
  }
  own->x_bytes = element_count(own->x, op_name) * sizeof(T);
  own->y_bytes = element_count(own->y, op_name) * sizeof(T);
  return own;
}

/// What runs steps forward.
template <class T>
struct Runner {
  StepProgram<T>& step;
  const std::byte* xs;

  void bind_inputs(std::size_t t, std::byte* carry) const {
    for (std::size_t i = 0; i < step.carries(); ++i)
      step.plan->bind(static_cast<std::uint32_t>(i), carry + step.offsets[i]);
    step.plan->bind(static_cast<std::uint32_t>(step.carries()),
                    const_cast<std::byte*>(xs) + t * step.x_bytes);
  }
  void bind_results(std::byte* next, std::byte* y) const {
    each_result(next, y, [&](std::size_t k, std::byte* to) {
      if (step.plan->is_direct(k)) step.plan->bind(step.program.outputs[k].place, to);
    });
  }
  /// Step t: from the carry to the next one and y.
  void run(std::size_t t, std::byte* carry, std::byte* next, std::byte* y) const {
    bind_inputs(t, carry);
    bind_results(next, y);
    step.plan->run_forward();
    each_result(next, y, [&](std::size_t k, std::byte* to) {
      const Value& from = step.at(k);
      if (!step.plan->is_direct(k) && from.size != 0) std::memcpy(to, from.data, from.bytes());
    });
  }

 private:
  template <class F>
  void each_result(std::byte* next, std::byte* y, const F& f) const {
    for (std::size_t k = 0; k < step.carries(); ++k) f(k, next + step.offsets[k]);
    f(step.carries(), y);
  }
};

/// C(checkpoints + repeats, checkpoints): how many steps can be gone back over with so many carries where
/// none is computed more often than `repeats` times again. At most `limit`.
std::size_t reach(std::size_t checkpoints, std::size_t repeats, std::size_t limit) {
  double n = 1;
  for (std::size_t i = 1; i <= repeats; ++i) {
    n = n * static_cast<double>(checkpoints + i) / static_cast<double>(i);
    if (n > static_cast<double>(limit)) return limit;
  }
  return static_cast<std::size_t>(n + 0.5);
}

/// Where the next carry is kept on the way back over `steps` steps.
std::size_t next_checkpoint(std::size_t steps, std::size_t checkpoints) {
  std::size_t best = 1, least = ~std::size_t{0};
  for (std::size_t m = 1; m < steps; ++m) {
    const std::size_t cost =
        m + recomputed_steps(m, checkpoints) + recomputed_steps(steps - m, checkpoints - 1);
    if (cost < least) {
      least = cost;
      best = m;
    }
  }
  return best;
}

template <class T>
struct Scan {
  std::shared_ptr<StepProgram<T>> step;
  std::size_t steps, checkpoints;
  ValueRef kept, carries;  ///< of all steps; or the carry of the beginning alone
  ValueRef y;              ///< the results
  std::size_t changes;     ///< of values, when it ran
  std::vector<Kept> read;  ///< from outside, by what runs in the backward pass

  static constexpr const char* name = op_name;

  void tangent(Tangents<T>& t) const {
    t.replay([&](const std::vector<Tensor<T>>& x) { return run_again(x); });
  }
  void backward(Gradients<T>& d) const {
    const std::size_t c = step->carries();
    if (changes != detail::changes.load(std::memory_order_relaxed)) require_unchanged(read, "scan");
    if (d.creates_graph() || tracing) {
      std::vector<Tensor<T>> x;
      for (std::size_t i = 0; i <= c; ++i) x.push_back(d.recorded_input(i));
      return replay_through<T>(name, d, [&] { return run_again(std::exchange(x, {})); });
    }
    const Tensor<T> xs = d.input(c);
    Backward pass{*this, {*step, reinterpret_cast<const std::byte*>(xs.data())}, d.adjoint};
    pass.run(step->of_x != 0 || d.needs(c), xs.shape());
    for (std::size_t i = 0; i < c; ++i)
      if (d.needs(i)) d.add(i, pass.carry_gradient(i));
    if (d.needs(c)) d.add(c, std::move(pass.dx));
    for (std::size_t i = 0; i < step->leaves.size(); ++i) d.add(c + 1 + i, std::move(pass.sums[i]));
  }

  /// The results, by operations.
  Tensor<T> run_again(const std::vector<Tensor<T>>& x) const {
    std::vector<Handle> arguments;
    const std::size_t c = step->carries();
    for (std::size_t i = 0; i < c; ++i) arguments.push_back(x[i].handle());
    arguments.emplace_back();
    std::vector<Tensor<T>> flat;
    const auto output = [&](const std::vector<Handle>& at, std::size_t k) {
      const Input& place = step->program.outputs[k];
      return place.recorded ? at[place.place] : Handle{at[place.place].value, {}};
    };
    for (std::size_t t = 0; t < steps; ++t) {
      arguments[c] = slice(x[c], static_cast<std::ptrdiff_t>(t)).release();
      const std::vector<Handle> at = replay(step->program, arguments, step->program.forward, drawn(t));
      for (std::size_t i = 0; i < c; ++i) arguments[i] = output(at, i);
      flat.push_back(flatten(Tensor<T>(output(at, c))));
    }
    for (std::size_t i = 0; i < c; ++i) flat.push_back(flatten(Tensor<T>(Handle(arguments[i]))));
    return concatenate<T>(flat);
  }

 private:
  struct Backward {
    const Scan& scan;
    Runner<T> runner;
    const Tensor<T>& g;
    Tensor<T> dx{};
    std::vector<Tensor<T>> sums{};
    ValueRef adjoint{}, next_adjoint{}, scratch_carry{}, scratch_y{}, one_kept{};

    StepProgram<T>& step() const { return *scan.step; }
    std::byte* g_at(std::size_t offset) const {
      return const_cast<std::byte*>(reinterpret_cast<const std::byte*>(g.data())) + offset;
    }

    void run(bool gives_dx, const Shape& x) {
      adjoint = block(step().carry_bytes);
      next_adjoint = block(step().carry_bytes);
      if (gives_dx) dx = Tensor<T>::uninitialized(x, op_name);
      for (const Tensor<T>& leaf : step().leaves) sums.push_back(zeros<T>(leaf.shape()));
      std::size_t from = scan.steps * step().y_bytes;
      for (std::size_t i = 0; i < step().carries(); ++i) {
        const std::size_t bytes = element_count(step().carry[i], op_name) * sizeof(T);
        if (bytes != 0) std::memcpy(adjoint->data + step().offsets[i], g_at(from), bytes);
        from += bytes;
      }
      for (std::size_t i = 0; i < sums.size(); ++i)
        step().plan->bind(step().sums[i], reinterpret_cast<std::byte*>(sums[i].mutable_data()));
      if (scan.checkpoints == 0) {
        for (std::size_t t = scan.steps; t-- > 0;) {
          step().plan->bind_kept(scan.kept->data + t * kept_bytes());
          std::byte* const carry = scan.carries->data + t * step().carry_bytes;
          runner.bind_inputs(t, carry);
          runner.bind_results(carry + step().carry_bytes, scan.y->data + t * step().y_bytes);
          back(t);
        }
        return;
      }
      scan_counts() = {};
      scratch_carry = block(2 * step().carry_bytes);
      scratch_y = block(step().y_bytes);
      one_kept = block(step().plan->kept_bytes());
      step().plan->bind_kept(one_kept->data);
      back_over(0, scan.steps, scan.carries->data, scan.checkpoints, 1);
    }
    std::size_t kept_bytes() const { return step().plan->kept_bytes(); }

    /// The steps from the first on, whose carry is given, with so many carries that may be kept.
    void back_over(std::size_t first, std::size_t last, std::byte* carry, std::size_t slots,
                   std::size_t held) {
      scan_counts().most_kept = std::max(scan_counts().most_kept, held);
      while (last - first > 1) {
        if (slots == 1) {
          std::byte* const from = advance(first, last - 1, carry);
          one(last - 1, from);
          --last;
          continue;
        }
        const std::size_t middle = first + next_checkpoint(last - first, slots);
        const ValueRef checkpoint = block(step().carry_bytes);
        if (step().carry_bytes != 0)
          std::memcpy(checkpoint->data, advance(first, middle, carry), step().carry_bytes);
        back_over(middle, last, checkpoint->data, slots - 1, held + 1);
        last = middle;
      }
      if (last != first) one(first, carry);
    }
    /// The carry before step `last`, from that before step `first`.
    std::byte* advance(std::size_t first, std::size_t last, std::byte* carry) {
      for (std::size_t t = first; t < last; ++t) {
        std::byte* const next = scratch_carry->data + (carry == scratch_carry->data ? step().carry_bytes : 0);
        runner.run(t, carry, next, scratch_y->data);
        carry = next;
        ++scan_counts().steps;
      }
      return carry;
    }
    void one(std::size_t t, std::byte* carry) {
      std::byte* const next = scratch_carry->data + (carry == scratch_carry->data ? step().carry_bytes : 0);
      runner.run(t, carry, next, scratch_y->data);
      back(t);
    }
    /// The gradients of step t, whose values are bound.
    void back(std::size_t t) {
      StepProgram<T>& s = step();
      Plan& plan = *s.plan;
      const auto place = [&](std::size_t output) { return s.program.outputs[output].place; };
      for (std::size_t i = 0; i < s.carries(); ++i) {
        plan.bind(s.seeds[i], adjoint->data + s.offsets[i]);
        if (s.of_carry[i] != 0 && plan.is_direct(s.of_carry[i]))
          plan.bind(place(s.of_carry[i]), next_adjoint->data + s.offsets[i]);
      }
      plan.bind(s.seeds.back(), g_at(t * s.y_bytes));
      std::byte* const to_x =
          dx.defined() ? reinterpret_cast<std::byte*>(dx.mutable_data()) + t * s.x_bytes : nullptr;
      if (to_x && s.of_x != 0 && plan.is_direct(s.of_x)) plan.bind(place(s.of_x), to_x);
      plan.run_backward();
      const auto finish = [&](std::size_t output, std::byte* to, std::size_t bytes) {
        if (bytes == 0) return;
        if (output == 0)
          std::memset(to, 0, bytes);
        else if (s.at(output).data != to)
          std::memcpy(to, s.at(output).data, bytes);
      };
      for (std::size_t i = 0; i < s.carries(); ++i)
        finish(s.of_carry[i], next_adjoint->data + s.offsets[i],
               plan.at(static_cast<std::uint32_t>(i)).bytes());
      if (to_x) finish(s.of_x, to_x, s.x_bytes);
      for (std::size_t i = 0; i < sums.size(); ++i)
        finish(s.of_leaves[i], reinterpret_cast<std::byte*>(sums[i].mutable_data()),
               sums[i].size() * sizeof(T));
      std::swap(adjoint, next_adjoint);
    }
    Tensor<T> carry_gradient(std::size_t i) const {
      Tensor<T> gradient = Tensor<T>::uninitialized(step().carry[i], op_name);
      if (gradient.size() != 0)
        std::memcpy(gradient.mutable_data(), adjoint->data + step().offsets[i], gradient.size() * sizeof(T));
      return gradient;
    }
  };

  /// The random numbers that step t drew.
  std::vector<std::pair<std::uint32_t, ValueRef>> drawn(std::size_t t) const {
    std::vector<std::pair<std::uint32_t, ValueRef>> given;
    for (std::size_t k = 0; k < step->program.forward; ++k)
      if (const Step& one = step->program.steps[k]; one.operation->is_random) {
        step->plan->bind_kept(kept->data + t * step->plan->kept_bytes());
        const Value& at = step->plan->at(one.output);
        ValueRef copy = make_value(at.shape, at.item_size, op_name);
        if (at.size != 0) std::memcpy(copy->data, at.data, at.bytes());
        given.emplace_back(one.output, std::move(copy));
      }
    return given;
  }
};

/// One step after the other, by operations.
template <class T>
ScanResult<T> one_by_one(const ScanStep<T>& step, std::vector<Tensor<T>> carry, const Tensor<T>& xs) {
  std::vector<Tensor<T>> ys;
  for (std::size_t t = 0; t < xs.shape()[0]; ++t) {
    auto [next, y] = step(carry, slice(xs, static_cast<std::ptrdiff_t>(t)));
    carry = std::move(next);
    ys.push_back(std::move(y));
  }
  return {std::move(carry), stack(ys)};
}

}  // namespace

ScanCounts& scan_counts() {
  thread_local ScanCounts counts;
  return counts;
}

std::size_t recomputed_steps(std::size_t steps, std::size_t checkpoints) {
  if (steps < 2) return 0;
  if (checkpoints == 0) return steps * steps;  // not possible: more than any that is
  std::size_t repeats = 0;
  while (reach(checkpoints, repeats, steps) < steps) ++repeats;
  // repeats · steps − C(checkpoints + repeats, checkpoints + 1)
  return repeats * steps - (repeats == 0 ? 0 : reach(checkpoints + 1, repeats - 1, repeats * steps));
}

template <class T>
ScanResult<T> scan(const ScanStep<T>& function, const std::vector<Tensor<T>>& carry, const Tensor<T>& xs,
                   const ScanOptions& options) {
  if (xs.rank() == 0) throw Error(op_name, "xs of shape () has no axis of steps");
  if (carry.size() > 29) throw Error(op_name, "more than 29 tensors in a carry: join them");
  const std::size_t steps = xs.shape()[0];
  if (steps == 0) throw Error(op_name, "xs of shape " + to_string(xs.shape()) + " has no step");
  if (tracing || observer) return one_by_one(function, carry, xs);
  const std::shared_ptr<StepProgram<T>> own = trace_step(function, carry, xs, recording);
  StepProgram<T>& step = *own;
  if (step.program.is_opaque) return one_by_one(function, carry, xs);  // its rules are the function's
  const std::size_t c = step.carries();
  const bool needs_grad = step.requires_grad && (!step.leaves.empty() || xs.requires_grad() ||
                                                 std::ranges::any_of(carry, &Tensor<T>::requires_grad));
  if (needs_grad && options.checkpoints != 0)
    for (std::size_t k = 0; k < step.program.forward; ++k)
      if (step.program.steps[k].operation->is_random)
        throw Error(op_name, "a step that draws random numbers is not computed again: leave checkpoints out");

  std::size_t carry_elements = 0;
  for (const Shape& shape : step.carry) carry_elements += element_count(shape, op_name);
  Tensor<T> packed =
      Tensor<T>::uninitialized({steps * element_count(step.y, op_name) + carry_elements}, op_name);
  auto* const y = reinterpret_cast<std::byte*>(packed.mutable_data());
  const bool all = needs_grad && options.checkpoints == 0;  // is kept
  const ValueRef kept = block((all ? steps : 1) * step.plan->kept_bytes()),
                 others = block(all ? 0 : 2 * step.carry_bytes);
  Scan<T> op{own,
             steps,
             options.checkpoints,
             all ? kept : ValueRef(),
             block((all ? steps + 1 : 1) * step.carry_bytes),
             packed.handle().value,
             changes.load(std::memory_order_relaxed),
             read_from_outside(step.program, 0, step.program.steps.size())};
  std::byte* now = op.carries->data;
  for (std::size_t i = 0; i < c; ++i)
    if (carry[i].size() != 0)
      std::memcpy(now + step.offsets[i], carry[i].data(), carry[i].size() * sizeof(T));
  const Runner<T> runner{step, reinterpret_cast<const std::byte*>(xs.data())};
  for (std::size_t t = 0; t < steps; ++t) {
    step.plan->bind_kept(kept->data + (all ? t * step.plan->kept_bytes() : 0));
    std::byte* const next =
        all ? op.carries->data + (t + 1) * step.carry_bytes : others->data + t % 2 * step.carry_bytes;
    runner.run(t, now, next, y + t * step.y_bytes);
    now = next;
  }
  std::byte* to = y + steps * step.y_bytes;
  for (std::size_t i = 0; i < c; ++i) {
    const std::size_t bytes = carry[i].size() * sizeof(T);
    if (bytes != 0) std::memcpy(to, now + step.offsets[i], bytes);
    to += bytes;
  }
  if (needs_grad) {
    std::vector<const Handle*> inputs;
    for (const Tensor<T>& one : carry) inputs.push_back(&one.handle());
    inputs.push_back(&xs.handle());
    for (const Tensor<T>& leaf : step.leaves) inputs.push_back(&leaf.handle());
    packed = append<T>(std::move(op), std::move(packed), inputs, (1u << (c + 1)) - 1u);
  } else if (skipped_inputs) {
    for (const Place& place : step.program.places)
      if (place.kind == Place::Kind::outside && place.tensor.node)
        skipped_inputs->push_back({place.tensor.value, place.tensor.value->owner().version});
  }
  ScanResult<T> result;
  Shape ys{steps};
  for (const std::size_t d : step.y) ys.push_back(d);
  std::ptrdiff_t start = 0;
  const auto part = [&](const Shape& shape) {
    const auto size = static_cast<std::ptrdiff_t>(element_count(shape, op_name));
    const Tensor<T> one = reshape(slice(packed, xt::range(start, start + size)), Dims(shape));
    start += size;
    return one;
  };
  result.ys = part(ys);
  for (const Shape& shape : step.carry) result.carry.push_back(part(shape));
  return result;
}

template ScanResult<float> scan(const ScanStep<float>&, const std::vector<Tensor<float>>&,
                                const Tensor<float>&, const ScanOptions&);
template ScanResult<double> scan(const ScanStep<double>&, const std::vector<Tensor<double>>&,
                                 const Tensor<double>&, const ScanOptions&);

}  // namespace xtape::detail
