// The two networks: dense layers in residual blocks, and convolutions.
#pragma once
#include <memory>

#include <nn/nn.hpp>

/// x + Linear(Dropout(ReLU(LayerNorm(x)))): what passes through the block passes by it too.
inline xtape::nn::Residual<float> residual_block(std::size_t width) {
  using namespace xtape::nn;
  return Residual<float>(Sequential<float>(LayerNorm<float>(width), ReLU<float>(), Dropout<float>(0.1),
                                           Linear<float>(width, width)));
}

/// (N, 1, side, side) to the logits of 10 classes, by two residual blocks of 256 units.
inline xtape::nn::Sequential<float> dense_network(std::size_t side) {
  using namespace xtape::nn;
  constexpr std::size_t width = 256;
  return Sequential<float>(Flatten<float>(), Linear<float>(side * side, width), residual_block(width),
                           residual_block(width), LayerNorm<float>(width), ReLU<float>(), Dropout<float>(0.1),
                           Linear<float>(width, 10));
}

/// The same by two convolutions of 3 × 3 with pooling, and two dense layers.
inline xtape::nn::Sequential<float> convolutional_network(std::size_t side) {
  using namespace xtape::nn;
  const std::size_t features = 32 * (side / 4) * (side / 4);
  return Sequential<float>(Conv2d<float>(1, 16, 3, {.padding = 1}), ReLU<float>(), MaxPool2d<float>(2),
                           Conv2d<float>(16, 32, 3, {.padding = 1}), ReLU<float>(), MaxPool2d<float>(2),
                           Flatten<float>(), Dropout<float>(0.2), Linear<float>(features, 128, false),
                           BatchNorm1d<float>(128), ReLU<float>(), Dropout<float>(0.2),
                           Linear<float>(128, 10));
}
