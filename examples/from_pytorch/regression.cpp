#include <cstdio>

#include <nn/nn.hpp>

using namespace xtape;

int main() {
  const auto x = linspace<double>(-1, 1, 20);
  const auto y = 3 * x - 1 + 0.1 * cos(20 * x);

  const auto w = parameter<double>(0), b = parameter<double>(0);
  nn::SGD<double> optimizer({w, b}, {.learning_rate = 0.1, .momentum = 0.8});
  for (int step = 0; step < 50; ++step) {
    optimizer.zero_grad();
    const auto loss = mean(square(w * x + b - y));
    loss.backward();
    optimizer.step();
    std::printf("%.15g\n", loss.item());
  }
}
