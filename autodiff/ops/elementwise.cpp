// Elementwise operations on tensors: one operation for all of them, and one for their gradients, by number.
#include "../elementwise.hpp"

#include "../derivation/code.hpp"
#include "../engine.hpp"
#include "../kernels/kernels.hpp"
#include "../notation/elementwise.hpp"
#include "../reductions.hpp"
#include "../tape/op.hpp"
#include "elementwise_table.hpp"
#include "formula_node.hpp"

namespace xtape::detail {
namespace {

template <class T>
[[gnu::always_inline]] inline Operand<T> operand(const Tensor<T>& x) {
  return {x.data(), &x.shape(), x.size()};
}

/// The shape that all broadcast to, if it is that of one of them: then all the others are the same, or of
/// rank 0.
const Shape* common_shape(const Shape& first, const auto&... rest) {
  const Shape* widest = &first;
  ((widest = rest.size() > widest->size() ? &rest : widest), ...);
  const auto fits = [widest](const Shape& shape) { return shape.empty() || shape == *widest; };
  return fits(first) && (... && fits(rest)) ? widest : nullptr;
}

Shape broadcast_all([[maybe_unused]] const char* name, const Shape& first, const auto&... rest) {
  if (const Shape* const common = common_shape(first, rest...)) return *common;
  Shape result = first;
  ((result = broadcast(result, rest, name)), ...);
  return result;
}

/// y = f of operands; its shape is what x broadcast to.
template <class T, std::size_t N>
[[gnu::always_inline]] inline void run_kernel(Target<T> y, RowKernel<T> kernel,
                                              const std::array<T, 2>& numbers,
                                              const std::array<Operand<T>, N>& operands, const char* name,
                                              const auto&... x) {
  const auto shape = [&] { return broadcast_all(name, x.shape()...); };
  run_elementwise(y.data, y.accumulate, y.size, shape, kernel, numbers.data(), operands);
}

/// The adjoint of input i of an elementwise operation: from that of its output, and of the inputs and the
/// output those that it uses, in this order.
template <class T>
struct ElementwiseGradient {
  static constexpr bool accumulates = true;
  const ElementwiseInfo<T>* info;
  std::size_t i;
  std::array<T, 2> numbers{};
  T divisor = 1;  ///< of an adjoint that is one number
  bool operator==(const ElementwiseGradient&) const = default;

  const char* name() const { return info->gradient_name; }
  Shape shape(const auto&... in) const { return broadcast_all(name(), in...); }
  void compute(Target<T> y, const Tensor<T>& g, const auto&... used) const {
    T part;
    const auto with = [&]<std::size_t N>(std::array<Operand<T>, N> operands) {
      if (divisor != 1) operands[0].data = &(part = *g.data() / divisor);
      const std::array<const Tensor<T>*, sizeof...(used)> all{&used...};
      for (std::size_t k = 0; k < all.size(); ++k) operands[info->used[i].place[k] + 1u] = operand(*all[k]);
      run_kernel(y, kernels<T>().gradient[index_of(info->number)][i], numbers, operands, name(), g, used...);
    };
    switch (info->operands) {
      case 1:
        return with(std::array<Operand<T>, 3>{operand(g)});
      case 2:
        return with(std::array<Operand<T>, 4>{operand(g)});
      default:
        return with(std::array<Operand<T>, 5>{operand(g)});
    }
  }
  Tensor<T> lifted(std::span<const Handle* const> in, const std::vector<char>& batched,
                   const Shape& shape) const {
    if (divisor == 1) return lift_aligned<T>(*this, in, batched, shape);
    const Tensor<T> g = Tensor<T>(Handle(*in[0])) / divisor;
    std::vector<const Handle*> inputs(in.begin(), in.end());
    inputs[0] = &g.handle();
    return lift_aligned<T>(ElementwiseGradient{info, i, numbers}, inputs, batched, shape);
  }
  RowCall row_call() const {
    RowCall call;
    if (divisor != 1) return call;
    call = {reinterpret_cast<void (*)()>(kernels<T>().gradient[index_of(info->number)][i]), numbers.data()};
    call.operands[0] = 0;
    for (std::uint8_t k = 0; k < info->used[i].count; ++k)
      call.operands[info->used[i].place[k] + 1u] = static_cast<std::uint8_t>(k + 1);
    return call;
  }
  Tensor<T> decomposed(const std::same_as<Tensor<T>> auto&... in) const {
    return detail::decomposed(formula(sizeof...(in)), {in...}, broadcast_all(name(), in.shape()...));
  }
  static constexpr unsigned keeps(unsigned) { return keep_all_inputs; }
  void tangent(Tangents<T>& t) const { add_tangent(formula(t.input_count()), t); }
  void backward(Gradients<T>& d) const { add_gradients(formula(d.input_count()), d); }

