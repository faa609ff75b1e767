// Walking over data without recording, and the modes of a tree of modules.
#include "../evaluate.hpp"

#include <algorithm>
#include <cmath>

#include "../data_loader.hpp"

namespace xtape::nn {

template <class T>
ModeScope<T>::ModeScope(Module<T>& module, bool training) {
  for (const auto& [path, one] : module.named_modules()) former_.emplace_back(one, one->training());
  module.train(training);
}

template <class T>
ModeScope<T>::~ModeScope() {
  for (const auto& [module, training] : former_) module->set_training(training);
}

template <class T>
double accuracy(const Tensor<T>& logits, const Indices& labels) {
  const Shape& of = logits.shape();
  if (of.size() < 2 || logits.size() == 0 || !(labels.shape() == Shape(std::span(of.begin(), of.size() - 1))))
    throw Error("accuracy", "logits of shape " + to_string(logits.shape()) + " and labels of shape " +
                                to_string(labels.shape()) +
                                " are not (N, …, C) and (N, …) without a 0 among them");
  std::size_t right = 0;
  const T* row = logits.data();
  const auto classes = static_cast<std::ptrdiff_t>(logits.shape(-1));
  for (const std::ptrdiff_t label : labels.values()) {
    if (label < 0 || label >= classes)
      throw Error("accuracy", "label " + std::to_string(label) + " is not one of the " +
                                  std::to_string(classes) + " classes from 0");
    const bool has_nan = std::any_of(row, row + classes, [](T x) { return std::isnan(x); });
    right += !has_nan && std::max_element(row, row + classes) - row == label;
    row += classes;
  }
  return static_cast<double>(right) / static_cast<double>(labels.size());
}

template <class T>
Evaluation evaluate(Module<T>& model, const Dataset<T>& data,
                    const std::type_identity_t<LossFunction<T>>& loss, std::size_t batch_size) {
  if (data.size() == 0) throw Error("evaluate", "there are no samples");
  const ModeScope<T> mode(model, false);
  const NoGrad no_grad;
  Evaluation sum;
  DataLoader<T> batches(data, {.batch_size = batch_size, .shuffle = false});
  for (const Dataset<T>& batch : batches) {
    const Tensor<T> output = model(batch.inputs);
    const double n = static_cast<double>(batch.size());
    sum.loss += n * static_cast<double>(loss(output, batch).item());
    if (data.labels.empty()) continue;
    // A whole number, which the product may miss: so 49 of 49 right are 1.
    sum.accuracy += std::round(static_cast<double>(batch.labels.size()) * accuracy(output, batch.labels));
  }
  sum.loss /= static_cast<double>(data.size());
  sum.accuracy /= static_cast<double>(data.labels.size());  // 0 / 0 without labels
  return sum;
}

#define XTAPE_INSTANTIATE(T)                                  \
  template class ModeScope<T>;                                \
  template double accuracy(const Tensor<T>&, const Indices&); \
  template Evaluation evaluate(Module<T>&, const Dataset<T>&, const LossFunction<T>&, std::size_t);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn
