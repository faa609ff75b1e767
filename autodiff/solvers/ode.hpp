// What the methods of odeint() share.
#pragma once
#include <string>
#include <vector>

#include "../derivatives.hpp"
#include "../ops/layout_ops.hpp"
#include "../solvers.hpp"

namespace xtape::detail {

/// dy/dt at t
template <class T>
Tensor<T> slope_at(const Ode<T>& f, double t, const Tensor<T>& y, const std::vector<Tensor<T>>& theta) {
  const Tensor<T> slope = f(static_cast<T>(t), y, theta);
  if (!(slope.shape() == y.shape()))
    throw Error("odeint", "f gives shape " + to_string(slope.shape()) + " for y of shape " +
                              to_string(y.shape()) + ": dy/dt has that of y");
  return slope;
}

/// f of a list, y in front of θ.
template <class T>
Tensor<T> slope_of_list(const Ode<T>& f, double t, const std::vector<Tensor<T>>& x) {
  return slope_at(f, t, x.front(), std::vector<Tensor<T>>(x.begin() + 1, x.end()));
}

/// The parts of a row that packed() makes, in the shapes of `like`.
template <class T>
std::vector<Tensor<T>> unpacked(const Tensor<T>& row, const std::vector<Tensor<T>>& like) {
  std::vector<Tensor<T>> parts;
  std::size_t from = 0;
  for (const Tensor<T>& one : like) {
    parts.push_back(reshape(slice(row, xt::range(from, from + one.size())), Dims(one.shape())));
    from += one.size();
  }
  return parts;
}

/// y at the times by the method of the options, with gradients by an adjoint equation.
template <class T>
Tensor<T> ode_solution(const Ode<T>& f, const Tensor<T>& y0, const std::vector<double>& times,
                       const std::vector<Tensor<T>>& theta, const OdeOptions& options);

/// How it changes with the inputs y0 and θ along `directions` of their shapes: the state is y, and below it
/// its tangent.
template <class T>
Tensor<T> ode_tangent(const Ode<T>& f, const std::vector<Tensor<T>>& inputs,
                      const std::vector<Tensor<T>>& directions, const std::vector<double>& times,
                      const OdeOptions& options) {
  const auto parameters = static_cast<std::ptrdiff_t>(inputs.size()) - 1;
  const Ode<T> both = [f, parameters](T t, const Tensor<T>& state, const std::vector<Tensor<T>>& p) {
    std::vector<Tensor<T>> x{slice(state, 0)}, dx{slice(state, 1)};
    x.insert(x.end(), p.begin(), p.begin() + parameters);
    dx.insert(dx.end(), p.begin() + parameters, p.end());
    const auto of = [&](const std::vector<Tensor<T>>& list) { return slope_of_list(f, t, list); };
    const auto [slope, tangent] = jvp<T>(of, x, dx, {.create_graph = recording});
    return stack({slope, tangent});
  };
  std::vector<Tensor<T>> theta(inputs.begin() + 1, inputs.end());
  theta.insert(theta.end(), directions.begin() + 1, directions.end());
  const Tensor<T> y = ode_solution<T>(both, stack({inputs[0], directions[0]}), times, theta, options);
  return slice(y, xt::all(), 1);
}

/// Values of y at the times, of constants, by CVODES. Error where xtape was built without SUNDIALS.
template <class T>
Tensor<T> bdf_values(const Ode<T>& f, const Tensor<T>& y0, const std::vector<double>& times,
                     const std::vector<Tensor<T>>& theta, const OdeOptions& options);

/// The adjoints of y0 and θ, packed() so that they are one node, from g, that of y at the times. Between
/// CVODES's checkpoints y is computed forward again, since backward in time what decays would grow without
/// limit.
template <class T>
Tensor<T> bdf_adjoint(const Ode<T>& f, const std::vector<Tensor<T>>& inputs, const Tensor<T>& g,
                      const std::vector<double>& times, const OdeOptions& options);

}  // namespace xtape::detail
