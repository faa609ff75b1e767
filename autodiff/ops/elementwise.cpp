// Elementwise operations on tensors: value, fused gradient and recorded gradient, all from the op's rule.
#include "../elementwise.hpp"

#include "../engine.hpp"
#include "../kernels/kernels.hpp"
#include "../kernels/rule_traits.hpp"
#include "../tape/op.hpp"

namespace xtape::detail {
namespace {

template <class T>
Operand<T> operand(const Tensor<T>& x) {
  return {x.data(), &x.shape(), x.size()};
}

/// What a rule says of itself, so that one function serves all rules of N operands.
template <class T, std::size_t N>
struct Description : RuleTraits {
  std::size_t number = 0;  ///< op_number
  bool is_length = false;
  /// The gradient of each input for the adjoint g, from what the node keeps: as recorded operations.
  std::array<Tensor<T> (*)(const void* rule, const Gradients<T>& d, const Tensor<T>& g), N> recorded{};
};

template <std::size_t I, class T, class Rule, std::size_t... K>
Tensor<T> recorded_gradient(const Rule& rule, const Gradients<T>& d, const Tensor<T>& g,
                            std::index_sequence<K...>) {
  constexpr unsigned kept = kept_by<Rule>(I);
  const std::array<Tensor<T>, sizeof...(K)> x{(kept & keep_input(K) ? d.input(K) : Tensor<T>())...};
  return gradient<I>(rule, g, kept & keep_output ? d.output() : Tensor<T>(), x[K]...);
}

template <class Rule>
inline constexpr bool is_length = requires {
  Rule::is_length;
};

template <class T, class Rule, std::size_t... I>
constexpr Description<T, sizeof...(I)> describe(std::index_sequence<I...>) {
  Description<T, sizeof...(I)> of{traits_of<Rule>(), op_number<Rule>, is_length<Rule>};
  if constexpr (is_differentiable<Rule>)
    ((of.recorded[I] =
          [](const void* rule, const Gradients<T>& d, const Tensor<T>& g) {
            return recorded_gradient<I>(*static_cast<const Rule*>(rule), d, g,
                                        std::make_index_sequence<sizeof...(I)>());
          }),
     ...);
  return of;
}
template <class T, class Rule, std::size_t N>
inline constexpr Description<T, N> description = describe<T, Rule>(std::make_index_sequence<N>());

/// The gradient of input i by one kernel, into y of the shape `wide` and the size n.
template <class T, std::size_t N>
void fused_gradient(const Description<T, N>& of, const void* rule, std::size_t i, const Gradients<T>& d,
                    const Operand<T>& g, Target<T> y, const Shape& wide, std::size_t n) {
  std::array<Operand<T>, N + 2> operands{g};
  for (std::size_t k = 0; k <= N; ++k) {
    if (!(of.kept[i] & (k < N ? keep_input(static_cast<unsigned>(k)) : keep_output))) continue;
    const Value& value = d.kept_value(k);
    operands[k + 1] = {value.template elements<T>(), &value.shape, value.size};
  }
  run_elementwise<T, N + 2>(y.data, y.accumulate, wide, n, kernels<T>().gradient[of.number][i], rule,
                            operands);
}

template <class T, std::size_t N>
void add_gradient(const Description<T, N>& of, const void* rule, std::size_t i, const char* name,
                  Gradients<T>& d) {
  if (!d.needs(i)) return;
  bool last = true;
  for (std::size_t k = i + 1; k < N; ++k) last = last && !d.needs(k);
  if (of.passes_adjoint[i]) return last ? d.add(i, std::move(d.adjoint)) : d.add(i, d.adjoint);
  if (d.creates_graph()) {
    Tensor<T> gradient = of.recorded[i](rule, d, d.adjoint);
    if (of.is_length) {
      const Tensor<T> zero = equal(of.kept[i] & keep_output ? d.output() : d.input(i), T(0));
      // What its rule takes for 0 there is x times the limit of the adjoint / length.
      if (contains(zero, T(1))) gradient = gradient + where(zero, d.input(i), T(0)) * d.adjoint_slope(zero);
    }
    return d.add(i, std::move(gradient));
  }
  const Shape& wide = d.adjoint.shape();
  const auto run = [&](Target<T> to) {
    fused_gradient(of, rule, i, d, operand(d.adjoint), to, wide, d.adjoint.size());
  };
  if (d.has_shape(i, wide)) return last ? d.accumulate_in_place(i, run) : d.accumulate(i, run);
  Tensor<T> whole = Tensor<T>::uninitialized(wide, name);
  run({whole.mutable_data(), false});
  d.add(i, std::move(whole));
}

template <std::size_t N>
Shape broadcast_all(const std::array<const Shape*, N>& shapes, const char* name) {
  Shape result = *shapes[0];
  for (std::size_t k = 1; k < N; ++k) result = broadcast(result, *shapes[k], name);
  return result;
}

template <class T, std::size_t N>
void compute_value(RowKernel<T> kernel, const void* rule, const char* name, Target<T> y,
                   const std::array<const Tensor<T>*, N>& x) {
  std::array<Operand<T>, N> operands;
  std::array<const Shape*, N> shapes;
  bool same = true;
  for (std::size_t k = 0; k < N; ++k) {
    operands[k] = operand(*x[k]);
    shapes[k] = operands[k].shape;
    same = same && *shapes[k] == *shapes[0];
  }
  if (same)
    return run_elementwise<T, N>(y.data, y.accumulate, *shapes[0], x[0]->size(), kernel, rule, operands);
  const Shape to = broadcast_all(shapes, name);
  run_elementwise<T, N>(y.data, y.accumulate, to, element_count(to, name), kernel, rule, operands);
}

/// An elementwise operation as an operation of the tape.
template <class T, class Rule, std::size_t N>
struct Elementwise {
  Rule rule;
  static constexpr const char* name = Rule::name;

