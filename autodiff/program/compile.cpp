// What a compiled function keeps, and the three ways to run it: as a node, for its gradients, for its value.
#include "../compile.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <list>
#include <mutex>
#include <ostream>
#include <string>
#include <thread>

#include "../kernels/kernel_table.hpp"
#include "../layout.hpp"
#include "../ops/layout_ops.hpp"
#include "../random.hpp"
#include "../tape/op.hpp"
#include "plan.hpp"

namespace xtape::detail {
namespace {

constexpr std::size_t most_arguments = 30;
constexpr std::size_t most_entries = 32;  ///< the least recently used ones make room

/// What the trace of a function leaves.
template <class T>
struct Compilation {
  Program program;                ///< gives the value, then the gradients
  std::vector<Shape> parts;       ///< of several results, which are one behind the other
  std::vector<Tensor<T>> leaves;  ///< captured ones
  /// The outputs that are the gradients of the leaves, then those of the arguments, 0 for none.
  std::vector<std::size_t> gradients;
  bool requires_grad = false;  ///< the result does; it may have no gradient to give all the same
  std::size_t seed = 0;        ///< the place of the adjoint of the result
};

/// A function's program for arguments of some shapes, and the plans that run it.
template <class T>
struct Entry : Compilation<T> {
  // What it is for.
  struct Argument {
    Shape shape;
    std::uint16_t item_size;
    bool integers;
  };
  std::vector<Argument> types;
  std::uint32_t recorded;  ///< bit i: argument i requires a gradient
  bool recording;
  std::thread::id thread = std::this_thread::get_id();
  const Kernels<T>* kernels = &detail::kernels<T>();
  std::uint64_t modes = mode_changes.load(std::memory_order_relaxed);

  std::shared_ptr<const typename CompiledFunction<T>::Function> function;
  std::size_t calls = 0;
  std::vector<Tensor<T>> arguments;  ///< those of the last call that required a gradient
  std::unique_ptr<Plan> whole, split, value;
  Tensor<T> one;  ///< the adjoint of a result with one element
  /// Where backward() writes, so that the gradients of before stay whole until all are there.
  std::vector<Tensor<T>> spare;

