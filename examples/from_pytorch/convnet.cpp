#include <cstdio>
#include <numbers>

#include <nn/nn.hpp>

#include "fill.hpp"

using namespace xtape;
using std::numbers::pi;

struct LeNet : nn::Module<double> {
  nn::Conv2d<double> conv1{1, 4, 3, {.padding = 1}};
  nn::Conv2d<double> conv2{4, 8, 3, {.padding = 1}};
  nn::Linear<double> head{8 * 3 * 3, 4};

  Tensor<double> forward(const Tensor<double>& images) override {
    auto x = max_pool2d(relu(conv1(images)), 2);
    x = max_pool2d(relu(conv2(x)), 2);
    return head(flatten(x, 1));
  }
  void members(nn::Members<double>& m) override {
    m.module("conv1", conv1);
    m.module("conv2", conv2);
    m.module("head", head);
  }
};

int main() {
  // Stripes in four directions: images (24, 1, 12, 12).
  const auto n = reshape(arange<double>(24), {24, 1, 1, 1});
  const auto row = reshape(arange<double>(12), {12, 1}), column = arange<double>(12);
  const auto angle = pi / 4 * fmod(n, 4);
  const auto images = sin(0.8 * (cos(angle) * row + sin(angle) * column) + n);
  const Indices labels = xt::arange(24) % 4;

  LeNet model;
  fill(model);
  nn::SGD<double> optimizer(model.parameters(), {.learning_rate = 0.1, .momentum = 0.9});
  for (int step = 0; step < 25; ++step) {
    optimizer.zero_grad();
    const auto loss = nn::cross_entropy(model(images), labels);
    loss.backward();
    optimizer.step();
    std::printf("%.15g\n", loss.item());
  }
}
