// Elementwise operations on tensors: value, fused gradient and recorded gradient, all from the op's rule.
#include "../elementwise.hpp"

#include "../kernels/kernels.hpp"
#include "../kernels/rule_traits.hpp"
#include "../tape/op.hpp"

namespace xtape::detail {
namespace {

template <class T>
Operand<T> operand(const Tensor<T>& x) {
  return {x.data(), &x.shape(), x.size()};
}

/// The gradient of input I for the adjoint g, from what the node keeps: as recorded operations.
template <std::size_t I, class T, class Rule, std::size_t... K>
Tensor<T> recorded_gradient(const Rule& rule, const Gradients<T>& d, const Tensor<T>& g,
                            std::index_sequence<K...>) {
  constexpr unsigned kept = kept_by<Rule>(I);
  const std::array<Tensor<T>, sizeof...(K)> x{(kept & keep_input(K) ? d.input(K) : Tensor<T>())...};
  return gradient<I>(rule, g, kept & keep_output ? d.output() : Tensor<T>(), x[K]...);
}

/// The same by one kernel, into y of the shape `wide` and the size n.
template <std::size_t I, class T, class Rule, std::size_t... K>
void fused_gradient(const Rule& rule, const Gradients<T>& d, const Operand<T>& g, Target<T> y,
                    const Shape& wide, std::size_t n, std::index_sequence<K...>) {
  constexpr unsigned kept = kept_by<Rule>(I);
  const auto used = [&](std::size_t k, unsigned bit) {
    if (!(kept & bit)) return Operand<T>{};
    const Value& value = d.kept_value(k);
    return Operand<T>{value.template elements<T>(), &value.shape, value.size};
  };
  constexpr std::size_t N = sizeof...(K);
  run_elementwise<T, N + 2>(y.data, y.accumulate, wide, n, kernels<T>().gradient[op_number<Rule>][I], &rule,
                            {g, used(K, keep_input(K))..., used(N, keep_output)});
}

/// An elementwise operation as an operation of the tape.
template <class T, class Rule, std::size_t N>
struct Elementwise {
  Rule rule;
  static constexpr const char* name = Rule::name;

  template <class... X>
  Shape shape(const Shape& first, const X&... rest) const {
    Shape result = first;
    ((result = broadcast(result, rest, name)), ...);
    return result;
  }

  template <class... X>
  void compute(Target<T> y, const Tensor<T>& first, const X&... rest) const {
    const auto run = [&](const Shape& to, std::size_t size) {
      run_elementwise<T, N>(y.data, y.accumulate, to, size, kernels<T>().value[op_number<Rule>], &rule,
                            {operand(first), operand(rest)...});
    };
    if ((... && (rest.shape() == first.shape()))) return run(first.shape(), first.size());
    const Shape to = shape(first.shape(), rest.shape()...);
    run(to, element_count(to, name));
  }

  static constexpr unsigned keeps(unsigned i) { return kept_by<Rule>(i); }

  void backward(Gradients<T>& d) const {
    if constexpr (is_differentiable<Rule>) [&]<std::size_t... I>(std::index_sequence<I...>) {
        (add_gradient<I>(d, std::make_index_sequence<N>()), ...);
      }
    (std::make_index_sequence<N>());
  }

 private:
  template <std::size_t I, std::size_t... K>
  void add_gradient(Gradients<T>& d, std::index_sequence<K...> all) const {
    if (!d.needs(I)) return;
    const bool last = !((K > I && d.needs(K)) || ...);
    if (passes_adjoint<Rule>(I)) return last ? d.add(I, std::move(d.adjoint)) : d.add(I, d.adjoint);
    if (d.creates_graph()) {
      Tensor<T> gradient = recorded_gradient<I>(rule, d, d.adjoint, all);
      if constexpr (requires { Rule::is_length; }) {
        const Tensor<T> zero = equal(kept_by<Rule>(I) & keep_output ? d.output() : d.input(I), T(0));
        // What its rule takes for 0 there is x times the limit of the adjoint / length.
        if (contains(zero, T(1))) gradient = gradient + where(zero, d.input(I), T(0)) * d.adjoint_slope(zero);
      }
      return d.add(I, std::move(gradient));
    }
    const Shape& wide = d.adjoint.shape();
    const auto run = [&](Target<T> to) {
      fused_gradient<I>(rule, d, operand(d.adjoint), to, wide, d.adjoint.size(), all);
    };
    if (d.has_shape(I, wide)) return last ? d.accumulate_in_place(I, run) : d.accumulate(I, run);
    Tensor<T> whole = Tensor<T>::uninitialized(wide, name);
    run({whole.mutable_data(), false});
    d.add(I, std::move(whole));
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
    add_gradient<0>(d);
    add_gradient<1>(d);
  }

 private:
  template <std::size_t I>
  void add_gradient(Gradients<T>& d) const {
    constexpr std::make_index_sequence<2> all;
    if (!d.needs(I)) return;
    if (d.creates_graph()) return d.add(I, recorded_gradient<I>(Rule{}, d, d.adjoint / divisor, all));
    const T g = *d.adjoint.data() / divisor;
    const Shape to = d.shape(I);
    d.accumulate(I, [&](Target<T> y) {
      const Shape one;
      fused_gradient<I>(Rule{}, d, Operand<T>{&g, &one, 1}, y, to, element_count(to, name), all);
    });
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
Tensor<T> elementwise_sum(const Tensor<T>& a, const Tensor<T>& b, std::type_identity_t<T> divisor) {
  return apply<T>(ElementwiseSum<T, Op<T>>{divisor}, a, b);
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

// The losses that nn offers summed and as means.
#define XTAPE_SUM(Op)                                                                                 \
  template Tensor<float> elementwise_sum<ops::Op>(const Tensor<float>&, const Tensor<float>&, float); \
  template Tensor<double> elementwise_sum<ops::Op>(const Tensor<double>&, const Tensor<double>&, double);
XTAPE_SUM(SquaredDifference)
XTAPE_SUM(BinaryCrossEntropy)
XTAPE_SUM(BinaryCrossEntropyWithLogits)
#undef XTAPE_SUM

}  // namespace xtape::detail

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
