// Line searches: how far a minimiser goes along a direction.
#pragma once

namespace xtape {

/// How far a minimiser goes along a direction d from x.
enum class LineSearch {
  /// To an α with f(x + αd) ≤ f(x) + c₁ α gᵀd and |g(x + αd)ᵀd| ≤ c₂ |gᵀd|, c₁ = 1e-4, c₂ = 0.9, by cubic
  /// interpolation (Moré and Thuente, 1994). Where f has no digits left for that, the condition on f is taken
  /// from the slopes: gᵀd at the new point at most (2c₁ − 1) of that at x (Hager and Zhang, 2005).
  strong_wolfe,
  /// From α = 1 back to the first with f(x + αd) ≤ f(x) + c₁ α gᵀd. Takes the fewest evaluations.
  backtracking,
  /// α = 1, or the learning rate, whatever f is there: for losses that change from call to call.
  none
};

}  // namespace xtape
