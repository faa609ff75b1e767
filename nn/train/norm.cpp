// Sums of squares in three ranges, as in Blue's algorithm, a block at a time.
#include "norm.hpp"

#include <cmath>

namespace xtape::nn::detail {
namespace {

constexpr double scale = 0x1p+600;  // a power of 2 rounds nothing

}  // namespace

Norm::Sums Norm::sums_of(double* x, std::size_t n) {
  const auto squares = [&] { return engine::sum_of_squares(x, n); };
  const auto times = [&](double factor) {
    for (std::size_t i = 0; i < n; ++i) x[i] *= factor;
    return squares();
  };
  const double sum = squares();
  if (sum > 1e250) return {.of_large = times(1 / scale)};
  if (sum < 1e-250) return {.of_small = times(scale)};
  return {.of_all = sum};  // NaN too
}

double Norm::value() const {
  const auto [all, large, small] = sums_;
  const double sum = all + small / scale / scale;
  if (large > 0) return scale * std::sqrt(large + sum / scale / scale);
  return all == 0 ? std::sqrt(small) / scale : std::sqrt(sum);
}

}  // namespace xtape::nn::detail
