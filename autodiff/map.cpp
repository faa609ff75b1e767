// The program that a traced lambda leaves, and the executor that runs it over tiles.
#include "map.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <string>

#include "layout_ops.hpp"
#include "op.hpp"
#include "rule_traits.hpp"

namespace xtape {
namespace detail {
namespace {

constexpr std::size_t tile = 256;  // elements; a dozen registers of doubles stay within the first-level cache

/// One elementwise operation on registers.
template <class T>
struct Instruction {
  const char* name;
  RowKernel<T> value;
  std::array<RowKernel<T>, 3> gradient{};
  int operand_count;
  std::array<int, 3> operands{};
  alignas(8) std::array<std::byte, sizeof(ops::Parameters<T>)> rule{};
};

}  // namespace

/// Registers: first the arguments, then the numbers, then one for each instruction.
template <class T>
class Program {
 public:
  std::size_t arguments = 0;
  int result = -1;
  std::vector<T> numbers;
  std::vector<int> number_places;
  std::vector<Instruction<T>> instructions;
  std::vector<int> instruction_places;
  int places = 0;

  int place_of(const Symbol<T>& symbol) {
    if (symbol.program() == this) return symbol.place();
    if (symbol.program())
      throw Error("map", "symbols of two calls of map are mixed: capture tensors as arguments");
    numbers.push_back(symbol.number());
    number_places.push_back(places);
    return places++;
  }
};

namespace {

template <class T, class Rule, std::size_t N>
Instruction<T> instruction(const Rule& rule) {
  static_assert(sizeof(Rule) <= sizeof(Instruction<T>::rule) && std::is_trivially_copyable_v<Rule>);
  Instruction<T> i;
  i.name = Rule::name;
  i.value = kernels<T>().value[op_number<Rule>];
  i.gradient = kernels<T>().gradient[op_number<Rule>];
  i.operand_count = static_cast<int>(N);
  ::new (i.rule.data()) Rule(rule);
  return i;
}

template <template <class> class Op, class T, class... S>
Symbol<T> trace_op(const Op<T>& rule, const S&... operands) {
  Program<T>* program = nullptr;
  ((program = program ? program : operands.program()), ...);
  if (!program) throw Error("map", "an operation on numbers only: compute it outside of the lambda");
  Instruction<T> i = instruction<T, Op<T>, sizeof...(S)>(rule);
  i.operands = {program->place_of(operands)...};
  program->instructions.push_back(i);
  program->instruction_places.push_back(program->places);
  return Symbol<T>(program, program->places++);
}

/// A register: an array of a tile, or one number with stride 0.
template <class T>
struct Register {
  const T* data = nullptr;
  std::ptrdiff_t stride = 1;
};

template <class T>
class Executor {
 public:
  Executor(const Program<T>& program, const std::vector<Tensor<T>>& x)
      : program_(program),
        x_(x),
        registers_(static_cast<std::size_t>(program.places)),
        storage_(program.instructions.size() * tile) {
    for (std::size_t k = 0; k < program.numbers.size(); ++k)
      registers_[static_cast<std::size_t>(program.number_places[k])] = {&program.numbers[k], 0};
  }

  /// Runs all instructions on the elements [start, start + n).
  void forward(std::size_t start, std::size_t n) {
    for (std::size_t k = 0; k < x_.size(); ++k)
      registers_[k] = x_[k].size() == 1 ? Register<T>{x_[k].data(), 0} : Register<T>{x_[k].data() + start, 1};
    for (std::size_t k = 0; k < program_.instructions.size(); ++k) {
      const Instruction<T>& i = program_.instructions[k];
      std::array<const T*, 3> in{};
      std::array<std::ptrdiff_t, 3> stride{};
      operands(i, in.data(), stride.data());
      T* to = storage_.data() + k * tile;
      i.value(i.rule.data(), to, false, n, in.data(), stride.data());
      registers_[static_cast<std::size_t>(program_.instruction_places[k])] = {to, 1};
    }
  }
  Register<T> result() const { return registers_[static_cast<std::size_t>(program_.result)]; }

  /// After forward: leaves the adjoints of the arguments for the adjoint g of the result.
  void backward(const T* g, std::size_t n) {
    if (adjoints_.empty()) {
      adjoint_storage_.resize(static_cast<std::size_t>(program_.places) * tile);
      adjoints_.resize(static_cast<std::size_t>(program_.places));
    }
    std::fill(adjoints_.begin(), adjoints_.end(), nullptr);
    T* first = adjoint_storage_.data() + static_cast<std::size_t>(program_.result) * tile;
    std::copy_n(g, n, first);
    adjoints_[static_cast<std::size_t>(program_.result)] = first;
    for (std::size_t k = program_.instructions.size(); k-- > 0;) {
      const Instruction<T>& i = program_.instructions[k];
      const auto place = static_cast<std::size_t>(program_.instruction_places[k]);
      if (!adjoints_[place]) continue;
      const auto count = static_cast<std::size_t>(i.operand_count);
      std::array<const T*, max_operands> in{};
      std::array<std::ptrdiff_t, max_operands> stride{};
      in[0] = adjoints_[place];
      stride[0] = 1;
      operands(i, in.data() + 1, stride.data() + 1);
      in[count + 1] = registers_[place].data;
      stride[count + 1] = 1;
      for (std::size_t a = 0; a < count; ++a) {
        const auto to = static_cast<std::size_t>(i.operands[a]);
        const bool is_number = registers_[to].stride == 0 && to >= program_.arguments;
        if (is_number || !i.gradient[a]) continue;
        T* sum = adjoint_storage_.data() + to * tile;
        i.gradient[a](i.rule.data(), sum, adjoints_[to] != nullptr, n, in.data(), stride.data());
        adjoints_[to] = sum;
      }
    }
  }
  /// The adjoint of an argument in this tile; null for 0.
  const T* adjoint(std::size_t argument) const { return adjoints_[argument]; }

 private:
  void operands(const Instruction<T>& i, const T** in, std::ptrdiff_t* stride) const {
    for (int a = 0; a < i.operand_count; ++a) {
      const Register<T>& r = registers_[static_cast<std::size_t>(i.operands[static_cast<std::size_t>(a)])];
      in[a] = r.data;
      stride[a] = r.stride;
    }
  }

  const Program<T>& program_;
  const std::vector<Tensor<T>>& x_;
  std::vector<Register<T>> registers_;
  std::vector<T> storage_;
  std::vector<T*> adjoints_;
  std::vector<T> adjoint_storage_;
};

/// Arguments that are neither of the common shape nor one number are widened first.
template <class T>
Tensor<T> widened(const Tensor<T>& x, const Shape& shape) {
  return x.shape() == shape || x.size() == 1 ? x : broadcast_to(x, shape);
}

template <class T>
struct Map {
  std::shared_ptr<const Program<T>> program;
  Function<T> f;  ///< the lambda itself, for recorded gradients
  static constexpr const char* name = "map";

  static constexpr unsigned keeps(unsigned) { return keep_all_inputs; }
  void backward(Gradients<T>& d) const {
    if (d.creates_graph()) {
      std::vector<Tensor<T>> x;
      for (std::size_t i = 0; i < d.input_count(); ++i) x.push_back(d.recorded_input(i));
      replay_through<T>(name, d, [&] { return broadcast_to(f(x), d.adjoint.shape()); });
      return;
    }
    const Shape& shape = d.adjoint.shape();
    std::vector<Tensor<T>> x, gradients(d.input_count());
    for (std::size_t i = 0; i < d.input_count(); ++i) {
      x.push_back(widened(d.input(i), shape));
      if (d.needs(i)) gradients[i] = zeros<T>(x[i].size() == 1 ? x[i].shape() : shape);
    }
    Executor<T> executor(*program, x);
    for (std::size_t start = 0; start < d.adjoint.size(); start += tile) {
      const std::size_t n = std::min(tile, d.adjoint.size() - start);
      executor.forward(start, n);
      executor.backward(d.adjoint.data() + start, n);
      for (std::size_t i = 0; i < x.size(); ++i) {
        const T* part = executor.adjoint(i);
        if (!gradients[i].defined() || !part) continue;
        if (gradients[i].size() == 1)
          *gradients[i].mutable_data() += contiguous_sum(part, n);
        else
          std::copy_n(part, n, gradients[i].mutable_data() + start);
      }
    }
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (!gradients[i].defined()) continue;
      if (gradients[i].size() == 1) gradients[i] = reshape(gradients[i], Dims(d.shape(i)));
      d.add(i, gradients[i]);
    }
  }
};

}  // namespace

template <class T>
ProgramHandle<T> start_program(std::size_t arguments) {
  if (arguments > 30) throw Error("map", "more than 30 arguments");
  ProgramHandle<T> handle{std::make_shared<Program<T>>(), {}};
  handle.program->arguments = arguments;
  handle.program->places = static_cast<int>(arguments);
  for (std::size_t i = 0; i < arguments; ++i)
    handle.arguments.emplace_back(handle.program.get(), static_cast<int>(i));
  return handle;
}

template <class T>
void finish_program(Program<T>& program, const Symbol<T>& result) {
  program.result = program.place_of(result);
}

template <class T>
Tensor<T> run_program(std::shared_ptr<const Program<T>> program, const std::vector<Tensor<T>>& x,
                      Function<T> f) {
  Shape shape = x.front().shape();
  std::vector<const Handle*> inputs;
  for (const Tensor<T>& one : x) {
    shape = broadcast(shape, one.shape(), "map");
    inputs.push_back(&one.handle());
  }
  std::vector<Tensor<T>> wide;
  for (const Tensor<T>& one : x) wide.push_back(widened(one.detach(), shape));
  const Profiled profiled("map");
  Tensor<T> y = Tensor<T>::uninitialized(shape, "map");
  Executor<T> executor(*program, wide);
  T* const to = y.mutable_data();
  for (std::size_t start = 0; start < y.size(); start += tile) {
    const std::size_t n = std::min(tile, y.size() - start);
    executor.forward(start, n);
    const Register<T> result = executor.result();
    for (std::size_t i = 0; i < n; ++i)
      to[start + i] = result.data[static_cast<std::ptrdiff_t>(i) * result.stride];
  }
  return record<T>(Map<T>{std::move(program), std::move(f)}, std::move(y), inputs);
}

#define XTAPE_INSTANTIATE(T)                                                                       \
  template ProgramHandle<T> start_program(std::size_t);                                            \
  template void finish_program(Program<T>&, const Symbol<T>&);                                     \
  template Tensor<T> run_program(std::shared_ptr<const Program<T>>, const std::vector<Tensor<T>>&, \
                                 Function<T>);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

template <template <class> class Op, class T>
Symbol<T> elementwise(const Symbol<T>& x, std::type_identity_t<T> p, std::type_identity_t<T> q) {
  return trace_op(make_rule<T, Op<T>>(p, q), x);
}

template <template <class> class Op, class T>
Symbol<T> elementwise(const Symbol<T>& a, const Symbol<T>& b) {
  return trace_op(Op<T>{}, a, b);
}

template <template <class> class Op, class T>
Symbol<T> elementwise(const Symbol<T>& a, const Symbol<T>& b, const Symbol<T>& c) {
  return trace_op(Op<T>{}, a, b, c);
}

#define XTAPE_UNARY(Op)                                                            \
  template Symbol<float> elementwise<ops::Op>(const Symbol<float>&, float, float); \
  template Symbol<double> elementwise<ops::Op>(const Symbol<double>&, double, double);
#define XTAPE_BINARY(Op)                                                                   \
  template Symbol<float> elementwise<ops::Op>(const Symbol<float>&, const Symbol<float>&); \
  template Symbol<double> elementwise<ops::Op>(const Symbol<double>&, const Symbol<double>&);
#define XTAPE_TERNARY(Op)                                                                    \
  template Symbol<float> elementwise<ops::Op>(const Symbol<float>&, const Symbol<float>&,    \
                                              const Symbol<float>&);                         \
  template Symbol<double> elementwise<ops::Op>(const Symbol<double>&, const Symbol<double>&, \
                                               const Symbol<double>&);
#include "elementwise_list.inc"

}  // namespace detail
}  // namespace xtape
