// Sums of squares in three ranges, as in Blue's algorithm, a block at a time.
#include "norm.hpp"

#include <cmath>

#include <autodiff/engine.hpp>

namespace xtape::nn::detail {
namespace {

constexpr double scale = 0x1p+600;  // a power of 2 rounds nothing

}  // namespace

void Norm::add_block(double* x, std::size_t n) {
  const auto squares = [&] { return engine::sum_of_squares(x, n); };
  const auto times = [&](double factor) {
    for (std::size_t i = 0; i < n; ++i) x[i] *= factor;
    return squares();
  };
  const double sum = squares();
  if (sum > 1e250)
    of_large_ += times(1 / scale);
  else if (sum < 1e-250)
    of_small_ += times(scale);
  else
    sum_ += sum;  // NaN too
}

double Norm::value() const {
  const double sum = sum_ + of_small_ / scale / scale;
  if (of_large_ > 0) return scale * std::sqrt(of_large_ + sum / scale / scale);
  return sum_ == 0 ? std::sqrt(of_small_) / scale : std::sqrt(sum);
}

}  // namespace xtape::nn::detail
