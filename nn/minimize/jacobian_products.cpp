// Steps by conjugate gradients over products with the Jacobian.
#include <cmath>

#include <autodiff/derivatives.hpp>
#include <autodiff/tape.hpp>

#include "linear_model.hpp"

namespace xtape::nn::minimizing {
namespace {

template <class T>
class JacobianProducts : public LinearModel<T> {
 public:
  JacobianProducts(const TensorFunction<T>& residuals, const Unknowns<T>& unknowns, const Bounds<T>& bounds,
                   const std::vector<T>& x, std::size_t& products)
      : residuals_(residuals), unknowns_(unknowns), bounds_(bounds), products_(products) {
    const EnableGrad recorded;
    leaves_ = leaves_of(unknowns.tensors(x));
    r_ = residuals(leaves_);
    at_.x = x;
    at_.gradient = transposed(r_.detach());
  }

  std::vector<T> gradient() override { return at_.gradient; }

  /// Steihaug's for |r + J p|², with Jᵀ(J p) in place of a Hessian: as LSQR in exact arithmetic, and as that
  /// with the residual itself carried on, which keeps the digits that JᵀJ would lose.
  ModelStep step(double radius, double accuracy) override {
    const std::size_t n = at_.x.size();
    std::vector<T> residual(r_.begin(), r_.end());
    multiply(residual, -1);
    std::vector<T> s = at_.gradient;
    multiply(s, -1);
    bounds_.mask(at_, s);
    std::vector<T> p(n), d = s;
    double size = dot(s, s);
    const double first = std::sqrt(size), enough = std::min(accuracy, std::sqrt(first)) * first;
    ModelStep result;
    for (std::size_t k = 0; k < std::min<std::size_t>(2 * n + 10, 1000) && size > 0; ++k) {
      const std::vector<T> q = product(d);
      const double alpha = size / dot(q, q);
      const std::vector<T> next = moved(p, alpha, d);
      if (!(length(next) < radius)) {
        add(p, to_the_edge(p, d, radius), d);
        result.at_the_edge = true;
        break;
      }
      p = next;
      add(residual, -alpha, q);
      s = transposed(Tensor<T>::from_data(residual, r_.shape()));
      bounds_.mask(at_, s);
      const double now = dot(s, s);
      if (std::sqrt(now) <= enough) break;
      d = moved(s, now / size, d);
      size = now;
    }
    result.p.assign(p.begin(), p.end());
    result.size = length(p);
    return result;
  }

  double square_of(const std::vector<double>& p) override {
    const std::vector<T> q = product(std::vector<T>(p.begin(), p.end()));
    return dot(q, q);
  }

 private:
  std::vector<T> product(const std::vector<T>& v) {
    ++products_;
    const Tensor<T> q =
        jvp([&](const TensorList<T>& x) { return residuals_(x); }, leaves_, unknowns_.tensors(v)).second;
    return {q.begin(), q.end()};
  }
  std::vector<T> transposed(const Tensor<T>& u) {
    ++products_;
    return unknowns_.flat(grad(r_, leaves_, {.seed = u, .retain_tape = true}));
  }

  const TensorFunction<T>& residuals_;
  const Unknowns<T>& unknowns_;
  const Bounds<T>& bounds_;
  std::size_t& products_;
  TensorList<T> leaves_;
  Tensor<T> r_;
  Point<T> at_;
};

}  // namespace

template <class T>
std::unique_ptr<LinearModel<T>> jacobian_products(const TensorFunction<T>& residuals,
                                                  const Unknowns<T>& unknowns, const Bounds<T>& bounds,
                                                  const std::vector<T>& x, std::size_t& products) {
  return std::make_unique<JacobianProducts<T>>(residuals, unknowns, bounds, x, products);
}

#define XTAPE_INSTANTIATE(T)                                  \
  template std::unique_ptr<LinearModel<T>> jacobian_products( \
      const TensorFunction<T>&, const Unknowns<T>&, const Bounds<T>&, const std::vector<T>&, std::size_t&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn::minimizing
