// Minimisers: functions of many unknowns, and sums of squares, with gradients by the tape.
#pragma once
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <iosfwd>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <autodiff/engine.hpp>
#include <autodiff/tensor.hpp>

#include "line_search.hpp"

namespace xtape {

/// How minimize() goes on from a point.
enum class Minimizer {
  /// Along −H g, where H is made of the last changes of x and of the gradient g (Nocedal, 1980; Nocedal and
  /// Wright, Numerical Optimization, Algorithm 7.5): a gradient for each step, and memory for `history`
  /// pairs.
  lbfgs,
  /// By the step that minimises gᵀp + pᵀHp / 2 within a trust region, found by conjugate gradients, which use
  /// products of the Hessian with vectors as hvp() gives them, and follow negative curvature to the edge of
  /// the region (Steihaug, 1983; Nocedal and Wright, Algorithms 4.1 and 7.2). Few steps, and the last digits.
  newton_cg,
  /// Along −g, by the step of Barzilai and Borwein (1988), or back from it until f is below the largest of
  /// its last ten values (Raydan, 1997; with bounds Birgin, Martínez and Raydan, 2000), so that f may rise on
  /// the way. Slow where the curvatures differ much.
  gradient_descent
};

}  // namespace xtape

namespace xtape::nn {
namespace detail {

template <class X>
struct ElementOfUnknowns;
template <class T>
struct ElementOfUnknowns<Tensor<T>> {
  using type = T;
};
template <class T>
struct ElementOfUnknowns<std::vector<Tensor<T>>> {
  using type = T;
};
/// `fine` for unknowns in double, `coarse` for those in float.
template <class X>
constexpr double tolerance(double fine, double coarse) {
  return std::is_same_v<typename ElementOfUnknowns<X>::type, float> ? coarse : fine;
}

template <class T>
using TensorFunction = std::function<Tensor<T>(const std::vector<Tensor<T>>&)>;

}  // namespace detail
}  // namespace xtape::nn

namespace xtape {

/// What a callback sees of an iteration. X is Tensor<T>, or std::vector<Tensor<T>> for several.
template <class X>
struct MinimizeIteration {
  std::size_t number = 0;  ///< 0 is the start
  double value = 0;
  double gradient_norm = 0;     ///< the largest component of the gradient; with bounds see Minimum
  double step = 0;              ///< the largest change of an unknown
  std::size_t evaluations = 0;  ///< of f with its gradient, up to now
  X x{};
};

/// Settings of minimize(). A tolerance of 0 is met by 0 alone. Defaults in double; in float the gradient's is
/// 1e-4.
template <class X = Tensor<double>>
struct MinimizeOptions {
  Minimizer method = Minimizer::lbfgs;
  std::size_t history = 10;                           ///< pairs that lbfgs keeps
  LineSearch line_search = LineSearch::strong_wolfe;  ///< of lbfgs without bounds, else backtracking or none
  double gradient_tolerance = nn::detail::tolerance<X>(1e-8, 1e-4);  ///< of the largest component
  double value_tolerance = 0;  ///< of the last change of f, relative to f
  double step_tolerance = 0;   ///< of the largest change of an unknown, relative to the largest, or to 1
  std::size_t max_iterations = 10000;
  std::size_t max_evaluations = 0;  ///< of f with its gradient; 0: no limit
  /// Bounds of x, of its shape or broadcasting to it; infinities, and tensors that are left out, bound
  /// nothing. x0 is moved within. With bounds line searches go back along the projected path.
  X lower{}, upper{};
  /// Sees the start and each iteration; returns false to end there.
  std::function<bool(const MinimizeIteration<X>&)> callback = {};
  std::ostream* progress = nullptr;  ///< takes a line for each iteration …
  std::size_t progress_every = 1;    ///< … or for some of them
};

/// What least_squares() takes of the Jacobian J.
enum class JacobianUse {
  automatic,  ///< whole, unless it has more than 2e7 elements, or its factors would take more than 2e9
              ///< products
  whole,      ///< jacobian(), by its rows or its columns, whichever are fewer, and its singular values
  products    ///< J v by jvp() and Jᵀu by vjp(), for conjugate gradients
};

/// Settings of least_squares(). In float the tolerances are 1e-4, and 1e-5 of value and step.
template <class X = Tensor<double>>
struct LeastSquaresOptions {
  double gradient_tolerance = nn::detail::tolerance<X>(1e-8, 1e-4);  ///< of the largest component of Jᵀr
  /// Of the last decrease of Σ r², and of the one that the linear model promised, relative to Σ r².
  double value_tolerance = nn::detail::tolerance<X>(1e-10, 1e-5);
  double step_tolerance = nn::detail::tolerance<X>(1e-10, 1e-5);  ///< of |D p|, relative to |D x|
  std::size_t max_iterations = 1000;
  std::size_t max_evaluations = 0;  ///< of the residuals; 0: no limit
  JacobianUse jacobian = JacobianUse::automatic;
  X lower{}, upper{};  ///< as in MinimizeOptions
  std::function<bool(const MinimizeIteration<X>&)> callback = {};
  std::ostream* progress = nullptr;
  std::size_t progress_every = 1;
};

/// What a minimiser found.
template <class X = Tensor<double>>
struct Minimum {
  X x{};
  double value = 0;             ///< f(x); of least_squares() ½ Σ r²
  std::size_t iterations = 0;   ///< steps that were taken
  bool converged = false;       ///< a tolerance is met, or f has no digits left that a step could decrease
  std::string message{};        ///< why it ended, with the numbers
  std::size_t evaluations = 0;  ///< of f with its gradient; in least_squares(), of the residuals
  std::size_t products = 0;     ///< of the Hessian, or of the Jacobian and its transpose, with vectors
  double gradient_norm = 0;     ///< the largest component of the gradient; with bounds, of P(x − g) − x
  X gradient{};
  std::vector<double> history{};  ///< f at the start and after each iteration
};

/// What least_squares() found.
template <class X = Tensor<double>>
struct LeastSquaresMinimum : Minimum<X> {
  std::size_t jacobians = 0;  ///< that were formed
  std::size_t rank = 0;       ///< of the last of them, as far as bounds leave its columns
  Tensor<typename nn::detail::ElementOfUnknowns<X>::type> residuals{};  ///< at x
};

}  // namespace xtape

