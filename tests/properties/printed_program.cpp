// A random program: prints its loss and the gradients of its leaves.
// clang-format off
#include <iostream>

#include <autodiff/autodiff.hpp>

using namespace xtape;
using T = double;

int main() {
  const auto v0 = parameter<T>({1.6484375, 1.8359375, 0.9296875});
  const auto v1 = log1p(v0);
  const auto v2 = xtape::std(v0);
  const auto v3 = min(v2);
  const auto v14 = checkpoint([=](auto v4, auto v5) {
    const auto v11 = [&] {
      const NoGrad no_grad;
      const auto v10 = map([](auto v6, auto v7) {
        const auto v8 = abs(v7);
        const auto v9 = log1p(v8);
        return v9;
      }, v5, v3);
      return v10;
    }();
    const auto v12 = v0 + v11;
    const auto v13 = norm(v12);
    return v13;
  }, v2, v3);
  const auto loss = sum(sin(v1)) + sum(sin(v14));
  std::cout.precision(17);
  std::cout << loss.item() << "\n";
  if (!loss.requires_grad()) return 0;
  loss.backward();
  for (const auto& leaf : {v0})
    for (const T g : leaf.has_grad() ? leaf.grad() : zeros<T>(leaf.shape())) std::cout << g << "\n";
}
