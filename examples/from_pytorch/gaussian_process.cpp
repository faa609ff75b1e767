#include <cmath>
#include <cstdio>
#include <numbers>

#include <nn/nn.hpp>

using namespace xtape;

Tensor<double> negative_log_likelihood(const Tensor<double>& x, const Tensor<double>& y,
                                       const Tensor<double>& logarithms) {
  const auto p = exp(logarithms), amplitude = slice(p, 0), length = slice(p, 1), noise = slice(p, 2);
  const auto difference = (unsqueeze(x, 1) - unsqueeze(x, 0)) / length;
  const auto K = square(amplitude) * exp(-0.5 * square(difference)) + square(noise) * eye<double>(x.size());
  const auto L = linalg::cholesky(K);
  const auto alpha = linalg::cho_solve(L, y);
  return 0.5 * dot(y, alpha) + sum(log(diag(L))) +
         0.5 * static_cast<double>(x.size()) * std::log(2 * std::numbers::pi);
}

int main() {
  const auto x = linspace<double>(0, 6, 25);
  const auto y = sin(2 * x) + 0.3 * x + 0.1 * cos(17 * x);

  const auto logarithms = parameter<double>({0.0, 1.0, -1.0});
  nn::Adam<double> optimizer({logarithms}, {.learning_rate = 0.1});
  for (int step = 0; step < 60; ++step) {
    optimizer.zero_grad();
    const auto loss = negative_log_likelihood(x, y, logarithms);
    loss.backward();
    optimizer.step();
    std::printf("%.15g\n", loss.item());
  }
}
