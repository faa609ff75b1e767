// Variances from fan-in and fan-out, and orthonormal rows.
#include "../init.hpp"

#include <cmath>
#include <numeric>

#include <autodiff/engine.hpp>

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

/// Vectors drawn from a normal distribution, each freed of those before it (Gram-Schmidt, twice over, which
/// is as good as Householder's reflections: Giraud et al., 2005).
template <class T>
Tensor<T> orthogonal(const Shape& shape, double gain) {
  fans("orthogonal", shape);
  const std::size_t rows = shape[0], cols = rows == 0 ? 0 : engine::element_count(shape, "orthogonal") / rows;
  const std::size_t count = std::min(rows, cols), length = std::max(rows, cols);
  Tensor<double> vectors = random::normal<double>({count, length});
  for (std::size_t i = 0; i < count; ++i) {
    double* const v = vectors.mutable_data() + i * length;
    for (int pass = 0; pass < 2; ++pass)
      for (const double* u = vectors.data(); u != v; u += length) {
        const double along = std::inner_product(u, u + length, v, 0.0);
        for (std::size_t k = 0; k < length; ++k) v[k] -= along * u[k];
      }
    const double norm = std::sqrt(std::inner_product(v, v + length, v, 0.0));
    for (std::size_t k = 0; k < length; ++k) v[k] /= norm;
  }
  Tensor<T> result = Tensor<T>::uninitialized(shape, "orthogonal");
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < cols; ++j)
      result.mutable_data()[i * cols + j] =
          static_cast<T>(gain * vectors.data()[rows <= cols ? i * length + j : j * length + i]);
  return result;
}

template Tensor<float> orthogonal<float>(const Shape&, double);
template Tensor<double> orthogonal<double>(const Shape&, double);
template Tensor<float> xavier_uniform<float>(const Shape&);
template Tensor<double> xavier_uniform<double>(const Shape&);
template Tensor<float> xavier_normal<float>(const Shape&);
template Tensor<double> xavier_normal<double>(const Shape&);
template Tensor<float> he_uniform<float>(const Shape&);
template Tensor<double> he_uniform<double>(const Shape&);
template Tensor<float> he_normal<float>(const Shape&);
template Tensor<double> he_normal<double>(const Shape&);

}  // namespace xtape::nn::init
