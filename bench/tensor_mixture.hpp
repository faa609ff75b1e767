// The Gaussian mixture of gaussian_mixture.hpp by tensors, and its gradient by the tape.
#pragma once
#include <algorithm>
#include <utility>
#include <vector>

#include "data.hpp"
#include "gaussian_mixture.hpp"

namespace bench {

/// All Q_k stand one below the other, beside −Q_k μ_k: with the points as columns over a row of ones,
/// Q_k (x_i − μ_k) for all k and i is one product. The points come in tiles whose intermediate values stay in
/// the cache.
class TensorMixture {
 public:
  using Tensor = xtape::Tensor<double>;

  explicit TensorMixture(const GaussianMixture& data)
      : K_(data.K),
        d_(data.d),
        n_(static_cast<double>(data.n)),
        m_(data.m),
        square_of_gamma_(data.gamma * data.gamma),
        constant_(data.constant()),
        x_(tensor(data.x, {data.n, data.d})),
        alpha_(parameter(data.alpha, {K_})),
        mu_(parameter(data.mu, {K_, d_})),
        q_(parameter(data.q, {K_, d_})),
        l_(parameter(data.l, {K_, data.below_diagonal()})),
        places_(data.places()) {
    const std::size_t tile = std::max<std::size_t>(100'000 / (K_ * d_), 16);  // points
    for (std::size_t begin = tile; begin < data.n; begin += tile) begins_.push_back(begin);
  }

  double value() const {
    const xtape::NoGrad scope;
    const auto W = stacked(), c = offset();
    double value = constant_ + of_parameters().item();
    for (const Tensor& x : tiles()) value += of_points(x, W, c).item();
    return value;
  }

  /// {the value, its gradients by α, μ, q and l}.
  std::pair<double, std::vector<Tensor>> value_and_grad() const {
    const auto W = stacked(), c = offset(), rest = of_parameters();
    double value = constant_ + rest.item();
    // Leaves between the parameters and the points: the gradients of all tiles add up in them.
    const auto leaf_W = xtape::parameter(W.detach()), leaf_c = xtape::parameter(c.detach());
    for (const Tensor& x : tiles()) {
      const auto part = of_points(x, leaf_W, leaf_c);
      part.backward();
      value += part.item();
    }
    return {value, grad(rest + sum(W * leaf_W.grad()) + sum(c * leaf_c.grad()), {alpha_, mu_, q_, l_})};
  }

 private:
  /// (Q_k, −Q_k μ_k) for all k, (K d, d + 1).
  Tensor stacked() const {
    using namespace xtape;
    const auto Q =
        reshape(take(concatenate({zeros<double>({K_, 1}), exp(q_), l_}, 1), places_, 1), {K_, d_, d_});
    return reshape(concatenate({Q, -matmul(Q, unsqueeze(mu_, 2))}, 2), {K_ * d_, d_ + 1});
  }
  /// α_k + Σ_j q_kj, (K, 1).
  Tensor offset() const { return unsqueeze(alpha_ + sum(q_, 1), 1); }

  /// The points, (d + 1, tile) each.
  std::vector<Tensor> tiles() const {
    using namespace xtape;
    return split(concatenate({transpose(x_), ones<double>({1, x_.shape(0)})}), begins_, 1);
  }
  /// Σ_i logsumexp_k β_ik over the points of a tile.
  Tensor of_points(const Tensor& x, const Tensor& W, const Tensor& c) const {
    const auto z = reshape(matmul(W, x), {K_, d_, x.shape(1)});
    return sum(logsumexp(c - 0.5 * squared_norm(z, 1), 0));
  }
  /// What does not depend on the points.
  Tensor of_parameters() const {
    return m_ * sum(q_) - n_ * logsumexp(alpha_) -
           0.5 * square_of_gamma_ * (squared_norm(exp(q_)) + squared_norm(l_));
  }

  std::size_t K_, d_;
  double n_, m_, square_of_gamma_, constant_;
  Tensor x_, alpha_, mu_, q_, l_;
  xtape::Indices places_;
  std::vector<std::size_t> begins_;  ///< of the tiles after the first
};

}  // namespace bench
