// How a trace tells its own tensors, those from outside and constants apart.
#include "trace.hpp"

#include <algorithm>
#include <atomic>
#include <string>
#include <utility>

#include "../base/pool.hpp"
#include "../error.hpp"
#include "observer.hpp"

namespace xtape::detail {
namespace {

constinit std::atomic<std::uint64_t> traces = 0;
/// Larger results are not made constants of a program: they would stay in memory.
constexpr std::size_t most_constant = 4096;

const AbstractValue& abstract(const Value& value) { return static_cast<const AbstractValue&>(value); }

}  // namespace

Trace::Trace(const char* op)
    : op_(op),
      number_(++traces),
      outer_(std::exchange(tracing, this)),
      hidden_(std::exchange(observer, nullptr)),
      made_before_(std::exchange(made_values, &made_)) {}

Trace::~Trace() {
  made_values = made_before_;
  observer = hidden_;
  tracing = outer_;
}

ValueRef Trace::result(std::uint32_t at) const {
  const Place& place = program_.places[at];
  const std::uint32_t size_class = size_class_of(sizeof(AbstractValue));
  auto* value = ::new (allocate(size_class)) AbstractValue(place.shape, number_, at);
  value->size_class = size_class;
  value->size = element_count(place.shape, op_);
  value->item_size = place.item_size;
  value->integers = place.integers;
  return ValueRef(value);
}

Handle Trace::argument(const Shape& shape, std::size_t item_size, bool integers, bool recorded) {
  const auto place = static_cast<std::uint32_t>(program_.places.size());
  program_.places.push_back({Place::Kind::argument, static_cast<std::uint16_t>(item_size), integers, shape});
  return {result(place), recorded ? make_leaf(shape) : NodeRef()};
}

bool Trace::is_constant(const Value& value) const {
  for (; seen_ < made_.size(); ++seen_) constants_.insert(made_[seen_].get());
  return constants_.contains(&value);
}

std::uint32_t Trace::place_of(const Handle& tensor) {
  const Value& value = *tensor.value.get();
  if (is_abstract(value)) {
    const AbstractValue& own = abstract(value);
    if (own.trace == number_) return own.place;
    bool alive = false;
    for (const Trace* trace = outer_; trace; trace = trace->outer_) alive |= trace->number_ == own.trace;
    if (!alive) require_elements(value);
  }
  const auto [at, is_new] = places_.emplace(&value, static_cast<std::uint32_t>(program_.places.size()));
  if (!is_new) return at->second;
  const bool constant = is_constant(value);
  if (!constant && value.base)
    for (const Store& store : program_.stores)
      if (program_.places[store.target].tensor.value.get() == value.base)
        throw Error(op_, "a view of shape " + to_string(value.shape) +
                             " is read after the tensor that it shows was assigned: reshape it again");
  program_.places.push_back({constant ? Place::Kind::constant : Place::Kind::outside, value.item_size,
                             value.integers, value.shape, Handle{tensor.value, {}}});
  return at->second;
}

Input Trace::input_of(const Handle& tensor) {
  const std::uint32_t place = place_of(tensor);
  Place& at = program_.places[place];
  // Of the tensors that share the elements, the parameter, or what was recorded outside.
  if (at.kind == Place::Kind::outside && tensor.active() && !tensor.node->traced &&
      (!at.tensor.node || tensor.node->is_leaf()))
    at.tensor.node = tensor.node;
  return {place, tensor.active() != nullptr};
}

bool Trace::defers(Inputs inputs, std::size_t elements) const {
  if (elements > most_constant) return true;
  for (const Handle* input : inputs)
    if (is_abstract(*input->value.get()) || !is_constant(*input->value.get())) return true;
  return false;
}

ValueRef Trace::add(const Operation& operation, std::shared_ptr<const void> op, Inputs inputs,
                    const Shape& shape, std::size_t item_size, const ValueRef& base) {
  Step step{&operation, std::move(op), {}, 0};
  step.inputs.reserve(inputs.size());
  for (const Handle* input : inputs) step.inputs.push_back(input_of(*input));
  if (base) step.base = place_of({base, {}});
  step.output = static_cast<std::uint32_t>(program_.places.size());
  program_.places.push_back(
      {Place::Kind::result, static_cast<std::uint16_t>(item_size), operation.gives_integers, shape});
  ValueRef value = result(step.output);
  program_.steps.push_back(std::move(step));
  return value;
}

ValueRef Trace::add_random(const Operation& operation, std::shared_ptr<const void> op, const Shape& shape,
                           std::size_t item_size) {
  if (drawn < random_.size()) {
    const Step& step = program_.steps[random_[drawn++]];
    if (step.operation != &operation || !(program_.places[step.output].shape == shape) ||
        !operation.equal(step.op.get(), op.get()))
      throw Error(op_, "a function that is run again draws other random numbers than at first");
    return result(step.output);
  }
  ValueRef value = add(operation, std::move(op), {}, shape, item_size);
  random_.push_back(program_.steps.size() - 1);
  ++drawn;
  return value;
}

void Trace::store(const Handle& target, const Handle& value) {
  const Value& to = *target.value.get();
  if (is_abstract(to) || is_constant(to))
    throw Error(op_, "a tensor that the function made is assigned: only those from outside are");
  if (to.base) throw Error(op_, "a reshaped view is assigned: assign the tensor that it shows");
  const auto now = places_.find(&to);
  const bool viewed = std::ranges::any_of(program_.steps,
                                          [&](const Step& step) {
                                            return step.operation->is_view && now != places_.end() &&
                                                   step.inputs[0].place == now->second;
                                          }) ||
                      std::ranges::any_of(program_.places, [&](const Place& place) {
                        return place.tensor.value && place.tensor.value->base == &to;
                      });
  if (viewed)
    throw Error(op_, "a tensor of shape " + to_string(to.shape) +
                         " is assigned after a view of it was made: reshape it when it has been assigned");
  if (now != places_.end()) places_.erase(now);
  // What has kept the elements of before refuses to be replayed, as it does where they change at once.
  target.value->version.fetch_add(1, std::memory_order_relaxed);
  changes.fetch_add(1, std::memory_order_relaxed);
  const auto place = static_cast<std::uint32_t>(program_.places.size());
  program_.places.push_back({Place::Kind::outside, to.item_size, false, to.shape, target});
  program_.stores.push_back({place, input_of(value).place});
  places_[&to] = program_.stores.back().value;  // what reads it from here on reads this
}

void Trace::require_readable(const Value& value, const char* what) const {
  if (!is_abstract(value) && (is_constant(value) || (value.base && is_constant(*value.base)))) return;
  throw Error(op_, std::string(what) + "() reads a tensor of shape " + to_string(value.shape) +
                       " while the function is traced: the numbers are those of the first call, and a "
                       "branch would be taken once and for all. Write it with operations, such as where(); "
                       "or take it out of the function");
}

void require_readable(const Value& value, const char* what) {
  if (tracing) tracing->require_readable(value, what);
}

void require_elements(const Value& value) {
  if (tracing) tracing->require_readable(value, "data");
  throw Error("Tensor", "the tensor of shape " + to_string(value.shape) +
                            " is from a trace that is over: it has no elements. Return it from the function");
}

}  // namespace xtape::detail
