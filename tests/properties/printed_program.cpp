// A random program: prints its loss and the gradients of its leaves.
// clang-format off
#include <iostream>

#include <autodiff/autodiff.hpp>

using namespace xtape;
using T = double;

int main() {
  const auto v0 = parameter<T>({1.6484375, 1.8359375, 0.9296875});
  const auto v1 = pow(v0, 3);
  const auto v2 = v1 * 0.25;
  const auto v3 = logsumexp(v0, -1, false);
  const auto v16 = checkpoint([=](auto v4, auto v5) {
    const auto v13 = [&] {
      const NoGrad no_grad;
      const auto v12 = map([](auto v6, auto v7) {
        const auto v8 = cosh(v7);
        const auto v9 = v8 * 0.25;
        const auto v10 = sin(v9) * 0.8;
        const auto v11 = tan(v10);
        return v11;
      }, v5, v4);
      return v12;
    }();
    const auto v14 = minimum(v0, v13);
    const auto v15 = cumsum(v14);
    return v15;
  }, v3, v3);
  const auto loss = sum(sin(v2)) + sum(sin(v16));
  std::cout.precision(17);
  std::cout << loss.item() << "\n";
  if (!loss.requires_grad()) return 0;
  loss.backward();
  for (const auto& leaf : {v0})
    for (const T g : leaf.has_grad() ? leaf.grad() : zeros<T>(leaf.shape())) std::cout << g << "\n";
}
