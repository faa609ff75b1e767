// The data of the rows of linear algebra, for all sides.
#pragma once
#include <vector>

namespace bench {

struct ProcessData {
  std::vector<double> x, y, parameters;  ///< logarithms of amplitude, length and noise
  bool with_gradient;
};

struct FilterData {
  std::vector<double> z;           ///< (steps, 2)
  std::vector<double> logarithms;  ///< of the variances of two states and two observations
};

struct BatchData {
  enum Kind { cholesky, solve, inv } kind;
  std::vector<double> A, b;  ///< (1000, 8, 8), (1000, 8, 1)
};

}  // namespace bench
