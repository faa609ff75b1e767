// For ../cross/instructions.py: kernel_calls NAME CALLS calls exp, sum or product of the kernels that
// XTAPE_ARCH allows, or exp_by_number and so on, the same by a loop over numbers.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include <autodiff/kernels/kernel_table.hpp>

namespace {

[[gnu::noinline]] void by_number(std::string_view what, const float* x, float* y) {
  if (what == "exp_by_number") {
    for (std::size_t i = 0; i < 4096; ++i) y[i] = std::exp(x[i]);
  } else if (what == "sum_by_number") {
    float sum = 0;
    for (std::size_t i = 0; i < 65536; ++i) sum += x[i];
    y[0] = sum;
  } else if (what == "product_by_number") {
    const float *a = x, *b = x + 1024;
    for (std::size_t i = 0; i < 32; ++i)
      for (std::size_t j = 0; j < 32; ++j) {
        float sum = 0;
        for (std::size_t k = 0; k < 32; ++k) sum += a[32 * i + k] * b[32 * k + j];
        y[32 * i + j] = sum;
      }
  } else {
    std::exit(2);
  }
}

}  // namespace

int main(int argc, char** argv) {
  using namespace xtape::detail;
  if (argc != 3) return 2;
  const std::string_view what = argv[1];
  const Kernels<float>& k = kernels<float>();
  std::vector<float> x(65536), y(65536);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 64) / 32 - 1;
  const char no_numbers = 0;  // an operation's, and exp has none
  const float* const in[] = {x.data()};
  const std::ptrdiff_t stride[] = {1};
  for (long calls = std::atol(argv[2]); calls > 0; --calls) {
    if (what == "exp")
      k.value[static_cast<std::size_t>(OpNumber::Exp)](&no_numbers, y.data(), false, 4096, in, stride);
    else if (what == "sum")
      y[0] = k.sum(x.data(), 65536);
    else if (what == "product")
      k.blocked_gemm(false, false, 32, 32, 32, x.data(), 32, x.data() + 1024, 32, false, y.data(), 32);
    else
      by_number(what, x.data(), y.data());
  }
  std::printf("%s %g\n", k.arch, static_cast<double>(y[0]));
}
