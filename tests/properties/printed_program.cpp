// A random program: prints its loss and the gradients of its leaves.
// clang-format off
#include <iostream>

#include <autodiff/autodiff.hpp>

using namespace xtape;
using T = double;

int main() {
  const auto v0 = parameter<T>({1.6484375, 1.8359375, 0.9296875});
  const auto v1 = gather(v0, {0, 0, 0}, 0);
  const auto v2 = custom<T>("times", {v0, v1}, v0.detach() * v1.detach(), [=](const auto& g) { return std::vector{g * v1, g * v0}; });
  const auto v3 = pow(v2, v2);
  const auto v4 = v3 * 0.0625;
  const auto v15 = checkpoint([=](auto v5, auto v6) {
    const auto v12 = [&] {
      const NoGrad no_grad;
      const auto v11 = map([](auto v7, auto v8) {
        const auto v9 = relu(v8);
        const auto v10 = abs(v9);
        return v10;
      }, v6, v4);
      return v11;
    }();
    const auto v13 = silu(v0);
    const auto v14 = logsumexp(v13);
    return v14;
  }, v2, v4);
  const auto loss = sum(sin(v15));
  std::cout.precision(17);
  std::cout << loss.item() << "\n";
  if (!loss.requires_grad()) return 0;
  loss.backward();
  for (const auto& leaf : {v0})
    for (const T g : leaf.has_grad() ? leaf.grad() : zeros<T>(leaf.shape())) std::cout << g << "\n";
}
