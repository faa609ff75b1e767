// Reductions: sums, extremes, moments, norms, softmax, cumulative sums along axes.
//
// Without axes they reduce all; with axes (one number or a list in braces, negative ones count from the end)
// those, which leave the shape, or stay in it with the size 1 for keepdims. An axis out of range or named
// twice is an Error. Reducing no element gives 0 (sum, norm), 1 (prod), −∞ (logsumexp), NaN (mean, var, std)
// and is an Error for max and min.
#pragma once
#include "tensor.hpp"

namespace xtape {

/// Σ x; derivative 1.
template <class T>
Tensor<T> sum(Tensor<T> x);
template <class T>
Tensor<T> sum(Tensor<T> x, const Axes& axes, bool keepdims = false);

/// Σ x / n; derivative 1/n.
template <class T>
Tensor<T> mean(Tensor<T> x);
template <class T>
Tensor<T> mean(Tensor<T> x, const Axes& axes, bool keepdims = false);

/// Π x; derivative the product of the others, also where elements are 0.
template <class T>
Tensor<T> prod(Tensor<T> x);
template <class T>
Tensor<T> prod(Tensor<T> x, const Axes& axes, bool keepdims = false);

/// The largest element; equal ones share the gradient evenly. NaN if any is.
template <class T>
Tensor<T> max(Tensor<T> x);
template <class T>
Tensor<T> max(Tensor<T> x, const Axes& axes, bool keepdims = false);

/// The smallest element; equal ones share the gradient evenly. NaN if any is.
template <class T>
Tensor<T> min(Tensor<T> x);
template <class T>
Tensor<T> min(Tensor<T> x, const Axes& axes, bool keepdims = false);

/// Σ (x − mean)² / (n − ddof). NumPy's default is ddof = 0, PyTorch's is 1.
template <class T>
Tensor<T> var(Tensor<T> x);
template <class T>
Tensor<T> var(Tensor<T> x, const Axes& axes, bool keepdims = false, std::size_t ddof = 0);

/// √var; the derivative is 0 where the variance is 0. To second order as norm.
template <class T>
Tensor<T> std(Tensor<T> x);
template <class T>
Tensor<T> std(Tensor<T> x, const Axes& axes, bool keepdims = false, std::size_t ddof = 0);

// The names that xtensor has, too, take axes as XTAPE_ANY_AXES says, and ddof.
#define XTAPE_MOMENT(name, f)                                                         \
  template <class T>                                                                  \
  Tensor<T> name(Tensor<T> x) {                                                       \
    return f(std::move(x));                                                           \
  }                                                                                   \
  template <class T, detail::AxesLike A>                                              \
  Tensor<T> name(Tensor<T> x, A&& axes, bool keepdims = false) {                      \
    const Axes all(axes);                                                             \
    return f(std::move(x), all, keepdims);                                            \
  }                                                                                   \
  template <class T, std::integral I>                                                 \
  Tensor<T> name(Tensor<T> x, std::initializer_list<I> axes, bool keepdims = false) { \
    const Axes all(axes);                                                             \
    return f(std::move(x), all, keepdims);                                            \
  }                                                                                   \
  template <class T, detail::AxesLike A, std::integral D>                             \
  Tensor<T> name(Tensor<T> x, A&& axes, bool keepdims, D ddof) {                      \
    const Axes all(axes);                                                             \
    return f(std::move(x), all, keepdims, static_cast<std::size_t>(ddof));            \
  }                                                                                   \
  template <class T, std::integral I, std::integral D>                                \
  Tensor<T> name(Tensor<T> x, std::initializer_list<I> axes, bool keepdims, D ddof) { \
    const Axes all(axes);                                                             \
    return f(std::move(x), all, keepdims, static_cast<std::size_t>(ddof));            \
  }
/// var by the name that xtensor gives it, which the standard library has not.
XTAPE_MOMENT(variance, xtape::var)
/// std by the name that xtensor gives it, which the standard library has not.
XTAPE_MOMENT(stddev, xtape::std)
#undef XTAPE_MOMENT

/// √Σ x², the Euclidean (Frobenius) norm, without overflow; derivative x / norm, 0 where the norm is 0. It
/// has no second derivative there (0 by convention), but a function f of it with f′(0) = 0 has: f″(0) times
/// the identity.
template <class T>
Tensor<T> norm(Tensor<T> x);
template <class T>
Tensor<T> norm(Tensor<T> x, const Axes& axes, bool keepdims = false);

/// Σ x², the square of the norm; derivative 2x, everywhere.
template <class T>
Tensor<T> squared_norm(const Tensor<T>& x);
template <class T>
Tensor<T> squared_norm(const Tensor<T>& x, const Axes& axes, bool keepdims = false);

/// ln Σ eˣ, without overflow; derivative softmax(x).
template <class T>
Tensor<T> logsumexp(Tensor<T> x);
template <class T>
Tensor<T> logsumexp(Tensor<T> x, const Axes& axes, bool keepdims = false);

/// eˣ / Σ eˣ along an axis, without overflow. Derivative y (g − Σ g y).
template <class T>
Tensor<T> softmax(const Tensor<T>& x, std::ptrdiff_t axis = -1);

/// x − ln Σ eˣ along an axis, without overflow. Derivative g − eʸ Σ g.
template <class T>
Tensor<T> log_softmax(const Tensor<T>& x, std::ptrdiff_t axis = -1);

/// Sums of the first 1, 2, … elements along an axis; of all elements, flattened, without one.
template <class T>
Tensor<T> cumsum(Tensor<T> x);
template <class T>
Tensor<T> cumsum(Tensor<T> x, std::ptrdiff_t axis);

/// Products of the first 1, 2, … elements along an axis; of all elements, flattened, without one. Derivative
/// the products of the others, also where elements are 0.
template <class T>
Tensor<T> cumprod(Tensor<T> x);
template <class T>
Tensor<T> cumprod(Tensor<T> x, std::ptrdiff_t axis);

/// 1 where any element is not 0, else 0: a constant without a gradient, as comparisons give. 0 for no
/// element.
template <class T>
Tensor<T> any(Tensor<T> x);
template <class T>
Tensor<T> any(Tensor<T> x, const Axes& axes, bool keepdims = false);

/// 1 where no element is 0, else 0: a constant without a gradient, as comparisons give. 1 for no element.
template <class T>
Tensor<T> all(Tensor<T> x);
template <class T>
Tensor<T> all(Tensor<T> x, const Axes& axes, bool keepdims = false);

XTAPE_ANY_AXES(sum, keepdims)
XTAPE_ANY_AXES(mean, keepdims)
XTAPE_ANY_AXES(prod, keepdims)
XTAPE_ANY_AXES(max, keepdims)  // std::max and std::min would take lists in braces, too
XTAPE_ANY_AXES(min, keepdims)
XTAPE_ANY_AXES(any, keepdims)
XTAPE_ANY_AXES(all, keepdims)

}  // namespace xtape
