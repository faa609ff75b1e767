// Elementwise operations on tensors: value, fused gradient and recorded gradient, all from the op's rule.
#include "elementwise.hpp"

#include "kernels.hpp"
#include "op.hpp"
#include "rule_traits.hpp"

namespace xtape::detail {
namespace {

template <class T>
Operand<T> operand(const Tensor<T>& x) {
  return {x.data(), &x.shape(), x.size()};
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
      elementwise<T, N>(y.data, y.accumulate, to, size, kernels<T>().value[op_number<Rule>], &rule,
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
  void add_gradient(Gradients<T>& d, std::index_sequence<K...>) const {
    if (!d.needs(I)) return;
    if (passes_adjoint<Rule>(I)) return d.add(I, d.adjoint);
    constexpr unsigned kept = kept_by<Rule>(I);
    if (d.creates_graph()) {
      const std::array<Tensor<T>, N> x{(kept & keep_input(K) ? d.input(K) : Tensor<T>())...};
      const Tensor<T> y = kept & keep_output ? d.output() : Tensor<T>();
      return d.add(I, gradient<I>(rule, d.adjoint, y, x[K]...));
    }
    const auto used = [&](std::size_t k, unsigned bit) {
      if (!(kept & bit)) return Operand<T>{};
      const Value& value = d.kept_value(k);
      return Operand<T>{reinterpret_cast<const T*>(value.data), &value.shape, value.size};
    };
    const Shape& wide = d.adjoint.shape();
    const auto run = [&](Target<T> to) {
      elementwise<T, N + 2>(to.data, to.accumulate, wide, d.adjoint.size(),
                            kernels<T>().gradient[op_number<Rule>][I], &rule,
                            {operand(d.adjoint), used(K, keep_input(K))..., used(N, keep_output)});
    };
    if (d.shape(I) == wide) return d.accumulate(I, run);
    Tensor<T> whole = Tensor<T>::uninitialized(wide, name);
    run({whole.mutable_data(), false});
    d.add(I, whole);
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
#include "elementwise_list.inc"

}  // namespace xtape::detail
