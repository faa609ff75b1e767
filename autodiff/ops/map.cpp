// The program that a traced lambda leaves, and the node that runs it.
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
Program<T>::Program(std::size_t arguments) : arguments_(arguments) {
  if (arguments > 30) throw Error("map", "more than 30 arguments");
  instructions_.reserve(16);
}

template <class T>
std::int32_t Program<T>::add(const Instruction<T>& instruction) {
  constexpr std::size_t looked_at = 64;  // so that long programs do not take the square of their length
  const std::size_t size = instructions_.size();
  for (std::size_t k = size; k > 0 && size - k < looked_at; --k)
    if (std::memcmp(&instructions_[k - 1], &instruction, sizeof(instruction)) == 0)
      return static_cast<std::int32_t>(arguments_ + k - 1);
  instructions_.push_back(instruction);
  return static_cast<std::int32_t>(arguments_ + size);
}

template <class T>
std::int32_t Program<T>::place_of(const Symbol<T>& symbol) {
  if (symbol.program() == this) return symbol.place();
  if (symbol.program())
    throw Error("map", "symbols of two calls of map are mixed: capture tensors as arguments");
  return add({op_count, 0, {}, {symbol.number()}});
}

template class Program<float>;
template class Program<double>;

namespace {

template <class T, class... S>
Symbol<T> trace_op(OpNumber op, const std::array<T, 2>& numbers, const S&... operands) {
  Program<T>* program = nullptr;
  ((program = program ? program : operands.program()), ...);
  if (!program) {  // on numbers alone: a number
    const std::array all{operands.number()...};
    std::array<const T*, sizeof...(S)> in;
    for (std::size_t k = 0; k < in.size(); ++k) in[k] = &all[k];
    constexpr std::array<std::ptrdiff_t, sizeof...(S)> strides{};
    T y;
    kernels<T>().value[index_of(op)](numbers.data(), &y, false, 1, in.data(), strides.data());
    return Symbol<T>(y);
  }
  return Symbol<T>(program,
                   program->add({index_of(op), sizeof...(S), {program->place_of(operands)...}, numbers}));
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

/// The whole program, from its arguments.
template <class T>
Tensor<T> run_on_tensors(const Program<T>& program, std::vector<Tensor<T>> at) {
  for (std::size_t k = program.arguments(); k <= program.result(); ++k)
    at.push_back(run_on_tensors(program.at(k), at));
  return at[program.result()];
}

template <class T>
struct Map {
  Program<T> program;
  static constexpr const char* name = "map";

  static constexpr unsigned keeps(unsigned) { return keep_all_inputs; }
  void tangent(Tangents<T>& t) const { add_tangent(program, t); }
  void backward(Gradients<T>& d) const { add_gradients(program, d); }
};

}  // namespace

template <class T>
void add_gradients(const Program<T>& program, Gradients<T>& d) {
  constexpr const char* name = Map<T>::name;
  const Shape shape = d.adjoint.shape();
  const std::size_t count = d.input_count(), size = d.adjoint.size();
  if (d.creates_graph()) {
    std::vector<Tensor<T>> x;
    for (std::size_t i = 0; i < count; ++i) x.push_back(d.input(i));
    replay_through<T>(name, d, [&] { return broadcast_to(run_on_tensors(program, std::move(x)), shape); });
    return;
  }
  PoolVector<Tensor<T>> x;
  x.reserve(count);
  std::uint32_t needs = 0;
  for (std::size_t i = 0; i < count; ++i) {
    x.push_back(argument<T>(d.input(i), shape));
    if (d.needs(i)) needs |= 1u << i;
  }
  Plan<T> plan(program, x, d.adjoint.data(), needs);
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
void add_tangent(const Program<T>& program, Tangents<T>& t) {
  t.replay([&](const std::vector<Tensor<T>>& x) { return run_on_tensors(program, x); });
}

#define XTAPE_INSTANTIATE(T)                                     \
  template void add_gradients(const Program<T>&, Gradients<T>&); \
  template void add_tangent(const Program<T>&, Tangents<T>&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

template <class T>
Tensor<T> run_program(Program<T> program, std::span<const Tensor<T>> x) {
  Shape shape = x.front().shape();
  for (const Tensor<T>& one : x) shape = broadcast(shape, one.shape(), "map");
  PoolVector<Tensor<T>> wide;
  for (const Tensor<T>& one : x) wide.push_back(argument(one.detach(), shape));
  return perform<T>(Map<T>{std::move(program)}, Handles<T>(x), [&](const Map<T>& map) {
    Tensor<T> y = make_result<T>(shape, map.name, x.front());
    Plan<T>(map.program, wide, y.mutable_data()).run(y.size(), {});
    return y;
  });
}

template Tensor<float> run_program(Program<float>, std::span<const Tensor<float>>);
template Tensor<double> run_program(Program<double>, std::span<const Tensor<double>>);

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
