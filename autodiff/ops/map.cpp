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
#include "formula_rules.hpp"
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
/// node.
template <class T>
Tensor<T> run_on_tensors(const Formula<T>& formula, const std::vector<Tensor<T>>& x, const Shape& shape) {
  std::vector<Tensor<T>> at;
  at.reserve(formula.places());
  for (const Tensor<T>& one : x)
    at.push_back(one.shape() == shape ? view(one, shape) : broadcast_to(one, shape));
  for (std::size_t k = formula.arguments(); k <= formula.result(); ++k)
    at.push_back(run_on_tensors(formula.at(k), at));
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

/// A formula as a program, with its plan: for its value, or for gradients, which computes the values that
/// they use again. It takes the arguments, arrays of one axis or single numbers, and for gradients the
/// adjoint.
template <class T>
struct MapProgram {
  // What it is for.
  Formula<T> formula;
  std::uint32_t numbers, needs;  ///< bits: the arguments that are single numbers, that get a gradient
  bool is_gradient;
  const Kernels<T>* kernels = &detail::kernels<T>();

  Program program{};
  std::unique_ptr<Plan> plan{};
  /// The outputs that are the gradients of the arguments, 0 for none. Output 0 is the value, or the adjoint.
  std::vector<std::size_t> gradients{};

  bool is_for(const Formula<T>& f, std::uint32_t number, std::uint32_t needed, bool gradient) const {
    return numbers == number && needs == needed && is_gradient == gradient &&
           kernels == &detail::kernels<T>() && formula == f;
  }
  bool is_number(std::size_t i) const { return numbers >> i & 1u; }
  void trace();
};

template <class T>
void MapProgram<T>::trace() {
  const RecordingScope scope(is_gradient);
  Trace trace("map");
  // Of several tiles, so that what is between the steps has no memory; and too large for constants.
  const Shape shape{part_size};
  std::vector<Tensor<T>> x;
  for (std::size_t i = 0; i < formula.arguments(); ++i)
    x.emplace_back(trace.argument(is_number(i) ? Shape() : shape, sizeof(T), false, needs >> i & 1u));
  Program& traced = trace.program();
  {
    const Tensor<T> y = run_on_tensors(formula, x, shape);
    if (!is_gradient) {
      traced.outputs.push_back(trace.input_of(y.handle()));
    } else {
      Handle seed = trace.argument(shape, sizeof(T), false, false);
      traced.outputs.push_back(trace.input_of(seed));
      gradients.assign(x.size(), 0);
      if (y.requires_grad()) {
        std::vector<Pass::Target> targets;
        for (const Tensor<T>& one : x)
          if (one.handle().node) targets.push_back({one.handle().node.get(), {}});
        Pass pass(false, false, std::move(targets));
        pass.replay(*y.handle().node.get(), std::move(seed));
        for (std::size_t i = 0; i < x.size(); ++i)
          gradients[i] = add_gradient(trace, pass, x[i].handle().node.get(), sizeof(T));
      }
    }
  }
  traced.forward = 0;
  remove_dead_steps(traced);
  program = std::move(traced);
  plan = std::make_unique<Plan>(program, false);
}

/// The programs of a thread's maps: a plan runs for one thread at a time.
template <class T>
class MapPrograms {
 public:
  static MapProgram<T>& find(const Formula<T>& formula, std::uint32_t numbers, std::uint32_t needs,
                             bool is_gradient) {
    thread_local MapPrograms all;
    return all.get(formula, numbers, needs, is_gradient);
  }

 private:
  static constexpr std::size_t most = 32;  ///< the least recently used one makes room

  MapProgram<T>& get(const Formula<T>& formula, std::uint32_t numbers, std::uint32_t needs,
                     bool is_gradient) {
    const auto at = std::ranges::find_if(
        all_, [&](const auto& one) { return one->is_for(formula, numbers, needs, is_gradient); });
    if (at != all_.end()) {
      std::rotate(all_.begin(), at, at + 1);
      return *all_.front();
    }
    auto fresh = std::make_unique<MapProgram<T>>(MapProgram<T>{formula, numbers, needs, is_gradient});
    fresh->trace();
    all_.reserve(most + 1);
    all_.insert(all_.begin(), std::move(fresh));
    if (all_.size() > most) all_.pop_back();
    return *all_.front();
  }

  std::vector<std::unique_ptr<MapProgram<T>>> all_;  ///< the last used first
};

/// The arguments of a program: those of the common shape, single numbers, and others widened to the shape.
template <class T>
class MapArguments {
 public:
  explicit MapArguments(const Shape& shape) : shape_(shape), size_(element_count(shape, "map")) {}
  void add(const Tensor<T>& x) {
    const bool is_number = x.size() == 1 && size_ != 1;
    numbers |= (is_number ? 1u : 0u) << all_.size();
    all_.push_back(is_number || x.shape() == shape_ ? x : broadcast_to(x, shape_));
  }
  void bind(Plan& plan) const {
    plan.resize(size_);
    for (std::size_t i = 0; i < all_.size(); ++i) plan.bind(static_cast<std::uint32_t>(i), bytes_of(all_[i]));
  }
  std::size_t size() const { return all_.size(); }
  std::uint32_t numbers = 0;

 private:
  const Shape& shape_;
  std::size_t size_;
  PoolVector<Tensor<T>> all_;
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
    Plan& plan = *MapPrograms<T>::find(formula, arguments.numbers, 0, false).plan;
    arguments.bind(plan);
    plan.bind_output(0, reinterpret_cast<std::byte*>(y.data));
    plan.run();
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
  std::uint32_t needs = 0;
  for (std::size_t i = 0; i < count; ++i) {
    arguments.add(d.input(i));
    if (d.needs(i)) needs |= 1u << i;
  }
  MapProgram<T>& map = MapPrograms<T>::find(formula, arguments.numbers, needs, true);
  Plan& plan = *map.plan;
  arguments.bind(plan);
  const auto seed = map.program.outputs[0].place;
  plan.bind(seed, bytes_of(d.adjoint));
  PoolVector<Tensor<T>> gradients(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t k = map.gradients[i];
    if (k == 0) continue;
    if (map.program.outputs[k].place == seed) {
      gradients[i] = d.adjoint;
      continue;
    }
    gradients[i] = Tensor<T>::uninitialized(map.is_number(i) ? d.shape(i) : shape, name);
    plan.bind_output(k, bytes_of(gradients[i]));
  }
  plan.run();
  for (std::size_t i = 0; i < count; ++i)
    if (const std::size_t k = map.gradients[i]; k != 0) plan.finish_output(k, bytes_of(gradients[i]));
  // As the operations of run_on_tensors() add theirs: the last argument first.
  for (std::size_t i = count; i-- > 0;)
    if (gradients[i].defined()) d.add(i, std::move(gradients[i]));
}

template <class T>
void add_tangent(const Formula<T>& formula, Tangents<T>& t) {
  t.replay([&](const std::vector<Tensor<T>>& x) { return run_on_tensors(formula, x, common_shape<T>(x)); });
}

#define XTAPE_INSTANTIATE(T)                                     \
  template void add_gradients(const Formula<T>&, Gradients<T>&); \
  template void add_tangent(const Formula<T>&, Tangents<T>&);
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
