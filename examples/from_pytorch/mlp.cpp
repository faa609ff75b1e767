#include <cstdio>
#include <numbers>

#include <nn/nn.hpp>

#include "fill.hpp"

using namespace xtape;
using std::numbers::pi;

int main() {
  // Points on the three arms of a spiral in turn.
  const xt::xarray<int> labels = xt::arange(90) % 3;
  const auto r = linspace<double>(0.1, 1, 90);
  const auto angle = 4 * r + 2 * pi / 3 * labels;
  const auto x = stack({r * cos(angle), r * sin(angle)}, 1);
  nn::DataLoader<double> loader({x, labels}, {.batch_size = 30, .shuffle = false});

  nn::Sequential<double> model(nn::Linear<double>(2, 16), nn::ReLU<double>(), nn::Linear<double>(16, 3));
  fill(model);
  nn::Adam<double> optimizer(model.parameters(), {.learning_rate = 0.05});
  for (int epoch = 0; epoch < 30; ++epoch) {
    for (const auto& batch : loader) {
      optimizer.zero_grad();
      const auto loss = nn::cross_entropy(model(batch.inputs), batch.labels);
      loss.backward();
      optimizer.step();
      std::printf("%.15g\n", loss.item());
    }
  }
}
