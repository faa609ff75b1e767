// The search of Moré and Thuente, and backtracking.
#include "search.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace xtape::nn::minimizing {
namespace {

constexpr double c1 = 1e-4, c2 = 0.9;
constexpr std::size_t most_trials = 40;

/// f and its slope at an α.
struct Sample {
  double step = 0, value = 0, slope = 0;
};

/// The minimum of the cubic through two samples, as the share of the way from `at` to `to`. `sign` is that of
/// the root; without_root tells that there is none.
double cubic_share(const Sample& at, const Sample& to, double sign, bool* without_root = nullptr) {
  const double theta = 3 * (at.value - to.value) / (to.step - at.step) + at.slope + to.slope;
  const double s = std::max({std::abs(theta), std::abs(at.slope), std::abs(to.slope)});
  const double gamma =
      sign * s * std::sqrt(std::max(0.0, (theta / s) * (theta / s) - (at.slope / s) * (to.slope / s)));
  if (without_root) *without_root = gamma == 0;
  return ((gamma - at.slope) + theta) / (((gamma - at.slope) + gamma) + to.slope);
}

/// An interval that contains a step with the conditions, and the next one to try: dcstep of Moré and Thuente,
/// "Line search algorithms with guaranteed sufficient decrease", ACM TOMS 20 (1994), section 4.
struct Interval {
  Sample best, other;  ///< the lowest yet, and the other end
  bool bracketed = false;

