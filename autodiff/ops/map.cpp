// The formula that a traced lambda leaves, and the node that runs it, by a program and its plan.
#include "../map.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "../kernels/kernels.hpp"
#include "../program/plan.hpp"
#include "formula_node.hpp"
#include "layout_ops.hpp"

namespace xtape {
namespace detail {

template <class T>
Formula<T>::Formula(std::size_t arguments) : arguments_(arguments) {
  if (arguments > 30) throw Error("map", "more than 30 arguments");
  instructions_.reserve(16);
}

template <class T>
std::int32_t Formula<T>::add(const Instruction<T>& instruction) {
  constexpr std::size_t looked_at = 64;  // so that long formulas do not take the square of their length
  const std::size_t size = instructions_.size();
  for (std::size_t k = size; k > 0 && size - k < looked_at; --k)
    if (std::memcmp(&instructions_[k - 1], &instruction, sizeof(instruction)) == 0)
      return static_cast<std::int32_t>(arguments_ + k - 1);
  instructions_.push_back(instruction);
  return static_cast<std::int32_t>(arguments_ + size);
}

template <class T>
std::int32_t Formula<T>::place_of(const Symbol<T>& symbol) {
  if (symbol.formula() == this) return symbol.place();
  if (symbol.formula())
    throw Error("map", "symbols of two calls of map are mixed: capture tensors as arguments");
  return add({op_count, 0, {}, {symbol.number()}});
}

template class Formula<float>;
template class Formula<double>;

namespace {

template <class T, class... S>
Symbol<T> trace_op(OpNumber op, const std::array<T, 2>& numbers, const S&... operands) {
  Formula<T>* formula = nullptr;
  ((formula = formula ? formula : operands.formula()), ...);
  if (!formula) {  // on numbers alone: a number
    const std::array all{operands.number()...};
    std::array<const T*, sizeof...(S)> in;
    for (std::size_t k = 0; k < in.size(); ++k) in[k] = &all[k];
    constexpr std::array<std::ptrdiff_t, sizeof...(S)> strides{};
    T y;
    kernels<T>().value[index_of(op)](numbers.data(), &y, false, 1, in.data(), strides.data());
    return Symbol<T>(y);
  }
  return Symbol<T>(formula,
                   formula->add({index_of(op), sizeof...(S), {formula->place_of(operands)...}, numbers}));
}

/// An instruction as an operation on tensors, which can be recorded. `at` holds what its operands do.
template <class T>
Tensor<T> run_on_tensors(const Instruction<T>& i, const std::vector<Tensor<T>>& at) {
  const auto op = static_cast<OpNumber>(i.op);
  const auto x = [&](std::size_t k) -> const Tensor<T>& {
    return at[static_cast<std::size_t>(i.operands[k])];
  };
  switch (i.operand_count) {
    case 1:
      return elementwise(op, x(0), i.numbers[0], i.numbers[1]);
    case 2:
      return elementwise(op, x(0), x(1));
    case 3:
      return elementwise(op, x(0), x(1), x(2));
    default:
      return i.numbers[0];
  }
}

/// The whole formula on tensors, of the shape that they broadcast to. Each argument, and so its adjoint,
/// passes through an operation of its own: what the formula adds to it is added up first, as where it is one
/// node. `numbers` are what stands for its numbers, in their order; none: these themselves.
template <class T>
Tensor<T> run_on_tensors(const Formula<T>& formula, const std::vector<Tensor<T>>& x, const Shape& shape,
                         std::span<const Tensor<T>> numbers = {}) {
  std::vector<Tensor<T>> at;
  at.reserve(formula.places());
  for (const Tensor<T>& one : x)
    at.push_back(one.shape() == shape ? view(one, shape) : broadcast_to(one, shape));
  std::size_t number = 0;
  for (std::size_t k = formula.arguments(); k <= formula.result(); ++k)
    at.push_back(numbers.empty() || !formula.is_number(k) ? run_on_tensors(formula.at(k), at)
                                                          : numbers[number++]);
  const Tensor<T>& y = at[formula.result()];
  // An argument or a number is copied: the result of a map is no other tensor.
  const bool is_new = y.shape() == shape && formula.result() >= formula.arguments();
  return is_new ? y : broadcast_to(y, shape);
}

/// What all arguments broadcast to.
template <class T>
Shape common_shape(std::span<const Tensor<T>> x) {
  Shape shape = x.front().shape();
  for (const Tensor<T>& one : x) shape = broadcast(shape, one.shape(), "map");
  return shape;
}

/// The arguments of a formula: those of the common shape, single numbers, and others widened to the shape.
template <class T>
class MapArguments {
 public:
  explicit MapArguments(const Shape& shape) : shape_(shape), size_(element_count(shape, "map")) {}
  void add(const Tensor<T>& x) {
    const bool is_number = x.size() == 1 && size_ != 1;
    single_ |= (is_number ? 1u : 0u) << all_.size();
    all_.push_back(is_number || x.shape() == shape_ ? x : broadcast_to(x, shape_));
  }
  std::size_t elements() const { return size_; }
  std::uint32_t single() const { return single_; }  ///< bits: which are single numbers
  const PoolVector<Tensor<T>>& all() const { return all_; }

 private:
  const Shape& shape_;
  std::size_t size_;
  std::uint32_t single_ = 0;
  PoolVector<Tensor<T>> all_;
};

/// Which program of a formula; bits stand for arguments.
template <class T>
struct MapKind {
  std::uint32_t single;  ///< those that are single numbers
  bool is_gradient = false;
  std::uint32_t needs = 0;  ///< those that get a gradient
  std::uint32_t begun = 0;  ///< one of them, or none, whose gradient is added to what others gave it
  const Kernels<T>* kernels = &detail::kernels<T>();
  bool operator==(const MapKind&) const = default;
};

/// A formula as a program, with its plan: for its value, or for gradients, which computes the values that
/// they use again. It is for arrays of any size, and for any numbers in the formula. It takes its arguments,
/// of one axis or single numbers; for gradients the adjoint, and what one of them is added to; the numbers.
template <class T>
struct MapProgram {
  MapKind<T> kind;
  Formula<T> formula;
  Program program{};
  std::unique_ptr<Plan> plan{};
  /// The outputs that are the gradients of the arguments, 0 for none. Output 0 is the value, or the adjoint.
  std::vector<std::size_t> gradients{};

  void trace();
  std::uint32_t seed() const { return static_cast<std::uint32_t>(formula.arguments()); }
  std::uint32_t begun() const { return seed() + 1; }
  std::uint32_t numbers() const { return seed() + (kind.is_gradient ? 1 : 0) + (kind.begun ? 1 : 0); }
  /// The plan, for arguments and for the numbers of a formula with the same steps.
  Plan& bound(const Formula<T>& now, const MapArguments<T>& arguments) const {
    plan->resize(arguments.elements());
    std::uint32_t place = 0;
    for (const Tensor<T>& one : arguments.all()) plan->bind(place++, bytes_of(one));
    place = numbers();
    for (std::size_t k = now.arguments(); k < now.places(); ++k)
      if (now.is_number(k))
        plan->bind(place++, reinterpret_cast<std::byte*>(const_cast<T*>(now.at(k).numbers.data())));
    return *plan;
  }

