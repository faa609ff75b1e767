// A random program: prints its loss and the gradients of its leaves.
// clang-format off
#include <iostream>

#include <nn/nn.hpp>

using namespace xtape;
using T = double;

int main() {
  const auto v0 = parameter<T>({1.6484375, 1.8359375, 0.9296875});
  const auto v1 = sin(v0) * 0.8;
  const auto v2 = erfinv(v1);
  const auto v3 = tanh(v2);
  const auto v18 = checkpoint([=](auto v4, auto v5) {
    const auto v11 = [&] {
      const NoGrad no_grad;
      const auto v10 = map([](auto v6, auto v7) {
        const auto v8 = v7 * 1;
        const auto v9 = clamp(v8, -1, 1.5);
        return v9;
      }, v5, v3);
      return v10;
    }();
    const auto v12 = lgamma(v0);
    const auto v13 = take(v12, {0});
    const auto v14 = reshape(v13, {1, 1});
    const auto v15 = 0.8 * sin(v14) + 3 * eye<T>(v14.shape(-1));
    const auto v16 = square(linalg::qr(v15)[1]);
    const auto v17 = v16 * 0.125;
    return v17;
  }, v2, v3);
  const auto loss = sum(sin(v18));
  std::cout.precision(17);
  std::cout << loss.item() << "\n";
  if (!loss.requires_grad()) return 0;
  loss.backward();
  for (const auto& leaf : {v0})
    for (const T g : leaf.has_grad() ? leaf.grad() : zeros<T>(leaf.shape())) std::cout << g << "\n";
}
