// The formula that a traced lambda leaves, and the node that runs it.
#include "../map.hpp"

#include <array>
#include <cstring>
#include <utility>

#include "../tape/op.hpp"
#include "layout_ops.hpp"
#include "map_plan.hpp"

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

/// Arguments that are neither of the common shape nor one number are widened first.
template <class T>
Tensor<T> argument(const Tensor<T>& x, const Shape& shape) {
  return x.size() == 1 || x.shape() == shape ? x : broadcast_to(x, shape);
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

/// The whole formula, from its arguments.
template <class T>
Tensor<T> run_on_tensors(const Formula<T>& formula, std::vector<Tensor<T>> at) {
  for (std::size_t k = formula.arguments(); k <= formula.result(); ++k)
    at.push_back(run_on_tensors(formula.at(k), at));
  return at[formula.result()];
}

/// What all arguments broadcast to.
template <class T>
Shape common_shape(std::span<const Tensor<T>> x) {
  Shape shape = x.front().shape();
  for (const Tensor<T>& one : x) shape = broadcast(shape, one.shape(), "map");
  return shape;
}

template <class T>
struct Map {
  Formula<T> formula;
  static constexpr const char* name = "map";
  bool operator==(const Map& other) const { return formula == other.formula; }

  void compute(Target<T> y, std::span<const Tensor<T>> x) const {
    const Shape shape = common_shape<T>(x);
    PoolVector<Tensor<T>> wide;
    for (const Tensor<T>& one : x) wide.push_back(argument(one.detach(), shape));
    TilePlan<T>(formula, wide, y.data).run(y.size, {});
  }

  static constexpr unsigned keeps(unsigned) { return keep_all_inputs; }
  void tangent(Tangents<T>& t) const { add_tangent(formula, t); }
  void backward(Gradients<T>& d) const { add_gradients(formula, d); }
};

}  // namespace

namespace {

/// The gradient of argument i alone, from the adjoint and the arguments: a step of a program. Of the result's
/// shape, or one number.
template <class T>
struct MapGradient {
  static constexpr bool accumulates = true;
  Formula<T> formula;
  std::size_t i;
  std::uint32_t needs;  ///< all arguments with a gradient: the tiles, and so the sums, are those for all
  static constexpr const char* name = "map_gradient";
  bool operator==(const MapGradient& other) const {
    return i == other.i && needs == other.needs && formula == other.formula;
  }

  void compute(Target<T> y, std::span<const Tensor<T>> in) const {
    const Tensor<T>& g = in.front();
    PoolVector<Tensor<T>> x;
    for (const Tensor<T>& one : in.subspan(1)) x.push_back(argument(one, g.shape()));
    TilePlan<T> plan(formula, x, g.data(), needs);
    PoolVector<T> sums(x.size(), T(0));
    Tensor<T> others;
    for (std::size_t k = 0; k < x.size(); ++k) {
      if (!(needs >> k & 1u) || !plan.reaches(k) || x[k].size() == 1) continue;
      if (k != i && !others.defined()) others = Tensor<T>::uninitialized(g.shape(), name);
      plan.set_target(k, k == i ? y.data : others.mutable_data(), k == i && y.accumulate);
    }
    plan.run(g.size(), sums);
    if (x[i].size() == 1) *y.data = sums[i];
  }
};

/// Whether the result depends on an argument in a way that has a gradient.
template <class T>
bool reaches(const Formula<T>& formula, std::size_t argument) {
  std::vector<char> active(formula.places(), false);
  active[argument] = true;
  for (std::size_t k = formula.arguments(); k < formula.places(); ++k)
    for (std::size_t a = 0; a < formula.at(k).operand_count; ++a)
      active[k] |= kernels<T>().gradient[formula.at(k).op][a] &&
                   active[static_cast<std::size_t>(formula.at(k).operands[a])];
  return active[formula.result()];
}

/// What the trace of a rule of map adds: the same sums in the same order.
template <class T>
void trace_gradients(const Formula<T>& formula, Gradients<T>& d) {
  const Shape shape = d.adjoint.shape();
  std::vector<Tensor<T>> x{d.adjoint};
  for (std::size_t i = 0; i < d.input_count(); ++i) x.push_back(d.input(i));
  std::vector<const Handle*> pointers;
  for (const Tensor<T>& one : x) pointers.push_back(&one.handle());
  std::uint32_t needs = 0;
  for (std::size_t i = 0; i < d.input_count(); ++i)
    if (d.needs(i)) needs |= 1u << i;
  bool direct = true;
  for (std::size_t i = 0; i < d.input_count(); ++i) {
    if (!d.needs(i) || !reaches(formula, i)) continue;
    const MapGradient<T> gradient{formula, i, needs};
    const bool one = x[i + 1].size() == 1;
    if (!one && d.has_shape(i, shape) && std::exchange(direct, false))
      d.add_step(i, gradient, pointers);
    else
      d.add(i, perform_here<T>(gradient, pointers, one ? d.shape(i) : shape));
  }
}

}  // namespace

template <class T>
void add_gradients(const Formula<T>& formula, Gradients<T>& d) {
  constexpr const char* name = Map<T>::name;
  const Shape shape = d.adjoint.shape();
  const std::size_t count = d.input_count(), size = d.adjoint.size();
  if (d.creates_graph()) {
    std::vector<Tensor<T>> x;
    for (std::size_t i = 0; i < count; ++i) x.push_back(d.input(i));
    replay_through<T>(name, d, [&] { return broadcast_to(run_on_tensors(formula, std::move(x)), shape); });
    return;
  }
  if (tracing) return trace_gradients(formula, d);
  PoolVector<Tensor<T>> x;
  x.reserve(count);
  std::uint32_t needs = 0;
  for (std::size_t i = 0; i < count; ++i) {
    x.push_back(argument<T>(d.input(i), shape));
    if (d.needs(i)) needs |= 1u << i;
  }
  TilePlan<T> plan(formula, x, d.adjoint.data(), needs);
  PoolVector<T> sums(count, T(0));
  // The first argument of the full shape gets its adjoint in place, others by way of tensors.
  PoolVector<Tensor<T>> gradients(count);
  std::size_t direct = count;
  for (std::size_t i = 0; i < count; ++i) {
    if (!(needs >> i & 1u) || !plan.reaches(i) || x[i].size() == 1) continue;
    if (direct == count && d.has_shape(i, shape)) {
      direct = i;
      continue;
    }
    gradients[i] = Tensor<T>::uninitialized(shape, name);
    plan.set_target(i, gradients[i].mutable_data(), false);
  }
  if (direct == count)
    plan.run(size, sums);
  else
    d.accumulate(direct, [&](Target<T> y) {
      plan.set_target(direct, y.data, y.accumulate);
      plan.run(size, sums);
    });
  for (std::size_t i = 0; i < count; ++i)
    if (gradients[i].defined())
      d.add(i, std::move(gradients[i]));
    else if (needs >> i & 1u && x[i].size() == 1 && plan.reaches(i))
      d.add(i, full<T>(d.shape(i), sums[i]));
}

template <class T>
void add_tangent(const Formula<T>& formula, Tangents<T>& t) {
  t.replay([&](const std::vector<Tensor<T>>& x) { return run_on_tensors(formula, x); });
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