  double next(const Sample& at, double least, double most) {
    const Sample x = best;
    const double turn = at.slope * std::copysign(1.0, x.slope);
    const double away = at.step > x.step ? -1 : 1;
    double step = 0;
    if (at.value > x.value) {  // higher: the minimum is in between
      const double cubic = x.step + cubic_share(x, at, at.step < x.step ? -1 : 1) * (at.step - x.step);
      const double secant = (x.value - at.value) / (at.step - x.step) + x.slope;
      const double quadratic = x.step + x.slope / secant / 2 * (at.step - x.step);
      const bool cubic_is_nearer = std::abs(cubic - x.step) < std::abs(quadratic - x.step);
      step = cubic_is_nearer ? cubic : cubic + (quadratic - cubic) / 2;
      bracketed = true;
    } else if (turn < 0) {  // lower, and the slope has turned
      const double cubic = at.step + cubic_share(at, x, away) * (x.step - at.step);
      const double secant = at.step + at.slope / (at.slope - x.slope) * (x.step - at.step);
      step = std::abs(cubic - at.step) > std::abs(secant - at.step) ? cubic : secant;
      bracketed = true;
    } else if (std::abs(at.slope) < std::abs(x.slope)) {  // lower, and flatter
      bool without_root = false;
      const double share = cubic_share(at, x, away, &without_root);
      const double end = at.step > x.step ? most : least;
      const double cubic = share < 0 && !without_root ? at.step + share * (x.step - at.step) : end;
      const double secant = at.step + at.slope / (at.slope - x.slope) * (x.step - at.step);
      const bool cubic_is_nearer = std::abs(cubic - at.step) < std::abs(secant - at.step);
      if (bracketed) {
        const double limit = at.step + 0.66 * (other.step - at.step);
        step = cubic_is_nearer ? cubic : secant;
        step = at.step > x.step ? std::min(limit, step) : std::max(limit, step);
      } else {
        step = std::clamp(cubic_is_nearer ? secant : cubic, least, most);
      }
    } else if (bracketed) {  // lower, and steeper
      const double share = cubic_share(at, other, at.step > other.step ? -1 : 1);
      step = at.step + share * (other.step - at.step);
    } else {
      step = at.step > x.step ? most : least;
    }
    if (at.value > x.value) {
      other = at;
    } else {
      if (turn < 0) other = x;
      best = at;
    }
    return step;
  }
};

template <class T>
Found<T> wolfe(Run<T>& run, const Point<T>& from, const std::vector<T>& d, double slope, double first) {
  const Sample start{0, from.value, slope};
  Found<T> found{false, from};
  Interval interval{start, start};
  double step = first, width = std::numeric_limits<double>::max(), width_before = width;
  double cap = std::numeric_limits<double>::max();  // f is no number from there on
  bool early = true;                                // stage 1: no sufficient decrease with a rising slope yet
  double least = 0, most = 5 * step;
  for (std::size_t trial = 0; trial < most_trials && run.outcome.evaluations < run.limits.evaluations;
       ++trial) {
    std::vector<T> x = moved(from.x, step, d);
    if (x == from.x) break;
    Point<T> point = run.evaluate(std::move(x));
    if (!point.is_finite()) {
      if (run.is_unbounded) return {false, from};
      cap = step;
      const double share = interval.best.step == 0 ? 0.1 : 0.5;
      step = interval.best.step + share * (step - interval.best.step);
      most = std::min(most, cap);
      continue;
    }
    const Sample at{step, point.value, dot(point.gradient, d)};
    const double enough = start.value + c1 * step * slope;
    const bool is_lower = at.value <= enough;
    const bool is_not_higher = at.value <= start.value || run.is_noise(at.value - start.value, start.value);
    const bool is_lower_by_slopes = is_not_higher && at.slope <= (2 * c1 - 1) * slope;
    const bool is_flat = std::abs(at.slope) <= -c2 * slope;
    if (is_lower ? is_flat : is_lower_by_slopes && at.slope >= c2 * slope) return {true, std::move(point)};
    if (is_lower && at.value < found.point.value) found = {true, std::move(point)};
    if (early && is_lower && at.slope >= 0) early = false;
    if (early && at.value <= interval.best.value && !is_lower) {
      // In the first stage the interval is that of f less the decrease that is asked for.
      const auto less = [&](Sample s) {
        return Sample{s.step, s.value - s.step * c1 * slope, s.slope - c1 * slope};
      };
      const auto more = [&](Sample s) {
        return Sample{s.step, s.value + s.step * c1 * slope, s.slope + c1 * slope};
      };
      interval.best = less(interval.best);
      interval.other = less(interval.other);
      step = interval.next(less(at), least, most);
      interval.best = more(interval.best);
      interval.other = more(interval.other);
    } else {
      step = interval.next(at, least, most);
    }
    const double a = interval.best.step, b = interval.other.step;
    if (interval.bracketed) {
      if (std::abs(b - a) >= 0.66 * width_before) step = a + (b - a) / 2;
      width_before = width;
      width = std::abs(b - a);
      least = std::min(a, b);
      most = std::max(a, b);
      if (!(step > least && step < most)) step = a + (b - a) / 2;
      if (most - least <= Run<T>::rounding * most) break;
    } else {
      least = step + 1.1 * (step - a);
      most = step + 4 * (step - a);
      if (!(step < cap)) step = a + (cap - a) / 2;
      most = std::min(most, cap);
      least = std::min(least, most);
      if (!std::isfinite(step)) break;
    }
  }
  return found;
}

template <class T>
Found<T> backtrack(Run<T>& run, const Point<T>& from, const std::vector<T>& d, double slope, double first,
                   double reference) {
  double step = first;
  for (std::size_t trial = 0; trial < 2 * most_trials && run.outcome.evaluations < run.limits.evaluations;
       ++trial) {
    std::vector<T> x = moved(from.x, step, d);
    run.bounds.project(x, from.x);
    const double along = dot(from.gradient, difference(x, from.x));
    if (x == from.x) break;
    if (along < 0) {
      Point<T> point = run.evaluate(std::move(x));
      if (run.is_unbounded) break;
      const bool is_lower = point.value <= reference + c1 * along;
      // Where f has no digits left, a smaller gradient tells.
      const bool is_flatter = run.is_rounding(point.value - from.value, from.value) &&
                              run.bounds.gradient_size(point) < run.bounds.gradient_size(from);
      if ((is_lower && all_finite(point.gradient)) || (point.is_finite() && is_flatter))
        return {true, std::move(point)};
      const double curve = point.value - from.value - step * slope;
      const double quadratic = std::isfinite(curve) && curve > 0 ? -slope * step * step / (2 * curve) : 0;
      step = std::clamp(quadratic, step / 10, step / 2);
    } else {
      step /= 4;
    }
  }
  return {false, from};
}

}  // namespace

template <class T>
Found<T> search(LineSearch kind, Run<T>& run, const Point<T>& from, const std::vector<T>& d, double slope,
                double first, double reference) {
  if (kind == LineSearch::none) {
    std::vector<T> x = moved(from.x, first, d);
    run.bounds.project(x, from.x);
    Point<T> point = run.evaluate(std::move(x));
    const bool usable = point.is_finite() && point.x != from.x;
    return {usable, usable ? std::move(point) : from};
  }
  if (kind == LineSearch::backtracking || run.bounds.any())
    return backtrack(run, from, d, slope, first, reference);
  return wolfe(run, from, d, slope, first);
}

#define XTAPE_INSTANTIATE(T)                                                                            \
  template Found<T> search(LineSearch, Run<T>&, const Point<T>&, const std::vector<T>&, double, double, \
                           double);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn::minimizing