namespace xtape::nn {
namespace detail {

template <class T>
using TensorList = std::vector<Tensor<T>>;

template <class T>
Minimum<TensorList<T>> minimize(const TensorFunction<T>& f, const TensorList<T>& x0,
                                const MinimizeOptions<TensorList<T>>& options);
template <class T>
LeastSquaresMinimum<TensorList<T>> least_squares(const TensorFunction<T>& residuals, const TensorList<T>& x0,
                                                 const LeastSquaresOptions<TensorList<T>>& options);

/// The options for one tensor, as those for a list of one.
template <class T, template <class> class Options>
void copy_common(Options<TensorList<T>>& to, const Options<Tensor<T>>& from) {
  to.gradient_tolerance = from.gradient_tolerance;
  to.value_tolerance = from.value_tolerance;
  to.step_tolerance = from.step_tolerance;
  to.max_iterations = from.max_iterations;
  to.max_evaluations = from.max_evaluations;
  to.lower = {from.lower};
  to.upper = {from.upper};
  if (from.callback)
    to.callback = [callback = from.callback](const MinimizeIteration<TensorList<T>>& i) {
      return callback({i.number, i.value, i.gradient_norm, i.step, i.evaluations, i.x.front()});
    };
  to.progress = from.progress;
  to.progress_every = from.progress_every;
}
template <class T>
void copy_minimum(Minimum<Tensor<T>>& to, Minimum<TensorList<T>>&& from) {
  to = {std::move(from.x.front()),
        from.value,
        from.iterations,
        from.converged,
        std::move(from.message),
        from.evaluations,
        from.products,
        from.gradient_norm,
        std::move(from.gradient.front()),
        std::move(from.history)};
}

}  // namespace detail
}  // namespace xtape::nn

