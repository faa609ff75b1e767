// What the tests of kernels share: numbers in a frame, distances in units of the last place, all tables.
#pragma once
#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include <autodiff/kernels/kernel_table.hpp>

namespace xtape::test {

using namespace xtape::detail;
using namespace xtape::engine;

using Real = long double;
/// Whether the C library's functions of long double are exact enough to judge others by: MinGW's err by up to
/// thousands of units of double's last place.
#ifdef _WIN32
inline constexpr bool has_long_functions = false;
#else
inline constexpr bool has_long_functions = true;
#endif
inline constexpr std::size_t guard = 20;

/// Numbers with a frame around them that must stay as it is; `shift` makes the start unaligned.
template <class T>
class Framed {
 public:
  Framed(std::size_t n, T fill, std::size_t shift = 1)
      : n_(n), shift_(shift), all_(n + 2 * guard + shift, T(123)) {
    std::fill_n(data(), n, fill);
  }
  T* data() { return all_.data() + guard + shift_; }
  T& operator[](std::size_t i) { return data()[i]; }
  bool frame_is_whole() const {
    for (std::size_t i = 0; i < all_.size(); ++i)
      if ((i < guard + shift_ || i >= guard + shift_ + n_) && all_[i] != T(123)) return false;
    return true;
  }

 private:
  std::size_t n_, shift_;
  std::vector<T> all_;
};

template <class T>
std::vector<T> random_numbers(std::size_t n, T low, T high, unsigned seed = 1) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<T> distribution(low, high);
  std::vector<T> numbers(n);
  for (T& x : numbers) x = distribution(generator);
  return numbers;
}

/// |a − b| in units of the last place of b, at least of `scale`.
template <class T>
double ulps(T a, Real b, Real scale = 0) {
  const T expected = static_cast<T>(b);
  if ((std::isnan(a) && std::isnan(expected)) || a == expected) return 0;
  if (!std::isfinite(a) || !std::isfinite(expected)) return 1e30;
  const T size = std::max({std::abs(expected), static_cast<T>(scale), std::numeric_limits<T>::min()});
  const T ulp = size - std::nextafter(size, T(0));
  return static_cast<double>(std::abs(static_cast<Real>(a) - b) / static_cast<Real>(ulp));
}

template <class F>
void for_each_table(const F& f) {
  const auto run = [&]<class T>(T) {
    const AvailableKernels<T> all = available_kernels<T>();
    for (std::size_t i = 0; i < all.count; ++i) {
      CAPTURE(all.tables[i]->arch);
      CAPTURE(sizeof(T));
      f(*all.tables[i], T(0));
    }
  };
  run(1.0f);
  run(1.0);
}

using Sizes = std::initializer_list<std::size_t>;
inline constexpr std::size_t sizes[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 35, 100, 1000, 5000};

}  // namespace xtape::test
