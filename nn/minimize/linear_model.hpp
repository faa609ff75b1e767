// r + J p, and the step that makes it least within a radius. Not for users' programs.
#pragma once
#include <memory>

#include "problem.hpp"

namespace xtape::nn::minimizing {

/// A step of Levenberg and Marquardt.
struct ModelStep {
  std::vector<double> p;
  double size = 0;  ///< |D p|
  bool at_the_edge = false;
};

/// The residuals r at a point and their Jacobian J, of m rows and n columns.
template <class T>
class LinearModel {
 public:
  virtual ~LinearModel() = default;
  /// Jᵀ r.
  virtual std::vector<T> gradient() = 0;
  /// The least |r + J p| with |D p| ≤ radius, of the unknowns that are not blocked. Where that is iterated,
  /// it ends when Jᵀ(r + J p) is `accuracy` of Jᵀr, or less near a minimum.
  virtual ModelStep step(double radius, double accuracy) = 0;
  /// |J p|².
  virtual double square_of(const std::vector<double>& p) = 0;
  /// How many singular values of J count; 0 where that is not known.
  virtual std::size_t rank() { return 0; }
};

/// With J as it is, for |D p| with D the lengths of its columns, or those in `scale` where they are longer,
/// which then has them; D = 1 for a column of zeros.
template <class T>
std::unique_ptr<LinearModel<T>> whole_jacobian(const TensorFunction<T>& residuals,
                                               const Unknowns<T>& unknowns, const Bounds<T>& bounds,
                                               const std::vector<T>& x, const Tensor<T>& r,
                                               std::vector<double>& scale);
/// With products, which are counted; D = 1.
template <class T>
std::unique_ptr<LinearModel<T>> jacobian_products(const TensorFunction<T>& residuals,
                                                  const Unknowns<T>& unknowns, const Bounds<T>& bounds,
                                                  const std::vector<T>& x, std::size_t& products);

}  // namespace xtape::nn::minimizing
