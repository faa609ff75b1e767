// Data sets: checks, selecting, splitting, standardising.
#include "../data.hpp"

#include <cmath>
#include <span>

#include <autodiff/elementwise.hpp>
#include <autodiff/engine.hpp>
#include <autodiff/indexing.hpp>
#include <autodiff/random.hpp>
#include <autodiff/reductions.hpp>

namespace xtape::nn {

template <class T>
Dataset<T>::Dataset(const Tensor<T>& x, const Tensor<T>& y, const Indices& classes)
    : inputs(x.detach()), targets(y.detach()), labels(classes) {
  if (inputs.rank() == 0 || (targets.defined() && targets.rank() == 0))
    throw Error("Dataset", "a tensor of shape () has no axis of samples");
  if (targets.defined() && targets.shape()[0] != size())
    throw Error("Dataset", "inputs of shape " + to_string(inputs.shape()) + " and targets of shape " +
                               to_string(targets.shape()) + " differ in the number of samples");
}

template <class T>
Dataset<T>::Dataset(const Tensor<T>& x) : Dataset(x, Tensor<T>(), {}) {}

template <class T>
Dataset<T>::Dataset(const Tensor<T>& x, const Indices& classes) : Dataset(x, Tensor<T>(), classes) {
  if (labels.shape().size() == 0 || labels.shape()[0] != size())
    throw Error("Dataset", "labels of shape " + to_string(labels.shape()) + " for inputs of shape " +
                               to_string(inputs.shape()) +
                               ": one for each sample is needed, or a row of them");
}

template <class T>
Dataset<T> Dataset<T>::select(const Indices& places) const {
  Dataset part;
  part.inputs = take(inputs, places, 0);
  if (targets.defined()) part.targets = take(targets, places, 0);
  if (labels.empty()) return part;
  xt::dynamic_shape<std::size_t> shape(labels.shape().begin(), labels.shape().end());
  const auto N = static_cast<std::ptrdiff_t>(shape[0]);
  const std::size_t row = labels.size() / shape[0];
  shape[0] = places.size();
  std::vector<std::ptrdiff_t> chosen;
  chosen.reserve(places.size() * row);
  for (const std::ptrdiff_t i : places.values()) {  // take() has checked them
    const auto from = labels.begin() + (i < 0 ? i + N : i) * static_cast<std::ptrdiff_t>(row);
    chosen.insert(chosen.end(), from, from + static_cast<std::ptrdiff_t>(row));
  }
  part.labels = xt::adapt(chosen, shape);
  return part;
}

template <class T>
std::pair<Dataset<T>, Dataset<T>> Dataset<T>::split(double fraction, std::uint64_t seed) const {
  if (!(fraction >= 0 && fraction <= 1))
    throw Error("Dataset", "a fraction of " + engine::number_text(fraction) + " is not in [0, 1]");
  std::mt19937_64 engine(seed);
  const std::vector<std::size_t> order = random::permutation(size(), engine);
  const auto first = static_cast<std::size_t>(std::llround(fraction * static_cast<double>(size())));
  return {select(std::span(order).first(first)), select(std::span(order).subspan(first))};
}

template <class T>
Standardizer<T>::Standardizer(const Dataset<T>& training, bool per_feature) {
  if (training.size() == 0) throw Error("Standardizer", "there are no samples to take a mean of");
  const Tensor<T>& x = training.inputs;
  const auto average = [&](const Tensor<T>& a) { return per_feature ? xtape::mean(a, 0) : xtape::mean(a); };
  mean = average(x);
  mean = mean + average(x - mean);  // what the sum has rounded off: so equal numbers are their mean
  const Tensor<T> deviation = per_feature ? xtape::std(x, 0) : xtape::std(x);
  sd = where(deviation > T(0), deviation, ones<T>(deviation.shape()));
}

template <class T>
Dataset<T> Standardizer<T>::operator()(const Dataset<T>& data) const {
  Dataset<T> result = data;
  result.inputs = (data.inputs - mean) / sd;
  return result;
}

template struct Dataset<float>;
template struct Dataset<double>;
template class Standardizer<float>;
template class Standardizer<double>;

}  // namespace xtape::nn
