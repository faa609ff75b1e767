#include <cstdio>
#include <numbers>

#include <nn/nn.hpp>

#include "fill.hpp"

using namespace xtape;
using std::numbers::pi;

int main() {
  // u'' + π² sin πx = 0 with u(0) = u(1) = 0, whose solution is sin πx.
  const auto x = parameter(unsqueeze(linspace<double>(0, 1, 33), 1));
  nn::Sequential<double> model(nn::Linear<double>(1, 16), nn::Tanh<double>(), nn::Linear<double>(16, 16),
                               nn::Tanh<double>(), nn::Linear<double>(16, 1));
  fill(model);
  nn::Adam<double> optimizer(model.parameters(), {.learning_rate = 0.01});
  for (int step = 0; step < 60; ++step) {
    optimizer.zero_grad();
    const auto u = model(x);
    const auto u_x = grad(sum(u), x, {.create_graph = true});
    const auto u_xx = grad(sum(u_x), x, {.create_graph = true});
    const auto residual = u_xx + pi * pi * sin(pi * x);
    const auto loss = mean(square(residual)) + 100 * sum(square(take(u, {0, -1}, 0)));
    loss.backward();
    optimizer.step();
    std::printf("%.15g\n", loss.item());
  }
}
