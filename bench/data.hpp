// Reproducible data for all sides of a row, and the tensors that xtape's side makes of them.
#pragma once
#include <vector>

#include <autodiff/autodiff.hpp>

namespace bench {

template <class T>
std::vector<T> normal(std::size_t n, double sd = 1) {
  const auto numbers = xtape::random::normal<T>({n}, 0, static_cast<T>(sd));
  return {numbers.begin(), numbers.end()};
}

template <class T>
std::vector<T> uniform(std::size_t n) {
  const auto numbers = xtape::random::uniform<T>({n});
  return {numbers.begin(), numbers.end()};
}

template <class T>
xtape::Tensor<T> tensor(const std::vector<T>& numbers, const xtape::Dims& shape) {
  return xtape::reshape(xtape::Tensor<T>(numbers), shape);
}

template <class T>
xtape::Tensor<T> parameter(const std::vector<T>& numbers, const xtape::Dims& shape) {
  return xtape::parameter(tensor(numbers, shape));
}

}  // namespace bench