 private:
  void trace_pass(Trace& trace, const std::vector<Tensor<T>>& x, const Tensor<T>& y, Handle seed,
                  const Handle& sum);
};

template <class T>
void MapProgram<T>::trace() {
  const RecordingScope scope(kind.is_gradient);
  Trace trace("map");
  const Shape shape{tile_size};  // not a small one, so that what is between the steps has no memory
  const auto argument = [&](bool is_one, bool recorded) {
    return trace.argument(is_one ? Shape() : shape, sizeof(T), false, recorded);
  };
  std::vector<Tensor<T>> x, all_numbers;
  for (std::size_t i = 0; i < formula.arguments(); ++i)
    x.emplace_back(argument(kind.single >> i & 1u, kind.needs >> i & 1u));
  Handle seed = kind.is_gradient ? argument(false, false) : Handle();
  const Handle sum = kind.begun ? argument(false, false) : Handle();
  for (std::size_t k = formula.arguments(); k < formula.places(); ++k)
    if (formula.is_number(k)) all_numbers.emplace_back(argument(true, false));
  const Tensor<T> y = run_on_tensors<T>(formula, x, shape, all_numbers);
  trace.program().outputs.push_back(trace.input_of(kind.is_gradient ? seed : y.handle()));
  gradients.assign(x.size(), 0);
  if (y.requires_grad()) trace_pass(trace, x, y, std::move(seed), sum);
  remove_dead_steps(trace.program());
  program = std::move(trace.program());
  plan = std::make_unique<Plan>(program, false);
}

template <class T>
void MapProgram<T>::trace_pass(Trace& trace, const std::vector<Tensor<T>>& x, const Tensor<T>& y, Handle seed,
                               const Handle& sum) {
  std::vector<Pass::Target> targets;
  for (const Tensor<T>& one : x)
    if (one.requires_grad()) targets.push_back({one.handle().node.get(), {}});
  Pass pass(false, false, std::move(targets));
  pass.replay(*y.handle().node.get(), std::move(seed));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const Node* const node = x[i].handle().node.get();
    gradients[i] = add_gradient(trace, pass, node, sizeof(T));
    if (gradients[i] == 0 || !(kind.begun >> i & 1u)) continue;
    trace.program().places[begun()].is_consumed = true;
    const std::array<const Handle*, 1> inputs{&pass.find(*node)->gradient};
    const BroadcastTo<T> copy{x[i].shape()};
    const ValueRef total =
        trace.add(operation<T, BroadcastTo<T>>, std::make_shared<const BroadcastTo<T>>(copy), inputs,
                  x[i].shape(), sizeof(T), sum.value);
    trace.program().outputs[gradients[i]] = trace.input_of(Handle{total, {}});
  }
}

/// The programs of a thread's maps: a plan runs for one thread at a time.
template <class T>
class MapPrograms {
 public:
  /// Those of the calling thread, until it ends.
  static MapPrograms& current() {
    thread_local MapPrograms* own = nullptr;
    struct Owner {
      ~Owner() { delete std::exchange(own, nullptr); }
    };
    if (!own) {
      own = new MapPrograms;
      thread_local const Owner owner;
    }
    return *own;
  }

  const MapProgram<T>& find(const Formula<T>& formula, const MapKind<T>& kind) {
    const auto at = std::ranges::find_if(
        all_, [&](const auto& one) { return one->kind == kind && one->formula.has_steps_of(formula); });
    if (at != all_.end()) {
      std::rotate(all_.begin(), at, at + 1);
      return *all_.front();
    }
    auto fresh = std::make_unique<MapProgram<T>>(MapProgram<T>{kind, formula});
    fresh->trace();
    all_.reserve(most + 1);
    all_.insert(all_.begin(), std::move(fresh));
    if (all_.size() > most) all_.pop_back();
    return *all_.front();
  }

 private:
  static constexpr std::size_t most = 32;            ///< the least recently used one makes room
  std::vector<std::unique_ptr<MapProgram<T>>> all_;  ///< the last used first
};

template <class T>
struct Map {
  Formula<T> formula;
  static constexpr const char* name = "map";
  bool operator==(const Map& other) const { return formula == other.formula; }

  void compute(Target<T> y, std::span<const Tensor<T>> x) const {
    const Shape shape = common_shape<T>(x);
    MapArguments<T> arguments(shape);
    for (const Tensor<T>& one : x) arguments.add(one.detach());
    Plan& plan = MapPrograms<T>::current().find(formula, {arguments.single()}).bound(formula, arguments);
    plan.bind_output(0, reinterpret_cast<std::byte*>(y.data));
    plan.run();
  }

