// What all minimisers have in common: points, bounds, limits, and why they end. Not for users' programs.
#pragma once
#include <cstddef>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "vectors.hpp"

namespace xtape::nn::minimizing {

/// A place where f has been computed, the unknowns one behind the other.
template <class T>
struct Point {
  std::vector<T> x, gradient;
  double value = 0;
  /// v → H v, where the recording of the gradient was kept.
  std::function<std::vector<T>(const std::vector<T>&)> hessian_product{};

  bool is_finite() const { return std::isfinite(value) && all_finite(gradient); }
};

/// Limits of each unknown, empty where there are none.
template <class T>
struct Bounds {
  std::vector<T> lower, upper;

  bool any() const { return !lower.empty() || !upper.empty(); }
  /// Moves x to the nearest point within; and to a bound that it missed by the rounding of a step.
  void project(std::vector<T>& x, const std::vector<T>& from) const;
  /// Whether unknown i is at a bound and −g points out of it.
  bool blocks(const std::vector<T>& x, const std::vector<T>& gradient, std::size_t i) const;
  /// Sets to 0 what belongs to blocked unknowns.
  void mask(const Point<T>& at, std::vector<T>& v) const;
  /// max |P(x − g) − x|, which is 0 at a minimum within the bounds; without bounds, max |g|.
  double gradient_size(const Point<T>& at) const;
};

/// When to end; a tolerance of 0 is never met but by 0.
struct Limits {
  double gradient = 0;  ///< of the largest component of the gradient
  double value = 0;     ///< of the change of f, relative to f
  double step = 0;      ///< of the largest change of an unknown, relative to the largest of them, or to 1
  std::size_t iterations = std::numeric_limits<std::size_t>::max();
  std::size_t evaluations = std::numeric_limits<std::size_t>::max();
};

/// How it went.
struct Outcome {
  double value = 0;
  double gradient_norm = 0;
  std::size_t iterations = 0, evaluations = 0, products = 0;
  bool converged = false;
  std::string message{};
  std::vector<double> history{};
};

/// What the model of f says of its minimum; negative where it is not known.
struct Promise {
  double decrease = -1;
  double step = -1;  ///< the largest change of an unknown
};

/// What a message shows of a number: "3.1e-09".
std::string rounded(double number);
/// "1 iteration", "2 iterations".
std::string counted(std::size_t n, const char* what);

/// One minimisation: the function, and the account of it.
template <class T>
class Run {
 public:
  std::function<Point<T>(std::vector<T> x)> function{};
  Bounds<T> bounds{};
  Limits limits{};
  /// Sees each iteration, with the largest change of an unknown; false ends the run.
  std::function<bool(const Point<T>& at, double step)> observe{};
  /// After so many iterations in which f has not fallen by more than its rounding, nor the gradient to a
  /// half, there is nothing more to be had.
  std::size_t patience = 20;
  Outcome outcome{};
  /// The relative distance of numbers, to which f is rounded.
  static constexpr double rounding = std::numeric_limits<T>::epsilon();

  Point<T> evaluate(std::vector<T> x) {
    ++outcome.evaluations;
    Point<T> point = function(std::move(x));
    if (point.value == -std::numeric_limits<double>::infinity()) is_unbounded = true;
    return point;
  }
  bool is_unbounded = false;  ///< f has been −∞, and there is nothing to look for
  /// True where the start is no number: nothing can be done then.
  bool cannot_start(const Point<T>& at);
  /// At the beginning of each iteration: takes account of the point, which was reached by a step of this
  /// size, and tells whether it is the last.
  bool finished(const Point<T>& at, double step);
  /// Notes the end where a step meets the tolerance of value or step.
  void end_if_small(const Point<T>& before, const Point<T>& after);
  /// Ends where nothing less than f was found, though the model promised that. `slope` is that of f along the
  /// direction, of length 1.
  void no_decrease(const Point<T>& at, const Promise& promise, double slope);
  bool end(bool converged, std::string message) {
    outcome.converged = converged;
    outcome.message = std::move(message);
    return true;
  }
  /// Whether a difference of f is lost in its rounding.
  bool is_rounding(double change, double value) const {
    return std::abs(change) <= 10 * rounding * std::abs(value);
  }
  /// Whether it may be, where f is computed with some loss of digits.
  bool is_noise(double change, double value) const {
    return std::abs(change) <= 1e3 * rounding * std::abs(value);
  }

 private:
  bool is_stalled();

  double lowest_ = std::numeric_limits<double>::infinity();  ///< f when it last fell
  double smallest_ = lowest_;                                ///< the gradient when it last fell to a half
  std::size_t fell_ = 0;                                     ///< in this iteration
};

/// The largest change of an unknown.
template <class T>
double step_size(const Point<T>& before, const Point<T>& after) {
  double most = 0;
  for (std::size_t i = 0; i < before.x.size(); ++i)
    most = std::max(most, std::abs(static_cast<double>(after.x[i]) - static_cast<double>(before.x[i])));
  return most;
}

}  // namespace xtape::nn::minimizing
