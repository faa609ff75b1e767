#include "implicit.hpp"

#include <limits>
#include <memory>

#include "../custom.hpp"
#include "../derivatives.hpp"
#include "../elementwise.hpp"
#include "../linalg.hpp"
#include "../tape.hpp"
#include "krylov.hpp"

namespace xtape::detail {
template <class T>
const Tensor<T>& Derivative<T>::matrix() const {
  if (!matrix_.defined()) {
    const EnableGrad on;
    const std::size_t n = z_.size();
    matrix_ = reshape(jacobian([&](const Tensor<T>& z) { return at(z); }, z_), Dims{n, n}).detach();
  }
  return matrix_;
}

template <class T>
Tensor<T> Derivative<T>::product(const Tensor<T>& v, bool transpose) const {
  const EnableGrad on;
  const auto f = [&](const Tensor<T>& z) { return at(z); };
  return (transpose ? vjp(f, z_, v) : jvp(f, z_, v)).second.detach();
}

template <class T>
Tensor<T> Derivative<T>::solve(const Tensor<T>& b, bool transpose, double tolerance) const {
  const Tensor<T> value = b.detach();
  const std::size_t n = z_.size();
  if (is_dense()) {
    const Tensor<T> A = transpose ? xtape::transpose(matrix()) : matrix();
    return reshape(linalg::solve(A, reshape(value, Dims{n, 1})), Dims(b.shape()));
  }
  const LinearMap<T> map = [&](const Tensor<T>& v) { return product(v, transpose); };
  return gmres<T>(map, value, tolerance, 20 * n, used_by_);
}

namespace {

/// z of F(z, θ) = 0, where ∂F/∂z is `derivative`, or its transpose.
template <class T>
Tensor<T> with_rule(const char* name, const Equation<T>& F, const Tensor<T>& z,
                    const std::vector<Tensor<T>>& theta, std::shared_ptr<const Derivative<T>> derivative,
                    bool transposed) {
  const auto rule = [=](const Tensor<T>& g, const Tensor<T>& at) {
    // With w = (∂F/∂z)⁻ᵀ g, dθ = -wᵀ ∂F/∂θ. Where that is to be differentiated, w is a solution itself, of
    // (∂F/∂z)ᵀ w - g = 0.
    const bool is_recorded = recording;
    Tensor<T> w = derivative->solve(g, !transposed, 1000 * std::numeric_limits<T>::epsilon());
    if (is_recorded) {
      std::vector<Tensor<T>> all{at, g};
      all.insert(all.end(), theta.begin(), theta.end());
      const Equation<T> adjoint_equation = [F](const Tensor<T>& y, const std::vector<Tensor<T>>& p) {
        const std::vector<Tensor<T>> parameters(p.begin() + 2, p.end());
        const auto of_z = [&](const Tensor<T>& x) { return F(x, parameters); };
        return vjp(of_z, p[0], y, {.create_graph = true}).second - p[1];
      };
      w = with_rule<T>(name, adjoint_equation, w, all, derivative, !transposed);
    }
    const auto of_theta = [&](const std::vector<Tensor<T>>& p) { return F(at, p); };
    return detail::vjp<T>(of_theta, theta, -w, {.create_graph = is_recorded}).second;
  };
  return custom<T>(name, theta, z, rule);
}

}  // namespace

template <class T>
Tensor<T> implicit_solution(const char* name, const Equation<T>& F, const Tensor<T>& z,
                            const std::vector<Tensor<T>>& theta, const SolverOptions& options) {
  if (theta.empty()) return z.detach();
  return with_rule<T>(name, F, z.detach(), theta,
                      std::make_shared<const Derivative<T>>(name, F, z, theta, options), false);
}

#define XTAPE_INSTANTIATE(T)                                                              \
  template class Derivative<T>;                                                           \
  template Tensor<T> implicit_solution(const char*, const Equation<T>&, const Tensor<T>&, \
                                       const std::vector<Tensor<T>>&, const SolverOptions&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail
