// The hand-written peers: each holds the data of a row, from which the other sides are filled too, and
// computes the same over plain arrays, written out, with CBLAS for the products.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include <cblas.h>

#include "comparison.hpp"

namespace hand_written {

/// C (M,N) = op(A) (M,K) op(B) (K,N), or C += …; a call of BLAS does not pay for the smallest products.
inline void product(bool transpose_a, bool transpose_b, std::size_t M, std::size_t N, std::size_t K,
                    const float* A, const float* B, bool accumulate, float* C) {
  if (M * N * K <= 256) {
    const std::size_t a_row = transpose_a ? 1 : K, a_column = transpose_a ? M : 1;
    const std::size_t b_row = transpose_b ? 1 : N, b_column = transpose_b ? K : 1;
    for (std::size_t i = 0; i < M; ++i)
      for (std::size_t j = 0; j < N; ++j) {
        float sum = accumulate ? C[i * N + j] : 0;
        for (std::size_t k = 0; k < K; ++k) sum += A[i * a_row + k * a_column] * B[k * b_row + j * b_column];
        C[i * N + j] = sum;
      }
    return;
  }
  const int m = static_cast<int>(M), n = static_cast<int>(N), k = static_cast<int>(K);
  cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans, transpose_b ? CblasTrans : CblasNoTrans,
              m, n, k, 1, A, transpose_a ? m : k, B, transpose_b ? k : n, accumulate ? 1.0f : 0.0f, C, n);
}

/// z = a Wᵀ + b for each of the rows of a.
inline void dense(std::size_t batch, std::size_t in, std::size_t out, const float* a,
                  const std::vector<float>& W, const std::vector<float>& b, float* z) {
  for (std::size_t i = 0; i < batch; ++i) std::copy(b.begin(), b.end(), z + i * out);
  product(false, true, batch, out, in, a, W.data(), true, z);
}

/// As a loop of arithmetic, which compilers make vectors of.
template <class T>
T largest(const T* x, std::size_t n) {
  T top = x[0];
  for (std::size_t i = 1; i < n; ++i) top = std::max(top, x[i]);
  return top;
}

inline void sum_rows(const std::vector<float>& delta, std::vector<float>& to) {
  std::fill(to.begin(), to.end(), 0.0f);
  for (std::size_t i = 0; i < delta.size(); i += to.size())
    for (std::size_t j = 0; j < to.size(); ++j) to[j] += delta[i + j];
}

/// A training step of a 2-layer sigmoid network with the mean squared error.
struct Network {
  static constexpr float rate = 0.1f;

  std::size_t batch, in, hidden, out;
  std::vector<float> x, y, W1, b1, W2, b2;
  std::vector<float> a1, a2, delta1, delta2, dW1, db1, dW2, db2;
  float loss = 0;

  void run() {
    a1.resize(batch * hidden);
    a2.resize(batch * out);
    delta1.resize(a1.size());
    delta2.resize(a2.size());
    dW1.resize(W1.size());
    db1.resize(b1.size());
    dW2.resize(W2.size());
    db2.resize(b2.size());

    const auto squash = [](std::vector<float>& a) {
      for (float& z : a) z = 1 / (1 + std::exp(-z));
    };
    dense(batch, in, hidden, x.data(), W1, b1, a1.data());
    squash(a1);
    dense(batch, hidden, out, a1.data(), W2, b2, a2.data());
    squash(a2);

    const float n = static_cast<float>(a2.size());
    float squares = 0;
    for (std::size_t i = 0; i < a2.size(); ++i) {
      const float error = a2[i] - y[i];
      squares += error * error;
      delta2[i] = 2 * error / n * a2[i] * (1 - a2[i]);
    }
    loss = squares / n;
    product(false, false, batch, hidden, out, delta2.data(), W2.data(), false, delta1.data());
    for (std::size_t i = 0; i < a1.size(); ++i) delta1[i] *= a1[i] * (1 - a1[i]);
    product(true, false, out, hidden, batch, delta2.data(), a1.data(), false, dW2.data());
    product(true, false, hidden, in, batch, delta1.data(), x.data(), false, dW1.data());
    sum_rows(delta2, db2);
    sum_rows(delta1, db1);

    const auto update = [](std::vector<float>& w, const std::vector<float>& g) {
      for (std::size_t i = 0; i < w.size(); ++i) w[i] -= rate * g[i];
    };
    update(W1, dW1);
    update(b1, db1);
    update(W2, dW2);
    update(b2, db2);
  }
  std::vector<double> gradients() const { return bench::flat(dW1, db1, dW2, db2); }
};

/// The mean of what `W.size()` dense layers with ReLU make of x, and its gradient.
struct ReluLayers {
  std::size_t batch, width;
  std::vector<float> x;
  std::vector<std::vector<float>> W, b;
  std::vector<std::vector<float>> a, dW, db;
  std::vector<float> delta, delta_below;

  void run() {
    a.resize(W.size());
    dW.resize(W.size());
    db.resize(W.size());
    for (std::size_t l = 0; l < W.size(); ++l) {
      a[l].resize(batch * width);
      dense(batch, width, width, (l == 0 ? x : a[l - 1]).data(), W[l], b[l], a[l].data());
      for (float& z : a[l]) z = std::max(z, 0.0f);
    }
    delta.assign(batch * width, 1 / static_cast<float>(batch * width));
    delta_below.resize(delta.size());
    for (std::size_t l = W.size(); l-- > 0;) {
      for (std::size_t i = 0; i < delta.size(); ++i) delta[i] = a[l][i] > 0 ? delta[i] : 0;
      dW[l].resize(W[l].size());
      db[l].resize(width);
      product(true, false, width, width, batch, delta.data(), (l == 0 ? x : a[l - 1]).data(), false,
              dW[l].data());
      sum_rows(delta, db[l]);
      if (l == 0) break;
      product(false, false, batch, width, width, delta.data(), W[l].data(), false, delta_below.data());
      delta.swap(delta_below);
    }
  }
  std::vector<double> gradients() const {
    std::vector<double> all;
    for (std::size_t l = 0; l < W.size(); ++l)
      for (const double g : bench::flat(dW[l], db[l])) all.push_back(g);
    return all;
  }
};

/// Half the mean square of a convolution with zeros around the pictures, which keeps their size. Loops over
/// the weights, with pictures' rows inside.
struct Convolution {
  std::size_t batch, in, out, size, kernel;
  std::vector<float> x, W, b;  ///< (batch, in, size, size), (out, in, kernel, kernel), (out)
  std::vector<float> y, dx, dW, db;

  std::size_t area() const { return size * size; }
  std::size_t taps() const { return in * kernel * kernel; }  ///< weights of one channel of y

  /// Calls f(to, from, n) for each row of a picture: the n numbers at `to` of a channel of y are those that
  /// the tap takes from the n at `from` of the picture.
  template <class F>
  void for_each_row(std::size_t tap, const F& f) const {
    const auto extent = static_cast<std::ptrdiff_t>(size), pad = static_cast<std::ptrdiff_t>(kernel / 2);
    const std::size_t channel = tap / (kernel * kernel);
    const std::ptrdiff_t down = static_cast<std::ptrdiff_t>(tap / kernel % kernel) - pad,
                         right = static_cast<std::ptrdiff_t>(tap % kernel) - pad;
    const std::ptrdiff_t first = std::max<std::ptrdiff_t>(0, -right);
    const auto length = static_cast<std::size_t>(extent - std::abs(right));
    for (std::ptrdiff_t i = std::max<std::ptrdiff_t>(0, -down);
         i < extent - std::max<std::ptrdiff_t>(0, down); ++i)
      f(static_cast<std::size_t>(i * extent + first),
        channel * area() + static_cast<std::size_t>((i + down) * extent + first + right), length);
  }

  /// Calls f(k, to, from, n) for all weights k, with places in the whole of y and x.
  template <class F>
  void for_all_rows(const F& f) const {
    for (std::size_t n = 0; n < batch; ++n)
      for (std::size_t o = 0; o < out; ++o)
        for (std::size_t tap = 0; tap < taps(); ++tap)
          for_each_row(tap, [&](std::size_t to, std::size_t from, std::size_t length) {
            f(o * taps() + tap, (n * out + o) * area() + to, n * in * area() + from, length);
          });
  }

