// A random program: prints its loss and the gradients of its leaves.
// clang-format off
#include <iostream>

#include <autodiff/autodiff.hpp>

using namespace xtape;
using T = double;

int main() {
  const auto v0 = parameter<T>({1.6484375, 1.8359375, 0.9296875});
  const auto v1 = silu(v0);
  const auto v2 = reciprocal(v1);
  const auto v13 = checkpoint([=](auto v3, auto v4) {
    const auto v10 = [&] {
      const NoGrad no_grad;
      const auto v9 = map([](auto v5, auto v6) {
        const auto v7 = abs(v6);
        const auto v8 = log1p(v7);
        return v8;
      }, v4, v2);
      return v9;
    }();
    const auto v11 = abs(v0);
    const auto v12 = min(v11);
    return v12;
  }, v1, v2);
  const auto loss = sum(sin(v13));
  std::cout.precision(17);
  std::cout << loss.item() << "\n";
  if (!loss.requires_grad()) return 0;
  loss.backward();
  for (const auto& leaf : {v0})
    for (const T g : leaf.has_grad() ? leaf.grad() : zeros<T>(leaf.shape())) std::cout << g << "\n";
}
