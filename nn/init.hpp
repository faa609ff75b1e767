// Initialisers: first values of weights. Shapes are (out, in); further axes multiply the fan-in and fan-out.
#pragma once
#include <autodiff/random.hpp>

namespace xtape::nn::init {

/// Evenly distributed with the variance 2 / (in + out): Glorot and Bengio, 2010. For sigmoid and tanh.
template <class T>
Tensor<T> xavier_uniform(const Shape& shape);
/// Normally distributed with the variance 2 / (in + out).
template <class T>
Tensor<T> xavier_normal(const Shape& shape);
/// Evenly distributed with the variance 2 / in: He et al., 2015. For ReLU.
template <class T>
Tensor<T> he_uniform(const Shape& shape);
/// Normally distributed with the variance 2 / in.
template <class T>
Tensor<T> he_normal(const Shape& shape);
/// A random matrix with orthonormal rows, or columns where there are fewer of them, times `gain`: Saxe et
/// al., 2014. The axes after the first count as one.
template <class T>
Tensor<T> orthogonal(const Shape& shape, double gain = 1);
/// All 0.
template <class T>
Tensor<T> zeros(const Shape& shape) {
  return xtape::zeros<T>(shape);
}

}  // namespace xtape::nn::init
