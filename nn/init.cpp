// Variances from fan-in and fan-out.
#include "init.hpp"

#include <cmath>

namespace xtape::nn::init {
namespace {

struct Fans {
  double in, out;
};

Fans fans(const char* op, const Shape& shape) {
  if (shape.size() < 2) throw Error(op, "shape " + to_string(shape) + " has no (out, in)");
  double receptive = 1;
  for (std::size_t i = 2; i < shape.size(); ++i) receptive *= static_cast<double>(shape[i]);
  return {static_cast<double>(shape[1]) * receptive, static_cast<double>(shape[0]) * receptive};
}

template <class T>
Tensor<T> uniform(const Shape& shape, double variance) {
  const T bound = static_cast<T>(std::sqrt(3 * variance));
  return random::uniform<T>(shape, -bound, bound);
}

}  // namespace

template <class T>
Tensor<T> xavier_uniform(const Shape& shape) {
  const Fans f = fans("xavier_uniform", shape);
  return uniform<T>(shape, 2 / (f.in + f.out));
}

template <class T>
Tensor<T> xavier_normal(const Shape& shape) {
  const Fans f = fans("xavier_normal", shape);
  return random::normal<T>(shape, 0, static_cast<T>(std::sqrt(2 / (f.in + f.out))));
}

template <class T>
Tensor<T> he_uniform(const Shape& shape) {
  return uniform<T>(shape, 2 / fans("he_uniform", shape).in);
}

template <class T>
Tensor<T> he_normal(const Shape& shape) {
  return random::normal<T>(shape, 0, static_cast<T>(std::sqrt(2 / fans("he_normal", shape).in)));
}

template Tensor<float> xavier_uniform<float>(const Shape&);
template Tensor<double> xavier_uniform<double>(const Shape&);
template Tensor<float> xavier_normal<float>(const Shape&);
template Tensor<double> xavier_normal<double>(const Shape&);
template Tensor<float> he_uniform<float>(const Shape&);
template Tensor<double> he_uniform<double>(const Shape&);
template Tensor<float> he_normal<float>(const Shape&);
template Tensor<double> he_normal<double>(const Shape&);

}  // namespace xtape::nn::init
