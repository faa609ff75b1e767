// What the two files of one program share: each is compiled with flags of its own (checks.sh).
#pragma once
#include <autodiff/autodiff.hpp>
#include <nn/nn.hpp>

/// The loss of a small network, with an array, a map and a view of xtensor on the way. Both files have their
/// own copy.
inline xtape::Tensor<double> loss(const xtape::Tensor<double>& w) {
  const xt::xtensor<double, 2, xt::layout_type::row_major, std::allocator<double>> x = {
      {1, 2, 3}, {4, 5, 6}, {7, 8, 9}};
  const auto h =
      xtape::map([](auto a) { return tanh(a) + 0.1 * a; }, xtape::matmul(xtape::Tensor<double>(0.1 * x), w));
  return xtape::mean(xtape::square(h));
}

namespace fast {
xtape::Tensor<double> loss_of(const xtape::Tensor<double>& w);
double sum_of_values(const xtape::Tensor<double>& t);
[[noreturn]] void fail();
bool records(const xtape::Tensor<double>& w);
xtape::nn::Linear<float> layer();
}  // namespace fast
