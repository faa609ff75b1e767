// xtape's training step of a 2-layer sigmoid network with the mean squared error.
#pragma once
#include <cmath>

#include <nn/nn.hpp>

#include "data.hpp"
#include "hand_written.hpp"

namespace bench {

inline hand_written::Network network(std::size_t batch, std::size_t in, std::size_t hidden, std::size_t out) {
  hand_written::Network data{};
  data.batch = batch;
  data.in = in;
  data.hidden = hidden;
  data.out = out;
  data.x = normal<float>(batch * in);
  data.y = uniform<float>(batch * out);
  data.W1 = normal<float>(hidden * in, std::sqrt(1 / static_cast<double>(in)));
  data.b1 = normal<float>(hidden, 0.1);
  data.W2 = normal<float>(out * hidden, std::sqrt(1 / static_cast<double>(hidden)));
  data.b2 = normal<float>(out, 0.1);
  return data;
}

struct TrainingStep {
  xtape::Tensor<float> x, y, W1, b1, W2, b2;
  xtape::nn::SGD<float> sgd;

  explicit TrainingStep(const hand_written::Network& data)
      : x(tensor(data.x, {data.batch, data.in})),
        y(tensor(data.y, {data.batch, data.out})),
        W1(parameter(data.W1, {data.hidden, data.in})),
        b1(parameter(data.b1, {data.hidden})),
        W2(parameter(data.W2, {data.out, data.hidden})),
        b2(parameter(data.b2, {data.out})),
        sgd({W1, b1, W2, b2}, {.learning_rate = data.rate}) {}

  xtape::Tensor<float> loss() const {
    return xtape::nn::mse_loss(sigmoid(linear(sigmoid(linear(x, W1, b1)), W2, b2)), y);
  }
  void run() {
    sgd.zero_grad();
    loss().backward();
    sgd.step();
  }
  std::vector<double> gradients() const { return flat(W1.grad(), b1.grad(), W2.grad(), b2.grad()); }
};

}  // namespace bench
