// Derivatives of functions of tensors. Each runs f on a fresh leaf that shares the value of x, so that the
// gradients of x itself stay as they are.
#pragma once
#include <tuple>
#include <utility>
#include <vector>

#include "elementwise.hpp"
#include "grad.hpp"
#include "layout.hpp"
#include "reductions.hpp"

namespace xtape {

/// Whether the derivative itself can be differentiated with respect to x.
struct DerivativeOptions {
  bool create_graph = false;
};

namespace detail {

/// A fresh leaf with the value of x; x itself when the derivative is to depend on it.
template <class T>
Tensor<T> variable(const Tensor<T>& x, const DerivativeOptions& options) {
  if (options.create_graph && x.requires_grad()) return x;
  return Tensor<T>(Handle{x.handle().value, make_leaf(x.shape())});
}

/// The gradient of y, 0 where y does not depend on x.
template <class T>
Tensor<T> gradient_or_zero(const Tensor<T>& y, const Tensor<T>& x, const BackwardOptions<T>& options) {
  return y.requires_grad() ? grad(y, x, options) : zeros<T>(x.shape());
}

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

/// {f(x), vᵀ J}: v has the shape of f(x), the product that of x.
template <class F, class T>
std::pair<Tensor<T>, Tensor<T>> vjp(F&& f, const Tensor<T>& x, const Tensor<std::type_identity_t<T>>& v,
                                    DerivativeOptions options = {}) {
  const detail::RecordingScope scope(true);
  const Tensor<T> leaf = detail::variable(x, options);
  const Tensor<T> y = f(leaf);
  Tensor<T> product = detail::gradient_or_zero(y, leaf, {.seed = v, .create_graph = options.create_graph});
  return {options.create_graph ? y : y.detach(), product};
}

/// {f(x), J v}: v has the shape of x, the product that of f(x). Runs in reverse twice: u ↦ uᵀ J is linear,
/// and its derivative along v is J v.
template <class F, class T>
std::pair<Tensor<T>, Tensor<T>> jvp(F&& f, const Tensor<T>& x, const Tensor<std::type_identity_t<T>>& v,
                                    DerivativeOptions options = {}) {
  const detail::RecordingScope scope(true);
  if (!(v.shape() == x.shape()))
    throw Error("jvp", "the direction has the shape " + to_string(v.shape()) + ", x " + to_string(x.shape()));
  const Tensor<T> leaf = detail::variable(x, options);
  const Tensor<T> y = f(leaf);
  const Tensor<T> u = parameter(zeros<T>(y.shape()));
  const Tensor<T> g = detail::gradient_or_zero(y, leaf, {.seed = u, .create_graph = true});
  Tensor<T> product = detail::gradient_or_zero(g, u, {.seed = v, .create_graph = options.create_graph});
  return {options.create_graph ? y : y.detach(), product};
}

/// ∂f(x)[i] / ∂x[j], of the shape (shape of f(x)…, shape of x…). One backward pass for each element of f(x).
template <class F, class T>
Tensor<T> jacobian(F&& f, const Tensor<T>& x, DerivativeOptions options = {}) {
  const detail::RecordingScope scope(true);
  const Tensor<T> leaf = detail::variable(x, options);
  const Tensor<T> y = f(leaf);
  Shape shape = y.shape();
  for (std::size_t d : x.shape()) shape.push_back(d);
  if (y.size() == 0 || x.size() == 0) return zeros<T>(shape);
  std::vector<Tensor<T>> rows;
  for (std::size_t i = 0; i < y.size(); ++i) {
    Tensor<T> seed = zeros<T>(y.shape());
    seed.mutable_data()[i] = T(1);
    rows.push_back(detail::gradient_or_zero(
        y, leaf, {.seed = seed, .retain_tape = true, .create_graph = options.create_graph}));
  }
  return reshape(stack(rows), Dims(shape));
}

/// ∂²f / ∂x[i]∂x[j] of a function with one element, of the shape (shape of x…, shape of x…).
template <class F, class T>
Tensor<T> hessian(F&& f, const Tensor<T>& x, DerivativeOptions options = {}) {
  return jacobian(
      [&](const Tensor<T>& at) { return detail::gradient_or_zero(f(at), at, {.create_graph = true}); }, x,
      options);
}

/// {f(x), H v} for a function with one element, without forming the Hessian; v and the product are of x's
/// shape.
template <class F, class T>
std::pair<Tensor<T>, Tensor<T>> hvp(F&& f, const Tensor<T>& x, const Tensor<std::type_identity_t<T>>& v,
                                    DerivativeOptions options = {}) {
  const detail::RecordingScope scope(true);
  if (!(v.shape() == x.shape()))
    throw Error("hvp", "the direction has the shape " + to_string(v.shape()) + ", x " + to_string(x.shape()));
  const Tensor<T> leaf = detail::variable(x, options);
  const Tensor<T> y = f(leaf);
  const Tensor<T> g = detail::gradient_or_zero(y, leaf, {.create_graph = true});
  Tensor<T> product = detail::gradient_or_zero(g, leaf, {.seed = v, .create_graph = options.create_graph});
  return {options.create_graph ? y : y.detach(), product};
}

}  // namespace xtape