  Shape shape(const auto&... x) const { return broadcast_all<N>({&x...}, name); }
  void compute(Target<T> y, const auto&... x) const {
    compute_value<T, N>(kernels<T>().value[op_number<Rule>], &rule, name, y, {&x...});
  }
  static constexpr unsigned keeps(unsigned i) { return kept_by<Rule>(i); }
  void backward(Gradients<T>& d) const {
    if constexpr (is_differentiable<Rule>)
      for (std::size_t i = 0; i < N; ++i) add_gradient(description<T, Rule, N>, &rule, i, name, d);
  }
};

/// y = Σ / divisor of an elementwise operation on two tensors of one shape, whose own array is never made.
template <class T, class Rule>
struct ElementwiseSum {
  T divisor;
  static constexpr const char* name = Rule::name;

  Shape shape(const Shape&, const Shape&) const { return {}; }
  void compute(Target<T> y, const Tensor<T>& a, const Tensor<T>& b) const {
    constexpr std::size_t tile = 1024;
    const Rule rule{};
    const auto part = [&](std::size_t start, std::size_t n) {
      std::array<T, tile> values;
      const std::array<const T*, 2> x{a.data() + start, b.data() + start};
      constexpr std::array<std::ptrdiff_t, 2> strides{1, 1};
      kernels<T>().value[op_number<Rule>](&rule, values.data(), false, n, x.data(), strides.data());
      return kernels<T>().sum(values.data(), n);
    };
    const T sum = sum_in_parallel<T>(
        a.size(), [&](std::size_t start, std::size_t n) { return sum_of_parts<T>(n, tile, part, start); });
    *y.data = sum / divisor;
  }
  static constexpr unsigned keeps(unsigned i) { return kept_by<Rule>(i); }
  void backward(Gradients<T>& d) const {
    constexpr auto& of = description<T, Rule, 2>;
    const Rule rule{};
    for (std::size_t i = 0; i < 2; ++i) {
      if (!d.needs(i)) continue;
      if (d.creates_graph()) {
        d.add(i, of.recorded[i](&rule, d, d.adjoint / divisor));
        continue;
      }
      const T g = *d.adjoint.data() / divisor;
      const Shape one, to = d.shape(i);
      d.accumulate(i, [&](Target<T> y) {
        fused_gradient(of, &rule, i, d, Operand<T>{&g, &one, 1}, y, to, element_count(to, name));
      });
    }
  }
};

/// The same numbers in another element type.
template <class From, class To>
struct AsType {
  static constexpr const char* name = "astype";
  void backward(Gradients<To>& d) const {
    d.template of_type<From>().add(0, d.adjoint.template astype<From>());
  }
};

}  // namespace

template <template <class> class Op, class T>
Tensor<T> elementwise(const Tensor<T>& x, std::type_identity_t<T> p, std::type_identity_t<T> q) {
  return apply<T>(Elementwise<T, Op<T>, 1>{make_rule<T, Op<T>>(p, q)}, x);
}

template <template <class> class Op, class T>
Tensor<T> elementwise(const Tensor<T>& a, const Tensor<T>& b) {
  if constexpr (is_differentiable<Op<T>>) {
    return apply<T>(Elementwise<T, Op<T>, 2>{}, a, b);
  } else {
    const RecordingScope off(false);
    return apply<T>(Elementwise<T, Op<T>, 2>{}, a.detach(), b.detach());
  }
}

template <template <class> class Op, class T>
Tensor<T> elementwise(const Tensor<T>& a, const Tensor<T>& b, const Tensor<T>& c) {
  return apply<T>(Elementwise<T, Op<T>, 3>{}, a, b, c);
}

#define XTAPE_UNARY(Op)                                                            \
  template Tensor<float> elementwise<ops::Op>(const Tensor<float>&, float, float); \
  template Tensor<double> elementwise<ops::Op>(const Tensor<double>&, double, double);
#define XTAPE_BINARY(Op)                                                                   \
  template Tensor<float> elementwise<ops::Op>(const Tensor<float>&, const Tensor<float>&); \
  template Tensor<double> elementwise<ops::Op>(const Tensor<double>&, const Tensor<double>&);
#define XTAPE_TERNARY(Op)                                                                    \
  template Tensor<float> elementwise<ops::Op>(const Tensor<float>&, const Tensor<float>&,    \
                                              const Tensor<float>&);                         \
  template Tensor<double> elementwise<ops::Op>(const Tensor<double>&, const Tensor<double>&, \
                                               const Tensor<double>&);
#include "../kernels/elementwise_list.inc"

}  // namespace xtape::detail

