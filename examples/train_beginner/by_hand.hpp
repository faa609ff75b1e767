// A network of two layers trained with nothing but loops: the document's forward pass and its steps 1 to 5.
#pragma once
#include <cmath>
#include <vector>

/// Rows of numbers.
using Matrix = std::vector<std::vector<double>>;

/// z1 = W1 x + b1, a1 = tanh(z1), z2 = W2 a1 + b2, a2 = σ(z2). W1 (hidden, 2), W2 (1, hidden).
struct HandNetwork {
  Matrix W1;
  std::vector<double> b1;
  Matrix W2;
  std::vector<double> b2;

  /// One step of gradient descent on all samples x (n, 2) with targets y (n). Gives the mean cross-entropy
  /// before it.
  double train_step(const Matrix& x, const std::vector<double>& y, double learning_rate) {
    const std::size_t samples = x.size(), inputs = x[0].size(), hidden = W1.size();
    Matrix dW1(hidden, std::vector<double>(inputs, 0.0)), dW2(1, std::vector<double>(hidden, 0.0));
    std::vector<double> db1(hidden, 0.0), a1(hidden);
    double db2 = 0, loss = 0;

    for (std::size_t n = 0; n < samples; ++n) {
      // Forward: the values are kept, the way back needs them.
      for (std::size_t i = 0; i < hidden; ++i) {
        double z1 = b1[i];
        for (std::size_t j = 0; j < inputs; ++j) z1 += W1[i][j] * x[n][j];
        a1[i] = std::tanh(z1);
      }
      double z2 = b2[0];
      for (std::size_t i = 0; i < hidden; ++i) z2 += W2[0][i] * a1[i];
      const double a2 = 1 / (1 + std::exp(-z2));
      loss -= y[n] * std::log(a2) + (1 - y[n]) * std::log(1 - a2);

      // Step 1, the error of the output: dJ/da2 = −y/a2 + (1 − y)/(1 − a2)
      const double dJ_da2 = -y[n] / a2 + (1 - y[n]) / (1 - a2);
      // Step 2, its delta: δ2 = dJ/da2 · σ'(z2)
      const double delta2 = dJ_da2 * a2 * (1 - a2);
      for (std::size_t i = 0; i < hidden; ++i) {
        // Step 3, the error of the hidden layer: δ1 = W2ᵀ δ2 · tanh'(z1)
        const double delta1 = W2[0][i] * delta2 * (1 - a1[i] * a1[i]);
        // Step 4, the gradients: dW = δ aᵀ and db = δ, summed over the samples
        dW2[0][i] += delta2 * a1[i];
        for (std::size_t j = 0; j < inputs; ++j) dW1[i][j] += delta1 * x[n][j];
        db1[i] += delta1;
      }
      db2 += delta2;
    }

    // Step 5, the updates. J is a mean over the samples, so its gradients are the sums divided by their
    // number.
    const double rate = learning_rate / static_cast<double>(samples);
    for (std::size_t i = 0; i < hidden; ++i) {
      for (std::size_t j = 0; j < inputs; ++j) W1[i][j] -= rate * dW1[i][j];
      W2[0][i] -= rate * dW2[0][i];
      b1[i] -= rate * db1[i];
    }
    b2[0] -= rate * db2;
    return loss / static_cast<double>(samples);
  }
};
