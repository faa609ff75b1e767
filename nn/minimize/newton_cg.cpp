// The steps of Steihaug and Toint, in the loop of a trust region.
#include "newton_cg.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace xtape::nn::minimizing {
namespace {

/// A step p, and what the model gᵀp + pᵀHp / 2 says of it.
template <class T>
struct RegionStep {
  std::vector<T> p, product;  ///< p, and H p
  bool at_the_edge = false;
};

/// Minimises the model by conjugate gradients, up to the edge of the trust region, along a direction of
/// negative curvature too: Nocedal and Wright, Algorithm 7.2. Ends where the model's gradient is `accuracy`
/// of that of f, or less near a minimum, so that the steps converge superlinearly.
template <class T>
RegionStep<T> steihaug(Run<T>& run, const Point<T>& at, double radius, double accuracy) {
  std::vector<T> g = at.gradient;
  run.bounds.mask(at, g);
  const double size = length(g), enough = std::min(accuracy, std::sqrt(size)) * size;
  const std::size_t n = g.size();
  RegionStep<T> step{std::vector<T>(n), std::vector<T>(n)};
  std::vector<T> r = g, d = g;
  multiply(d, -1);
  double rr = dot(r, r);
  // Rounding makes conjugate gradients take more than n steps.
  for (std::size_t k = 0; k < std::min<std::size_t>(2 * n + 10, 1000); ++k) {
    std::vector<T> hd = at.hessian_product(d);
    ++run.outcome.products;
    run.bounds.mask(at, hd);
    // Where f has no second derivative, its gradient alone is the model.
    if (!all_finite(hd) && k > 0) return step;
    if (!all_finite(hd)) std::ranges::fill(hd, T(0));
    const double curvature = dot(d, hd);
    const double alpha = rr / curvature;
    const bool goes_out = !(curvature > 0) || length(moved(step.p, alpha, d)) >= radius;
    const double tau = goes_out ? to_the_edge(step.p, d, radius) : alpha;
    if (!std::isfinite(tau)) return step;
    add(step.p, tau, d);
    add(step.product, tau, hd);
    if (goes_out) {
      step.at_the_edge = true;
      return step;
    }
    add(r, alpha, hd);
    const double next = dot(r, r);
    if (std::sqrt(next) <= enough) return step;
    d = difference(moved(d, next / rr - 1, d), r);  // β d − r
    rr = next;
  }
  return step;
}

}  // namespace

template <class T>
Point<T> newton_cg(Run<T>& run, Point<T> at) {
  if (run.cannot_start(at)) return at;
  double radius = std::max(1.0, length(at.x)), moved_by = 0;
  Promise promise;  // of the first step from this point
  bool is_new = true;
  while (!is_new || !run.finished(at, moved_by)) {
    RegionStep<T> step = steihaug(run, at, radius, 0.5);
    // What is lost in the rounding of f may be the fault of the few conjugate gradients.
    if (!step.at_the_edge &&
        run.is_rounding(dot(at.gradient, step.p) + dot(step.p, step.product) / 2, at.value))
      step = steihaug(run, at, radius, Run<T>::rounding);
    const double size = length(step.p);
    const std::vector<T> uncut = moved(at.x, 1, step.p);
    std::vector<T> x = uncut;
    run.bounds.project(x, at.x);
    const std::vector<T> p = difference(x, at.x);
    const double slope = dot(at.gradient, p);
    if (x != uncut) {  // the model at another place
      step.product = at.hessian_product(p);
      ++run.outcome.products;
    }
    const double expected = -(slope + dot(p, step.product) / 2);
    if (std::exchange(is_new, false))
      promise = step.at_the_edge ? Promise() : Promise{.decrease = expected, .step = largest(step.p)};
    if (x == at.x || run.outcome.evaluations >= run.limits.evaluations) {
      run.no_decrease(at, promise, size > 0 ? dot(at.gradient, step.p) / size : -length(at.gradient));
      break;
    }
    if (!(expected > 0)) {  // only a step that was cut
      radius = size / 4;
      continue;
    }
    Point<T> next = run.evaluate(std::move(x));
    if (run.is_unbounded) {
      run.no_decrease(at, {}, 0);
      break;
    }
    const bool usable = next.is_finite();
    const double decrease = at.value - next.value;
    // Where the noise of f hides the decrease, the gradient tells.
    bool accepted = usable && run.is_noise(decrease, at.value) && run.is_noise(expected, at.value) &&
                    run.bounds.gradient_size(next) < run.bounds.gradient_size(at);
    if (accepted) {  // a step to the edge says nothing of what is beyond it
      if (step.at_the_edge) radius = std::max(radius, 2.5 * size);
    } else if (usable && run.is_rounding(decrease, at.value) && run.is_rounding(expected, at.value)) {
      run.no_decrease(at, promise, dot(at.gradient, step.p) / size);
      break;
    } else {
      const double ratio = usable ? decrease / expected : -1;
      accepted = ratio > 1e-4;
      if (!usable)
        radius = size / 10;
      else if (ratio < 0.25)
        radius = size / 4;
      else if (ratio > 0.75 && step.at_the_edge)
        radius = std::max(radius, 2.5 * size);
    }
    if (!accepted) continue;
    moved_by = step_size(at, next);
    run.end_if_small(at, next);
    at = std::move(next);
    is_new = true;
    ++run.outcome.iterations;
  }
  return at;
}

#define XTAPE_INSTANTIATE(T) template Point<T> newton_cg(Run<T>&, Point<T>);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn::minimizing
