// The file that is compiled with -O0 and with assertions, and has main.
#include <cmath>
#include <iostream>

#include "two_users.hpp"

namespace {
int failed = 0;
void check(bool right, const char* what) {
  if (right) return;
  ++failed;
  std::cout << "WRONG: " << what << '\n';
}
}  // namespace

int main() {
  auto w = xtape::parameter<double>({{0.1, -0.2}, {0.3, 0.4}, {-0.5, 0.6}});
  const auto a = loss(w), b = fast::loss_of(w);
  check(a.item() == b.item(), "the losses of both files");
  a.backward();
  const xt::xarray<double> first = w.grad().value();
  w.zero_grad();
  b.backward();
  const auto second = w.grad().value();
  bool same = true;
  for (std::size_t i = 0; i < first.size(); ++i) same &= first.flat(i) == second.flat(i);
  check(same, "the gradients of both files");
  check(std::abs(fast::sum_of_values(w) - 1.4) < 1e-12, "values read by the other file");
  try {
    fast::fail();
  } catch (const xtape::Error& error) {
    check(std::string(error.what()).starts_with("[matmul]"), "the error of the other file");
  }
  {
    const xtape::NoGrad no_grad;
    check(!fast::records(w), "NoGrad is seen by the other file");
  }
  check(fast::records(w), "recording is on again for the other file");
  auto layer = fast::layer();
  xtape::nn::SGD<float> descent(layer.parameters(), {.learning_rate = 0.01});
  const auto x = xtape::ones<float>({4, 3});
  const auto before = xtape::sum(xtape::square(layer(x)));
  before.backward();
  descent.step();
  check(xtape::sum(xtape::square(layer(x))).item() < before.item(), "a layer of the other file learns");
  std::cout << (failed == 0 ? "two files with different flags work together\n"
                            : "two files are WRONG together\n");
  return failed;
}
