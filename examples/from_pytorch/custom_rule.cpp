#include <cstdio>

#include <nn/nn.hpp>

#include "fill.hpp"

using namespace xtape;

/// Eighths from -1 to 1; the gradient passes as if it had not been rounded.
Tensor<double> quantize(const Tensor<double>& x) {
  return custom<double>(
      "quantize", {x}, [](const auto& w) { return clamp(round(8 * w) / 8, -1, 1); },
      [x](const auto& g) { return std::vector{g * (abs(x) <= 1)}; });
}

struct QuantizedLinear : nn::Linear<double> {
  using Linear::Linear;
  Tensor<double> forward(const Tensor<double>& x) override { return linear(x, quantize(weight), bias); }
};

int main() {
  const auto t = unsqueeze(linspace<double>(-1, 1, 40), 1);
  const auto x = concatenate({t, square(t)}, 1), y = sin(3 * t);

  nn::Sequential<double> model(QuantizedLinear(2, 16), nn::Tanh<double>(), QuantizedLinear(16, 1));
  fill(model);
  nn::RMSprop<double> optimizer(model.parameters(), {.learning_rate = 0.01});
  for (int step = 0; step < 60; ++step) {
    optimizer.zero_grad();
    const auto loss = nn::mse_loss(model(x), y);
    loss.backward();
    optimizer.step();
    std::printf("%.15g\n", loss.item());
  }
}