  bool is_for(std::span<const Handle> x, std::uint32_t bits, bool records) const {
    if (recording != records || recorded != bits || types.size() != x.size() ||
        thread != std::this_thread::get_id() || kernels != &detail::kernels<T>())
      return false;
    for (std::size_t i = 0; i < x.size(); ++i)
      if (const Value& given = *x[i].value.get(); !(given.shape == types[i].shape) ||
                                                  given.item_size != types[i].item_size ||
                                                  given.integers != types[i].integers)
        return false;
    return true;
  }
  void note_arguments(std::span<const Handle> x) {
    if (recorded == 0) return;
    arguments.clear();
    for (std::size_t i = 0; i < x.size(); ++i)
      if (recorded >> i & 1u && x[i].value->item_size == sizeof(T))
        arguments.emplace_back(Handle{x[i].value, x[i].node->is_leaf() ? x[i].node : NodeRef()});
  }
  const Place& result() const { return this->program.places[this->program.outputs[0].place]; }
};

/// Error where the function would change an argument on its way.
void require_apart(const Program& program, std::span<const Handle> x) {
  for (const Store& store : program.stores)
    for (const Handle& one : x)
      if (&one.value->owner() == program.places[store.target].tensor.value.get())
        throw Error("compile",
                    "an argument of shape " + to_string(one.value->shape) +
                        " shares its elements with a tensor that the function assigns: pass a copy");
}

void bind_arguments(Plan& plan, std::span<const Handle> x) {
  std::uint32_t place = 0;
  for (const Handle& one : x) plan.bind(place++, one.value->data);
}

/// Memory for an output: its own where the plan writes it there.
template <class T>
void bind_output(Plan& plan, const Program& program, std::size_t output, Tensor<T>& y) {
  if (plan.is_direct(output))
    plan.bind(program.outputs[output].place, reinterpret_cast<std::byte*>(y.mutable_data()));
}
template <class T>
void finish_output(const Plan& plan, const Program& program, std::size_t output, Tensor<T>& y) {
  const Value& from = plan.at(program.outputs[output].place);
  if (!plan.is_direct(output) && from.size != 0) std::memcpy(y.mutable_data(), from.data, from.bytes());
}

void run_stores(const Plan& plan, const Program& program) {
  for (const Store& store : program.stores) {
    Value& to = *program.places[store.target].tensor.value.get();
    if (to.size != 0) std::memmove(to.data, plan.at(store.value).data, to.bytes());
    to.version.fetch_add(1, std::memory_order_relaxed);
    changes.fetch_add(1, std::memory_order_relaxed);
  }
}

/// The same for a program that was replayed.
template <class T>
void assign_stores(const Program& program, const std::vector<Handle>& at) {
  for (const Store& store : program.stores) {
    const NoGrad no_grad;
    Tensor<T> target(Handle{program.places[store.target].tensor.value, {}});
    target.assign(Tensor<T>(Handle{at[store.value].value, {}}));
  }
}

/// Several results one behind the other.
template <class T>
Tensor<T> packed(const std::vector<Tensor<T>>& results) {
  if (results.size() == 1) return results.front();
  std::vector<Tensor<T>> flat;
  for (const Tensor<T>& one : results) flat.push_back(flatten(one));
  return concatenate<T>(flat);
}

ValueRef copy_of(const Value& value) {
  ValueRef copy = make_value(value.shape, value.item_size, "compile");
  if (value.size != 0) std::memcpy(copy->data, value.data, value.bytes());
  return copy;
}

/// A call on the tape. It keeps what its steps of gradients read; the arguments are kept by the node.
template <class T>
struct CompiledCall {
  std::shared_ptr<Entry<T>> entry;
  ValueRef block;
  std::size_t changes;             ///< of values, when it ran
  std::vector<Kept> read;          ///< from outside, by the steps of gradients; and the result
  std::vector<Kept> read_forward;  ///< by those before them
  ValueRef y{};                    ///< the result, where the plan writes it
  std::vector<std::pair<std::uint32_t, ValueRef>> before{};  ///< what it read from outside, and stored there
  std::shared_ptr<const RandomPoint> random{};               ///< of a function that is to run again itself

  static constexpr const char* name = "compiled";

  void tangent(Tangents<T>& t) const {
    t.replay([&](const std::vector<Tensor<T>>& x) {
      std::vector<Handle> arguments;
      for (std::size_t i = 0; i < entry->types.size(); ++i) arguments.push_back(x[i].handle());
      return run_again(arguments);
    });
  }
  void backward(Gradients<T>& d) const {
    const Program& program = entry->program;
    const bool again = d.creates_graph() || tracing;
    if (changes != detail::changes.load(std::memory_order_relaxed)) {
      require_unchanged(read, "compiled function");
      if (again) require_unchanged(read_forward, "compiled function");
    }
    const std::size_t arguments = entry->types.size();
    std::vector<Handle> x;
    for (std::size_t i = 0; i < arguments; ++i) x.push_back(d.recorded_input(i).handle());
    if (again) return replay_through<T>(name, d, [&] { return run_again(std::exchange(x, {})); });
    Plan& plan = *entry->split;
    plan.bind_kept(block->data);
    bind_arguments(plan, x);
    if (y) plan.bind(program.outputs[0].place, y->data);
    plan.bind(static_cast<std::uint32_t>(entry->seed),
              const_cast<std::byte*>(reinterpret_cast<const std::byte*>(d.adjoint.data())));
    std::vector<Tensor<T>> gradients(program.outputs.size());
    for (std::size_t k = 1; k < gradients.size(); ++k) {
      gradients[k] = Tensor<T>::uninitialized(program.places[program.outputs[k].place].shape, name);
      bind_output(plan, program, k, gradients[k]);
    }
    plan.run_backward();
    for (std::size_t k = 1; k < gradients.size(); ++k) finish_output(plan, program, k, gradients[k]);
    for (std::size_t i = 0; i < d.input_count(); ++i) {
      const std::size_t which = i < arguments ? entry->leaves.size() + i : i - arguments;
      if (const std::size_t k = entry->gradients[which]; k != 0) d.add(i, std::move(gradients[k]));
    }
  }

