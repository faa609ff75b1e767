// The solution z of F(z, θ) = 0 as a node: its gradients are linear solves with ∂F/∂z.
#pragma once
#include "../solvers.hpp"

namespace xtape::detail {

/// z, a value, with the rule that z(θ) has; θ with what of it requires gradients.
template <class T>
Tensor<T> implicit_solution(const char* name, const Equation<T>& F, const Tensor<T>& z,
                            const std::vector<Tensor<T>>& theta, const SolverOptions& options);

}  // namespace xtape::detail
