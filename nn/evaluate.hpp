// Evaluation: what a model reaches on data, loss and accuracy, in evaluation mode.
#pragma once
#include <functional>

#include "data.hpp"
#include "module.hpp"

namespace xtape::nn {

/// The mean loss of a model's output on a batch, a tensor of one element:
/// `[](const auto& output, const auto& batch) { return nn::cross_entropy(output, batch.labels); }`.
template <class T>
using LossFunction = std::function<Tensor<T>(const Tensor<T>& output, const Dataset<T>& batch)>;

/// A scope in which a module and those within are in training or in evaluation mode; then each is as before.
template <class T>
class ModeScope {
 public:
  [[nodiscard]] ModeScope(Module<T>& module, bool training);
  ~ModeScope();
  ModeScope(const ModeScope&) = delete;
  ModeScope& operator=(const ModeScope&) = delete;

 private:
  std::vector<std::pair<Module<T>*, bool>> former_;
};

/// The share, 0 … 1, of rows of logits (…, C) whose largest number is at the label, of labels (…), one for
/// each row; of equal numbers the first counts. A row with a NaN is wrong. Error for other shapes and for no
/// rows.
template <class T>
double accuracy(const Tensor<T>& logits, const Indices& labels);

/// What a model reaches on data.
struct Evaluation {
  double loss = 0;      ///< mean over the samples
  double accuracy = 0;  ///< 0 … 1, of all labels; NaN for data without labels
};

/// In evaluation mode and without recording, batch by batch. Error for no samples.
template <class T>
Evaluation evaluate(Module<T>& model, const Dataset<T>& data,
                    const std::type_identity_t<LossFunction<T>>& loss, std::size_t batch_size = 256);

}  // namespace xtape::nn
