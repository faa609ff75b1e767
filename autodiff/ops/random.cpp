// Distributions written out, since those of the standard library differ between implementations.
#include "../random.hpp"

#include "../base/text.hpp"

#include <cmath>
#include <numbers>
#include <numeric>
#include <string>

namespace xtape::random {
namespace {

/// In [0, 1), 53 bits.
double unit(std::mt19937_64& engine) { return static_cast<double>(engine() >> 11) * 0x1p-53; }

}  // namespace

std::mt19937_64& generator() {
  thread_local std::mt19937_64 engine(0);
  return engine;
}

void seed(std::uint64_t n) { generator().seed(n); }

template <class T>
Tensor<T> normal(const Shape& shape, std::type_identity_t<T> mean, std::type_identity_t<T> sd) {
  if (!(sd >= 0))
    throw Error("random::normal", "the standard deviation " +
                                      xtape::detail::number_text(static_cast<double>(sd)) + " is negative");
  Tensor<T> x = Tensor<T>::uninitialized(shape, "random::normal");
  std::mt19937_64& engine = generator();
  T* to = x.mutable_data();
  for (std::size_t i = 0; i < x.size(); i += 2) {
    const double radius = std::sqrt(-2 * std::log(1 - unit(engine)));
    const double angle = 2 * std::numbers::pi * unit(engine);
    to[i] = mean + sd * static_cast<T>(radius * std::cos(angle));
    if (i + 1 < x.size()) to[i + 1] = mean + sd * static_cast<T>(radius * std::sin(angle));
  }
  return x;
}

template <class T>
Tensor<T> uniform(const Shape& shape, std::type_identity_t<T> low, std::type_identity_t<T> high) {
  if (!(low <= high))
    throw Error("random::uniform", "low " + xtape::detail::number_text(static_cast<double>(low)) +
                                       " is above high " +
                                       xtape::detail::number_text(static_cast<double>(high)));
  Tensor<T> x = Tensor<T>::uninitialized(shape, "random::uniform");
  std::mt19937_64& engine = generator();
  for (std::size_t i = 0; i < x.size(); ++i) {
    const T r = low + (high - low) * static_cast<T>(unit(engine));
    x.mutable_data()[i] = r < high ? r : low;  // rounding to float may reach the upper end
  }
  return x;
}

std::vector<std::size_t> permutation(std::size_t n, std::mt19937_64& engine) {
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t i = n; i > 1; --i) {
    const auto j = static_cast<std::size_t>(unit(engine) * static_cast<double>(i));
    std::swap(order[i - 1], order[j]);
  }
  return order;
}

template Tensor<float> normal<float>(const Shape&, float, float);
template Tensor<double> normal<double>(const Shape&, double, double);
template Tensor<float> uniform<float>(const Shape&, float, float);
template Tensor<double> uniform<double>(const Shape&, double, double);

}  // namespace xtape::random