namespace xtape {

/// A minimum of f near x0: the point where it ends, the value, the counts and, in `message`, why it ended
/// there. f takes what x0 is, a tensor or a list of them (or as many tensors as the list has), gives one
/// element, and gives the same for the same x. It is called on leaves with the values of x; the gradients of
/// x0 itself stay as they are.
///
///     const auto found = minimize([&](const auto& w) { return loss(w); }, w0);
///     if (!found.converged) std::cerr << found.message << "\n";
///
/// Where f is NaN or infinite a search goes back; where it is so at x0, that is the message. Errors: an x0
/// that is empty or not finite; an f of several elements, or one that does not depend on x; bounds that cross
/// or do not broadcast.
template <class F, class T>
Minimum<Tensor<T>> minimize(F&& f, const Tensor<T>& x0,
                            const std::type_identity_t<MinimizeOptions<Tensor<T>>>& options = {}) {
  MinimizeOptions<std::vector<Tensor<T>>> of_list;
  nn::detail::copy_common(of_list, options);
  of_list.method = options.method;
  of_list.line_search = options.line_search;
  of_list.history = options.history;
  Minimum<Tensor<T>> result;
  nn::detail::copy_minimum(
      result, nn::detail::minimize<T>(
                  [&](const std::vector<Tensor<T>>& x) -> Tensor<T> { return f(x.front()); }, {x0}, of_list));
  return result;
}
/// Of several tensors.
template <class F, class T>
Minimum<std::vector<Tensor<T>>> minimize(
    F&& f, const std::vector<Tensor<T>>& x0,
    const std::type_identity_t<MinimizeOptions<std::vector<Tensor<T>>>>& options = {}) {
  return nn::detail::minimize<T>(
      [&](const std::vector<Tensor<T>>& x) -> Tensor<T> { return engine::call<T>("minimize", f, x); }, x0,
      options);
}
template <class F, class T>
auto minimize(F&& f, std::initializer_list<Tensor<T>> x0,
              const std::type_identity_t<MinimizeOptions<std::vector<Tensor<T>>>>& options = {}) {
  return minimize(std::forward<F>(f), std::vector<Tensor<T>>(x0), options);
}

/// A minimum of ½ Σ r(x)² near x0, by the method of Levenberg (1944) and Marquardt (1963), as a trust region:
/// the step p minimises |r + J p| among those with |D p| ≤ Δ, where D holds the largest lengths that the
/// columns of J have had, so that the units of the unknowns do not matter (Moré, 1978; MINPACK's lmder). It
/// is p = −D⁻¹ V (S² + λ)⁻¹ S Uᵀ r of the singular values J D⁻¹ = U S Vᵀ: J may have less rank than columns,
/// and fewer rows; then the step without damping is the shortest. Where J is not formed, the step comes from
/// conjugate gradients up to the edge of the region, with D = 1. `residuals` gives a tensor of any shape;
/// else as for minimize().
template <class F, class T>
LeastSquaresMinimum<Tensor<T>> least_squares(
    F&& residuals, const Tensor<T>& x0,
    const std::type_identity_t<LeastSquaresOptions<Tensor<T>>>& options = {}) {
  LeastSquaresOptions<std::vector<Tensor<T>>> of_list;
  nn::detail::copy_common(of_list, options);
  of_list.jacobian = options.jacobian;
  auto found = nn::detail::least_squares<T>(
      [&](const std::vector<Tensor<T>>& x) -> Tensor<T> { return residuals(x.front()); }, {x0}, of_list);
  LeastSquaresMinimum<Tensor<T>> result;
  result.jacobians = found.jacobians;
  result.rank = found.rank;
  result.residuals = found.residuals;
  nn::detail::copy_minimum(result, std::move(found));
  return result;
}
/// Of several tensors.
template <class F, class T>
LeastSquaresMinimum<std::vector<Tensor<T>>> least_squares(
    F&& residuals, const std::vector<Tensor<T>>& x0,
    const std::type_identity_t<LeastSquaresOptions<std::vector<Tensor<T>>>>& options = {}) {
  return nn::detail::least_squares<T>(
      [&](const std::vector<Tensor<T>>& x) -> Tensor<T> {
        return engine::call<T>("least_squares", residuals, x);
      },
      x0, options);
}
template <class F, class T>
auto least_squares(F&& residuals, std::initializer_list<Tensor<T>> x0,
                   const std::type_identity_t<LeastSquaresOptions<std::vector<Tensor<T>>>>& options = {}) {
  return least_squares(std::forward<F>(residuals), std::vector<Tensor<T>>(x0), options);
}

}  // namespace xtape
