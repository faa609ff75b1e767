// The test functions of Moré, Garbow and Hillstrom, "Testing Unconstrained Optimization Software", ACM TOMS 7
// (1981): 35 sums of squares, with their starts and their known minima.
#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include <autodiff/tensor.hpp>

namespace xtape::test {

/// One of them, f(x) = Σ r(x)².
struct SumOfSquares {
  int number = 0;  ///< in the paper
  std::string name;
  std::vector<double> start;
  std::vector<double> minima;  ///< values of f, to six digits: the global one, and local ones that are listed
  std::function<Tensor<double>(const Tensor<double>& x)> residuals;

  /// How far a value of f is from the nearest known minimum: relative to it, or for 0 in units of 1e-3, so
  /// that 1e-5 is the five digits that the paper gives, or 1e-8.
  double distance(double value) const;
};

/// All of them in the order of the paper; where n or m may be chosen, as the paper's tables do.
std::vector<SumOfSquares> more_garbow_hillstrom();

}  // namespace xtape::test
