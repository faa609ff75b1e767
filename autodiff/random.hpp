// Reproducible random numbers: the same seed gives the same bits on every machine.
#pragma once
#include <random>
#include <vector>

#include "tensor.hpp"

namespace xtape::random {

/// The calling thread's generator. A thread starts with the seed 0.
std::mt19937_64& generator();

/// Starts the calling thread's sequence anew.
void seed(std::uint64_t n);

/// Normally distributed numbers, by the Box-Muller transform. Error for a negative sd.
template <class T>
Tensor<T> normal(const Shape& shape, std::type_identity_t<T> mean = 0, std::type_identity_t<T> sd = 1);

/// Numbers in [low, high), evenly distributed. Error for high < low.
template <class T>
Tensor<T> uniform(const Shape& shape, std::type_identity_t<T> low = 0, std::type_identity_t<T> high = 1);

/// 0 … n − 1 in random order (Fisher-Yates), drawn from the calling thread's generator or from one's own.
std::vector<std::size_t> permutation(std::size_t n, std::mt19937_64& engine = generator());

}  // namespace xtape::random
