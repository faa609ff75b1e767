// Solutions of equations and minima, differentiated by the implicit function theorem: however many iterations
// found the solution z(θ) of F(z, θ) = 0, none is recorded, and its derivative is one linear solve,
// dz = -(∂F/∂z)⁻¹ (∂F/∂θ) dθ. Derivatives of any order, in both modes.
#pragma once
#include <functional>
#include <initializer_list>
#include <type_traits>
#include <utility>
#include <vector>

#include "tensor.hpp"

namespace xtape {

struct SolverOptions {
  /// The largest element of what is to be 0 that counts as 0. 0: 1e-10 in double, 1e-5 in float.
  double tolerance = 0;
  std::size_t iterations = 100;
  /// Up to so many unknowns the matrix of derivatives is formed and factorised; beyond that products with it,
  /// by jvp() and vjp(), serve GMRES.
  std::size_t dense_limit = 200;
  /// How many iterates fixed_point() extrapolates from (Anderson's method); 0: z = f(z), over and over.
  std::size_t memory = 5;
};

namespace detail {

/// f(z, θ) for a list θ.
template <class T>
using Equation = std::function<Tensor<T>(const Tensor<T>& z, const std::vector<Tensor<T>>& theta)>;
template <class T>
Tensor<T> fixed_point(const Equation<T>& f, const Tensor<T>& z0, const std::vector<Tensor<T>>& theta,
                      const SolverOptions& options);
template <class T>
Tensor<T> root(const Equation<T>& F, const Tensor<T>& z0, const std::vector<Tensor<T>>& theta,
               const SolverOptions& options);
template <class T>
Tensor<T> argmin(const Equation<T>& loss, const Tensor<T>& z0, const std::vector<Tensor<T>>& theta,
                 const SolverOptions& options);

template <class F, class T>
inline constexpr bool takes_one = std::is_invocable_v<F&, const Tensor<T>&>;
/// A function of (z, θ) or of z alone, of θ as it was given: one tensor, or a list.
template <class T, class F>
Equation<T> equation_of_one(F f) {
  return [f = std::move(f)](const Tensor<T>& z, const std::vector<Tensor<T>>& theta) -> Tensor<T> {
    return f(z, theta.front());
  };
}
template <class T, class F>
Equation<T> equation_alone(F f) {
  return [f = std::move(f)](const Tensor<T>& z, const std::vector<Tensor<T>>&) -> Tensor<T> { return f(z); };
}

}  // namespace detail

/// z of z = f(z, θ), from z0, by Anderson's method. θ is a tensor or a vector of tensors, as f takes it; z
/// has the shape of z0 and gets gradients with respect to θ: what f captures must be constant. Errors: f of
/// another shape than z; a recorded tensor that is not in θ; no convergence, with the residual.
template <class F, class T>
Tensor<T> fixed_point(F f, const Tensor<T>& z0, const std::vector<Tensor<T>>& theta,
                      const SolverOptions& options = {}) {
  return detail::fixed_point<T>(std::move(f), z0, theta, options);
}
template <class F, class T>
Tensor<T> fixed_point(F f, const Tensor<T>& z0, const Tensor<std::type_identity_t<T>>& theta,
                      const SolverOptions& options = {}) {
  return detail::fixed_point<T>(detail::equation_of_one<T>(std::move(f)), z0, {theta}, options);
}

/// z of F(z, θ) = 0, from z0, by Newton's method with a line search on |F|. F has as many elements as z. The
/// same arguments and errors as fixed_point(); a singular ∂F/∂z is an error, too.
template <class F, class T>
requires(!detail::takes_one<F, T>) Tensor<T> root(F f, const Tensor<T>& z0,
                                                  const std::vector<Tensor<T>>& theta,
                                                  const SolverOptions& options = {}) {
  return detail::root<T>(std::move(f), z0, theta, options);
}
template <class F, class T>
requires(!detail::takes_one<F, T>) Tensor<T> root(F f, const Tensor<T>& z0,
                                                  const Tensor<std::type_identity_t<T>>& theta,
                                                  const SolverOptions& options = {}) {
  return detail::root<T>(detail::equation_of_one<T>(std::move(f)), z0, {theta}, options);
}
/// Without parameters: a constant.
template <class F, class T>
requires std::is_invocable_v < F&, const Tensor<T>
& > Tensor<T> root(F f, const Tensor<T>& z0, const SolverOptions& options = {}) {
  return detail::root<T>(detail::equation_alone<T>(std::move(f)), z0, {}, options);
}

/// The z near z0 where loss(z, θ), of one element, is least, by Newton's method with a shift where the
/// Hessian is not positive definite, and a line search. Its derivative is that of ∂loss/∂z = 0. The same
/// arguments and errors as fixed_point(). minimize() of <nn/minimize.hpp> has more methods, and says how it
/// went.
template <class F, class T>
Tensor<T> argmin(F loss, const Tensor<T>& z0, const std::vector<Tensor<T>>& theta,
                 const SolverOptions& options = {}) {
  return detail::argmin<T>(std::move(loss), z0, theta, options);
}
template <class F, class T>
Tensor<T> argmin(F loss, const Tensor<T>& z0, const Tensor<std::type_identity_t<T>>& theta,
                 const SolverOptions& options = {}) {
  return detail::argmin<T>(detail::equation_of_one<T>(std::move(loss)), z0, {theta}, options);
}

/// Methods of odeint(). dopri5: Dormand and Prince's of order 5, whose step follows from an estimate of its
/// error by order 4. bdf: formulas of backward differentiation, of order 1 to 5, for stiff equations, whose
/// slowest part takes many times as long as the fastest; by CVODES, where xtape was built with SUNDIALS. Its
/// steps solve with ∂f/∂y, a matrix up to 200 unknowns, else by GMRES.
enum class Method { dopri5, bdf };

struct OdeOptions {
  Method method = Method::dopri5;
  /// The error of a step is kept below atol + rtol |y|, in the root of the mean square.
  double rtol = 1e-6, atol = 1e-9;
  /// Gradients by a second equation, backward in time, in memory for one state (bdf: for one in 100 steps);
  /// or by recording every step of dopri5, which gives the gradient of what was computed, to rounding.
  bool adjoint = true;
  std::size_t max_steps = 100000;  ///< from the first time to the last; of bdf, from each to the next
};

namespace detail {

/// Times as they are given: a tensor of one axis, or a list of numbers. A tensor of T may have a gradient.
template <class T>
class Times {
 public:
  Times(const Tensor<float>& times) { set(times); }              // NOLINT
  Times(const Tensor<double>& times) { set(times); }             // NOLINT
  Times(std::vector<double> times) : list_(std::move(times)) {}  // NOLINT
  Times(std::initializer_list<double> times) : list_(times) {}   // NOLINT
  const std::vector<double>& list() const { return list_; }
  /// Undefined where no gradient goes to the times.
  const Tensor<T>& tensor() const { return tensor_; }

