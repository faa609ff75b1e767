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
namespace {

template <class T>
std::vector<Tensor<T>> values_of(const std::vector<Tensor<T>>& list) {
  std::vector<Tensor<T>> values;
  for (const Tensor<T>& x : list) values.push_back(x.detach());
  return values;
}

/// ∂F/∂z at a solution, as a matrix or by products.
template <class T>
class Derivative {
 public:
  Derivative(const char* used_by, Equation<T> F, const Tensor<T>& z, const std::vector<Tensor<T>>& theta,
             const SolverOptions& options)
      : used_by_(used_by), F_(std::move(F)), z_(z.detach()), theta_(values_of(theta)), options_(options) {}

  /// op(∂F/∂z)⁻¹ b
  Tensor<T> solve(const Tensor<T>& b, bool transpose) const {
    const EnableGrad on;
    const auto at = [&](const Tensor<T>& z) { return F_(z, theta_); };
    const Tensor<T> value = b.detach();
    const std::size_t n = z_.size();
    if (n <= options_.dense_limit) {
      if (!matrix_.defined()) matrix_ = reshape(jacobian(at, z_), Dims{n, n}).detach();
      const Tensor<T> A = transpose ? xtape::transpose(matrix_) : matrix_;
      return reshape(linalg::solve(A, reshape(value, Dims{n, 1})), Dims(value.shape())).detach();
    }
    const LinearMap<T> product = [&](const Tensor<T>& v) {
      return transpose ? vjp(at, z_, v).second.detach() : jvp(at, z_, v).second.detach();
    };
    return gmres<T>(product, value, 1000 * std::numeric_limits<T>::epsilon(), 20 * n, used_by_);
  }

 private:
  const char* used_by_;
  Equation<T> F_;
  Tensor<T> z_;
  std::vector<Tensor<T>> theta_;
  SolverOptions options_;
  mutable Tensor<T> matrix_;
};

/// z of F(z, θ) = 0 at which op(∂F/∂z) is that of `derivative`.
template <class T>
Tensor<T> with_rule(const char* name, const Equation<T>& F, const Tensor<T>& z,
                    const std::vector<Tensor<T>>& theta, std::shared_ptr<const Derivative<T>> derivative,
                    bool transposed) {
  const auto rule = [=](const Tensor<T>& g, const Tensor<T>& at) {
    // With w = (∂F/∂z)⁻ᵀ g, dθ = -wᵀ ∂F/∂θ. Where that is to be differentiated, w is a solution itself, of
    // (∂F/∂z)ᵀ w - g = 0.
    const bool is_recorded = recording;
    Tensor<T> w = derivative->solve(g, !transposed);
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

template Tensor<float> implicit_solution(const char*, const Equation<float>&, const Tensor<float>&,
                                         const std::vector<Tensor<float>>&, const SolverOptions&);
template Tensor<double> implicit_solution(const char*, const Equation<double>&, const Tensor<double>&,
                                          const std::vector<Tensor<double>>&, const SolverOptions&);

}  // namespace xtape::detail
