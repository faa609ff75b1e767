// Arithmetic on the unknowns as one list of numbers. Not for users' programs.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

#include <autodiff/engine.hpp>

namespace xtape::nn::minimizing {

/// Σ aᵢ bᵢ in double, in an order that depends on the length alone.
template <class T>
double dot(const std::vector<T>& a, const std::vector<T>& b) {
  // Eight sums do not wait for each other.
  std::array<double, 8> part{};
  const std::size_t n = a.size(), whole = n - n % part.size();
  for (std::size_t i = 0; i < whole; i += part.size())
    for (std::size_t k = 0; k < part.size(); ++k)
      part[k] += static_cast<double>(a[i + k]) * static_cast<double>(b[i + k]);
  for (std::size_t i = whole; i < n; ++i)
    part[i - whole] += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  double sum = 0;
  for (const double x : part) sum += x;
  return sum;
}

/// √Σ aᵢ², without overflow on the way.
template <class T>
double length(const std::vector<T>& a) {
  double most = 0;
  for (const T x : a) most = std::max(most, std::abs(static_cast<double>(x)));
  if (!(most > 1e140 || (most < 1e-140 && most > 0))) return std::sqrt(dot(a, a));
  double sum = 0;
  for (const T x : a) sum += (static_cast<double>(x) / most) * (static_cast<double>(x) / most);
  return most * std::sqrt(sum);
}

/// max |aᵢ|; NaN where an element is.
template <class T>
double largest(const std::vector<T>& a) {
  double most = 0;
  for (const T x : a) {
    const double size = std::abs(static_cast<double>(x));
    if (!(size <= most)) most = size;
    if (std::isnan(size)) return size;
  }
  return most;
}

/// y + factor · x.
template <class T>
std::vector<T> moved(const std::vector<T>& y, double factor, const std::vector<T>& x) {
  std::vector<T> result(y.size());
  for (std::size_t i = 0; i < y.size(); ++i)
    result[i] = static_cast<T>(static_cast<double>(y[i]) + factor * static_cast<double>(x[i]));
  return result;
}
/// y ← y + factor · x, as a step of gradient descent, for which there is a kernel.
template <class T>
void add(std::vector<T>& y, double factor, const std::vector<T>& x) {
  engine::sgd_update<T>(y.data(), nullptr, x.data(), y.size(), {static_cast<T>(-factor), 0, 0, false});
}
template <class T>
void multiply(std::vector<T>& x, double factor) {
  for (T& one : x) one = static_cast<T>(static_cast<double>(one) * factor);
}
/// a − b.
template <class T>
std::vector<T> difference(const std::vector<T>& a, const std::vector<T>& b) {
  return moved(a, -1, b);
}
/// The τ ≥ 0 with |p + τ d| = radius.
template <class T>
double to_the_edge(const std::vector<T>& p, const std::vector<T>& d, double radius) {
  const double dd = dot(d, d), pd = dot(p, d), pp = dot(p, p);
  const double root = std::sqrt(std::max(0.0, pd * pd + dd * (radius * radius - pp)));
  return pd > 0 ? std::max(0.0, radius * radius - pp) / (pd + root) : (root - pd) / dd;
}

template <class T>
bool all_finite(const std::vector<T>& a) {
  return std::ranges::all_of(a, [](T x) { return std::isfinite(x); });
}

}  // namespace xtape::nn::minimizing
