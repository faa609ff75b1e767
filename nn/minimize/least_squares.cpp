// The loop of Levenberg and Marquardt.
#include <cmath>
#include <utility>

#include <autodiff/tape.hpp>

#include "linear_model.hpp"

namespace xtape::nn::minimizing {
namespace {

/// r(x), with the gradient left to its model.
template <class T>
struct Residuals {
  Point<T> point;
  Tensor<T> r;
  double square = 0;
};

template <class T>
Residuals<T> residuals_at(const TensorFunction<T>& f, const Unknowns<T>& unknowns, std::vector<T> x,
                          bool is_first) {
  // Recorded the first time, to see whether it depends on x at all.
  const TensorList<T> tensors = unknowns.tensors(x);
  const Tensor<T> r = [&] {
    if (is_first) {
      const EnableGrad recorded;
      return f(leaves_of(tensors));
    }
    const NoGrad no_grad;
    return f(tensors);
  }();
  if (!r.defined()) throw Error("least_squares", "the function returns a tensor without a value");
  if (r.size() == 0)
    throw Error("least_squares",
                "there are no residuals: the function returns the shape " + to_string(r.shape()));
  if (is_first && !r.requires_grad())
    throw Error("least_squares",
                "the residuals do not depend on x: the function must compute with the tensors that it is "
                "given, outside of NoGrad, and without detach(), item() and data()");
  Residuals<T> result;
  result.r = r.detach();
  const double size = length(std::vector<T>(r.begin(), r.end()));
  result.square = size * size;
  result.point.x = std::move(x);
  result.point.value = result.square / 2;
  return result;
}

bool takes_whole(JacobianUse use, std::size_t rows, std::size_t columns) {
  if (use != JacobianUse::automatic) return use == JacobianUse::whole;
  const auto m = static_cast<double>(rows), n = static_cast<double>(columns);
  return m * n <= 2e7 && m * n * std::min(m, n) <= 2e9;
}

/// |D x|, with D = 1 where there is none.
template <class T>
double scaled_length(const std::vector<T>& x, const std::vector<double>& scale) {
  std::vector<double> all(x.begin(), x.end());
  for (std::size_t i = 0; i < scale.size(); ++i) all[i] *= scale[i];
  return length(all);
}

template <class T>
LeastSquaresMinimum<TensorList<T>> least_sum_of_squares(const TensorFunction<T>& f, const TensorList<T>& x0,
                                                        const LeastSquaresOptions<TensorList<T>>& options) {
  const Unknowns<T> unknowns("least_squares", x0);
  Run<T> run;
  set_up(run, "least_squares", unknowns, options);
  LeastSquaresMinimum<TensorList<T>> result;
  Outcome& outcome = run.outcome;
  const auto evaluate = [&](std::vector<T> x) {
    return residuals_at(f, unknowns, std::move(x), outcome.evaluations++ == 0);
  };
  std::vector<T> start = unknowns.flat(x0);
  run.bounds.project(start, start);
  Residuals<T> at = evaluate(std::move(start));
  const bool whole = takes_whole(options.jacobian, at.r.size(), unknowns.size());
  std::vector<double> scale;
  std::unique_ptr<LinearModel<T>> model;
  const auto linearised = [&](Residuals<T>& here) {
    if (whole) ++result.jacobians;
    auto made = whole ? whole_jacobian(f, unknowns, run.bounds, here.point.x, here.r, scale)
                      : jacobian_products(f, unknowns, run.bounds, here.point.x, outcome.products);
    here.point.gradient = made->gradient();
    return made;
  };
  const auto slope_of = [&](const std::vector<double>& p) {
    double slope = 0;
    for (std::size_t i = 0; i < p.size(); ++i) slope += p[i] * static_cast<double>(at.point.gradient[i]);
    return slope;
  };
  // The decrease of Σ r² that the model promises, relative to it.
  const auto expected_of = [&](const ModelStep& step) {
    return -(2 * slope_of(step.p) + model->square_of(step.p)) / at.square;
  };
  at.point.gradient.resize(unknowns.size());
  if (at.point.is_finite()) model = linearised(at);  // else there is nothing to linearise
  double radius = 0, moved_by = 0;
  bool ended = run.cannot_start(at.point);
  while (!ended && !run.finished(at.point, moved_by)) {
    Promise promise;
    for (bool is_new = true; !ended && outcome.message.empty();) {
      if (radius == 0) {    // MINPACK's first
        model->step(1, 1);  // finds the scale
        radius = 100 * scaled_length(at.point.x, scale);
        if (!(radius > 0)) radius = 100;
      }
      ModelStep step = model->step(radius, 0.01);
      const double x_size = scaled_length(at.point.x, scale);
      // A small step may be the fault of few conjugate gradients.
      if (!whole && !step.at_the_edge &&
          (step.size <= run.limits.step * x_size || expected_of(step) <= run.limits.value))
        step = model->step(radius, Run<T>::rounding);
      const bool is_first = outcome.iterations == 0 && is_new;
      if (is_first) radius = std::min(radius, step.size);
      std::vector<T> x(at.point.x.size());
      for (std::size_t i = 0; i < x.size(); ++i)
        x[i] = static_cast<T>(static_cast<double>(at.point.x[i]) + step.p[i]);
      const std::vector<T> uncut = x;
      run.bounds.project(x, at.point.x);
      for (std::size_t i = 0; i < x.size(); ++i)
        if (x[i] != uncut[i]) step.p[i] = static_cast<double>(x[i]) - static_cast<double>(at.point.x[i]);
      const double slope = slope_of(step.p), expected = expected_of(step);
      if (std::exchange(is_new, false) && !step.at_the_edge)
        promise = {.decrease = expected * at.point.value, .step = largest(step.p)};
      if (x == at.point.x || outcome.evaluations >= run.limits.evaluations) {
        run.no_decrease(at.point, promise, step.size > 0 ? slope / step.size : 0);
        ended = true;
        break;
      }
      Residuals<T> next = evaluate(std::move(x));
      const double decrease = std::isfinite(next.square) ? 1 - next.square / at.square : -1;
      const double ratio = expected > 0 ? decrease / expected : decrease > 0 ? 1 : -1;
      if (ratio <= 0.25) {
        double share = decrease >= 0 ? 0.5 : 0.5 * slope / (slope + 0.5 * decrease * at.square);
        if (!(share >= 0.1) || !std::isfinite(next.square)) share = 0.1;
        radius = std::min(share, 0.5) * std::min(radius, 10 * step.size);
      } else if (!step.at_the_edge || ratio >= 0.75) {
        radius = 2 * step.size;
      }
      const bool accepted = ratio >= 1e-4;
      // That f does not fall along a short step says nothing of the minimum, but where the longest was short.
      const bool tells =
          accepted || (promise.decrease > 0 && promise.decrease <= run.limits.value * at.point.value);
      if (tells && std::abs(decrease) <= run.limits.value && std::abs(expected) <= run.limits.value &&
          ratio <= 2)
        run.end(true, "the last step changed the sum of squares by " + rounded(std::abs(decrease)) +
                          " of its size, and was to change it by " + rounded(expected) + ", both below " +
                          rounded(run.limits.value));
      else if (accepted && (whole || !step.at_the_edge) && step.size <= run.limits.step * x_size)
        run.end(true, "the last step is of the length " + rounded(step.size) + ", which is below " +
                          rounded(run.limits.step) + " of that of x, " + rounded(x_size) + ", both scaled");
      if (!accepted) {
        ended = !outcome.message.empty();
        continue;
      }
      auto next_model = linearised(next);
      if (!next.point.is_finite()) {  // the residuals have no derivative there
        outcome.message.clear();
        radius = step.size / 10;
        continue;
      }
      moved_by = step_size(at.point, next.point);
      at = std::move(next);
      model = std::move(next_model);
      ++outcome.iterations;
      break;
    }
  }
  if (at.point.is_finite()) result.rank = model->rank();
  result.residuals = at.r;
  fill(result, run, unknowns, at.point, options.progress);
  return result;
}

}  // namespace
}  // namespace xtape::nn::minimizing

namespace xtape::nn::detail {

template <class T>
LeastSquaresMinimum<TensorList<T>> least_squares(const TensorFunction<T>& residuals, const TensorList<T>& x0,
                                                 const LeastSquaresOptions<TensorList<T>>& options) {
  return minimizing::least_sum_of_squares(residuals, x0, options);
}

#define XTAPE_INSTANTIATE(T)                                                                                \
  template LeastSquaresMinimum<TensorList<T>> least_squares(const TensorFunction<T>&, const TensorList<T>&, \
                                                            const LeastSquaresOptions<TensorList<T>>&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn::detail