 private:
  /// The function from its program, with the random numbers that it drew.
  Tensor<T> run_again(std::span<const Handle> x) const {
    const Program& program = entry->program;
    if (program.is_opaque) {  // its rules are the function's
      if (!program.stores.empty())
        throw Error("backward",
                    "a compiled function that holds a rule of custom() or a checkpoint, and assigns a "
                    "tensor, has no second derivative: it would assign again");
      const RandomAgain then(*random);
      return packed((*entry->function)(x));
    }
    entry->split->bind_kept(block->data);
    auto given = before;
    for (std::size_t k = 0; k < program.forward; ++k)
      if (const Step& step = program.steps[k]; step.operation->is_random)
        given.emplace_back(step.output, copy_of(entry->split->at(step.output)));
    Handle result = replay(program, x, program.forward, given)[program.outputs[0].place];
    return program.outputs[0].recorded ? Tensor<T>(std::move(result)) : Tensor<T>(Handle{result.value, {}});
  }
};

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
  Tensor<T> y = packed(outputs);
  y.shape();  // an empty tensor is an error
  outputs.clear();

  Program& program = trace.program();
  program.outputs.push_back(trace.input_of(y.handle()));
  program.forward = program.steps.size();
  result.gradients.assign(x.size(), 0);
  for (const Place& place : program.places)
    if (place.kind == Place::Kind::outside && place.tensor.node && !place.tensor.node->is_leaf())
      throw Error("compile", "the function captures a tensor of shape " + to_string(place.shape) +
                                 " that was recorded by '" + place.tensor.node->name +
                                 "': pass it as an argument, or detach() it");
  result.requires_grad = y.requires_grad();
  if (!result.requires_grad) {
    remove_dead_steps(program);
    result.program = std::move(program);
    return result;
  }
  std::vector<Pass::Target> targets;
  std::vector<Handle> captured;
  for (const Place& place : program.places)
    if (place.kind == Place::Kind::outside && place.tensor.node) captured.push_back(place.tensor);
  for (const Handle& leaf : captured) targets.push_back({leaf.node.get(), {}});
  for (const Handle& one : in)
    if (one.node) targets.push_back({one.node.get(), {}});
  result.seed = program.places.size();
  Handle seed = trace.argument(*y.handle().value.get(), false);
  Pass pass(false, false, std::move(targets));
  pass.replay(*y.handle().node.get(), std::move(seed));
  const auto gradient_of = [&](const Node* node) -> std::size_t {
    const Pass::Target* const target = node ? pass.find(*node) : nullptr;
    if (!target || !target->gradient.value) return 0;
    if (target->gradient.value->item_size != sizeof(T))
      throw Error("compile",
                  "a tensor of shape " + to_string(node->shape()) +
                      ", which has a gradient, is of another element type than the result: convert "
                      "it with astype() outside of the function");
    program.outputs.push_back(trace.input_of(Handle{target->gradient.value, {}}));
    return program.outputs.size() - 1;
  };
  std::vector<std::size_t> gradients;
  for (const Handle& leaf : captured) {
    if (const std::size_t k = gradient_of(leaf.node.get())) {
      result.leaves.emplace_back(Handle(leaf));
      gradients.push_back(k);
    }
  }
  for (const Handle& one : in) gradients.push_back(gradient_of(one.node.get()));
  result.gradients = std::move(gradients);
  remove_dead_steps(program);
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
    for (std::size_t i = 0; i < x.size(); ++i) recorded |= (x[i].node ? 1u : 0u) << i;
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
    bind_arguments(*entry.value, x);
    bind_output(*entry.value, program, 0, y);
    entry.value->run();
    finish_output(*entry.value, program, 0, y);
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
  bind_arguments(plan, x);
  bind_output(plan, program, 0, y);
  plan.run_forward();
  finish_output(plan, program, 0, y);
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
  std::vector<const Handle*> inputs;
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
  bind_arguments(*entry.whole, x);
  if (entry.requires_grad)
    entry.whole->bind(static_cast<std::uint32_t>(entry.seed),
                      reinterpret_cast<std::byte*>(entry.one.mutable_data()));
  Tensor<T> y = Tensor<T>::uninitialized(entry.result().shape, "compile");
  bind_output(*entry.whole, entry.program, 0, y);
  return y;
}

template <class T>
std::pair<Tensor<T>, std::vector<Tensor<T>>> CompiledFunction<T>::value_and_grad(std::span<const Handle> x) {
  const std::shared_ptr<Entry<T>> entry = state_->find(x, true);
  const Program& program = entry->program;
  // The outputs that are gradients, 0 for one that is 0, and their shapes.
  std::vector<std::pair<std::size_t, Shape>> wanted;
  for (std::size_t i = 0; i < entry->leaves.size(); ++i)
    wanted.emplace_back(entry->gradients[i], entry->leaves[i].shape());
  for (std::size_t i = 0; i < x.size(); ++i)
    if (entry->recorded >> i & 1u && entry->types[i].item_size == sizeof(T))
      wanted.emplace_back(entry->gradients[entry->leaves.size() + i], entry->types[i].shape);
  std::vector<Tensor<T>> gradients;
  if (tracing || observer) {
    std::vector<Handle> arguments(x.begin(), x.end());
    if (entry->requires_grad) arguments.push_back(ones<T>(entry->result().shape).release());
    const NoGrad no_grad;
    const std::vector<Handle> at = replay(program, arguments, program.steps.size());
    assign_stores<T>(program, at);
    for (const auto& [k, shape] : wanted)
      gradients.push_back(k == 0 ? zeros<T>(shape)
                                 : Tensor<T>(Handle{at[program.outputs[k].place].value, {}}));
    return {Tensor<T>(Handle{at[program.outputs[0].place].value, {}}), gradients};
  }
  Tensor<T> y = state_->begin(*entry, x);
  for (const auto& [k, shape] : wanted) {
    gradients.push_back(k == 0 ? zeros<T>(shape) : Tensor<T>::uninitialized(shape, "compile"));
    if (k != 0) bind_output(*entry->whole, program, k, gradients.back());
  }
  entry->whole->run();
  finish_output(*entry->whole, program, 0, y);
  for (std::size_t i = 0; i < wanted.size(); ++i)
    if (wanted[i].first != 0) finish_output(*entry->whole, program, wanted[i].first, gradients[i]);
  run_stores(*entry->whole, program);
  return {y, gradients};
}

template <class T>
Tensor<T> CompiledFunction<T>::backward(std::span<const Handle> x) {
  if (tracing)
    throw Error("backward",
                "the function is traced, and a gradient that is left in the parameters is not its "
                "result: take value_and_grad()");
  for (const Handle& one : x)
    if (one.node)
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
    bind_output(plan, program, entry->gradients[i], gradient);
  }
  plan.run();
  finish_output(plan, program, 0, y);
  for (std::size_t i = 0; i < entry->spare.size(); ++i) {
    finish_output(plan, program, entry->gradients[i], entry->spare[i]);
    auto& leaf = static_cast<Leaf&>(*entry->leaves[i].handle().node.get());
    const Handle before = std::exchange(leaf.grad, std::move(entry->spare[i]).release());
    entry->spare[i] = before.node ? Tensor<T>() : Tensor<T>(before);
  }
  run_stores(*entry->whole, program);
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
        out << "plan of " << what << ": " << plan->calls() << " calls, " << plan->bytes() << " bytes\n";
  }
}

template class CompiledFunction<float>;
template class CompiledFunction<double>;

}  // namespace xtape::detail
