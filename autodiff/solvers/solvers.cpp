// The iterations of fixed_point(), root() and argmin(), which are not recorded.
#include "../solvers.hpp"

#include <cmath>
#include <deque>

#include "../base/text.hpp"
#include "../derivatives.hpp"
#include "../linalg.hpp"
#include "../tape.hpp"
#include "implicit.hpp"
#include "krylov.hpp"

namespace xtape::detail {
namespace {

template <class T>
double largest_of(const Tensor<T>& x) {
  return x.size() == 0 ? 0 : static_cast<double>(max(abs(x)).item());
}
template <class T>
double length_of(const Tensor<T>& x) {
  return static_cast<double>(norm(x).item());
}

/// One of the three: what is to be 0, and when it is.
template <class T>
class Search {
 public:
  Search(const char* name, Equation<T> F, const std::vector<Tensor<T>>& theta, const SolverOptions& options)
      : name_(name), F_(std::move(F)), theta_(values_of(theta)), options_(options) {
    if (options_.tolerance == 0) options_.tolerance = sizeof(T) == sizeof(float) ? 1e-5 : 1e-10;
    if (!(options_.tolerance > 0))
      throw Error(name_, "tolerance " + number_text(options_.tolerance) + ": it is above 0");
  }

  double tolerance() const { return options_.tolerance; }
  Tensor<T> at(const Tensor<T>& z) const { return F_(z, theta_); }
  void require_no_other_leaf(const Tensor<T>& z) const {
    detail::require_no_other_leaf(name_, [&] { return at(z.detach()); });
  }
  /// The value at z, of z's size.
  Tensor<T> first_value(const Tensor<T>& z) const {
    const Tensor<T> value = at(z).detach();
    if (value.size() != z.size())
      throw Error(name_, "the function gives shape " + to_string(value.shape()) + " for z of shape " +
                             to_string(z.shape()) + ": as many elements are needed");
    return value;
  }
  Derivative<T> derivative(const Tensor<T>& z) const { return {name_, F_, z, theta_, options_}; }
  [[noreturn]] void give_up(std::size_t iterations, double residual, const std::string& why) const {
    throw Error(name_, "no solution after " + std::to_string(iterations) +
                           " iterations: the largest residual is " + number_text(residual) + ", and " +
                           number_text(tolerance()) + " is wanted" + why);
  }

