// A random program: prints its loss and the gradients of its leaves.
// clang-format off
#include <iostream>

#include <autodiff/autodiff.hpp>

using namespace xtape;
using T = double;

int main() {
  const auto v0 = parameter<T>({1.6484375, 1.8359375, 0.9296875});
  const auto v1 = take(v0, triu_indices(1).columns);
  const auto v2 = cumsum(v0, -1);
  const auto v3 = v2 * 0.25;
  const auto v4 = reshape(v3, {1, -1, 3});
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
    const auto v13 = xtape::std(v0);
    const auto v14 = sigmoid(v13) + 0.5;
    return v14;
  }, v3, v4);
  const auto loss = sum(sin(v1)) + sum(sin(v15));
  std::cout.precision(17);
  std::cout << loss.item() << "\n";
  if (!loss.requires_grad()) return 0;
  loss.backward();
  for (const auto& leaf : {v0})
    for (const T g : leaf.has_grad() ? leaf.grad() : zeros<T>(leaf.shape())) std::cout << g << "\n";
}
