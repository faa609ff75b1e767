// Derivatives of functions of tensors. Each runs f on a fresh leaf that shares the value of x, so that the
// gradients of x itself stay as they are.
#pragma once
#include <functional>
#include <tuple>
#include <utility>
#include <vector>

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

namespace detail {

/// A fresh leaf with the value of x; x itself when the derivative is to depend on it.
template <class T>
Tensor<T> variable(const Tensor<T>& x, const DerivativeOptions& options) {
  if (options.create_graph && x.requires_grad()) return x;
  return Tensor<T>(Handle{x.handle().value, make_leaf(x.shape())});
}

/// {f(), its tangent} for the tangents of leaves.
template <class T>
std::pair<Tensor<T>, Tensor<T>> carry_forward(const std::function<Tensor<T>()>& f,
                                              const std::vector<Tensor<T>>& leaves,
                                              const std::vector<Tensor<T>>& tangents, bool create_graph);

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

/// {f(x), J v}: v has the shape of x, the product that of f(x). Forward mode, in the one run of f: each
/// operation carries on how its result moves when x moves along v; a checkpoint runs its function again. What
/// is recorded stays until the end, as for a backward pass. A rule of custom() has its transpose, so it must
/// be made of recorded operations on g, else that is an Error. Where a length is 0, its second derivative is
/// that of the reverse mode only: take hvp(), or a gradient within.
template <class F, class T>
std::pair<Tensor<T>, Tensor<T>> jvp(F&& f, const Tensor<T>& x, const Tensor<std::type_identity_t<T>>& v,
                                    DerivativeOptions options = {}) {
  if (!(v.shape() == x.shape()))
    throw Error("jvp", "the direction has the shape " + to_string(v.shape()) + ", x " + to_string(x.shape()));
  const detail::RecordingScope scope(true);
  const Tensor<T> leaf = detail::variable(x, options);
  return detail::carry_forward<T>([&] { return f(leaf); }, {leaf}, {v}, options.create_graph);
}

/// ∂f(x)[i] / ∂x[j], of the shape (shape of f(x)…, shape of x…): by rows, a backward pass for each element of
/// f(x), or by columns, where f(x) has more elements than x: then f runs once more for each element of x, in
/// forward mode and with the same random numbers, and must compute the same again; for one that does not, say
/// Mode::reverse.
template <class F, class T>
Tensor<T> jacobian(F&& f, const Tensor<T>& x, DerivativeOptions options = {}) {
  const detail::RecordingScope scope(true);
  const detail::RandomPoint before;
  const Tensor<T> leaf = detail::variable(x, options);
  const Tensor<T> y = f(leaf);
  Shape shape = y.shape();
  for (std::size_t d : x.shape()) shape.push_back(d);
  if (y.size() == 0 || x.size() == 0) return zeros<T>(shape);
  const auto unit = [](const Tensor<T>& like, std::size_t i) {
    Tensor<T> one = zeros<T>(like.shape());
    one.mutable_data()[i] = T(1);
    return one;
  };
  std::vector<Tensor<T>> lines;
  if (options.mode == Mode::forward || (options.mode == Mode::automatic && x.size() < y.size())) try {
      for (std::size_t i = 0; i < x.size(); ++i) {
        before.rewind();
        lines.push_back(jvp(f, x, unit(x, i), options).second);
      }
      return reshape(stack(lines, static_cast<std::ptrdiff_t>(y.rank())), Dims(shape));
    } catch (const Error&) {
      if (options.mode == Mode::forward) throw;
      lines.clear();  // a rule without forward mode
    }
  for (std::size_t i = 0; i < y.size(); ++i)
    lines.push_back(detail::gradient_or_zero(
        y, leaf, {.seed = unit(y, i), .retain_tape = true, .create_graph = options.create_graph}));
  return reshape(stack(lines), Dims(shape));
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
