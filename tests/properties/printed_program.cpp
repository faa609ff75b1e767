// A random program: prints its loss and the gradients of its leaves.
// clang-format off
#include <iostream>

#include <autodiff/autodiff.hpp>

using namespace xtape;
using T = double;

int main() {
  const auto v0 = parameter<T>({1.6484375, 1.8359375, 0.9296875});
  const auto v1 = repeat(v0, 2, 0);
  const auto v2 = mean(v1, {0}, true);
  const auto v3 = v0 * v2 + equal(v0, v2);
  const auto v4 = log_sigmoid(v3);
  const auto v15 = checkpoint([=](auto v5, auto v6) {
    const auto v12 = [&] {
      const NoGrad no_grad;
      const auto v11 = map([](auto v7, auto v8) {
        const auto v9 = v8 * 1;
        const auto v10 = clamp(v9, -1, 1.5);
        return v10;
      }, v6, v4);
      return v11;
    }();
    const auto v13 = log2(v0);
    const auto v14 = sin(v13);
    return v14;
  }, v3, v4);
  const auto loss = sum(sin(v15));
  std::cout.precision(17);
  std::cout << loss.item() << "\n";
  if (!loss.requires_grad()) return 0;
  loss.backward();
  for (const auto& leaf : {v0})
    for (const T g : leaf.has_grad() ? leaf.grad() : zeros<T>(leaf.shape())) std::cout << g << "\n";
}
