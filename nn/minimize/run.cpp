// Why a minimiser ends, in words and numbers.
#include "run.hpp"

#include <array>
#include <charconv>

namespace xtape::nn::minimizing {

std::string rounded(double number) {
  std::array<char, 32> text{};
  const auto end =
      std::to_chars(text.data(), text.data() + text.size(), number, std::chars_format::general, 3);
  return std::string(text.data(), end.ptr);
}

std::string counted(std::size_t n, const char* what) {
  return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

template <class T>
void Bounds<T>::project(std::vector<T>& x, const std::vector<T>& from) const {
  constexpr T rounding = 4 * std::numeric_limits<T>::epsilon();
  const auto near = [&](std::size_t i, T bound) {
    return rounding * std::max(std::abs(from[i]), std::isfinite(bound) ? std::abs(bound) : T(0));
  };
  for (std::size_t i = 0; i < lower.size(); ++i)
    if (x[i] <= lower[i] + near(i, lower[i])) x[i] = lower[i];
  for (std::size_t i = 0; i < upper.size(); ++i)
    if (x[i] >= upper[i] - near(i, upper[i])) x[i] = upper[i];
}

template <class T>
bool Bounds<T>::blocks(const std::vector<T>& x, const std::vector<T>& gradient, std::size_t i) const {
  return (!lower.empty() && x[i] <= lower[i] && gradient[i] > 0) ||
         (!upper.empty() && x[i] >= upper[i] && gradient[i] < 0);
}

template <class T>
void Bounds<T>::mask(const Point<T>& at, std::vector<T>& v) const {
  if (!any()) return;
  for (std::size_t i = 0; i < v.size(); ++i)
    if (blocks(at.x, at.gradient, i)) v[i] = 0;
}

template <class T>
double Bounds<T>::gradient_size(const Point<T>& at) const {
  if (!any()) return largest(at.gradient);
  std::vector<T> moves = difference(at.x, at.gradient);
  project(moves, at.x);
  // Where x is large, x − g − x loses digits of g: what is not cut is g itself.
  for (std::size_t i = 0; i < moves.size(); ++i) {
    const bool is_cut = (!lower.empty() && moves[i] == lower[i]) || (!upper.empty() && moves[i] == upper[i]);
    moves[i] = is_cut ? moves[i] - at.x[i] : at.gradient[i];
  }
  return largest(moves);
}

template <class T>
bool Run<T>::cannot_start(const Point<T>& at) {
  outcome.value = at.value;
  outcome.gradient_norm = largest(at.gradient);
  if (at.is_finite()) return false;
  outcome.history.push_back(at.value);
  if (std::isnan(at.value)) return end(false, "f is NaN at the start");
  if (std::isinf(at.value)) return end(false, "f is infinite at the start");
  std::size_t i = 0;
  while (std::isfinite(at.gradient[i])) ++i;
  return end(false, "f is " + rounded(at.value) + " at the start, and its gradient " +
                        rounded(static_cast<double>(at.gradient[i])) + " in element " + std::to_string(i));
}

template <class T>
bool Run<T>::is_stalled() {
  const bool falls = outcome.value < lowest_ && !is_rounding(lowest_ - outcome.value, outcome.value);
  if (falls) lowest_ = outcome.value;
  const bool flattens = outcome.gradient_norm <= smallest_ / 2;
  if (flattens) smallest_ = outcome.gradient_norm;
  if (falls || flattens) fell_ = outcome.iterations;
  return outcome.iterations - fell_ >= patience;
}

template <class T>
bool Run<T>::finished(const Point<T>& at, double step) {
  outcome.value = at.value;
  outcome.gradient_norm = bounds.gradient_size(at);
  outcome.history.push_back(at.value);
  const bool go_on = !observe || observe(at, step);
  const std::string zero = std::string("the ") + (bounds.any() ? "projected " : "") + "gradient is 0";
  const std::string what = "the largest component of the " + std::string(bounds.any() ? "projected " : "") +
                           "gradient, " + rounded(outcome.gradient_norm) + ", is ";
  const std::string enough = rounded(limits.gradient);
  if (outcome.gradient_norm <= limits.gradient)
    return end(true, outcome.gradient_norm == 0 ? zero : what + "below " + enough);
  if (!outcome.message.empty()) return true;  // a small change has been noted
  if (is_stalled())
    return end(true, "f has no digits left: " + counted(outcome.iterations - fell_, "iteration") +
                         " have not decreased it by more than the rounding of its value " +
                         rounded(at.value) + "; the largest component of the gradient is " +
                         rounded(outcome.gradient_norm));
  if (!go_on) return end(false, "the callback ended it after " + counted(outcome.iterations, "iteration"));
  if (outcome.iterations >= limits.iterations)
    return end(false, "after " + counted(outcome.iterations, "iteration") +
                          ", as many as max_iterations allows, " + what + "above " + enough);
  if (outcome.evaluations >= limits.evaluations)
    return end(false, "after " + counted(outcome.evaluations, "evaluation") +
                          ", as many as max_evaluations allows, " + what + "above " + enough);
  return false;
}

template <class T>
void Run<T>::end_if_small(const Point<T>& before, const Point<T>& after) {
  const double change = before.value - after.value;
  const double size = std::max(std::abs(before.value), std::abs(after.value));
  const double step = step_size(before, after), x = std::max(1.0, largest(after.x));
  if (limits.value > 0 && std::abs(change) <= limits.value * size)
    end(true, "the last step changed f by " + rounded(change) + ", which is below " + rounded(limits.value) +
                  " of its size, " + rounded(size));
  else if (limits.step > 0 && step <= limits.step * x)
    end(true, "the last step changed no unknown by more than " + rounded(step) + ", which is below " +
                  rounded(limits.step) + " of their size, " + rounded(x));
}

template <class T>
void Run<T>::no_decrease(const Point<T>& at, const Promise& promise, double slope) {
  if (is_unbounded) {
    end(false, "f has no minimum: from " + rounded(at.value) + " a step leads to -infinity");
    return;
  }
  if (const double first = outcome.history.front(); at.value < -std::max(1.0, std::abs(first)) / rounding) {
    end(false,
        "f seems to have no minimum: it has fallen from " + rounded(first) + " to " + rounded(at.value));
    return;
  }
  const std::string norm = "the largest component of the gradient is " + rounded(outcome.gradient_norm);
  if (promise.decrease > 0 && is_rounding(promise.decrease, at.value)) {
    end(true, "f has no digits left: a step would decrease it by " + rounded(promise.decrease) +
                  ", less than the rounding of its value " + rounded(at.value) + "; " + norm);
    return;
  }
  if (const double x = std::max(1.0, largest(at.x)); promise.step > 0 && promise.step <= 10 * rounding * x) {
    end(true, "x has no digits left: a step would change it by " + rounded(promise.step) +
                  ", no more than the rounding of its size, " + rounded(x) + "; " + norm);
    return;
  }
  if (outcome.evaluations >= limits.evaluations) {
    end(false, "after " + counted(outcome.evaluations, "evaluation") +
                   ", as many as max_evaluations allows, " + norm + ", above " + rounded(limits.gradient));
    return;
  }
  end(false, "no step along the direction decreases f below " + rounded(at.value) +
                 ", though the slope there is " + rounded(slope) +
                 ": is the gradient right? check_gradients(f, x) tells. Or f is rounded more coarsely than "
                 "its last digit; " +
                 norm);
}

#define XTAPE_INSTANTIATE(T) \
  template struct Bounds<T>; \
  template class Run<T>;
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn::minimizing
