// Checking gradients, against differences of the function.
#pragma once
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "checkpoint.hpp"
#include "tensor.hpp"

namespace xtape {

/// How to check. The defaults are those of PyTorch's gradcheck, and hold for double.
struct CheckOptions {
  /// Half the distance of central differences; 0: 1e-6 for double, refused for float. Where it shows nothing,
  /// since rounding hides the difference or a small x is passed, narrower and wider ones are tried, a decade
  /// apart, up to max(1, |x|) / 1000.
  double step = 0;
  double atol = 1e-5;  ///< |analytic − numeric| may be atol + rtol |numeric| …
  double rtol = 1e-3;  ///< … and those of one input may be off by a common factor of 1 ± rtol/10
  int order = 1;       ///< 2: the gradient that create_graph records and its gradient are checked too
  std::size_t full_limit =
      10000;               ///< up to so many entries the whole Jacobian is compared, above it projections
  int projections = 16;    ///< how many random directions then
  std::uint64_t seed = 0;  ///< of the random directions
};

/// What a check found.
struct GradientReport {
  bool passed = true;
  int order = 1;             ///< the order at which `worst` was found
  std::size_t compared = 0;  ///< entries or projections
  std::size_t mismatches = 0;
  std::size_t unresolved =
      0;                  ///< rounding hides whether they agree, whatever the step: the check does not pass
  bool all_zero = false;  ///< every value compared was 0: the check says nothing, and does not pass
  double factor =
      1;  ///< analytic ≈ factor · numeric, by least squares, of the input where it is farthest from 1

  /// One number that was compared.
  struct Entry {
    std::size_t input = 0;
    std::string index;   ///< "(1, 2)" in the input, or the number of a projection
    std::string output;  ///< index in the output
    double analytic = 0;
    double numeric = 0;
    double left = 0, right = 0;  ///< one-sided slopes, for kinks
  };
  Entry worst;               ///< the largest excess over the tolerance
  std::vector<Entry> kinks;  ///< where the one-sided slopes differ: the function has no derivative there
  std::string note;          ///< an error thrown by f, a shape that depends on the values, …
};

std::ostream& operator<<(std::ostream& out, const GradientReport& report);

namespace detail {
template <class T>
GradientReport check_gradients(const Function<T>& f, const std::vector<Tensor<T>>& x,
                               const CheckOptions& options);
}  // namespace detail

/// Compares the gradients that the tape gives for f at x with central differences: every entry of the
/// Jacobian, or random projections where it is large. f is called many times and must return the same for the
/// same values. At a kink, any value between the one-sided slopes passes, and the place is named. Error:
/// float without a step.
template <class T, class F>
GradientReport check_gradients(F f, const Tensor<T>& x, const CheckOptions& options = {}) {
  return detail::check_gradients<T>([&](const std::vector<Tensor<T>>& in) -> Tensor<T> { return f(in[0]); },
                                    {x}, options);
}

/// The same for several inputs: f takes them as const std::vector<Tensor<T>>&, or one by one. Error when it
/// takes another number of tensors.
template <class T, class F>
GradientReport check_gradients(F f, const std::vector<Tensor<T>>& x, const CheckOptions& options = {}) {
  return detail::check_gradients<T>(
      [&](const std::vector<Tensor<T>>& in) { return detail::call<T>("check_gradients", f, in); }, x,
      options);
}
template <class T, class F>
GradientReport check_gradients(F f, std::initializer_list<Tensor<T>> x, const CheckOptions& options = {}) {
  return detail::check_gradients<T>(
      [&](const std::vector<Tensor<T>>& in) { return detail::call<T>("check_gradients", f, in); }, x,
      options);
}

}  // namespace xtape
