// A scan as a node: the plan of one step, run for each.
#include "../scan.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "../layout.hpp"
#include "../ops/layout_ops.hpp"
#include "scan_step.hpp"
#include "schedule.hpp"

namespace xtape {
namespace detail {
namespace {

ValueRef block(std::size_t bytes) { return make_value({bytes}, 1, scan_op); }

template <class T>
struct Scan {
  std::shared_ptr<StepProgram<T>> step;
  std::size_t steps, checkpoints;
  ValueRef kept, carries;  ///< of all steps; or the carry of the beginning alone
  ValueRef y;              ///< the results
  std::size_t changes;     ///< of values, when it ran
  PoolVector<Kept> read;   ///< from outside, by what runs in the backward pass

  static constexpr const char* name = scan_op;

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
    Backward pass{*this, {*step, bytes_of(xs)}, d.adjoint};
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
      if (kept) step->plan->bind_kept(kept->data + t * step->plan->kept_bytes());
      const std::vector<Handle> at =
          replay(step->program, arguments, step->program.forward, step->plan->drawn());
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
    PoolVector<Tensor<T>> sums{};
    ValueRef adjoint{}, next_adjoint{}, scratch_carry{}, scratch_y{}, one_kept{};

    StepProgram<T>& step() const { return *scan.step; }
    std::byte* g_at(std::size_t offset) const { return bytes_of(g) + offset; }

    void run(bool gives_dx, const Shape& x) {
      adjoint = block(step().carry_bytes);
      next_adjoint = block(step().carry_bytes);
      if (gives_dx) dx = Tensor<T>::uninitialized(x, scan_op);
      for (const Tensor<T>& leaf : step().leaves) sums.push_back(zeros<T>(leaf.shape()));
      std::size_t from = scan.steps * step().y_bytes;
      for (std::size_t i = 0; i < step().carries(); ++i) {
        const std::size_t bytes = element_count(step().carry[i], scan_op) * sizeof(T);
        if (bytes != 0) std::memcpy(adjoint->data + step().offsets[i], g_at(from), bytes);
        from += bytes;
      }
      for (std::size_t i = 0; i < sums.size(); ++i) step().plan->bind(step().sums[i], bytes_of(sums[i]));
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
      // Each gradient with where it is to be; output 0 is none of them, and stands for one that is 0.
      const auto each = [&](const auto& f) {
        for (std::size_t i = 0; i < s.carries(); ++i)
          f(s.of_carry[i], next_adjoint->data + s.offsets[i], plan.at(static_cast<std::uint32_t>(i)).bytes());
        if (dx.defined()) f(s.of_x, bytes_of(dx) + t * s.x_bytes, s.x_bytes);
        for (std::size_t i = 0; i < sums.size(); ++i)
          f(s.of_leaves[i], bytes_of(sums[i]), sums[i].size() * sizeof(T));
      };
      for (std::size_t i = 0; i < s.carries(); ++i) plan.bind(s.seeds[i], adjoint->data + s.offsets[i]);
      plan.bind(s.seeds.back(), g_at(t * s.y_bytes));
      each([&](std::size_t output, std::byte* to, std::size_t) {
        if (output != 0) plan.bind_output(output, to);
      });
      plan.run_backward();
      each([&](std::size_t output, std::byte* to, std::size_t bytes) {
        if (output != 0)
          plan.finish_output(output, to);
        else if (bytes != 0)
          std::memset(to, 0, bytes);
      });
      std::swap(adjoint, next_adjoint);
    }
    Tensor<T> carry_gradient(std::size_t i) const {
      Tensor<T> gradient = Tensor<T>::uninitialized(step().carry[i], scan_op);
      if (gradient.size() != 0)
        std::memcpy(gradient.mutable_data(), adjoint->data + step().offsets[i], gradient.size() * sizeof(T));
      return gradient;
    }
  };
};

template <class T>
bool is_for(const StepProgram<T>& step, const std::vector<Tensor<T>>& carry, const Tensor<T>& xs,
            std::span<const Tensor<T>> reads) {
  const auto same = [](const Tensor<T>& a, const Tensor<T>& b) {
    return a.handle().value.get() == b.handle().value.get() && a.handle().node.get() == b.handle().node.get();
  };
  const auto has_shape = [](const Shape& shape, const Tensor<T>& tensor) { return shape == tensor.shape(); };
  return step.modes == mode_changes.load(std::memory_order_relaxed) && step.records == recording &&
         step.of_xs == (recording && xs.requires_grad()) && step.thread == std::this_thread::get_id() &&
         step.kernels == &kernels<T>() &&
         std::equal(step.x.begin(), step.x.end(), xs.shape().begin() + 1, xs.shape().end()) &&
         std::ranges::equal(step.carry, carry, has_shape) && std::ranges::equal(step.reads, reads, same);
}

/// One step after the other, by operations.
template <class T>
ScanResult<T> one_by_one(const ScanStep<T>& step, std::vector<Tensor<T>> carry, const Tensor<T>& xs) {
  std::vector<Tensor<T>> ys;
  ys.reserve(xs.shape()[0]);
  for (std::size_t t = 0; t < xs.shape()[0]; ++t) {
    // What a step gives to the adjoint of its carry is one sum, as that of a scan is: the same bits.
    if (tracing)
      for (Tensor<T>& one : carry) one = view(one, one.shape());
    auto [next, y] = step(carry, slice(xs, static_cast<std::ptrdiff_t>(t)));
    carry = std::move(next);
    ys.push_back(std::move(y));
  }
  return {std::move(carry), stack(ys)};
}

/// Error where the step reads another tensor than those.
template <class T>
void require_only(const Program& program, std::span<const Tensor<T>> reads) {
  for (const Place& place : program.places)
    if (place.kind == Place::Kind::outside && std::ranges::none_of(reads, [&](const Tensor<T>& read) {
          return &read.handle().value->owner() == &place.tensor.value->owner();
        }))
      throw Error(scan_op, "the step reads a tensor of shape " + to_string(place.shape) +
                               " that is not among the tensors it is said to read");
}

}  // namespace
}  // namespace detail

template <class T>
std::shared_ptr<detail::StepProgram<T>> ScanTraces<T>::get(const detail::ScanStep<T>& step,
                                                           const std::vector<Tensor<T>>& carry,
                                                           const Tensor<T>& xs,
                                                           std::span<const Tensor<T>> reads) {
  constexpr std::size_t most = 8;
  const std::scoped_lock lock(mutex_);
  for (auto at = traces_.begin(); at != traces_.end(); ++at)
    if (detail::is_for(**at, carry, xs, reads)) {
      traces_.splice(traces_.begin(), traces_, at);
      return traces_.front();
    }
  auto traced = detail::trace_step(step, carry, xs, detail::recording);
  detail::require_only(traced->program, reads);
  traced->reads.assign(reads.begin(), reads.end());
  traces_.push_front(std::move(traced));
  if (traces_.size() > most) traces_.pop_back();
  return traces_.front();
}

namespace detail {

template <class T>
ScanResult<T> scan(const ScanStep<T>& function, const std::vector<Tensor<T>>& carry, const Tensor<T>& xs,
                   const ScanOptions& options, ScanTraces<T>* traces, std::span<const Tensor<T>> reads) {
  if (xs.rank() == 0) throw Error(scan_op, "xs of shape () has no axis of steps");
  if (carry.size() > 29) throw Error(scan_op, "more than 29 tensors in a carry: join them");
  const std::size_t steps = xs.shape()[0];
  if (steps == 0) throw Error(scan_op, "xs of shape " + to_string(xs.shape()) + " has no step");
  if (tracing || observer) return one_by_one(function, carry, xs);
  const std::shared_ptr<StepProgram<T>> own =
      traces ? traces->get(function, carry, xs, reads) : trace_step(function, carry, xs, recording);
  StepProgram<T>& step = *own;
  if (step.program.is_opaque) return one_by_one(function, carry, xs);  // its rules are the function's
  const std::size_t c = step.carries();
  const bool needs_grad = step.requires_grad && (!step.leaves.empty() || xs.requires_grad() ||
                                                 std::ranges::any_of(carry, &Tensor<T>::requires_grad));
  if (needs_grad && options.checkpoints != 0)
    for (std::size_t k = 0; k < step.program.forward; ++k)
      if (step.program.steps[k].operation->is_random)
        throw Error(scan_op, "a step that draws random numbers is not computed again: leave checkpoints out");

  std::size_t carry_elements = 0;
  for (const Shape& shape : step.carry) carry_elements += element_count(shape, scan_op);
  Tensor<T> packed =
      Tensor<T>::uninitialized({steps * element_count(step.y, scan_op) + carry_elements}, scan_op);
  std::byte* const y = bytes_of(packed);
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
  const Runner<T> runner{step, bytes_of(xs)};
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
    PoolVector<const Handle*> inputs;
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
    const auto size = static_cast<std::ptrdiff_t>(element_count(shape, scan_op));
    const Tensor<T> one = reshape(slice(packed, xt::range(start, start + size)), Dims(shape));
    start += size;
    return one;
  };
  result.ys = part(ys);
  result.carry.reserve(c);
  for (const Shape& shape : step.carry) result.carry.push_back(part(shape));
  return result;
}

template ScanResult<float> scan(const ScanStep<float>&, const std::vector<Tensor<float>>&,
                                const Tensor<float>&, const ScanOptions&, ScanTraces<float>*,
                                std::span<const Tensor<float>>);
template ScanResult<double> scan(const ScanStep<double>&, const std::vector<Tensor<double>>&,
                                 const Tensor<double>&, const ScanOptions&, ScanTraces<double>*,
                                 std::span<const Tensor<double>>);

}  // namespace detail

template class ScanTraces<float>;
template class ScanTraces<double>;

}  // namespace xtape
