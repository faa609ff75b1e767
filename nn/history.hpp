// History: what training reached, epoch by epoch.
#pragma once
#include <cstddef>
#include <iosfwd>
#include <limits>
#include <vector>

namespace xtape::nn {

/// One pass over the training data. What was not measured is NaN.
struct Epoch {
  std::size_t number = 0;  ///< counts from 1
  double train_loss = 0;   ///< mean over the samples, each with the weights of its step
  double validation_loss = std::numeric_limits<double>::quiet_NaN();
  double validation_accuracy = std::numeric_limits<double>::quiet_NaN();  ///< 0 … 1; for data with labels
  double learning_rate = 0;
  double seconds = 0;  ///< with the validation
};

/// What training reached, epoch by epoch.
struct History {
  std::vector<Epoch> epochs;

  /// A line for each epoch below a line of names; a cell that was not measured is empty.
  void write_csv(std::ostream& out) const;
};

/// A table.
std::ostream& operator<<(std::ostream& out, const History& history);

}  // namespace xtape::nn
