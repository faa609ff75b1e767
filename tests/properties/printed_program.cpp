// A random program: prints its loss and the gradients of its leaves.
// clang-format off
#include <iostream>

#include <nn/nn.hpp>

using namespace xtape;
using T = double;

int main() {
  const auto v0 = parameter<T>({1.6484375, 1.8359375, 0.9296875});
  const auto v1 = take(v0, {0, 0}, 0);
  const auto v2 = cosh(v0);
  const auto v3 = sqrt(v2);
  const auto v16 = checkpoint([=](auto v4, auto v5) {
    const auto v11 = [&] {
      const NoGrad no_grad;
      const auto v10 = map([](auto v6, auto v7) {
        const auto v8 = v7 * 1;
        const auto v9 = clamp(v8, -1, 1.5);
        return v9;
      }, v5, v3);
      return v10;
    }();
    const auto v12 = take(v11, {0});
    const auto v13 = reshape(v12, {1, 1});
    const auto v14 = 0.8 * sin(v13) + 3 * eye<T>(v13.shape(-1));
    const auto v15 = square(linalg::qr(v14)[0]);
    return v15;
  }, v2, v3);
  const auto loss = sum(sin(v1)) + sum(sin(v16));
  std::cout.precision(17);
  std::cout << loss.item() << "\n";
  if (!loss.requires_grad()) return 0;
  loss.backward();
  for (const auto& leaf : {v0})
    for (const T g : leaf.has_grad() ? leaf.grad() : zeros<T>(leaf.shape())) std::cout << g << "\n";
}
