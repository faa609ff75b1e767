#include "krylov.hpp"

#include <cmath>
#include <vector>

#include "../base/text.hpp"
#include "../elementwise.hpp"
#include "../error.hpp"
#include "../reductions.hpp"

namespace xtape::detail {
namespace {

template <class T>
double inner_product(const Tensor<T>& a, const Tensor<T>& b) {
  return static_cast<double>(sum(a * b).item());
}
template <class T>
double length(const Tensor<T>& a) {
  return std::sqrt(inner_product(a, a));
}

}  // namespace

template <class T>
Tensor<T> gmres(const LinearMap<T>& A, const Tensor<T>& b, double tolerance, std::size_t products,
                const char* used_by) {
  constexpr std::size_t restart = 50;
  const double target = tolerance * length(b);
  Tensor<T> x = b * 0;
  Tensor<T> residual = b;
  double norm = length(residual);
  std::size_t done = 0;
  while (norm > target && done < products) {
    // An orthonormal basis of the Krylov space, and the least squares problem by Givens rotations.
    std::vector<Tensor<T>> basis{residual / static_cast<T>(norm)};
    std::vector<std::vector<double>> columns;
    std::vector<double> cosines, sines, rhs{norm};
    double left = norm;
    while (columns.size() < restart && left > target && done < products) {
      Tensor<T> w = A(basis.back());
      ++done;
      const double before = length(w);
      std::vector<double> h;
      for (const Tensor<T>& v : basis) {
        h.push_back(inner_product(w, v));
        w = w - static_cast<T>(h.back()) * v;
      }
      for (std::size_t i = 0; i < basis.size(); ++i) {  // again, for what rounding has left
        const double more = inner_product(w, basis[i]);
        h[i] += more;
        w = w - static_cast<T>(more) * basis[i];
      }
      const double next = length(w);
      for (std::size_t i = 0; i < cosines.size(); ++i) {
        const double upper = cosines[i] * h[i] + sines[i] * h[i + 1];
        h[i + 1] = -sines[i] * h[i] + cosines[i] * h[i + 1];
        h[i] = upper;
      }
      const double radius = std::hypot(h.back(), next);
      if (radius == 0) break;
      cosines.push_back(h.back() / radius);
      sines.push_back(next / radius);
      h.back() = radius;
      rhs.push_back(-sines.back() * rhs.back());
      rhs[rhs.size() - 2] *= cosines.back();
      columns.push_back(std::move(h));
      left = std::abs(rhs.back());
      if (next <= 1e-14 * before) break;
      basis.push_back(w / static_cast<T>(next));
    }
    if (columns.empty()) break;
    std::vector<double> y(columns.size());
    for (std::size_t i = columns.size(); i-- > 0;) {
      double value = rhs[i];
      for (std::size_t k = i + 1; k < columns.size(); ++k) value -= columns[k][i] * y[k];
      y[i] = value / columns[i][i];
    }
    for (std::size_t i = 0; i < y.size(); ++i) x = x + static_cast<T>(y[i]) * basis[i];
    residual = b - A(x);
    const double now = length(residual);
    if (!(now < norm)) {
      norm = now;
      break;
    }
    norm = now;
  }
  // Rounding may keep the true residual a little above.
  if (!(norm <= 100 * target))
    throw Error(used_by, "the linear system is not solved after " + std::to_string(done) +
                             " products (GMRES): a relative residual of " + number_text(norm / length(b)) +
                             "; is the matrix singular?");
  return x;
}

template <class T>
Tensor<T> conjugate_gradients(const LinearMap<T>& A, const Tensor<T>& b, double tolerance,
                              std::size_t products) {
  const double target = tolerance * length(b);
  Tensor<T> x = b * 0, residual = b, direction = b;
  double squared = inner_product(residual, residual);
  for (std::size_t done = 0; done < products && std::sqrt(squared) > target; ++done) {
    const Tensor<T> image = A(direction);
    const double curvature = inner_product(direction, image);
    if (!(curvature > 0)) return done == 0 ? b : x;
    const double step = squared / curvature;
    x = x + static_cast<T>(step) * direction;
    residual = residual - static_cast<T>(step) * image;
    const double now = inner_product(residual, residual);
    direction = residual + static_cast<T>(now / squared) * direction;
    squared = now;
  }
  return x;
}

#define XTAPE_INSTANTIATE(T)                                                                         \
  template Tensor<T> gmres(const LinearMap<T>&, const Tensor<T>&, double, std::size_t, const char*); \
  template Tensor<T> conjugate_gradients(const LinearMap<T>&, const Tensor<T>&, double, std::size_t);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail
