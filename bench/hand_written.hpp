// The peer of the training steps: forward, backward and update of a 2-layer sigmoid network with the mean
// squared error, written out over plain arrays, with the same BLAS for the products that xtape gives to BLAS.
#pragma once
#include <cmath>
#include <cstddef>
#include <vector>

#include <autodiff/gemm.hpp>

namespace hand_written {

struct Network {
  std::size_t batch, in, hidden, out;
  std::vector<float> x, y, W1, b1, W2, b2;
  std::vector<float> a1, a2, delta1, delta2, dW1, db1, dW2, db2;

  Network(std::size_t batch_, std::size_t in_, std::size_t hidden_, std::size_t out_)
      : batch(batch_),
        in(in_),
        hidden(hidden_),
        out(out_),
        a1(batch * hidden),
        a2(batch * out),
        delta1(batch * hidden),
        delta2(batch * out),
        dW1(hidden * in),
        db1(hidden),
        dW2(out * hidden),
        db2(out) {}

  /// One step of gradient descent; returns the loss before it.
  float step(float rate) {
    using xtape::detail::gemm;
    const auto layer = [&](const float* a, std::size_t n, const std::vector<float>& W,
                           const std::vector<float>& b, std::vector<float>& to, std::size_t m) {
      for (std::size_t i = 0; i < batch; ++i)
        for (std::size_t j = 0; j < m; ++j) to[i * m + j] = b[j];
      gemm(false, true, batch, m, n, a, W.data(), true, to.data());
      for (float& z : to) z = 1 / (1 + std::exp(-z));
    };
    layer(x.data(), in, W1, b1, a1, hidden);
    layer(a1.data(), hidden, W2, b2, a2, out);

    const float n = static_cast<float>(a2.size());
    float loss = 0;
    for (std::size_t i = 0; i < a2.size(); ++i) {
      const float error = a2[i] - y[i];
      loss += error * error / n;
      delta2[i] = 2 * error / n * a2[i] * (1 - a2[i]);
    }
    gemm(false, false, batch, hidden, out, delta2.data(), W2.data(), false, delta1.data());
    for (std::size_t i = 0; i < a1.size(); ++i) delta1[i] *= a1[i] * (1 - a1[i]);
    gemm(true, false, out, hidden, batch, delta2.data(), a1.data(), false, dW2.data());
    gemm(true, false, hidden, in, batch, delta1.data(), x.data(), false, dW1.data());
    const auto sum_rows = [&](const std::vector<float>& delta, std::vector<float>& to) {
      for (float& v : to) v = 0;
      for (std::size_t i = 0; i < batch; ++i)
        for (std::size_t j = 0; j < to.size(); ++j) to[j] += delta[i * to.size() + j];
    };
    sum_rows(delta2, db2);
    sum_rows(delta1, db1);
    const auto update = [rate](std::vector<float>& w, const std::vector<float>& g) {
      for (std::size_t i = 0; i < w.size(); ++i) w[i] -= rate * g[i];
    };
    update(W1, dW1);
    update(b1, db1);
    update(W2, dW2);
    update(b2, db2);
    return loss;
  }
};

}  // namespace hand_written