 private:
  /// What the rule says of symbols, of the inputs of this operation: it has derivatives of its own.
  Formula<T> formula(std::size_t inputs) const {
    Formula<T> formula(inputs);
    int count = 0;
    Symbol<T> g(&formula, count++);
    if (divisor != 1) g = g / divisor;
    std::array<Symbol<T>, 4> of{T(0), T(0), T(0), T(0)};
    for (unsigned k = 0; k < info->used[i].count; ++k)
      of[info->used[i].place[k]] = Symbol<T>(&formula, count++);
    formula.finish(info->gradient[i](numbers.data(), g, of.data(), of[info->operands]));
    return formula;
  }
};

/// f(gradient, what it uses of the operation…) for the gradient of input i, with Gradients or Tangents.
template <class D, class T, class F>
void with_gradient(const D& d, const ElementwiseGradient<T>& gradient, const F& f) {
  const auto& use = gradient.info->used[gradient.i];
  const auto used = [&](std::size_t k) -> decltype(auto) { return d.operand(use.place[k]); };
  switch (use.count) {
    case 0:
      return f(gradient);
    case 1:
      return f(gradient, used(0));
    case 2:
      return f(gradient, used(0), used(1));
    case 3:
      return f(gradient, used(0), used(1), used(2));
    default:
      return f(gradient, used(0), used(1), used(2), used(3));
  }
}

/// An elementwise operation, with the numbers that it carries, such as a slope.
template <class T>
struct Elementwise {
  const ElementwiseInfo<T>* info;
  std::array<T, 2> numbers{};
  bool operator==(const Elementwise&) const = default;

  const char* name() const { return info->name; }
  Shape shape(const auto&... x) const { return broadcast_all(name(), x...); }
  void compute(Target<T> y, const auto&... x) const {
    const std::array<Operand<T>, sizeof...(x)> operands{operand(x)...};
    run_kernel(y, kernels<T>().value[index_of(info->number)], numbers, operands, name(), x...);
  }
  RowCall row_call() const {
    RowCall call{reinterpret_cast<void (*)()>(kernels<T>().value[index_of(info->number)]), numbers.data()};
    for (std::uint8_t k = 0; k < info->operands; ++k) call.operands[k] = k;
    return call;
  }
  void write(Notation& to) const {
    to.set(elementwise_term(info->number, double(numbers[0]), double(numbers[1]), to.x, to.shape));
  }
  void code(Code& to) const { to.elements(info->number, double(numbers[0]), double(numbers[1])); }
  unsigned keeps(unsigned i) const { return info->kept[i]; }
  void tangent(Tangents<T>& t) const {
    for (std::size_t i = 0; i < t.input_count(); ++i) {
      if (!t.has(i)) continue;
      if (info->passes_adjoint[i])
        t.add(t.of(i));
      else
        with_gradient(t, ElementwiseGradient<T>{info, i, numbers},
                      [&](const auto& gradient, const auto&... used) { t.add(gradient, t.of(i), used...); });
    }
  }
  void backward(Gradients<T>& d) const {
    std::size_t last = d.input_count();
    while (last > 0 && !d.needs(last - 1)) --last;
    for (std::size_t i = 0; i < last; ++i) {
      if (!d.needs(i)) continue;
      if (!info->passes_adjoint[i])
        with_gradient(d, ElementwiseGradient<T>{info, i, numbers},
                      [&](const auto& gradient, const auto&... used) {
                        if (i + 1 == last)
                          d.add_last(i, gradient, d.adjoint, used...);
                        else
                          d.add(i, gradient, d.adjoint, used...);
                      });
      else if (i + 1 == last)
        d.add(i, std::move(d.adjoint));
      else
        d.add(i, d.adjoint);
      if (info->is_length && d.creates_graph()) add_limit(d, i);
    }
  }

