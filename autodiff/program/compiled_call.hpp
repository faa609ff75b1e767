// A function's program for arguments of some shapes, and a call of it as a node of the tape.
#pragma once
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../compile.hpp"
#include "../kernels/kernel_table.hpp"
#include "../layout.hpp"
#include "../ops/layout_ops.hpp"
#include "../random.hpp"
#include "../tape/op.hpp"
#include "plan.hpp"

namespace xtape::detail {

/// What the trace of a function leaves.
template <class T>
struct Compilation {
  Program program;                ///< gives the value, then the gradients
  std::vector<Shape> parts;       ///< of several results, which are one behind the other
  std::vector<Tensor<T>> leaves;  ///< captured ones
  /// The outputs that are the gradients of the leaves, then those of the arguments, 0 for none.
  std::vector<std::size_t> gradients;
  bool requires_grad = false;  ///< the result does; it may have no gradient to give all the same
  std::uint32_t seed = 0;      ///< the place of the adjoint of the result
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
inline void require_apart(const Program& program, std::span<const Handle> x) {
  for (const Store& store : program.stores)
    for (const Handle& one : x)
      if (&one.value->owner() == program.places[store.target].tensor.value.get())
        throw Error("compile",
                    "an argument of shape " + to_string(one.value->shape) +
                        " shares its elements with a tensor that the function assigns: pass a copy");
}

inline void run_stores(const Plan& plan, const Program& program) {
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
Tensor<T> one_result(const std::vector<Tensor<T>>& results) {
  return results.size() == 1 ? results.front() : packed(results);
}

/// A call on the tape. It keeps what its steps of gradients read; the arguments are kept by the node.
template <class T>
struct CompiledCall {
  std::shared_ptr<Entry<T>> entry;
  ValueRef block;
  std::size_t changes;            ///< of values, when it ran
  PoolVector<Kept> read;          ///< from outside, by the steps of gradients; and the result
  PoolVector<Kept> read_forward;  ///< by those before them
  ValueRef y{};                   ///< the result, where the plan writes it
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
    PoolVector<Handle> x;
    for (std::size_t i = 0; i < arguments; ++i) x.push_back(d.recorded_input(i).handle());
    if (again) return replay_through<T>(name, d, [&] { return run_again(std::exchange(x, {})); });
    Plan& plan = *entry->split;
    plan.bind_kept(block->data);
    plan.bind_arguments(x);
    if (y) plan.bind_output(0, y->data);
    plan.bind(entry->seed, bytes_of(d.adjoint));
    PoolVector<Tensor<T>> gradients(program.outputs.size());
    for (std::size_t k = 1; k < gradients.size(); ++k) {
      gradients[k] = Tensor<T>::uninitialized(program.places[program.outputs[k].place].shape, name);
      plan.bind_output(k, bytes_of(gradients[k]));
    }
    plan.run_backward();
    for (std::size_t k = 1; k < gradients.size(); ++k) plan.finish_output(k, bytes_of(gradients[k]));
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
      return one_result((*entry->function)(x));
    }
    entry->split->bind_kept(block->data);
    auto given = entry->split->drawn();
    given.insert(given.end(), before.begin(), before.end());
    Handle result = replay(program, x, program.forward, given)[program.outputs[0].place];
    return program.outputs[0].recorded ? Tensor<T>(std::move(result)) : Tensor<T>(Handle{result.value, {}});
  }
};

}  // namespace xtape::detail
