// The rows of a table.
#include "../embedding.hpp"

#include <string>

#include <autodiff/engine.hpp>
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
  return engine::take_rows("Embedding", weight, indices);
}

template <class T>
Tensor<T> Embedding<T>::forward(const Tensor<T>& x) {
  return rows(engine::whole_numbers("Embedding", x));
}

template class Embedding<float>;
template class Embedding<double>;

}  // namespace xtape::nn
