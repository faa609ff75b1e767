// What a compiled function keeps: which program is for which call, and the ways to run it, for its value, as
// a node, for its gradients.
#include "../compile.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <list>
#include <mutex>
#include <ostream>
#include <string>

#include "compiled_call.hpp"

namespace xtape::detail {
namespace {

constexpr std::size_t most_arguments = 30;
constexpr std::size_t most_entries = 32;  ///< the least recently used ones make room
constexpr std::size_t most_copied = 512;  ///< bytes of a gradient that are copied

}  // namespace

template <class T>
class CompiledFunction<T>::State {
 public:
  explicit State(Function function) : f(std::make_shared<const Function>(std::move(function))) {}

  std::shared_ptr<Entry<T>> find(std::span<const Handle> x, bool records);
  /// The value, as a node where it is recorded.
  Tensor<T> run(const std::shared_ptr<Entry<T>>& entry, std::span<const Handle> x);
  /// Binds arguments and seed of a run for all gradients, and makes the value.
  Tensor<T> begin(Entry<T>& entry, std::span<const Handle> x);

  std::shared_ptr<const Function> f;
  mutable std::mutex mutex;
  std::list<std::shared_ptr<Entry<T>>> entries;  ///< the last used first
  mutable std::atomic<std::size_t> traces = 0;

 private:
  Compilation<T> trace(std::span<const Handle> x, std::uint32_t recorded, bool records) const;
};

template <class T>
Compilation<T> CompiledFunction<T>::State::trace(std::span<const Handle> x, std::uint32_t recorded,
                                                 bool records) const {
  Compilation<T> result;
  traces.fetch_add(1, std::memory_order_relaxed);
  const RecordingScope scope(records);
  Trace trace("compile");
  std::vector<Handle> in;
  for (std::size_t i = 0; i < x.size(); ++i)
    in.push_back(trace.argument(*x[i].value.get(), recorded >> i & 1u));
  std::vector<Tensor<T>> outputs = (*f)(in);
  if (outputs.empty()) throw Error("compile", "the function returns no tensor");
  if (outputs.size() > 1)
    for (const Tensor<T>& one : outputs) result.parts.push_back(one.shape());
  Tensor<T> y = one_result(outputs);
  y.shape();  // an empty tensor is an error
  outputs.clear();

  Program& program = trace.program();
  program.outputs.push_back(trace.input_of(y.handle()));
  program.forward = program.steps.size();
  result.gradients.assign(x.size(), 0);
  const std::vector<Handle> captured = captured_leaves(program, "compile", "pass it as an argument");
  result.requires_grad = y.requires_grad();
  if (!result.requires_grad) {
    remove_dead_steps(program);
    result.program = std::move(program);
    return result;
  }
  std::vector<Pass::Target> targets;
  for (const Handle& leaf : captured) targets.push_back({leaf.node.get(), {}});
  for (const Handle& one : in)
    if (one.node) targets.push_back({one.node.get(), {}});
  result.seed = static_cast<std::uint32_t>(program.places.size());
  Handle seed = trace.argument(*y.handle().value.get(), false);
  Pass pass(false, false, std::move(targets));
  pass.replay(*y.handle().node.get(), std::move(seed));
  result.gradients.clear();
  for (const Handle& leaf : captured)
    if (const std::size_t k = add_gradient(trace, pass, leaf.node.get(), sizeof(T))) {
      result.leaves.emplace_back(Handle(leaf));
      result.gradients.push_back(k);
    }
  for (const Handle& one : in)
    result.gradients.push_back(add_gradient(trace, pass, one.node.get(), sizeof(T)));
  remove_dead_steps(program);
  recompute_from_kept(program);
  result.program = std::move(program);
  return result;
}

template <class T>
std::shared_ptr<Entry<T>> CompiledFunction<T>::State::find(std::span<const Handle> x, bool records) {
  for (const Handle& one : x) {
    if (!one.value) throw Error("compile", "an argument is an empty tensor: it was never given a value");
    if (!tracing && is_abstract(*one.value.get())) require_elements(*one.value.get());
  }
  if (x.size() > most_arguments)
    throw Error("compile", "more than 30 arguments: pass them joined, or let the function capture them");
  std::uint32_t recorded = 0;
  if (records)
    for (std::size_t i = 0; i < x.size(); ++i) recorded |= (x[i].active() ? 1u : 0u) << i;
  const std::uint64_t modes = mode_changes.load(std::memory_order_relaxed);
  const auto use = [&](auto at) {
    if (at != entries.begin()) entries.splice(entries.begin(), entries, at);
    return entries.front();
  };
  std::vector<std::shared_ptr<Entry<T>>> others;  // of other modes of modules
  std::shared_ptr<Entry<T>> entry;
  {
    const std::scoped_lock lock(mutex);
    for (auto at = entries.begin(); at != entries.end(); ++at) {
      if (!(*at)->is_for(x, recorded, records)) continue;
      if ((*at)->modes != modes) {
        others.push_back(*at);
        continue;
      }
      entry = use(at);
      break;
    }
  }
  if (entry) {
    const std::size_t calls = ++entry->calls;
    if ((calls & (calls - 1)) == 0 && calls > 1)
      if (const std::string what = difference(entry->program, trace(x, recorded, records).program);
          !what.empty()) {
        const std::scoped_lock lock(mutex);
        entries.remove(entry);
        throw Error("compile", "the function computes something else than in an earlier call: " + what +
                                   ": what changes from call to call must be an argument");
      }
    entry->note_arguments(x);
    return entry;
  }
  Compilation<T> traced = trace(x, recorded, records);
  for (const auto& other : others)
    if (difference(other->program, traced.program).empty()) {
      other->modes = modes;
      other->note_arguments(x);
      return other;
    }
  entry = std::make_shared<Entry<T>>();
  static_cast<Compilation<T>&>(*entry) = std::move(traced);
  for (const Handle& one : x)
    entry->types.push_back({one.value->shape, one.value->item_size, one.value->integers});
  entry->function = f;
  entry->recorded = recorded;
  entry->recording = records;
  entry->calls = 1;
  entry->note_arguments(x);
  const std::scoped_lock lock(mutex);
  entries.push_front(entry);
  if (entries.size() > most_entries) entries.pop_back();
  return entry;
}

template <class T>
CompiledFunction<T>::CompiledFunction(Function f) : state_(std::make_unique<State>(std::move(f))) {}
template <class T>
CompiledFunction<T>::~CompiledFunction() = default;

template <class T>
Tensor<T> CompiledFunction<T>::call(std::span<const Handle> x) {
  if (tracing || observer) return (*state_->f)(x).front();
  return state_->run(state_->find(x, recording), x);
}

template <class T>
std::vector<Tensor<T>> CompiledFunction<T>::call_list(std::span<const Handle> x) {
  if (tracing || observer) return (*state_->f)(x);
  const std::shared_ptr<Entry<T>> entry = state_->find(x, recording);
  const Tensor<T> results = state_->run(entry, x);
  if (entry->parts.empty()) return {results};
  std::vector<Tensor<T>> all;
  std::ptrdiff_t start = 0;
  for (const Shape& shape : entry->parts) {
    const auto size = static_cast<std::ptrdiff_t>(element_count(shape, "compile"));
    all.push_back(reshape(slice(results, xt::range(start, start + size)), Dims(shape)));
    start += size;
  }
  return all;
}

template <class T>
Tensor<T> CompiledFunction<T>::State::run(const std::shared_ptr<Entry<T>>& found, std::span<const Handle> x) {
  Entry<T>& entry = *found;
  const Program& program = entry.program;
  require_apart(program, x);
  Tensor<T> y = Tensor<T>::uninitialized(entry.result().shape, "compile");
  if (!entry.requires_grad) {
    if (skipped_inputs)
      for (const Place& place : program.places)
        if (place.kind == Place::Kind::outside && place.tensor.node)
          skipped_inputs->push_back({place.tensor.value, place.tensor.value->owner().version});
    if (!entry.value) entry.value = std::make_unique<Plan>(program, false);
    entry.value->bind_arguments(x);
    entry.value->bind_output(0, bytes_of(y));
    entry.value->run();
    entry.value->finish_output(0, bytes_of(y));
    run_stores(*entry.value, program);
    return y;
  }
  if (!entry.split) entry.split = std::make_unique<Plan>(program, true);
  Plan& plan = *entry.split;
  CompiledCall<T> op{found, make_value({plan.kept_bytes()}, 1, "compile"),
                     changes.load(std::memory_order_relaxed),
                     read_from_outside(program, program.forward, program.steps.size()),
                     read_from_outside(program, 0, program.forward)};
  if (program.is_opaque) op.random = std::make_shared<const RandomPoint>();
  plan.bind_kept(op.block->data);
  plan.bind_arguments(x);
  plan.bind_output(0, bytes_of(y));
  plan.run_forward();
  plan.finish_output(0, bytes_of(y));
  for (const Store& store : program.stores)
    for (std::uint32_t p = 0; p < store.target; ++p)
      if (const Value* const value = program.places[p].tensor.value.get();
          value && value == program.places[store.target].tensor.value.get())
        op.before.emplace_back(p, copy_of(*value));
  for (const auto& [place, value] : op.before)  // is not read again
    std::erase_if(op.read_forward, [&, of = program.places[place].tensor.value.get()](const Kept& kept) {
      return kept.value.get() == of;
    });
  run_stores(plan, program);
  if (plan.is_direct(0)) {
    op.y = y.handle().value;
    op.read.push_back({op.y, op.y->version});
  }
  PoolVector<const Handle*> inputs;
  for (const Handle& one : x) inputs.push_back(&one);
  for (const Tensor<T>& leaf : entry.leaves) inputs.push_back(&leaf.handle());
  return append<T>(std::move(op), std::move(y), inputs, (1u << x.size()) - 1u);
}

template <class T>
Tensor<T> CompiledFunction<T>::State::begin(Entry<T>& entry, std::span<const Handle> x) {
  if (element_count(entry.result().shape, "compile") != 1)
    throw Error("value_and_grad", "the function gives the shape " + to_string(entry.result().shape) +
                                      ", not one element: reduce it, for instance by sum()");
  require_apart(entry.program, x);
  if (!entry.whole) {
    entry.whole = std::make_unique<Plan>(entry.program, false);
    entry.one = ones<T>(entry.result().shape);
  }
  entry.whole->bind_arguments(x);
  if (entry.requires_grad) entry.whole->bind(entry.seed, bytes_of(entry.one));
  Tensor<T> y = Tensor<T>::uninitialized(entry.result().shape, "compile");
  entry.whole->bind_output(0, bytes_of(y));
  return y;
}

template <class T>
std::pair<Tensor<T>, std::vector<Tensor<T>>> CompiledFunction<T>::value_and_grad(std::span<const Handle> x) {
  const std::shared_ptr<Entry<T>> entry = state_->find(x, true);
  const Program& program = entry->program;
  // f(output that is a gradient, or 0 for one that is 0, its shape) in the order of leaves()
  const auto each_gradient = [&](const auto& f) {
    for (std::size_t i = 0; i < entry->leaves.size(); ++i) f(entry->gradients[i], entry->leaves[i].shape());
    for (std::size_t i = 0; i < x.size(); ++i)
      if (entry->recorded >> i & 1u && entry->types[i].item_size == sizeof(T))
        f(entry->gradients[entry->leaves.size() + i], entry->types[i].shape);
  };
  std::vector<Tensor<T>> gradients;
  if (tracing || observer) {
    std::vector<Handle> arguments(x.begin(), x.end());
    if (entry->requires_grad) arguments.push_back(ones<T>(entry->result().shape).release());
    const NoGrad no_grad;
    const std::vector<Handle> at = replay(program, arguments, program.steps.size());
    assign_stores<T>(program, at);
    each_gradient([&](std::size_t k, const Shape& shape) {
      gradients.push_back(k == 0 ? zeros<T>(shape)
                                 : Tensor<T>(Handle{at[program.outputs[k].place].value, {}}));
    });
    return {Tensor<T>(Handle{at[program.outputs[0].place].value, {}}), gradients};
  }
  Tensor<T> y = state_->begin(*entry, x);
  Plan& plan = *entry->whole;
  gradients.reserve(entry->gradients.size());
  each_gradient([&](std::size_t k, const Shape& shape) {
    gradients.push_back(k == 0 ? zeros<T>(shape) : Tensor<T>::uninitialized(shape, "compile"));
    if (k != 0) plan.bind_output(k, bytes_of(gradients.back()));
  });
  plan.run();
  plan.finish_output(0, bytes_of(y));
  auto gradient = gradients.begin();
  each_gradient([&](std::size_t k, const Shape&) {
    if (k != 0) plan.finish_output(k, bytes_of(*gradient));
    ++gradient;
  });
  run_stores(plan, program);
  return {y, gradients};
}

template <class T>
Tensor<T> CompiledFunction<T>::backward(std::span<const Handle> x) {
  if (tracing)
    throw Error("backward",
                "the function is traced, and a gradient that is left in the parameters is not its "
                "result: take value_and_grad()");
  for (const Handle& one : x)
    if (one.active())
      throw Error("backward", "an argument of shape " + to_string(one.node->shape()) +
                                  " requires a gradient: take value_and_grad(), or pass detach() of it");
  const std::shared_ptr<Entry<T>> entry = state_->find(x, true);
  const Program& program = entry->program;
  if (observer) {  // it is to see the operations
    const EnableGrad on;
    for (Tensor<T>& leaf : entry->leaves) leaf.zero_grad();
    const Tensor<T> y = (*state_->f)(x).front();
    y.backward();
    return y.detach();
  }
  Tensor<T> y = state_->begin(*entry, x);
  Plan& plan = *entry->whole;
  entry->spare.resize(entry->leaves.size());
  for (std::size_t i = 0; i < entry->spare.size(); ++i) {
    Tensor<T>& gradient = entry->spare[i];
    if (!gradient.defined() || !gradient.handle().value.unique())
      gradient = Tensor<T>::uninitialized(entry->leaves[i].shape(), "compile");
    plan.bind_output(entry->gradients[i], bytes_of(gradient));
  }
  plan.run();
  plan.finish_output(0, bytes_of(y));
  for (std::size_t i = 0; i < entry->spare.size(); ++i) {
    plan.finish_output(entry->gradients[i], bytes_of(entry->spare[i]));
    auto& leaf = static_cast<Leaf&>(*entry->leaves[i].handle().node.get());
    const Value& gradient = *entry->spare[i].handle().value.get();
    // A short one is copied, so that the plan has the same addresses each time; a long one changes places.
    if (Value* const before = leaf.grad.value.get(); gradient.bytes() <= most_copied && before &&
                                                     leaf.grad.value.unique() && !leaf.grad.node &&
                                                     before->size == gradient.size && !before->base) {
      if (gradient.size != 0) std::memcpy(before->data, gradient.data, gradient.bytes());
      continue;
    }
    const Handle before = std::exchange(leaf.grad, std::move(entry->spare[i]).release());
    entry->spare[i] = before.node ? Tensor<T>() : Tensor<T>(before);
  }
  run_stores(plan, program);
  return y;
}

template <class T>
std::vector<Tensor<T>> CompiledFunction<T>::leaves() const {
  const std::scoped_lock lock(state_->mutex);
  if (state_->entries.empty()) return {};
  std::vector<Tensor<T>> all = state_->entries.front()->leaves;
  all.insert(all.end(), state_->entries.front()->arguments.begin(), state_->entries.front()->arguments.end());
  return all;
}

template <class T>
const void* CompiledFunction<T>::last() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->entries.empty() ? nullptr : state_->entries.front().get();
}

template <class T>
std::size_t CompiledFunction<T>::traces() const {
  return state_->traces.load(std::memory_order_relaxed);
}

template <class T>
void CompiledFunction<T>::print(std::ostream& out) const {
  const std::scoped_lock lock(state_->mutex);
  out << "compiled for " << state_->entries.size() << " sets of shapes\n";
  for (const auto& entry : state_->entries) {
    detail::print(out, entry->program);
    for (const auto& [what, plan] :
         {std::pair{"value and gradients", entry->whole.get()}, std::pair{"a node", entry->split.get()},
          std::pair{"the value", entry->value.get()}})
      if (plan)
        out << "plan of " << what << ": " << plan->groups() << " groups of elementwise steps in "
            << plan->calls() << " calls, " << plan->bytes() << " bytes\n";
  }
}

template class CompiledFunction<float>;
template class CompiledFunction<double>;

}  // namespace xtape::detail
