// How a loss is computed, from its recording or from a function.
#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <unordered_set>

#include "derived.hpp"

namespace xtape::detail {
namespace {

/// The recorded nodes behind a root, in the order in which they were recorded.
std::vector<Node*> nodes_behind(Node& root) {
  std::unordered_set<const Node*> reached{&root};
  std::vector<Node*> found;
  std::size_t open = 1;
  for (Node* node = &root; open != 0; node = node->previous) {
    if (!reached.contains(node)) continue;
    --open;
    found.push_back(node);
    if (!node->operation)
      throw Error(derivation_op,
                  std::string("the recording of '") + node->name +
                      "' was consumed by backward(): derive before it, or keep it with retain_tape");
    for (Node* input : node->inputs())
      if (input && !input->is_leaf() && reached.insert(input).second) ++open;
  }
  std::ranges::reverse(found);
  return found;
}

class Reader {
 public:
  Reader(Source& source, const NamedHandles& names, std::uint16_t item_size)
      : source_(source), names_(names), item_size_(item_size) {}

  void read(Node& node) {
    Program& program = source_.program;
    // What is no step computes with more than its inputs, and the recording does not tell how.
    if (!node.operation->again)
      throw Error(
          derivation_op,
          std::string("'") + node.name +
              "' is one node of a function of its own: give the function that computes the loss, "
              "derivation([&] { return loss; }, names), and write custom() and checkpoint() as operations");
    Step step{node.operation, {hold(node), node.op()}, {}, 0};
    for (std::size_t i = 0; i < node.input_count; ++i) step.inputs.push_back(input(node, i));
    step.output = add({Place::Kind::result, item_size_, node.operation->gives_integers, node.shape()});
    places_[&node] = step.output;
    for (const auto& [name, tensor] : names_)
      if (tensor.node.get() == &node) source_.results.emplace_back(step.output, name);
    program.steps.push_back(std::move(step));
  }
  std::uint32_t at(const Node& node) const { return places_.at(&node); }

 private:
  static std::shared_ptr<NodeRef> hold(Node& node) {
    return std::make_shared<NodeRef>(NodeRef::share(&node));
  }
  std::uint32_t add(Place place) {
    source_.program.places.push_back(std::move(place));
    return static_cast<std::uint32_t>(source_.program.places.size() - 1);
  }
  std::uint32_t argument(const Handle& tensor, const Shape& shape, std::uint16_t item_size, bool integers,
                         const std::string& name) {
    source_.arguments.push_back({name, tensor, tensor.node && tensor.node->is_leaf()});
    return add({Place::Kind::argument, item_size, integers, shape});
  }
  Input input(Node& node, std::size_t i) {
    const ValueRef value = node.keeps_input(i) ? node.kept()[kept_at(node, i)].value : ValueRef();
    if (Node* const from = node.inputs()[i]) {
      const auto at = places_.find(from);
      if (at != places_.end()) {  // a leaf's value, which another operation did not keep
        if (const auto leaf = leaves_.find(from); leaf != leaves_.end() && value)
          source_.arguments[leaf->second].tensor.value = value;
        return {at->second, true};
      }
      std::string name;
      Handle tensor{value, NodeRef::share(from)};
      for (const auto& [its, named] : names_)
        if (named.node.get() == from) name = its, tensor.value = named.value;
      const std::uint32_t place = argument(tensor, from->shape(), item_size_, false, name);
      places_[from] = place;
      leaves_[from] = source_.arguments.size() - 1;
      return {place, true};
    }
    if (!value)
      throw Error(derivation_op, std::string("'") + node.name +
                                     "' has more than 31 inputs, of which constants are not kept");
    const auto [at, is_new] = constants_.try_emplace(value.get(), 0u);
    if (!is_new) return {at->second};
    for (const auto& [name, named] : names_)
      if (named.value.get() == value.get() && !named.active())
        return {at->second =
                    argument(Handle{value, {}}, value->shape, value->item_size, value->integers, name)};
    at->second =
        add({Place::Kind::constant, value->item_size, value->integers, value->shape, Handle{value, {}}});
    return {at->second};
  }
  static std::size_t kept_at(const Node& node, std::size_t i) {
    return bit_count(node.kept_mask & ((1u << i) - 1u));
  }

  Source& source_;
  const NamedHandles& names_;
  std::uint16_t item_size_;
  std::unordered_map<const Node*, std::uint32_t> places_;
  std::unordered_map<const Node*, std::size_t> leaves_;  ///< their numbers as arguments
  std::unordered_map<const Value*, std::uint32_t> constants_;
};

void require_one_element(const Value* value) {
  if (!value) throw Error(derivation_op, "the loss is an empty tensor");
  if (value->size != 1)
    throw Error(derivation_op,
                "the loss has the shape " + to_string(value->shape) + ": it must be one number");
}

}  // namespace

std::optional<double> uniform(const Place& place) {
  const Value& value = *place.tensor.value.get();
  if (place.integers || value.size == 0) return {};
  for (std::size_t i = 1; i < value.size; ++i)
    if (std::memcmp(value.data, value.data + i * value.item_size, value.item_size) != 0) return {};
  return element(value, 0);
}

void give_constants(Source& source) {
  std::size_t next = 0;
  for (Place& place : source.program.places) {
    if (place.kind == Place::Kind::constant && !uniform(place)) {
      source.arguments.insert(source.arguments.begin() + static_cast<std::ptrdiff_t>(next),
                              {"", std::move(place.tensor), false});
      place.kind = Place::Kind::argument;
      place.tensor = {};
    }
    if (place.kind == Place::Kind::argument) ++next;
  }
}

Source recorded_source(const Handle& loss, const NamedHandles& names) {
  require_one_element(loss.value.get());
  if (!loss.node || loss.node->is_leaf())
    throw Error(derivation_op,
                "the loss was not recorded: nothing that it is computed from requires a gradient");
  Source source;
  Reader reader(source, names, loss.value->item_size);
  for (Node* node : nodes_behind(*loss.node.get())) reader.read(*node);
  source.program.outputs.push_back({reader.at(*loss.node.get()), true});
  source.program.forward = source.program.steps.size();
  return source;
}

Source traced_source(const std::function<Handle()>& f, const NamedHandles& names) {
  Source source;
  {
    const RecordingScope scope(true);
    Trace trace(derivation_op);
    const Handle loss = f();
    require_one_element(loss.value.get());
    if (!loss.node) throw Error(derivation_op, "the loss depends on nothing that requires a gradient");
    trace.program().outputs.push_back(trace.input_of(loss));
    source.program = std::move(trace.program());
  }
  Program& program = source.program;
  if (program.is_opaque)
    throw Error(derivation_op,
                "the function calls custom() or checkpoint(), whose rule is no formula that is known: write "
                "it with operations, or call the function of checkpoint() itself");
  captured_leaves(program, derivation_op, "compute it within the function");
  program.stores.clear();  // a state that is carried on, as running statistics are, is no part of the loss
  program.forward = program.steps.size();
  remove_dead_steps(program);
  for (Place& place : program.places) {
    if (place.kind != Place::Kind::outside) continue;
    const auto named = std::ranges::find_if(names, [&](const auto& one) {
      return &one.second.value->owner() == &place.tensor.value->owner() &&
             one.second.value->shape == place.shape;
    });
    if (!place.tensor.node && named == names.end()) {
      place.kind = Place::Kind::constant;
      continue;
    }
    place.kind = Place::Kind::argument;
    source.arguments.push_back({named == names.end() ? "" : named->first, std::move(place.tensor), false});
    source.arguments.back().is_leaf = static_cast<bool>(source.arguments.back().tensor.node);
    place.tensor = {};
  }
  return source;
}

}  // namespace xtape::detail
