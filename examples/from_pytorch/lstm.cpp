#include <cstdio>

#include <nn/nn.hpp>

#include "fill.hpp"

using namespace xtape;

struct Forecast : nn::Module<double> {
  nn::LSTM<double> lstm{1, 16};
  nn::Linear<double> head{16, 1};

  Tensor<double> forward(const Tensor<double>& x) override { return head(lstm(x)); }
  void members(nn::Members<double>& m) override {
    m.module("lstm", lstm);
    m.module("head", head);
  }
};

int main() {
  // Four pieces of a wave, each value from those before it: (24, 4, 1), the time first.
  const auto t = reshape(arange<double>(25), {25, 1}) + 10 * arange<double>(4);
  const auto wave = 0.5 * unsqueeze(sin(0.3 * t) + sin(0.5 * t), 2);
  const auto x = slice(wave, xt::range(0, 24)), y = slice(wave, xt::range(1, 25));

  Forecast model;
  fill(model);
  nn::Adam<double> optimizer(model.parameters(), {.learning_rate = 0.02});
  for (int step = 0; step < 50; ++step) {
    optimizer.zero_grad();
    const auto loss = nn::mse_loss(model(x), y);
    loss.backward();
    nn::clip_grad_norm(model.parameters(), 0.5);
    optimizer.step();
    std::printf("%.15g\n", loss.item());
  }
}