  void start_with_bias() {
    y.resize(batch * out * area());
    for (std::size_t i = 0; i < y.size(); i += area()) std::fill_n(y.data() + i, area(), b[i / area() % out]);
  }

  /// Makes of y its adjoint y / size, and the sums of that.
  void adjoint_of_y() {
    const float scale = 1 / static_cast<float>(y.size());
    dx.assign(x.size(), 0);
    dW.assign(W.size(), 0);
    db.assign(out, 0);
    for (std::size_t i = 0; i < y.size(); i += area()) {
      float sum = 0;
      for (std::size_t j = i; j < i + area(); ++j) sum += y[j] *= scale;
      db[i / area() % out] += sum;
    }
  }

  void run() {
    start_with_bias();
    for_all_rows([this](std::size_t k, std::size_t to, std::size_t from, std::size_t n) {
      for (std::size_t j = 0; j < n; ++j) y[to + j] += W[k] * x[from + j];
    });
    adjoint_of_y();
    for_all_rows([this](std::size_t k, std::size_t to, std::size_t from, std::size_t n) {
      for (std::size_t j = 0; j < n; ++j) dx[from + j] += W[k] * y[to + j];
      float sum = 0;
      for (std::size_t j = 0; j < n; ++j) sum += x[from + j] * y[to + j];
      dW[k] += sum;
    });
  }
  std::vector<double> gradients() const { return bench::flat(dx, dW, db); }
};

/// The mean of −ln softmax(z)[label] over rows of logits.
struct SoftmaxCrossEntropy {
  std::size_t rows, classes;
  std::vector<float> z;
  std::vector<std::size_t> labels;
  std::vector<float> dz;
  float loss = 0;

  void run() {
    dz.resize(z.size());
    const float n = static_cast<float>(rows);
    loss = 0;
    for (std::size_t i = 0; i < rows; ++i) {
      const float* const row = z.data() + i * classes;
      float* const d = dz.data() + i * classes;
      const float top = largest(row, classes);
      float sum = 0;
      for (std::size_t j = 0; j < classes; ++j) sum += d[j] = std::exp(row[j] - top);
      for (std::size_t j = 0; j < classes; ++j) d[j] /= sum * n;
      d[labels[i]] -= 1 / n;
      loss += (top + std::log(sum) - row[labels[i]]) / n;
    }
  }
  std::vector<double> gradients() const { return bench::flat(dz); }
};

/// Batch normalisation over rows, and what it makes of the adjoint g of its output.
struct BatchNorm {
  static constexpr float epsilon = 1e-5f;

  std::size_t rows, features;
  std::vector<float> x, gamma, beta, g;
  std::vector<float> mean, inverse, normalized, y, dx, dgamma, dbeta;

  void run() {
    const float n = static_cast<float>(rows);
    const auto for_all = [&](auto&& f) {
      for (std::size_t i = 0; i < rows; ++i)
        for (std::size_t j = 0; j < features; ++j) f(i * features + j, j);
    };
    normalized.resize(x.size());
    y.resize(x.size());
    dx.resize(x.size());
    for (auto* sum : {&mean, &inverse, &dgamma, &dbeta}) sum->assign(features, 0);
    for_all([&](std::size_t i, std::size_t j) { mean[j] += x[i] / n; });
    for_all([&](std::size_t i, std::size_t j) { inverse[j] += (x[i] - mean[j]) * (x[i] - mean[j]) / n; });
    for (float& variance : inverse) variance = 1 / std::sqrt(variance + epsilon);
    for_all([&](std::size_t i, std::size_t j) {
      normalized[i] = (x[i] - mean[j]) * inverse[j];
      y[i] = normalized[i] * gamma[j] + beta[j];
    });
    for_all([&](std::size_t i, std::size_t j) {
      dgamma[j] += g[i] * normalized[i];
      dbeta[j] += g[i];
    });
    for_all([&](std::size_t i, std::size_t j) {
      dx[i] = gamma[j] * inverse[j] * (g[i] - dbeta[j] / n - normalized[i] * dgamma[j] / n);
    });
  }
  std::vector<double> gradients() const { return bench::flat(dx, dgamma, dbeta); }
};

