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

/// A step of the model, cut at the bounds, and where it leads.
template <class T>
struct Trial {
  ModelStep step;
  std::vector<T> x;
  double x_size = 0;    ///< |D x| where it begins
  double slope = 0;     ///< pᵀ Jᵀ r
  double expected = 0;  ///< the decrease of Σ r² that the model promises, relative to it
};

template <class T>
class LevenbergMarquardt {
 public:
  LevenbergMarquardt(const TensorFunction<T>& f, const TensorList<T>& x0,
                     const LeastSquaresOptions<TensorList<T>>& options)
      : f_(f), unknowns_("least_squares", x0), options_(options) {
    set_up(run_, "least_squares", unknowns_, options_);
    std::vector<T> start = unknowns_.flat(x0);
    run_.bounds.project(start, start);
    at_ = evaluate(std::move(start));
    whole_ = takes_whole(options.jacobian, at_.r.size(), unknowns_.size());
  }
  LevenbergMarquardt(const LevenbergMarquardt&) = delete;  // run_ refers to the members
  LevenbergMarquardt& operator=(const LevenbergMarquardt&) = delete;

  LeastSquaresMinimum<TensorList<T>> minimum() {
    at_.point.gradient.resize(unknowns_.size());
    if (at_.point.is_finite()) model_ = linearised(at_);  // else there is nothing to linearise
    bool ended = run_.cannot_start(at_.point);
    while (!ended && !run_.finished(at_.point, moved_by_)) ended = !advance();
    if (at_.point.is_finite()) result_.rank = model_->rank();
    result_.residuals = at_.r;
    fill(result_, run_, unknowns_, at_.point, options_.progress);
    return std::move(result_);
  }

 private:
  Residuals<T> evaluate(std::vector<T> x) {
    return residuals_at(f_, unknowns_, std::move(x), run_.outcome.evaluations++ == 0);
  }

  std::unique_ptr<LinearModel<T>> linearised(Residuals<T>& here) {
    if (whole_) ++result_.jacobians;
    auto made = whole_ ? whole_jacobian(f_, unknowns_, run_.bounds, here.point.x, here.r, scale_)
                       : jacobian_products(f_, unknowns_, run_.bounds, here.point.x, run_.outcome.products);
    here.point.gradient = made->gradient();
    return made;
  }

  double slope_of(const std::vector<double>& p) const {
    double slope = 0;
    for (std::size_t i = 0; i < p.size(); ++i) slope += p[i] * static_cast<double>(at_.point.gradient[i]);
    return slope;
  }
  double expected_of(const ModelStep& step) const {
    return -(2 * slope_of(step.p) + model_->square_of(step.p)) / at_.square;
  }

  /// The next step to try from here.
  Trial<T> trial(bool is_first) {
    if (radius_ == 0) {    // MINPACK's first
      model_->step(1, 1);  // finds the scale
      radius_ = 100 * scaled_length(at_.point.x, scale_);
      if (!(radius_ > 0)) radius_ = 100;
    }
    Trial<T> next{model_->step(radius_, 0.01), at_.point.x, scaled_length(at_.point.x, scale_)};
    ModelStep& step = next.step;
    // A small step may be the fault of few conjugate gradients.
    if (!whole_ && !step.at_the_edge &&
        (step.size <= run_.limits.step * next.x_size || expected_of(step) <= run_.limits.value))
      step = model_->step(radius_, Run<T>::rounding);
    if (is_first) radius_ = std::min(radius_, step.size);
    for (std::size_t i = 0; i < next.x.size(); ++i)
      next.x[i] = static_cast<T>(static_cast<double>(next.x[i]) + step.p[i]);
    const std::vector<T> uncut = next.x;
    run_.bounds.project(next.x, at_.point.x);
    for (std::size_t i = 0; i < uncut.size(); ++i)
      if (next.x[i] != uncut[i])
        step.p[i] = static_cast<double>(next.x[i]) - static_cast<double>(at_.point.x[i]);
    next.slope = slope_of(step.p);
    next.expected = expected_of(step);
    return next;
  }

