// Compares gradients of two origins, such as the tape's and hand-derived ones, as a table.
#pragma once
#include <iosfwd>
#include <string>
#include <vector>

#include "tensor.hpp"

namespace xtape {

/// One row to compare: the gradient in question, and the one to compare it with.
template <class T>
struct GradientPair {
  std::string name;
  Tensor<T> gradient;
  Tensor<T> other;
};

struct CompareOptions {
  std::size_t batch_size = 0;  ///< known to the hints: a factor of the batch size is named as such
  double rtol = -1;            ///< of the largest element; default 1e-9 for double, 1e-4 for float
  double atol = -1;            ///< default 1e-12 for double, 1e-6 for float
};

/// The result of a comparison.
struct GradientTable {
  struct Row {
    std::string name;
    std::string shape;
    double max_abs_difference = 0;
    double max_rel_difference = 0;  ///< the largest difference over the largest element
    double cosine = 1;              ///< of the angle between both
    bool passed = true;
    std::string hint;  ///< what would explain the difference, where something does
  };
  std::vector<Row> rows;
  bool passed = true;
};

std::ostream& operator<<(std::ostream& out, const GradientTable& table);

/// A row passes when every difference is at most atol + rtol · the largest element of either. Shapes that
/// differ, NaN and empty tensors are rows that do not pass.
template <class T>
GradientTable compare_gradients(const std::vector<GradientPair<T>>& pairs,
                                const CompareOptions& options = {});

}  // namespace xtape
