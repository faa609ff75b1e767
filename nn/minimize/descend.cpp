// Directions from the last gradients, and the loop over searches along them.
#include "descend.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "search.hpp"

namespace xtape::nn::minimizing {

template <class T>
void Pairs<T>::push(Pair<T> pair) {
  pair.sy = dot(pair.s, pair.y);
  pair.yy = dot(pair.y, pair.y);
  if (most_ == 0 || !(pair.sy > Run<T>::rounding * length(pair.s) * length(pair.y)) || !(pair.yy > 0)) return;
  if (all_.size() == most_) all_.pop_front();
  all_.push_back(std::move(pair));
}

template <class T>
std::vector<T> Pairs<T>::direction(const Bounds<T>& bounds, const Point<T>& at) const {
  const auto free_part = [&](const Pair<T>& pair) {
    Pair<T> part = pair;
    bounds.mask(at, part.s);
    bounds.mask(at, part.y);
    part.sy = dot(part.s, part.y);
    part.yy = dot(part.y, part.y);
    return part;
  };
  std::deque<Pair<T>> parts;
  for (const Pair<T>& pair : all_) {
    if (!bounds.any()) break;
    // Of the unknowns that are left the curvature may be another.
    if (Pair<T> part = free_part(pair); part.sy > Run<T>::rounding * part.yy && part.yy > 0)
      parts.push_back(std::move(part));
  }
  const std::deque<Pair<T>>& pairs = bounds.any() ? parts : all_;
  std::vector<T> d = at.gradient;
  bounds.mask(at, d);
  std::vector<double> alpha(pairs.size());
  for (std::size_t k = pairs.size(); k-- > 0;) {
    alpha[k] = dot(pairs[k].s, d) / pairs[k].sy;
    add(d, -alpha[k], pairs[k].y);
  }
  multiply(d, pairs.empty() ? -1 : -pairs.back().sy / pairs.back().yy);
  for (std::size_t k = 0; k < pairs.size(); ++k)
    add(d, -alpha[k] - dot(pairs[k].y, d) / pairs[k].sy, pairs[k].s);
  return d;
}

template <class T>
Point<T> descend(Run<T>& run, Point<T> at, const Descent& how, Pairs<T>& pairs) {
  if (run.cannot_start(at)) return at;
  Promise promise;  // of the pairs, or of the last step, when a search failed with them
  Pairs<T> failed(pairs.most());
  double step = 0, barzilai = 0;
  bool has_failed = false;  // at this point, with pairs that are gone
  while (has_failed || !run.finished(at, step)) {
    std::vector<T> d = pairs.direction(run.bounds, at);
    double slope = dot(at.gradient, d);
    if (!(slope < 0) && !pairs.empty()) {
      pairs.clear();
      d = pairs.direction(run.bounds, at);
      slope = dot(at.gradient, d);
    }
    const double size = length(d);
    double first = how.rate;
    if (how.barzilai && barzilai > 0)
      first = barzilai;
    else if (pairs.empty() && how.line_search != LineSearch::none)
      first *= std::min(1.0, 1 / size);
    const std::vector<double>& values = run.outcome.history;
    const auto last = values.end() - static_cast<std::ptrdiff_t>(std::min<std::size_t>(values.size(), 10));
    const double reference = how.barzilai ? *std::max_element(last, values.end()) : at.value;
    Found<T> found = search(how.line_search, run, at, d, slope, first, reference);
    if (!found.success) {
      const bool may_go_on = !run.is_unbounded && run.outcome.evaluations < run.limits.evaluations;
      if (!has_failed && (!pairs.empty() || barzilai > 0))  // else the length of d says nothing
        promise = {.decrease = -slope * first / 2, .step = first * largest(d)};
      if (may_go_on && !has_failed && (!pairs.empty() || barzilai > 0)) {
        failed = std::exchange(pairs, Pairs<T>(pairs.most()));
        barzilai = 0;
        has_failed = true;
        continue;
      }
      if (!failed.empty()) pairs = std::move(failed);
      run.no_decrease(at, promise, slope / size);
      break;
    }
    has_failed = false;
    promise = {};
    failed.clear();
    Pair<T> pair{.s = difference(found.point.x, at.x), .y = difference(found.point.gradient, at.gradient)};
    if (how.barzilai) {
      const double sy = dot(pair.s, pair.y), ss = dot(pair.s, pair.s);
      barzilai = sy > 0 ? ss / sy : 2 * std::sqrt(ss) / size;
    }
    if (all_finite(pair.y)) pairs.push(std::move(pair));
    step = step_size(at, found.point);
    run.end_if_small(at, found.point);
    at = std::move(found.point);
    ++run.outcome.iterations;
  }
  return at;
}

#define XTAPE_INSTANTIATE(T) \
  template class Pairs<T>;   \
  template Point<T> descend(Run<T>&, Point<T>, const Descent&, Pairs<T>&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn::minimizing