namespace xtape::engine {
namespace {

/// f(rule), of the loss.
template <class T, class F>
Tensor<T> with_rule(ElementwiseLoss loss, const F& f) {
  switch (loss) {
    case ElementwiseLoss::squared_difference:
      return f(detail::ops::SquaredDifference<T>{});
    case ElementwiseLoss::binary_cross_entropy:
      return f(detail::ops::BinaryCrossEntropy<T>{});
    case ElementwiseLoss::binary_cross_entropy_with_logits:
      break;
  }
  return f(detail::ops::BinaryCrossEntropyWithLogits<T>{});
}

}  // namespace

template <class T>
Tensor<T> losses(ElementwiseLoss loss, const Tensor<T>& a, const Tensor<T>& b) {
  return with_rule<T>(loss, [&]<class Rule>(Rule rule) {
    return detail::apply<T>(detail::Elementwise<T, Rule, 2>{rule}, a, b);
  });
}

template <class T>
Tensor<T> loss_sum(ElementwiseLoss loss, const Tensor<T>& a, const Tensor<T>& b,
                   std::type_identity_t<T> divisor) {
  return with_rule<T>(loss, [&]<class Rule>(Rule) {
    return detail::apply<T>(detail::ElementwiseSum<T, Rule>{divisor}, a, b);
  });
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
    detail::Observed observed(Op::name);
    Tensor<U> y = Tensor<U>::uninitialized(shape(), Op::name);
    std::transform(begin(), end(), y.mutable_data(), [](T x) { return static_cast<U>(x); });
    const std::array<const detail::Handle*, 1> inputs{&handle_};
    Tensor<U> recorded = detail::record<U>(Op{}, std::move(y), inputs);
    observed.result(recorded.handle(), inputs);
    return recorded;
  }
}

template Tensor<float> Tensor<float>::astype<float>() const;
template Tensor<double> Tensor<float>::astype<double>() const;
template Tensor<float> Tensor<double>::astype<float>() const;
template Tensor<double> Tensor<double>::astype<double>() const;

}  // namespace xtape
