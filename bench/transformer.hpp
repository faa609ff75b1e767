// xtape's training step of the transformer of TransformerData.
#pragma once
#include <memory>
#include <vector>

#include <nn/nn.hpp>

#include "comparison.hpp"
#include "transformer_data.hpp"

namespace bench {

/// How a step computes attention.
enum class AttentionBy { operation, products };

/// Causal attention of q, k and v (texts, length, width); future (length, length) is −10⁹ where a key is
/// later.
template <AttentionBy by>
xtape::Tensor<float> attend(const xtape::Tensor<float>& q, const xtape::Tensor<float>& k,
                            const xtape::Tensor<float>& v, const xtape::Tensor<float>& future) {
  const std::size_t heads = TransformerData::heads, D = q.shape(2) / heads;
  if constexpr (by == AttentionBy::operation) return attention(q, k, v, {.causal = true, .heads = heads});
  const auto split = [&](const auto& x) {
    return transpose(reshape(x, {x.shape(0), x.shape(1), heads, D}), {0, 2, 1, 3});
  };
  const float scale = 1 / std::sqrt(static_cast<float>(D));
  const auto scores = matmul(split(q), transpose(split(k), {0, 1, 3, 2})) * scale + future;
  return reshape(transpose(matmul(softmax(scores, -1), split(v)), {0, 2, 1, 3}), q.shape());
}
inline xtape::Tensor<float> future_of(std::size_t length) {
  return xtape::triu(xtape::full<float>({length, length}, -1e9f), 1);
}

template <AttentionBy by = AttentionBy::operation>
class TransformerStep {
  using Data = TransformerData;
  using Tensor = xtape::Tensor<float>;

 public:
  explicit TransformerStep(int threads = 1) : TransformerStep(TransformerData(), threads) {}
  explicit TransformerStep(const TransformerData& data, int threads = 1)
      : threads_(threads), read_(data.read), next_(data.next) {
    for (const auto& [numbers, shape] : data.weights)
      weights_.push_back(parameter(numbers, xtape::Dims(shape)));
    adam_ =
        std::make_unique<xtape::nn::AdamW<float>>(weights_, xtape::nn::AdamWOptions{.learning_rate = 1e-4});
    future_ = future_of(Data::length);
  }

  void run() {
    const int before = xtape::num_threads();
    xtape::set_num_threads(threads_);
    adam_->zero_grad();
    loss().backward();
    adam_->step();
    xtape::set_num_threads(before);
  }
  /// Of all weights, one behind the other.
  std::vector<double> gradients() const {
    std::vector<double> all;
    for (const Tensor& w : weights_) all.insert(all.end(), w.grad().begin(), w.grad().end());
    return all;
  }

  Tensor loss() const {
    const std::size_t texts = Data::texts, length = Data::length;
    Tensor x =
        reshape(take(weights_[Data::table], read_, 0), {texts, length, Data::width}) + weights_[Data::places];
    for (std::size_t l = 0; l < Data::layers; ++l) {
      const auto w = [&](Data::OfLayer i) -> const Tensor& {
        return weights_[Data::first_layer + l * Data::of_layer + i];
      };
      const Tensor a = layer_norm(x, w(Data::gamma1), w(Data::beta1));
      const Tensor q = linear(a, w(Data::queries)), k = linear(a, w(Data::keys)),
                   v = linear(a, w(Data::values));
      x = x + linear(attend<by>(q, k, v, future_), w(Data::joined));
      const Tensor h =
          gelu(linear(layer_norm(x, w(Data::gamma2), w(Data::beta2)), w(Data::wide), w(Data::wide_bias)));
      x = x + linear(h, w(Data::narrow), w(Data::narrow_bias));
    }
    return xtape::nn::cross_entropy(reshape(linear(x, weights_[Data::output]), {texts * length, Data::words}),
                                    next_);
  }

 protected:
  int threads_;
  std::vector<Tensor> weights_;

 private:
  Tensor future_;
  std::unique_ptr<xtape::nn::AdamW<float>> adam_;
  xtape::Indices read_, next_;
};

/// Forward and backward alone.
template <AttentionBy by>
struct TransformerGradients : TransformerStep<by> {
  using TransformerStep<by>::TransformerStep;
  void run() {
    for (auto& w : this->weights_) w.zero_grad();
    this->loss().backward();
  }
};

/// Attention alone, forward and backward.
template <AttentionBy by>
struct AttentionGradients {
  xtape::Tensor<float> q, k, v, g, future;
  std::vector<xtape::Tensor<float>> gradient;

  explicit AttentionGradients(const AttentionData& data)
      : q(parameter(data.q, data.shape())),
        k(parameter(data.k, data.shape())),
        v(parameter(data.v, data.shape())),
        g(tensor(data.g, data.shape())),
        future(future_of(data.length)) {}
  void run() { gradient = grad(attend<by>(q, k, v, future), {q, k, v}, {.seed = g}); }
  std::vector<double> gradients() const { return flat(gradient[0], gradient[1], gradient[2]); }
};

}  // namespace bench
