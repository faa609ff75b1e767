// The file that is compiled with -O3, the machine's own instructions and xtensor's use of xsimd.
#include "two_users.hpp"

xtape::Tensor<double> fast::loss_of(const xtape::Tensor<double>& w) { return loss(w); }

double fast::sum_of_values(const xtape::Tensor<double>& t) {
  const xt::xarray<double> doubled = 2 * t.value();  // another type here than in the other file
  double total = 0;
  for (const double v : doubled) total += v;
  return total;
}

void fast::fail() {
  xtape::matmul(xtape::ones<double>({2, 3}), xtape::ones<double>({2, 3}));
  std::abort();
}

bool fast::records(const xtape::Tensor<double>& w) { return xtape::exp(w).requires_grad(); }

xtape::nn::Linear<float> fast::layer() { return xtape::nn::Linear<float>(3, 2); }
