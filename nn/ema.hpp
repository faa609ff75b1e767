// EMA: averages of a model's parameters over its training.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "module.hpp"

namespace xtape::nn {

/// Exponential moving averages of the parameters, which often do better than the last ones (Polyak and
/// Juditsky, 1992): a ← decay · a + (1 − decay) · w at each update(), from the values at the construction on.
/// Buffers, such as running means, are averages already and are copied. Error for a decay outside [0, 1].
///
///     nn::EMA ema(model, 0.999);
///     … adam.step(); ema.update();                            // in the loop
///     nn::functional_call(model, ema.averages(), x);          // the averaged model, or
///     auto averaged = nn::clone(model); ema.copy_to(averaged);
///     nn::save_tensors(path, ema.averages());                 // for a training that goes on
template <class T>
class EMA {
 public:
  explicit EMA(Module<T>& model, double decay = 0.999);
  EMA(const EMA&) = delete;  // a copy would share the averages
  EMA& operator=(const EMA&) = delete;
  EMA(EMA&&) noexcept = default;
  EMA& operator=(EMA&&) noexcept = default;

  /// After a step of the optimiser.
  void update();
  /// By the names of the model's state_dict(); constants, which assign() sets.
  const std::vector<std::pair<std::string, Tensor<T>>>& averages() const { return averages_; }
  /// Gives a model of the same names the averages. Errors as of copy_parameters.
  void copy_to(Module<T>& model) const;

 private:
  std::vector<std::pair<std::string, Tensor<T>>> averages_;
  std::vector<Tensor<T>> values_;  ///< handles of the model's own
  double decay_;
};

}  // namespace xtape::nn
