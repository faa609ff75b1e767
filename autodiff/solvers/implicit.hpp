// The solution z of F(z, θ) = 0 as a node: its gradients are linear solves with ∂F/∂z.
#pragma once
#include "../error.hpp"
#include "../solvers.hpp"
#include "../tape.hpp"

namespace xtape::detail {

/// The tensors as constants.
template <class T>
std::vector<Tensor<T>> values_of(const std::vector<Tensor<T>>& list) {
  std::vector<Tensor<T>> values;
  for (const Tensor<T>& x : list) values.push_back(x.detach());
  return values;
}

/// Error where f(), computed from constants, requires a gradient: what it captures would get none.
template <class F>
void require_no_other_leaf(const char* op, const F& f) {
  const EnableGrad on;
  if (f().requires_grad())
    throw Error(op,
                "the function depends on a tensor that requires a gradient and is not in theta, so that it "
                "would get none: pass it as one of theta, or detach() it");
}

/// A = ∂F/∂z at one z, for an F of the shape of z: as a matrix, made when it is first asked for, or by
/// products.
template <class T>
class Derivative {
 public:
  Derivative(const char* used_by, Equation<T> F, const Tensor<T>& z, const std::vector<Tensor<T>>& theta,
             const SolverOptions& options)
      : used_by_(used_by),
        F_(std::move(F)),
        z_(z.detach()),
        theta_(values_of(theta)),
        dense_limit_(options.dense_limit) {}

  bool is_dense() const { return z_.size() <= dense_limit_; }
  /// (n, n) for n unknowns
  const Tensor<T>& matrix() const;
  /// A v, or Aᵀ v
  Tensor<T> product(const Tensor<T>& v, bool transpose) const;
  /// x of A x = b, or of Aᵀ x = b. By products it ends at |A x - b| <= tolerance |b|. Error where A is
  /// singular.
  Tensor<T> solve(const Tensor<T>& b, bool transpose, double tolerance) const;

 private:
  Tensor<T> at(const Tensor<T>& z) const { return F_(z, theta_); }

  const char* used_by_;
  Equation<T> F_;
  Tensor<T> z_;
  std::vector<Tensor<T>> theta_;
  std::size_t dense_limit_;
  mutable Tensor<T> matrix_;
};

/// z, a value, with the rule that z(θ) has; θ with what of it requires gradients.
template <class T>
Tensor<T> implicit_solution(const char* name, const Equation<T>& F, const Tensor<T>& z,
                            const std::vector<Tensor<T>>& theta, const SolverOptions& options);

}  // namespace xtape::detail
