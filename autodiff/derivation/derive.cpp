// The gradients of a program, as steps under it, and both by simpler operations.
#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <tuple>

#include "../elementwise.hpp"
#include "derived.hpp"

namespace xtape::detail {
namespace {

/// Performs the steps anew within a trace.
class Rerun {
 public:
  Rerun(const Program& program, const IsLeft& is_left)
      : program_(program), is_left_(is_left), at_(program.places.size()) {}

  /// An argument in the order of the places; constants are taken over.
  template <class F>
  void begin(Trace& trace, const F& argument) {
    for (std::size_t p = 0; p < at_.size(); ++p) {
      const Place& place = program_.places[p];
      if (place.kind == Place::Kind::argument)
        at_[p] = argument(place);
      else if (place.kind != Place::Kind::result) {
        if (place.kind == Place::Kind::constant) trace.note_constant(place.tensor.value);
        at_[p] = place.tensor;
      }
    }
  }
  void run(const Step& step) {
    std::vector<Handle> detached;
    detached.reserve(step.inputs.size());
    std::vector<const Handle*> inputs;
    for (const Input& input : step.inputs) {
      const Handle& x = at_[input.place];
      inputs.push_back(input.recorded || !x.node ? &x : &detached.emplace_back(Handle{x.value, {}}));
    }
    const Shape& shape = program_.places[step.output].shape;
    const Operation& of = *step.operation;
    const bool leaves = of.again && (!of.decompose || (is_left_ && is_left_(step)));
    Handle y = leaves ? of.again(step.op.get(), inputs, shape) : of.decompose(step.op.get(), inputs);
    if (step.base != Step::none) {
      const Handle& base = at_[step.base];
      y = y.value->item_size == sizeof(float) ? sum<float>(base, y) : sum<double>(base, y);
    }
    at_[step.output] = std::move(y);
  }
  const Handle& at(std::uint32_t place) const { return at_[place]; }
  /// The places of a trace where its values are.
  std::vector<std::uint32_t> places(Trace& trace) const {
    std::vector<std::uint32_t> now(at_.size(), Step::none);
    for (std::size_t p = 0; p < at_.size(); ++p)
      if (at_[p].value) now[p] = trace.input_of(at_[p]).place;
    return now;
  }

 private:
  template <class T>
  static Handle sum(const Handle& a, const Handle& b) {
    return (Tensor<T>(Handle(a)) + Tensor<T>(Handle(b))).release();
  }

  const Program& program_;
  const IsLeft& is_left_;
  std::vector<Handle> at_;
};

bool has_composed(const Program& program, const IsLeft& is_left) {
  return std::ranges::any_of(program.steps, [&](const Step& step) {
    return step.base != Step::none ||
           (step.operation->decompose && !(step.operation->again && is_left && is_left(step)));
  });
}

Program decomposed_once(const Program& program, const IsLeft& is_left, std::vector<std::uint32_t>& now) {
  // Recorded as the program's own steps were, so that what was detached stays so.
  const RecordingScope scope(true);
  std::vector<char> is_recorded(program.places.size(), false);
  for (const Step& step : program.steps)
    for (const Input& input : step.inputs) is_recorded[input.place] |= input.recorded;
  Trace trace(derivation_op);
  Rerun rerun(program, is_left);
  rerun.begin(trace, [&](const Place& place) {
    return trace.argument(place.shape, place.item_size, place.integers,
                          is_recorded[static_cast<std::size_t>(&place - program.places.data())]);
  });
  std::size_t forward = 0;
  for (std::size_t k = 0; k < program.steps.size(); ++k) {
    if (k == program.forward) forward = trace.program().steps.size();
    rerun.run(program.steps[k]);
  }
  if (program.forward == program.steps.size()) forward = trace.program().steps.size();
  now = rerun.places(trace);
  for (const Input& output : program.outputs) trace.program().outputs.push_back({now[output.place]});
  trace.program().forward = forward;
  return std::move(trace.program());
}

void renumber(std::vector<std::uint32_t>& places, const std::vector<std::uint32_t>& now) {
  for (std::uint32_t& place : places)
    if (place != Step::none) place = now[place];
}

}  // namespace

Program decomposed(const Program& program, const IsLeft& is_left, std::vector<std::uint32_t>& now) {
  now.resize(program.places.size());
  std::iota(now.begin(), now.end(), 0u);
  Program result = program;
  while (has_composed(result, is_left)) {
    std::vector<std::uint32_t> then;
    result = decomposed_once(result, is_left, then);
    renumber(now, then);
  }
  return result;
}

void merge_equal_steps(Program& program, std::vector<std::uint32_t>& now) {
  std::vector<std::uint32_t> same(program.places.size());
  std::iota(same.begin(), same.end(), 0u);
  for (std::uint32_t p = 0; p < program.places.size(); ++p)
    for (std::uint32_t q = 0; q < p && program.places[p].kind == Place::Kind::constant; ++q) {
      const Place &a = program.places[q], &b = program.places[p];
      if (a.kind != Place::Kind::constant || a.item_size != b.item_size || a.integers != b.integers ||
          !(a.shape == b.shape))
        continue;
      const Value &x = *a.tensor.value.get(), &y = *b.tensor.value.get();
      if (&x == &y || x.bytes() == 0 || std::memcmp(x.data, y.data, x.bytes()) == 0) {
        same[p] = q;
        break;
      }
    }
  using Key = std::tuple<const Operation*, std::vector<std::uint32_t>, std::uint32_t>;
  std::map<Key, std::vector<const Step*>> seen;
  for (Step& step : program.steps) {
    std::vector<std::uint32_t> inputs;
    for (Input& input : step.inputs) inputs.push_back(input.place = same[input.place]);
    if (step.base != Step::none) step.base = same[step.base];
    if (step.operation->is_random) continue;
    std::vector<const Step*>& list = seen[{step.operation, std::move(inputs), step.base}];
    const auto equal = std::ranges::find_if(list, [&](const Step* other) {
      return step.operation->equal(step.op.get(), other->op.get()) &&
             program.places[step.output].shape == program.places[other->output].shape;
    });
    if (equal == list.end())
      list.push_back(&step);
    else
      same[step.output] = (*equal)->output;
  }
  renumber(now, same);
  for (Input& output : program.outputs) output.place = same[output.place];
  remove_dead_steps(program);
}

Derived derive(const Source& source, const IsLeft& is_left) {
  Derived result;
  std::vector<std::uint32_t> now;
  const Program forward = decomposed(source.program, is_left, now);
  const RecordingScope scope(true);
  Trace trace(derivation_op);
  Rerun rerun(forward, is_left);
  std::size_t next = 0;
  rerun.begin(trace, [&](const Place& place) {
    return trace.argument(place.shape, place.item_size, place.integers, source.arguments[next++].is_leaf);
  });
  std::vector<Handle> held;  // so that each node lives
  for (const Step& step : forward.steps) rerun.run(step);
  std::vector<std::uint32_t> places = rerun.places(trace);
  trace.program().forward = trace.program().steps.size();
  const Handle& loss = rerun.at(forward.outputs.front().place);
  if (!loss.node) throw Error(derivation_op, "the loss depends on nothing that requires a gradient");

  std::vector<Pass::Target> targets;
  for (std::uint32_t p = 0; p < places.size(); ++p)
    if (Node* const node = rerun.at(p).node.get()) targets.push_back({node, {}});
  Pass pass(true, false, std::move(targets));
  // An argument and no constant: so that a division by the batch is a step, and not folded into a number.
  result.seed = static_cast<std::uint32_t>(trace.program().places.size());
  pass.replay(*loss.node.get(), trace.argument(*loss.value.get(), false));
  std::vector<std::uint32_t> adjoints(places.size(), Step::none);
  for (std::uint32_t p = 0; p < places.size(); ++p) {
    const Node* const node = rerun.at(p).node.get();
    const Pass::Target* const target = node ? pass.find(*node) : nullptr;
    if (target && target->gradient.value)
      adjoints[p] = trace.input_of(Handle{target->gradient.value, {}}).place;
  }
  result.loss = places[forward.outputs.front().place];
  trace.program().outputs.push_back({result.loss});
  for (const std::uint32_t place : adjoints)
    if (place != Step::none) trace.program().outputs.push_back({place});
  result.program = std::move(trace.program());
  result.adjoints.assign(result.program.places.size(), Step::none);
  for (std::uint32_t p = 0; p < places.size(); ++p)
    if (places[p] != Step::none && adjoints[p] != Step::none) result.adjoints[places[p]] = adjoints[p];
  result.arguments = source.arguments;
  for (const auto& [place, name] : source.results)
    if (const std::uint32_t at = places[now[place]]; at != Step::none) result.results.emplace_back(at, name);
  for (const Step& step : source.program.steps)
    if (const std::uint32_t at = places[now[step.output]]; at != Step::none) result.recorded.push_back(at);
  remove_dead_steps(result.program);
  return result;
}

void simplify(Derived& derived, const IsLeft& is_left) {
  std::vector<std::uint32_t> now;
  derived.program = decomposed(derived.program, is_left, now);
  merge_equal_steps(derived.program, now);
  std::vector<std::uint32_t> adjoints(derived.program.places.size(), Step::none);
  for (std::uint32_t p = 0; p < derived.adjoints.size(); ++p)
    if (derived.adjoints[p] != Step::none && now[p] != Step::none)
      adjoints[now[p]] = now[derived.adjoints[p]];
  derived.adjoints = std::move(adjoints);
  for (auto& [place, name] : derived.results)
    if (place != Step::none) place = now[place];
  renumber(derived.recorded, now);
  derived.loss = now[derived.loss];
  derived.seed = now[derived.seed];
}

std::vector<Handle> values_of(const Derived& derived, std::span<const Handle> arguments) {
  const RecordingScope scope(false);
  std::vector<Handle> all(arguments.begin(), arguments.end());
  const Place& seed = derived.program.places[derived.seed];
  all.push_back(seed.item_size == sizeof(float) ? ones<float>(seed.shape).release()
                                                : ones<double>(seed.shape).release());
  return replay(derived.program, all, derived.program.steps.size());
}

std::vector<Handle> given_arguments(const Derived& derived, const char* what) {
  std::vector<Handle> all;
  for (const Source::Argument& one : derived.arguments) {
    if (!one.tensor.value)
      throw Error(what,
                  "the value of a parameter of shape " + to_string(one.tensor.node->shape()) +
                      " is not known to the recording: name it, or give the function that computes the loss");
    all.push_back(Handle{one.tensor.value, {}});
  }
  return all;
}

}  // namespace xtape::detail