  /// By MINPACK's rule; `ratio` is that of the relative decrease and what was expected.
  void resize_region(const Trial<T>& trial, double decrease, double ratio, bool is_finite) {
    if (ratio <= 0.25) {
      double share = decrease >= 0 ? 0.5 : 0.5 * trial.slope / (trial.slope + 0.5 * decrease * at_.square);
      if (!(share >= 0.1) || !is_finite) share = 0.1;
      radius_ = std::min(share, 0.5) * std::min(radius_, 10 * trial.step.size);
    } else if (!trial.step.at_the_edge || ratio >= 0.75) {
      radius_ = 2 * trial.step.size;
    }
  }

  /// Notes the end where a step meets the tolerance of value or step.
  void end_if_small(const Trial<T>& trial, double decrease, double ratio, bool accepted,
                    const Promise& promise) {
    // That f does not fall along a short step says nothing of the minimum, but where the longest was short.
    const bool tells =
        accepted || (promise.decrease > 0 && promise.decrease <= run_.limits.value * at_.point.value);
    if (tells && std::abs(decrease) <= run_.limits.value && std::abs(trial.expected) <= run_.limits.value &&
        ratio <= 2)
      run_.end(true, "the last step changed the sum of squares by " + rounded(std::abs(decrease)) +
                         " of its size, and was to change it by " + rounded(trial.expected) +
                         ", both below " + rounded(run_.limits.value));
    else if (accepted && (whole_ || !trial.step.at_the_edge) &&
             trial.step.size <= run_.limits.step * trial.x_size)
      run_.end(true, "the last step is of the length " + rounded(trial.step.size) + ", which is below " +
                         rounded(run_.limits.step) + " of that of x, " + rounded(trial.x_size) +
                         ", both scaled");
  }

  /// Tries steps until one is taken; false where none is, and the run has ended.
  bool advance() {
    Promise promise;  // of the first of them
    for (bool is_new = true;; is_new = false) {
      const Trial<T> next = trial(run_.outcome.iterations == 0 && is_new);
      if (is_new && !next.step.at_the_edge)
        promise = {.decrease = next.expected * at_.point.value, .step = largest(next.step.p)};
      if (next.x == at_.point.x || run_.outcome.evaluations >= run_.limits.evaluations) {
        run_.no_decrease(at_.point, promise, next.step.size > 0 ? next.slope / next.step.size : 0);
        return false;
      }
      Residuals<T> there = evaluate(next.x);
      const bool is_finite = std::isfinite(there.square);
      const double decrease = is_finite ? 1 - there.square / at_.square : -1;
      const double ratio = next.expected > 0 ? decrease / next.expected : decrease > 0 ? 1 : -1;
      resize_region(next, decrease, ratio, is_finite);
      const bool accepted = ratio >= 1e-4;
      end_if_small(next, decrease, ratio, accepted, promise);
      if (!accepted) {
        if (!run_.outcome.message.empty()) return false;
        continue;
      }
      auto next_model = linearised(there);
      if (!there.point.is_finite()) {  // the residuals have no derivative there
        run_.outcome.message.clear();
        radius_ = next.step.size / 10;
        continue;
      }
      moved_by_ = step_size(at_.point, there.point);
      at_ = std::move(there);
      model_ = std::move(next_model);
      ++run_.outcome.iterations;
      return true;
    }
  }

  const TensorFunction<T>& f_;
  const Unknowns<T> unknowns_;
  const LeastSquaresOptions<TensorList<T>>& options_;
  Run<T> run_;
  LeastSquaresMinimum<TensorList<T>> result_;
  Residuals<T> at_;
  bool whole_ = false;
  std::vector<double> scale_;
  std::unique_ptr<LinearModel<T>> model_;  ///< at at_
  double radius_ = 0, moved_by_ = 0;       ///< of the trust region; the largest change of an unknown
};

}  // namespace
}  // namespace xtape::nn::minimizing

namespace xtape::nn::detail {

template <class T>
LeastSquaresMinimum<TensorList<T>> least_squares(const TensorFunction<T>& residuals, const TensorList<T>& x0,
                                                 const LeastSquaresOptions<TensorList<T>>& options) {
  return minimizing::LevenbergMarquardt<T>(residuals, x0, options).minimum();
}

#define XTAPE_INSTANTIATE(T)                                                                                \
  template LeastSquaresMinimum<TensorList<T>> least_squares(const TensorFunction<T>&, const TensorList<T>&, \
                                                            const LeastSquaresOptions<TensorList<T>>&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn::detail
