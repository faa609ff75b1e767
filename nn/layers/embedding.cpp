// Indices are checked here, so that errors name the layer.
#include "../embedding.hpp"

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <autodiff/engine.hpp>
#include <autodiff/layout.hpp>
#include <autodiff/random.hpp>

namespace xtape::nn {

template <class T>
Embedding<T>::Embedding(std::size_t count, std::size_t features) {
  if (count == 0 || features == 0)
    throw Error("Embedding", std::to_string(count) + " rows of " + std::to_string(features) +
                                 " features: both must be positive");
  weight = parameter(random::normal<T>({count, features}));
}

template <class T>
Tensor<T> Embedding<T>::rows(const Indices& indices) {
  const std::size_t count = weight.shape()[0];
  for (std::size_t i = 0; i < indices.size(); ++i)
    if (indices.values()[i] < 0 || !std::cmp_less(indices.values()[i], count))
      throw Error("Embedding", "index " + std::to_string(indices.values()[i]) + " at " + std::to_string(i) +
                                   " is not one of the " + std::to_string(count) + " rows from 0");
  return take(weight, indices, 0);
}

template <class T>
Tensor<T> Embedding<T>::forward(const Tensor<T>& x) {
  std::vector<std::ptrdiff_t> indices;
  indices.reserve(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const T number = x.data()[i];
    if (!(std::abs(number) < T(0x1p53) && std::floor(number) == number))
      throw Error("Embedding", engine::number_text(static_cast<double>(number)) + " at " + std::to_string(i) +
                                   " is not a whole number: give indices");
    indices.push_back(static_cast<std::ptrdiff_t>(number));
  }
  Shape to = x.shape();
  to.push_back(weight.shape()[1]);
  return reshape(rows(indices), Dims(to));
}

template class Embedding<float>;
template class Embedding<double>;

}  // namespace xtape::nn
