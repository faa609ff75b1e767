// Steps of Levenberg and Marquardt by singular values.
#include <cmath>

#include <autodiff/derivatives.hpp>
#include <autodiff/elementwise.hpp>
#include <autodiff/engine.hpp>
#include <autodiff/layout.hpp>
#include <autodiff/linalg.hpp>

#include "linear_model.hpp"

namespace xtape::nn::minimizing {
namespace {

template <class T>
class WholeJacobian : public LinearModel<T> {
 public:
  WholeJacobian(const TensorFunction<T>& residuals, const Unknowns<T>& unknowns, const Bounds<T>& bounds,
                const std::vector<T>& x, const Tensor<T>& r, std::vector<double>& scale)
      : bounds_(bounds), scale_(scale) {
    const auto of_flat = [&](const Tensor<T>& flat) {
      TensorList<T> parts;
      std::ptrdiff_t start = 0;
      for (const Shape& shape : unknowns.shapes()) {
        const auto end = start + static_cast<std::ptrdiff_t>(engine::element_count(shape, "least_squares"));
        parts.push_back(reshape(slice(flat, xt::range(start, end)), Dims(shape)));
        start = end;
      }
      return flatten(residuals(parts));
    };
    const std::size_t n = x.size();
    J_ = jacobian(of_flat, Tensor<T>::from_data(x, {n})).detach().template astype<double>();
    r_ = flatten(r.template astype<double>());
    at_.x = x;
    const Tensor<double> g = matmul(r_, J_);
    for (const double one : g) at_.gradient.push_back(static_cast<T>(one));
  }

  std::vector<T> gradient() override { return at_.gradient; }

  ModelStep step(double radius, double) override {
    if (!s_.defined()) factorise();
    const std::size_t n = at_.x.size();
    const double damping = damping_for(radius);
    std::vector<double> z(n);
    for (std::size_t i = 0; i < rank_; ++i) {
      const double s = s_.data()[i], along = -s * c_.data()[i] / (s * s + damping);
      for (std::size_t j = 0; j < n; ++j) z[j] += along * Vh_.data()[i * n + j];
    }
    ModelStep step{std::move(z)};
    step.size = length(step.p);
    step.at_the_edge = damping > 0;
    for (std::size_t j = 0; j < n; ++j) step.p[j] /= scale_[j];
    return step;
  }

  double square_of(const std::vector<double>& p) override {
    const Tensor<double> product = matmul(J_, Tensor<double>::from_data(p, {p.size()}));
    return dot(std::vector<double>(product.begin(), product.end()),
               std::vector<double>(product.begin(), product.end()));
  }

  std::size_t rank() override {
    if (!s_.defined()) factorise();
    return rank_;
  }

 private:
  void factorise() {
    const std::size_t m = J_.shape(0), n = J_.shape(1);
    scale_.resize(n);
    Tensor<double> A = zeros<double>({m, n});
    double* const to = A.mutable_data();
    std::vector<double> column(m);
    for (std::size_t j = 0; j < n; ++j) {
      for (std::size_t i = 0; i < m; ++i) column[i] = J_.data()[i * n + j];
      scale_[j] = std::max(scale_[j], length(column));
      if (scale_[j] == 0) scale_[j] = 1;
      if (bounds_.blocks(at_.x, at_.gradient, j)) continue;  // a column of zeros has no part in the step
      for (std::size_t i = 0; i < m; ++i) to[i * n + j] = column[i] / scale_[j];
    }
    const auto factors = linalg::svd(A);
    s_ = factors.s;
    Vh_ = factors.Vh;
    c_ = matmul(r_, factors.U);
    const double least =
        s_.size() == 0 ? 0 : static_cast<double>(std::max(m, n)) * Run<double>::rounding * s_.data()[0];
    rank_ = 0;
    while (rank_ < s_.size() && s_.data()[rank_] > least) ++rank_;
  }

  /// The λ ≥ 0 with |D p| = radius, up to a tenth; 0 where the step without it is shorter. Newton's method on
  /// 1/|D p|, which is nearly straight (Moré, 1978, section 5).
  double damping_for(double radius) const {
    const auto sums = [&](double damping) {
      double size = 0, slope = 0;
      for (std::size_t i = 0; i < rank_; ++i) {
        const double s = s_.data()[i], d = s * s + damping, w = s * c_.data()[i] / d;
        size += w * w;
        slope += w * w / d;
      }
      return std::pair(std::sqrt(size), slope);
    };
    double low = 0, high = 0, damping = 0;
    for (std::size_t i = 0; i < rank_; ++i) high += std::pow(s_.data()[i] * c_.data()[i], 2);
    high = std::sqrt(high) / radius;
    for (int round = 0; round < 100; ++round) {
      const auto [size, slope] = sums(damping);
      if (damping == 0 && size <= 1.1 * radius) return 0;
      if (std::abs(size - radius) <= 0.1 * radius) break;
      (size > radius ? low : high) = damping;
      damping += size * size / slope * (size / radius - 1);
      if (!(damping > low && damping < high)) damping = std::max(std::sqrt(low * high), 1e-3 * high);
    }
    return damping;
  }

  Point<T> at_;
  const Bounds<T>& bounds_;
  std::vector<double>& scale_;
  Tensor<double> J_, r_, s_, Vh_, c_;
  std::size_t rank_ = 0;
};

}  // namespace

template <class T>
std::unique_ptr<LinearModel<T>> whole_jacobian(const TensorFunction<T>& residuals,
                                               const Unknowns<T>& unknowns, const Bounds<T>& bounds,
                                               const std::vector<T>& x, const Tensor<T>& r,
                                               std::vector<double>& scale) {
  return std::make_unique<WholeJacobian<T>>(residuals, unknowns, bounds, x, r, scale);
}

#define XTAPE_INSTANTIATE(T)                                                                            \
  template std::unique_ptr<LinearModel<T>> whole_jacobian(const TensorFunction<T>&, const Unknowns<T>&, \
                                                          const Bounds<T>&, const std::vector<T>&,      \
                                                          const Tensor<T>&, std::vector<double>&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn::minimizing
