#include <cstdio>
#include <tuple>

#include <nn/nn.hpp>

#include "fill.hpp"

using namespace xtape;

struct VAE : nn::Module<double> {
  nn::Sequential<double> encoder{nn::Linear<double>(16, 32), nn::Tanh<double>(), nn::Linear<double>(32, 4)};
  nn::Sequential<double> decoder{nn::Linear<double>(2, 32), nn::Tanh<double>(), nn::Linear<double>(32, 16)};

  auto operator()(const Tensor<double>& x, const Tensor<double>& noise) {
    const auto call = [&] {
      const auto [mu, logvar] = split<2>(encoder(x), 1);
      const auto z = mu + noise * exp(0.5 * logvar);  // a sample, with a gradient
      return std::tuple(decoder(z), mu, logvar);
    };
    return observed(call, [](const auto& results) { return std::get<0>(results); });
  }
  Tensor<double> forward(const Tensor<double>& x) override { return decoder(split<2>(encoder(x), 1)[0]); }
  void members(nn::Members<double>& m) override {
    m.module("encoder", encoder);
    m.module("decoder", decoder);
  }
};

int main() {
  // Waves of different lengths and phases, 32 of 16 points between 0 and 1.
  const auto n = reshape(arange<double>(32), {32, 1}), t = arange<double>(16);
  const auto x = 0.5 + 0.4 * sin((0.2 + 0.02 * n) * t + n);

  VAE model;
  fill(model);
  nn::Adam<double> optimizer(model.parameters(), {.learning_rate = 0.01});
  for (int step = 0; step < 50; ++step) {
    // In place of random::normal<double>({32, 2})
    const auto noise = 1.4 * reshape(sin(step + square(arange<double>(64))), {32, 2});
    optimizer.zero_grad();
    const auto [output, mu, logvar] = model(x, noise);
    const auto reconstruction = nn::mse_loss(output, x, nn::Reduction::sum);
    const auto divergence = -0.5 * sum(1 + logvar - square(mu) - exp(logvar));
    const auto loss = (reconstruction + divergence) / x.shape(0);
    loss.backward();
    optimizer.step();
    std::printf("%.15g\n", loss.item());
  }
}
