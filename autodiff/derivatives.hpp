// Derivatives of functions of tensors. Each runs f on a fresh leaf that shares the value of x, so that the
// gradients of x itself stay as they are.
#pragma once
#include <functional>
#include <initializer_list>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "checkpoint.hpp"
#include "elementwise.hpp"
#include "grad.hpp"
#include "layout.hpp"
#include "random.hpp"
#include "reductions.hpp"

namespace xtape {

/// Which way derivatives go: with the operations, from one input to all outputs, or against them, from one
/// output to all inputs.
enum class Mode { automatic, forward, reverse };

/// How a derivative is taken.
struct DerivativeOptions {
  bool create_graph = false;    ///< whether the derivative itself can be differentiated with respect to x
  Mode mode = Mode::automatic;  ///< of jacobian() and hessian(): automatic takes the one with fewer passes
};

/// A matrix by the elements that may differ from 0, row by row: values[k] lies at (rows[k], columns[k]), for
/// as many k as `values`, of one axis, has elements.
template <class T>
struct SparseMatrix {
  std::vector<std::size_t> rows, columns;
  Tensor<T> values;
};

namespace detail {

/// A fresh leaf with the value of x; x under another node when the derivative is to depend on it.
template <class T>
Tensor<T> variable(const Tensor<T>& x, const DerivativeOptions& options);

/// What linearize() gives, of v → {value, product} for a v of this shape.
template <class T>
std::pair<Tensor<T>, std::function<Tensor<T>(const Tensor<T>&)>> linearize(
    const std::function<std::pair<Tensor<T>, Tensor<T>>(const Tensor<T>&)>& f, const Shape& shape);

/// A function of one tensor.
template <class T>
using Unary = std::function<Tensor<T>(const Tensor<T>&)>;
template <class T>
Tensor<T> jacobian(const Unary<T>& f, const Tensor<T>& x, const DerivativeOptions& options);
template <class T>
SparseMatrix<T> sparse_jacobian(const Unary<T>& f, const Tensor<T>& x, const DerivativeOptions& options);
template <class T>
SparseMatrix<T> sparse_hessian(const Unary<T>& f, const Tensor<T>& x, const DerivativeOptions& options);

/// The gradient of y, 0 where y does not depend on x.
template <class T>
Tensor<T> gradient_or_zero(const Tensor<T>& y, const Tensor<T>& x, const BackwardOptions<T>& options) {
  return y.requires_grad() ? grad(y, x, options) : zeros<T>(x.shape());
}

template <class T>
std::pair<Tensor<T>, std::vector<Tensor<T>>> vjp(const Function<T>& f, const std::vector<Tensor<T>>& x,
                                                 const Tensor<T>& v, const DerivativeOptions& options);
template <class T>
std::pair<Tensor<T>, Tensor<T>> jvp(const Function<T>& f, const std::vector<Tensor<T>>& x,
                                    const std::vector<Tensor<T>>& v, const DerivativeOptions& options);
template <class T>
std::pair<Tensor<T>, std::vector<Tensor<T>>> hvp(const Function<T>& f, const std::vector<Tensor<T>>& x,
                                                 const std::vector<Tensor<T>>& v,
                                                 const DerivativeOptions& options);

}  // namespace detail

/// value_and_grad(f)(x, …) gives {f(x, …), gradient}, with a tuple of gradients for several arguments. f
/// returns one element.
template <class F>
auto value_and_grad(F f, DerivativeOptions options = {}) {
  return [f = std::move(f), options]<class T, class... Rest>(const Tensor<T>& x, const Rest&... rest) {
    const detail::RecordingScope scope(true);
    const std::vector<Tensor<T>> leaves{detail::variable(x, options), detail::variable(rest, options)...};
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      const Tensor<T> y = f(leaves[I]...);
      std::vector<Tensor<T>> g;
      if (y.requires_grad())
        g = grad(y, leaves, {.create_graph = options.create_graph});
      else
        for (const Tensor<T>& leaf : leaves) g.push_back(zeros<T>(leaf.shape()));
      const Tensor<T> value = options.create_graph ? y : y.detach();
      if constexpr (sizeof...(I) == 1)
        return std::pair(value, g.front());
      else
        return std::pair(value, std::tuple(g[I]...));
    }
    (std::make_index_sequence<1 + sizeof...(Rest)>());
  };
}

/// {f(x, …), vᵀ J for each x}: v has the shape of f(x, …), the products those of the arguments. f takes them
/// as a list or one by one.
template <class F, class T>
std::pair<Tensor<T>, std::vector<Tensor<T>>> vjp(F&& f, const std::vector<Tensor<T>>& x,
                                                 const Tensor<std::type_identity_t<T>>& v,
                                                 DerivativeOptions options = {}) {
  return detail::vjp<T>([&](const auto& list) { return detail::call<T>("vjp", f, list); }, x, v, options);
}
template <class F, class T>
auto vjp(F&& f, std::initializer_list<Tensor<T>> x, const Tensor<std::type_identity_t<T>>& v,
         DerivativeOptions options = {}) {
  return vjp(f, std::vector<Tensor<T>>(x), v, options);
}
/// For one argument: {f(x), vᵀ J}.
template <class F, class T>
std::pair<Tensor<T>, Tensor<T>> vjp(F&& f, const Tensor<T>& x, const Tensor<std::type_identity_t<T>>& v,
                                    DerivativeOptions options = {}) {
  auto [y, products] = detail::vjp<T>([&](const auto& list) { return f(list.front()); }, {x}, v, options);
  return {std::move(y), std::move(products.front())};
}