  Tensor<T> decomposed(std::span<const Tensor<T>> x) const {
    return detail::decomposed(formula, {x.begin(), x.end()}, common_shape(x));
  }
  static constexpr unsigned keeps(unsigned) { return keep_all_inputs; }
  void tangent(Tangents<T>& t) const { add_tangent(formula, t); }
  void backward(Gradients<T>& d) const { add_gradients(formula, d); }
};

}  // namespace

template <class T>
void add_gradients(const Formula<T>& formula, Gradients<T>& d) {
  constexpr const char* name = Map<T>::name;
  const Shape shape = d.adjoint.shape();
  const std::size_t count = d.input_count();
  if (d.creates_graph() || tracing) {
    std::vector<Tensor<T>> x;
    for (std::size_t i = 0; i < count; ++i) x.push_back(d.recorded_input(i));
    return replay_through<T>(name, d, [&] { return run_on_tensors(formula, std::exchange(x, {}), shape); });
  }
  MapArguments<T> arguments(shape);
  for (std::size_t i = 0; i < count; ++i) arguments.add(d.input(i));
  MapKind<T> kind{arguments.single(), true};
  std::size_t begun = count;
  for (std::size_t i = 0; i < count; ++i) {
    if (!d.needs(i)) continue;
    kind.needs |= 1u << i;
    if (d.has_shape(i, shape) && d.is_begun(i)) begun = i;
  }
  if (begun != count) kind.begun = 1u << begun;
  const MapProgram<T>& map = MapPrograms<T>::current().find(formula, kind);
  Plan& plan = map.bound(formula, arguments);
  plan.bind(map.seed(), bytes_of(d.adjoint));
  PoolVector<Tensor<T>> gradients(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t k = map.gradients[i];
    if (k == 0 || i == begun) continue;
    if (map.program.outputs[k].place == map.seed()) {
      gradients[i] = d.adjoint;
      continue;
    }
    gradients[i] = Tensor<T>::uninitialized(kind.single >> i & 1u ? d.shape(i) : shape, name);
    plan.bind_output(k, bytes_of(gradients[i]));
  }
  if (begun == count)
    plan.run();
  else
    d.accumulate(begun, [&](Target<T> y) {
      plan.bind(map.begun(), reinterpret_cast<std::byte*>(y.data));
      plan.run();
    });
  for (std::size_t i = 0; i < count; ++i)
    if (gradients[i].defined()) plan.finish_output(map.gradients[i], bytes_of(gradients[i]));
  // As the operations of run_on_tensors() add theirs: the last argument first.
  for (std::size_t i = count; i-- > 0;)
    if (gradients[i].defined()) d.add(i, std::move(gradients[i]));
}

template <class T>
void add_tangent(const Formula<T>& formula, Tangents<T>& t) {
  t.replay([&](const std::vector<Tensor<T>>& x) { return run_on_tensors(formula, x, common_shape<T>(x)); });
}

template <class T>
Tensor<T> decomposed(const Formula<T>& formula, const std::vector<Tensor<T>>& x, const Shape& shape) {
  std::vector<Tensor<T>> at = x;
  for (std::size_t k = formula.arguments(); k <= formula.result(); ++k)
    at.push_back(run_on_tensors(formula.at(k), at));
  const Tensor<T>& y = at[formula.result()];
  return y.shape() == shape ? y : broadcast_to(y, shape);
}

#define XTAPE_INSTANTIATE(T)                                     \
  template void add_gradients(const Formula<T>&, Gradients<T>&); \
  template void add_tangent(const Formula<T>&, Tangents<T>&);    \
  template Tensor<T> decomposed(const Formula<T>&, const std::vector<Tensor<T>>&, const Shape&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

template <class T>
Tensor<T> run_formula(Formula<T> formula, std::span<const Tensor<T>> x) {
  const Shape shape = common_shape<T>(x);
  if (tracing) {
    const Tensor<T> y = run_on_tensors(formula, {x.begin(), x.end()}, shape);
    // Where it depends on no argument that is recorded, it is recorded all the same, as the node is.
    if (y.requires_grad() || !records(Handles<T>(x))) return y;
  }
  return perform<T>(Map<T>{std::move(formula)}, Handles<T>(x), shape, [&](const Map<T>& map) {
    Tensor<T> y = make_result<T>(shape, map.name, x.front());
    map.compute(Target<T>{y.mutable_data(), y.size()}, x);
    return y;
  });
}

template Tensor<float> run_formula(Formula<float>, std::span<const Tensor<float>>);
template Tensor<double> run_formula(Formula<double>, std::span<const Tensor<double>>);

template <class T>
Symbol<T> elementwise(OpNumber op, const Symbol<T>& x, std::type_identity_t<T> p, std::type_identity_t<T> q) {
  return trace_op<T>(op, {p, q}, x);
}
template <class T>
Symbol<T> elementwise(OpNumber op, const Symbol<T>& a, const Symbol<T>& b) {
  return trace_op<T>(op, {}, a, b);
}
template <class T>
Symbol<T> elementwise(OpNumber op, const Symbol<T>& a, const Symbol<T>& b, const Symbol<T>& c) {
  return trace_op<T>(op, {}, a, b, c);
}

#define XTAPE_INSTANTIATE(T)                                                    \
  template Symbol<T> elementwise(OpNumber, const Symbol<T>&, T, T);             \
  template Symbol<T> elementwise(OpNumber, const Symbol<T>&, const Symbol<T>&); \
  template Symbol<T> elementwise(OpNumber, const Symbol<T>&, const Symbol<T>&, const Symbol<T>&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace detail
}  // namespace xtape