 private:
  /// What the rule of a length takes for 0 at the origin is x times the limit of the adjoint / length.
  void add_limit(Gradients<T>& d, std::size_t i) const {
    const Tensor<T> zero = equal(info->kept[i] & keep_output ? d.output() : d.input(i), T(0));
    if (contains(zero, T(1))) d.add(i, where(zero, d.input(i), T(0)) * d.adjoint_slope(zero));
  }
};

/// y = Σ / divisor of an elementwise operation on two tensors of one shape, whose own array is never made.
template <class T>
struct ElementwiseSum {
  const ElementwiseInfo<T>* info;
  T divisor;
  bool operator==(const ElementwiseSum&) const = default;

  const char* name() const { return info->name; }
  Shape shape(const Shape&, const Shape&) const { return {}; }
  Tensor<T> decomposed(const Tensor<T>& a, const Tensor<T>& b) const {
    const Tensor<T> all = sum(elementwise(info->number, a, b));
    return divisor == 1 ? all : all / divisor;
  }
  void compute(Target<T> y, const Tensor<T>& a, const Tensor<T>& b) const {
    const RowKernel<T> kernel = kernels<T>().value[index_of(info->number)];
    const auto part = [&](std::size_t start, std::size_t n) {
      std::array<T, tile_size> values;
      const std::array<const T*, 2> x{a.data() + start, b.data() + start};
      constexpr std::array<std::ptrdiff_t, 2> strides{1, 1};
      kernel(nullptr, values.data(), false, n, x.data(), strides.data());
      return kernels<T>().sum(values.data(), n);
    };
    const T sum = sum_in_parallel<T>(a.size(), [&](std::size_t start, std::size_t n) {
      return sum_of_parts<T>(n, tile_size, part, start);
    });
    *y.data = sum / divisor;
  }
  Tensor<T> lifted(std::span<const Handle* const> in, const std::vector<char>& batched,
                   const Shape& shape) const {
    const Shape& one = in[0]->value->shape;
    const Shape all = batched[0] ? one : with_batch(shape, one);
    Axes axes;
    for (std::size_t i = 1; i < all.size(); ++i) axes.push_back(static_cast<std::ptrdiff_t>(i));
    const Tensor<T> losses = lift_aligned<T>(Elementwise<T>{info}, in, batched, all);
    return (axes.empty() ? losses : sum(losses, axes)) / divisor;
  }
  unsigned keeps(unsigned i) const { return info->kept[i]; }
  void tangent(Tangents<T>& t) const {
    for (std::size_t i = 0; i < 2; ++i)
      if (t.has(i))
        with_gradient(t, ElementwiseGradient<T>{info, i}, [&](const auto& gradient, const auto&... used) {
          t.add(sum(apply<T>(gradient, t.of(i), used...)) / divisor);
        });
  }
  void backward(Gradients<T>& d) const {
    for (std::size_t i = 0; i < 2; ++i)
      if (d.needs(i))
        with_gradient(
            d, ElementwiseGradient<T>{info, i, {}, divisor},
            [&](const auto& gradient, const auto&... used) { d.add(i, gradient, d.adjoint, used...); });
  }
};

/// The same numbers in another element type.
template <class From, class To>
struct AsType {
  static constexpr const char* name = "astype";
  using Inputs = std::tuple<Tensor<From>>;
  AsType batched(const Shape&) const { return {}; }
  void code(Code& to) const { to.cast(); }
  Shape shape(const Shape& x) const { return x; }
  void compute(Target<To> y, const Tensor<From>& x) const {
    std::transform(x.begin(), x.end(), y.data, [](From one) { return static_cast<To>(one); });
  }
  void tangent(Tangents<To>& t) const { t.add(t.template of_type<From>(0).template astype<To>()); }
  void backward(Gradients<To>& d) const {
    d.template of_type<From>().add(0, d.adjoint.template astype<From>());
  }
};

}  // namespace

template <class T>
Tensor<T> elementwise(OpNumber op, const Tensor<T>& x, std::type_identity_t<T> p, std::type_identity_t<T> q) {
  return apply<T>(Elementwise<T>{info_of<T>(op), {p, q}}, x);
}

template <class T>
Tensor<T> elementwise(OpNumber op, const Tensor<T>& a, const Tensor<T>& b) {
  const Elementwise<T> operation{info_of<T>(op)};
  if (operation.info->gradient[0]) return apply<T>(operation, a, b);
  const RecordingScope off(false);
  return apply<T>(operation, a.detach(), b.detach());
}

template <class T>
Tensor<T> elementwise(OpNumber op, const Tensor<T>& a, const Tensor<T>& b, const Tensor<T>& c) {
  return apply<T>(Elementwise<T>{info_of<T>(op)}, a, b, c);
}

#define XTAPE_INSTANTIATE(T)                                                    \
  template Tensor<T> elementwise(OpNumber, const Tensor<T>&, T, T);             \
  template Tensor<T> elementwise(OpNumber, const Tensor<T>&, const Tensor<T>&); \
  template Tensor<T> elementwise(OpNumber, const Tensor<T>&, const Tensor<T>&, const Tensor<T>&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail

namespace xtape::engine {
namespace {

detail::OpNumber number_of(ElementwiseLoss loss) {
  using detail::OpNumber;
  switch (loss) {
    case ElementwiseLoss::squared_difference:
      return OpNumber::SquaredDifference;
    case ElementwiseLoss::binary_cross_entropy:
      return OpNumber::BinaryCrossEntropy;
    case ElementwiseLoss::binary_cross_entropy_with_logits:
      break;
  }
  return OpNumber::BinaryCrossEntropyWithLogits;
}

}  // namespace

template <class T>
Tensor<T> losses(ElementwiseLoss loss, const Tensor<T>& a, const Tensor<T>& b) {
  return detail::elementwise(number_of(loss), a, b);
}

template <class T>
Tensor<T> loss_sum(ElementwiseLoss loss, const Tensor<T>& a, const Tensor<T>& b,
                   std::type_identity_t<T> divisor) {
  return detail::apply<T>(detail::ElementwiseSum<T>{detail::info_of<T>(number_of(loss)), divisor}, a, b);
}

template Tensor<float> losses(ElementwiseLoss, const Tensor<float>&, const Tensor<float>&);
template Tensor<double> losses(ElementwiseLoss, const Tensor<double>&, const Tensor<double>&);
template Tensor<float> loss_sum(ElementwiseLoss, const Tensor<float>&, const Tensor<float>&, float);
template Tensor<double> loss_sum(ElementwiseLoss, const Tensor<double>&, const Tensor<double>&, double);

}  // namespace xtape::engine

namespace xtape {

template <class T>
template <class U>
Tensor<U> Tensor<T>::astype() const {
  if constexpr (std::is_same_v<T, U>) {
    return detail::recording ? *this : detach();
  } else {
    using Op = detail::AsType<T, U>;
    return detail::perform_here<U>(Op{}, std::array{&handle_}, shape());
  }
}

template Tensor<float> Tensor<float>::astype<float>() const;
template Tensor<double> Tensor<float>::astype<double>() const;
template Tensor<float> Tensor<double>::astype<float>() const;
template Tensor<double> Tensor<double>::astype<double>() const;

}  // namespace xtape