 private:
  const char* name_;
  Equation<T> F_;
  std::vector<Tensor<T>> theta_;
  SolverOptions options_;
};

/// What the function gives has the shape of z from here on.
template <class T>
Equation<T> shaped_like(Equation<T> f) {
  return [f = std::move(f)](const Tensor<T>& z, const std::vector<Tensor<T>>& theta) -> Tensor<T> {
    const Tensor<T> y = f(z, theta);
    return y.shape() == z.shape() || y.size() != z.size() ? y : reshape(y, Dims(z.shape()));
  };
}

template <class T>
Tensor<T> stacked(const std::deque<Tensor<T>>& list) {
  std::vector<Tensor<T>> columns;
  for (const Tensor<T>& x : list) columns.push_back(flatten(x));
  return stack(columns, 1);
}

/// By Anderson 1965: the least combination of the last residuals, and z moves to the same one of the values.
template <class T>
Tensor<T> iterate(const Search<T>& search, Tensor<T> z, const SolverOptions& options) {
  Tensor<T> residual = search.first_value(z), last_residual, last_value;
  std::deque<Tensor<T>> residual_steps, value_steps;
  for (std::size_t i = 0;; ++i) {
    const double size = largest_of(residual);
    if (size <= search.tolerance()) return z;
    if (!std::isfinite(size)) search.give_up(i, size, ": it runs away; is f a contraction near z0?");
    if (i == options.iterations) search.give_up(i, size, "; is f a contraction near z0? root() needs none");
    const Tensor<T> value = z - residual;
    if (i > 0 && options.memory > 0) {
      residual_steps.push_back(residual - last_residual);
      value_steps.push_back(value - last_value);
      if (residual_steps.size() > options.memory) {
        residual_steps.pop_front();
        value_steps.pop_front();
      }
      const Tensor<T> weights = linalg::lstsq(stacked(residual_steps), flatten(residual), 1e-8);
      z = value - reshape(matmul(stacked(value_steps), weights), Dims(value.shape()));
    } else {
      z = value;
    }
    last_residual = residual;
    last_value = value;
    residual = search.at(z);
  }
}

/// By Newton's method.
template <class T>
Tensor<T> find_root(const Search<T>& search, Tensor<T> z, const SolverOptions& options) {
  Tensor<T> value = search.first_value(z);
  for (std::size_t i = 0;; ++i) {
    const double size = largest_of(value);
    if (size <= search.tolerance()) return z;
    if (!std::isfinite(size)) search.give_up(i, size, ": F is not finite at z0");
    if (i == options.iterations) search.give_up(i, size, "; begin nearer");
    const Tensor<T> step = search.derivative(z).solve(value, false, 1e-3);
    // The whole step, or as much of it as makes |F| less.
    const double before = length_of(value);
    T part = 1;
    for (;; part /= 2) {
      if (part < T(1e-6)) search.give_up(i, size, ": |F| has a minimum there that is not 0; begin elsewhere");
      const Tensor<T> next = z - part * step, there = search.at(next);
      if (const double now = length_of(there); now < (1 - 1e-4 * static_cast<double>(part)) * before) {
        z = next;
        value = there;
        break;
      }
    }
  }
}

/// By Newton's method, too, of the gradient, with a line search on the loss.
template <class T>
Tensor<T> find_minimum(const Search<T>& search, const Search<T>& value_of, Tensor<T> z,
                       const SolverOptions& options) {
  Tensor<T> gradient = search.first_value(z);
  double value = static_cast<double>(value_of.at(z).item());
  for (std::size_t i = 0;; ++i) {
    const double size = largest_of(gradient);
    if (size <= search.tolerance()) return z;
    if (!std::isfinite(size) || !std::isfinite(value))
      search.give_up(i, size, ": the loss is not finite at z0");
    if (i == options.iterations) search.give_up(i, size, "; is the loss bounded below? Begin nearer");
    const Tensor<T> step = [&] {
      const Derivative<T> hessian = search.derivative(z);
      const std::size_t n = z.size();
      if (!hessian.is_dense()) {
        const LinearMap<T> product = [&](const Tensor<T>& v) { return hessian.product(v, false); };
        return conjugate_gradients<T>(product, gradient, std::min(0.1, std::sqrt(size)), 2 * n);
      }
      const Tensor<T> J = hessian.matrix(), H = (J + transpose(J)) / 2;
      const double scale = std::max(largest_of(H), 1e-8);
      for (double shift = 0;; shift = std::max(10 * shift, 1e-3 * scale)) try {
          const Tensor<T> L = linalg::cholesky(H + eye<T>(n) * static_cast<T>(shift));
          return reshape(linalg::cho_solve(L, reshape(gradient, Dims{n, 1})), Dims(z.shape()));
        } catch (const Error&) {  // not positive definite
          if (!(shift < 1e3 * scale)) throw;
        }
    }();
    const double along = static_cast<double>(sum(gradient * step).item());
    T part = 1;
    for (;; part /= 2) {
      if (part < T(1e-10)) search.give_up(i, size, ": no step makes the loss less; is its gradient right?");
      const Tensor<T> next = z - part * step;
      const double there = static_cast<double>(value_of.at(next).item());
      const bool is_lower = there <= value - 1e-4 * static_cast<double>(part) * along;
      // Near the minimum the loss no longer tells; a gradient that shrinks does.
      const bool is_flat = std::abs(there - value) <= 1e-12 * std::abs(value) + 1e-300;
      if (!is_lower && !is_flat) continue;
      const Tensor<T> slope = search.at(next).detach();
      if (is_lower || largest_of(slope) < size) {
        z = next;
        value = there;
        gradient = slope;
        break;
      }
    }
  }
}

}  // namespace

template <class T>
Tensor<T> fixed_point(const Equation<T>& f, const Tensor<T>& z0, const std::vector<Tensor<T>>& theta,
                      const SolverOptions& options) {
  const Equation<T> F = [f = shaped_like<T>(f)](const Tensor<T>& z, const std::vector<Tensor<T>>& p) {
    const Tensor<T> y = f(z, p);
    return y.size() == z.size() ? z - y : y;
  };
  const Search<T> search("fixed_point", F, theta, options);
  search.require_no_other_leaf(z0);
  const Tensor<T> z = [&] {
    const NoGrad off;
    return iterate(search, z0.detach(), options);
  }();
  return implicit_solution("fixed_point", F, z, theta, options);
}

template <class T>
Tensor<T> root(const Equation<T>& f, const Tensor<T>& z0, const std::vector<Tensor<T>>& theta,
               const SolverOptions& options) {
  const Equation<T> F = shaped_like<T>(f);
  const Search<T> search("root", F, theta, options);
  search.require_no_other_leaf(z0);
  const Tensor<T> z = [&] {
    const NoGrad off;
    return find_root(search, z0.detach(), options);
  }();
  return implicit_solution("root", F, z, theta, options);
}

template <class T>
Tensor<T> argmin(const Equation<T>& loss, const Tensor<T>& z0, const std::vector<Tensor<T>>& theta,
                 const SolverOptions& options) {
  const Equation<T> F = [loss](const Tensor<T>& z, const std::vector<Tensor<T>>& p) {
    const EnableGrad on;
    const Tensor<T> at = variable(z, {.create_graph = true});
    const Tensor<T> y = loss(at, p);
    if (y.size() != 1)
      throw Error("argmin", "the loss has the shape " + to_string(y.shape()) + ": it must be one element");
    return gradient_or_zero(reshape(y, Dims{}), at, {.create_graph = true});
  };
  const Search<T> search("argmin", F, theta, options);
  const Search<T> value_of("argmin", loss, theta, options);
  value_of.require_no_other_leaf(z0);
  const Tensor<T> z = [&] {
    const NoGrad off;
    return find_minimum(search, value_of, z0.detach(), options);
  }();
  return implicit_solution("argmin", F, z, theta, options);
}

#define XTAPE_INSTANTIATE(T)                                                                          \
  template Tensor<T> fixed_point(const Equation<T>&, const Tensor<T>&, const std::vector<Tensor<T>>&, \
                                 const SolverOptions&);                                               \
  template Tensor<T> root(const Equation<T>&, const Tensor<T>&, const std::vector<Tensor<T>>&,        \
                          const SolverOptions&);                                                      \
  template Tensor<T> argmin(const Equation<T>&, const Tensor<T>&, const std::vector<Tensor<T>>&,      \
                            const SolverOptions&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail
