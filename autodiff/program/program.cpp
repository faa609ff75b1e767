#include "program.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <ostream>

#include "../base/text_stream.hpp"
#include "../tape/adjoint_sums.hpp"

namespace xtape::detail {
namespace {

template <class T>
Handle sum(const Handle& a, const Handle& b) {
  return sum_of_adjoints(Tensor<T>(Handle(a)), Tensor<T>(Handle(b))).release();
}

bool same_bytes(const Value& a, const Value& b) {
  return a.bytes() == b.bytes() && (a.bytes() == 0 || std::memcmp(a.data, b.data, a.bytes()) == 0);
}

}  // namespace

std::vector<Handle> captured_leaves(const Program& program, const char* op, const char* advice) {
  std::vector<Handle> leaves;
  for (const Place& place : program.places) {
    if (place.kind != Place::Kind::outside || !place.tensor.node) continue;
    if (!place.tensor.node->is_leaf())
      throw Error(op, "the function captures a tensor of shape " + to_string(place.shape) +
                          " that was recorded by '" + place.tensor.node->name + "': " + advice +
                          ", or detach() it");
    leaves.push_back(place.tensor);
  }
  return leaves;
}

std::size_t add_gradient(Trace& trace, const Pass& pass, const Node* node, std::size_t item_size,
                         std::uint32_t unchanged) {
  const Pass::Target* const target = node ? pass.find(*node) : nullptr;
  if (!target || !target->gradient.value) return 0;
  const Input gradient = trace.input_of(Handle{target->gradient.value, {}});
  if (gradient.place == unchanged) return 0;
  if (target->gradient.value->item_size != item_size)
    throw Error(trace.op(), "a tensor of shape " + to_string(node->shape()) +
                                ", which has a gradient, is of another element type than the result: "
                                "convert it with astype() outside of the function");
  Program& program = trace.program();
  program.outputs.push_back(gradient);
  return program.outputs.size() - 1;
}

void remove_dead_steps(Program& program) {
  std::vector<char> needed(program.places.size(), false);
  for (const Input& output : program.outputs) needed[output.place] = true;
  for (const Store& store : program.stores) needed[store.value] = true;
  std::vector<char> live(program.steps.size(), false);
  for (std::size_t k = program.steps.size(); k-- > 0;) {
    const Step& step = program.steps[k];
    live[k] = needed[step.output] || step.operation->is_random;
    if (!live[k]) continue;
    for (const Input& input : step.inputs) needed[input.place] = true;
    if (step.base != Step::none) needed[step.base] = true;
  }
  const auto forward = live.begin() + static_cast<std::ptrdiff_t>(program.forward);
  program.forward = static_cast<std::size_t>(std::count(live.begin(), forward, true));
  std::size_t k = 0;
  std::erase_if(program.steps, [&](const Step&) { return !live[k++]; });
}

void recompute_from_kept(Program& program) {
  constexpr std::size_t least_bytes = 64 * 1024;
  const std::size_t places = program.places.size();
  std::vector<std::uint32_t> shown(places);  // by a view: the place whose elements it has
  std::vector<std::size_t> first_late(places, 0), last_use(places, 0);
  std::vector<char> is_whole(places, true);  // is read by products and their like alone
  std::iota(shown.begin(), shown.end(), 0u);
  const auto use = [&](std::uint32_t place, std::size_t k, bool whole) {
    const std::uint32_t of = shown[place];
    if (k >= program.forward && last_use[of] < program.forward) first_late[of] = k;
    last_use[of] = k;
    is_whole[of] = is_whole[of] && whole;
  };
  for (std::size_t k = 0; k < program.steps.size(); ++k) {
    const Step& step = program.steps[k];
    if (step.operation->is_view) {
      shown[step.output] = shown[step.inputs[0].place];
      if (k >= program.forward) use(step.output, k, false);
      continue;
    }
    for (const Input& input : step.inputs) use(input.place, k, !step.operation->row_call);
    if (step.base != Step::none) use(step.base, k, false);
  }
  for (const Input& output : program.outputs) is_whole[shown[output.place]] = false;
  for (const Store& store : program.stores) is_whole[shown[store.value]] = false;
  std::vector<std::pair<std::size_t, std::vector<Step>>> again;  // and before which step
  for (std::size_t k = 0; k < program.forward; ++k) {
    const Step& step = program.steps[k];
    if (!step.operation->row_call || step.base != Step::none || !is_whole[step.output] ||
        last_use[step.output] < program.forward ||
        element_count(program.places[step.output].shape, "compile") * program.places[step.output].item_size <
            least_bytes)
      continue;
    const bool is_kept = std::ranges::all_of(step.inputs, [&](const Input& input) {
      const std::uint32_t of = shown[input.place];
      return program.places[of].kind == Place::Kind::argument ||
             program.places[of].kind == Place::Kind::constant || last_use[of] > last_use[step.output];
    });
    if (!is_kept) continue;
    std::vector<std::uint32_t> now(places);  // what is read in the place of another
    std::iota(now.begin(), now.end(), 0u);
    auto& [first, steps] = again.emplace_back(first_late[step.output], std::vector<Step>{});
    for (std::size_t other = k; other < program.forward; ++other) {  // it, and its views
      Step copy = program.steps[other];
      if (other != k && !(copy.operation->is_view && shown[copy.output] == step.output)) continue;
      now[copy.output] = static_cast<std::uint32_t>(program.places.size());
      program.places.push_back(Place(program.places[copy.output]));
      copy.output = now[copy.output];
      if (other != k) copy.inputs[0].place = now[copy.inputs[0].place];
      steps.push_back(std::move(copy));
    }
    for (std::size_t late = program.forward; late < program.steps.size(); ++late)
      for (Input& input : program.steps[late].inputs)
        if (input.place < places) input.place = now[input.place];
  }
  std::ranges::stable_sort(again, {}, [](const auto& one) { return one.first; });
  for (std::size_t i = again.size(); i-- > 0;)
    program.steps.insert(program.steps.begin() + static_cast<std::ptrdiff_t>(again[i].first),
                         again[i].second.begin(), again[i].second.end());
}

std::string difference(const Program& program, const Program& other) {
  const std::size_t steps = std::min(program.steps.size(), other.steps.size());
  for (std::size_t k = 0; k < steps; ++k) {
    const Step &a = program.steps[k], &b = other.steps[k];
    const std::string name = std::string("'") + a.name() + "'";
    if (a.operation != b.operation || std::strcmp(a.name(), b.name()) != 0)
      return "where it computed " + name + " it computes '" + b.name() + "' now";
    if (!a.operation->equal(a.op.get(), b.op.get()))
      return name + " has another number, index or axis than in an earlier call";
    if (a.inputs != b.inputs || a.base != b.base)
      return name + " is of other tensors than in an earlier call";
    for (const Input& input : a.inputs) {
      const Place &p = program.places[input.place], &q = other.places[input.place];
      if (p.kind != q.kind || !(p.shape == q.shape) || p.item_size != q.item_size)
        return name + " has an input of shape " + to_string(q.shape) + ", and had one of " +
               to_string(p.shape);
      if (p.kind == Place::Kind::outside && p.tensor.value.get() != q.tensor.value.get())
        return name + " reads another tensor from outside than in an earlier call";
      if (p.kind == Place::Kind::constant && !same_bytes(*p.tensor.value.get(), *q.tensor.value.get()))
        return name + " has other numbers than in an earlier call, in a constant of shape " +
               to_string(p.shape);
    }
  }
  if (program.steps.size() != other.steps.size())
    return "it takes " + std::to_string(other.steps.size()) + " operations, and took " +
           std::to_string(program.steps.size());
  if (program.outputs != other.outputs || program.stores != other.stores)
    return "it gives another of its tensors than in an earlier call";
  for (const Input& output : program.outputs) {
    const Place &p = program.places[output.place], &q = other.places[output.place];
    if (p.kind == Place::Kind::constant && !same_bytes(*p.tensor.value.get(), *q.tensor.value.get()))
      return "its result has other numbers than in an earlier call, and depends on no argument";
  }
  return {};
}

std::vector<Handle> replay(const Program& program, std::span<const Handle> arguments, std::size_t steps,
                           const std::vector<std::pair<std::uint32_t, ValueRef>>& given, bool record_all) {
  std::vector<Handle> at(program.places.size());
  std::size_t next = 0;
  for (std::size_t p = 0; p < program.places.size(); ++p)
    if (program.places[p].kind == Place::Kind::argument) {
      if (next < arguments.size()) at[p] = arguments[next++];
    } else {
      at[p] = program.places[p].tensor;
    }
  for (const auto& [place, value] : given) at[place] = {value, {}};
  std::vector<Handle> detached;
  std::vector<const Handle*> inputs;
  for (std::size_t k = 0; k < steps; ++k) {
    const Step& step = program.steps[k];
    if (at[step.output].value) continue;
    detached.clear();
    detached.reserve(step.inputs.size());
    inputs.clear();
    for (const Input& input : step.inputs) {
      const Handle& x = at[input.place];
      inputs.push_back(input.recorded || record_all || !x.node ? &x
                                                               : &detached.emplace_back(Handle{x.value, {}}));
    }
    Handle y = step.operation->again(step.op.get(), inputs, program.places[step.output].shape);
    if (step.base != Step::none)
      y = y.value->item_size == sizeof(float) ? sum<float>(at[step.base], y) : sum<double>(at[step.base], y);
    at[step.output] = std::move(y);
  }
  return at;
}

PoolVector<Kept> read_from_outside(const Program& program, std::size_t first, std::size_t last) {
  PoolVector<Kept> all;
  for (std::size_t k = first; k < last; ++k)
    for (const Input& input : program.steps[k].inputs)
      if (const Place& place = program.places[input.place]; place.kind == Place::Kind::outside)
        all.push_back({place.tensor.value, place.tensor.value->owner().version});
  return all;
}

void require_unchanged(std::span<const Kept> read, const char* what) {
  for (const Kept& one : read)
    if (one.version != one.value->owner().version.load(std::memory_order_relaxed))
      throw Error("backward", std::string("a value that a ") + what + " needs, of shape " +
                                  to_string(one.value->shape) +
                                  ", was assigned after it was called: assign after backward()");
}

void print(std::ostream& out, const Program& program) {
  using Kind = Place::Kind;
  const auto name = [&](std::uint32_t p) { return "p" + std::to_string(p); };
  std::vector<char> used(program.places.size(), false);
  for (const Step& step : program.steps)
    for (const Input& input : step.inputs) used[input.place] = true;
  for (std::uint32_t p = 0; p < program.places.size(); ++p) {
    const Place& place = program.places[p];
    if (place.kind == Kind::result || (place.kind != Kind::argument && !used[p])) continue;
    out << name(p) << ' ' << place.shape
        << (place.kind == Kind::argument   ? ": an argument"
            : place.kind == Kind::constant ? ": a constant"
            : place.tensor.node            ? ": a parameter"
                                           : ": a tensor from outside")
        << '\n';
  }
  for (std::size_t k = 0; k < program.steps.size(); ++k) {
    const Step& step = program.steps[k];
    if (k == program.forward) out << "backward:\n";
    out << name(step.output) << ' ' << program.places[step.output].shape << " = ";
    if (step.base != Step::none) out << name(step.base) << " + ";
    out << step.name() << '(';
    for (std::size_t i = 0; i < step.inputs.size(); ++i) out << (i ? ", " : "") << name(step.inputs[i].place);
    out << ")\n";
  }
  for (const Store& store : program.stores) out << name(store.target) << " := " << name(store.value) << '\n';
  out << "gives";
  for (const Input& output : program.outputs) out << ' ' << name(output.place);
  out << '\n';
}

}  // namespace xtape::detail
