// Checks of axes for the reductions, and those that are composed of others.
#include "../reductions.hpp"

#include <string>

#include "moment_ops.hpp"
#include "softmax_ops.hpp"

namespace xtape {
namespace {

using detail::apply;

template <class T>
unsigned all_axes(const Tensor<T>& x) {
  return (1u << x.rank()) - 1u;
}

template <class T>
std::size_t line_length(const Tensor<T>& x, unsigned mask) {
  return detail::reduced_count(x.shape(), all_axes(x) & ~mask);
}

template <class T>
Tensor<T> mean(const Tensor<T>& x, unsigned mask, bool keepdims) {
  return apply<T>(detail::Mean<T>{mask, keepdims, static_cast<T>(line_length(x, mask))}, x);
}

// Halves are multiplied until one is left: no division, so zeros need no care, to any order.
template <class T>
Tensor<T> prod(const Tensor<T>& x, unsigned mask, bool keepdims) {
  Tensor<T> y = x;
  for (std::size_t axis = 0; axis < x.rank(); ++axis) {
    if (!(mask >> axis & 1u)) continue;
    const auto at = static_cast<std::ptrdiff_t>(axis);
    if (y.shape()[axis] == 0) {
      Shape one = y.shape();
      one[axis] = 1;
      y = ones<T>(one);
    }
    for (std::size_t n = y.shape()[axis]; n > 1; n = y.shape()[axis]) {
      const std::vector<Tensor<T>> parts = split(y, Indices{n / 2, n / 2 * 2}, at);
      y = parts[0] * parts[1];
      if (n % 2 == 1) y = concatenate({y, parts[2]}, at);
    }
  }
  return reshape(y, Dims(detail::reduced_shape(x.shape(), mask, keepdims)));
}

/// f(x, mask, keepdims), an operation on axes that lie side by side: where they do not, with these at the
/// end.
template <class T, class F>
Tensor<T> on_run(const Tensor<T>& x, unsigned mask, bool keepdims, const F& f) {
  if (detail::is_run(mask)) return f(x, mask, keepdims);
  Axes order;
  for (const unsigned reduced : {0u, 1u})
    for (std::size_t i = 0; i < x.rank(); ++i)
      if ((mask >> i & 1u) == reduced) order.push_back(static_cast<std::ptrdiff_t>(i));
  const unsigned last = all_axes(x) & ~((1u << (x.rank() - detail::bit_count(mask))) - 1u);
  return reshape(f(transpose(x, order), last, false), Dims(detail::reduced_shape(x.shape(), mask, keepdims)));
}

template <class T, bool largest>
Tensor<T> extreme(const Tensor<T>& all, unsigned axes, bool keep) {
  using Op = detail::Extreme<T, largest>;
  if (all.size() == 0 && detail::element_count(Op{axes, keep}.shape(all.shape()), Op::name) != 0)
    throw Error(Op::name, "shape " + to_string(all.shape()) + " has no element to choose");
  return on_run(all, axes, keep, [](const Tensor<T>& x, unsigned mask, bool keepdims) {
    return apply<T>(Op{mask, keepdims}, x);
  });
}

template <class T>
Tensor<T> norm(const Tensor<T>& all, unsigned axes, bool keep) {
  return on_run(all, axes, keep, [](const Tensor<T>& x, unsigned mask, bool keepdims) {
    return apply<T>(detail::Norm<T>{mask, keepdims}, x);
  });
}

template <class T>
Tensor<T> var(const Tensor<T>& all, unsigned axes, bool keep, std::size_t ddof) {
  const std::size_t count = line_length(all, axes);
  if (count == 0) return mean(all, axes, keep);
  const T divisor = std::max(static_cast<T>(count) - static_cast<T>(ddof), T(0));
  return on_run(all, axes, keep, [divisor](const Tensor<T>& x, unsigned mask, bool keepdims) {
    const Tensor<T> moments = apply<T>(detail::AxisMoments<T>{mask}, x);
    return apply<T>(detail::Variance<T>{mask, keepdims, divisor}, x, moments);
  });
}

template <class T>
Tensor<T> any(const Tensor<T>& x, unsigned mask, bool keepdims) {
  return apply<T>(detail::Sum<T>{mask, keepdims}, equal(equal(x, 0), 0)) > 0;
}

template <class T>
Tensor<T> all(const Tensor<T>& x, unsigned mask, bool keepdims) {
  return equal(apply<T>(detail::Sum<T>{mask, keepdims}, equal(x, 0)), 0);
}

template <class T>
Tensor<T> logsumexp(const Tensor<T>& x, unsigned mask, bool keepdims) {
  Tensor<T> y = reshape(x, Dims(x.shape()));  // x itself, but for NoGrad: then a constant
  for (std::size_t end = x.rank(); end > 0; --end) {
    std::size_t axis = end;
    while (axis > 0 && mask >> (axis - 1) & 1u) --axis;
    if (axis == end) continue;
    y = apply<T>(detail::LogSumExp<T>{((1u << (end - axis)) - 1u) << axis, keepdims}, y);
    end = axis + 1;
  }
  return y;
}

}  // namespace

template <class T>
Tensor<T> sum(Tensor<T> x) {
  return apply<T>(detail::Sum<T>{all_axes(x), false}, x);
}
template <class T>
Tensor<T> sum(Tensor<T> x, const Axes& axes, bool keepdims) {
  return apply<T>(detail::Sum<T>{detail::axis_mask(axes, x.rank(), "sum"), keepdims}, x);
}

template <class T>
Tensor<T> mean(Tensor<T> x) {
  return mean(x, all_axes(x), false);
}
template <class T>
Tensor<T> mean(Tensor<T> x, const Axes& axes, bool keepdims) {
  return mean(x, detail::axis_mask(axes, x.rank(), "mean"), keepdims);
}

template <class T>
Tensor<T> prod(Tensor<T> x) {
  return prod(flatten(x), 1u, false);
}
template <class T>
Tensor<T> prod(Tensor<T> x, const Axes& axes, bool keepdims) {
  return prod(x, detail::axis_mask(axes, x.rank(), "prod"), keepdims);
}

template <class T>
Tensor<T> max(Tensor<T> x) {
  return extreme<T, true>(x, all_axes(x), false);
}
template <class T>
Tensor<T> max(Tensor<T> x, const Axes& axes, bool keepdims) {
  return extreme<T, true>(x, detail::axis_mask(axes, x.rank(), "max"), keepdims);
}

template <class T>
Tensor<T> min(Tensor<T> x) {
  return extreme<T, false>(x, all_axes(x), false);
}
template <class T>
Tensor<T> min(Tensor<T> x, const Axes& axes, bool keepdims) {
  return extreme<T, false>(x, detail::axis_mask(axes, x.rank(), "min"), keepdims);
}

template <class T>
Tensor<T> var(Tensor<T> x) {
  return var(x, all_axes(x), false, 0);
}
template <class T>
Tensor<T> var(Tensor<T> x, const Axes& axes, bool keepdims, std::size_t ddof) {
  return var(x, detail::axis_mask(axes, x.rank(), "var"), keepdims, ddof);
}

template <class T>
Tensor<T> std(Tensor<T> x) {
  return apply<T>(detail::StandardDeviation<T>{}, var(x));
}
template <class T>
Tensor<T> std(Tensor<T> x, const Axes& axes, bool keepdims, std::size_t ddof) {
  return apply<T>(detail::StandardDeviation<T>{},
                  var(x, detail::axis_mask(axes, x.rank(), "std"), keepdims, ddof));
}

template <class T>
Tensor<T> norm(Tensor<T> x) {
  return norm(x, all_axes(x), false);
}
template <class T>
Tensor<T> norm(Tensor<T> x, const Axes& axes, bool keepdims) {
  return norm(x, detail::axis_mask(axes, x.rank(), "norm"), keepdims);
}

template <class T>
Tensor<T> squared_norm(const Tensor<T>& x) {
  return apply<T>(detail::SquaredNorm<T>{all_axes(x), false}, x);
}
template <class T>
Tensor<T> squared_norm(const Tensor<T>& x, const Axes& axes, bool keepdims) {
  return apply<T>(detail::SquaredNorm<T>{detail::axis_mask(axes, x.rank(), "squared_norm"), keepdims}, x);
}

template <class T>
Tensor<T> logsumexp(Tensor<T> x) {
  return logsumexp(x, all_axes(x), false);
}
template <class T>
Tensor<T> logsumexp(Tensor<T> x, const Axes& axes, bool keepdims) {
  return logsumexp(x, detail::axis_mask(axes, x.rank(), "logsumexp"), keepdims);
}

template <class T>
Tensor<T> softmax(const Tensor<T>& x, std::ptrdiff_t axis) {
  return apply<T>(detail::Softmax<T>{detail::normalize_axis(axis, x.rank(), "softmax")}, x);
}

template <class T>
Tensor<T> log_softmax(const Tensor<T>& x, std::ptrdiff_t axis) {
  return apply<T>(detail::LogSoftmax<T>{detail::normalize_axis(axis, x.rank(), "log_softmax")}, x);
}

template <class T>
Tensor<T> cumsum(Tensor<T> x) {
  return cumsum(flatten(x), 0);
}
template <class T>
Tensor<T> cumsum(Tensor<T> x, std::ptrdiff_t axis) {
  return apply<T>(detail::CumulativeSum<T>{detail::normalize_axis(axis, x.rank(), "cumsum"), false}, x);
}

template <class T>
Tensor<T> any(Tensor<T> x) {
  return any(x, all_axes(x), false);
}
template <class T>
Tensor<T> any(Tensor<T> x, const Axes& axes, bool keepdims) {
  return any(x, detail::axis_mask(axes, x.rank(), "any"), keepdims);
}

template <class T>
Tensor<T> all(Tensor<T> x) {
  return all(x, all_axes(x), false);
}
template <class T>
Tensor<T> all(Tensor<T> x, const Axes& axes, bool keepdims) {
  return all(x, detail::axis_mask(axes, x.rank(), "all"), keepdims);
}

#define XTAPE_INSTANTIATE_AXES(T, f) \
  template Tensor<T> f(Tensor<T>);   \
  template Tensor<T> f(Tensor<T>, const Axes&, bool);
#define XTAPE_INSTANTIATE(T)                                            \
  XTAPE_INSTANTIATE_AXES(T, sum)                                        \
  XTAPE_INSTANTIATE_AXES(T, mean)                                       \
  XTAPE_INSTANTIATE_AXES(T, prod)                                       \
  XTAPE_INSTANTIATE_AXES(T, max)                                        \
  XTAPE_INSTANTIATE_AXES(T, min)                                        \
  XTAPE_INSTANTIATE_AXES(T, any)                                        \
  XTAPE_INSTANTIATE_AXES(T, all)                                        \
  XTAPE_INSTANTIATE_AXES(T, norm)                                       \
  template Tensor<T> squared_norm(const Tensor<T>&);                    \
  template Tensor<T> squared_norm(const Tensor<T>&, const Axes&, bool); \
  XTAPE_INSTANTIATE_AXES(T, logsumexp)                                  \
  template Tensor<T> var(Tensor<T>);                                    \
  template Tensor<T> var(Tensor<T>, const Axes&, bool, std::size_t);    \
  template Tensor<T> std(Tensor<T>);                                    \
  template Tensor<T> std(Tensor<T>, const Axes&, bool, std::size_t);    \
  template Tensor<T> softmax(const Tensor<T>&, std::ptrdiff_t);         \
  template Tensor<T> log_softmax(const Tensor<T>&, std::ptrdiff_t);     \
  template Tensor<T> cumsum(Tensor<T>);                                 \
  template Tensor<T> cumsum(Tensor<T>, std::ptrdiff_t);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE
#undef XTAPE_INSTANTIATE_AXES

}  // namespace xtape
