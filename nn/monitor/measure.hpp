// What is measured of many numbers in one pass over them.
#pragma once
#include <array>
#include <cmath>
#include <cstddef>
#include <optional>
#include <vector>

#include "../gradient_history.hpp"

namespace xtape::nn::detail {

/// Σ f(i) for i below n, in double; several sums side by side, so that one need not wait for the other.
template <class F>
double sum_over(std::size_t n, F&& f) {
  constexpr std::size_t lanes = 8;
  std::array<double, lanes> sums{};
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (std::size_t k = 0; k < lanes; ++k) sums[k] += f(i + k);
  for (; i < n; ++i) sums[0] += f(i);
  double sum = 0;
  for (const double one : sums) sum += one;
  return sum;
}

/// Σ of each of the K numbers that f(i) gives, for i below n.
template <std::size_t K, class F>
std::array<double, K> sums_over(std::size_t n, F&& f) {
  constexpr std::size_t lanes = 4;
  std::array<std::array<double, K>, lanes> sums{};
  const auto add = [&](std::size_t lane, std::size_t i) {
    const std::array<double, K> x = f(i);
    for (std::size_t k = 0; k < K; ++k) sums[lane][k] += x[k];
  };
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (std::size_t lane = 0; lane < lanes; ++lane) add(lane, i + lane);
  for (; i < n; ++i) add(0, i);
  for (std::size_t lane = 1; lane < lanes; ++lane)
    for (std::size_t k = 0; k < K; ++k) sums[0][k] += sums[lane][k];
  return sums[0];
}

/// Σ a b of n numbers.
template <class T>
double dot(const T* a, const T* b, std::size_t n) {
  return sum_over(n, [=](std::size_t i) { return static_cast<double>(a[i]) * static_cast<double>(b[i]); });
}

/// Whether the rows (rows, size) differ by at most `tolerance` of the largest element: units that compute the
/// same, but for rounding. Ends at the first that differs, so that it costs nothing in other weights.
template <class T>
bool has_equal_rows(const T* w, std::size_t rows, std::size_t size, double tolerance) {
  if (rows < 2 || size == 0) return false;
  T largest = 0;
  for (std::size_t i = 0; i < size; ++i) largest = std::max(largest, std::abs(w[i]));
  const T limit = static_cast<T>(tolerance) * largest;
  for (std::size_t i = size; i < rows * size; ++i)
    if (!(std::abs(w[i] - w[i % size]) <= limit)) return false;
  return true;
}

/// Mean and deviation of each unit over the samples, of what is added batch by batch. Differences from the
/// first sample are summed: outputs that hardly differ would else be lost beside their mean.
class UnitMoments {
 public:
  /// x is (rows, units, inner): `inner` elements of each unit side by side.
  template <class T>
  void add(const T* x, std::size_t rows, std::size_t units, std::size_t inner) {
    if (rows == 0 || inner == 0) return;
    if (shift_.size() != units) {
      shift_.resize(units), sum_.assign(units, 0), squares_.assign(units, 0), count_ = 0;
      for (std::size_t u = 0; u < units; ++u) shift_[u] = static_cast<double>(x[u * inner]);
    }
    count_ += rows * inner;
    double *const sum = sum_.data(), *const squares = squares_.data();
    const double* const shift = shift_.data();
    if (inner == 1) {
      for (std::size_t r = 0; r < rows; ++r, x += units)
        for (std::size_t u = 0; u < units; ++u) {
          const double d = static_cast<double>(x[u]) - shift[u];
          sum[u] += d;
          squares[u] += d * d;
        }
      return;
    }
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t u = 0; u < units; ++u, x += inner) {
        const auto difference = [=](std::size_t i) { return static_cast<double>(x[i]) - shift[u]; };
        sum[u] += sum_over(inner, difference);
        squares[u] += sum_over(inner, [=](std::size_t i) { return difference(i) * difference(i); });
      }
  }
  /// Forgets the numbers and keeps the memory.
  void clear() { shift_.clear(), count_ = 0; }

  std::size_t units() const { return shift_.size(); }
  double mean(std::size_t u) const { return shift_[u] + sum_[u] / static_cast<double>(count_); }
  double variance(std::size_t u) const {
    const auto n = static_cast<double>(count_);
    return std::max(0.0, squares_[u] / n - (sum_[u] / n) * (sum_[u] / n));
  }
  /// √ of the mean variance.
  double deviation() const {
    double sum = 0;
    for (std::size_t u = 0; u < units(); ++u) sum += variance(u);
    return units() == 0 ? 0 : std::sqrt(sum / static_cast<double>(units()));
  }
  /// The features with the largest and the smallest root mean square; none where all numbers are 0, as those
  /// of the first state of a recurrence are.
  std::optional<DataScale> scale() const {
    DataScale all;
    for (std::size_t u = 0; u < units(); ++u) {
      const double rms = std::sqrt(variance(u) + mean(u) * mean(u));
      if (rms > 0 && (all.smallest == 0 || rms < all.smallest)) all.smallest = rms;
      if (!(rms > all.largest)) continue;
      all.largest = rms, all.feature = u, all.mean = mean(u), all.deviation = std::sqrt(variance(u));
    }
    return all.largest > 0 ? std::optional(all) : std::nullopt;
  }

 private:
  std::vector<double> shift_, sum_, squares_;
  std::size_t count_ = 0;
};

}  // namespace xtape::nn::detail
