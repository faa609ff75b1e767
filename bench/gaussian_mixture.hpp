// The log-likelihood of a mixture of Gaussians, as in ADBench: its data, and the scalar hand-written
// gradient.
//
// Q_k is lower triangular, with the diagonal exp(q_k) and below it l_k, column by column. With
// β_ik = α_k + Σ_j q_kj − ½ ‖Q_k (x_i − μ_k)‖² the value is
// −nd/2 ln 2π + Σ_i logsumexp_k β_ik − n logsumexp α − γ²/2 Σ_k (‖exp q_k‖² + ‖l_k‖²) + m Σ q + constant,
// the last three from a Wishart prior.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <vector>

#include "comparison.hpp"
#include "hand_written.hpp"

namespace bench {

struct GaussianMixture {
  std::size_t n, d, K;
  std::vector<double> x, alpha, mu, q, l;  ///< (n, d), (K), (K, d), (K, d), (K, d (d − 1) / 2)
  double m = 0, gamma = 1;

  std::size_t below_diagonal() const { return d * (d - 1) / 2; }

  /// What does not depend on the parameters.
  double constant() const {
    const double D = static_cast<double>(d), N = D + m + 1;
    double ln_gamma = D * (D - 1) / 4 * std::log(std::numbers::pi);
    for (double j = 1; j <= D; ++j) ln_gamma += std::lgamma(N / 2 + (1 - j) / 2);
    return -0.5 * static_cast<double>(n) * D * std::log(2 * std::numbers::pi) -
           static_cast<double>(K) * (N * D * (0.5 * std::numbers::ln2 - std::log(gamma)) + ln_gamma);
  }

  /// Where in (0, exp q_k, l_k) each element of Q_k is found, row-major.
  std::vector<std::size_t> places() const {
    std::vector<std::size_t> place(d * d, 0);
    std::size_t next = 1 + d;
    for (std::size_t column = 0; column < d; ++column) {
      place[column * d + column] = 1 + column;
      for (std::size_t row = column + 1; row < d; ++row) place[row * d + column] = next++;
    }
    return place;
  }
};

struct HandWrittenMixture : GaussianMixture {
  std::vector<double> dalpha, dmu, dq, dl;
  double value = 0;

  explicit HandWrittenMixture(const GaussianMixture& data)
      : GaussianMixture(data),
        dalpha(K),
        dmu(K * d),
        dq(K * d),
        dl(K * below_diagonal()),
        Q_(K * d * d),
        sum_q_(K),
        beta_(K),
        centered_(K * d),
        z_(K * d) {}

  void run() {
    value = constant();
    fill_Q();
    for (auto* gradient : {&dalpha, &dmu, &dq, &dl}) std::fill(gradient->begin(), gradient->end(), 0.0);
    for (std::size_t i = 0; i < n; ++i) add_point(x.data() + i * d);
    add_weights_and_prior();
  }
  std::vector<double> gradients() const { return flat(dalpha, dmu, dq, dl); }

 private:
  void fill_Q() {
    for (std::size_t k = 0; k < K; ++k) {
      double* const Q = Q_.data() + k * d * d;
      const double* below = l.data() + k * below_diagonal();
      sum_q_[k] = 0;
      for (std::size_t column = 0; column < d; ++column) {
        sum_q_[k] += q[k * d + column];
        Q[column * d + column] = std::exp(q[k * d + column]);
        for (std::size_t row = column + 1; row < d; ++row) Q[row * d + column] = *below++;
      }
    }
  }

  void add_point(const double* point) {
    for (std::size_t k = 0; k < K; ++k) {
      const double* const Q = Q_.data() + k * d * d;
      double* const c = centered_.data() + k * d;
      double squares = 0;
      for (std::size_t j = 0; j < d; ++j) c[j] = point[j] - mu[k * d + j];
      for (std::size_t row = 0; row < d; ++row) {
        double z = 0;
        for (std::size_t column = 0; column <= row; ++column) z += Q[row * d + column] * c[column];
        z_[k * d + row] = z;
        squares += z * z;
      }
      beta_[k] = alpha[k] + sum_q_[k] - 0.5 * squares;
    }
    const double top = hand_written::largest(beta_.data(), K);
    double sum = 0;
    for (const double b : beta_) sum += std::exp(b - top);
    const double logsumexp = top + std::log(sum);
    value += logsumexp;
    for (std::size_t k = 0; k < K; ++k) add_gradient(k, std::exp(beta_[k] - logsumexp));
  }

  /// dβ = weight for component k of the present point.
  void add_gradient(std::size_t k, double weight) {
    const double* const Q = Q_.data() + k * d * d;
    const double* const c = centered_.data() + k * d;
    const double* const z = z_.data() + k * d;
    double* below = dl.data() + k * below_diagonal();
    dalpha[k] += weight;
    for (std::size_t column = 0; column < d; ++column) {
      dq[k * d + column] += weight * (1 - z[column] * Q[column * d + column] * c[column]);
      double back = Q[column * d + column] * z[column];
      for (std::size_t row = column + 1; row < d; ++row) {
        *below++ -= weight * z[row] * c[column];
        back += Q[row * d + column] * z[row];
      }
      dmu[k * d + column] += weight * back;
    }
  }

  void add_weights_and_prior() {
    const double top = hand_written::largest(alpha.data(), K), points = static_cast<double>(n);
    double sum = 0;
    for (const double a : alpha) sum += std::exp(a - top);
    const double logsumexp = top + std::log(sum);
    value -= points * logsumexp;
    for (std::size_t k = 0; k < K; ++k) dalpha[k] -= points * std::exp(alpha[k] - logsumexp);
    for (std::size_t i = 0; i < q.size(); ++i) {
      const double square = std::exp(2 * q[i]);
      value += m * q[i] - 0.5 * gamma * gamma * square;
      dq[i] += m - gamma * gamma * square;
    }
    for (std::size_t i = 0; i < l.size(); ++i) {
      value -= 0.5 * gamma * gamma * l[i] * l[i];
      dl[i] -= gamma * gamma * l[i];
    }
  }

  std::vector<double> Q_, sum_q_, beta_, centered_, z_;
};

}  // namespace bench
