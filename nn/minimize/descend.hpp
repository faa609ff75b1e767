// L-BFGS and gradient descent, over any function that gives its gradient. Not for users' programs.
#pragma once
#include <deque>

#include "../line_search.hpp"
#include "run.hpp"

namespace xtape::nn::minimizing {

/// What L-BFGS knows of the curvature: by how much the gradient changed, y, when x moved by s.
template <class T>
struct Pair {
  std::vector<T> s, y;
  double sy = 0, yy = 0;  ///< sᵀy and yᵀy, which push() computes
};

/// The last pairs, the oldest first.
template <class T>
class Pairs {
 public:
  explicit Pairs(std::size_t most) : most_(most) {}
  const std::deque<Pair<T>>& all() const { return all_; }
  bool empty() const { return all_.empty(); }
  std::size_t most() const { return most_; }
  void clear() { all_.clear(); }
  /// Takes a pair in the place of the oldest, but none along which f has no positive curvature.
  void push(Pair<T> pair);
  /// −H g, H the approximate inverse of the Hessian, by the two loops of Nocedal (Nocedal and Wright,
  /// Algorithm 7.4), from H₀ = sᵀy / yᵀy of the last pair; −g without pairs. With bounds, H is that of the
  /// unknowns that are not blocked.
  std::vector<T> direction(const Bounds<T>& bounds, const Point<T>& at) const;

 private:
  std::size_t most_;
  std::deque<Pair<T>> all_;
};

/// How descend() goes.
struct Descent {
  LineSearch line_search = LineSearch::strong_wolfe;
  double rate = 1;  ///< the step that is tried first, along −H g
  /// Gradient descent, whose first step is that of Barzilai and Borwein, and needs f below the largest of its
  /// last ten values alone.
  bool barzilai = false;
};

/// From `at` on until the run ends, and returns the lowest point. `pairs` are those of before, and those that
/// come.
template <class T>
Point<T> descend(Run<T>& run, Point<T> at, const Descent& how, Pairs<T>& pairs);

}  // namespace xtape::nn::minimizing
