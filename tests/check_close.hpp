// Comparison of numbers with tolerances that are stated, and a message that shows the worst element.
#pragma once
#include <cmath>
#include <cstring>
#include <limits>
#include <sstream>
#include <string>

#include <doctest/doctest.h>

#include <autodiff/autodiff.hpp>

namespace xtape::test {

/// "" when |a − b| <= atol + rtol |b| for all elements, else what is worst. Equal infinities and two NaN
/// agree.
template <class T>
std::string difference(const Tensor<T>& a, const Tensor<T>& b, double rtol, double atol) {
  std::ostringstream text;
  text.precision(17);
  if (!(a.shape() == b.shape())) {
    text << "shapes " << a.shape() << " and " << b.shape() << " differ";
    return text.str();
  }
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double p = static_cast<double>(a.data()[i]), q = static_cast<double>(b.data()[i]);
    if (p == q || (std::isnan(p) && std::isnan(q))) continue;
    const double excess = std::isfinite(p) && std::isfinite(q) ? std::abs(p - q) - atol - rtol * std::abs(q)
                                                               : std::numeric_limits<double>::infinity();
    if (excess <= worst) continue;
    worst = excess;
    text.str("");
    text << "at " << i << " of shape " << a.shape() << ": " << p << " is not " << q << " (rtol " << rtol
         << ", atol " << atol << ")";
  }
  return text.str();
}

template <class T>
bool same_bits(const Tensor<T>& a, const Tensor<std::type_identity_t<T>>& b) {
  return a.shape() == b.shape() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

template <class T>
void check_close(const Tensor<T>& actual, const Tensor<std::type_identity_t<T>>& expected, double rtol,
                 double atol = 0) {
  const std::string worst = difference(actual, expected, rtol, atol);
  CHECK_MESSAGE(worst.empty(), worst);
}

}  // namespace xtape::test