/// {f(x, …), Σ J v over the arguments}: each v has the shape of its x, the product that of f(x, …). Forward
/// mode, in the one run of f: each operation carries on how its result moves when x moves along v; a
/// checkpoint runs its function again. What is recorded stays until the end, as for a backward pass. A rule
/// of custom() has its transpose, so it must be made of recorded operations on g, else that is an Error.
/// Where a length is 0, its second derivative is that of the reverse mode only: take hvp(), or a gradient
/// within.
template <class F, class T>
std::pair<Tensor<T>, Tensor<T>> jvp(F&& f, const std::vector<Tensor<T>>& x,
                                    const std::vector<Tensor<std::type_identity_t<T>>>& v,
                                    DerivativeOptions options = {}) {
  return detail::jvp<T>([&](const auto& list) { return detail::call<T>("jvp", f, list); }, x, v, options);
}
template <class F, class T>
auto jvp(F&& f, std::initializer_list<Tensor<T>> x, const std::vector<Tensor<std::type_identity_t<T>>>& v,
         DerivativeOptions options = {}) {
  return jvp(f, std::vector<Tensor<T>>(x), v, options);
}
template <class F, class T>
std::pair<Tensor<T>, Tensor<T>> jvp(F&& f, const Tensor<T>& x, const Tensor<std::type_identity_t<T>>& v,
                                    DerivativeOptions options = {}) {
  return detail::jvp<T>([&](const auto& list) { return f(list.front()); }, {x}, {v}, options);
}

/// {f(x), the function v → J v}: f runs once, and what the product needs of it is kept, so that each product
/// costs about as much as f; v has the shape of x, J v that of f(x), and its own derivative by v. Errors:
/// what a trace refuses, see compile(); a v of another shape; x or a captured tensor that was assigned since.
template <class F, class T>
std::pair<Tensor<T>, std::function<Tensor<T>(const Tensor<T>&)>> linearize(F&& f, const Tensor<T>& x) {
  return detail::linearize<T>([&](const Tensor<T>& v) { return jvp(f, x, v); }, x.shape());
}

/// ∂f(x)[i] / ∂x[j], of the shape (shape of f(x)…, shape of x…): by rows, in reverse mode, or by columns, in
/// forward mode, where f(x) has more elements than x. Many rows or columns are taken at once, by vmap();
/// where f cannot be traced, or an operation has no forward mode, slower ways are taken, and f runs again.
/// For columns f runs again with the same random numbers, and must compute the same; for one that does not,
/// say Mode::reverse.
template <class F, class T>
Tensor<T> jacobian(F&& f, const Tensor<T>& x, DerivativeOptions options = {}) {
  return detail::jacobian<T>([&](const Tensor<T>& at) -> Tensor<T> { return f(at); }, x, options);
}

/// ∂²f / ∂x[i]∂x[j] of a function with one element, of the shape (shape of x…, shape of x…): the Jacobian of
/// the gradient, many rows at once in reverse mode, or columns in forward mode where options.mode says so.
template <class F, class T>
Tensor<T> hessian(F&& f, const Tensor<T>& x, DerivativeOptions options = {}) {
  const auto gradient = [&](const Tensor<T>& at) {
    return detail::gradient_or_zero(f(at), at, {.create_graph = true});
  };
  return jacobian(gradient, x, options);
}

/// The Jacobian of a function whose results depend on few elements of x each: rows are elements of f(x),
/// columns those of x, both row-major. Where it is 0 for every x is found from what f computes; then columns,
/// or rows, that meet in no element share a direction (see program/coloring.hpp), so that a band costs as
/// many products as it is wide, whatever its length. f is traced (see compile() for what that refuses); where
/// it holds a rule of custom() or a checkpoint, every element counts.
///
///     auto [rows, columns, values] = sparse_jacobian(f, x);
template <class F, class T>
SparseMatrix<T> sparse_jacobian(F&& f, const Tensor<T>& x, DerivativeOptions options = {}) {
  return detail::sparse_jacobian<T>([&](const Tensor<T>& at) -> Tensor<T> { return f(at); }, x, options);
}

/// The Hessian of a function with one element in the same way, with both of its halves: of two elements that
/// mirror each other one is computed, so that an arrow takes two products.
template <class F, class T>
SparseMatrix<T> sparse_hessian(F&& f, const Tensor<T>& x, DerivativeOptions options = {}) {
  return detail::sparse_hessian<T>([&](const Tensor<T>& at) -> Tensor<T> { return f(at); }, x, options);
}

/// {f(x, …), H v for each x} for a function with one element, without forming the Hessian, whose blocks are
/// those of all arguments together; each v and product is of its x's shape.
template <class F, class T>
std::pair<Tensor<T>, std::vector<Tensor<T>>> hvp(F&& f, const std::vector<Tensor<T>>& x,
                                                 const std::vector<Tensor<std::type_identity_t<T>>>& v,
                                                 DerivativeOptions options = {}) {
  return detail::hvp<T>([&](const auto& list) { return detail::call<T>("hvp", f, list); }, x, v, options);
}
template <class F, class T>
auto hvp(F&& f, std::initializer_list<Tensor<T>> x, const std::vector<Tensor<std::type_identity_t<T>>>& v,
         DerivativeOptions options = {}) {
  return hvp(f, std::vector<Tensor<T>>(x), v, options);
}
template <class F, class T>
std::pair<Tensor<T>, Tensor<T>> hvp(F&& f, const Tensor<T>& x, const Tensor<std::type_identity_t<T>>& v,
                                    DerivativeOptions options = {}) {
  auto [y, products] = detail::hvp<T>([&](const auto& list) { return f(list.front()); }, {x}, {v}, options);
  return {std::move(y), std::move(products.front())};
}

}  // namespace xtape