/// Steps of Adam along a constant gradient; what is compared are the weights.
struct Adam {
  static constexpr float rate = 1e-3f, beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;

  std::vector<float> w, g;
  std::vector<float> m, v;
  int steps = 0;

  void run() {
    m.resize(w.size());
    v.resize(w.size());
    ++steps;
    const auto correction = [&](float beta) {
      return static_cast<float>(1 / (1 - std::pow(static_cast<double>(beta), steps)));
    };
    const float m_scale = correction(beta1), v_scale = correction(beta2);
    for (std::size_t i = 0; i < w.size(); ++i) {
      m[i] = beta1 * m[i] + (1 - beta1) * g[i];
      v[i] = beta2 * v[i] + (1 - beta2) * g[i] * g[i];
      w[i] -= rate * m[i] * m_scale / (std::sqrt(v[i] * v_scale) + epsilon);
    }
  }
  std::vector<double> gradients() const { return bench::flat(w); }
};

/// A chain of n sines on the elements of x, with the adjoint 1 at its end.
struct ChainOfSin {
  static constexpr std::size_t width = 4;  ///< of x: as a constant, it lets the compiler use a vector

  std::size_t n;
  std::vector<float> x;
  std::vector<float> values, dx;

  void run() {
    values.resize(width * (n + 1));
    std::copy(x.begin(), x.end(), values.begin());
    float* value = values.data();
    for (std::size_t i = 0; i < n; ++i, value += width)
      for (std::size_t j = 0; j < width; ++j) value[width + j] = std::sin(value[j]);
    dx.assign(width, 1);
    for (std::size_t i = 0; i < n; ++i) {
      value -= width;
      for (std::size_t j = 0; j < width; ++j) dx[j] *= std::cos(value[j]);
    }
  }
  std::vector<double> gradients() const { return bench::flat(dx); }
};

/// exp(x) sin(x) + x², with the adjoint g of the result.
struct ExpSin {
  std::vector<float> x, g;
  std::vector<float> y, dx;

  void run() {
    y.resize(x.size());
    dx.resize(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      const float e = std::exp(x[i]), s = std::sin(x[i]);
      y[i] = e * s + x[i] * x[i];
      dx[i] = g[i] * (e * (s + std::cos(x[i])) + 2 * x[i]);
    }
  }
  std::vector<double> gradients() const { return bench::flat(dx); }
};

/// The Hessian of f(w) = Σ tanh(A w)² times v: Aᵀ (f″ ∘ A v), f″ = 2 (1 − t²) (1 − 3 t²).
struct HessianVector {
  std::size_t n;
  std::vector<double> A, w, v;
  std::vector<double> product, s, t;

  void run() {
    product.assign(n, 0);
    s.assign(n, 0);
    t.assign(n, 0);
    const int size = static_cast<int>(n);
    cblas_dgemv(CblasRowMajor, CblasNoTrans, size, size, 1, A.data(), size, w.data(), 1, 0, t.data(), 1);
    cblas_dgemv(CblasRowMajor, CblasNoTrans, size, size, 1, A.data(), size, v.data(), 1, 0, s.data(), 1);
    for (std::size_t i = 0; i < n; ++i) {
      const double y = std::tanh(t[i]);
      s[i] *= 2 * (1 - y * y) * (1 - 3 * y * y);
    }
    cblas_dgemv(CblasRowMajor, CblasTrans, size, size, 1, A.data(), size, s.data(), 1, 0, product.data(), 1);
  }
  std::vector<double> gradients() const { return product; }
};

/// ln Σ eˣ and its gradient.
struct LogSumExp {
  std::vector<double> x;
  std::vector<double> dx;
  double value = 0;

  void run() {
    dx.resize(x.size());
    const double top = largest(x.data(), x.size());
    double sum = 0;
    for (const double one : x) sum += std::exp(one - top);
    const double logsumexp = top + std::log(sum);
    for (std::size_t i = 0; i < x.size(); ++i) dx[i] = std::exp(x[i] - logsumexp);
    value = logsumexp;
  }
  std::vector<double> gradients() const { return dx; }
};

}  // namespace hand_written
