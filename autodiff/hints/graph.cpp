// Each step is recorded by itself, once, from leaves that hold its inputs; a backward pass, with or without
// mistakes, asks one step after the other for what it passes on.
#include "graph.hpp"

#include <algorithm>
#include <string_view>

#include "../base/text.hpp"
#include "../derivation/lines.hpp"
#include "../elementwise.hpp"
#include "../layout.hpp"

namespace xtape::detail {
namespace {

/// Operations in whose gradients people make mistakes of their own.
bool is_whole(const Step& step) {
  constexpr std::string_view names[] = {"softmax",    "log_softmax", "logsumexp", "cross_entropy", "conv2d",
                                        "max_pool2d", "max",         "min",       "norm"};
  return std::ranges::find(names, step.name()) != std::end(names);
}

/// An undefined part is 0.
template <class T>
void add_to(Tensor<T>& sum, const Tensor<T>& part) {
  if (part.defined()) sum = sum.defined() ? sum + part : part;
}

constexpr auto as_it_is = [](std::size_t, const auto&, const auto& part) { return part; };

}  // namespace

template <class T>
GradientGraph<T>::GradientGraph(const std::function<Tensor<T>()>& loss) {
  source_ = traced_source([&] { return loss().release(); }, {});
  std::vector<std::uint32_t> now;
  Program simple = decomposed(source_.program, is_whole, now);
  simple.forward = simple.steps.size();
  remove_dead_steps(simple);
  source_.program = std::move(simple);
  give_constants(source_);

  const std::size_t places = program_.places.size();
  names_.resize(places);
  makers_.assign(places, none);
  readers_.resize(places);
  std::vector<Handle> arguments;
  std::size_t next = 0;
  for (std::uint32_t p = 0; p < places; ++p) {
    const Place& place = program_.places[p];
    if (place.kind == Place::Kind::argument) {
      if (source_.arguments[next].is_leaf) leaves_.push_back(p);
      arguments.push_back(source_.arguments[next++].tensor);
    }
  }
  {
    std::vector<Handle> values;
    for (const Handle& one : arguments) values.push_back({one.value, {}});
    const RecordingScope off(false);
    at_ = replay(program_, values, program_.steps.size());
  }
  next = 0;
  for (std::uint32_t p = 0; p < places; ++p)
    if (program_.places[p].kind == Place::Kind::argument) at_[p].node = arguments[next++].node;
  values_.resize(places);
  for (std::size_t p = 0; p < places; ++p)
    if (at_[p].value && !at_[p].value->integers && at_[p].value->item_size == sizeof(T))
      values_[p] = Tensor<T>(Handle{at_[p].value, {}});
  for (std::size_t k = 0; k < program_.steps.size(); ++k) {
    makers_[program_.steps[k].output] = k;
    for (const Input& input : program_.steps[k].inputs) readers_[input.place].push_back(k);
  }

  needed_.assign(places, false);
  for (const std::uint32_t leaf : leaves_) {
    std::vector<char>& leads = below_[leaf];
    leads.assign(places, false);
    leads[leaf] = true;
    for (const Step& step : program_.steps)
      for (const Input& input : step.inputs)
        if (leads[input.place] && input.recorded) leads[step.output] = true;
    for (std::size_t p = 0; p < places; ++p) needed_[p] |= leads[p];
  }
  find_roles();
  recorded_ = record(at_);
  edge_at_.resize(program_.steps.size());
  for (std::size_t k = 0; k < program_.steps.size(); ++k) {
    const Step& step = program_.steps[k];
    edge_at_[k].assign(step.inputs.size(), none);
    for (std::size_t i = 0; i < step.inputs.size(); ++i)
      if (needed_[step.inputs[i].place] && step.inputs[i].recorded && recorded_[k].y.requires_grad()) {
        edge_at_[k][i] = edges_.size();
        edges_.push_back({k, i, step.inputs[i].place});
      }
  }
  contributions_.resize(edges_.size());
  adjoints_ = seeded();
  walk(
      adjoints_, program_.steps.size(), needed_, recorded_,
      [&](std::size_t edge, const Tensor<T>&, const Tensor<T>& part) { return contributions_[edge] = part; });
}

template <class T>
void GradientGraph<T>::write_names(const std::map<std::uint32_t, std::string>& leaves) {
  std::size_t next = 0;
  for (std::uint32_t p = 0; p < names_.size(); ++p)
    if (program_.places[p].kind == Place::Kind::argument) {
      if (const auto at = leaves.find(p); at != leaves.end()) source_.arguments[next].name = at->second;
      ++next;
    }
  const Lines lines = lines_of(source_);
  next = 0;
  for (std::uint32_t p = 0; p < names_.size(); ++p) {
    const Place& place = program_.places[p];
    if (place.kind == Place::Kind::argument)
      names_[p] = lines.arguments[next++];
    else if (const auto number = place.kind == Place::Kind::constant ? uniform(place) : std::nullopt)
      names_[p] = number_text(*number);
  }
  for (std::size_t k = 0; k < program_.steps.size() && k < lines.steps.size(); ++k)
    names_[program_.steps[k].output] = lines.steps[k];
  formulas_ = lines.formulas;
}

template <class T>
std::string GradientGraph<T>::gradient_name(std::uint32_t place) const {
  const std::string& own = name(place);
  if (own.size() > 1 && own[0] == 'z' && std::isdigit(static_cast<unsigned char>(own[1])))
    return "δ" + own.substr(1);
  const bool is_short = own.find(' ') == std::string::npos;
  return "dL/d" + (is_short ? own : "(" + own + ")");
}

template <class T>
bool GradientGraph<T>::has_same_role(const Step& a, const Step& b, int depth) const {
  if (std::string_view(a.name()) != b.name() || a.inputs.size() != b.inputs.size() ||
      !(program_.places[a.output].shape == program_.places[b.output].shape))
    return false;
  for (std::size_t i = 0; i < a.inputs.size(); ++i) {
    const std::uint32_t p = a.inputs[i].place, q = b.inputs[i].place;
    if (!(program_.places[p].shape == program_.places[q].shape)) return false;
    const bool p_is_leaf = at_[p].node && makers_[p] == none, q_is_leaf = at_[q].node && makers_[q] == none;
    if (p_is_leaf || q_is_leaf) {
      if (p != q) return false;
    } else if (makers_[p] != none && makers_[q] != none && depth < 4 &&
               !has_same_role(program_.steps[makers_[p]], program_.steps[makers_[q]], depth + 1)) {
      return false;  // a constant stands for anything: the first state of a recurrent net
    }
  }
  return true;
}

template <class T>
void GradientGraph<T>::find_roles() {
  // The last first: those of the first time step have constants in them, which fit several.
  std::vector<std::size_t> found;
  roles_.assign(program_.steps.size(), 0);
  for (std::size_t k = program_.steps.size(); k-- > 0;) {
    const auto same = std::ranges::find_if(
        found, [&](std::size_t other) { return has_same_role(program_.steps[other], program_.steps[k], 0); });
    roles_[k] = static_cast<std::size_t>(same - found.begin());
    if (same == found.end()) found.push_back(k);
  }
}

template <class T>
std::string GradientGraph<T>::formula(std::size_t step) const {
  const std::string& own = names_[program_.steps[step].output];
  const std::string& of = step < formulas_.size() ? formulas_[step] : own;
  std::string text = own == of ? of : own + " = " + of, where;
  const std::string op = program_.steps[step].name();
  if (text.find(op) == std::string::npos) where = " (" + op;
  // What the names v1, v2 … in it stand for, which say nothing by themselves.
  for (const Input& input : program_.steps[step].inputs) {
    const std::string& name = names_[input.place];
    const bool is_plain = name.size() > 1 && (name[0] == 'v' || name[0] == 't') &&
                          std::isdigit(static_cast<unsigned char>(name[1])) &&
                          name.find(' ') == std::string::npos;
    if (!is_plain || makers_[input.place] == none || where.find(name + " = ") != std::string::npos) continue;
    where += (where.empty() ? " (" : "; ") + name + " = " + formulas_[makers_[input.place]];
  }
  return text + (where.empty() ? "" : where + ")");
}

template <class T>
auto GradientGraph<T>::record(const Step& step, std::vector<Handle> x) const -> Recorded {
  const RecordingScope on(true);
  const Place& place = program_.places[step.output];
  Recorded one{std::move(x), {}};
  if (place.item_size != sizeof(T) || place.integers) return one;
  std::vector<const Handle*> inputs;
  for (const Handle& input : one.x) inputs.push_back(&input);
  one.y = Tensor<T>(step.operation->again(step.op.get(), inputs, place.shape));
  return one;
}

template <class T>
auto GradientGraph<T>::record(const std::vector<Handle>& at) const -> std::vector<Recorded> {
  std::vector<Recorded> all;
  for (const Step& step : program_.steps) {
    std::vector<Handle> x;
    for (const Input& input : step.inputs) {
      const ValueRef& value = at[input.place].value;
      const bool has_gradient =
          input.recorded && needed_[input.place] && !value->integers && value->item_size == sizeof(T);
      x.push_back({value, has_gradient ? make_leaf(value->shape) : NodeRef()});
    }
    all.push_back(record(step, std::move(x)));
  }
  return all;
}

template <class T>
Tensor<T> GradientGraph<T>::contribution_with(
    std::size_t number, const Tensor<T>& g, const std::vector<std::pair<std::size_t, Handle>>& others) const {
  const Edge& edge = edges_[number];
  const Step& step = program_.steps[edge.step];
  std::vector<Handle> x;
  for (const Input& input : step.inputs) x.push_back({at_[input.place].value, {}});
  for (const auto& [i, other] : others) x[i].value = other.value;
  x[edge.input].node = make_leaf(x[edge.input].value->shape);
  return pass_back(record(step, std::move(x)), g, std::vector<char>(step.inputs.size(), true))[edge.input];
}

template <class T>
std::vector<Tensor<T>> GradientGraph<T>::pass_back(const Recorded& step, const Tensor<T>& g,
                                                   const std::vector<char>& wanted) const {
  std::vector<Tensor<T>> parts(step.x.size());
  if (!step.y.requires_grad()) return parts;
  work_ += 1000 + g.size();
  for (const Handle& x : step.x) work_ += x.value->size;
  std::vector<Pass::Target> targets;
  for (std::size_t i = 0; i < step.x.size(); ++i)
    if (wanted[i] && step.x[i].node) targets.push_back({step.x[i].node.get(), {}});
  if (targets.empty()) return parts;
  Pass pass(true, false, std::move(targets));
  pass.replay(*step.y.handle().node.get(), g.handle());
  for (std::size_t i = 0; i < step.x.size(); ++i)
    if (step.x[i].node)
      if (const Pass::Target* const target = pass.find(*step.x[i].node.get());
          target && target->gradient.value)
        parts[i] = Tensor<T>(Handle{target->gradient.value, {}});
  return parts;
}

template <class T>
template <class F>
void GradientGraph<T>::walk(std::vector<Tensor<T>>& adjoints, std::size_t from,
                            const std::vector<char>& leads, const std::vector<Recorded>& steps,
                            const F& passed) const {
  for (std::size_t k = from; k-- > 0;) {
    const Step& step = program_.steps[k];
    const Tensor<T> g = adjoints[step.output];
    if (!g.defined() || !leads[step.output]) continue;
    std::vector<char> wanted;
    for (const Input& input : step.inputs) wanted.push_back(leads[input.place]);
    const std::vector<Tensor<T>> parts = pass_back(steps[k], g, wanted);
    for (std::size_t i = 0; i < parts.size(); ++i)
      if (const std::size_t edge = edge_at_[k][i]; edge != none && parts[i].defined())
        add_to(adjoints[edges_[edge].from], passed(edge, g, parts[i]));
  }
}

template <class T>
std::vector<Tensor<T>> GradientGraph<T>::seeded() const {
  std::vector<Tensor<T>> adjoints(program_.places.size());
  const std::uint32_t root = program_.outputs.front().place;
  adjoints[root] = ones<T>(program_.places[root].shape);
  return adjoints;
}

template <class T>
Tensor<T> GradientGraph<T>::at_leaf(const std::vector<Tensor<T>>& adjoints, std::uint32_t leaf) const {
  return adjoints[leaf].defined() ? adjoints[leaf] : zeros<T>(program_.places[leaf].shape);
}

template <class T>
Tensor<T> GradientGraph<T>::gradient(std::uint32_t leaf, const Changes& mistakes) const {
  std::vector<Tensor<T>> adjoints = seeded();
  walk(adjoints, program_.steps.size(), below_.at(leaf), recorded_,
       [&](std::size_t edge, const Tensor<T>& g, const Tensor<T>& part) {
         const auto at = mistakes.find(edge);
         return at == mistakes.end() ? part : at->second(g, part);
       });
  return at_leaf(adjoints, leaf);
}

template <class T>
Tensor<T> GradientGraph<T>::gradient_within(std::uint32_t leaf, const std::set<std::size_t>& counted,
                                            std::size_t most) const {
  std::vector<Tensor<T>> adjoints = seeded();
  Tensor<T> total = zeros<T>(program_.places[leaf].shape);
  for (std::size_t hops = 0; hops <= most; ++hops) {  // what has come along so many of the edges
    std::vector<Tensor<T>> further(adjoints.size());
    walk(adjoints, program_.steps.size(), below_.at(leaf), recorded_,
         [&](std::size_t edge, const Tensor<T>&, const Tensor<T>& part) {
           if (!counted.contains(edge)) return part;
           add_to(further[edges_[edge].from], part);
           return Tensor<T>();
         });
    total = total + at_leaf(adjoints, leaf);
    adjoints = std::move(further);
  }
  return total;
}

template <class T>
Tensor<T> GradientGraph<T>::gain(std::uint32_t leaf, std::uint32_t place, const Tensor<T>& more) const {
  std::vector<Tensor<T>> adjoints(program_.places.size());
  adjoints[place] = more;
  walk(adjoints, makers_[place] == none ? 0 : makers_[place] + 1, below_.at(leaf), recorded_, as_it_is);
  return at_leaf(adjoints, leaf);
}

template <class T>
Tensor<T> GradientGraph<T>::gradient_with(std::uint32_t leaf, std::uint32_t place, Handle other) const {
  std::vector<Handle> arguments;
  for (std::uint32_t p = 0; p < at_.size(); ++p)
    if (program_.places[p].kind == Place::Kind::argument) arguments.push_back({at_[p].value, {}});
  std::vector<Handle> at;
  {
    const RecordingScope off(false);
    at = replay(program_, arguments, program_.steps.size(), {{place, other.value}});
  }
  std::vector<Tensor<T>> adjoints = seeded();
  walk(adjoints, program_.steps.size(), below_.at(leaf), record(at), as_it_is);
  return at_leaf(adjoints, leaf);
}

template class GradientGraph<float>;
template class GradientGraph<double>;

}  // namespace xtape::detail