 private:
  template <class U>
  void set(const Tensor<U>& times);

  std::vector<double> list_;
  Tensor<T> tensor_;
};

/// dy/dt = f(t, y, θ)
template <class T>
using Ode = std::function<Tensor<T>(T t, const Tensor<T>& y, const std::vector<Tensor<T>>& theta)>;
template <class T>
Tensor<T> odeint(const Ode<T>& f, const Tensor<T>& y0, const Times<T>& times,
                 const std::vector<Tensor<T>>& theta, const OdeOptions& options);

}  // namespace detail

/// y at the times, (number of times, shape of y0…), of dy/dt = f(t, y, θ) with y0 at the first; the times go
/// up or down. f takes t as a number and gives the shape of y; θ is a tensor or a vector of tensors, or left
/// out. Gradients go to y0, θ and, by ∂y(t_k)/∂t_k = f(t_k, y(t_k)) and ∂y/∂t_0 = -∂y/∂y0 f(t_0, y0), to
/// times that are a tensor: what f captures must be constant. With `adjoint` (Chen et al. 2018) they have an
/// error of the size of rtol. They may be differentiated again, but where times require a gradient: f of a
/// number tells no ∂f/∂t. Sources: Dormand and Prince 1980; Hairer, Nørsett and Wanner 1993, "Solving
/// Ordinary Differential Equations I", sections II.4 to II.6, for the control of the step and the values
/// within one. Errors: no time, times that turn, or require a gradient and are not of the type of y, f of
/// another shape, a recorded tensor that is not in θ, a state that is not finite, steps that get too many or
/// too small, with the time; bdf without SUNDIALS, or with adjoint = false.
template <class F, class T>
Tensor<T> odeint(F f, const Tensor<T>& y0, const detail::Times<std::type_identity_t<T>>& times,
                 const std::vector<Tensor<T>>& theta, const OdeOptions& options = {}) {
  return detail::odeint<T>(std::move(f), y0, times, theta, options);
}
template <class F, class T>
requires(!std::is_invocable_v<F&, T, const Tensor<T>&>) Tensor<T> odeint(
    F f, const Tensor<T>& y0, const detail::Times<std::type_identity_t<T>>& times,
    const Tensor<std::type_identity_t<T>>& theta, const OdeOptions& options = {}) {
  const detail::Ode<T> of_one = [f = std::move(f)](T t, const Tensor<T>& y,
                                                   const std::vector<Tensor<T>>& p) -> Tensor<T> {
    return f(t, y, p.front());
  };
  return detail::odeint<T>(of_one, y0, times, {theta}, options);
}
template <class F, class T>
requires std::is_invocable_v < F&, T, const Tensor<T>
& > Tensor<T> odeint(F f, const Tensor<T>& y0, const detail::Times<std::type_identity_t<T>>& times,
                     const OdeOptions& options = {}) {
  const detail::Ode<T> alone = [f = std::move(f)](T t, const Tensor<T>& y,
                                                  const std::vector<Tensor<T>>&) -> Tensor<T> {
    return f(t, y);
  };
  return detail::odeint<T>(alone, y0, times, {}, options);
}

}  // namespace xtape
