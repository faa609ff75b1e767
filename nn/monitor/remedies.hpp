// What to do about what a training run shows.
#pragma once
#include <string>
#include <vector>

#include "../gradient_history.hpp"

namespace xtape::nn::detail {

/// The textbook's four remedies (ReLU, Xavier initialisation, residual connections, batch normalisation) in
/// terms of this library, each where it applies: ReLU where there is a sigmoid or tanh, initialisation where
/// the first weights were far from it, normalisation where there is none. One sentence for each.
class Remedies {
 public:
  explicit Remedies(const GradientHistory& history);

  /// Whether the first weights were about as large as an initialisation makes them.
  bool starts_right() const { return initialisation_.empty(); }
  std::vector<std::string> vanishing() const;
  std::vector<std::string> exploding() const;
  std::vector<std::string> dead() const;
  std::vector<std::string> saturated() const;
  std::vector<std::string> symmetric() const;
  /// By the operation that gave the first NaN or infinity, and what it was used for.
  static std::vector<std::string> not_finite(const TrainingStep& step);

 private:
  bool he_ = false;  ///< the initialisation for the units that there are
  bool is_recurrent_ = false;
  /// Empty where the remedy does not apply.
  std::string relu_, initialisation_, normalisation_;
};

/// The standard deviation that He, else Glorot, would give a weight (out, in, …); a vector counts as the
/// weight of one output.
double initial_deviation(const Shape& shape, bool he);

/// "Multiply the learning rate by 0.1, from 0.5 to 0.05": a factor of 10 and no more, for one run says
/// nothing of rates that are farther from the one that was tried.
std::string rate_advice(double rate, bool is_too_high);

}  // namespace xtape::nn::detail
