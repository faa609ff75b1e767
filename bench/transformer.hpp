// xtape's training step of a small transformer, made of today's operations: 16 texts of 64 tokens, 4 layers
// of width 128 with 4 heads, 0.8 million weights.
#pragma once
#include <array>
#include <cmath>
#include <memory>
#include <vector>

#include <nn/nn.hpp>

#include "data.hpp"

namespace bench {

class TransformerStep {
 public:
  explicit TransformerStep(int threads = 1) : threads_(threads) {
    xtape::random::seed(1);  // the same weights for each number of threads
    std::vector<xtape::Tensor<float>> all;
    const auto add = [&](xtape::Tensor<float>& w, std::size_t rows, std::size_t columns) {
      w = parameter(normal<float>(rows * columns, 1 / std::sqrt(double(columns))), {rows, columns});
      all.push_back(w);
    };
    const auto add_vector = [&](xtape::Tensor<float>& w, float value, std::size_t size) {
      w = xtape::parameter(xtape::full<float>({size}, value));
      all.push_back(w);
    };
    add(table_, words, width);
    add(places_, length, width);
    add(output_, words, width);
    for (Layer& layer : layers_) {
      for (auto* const w : {&layer.query, &layer.key, &layer.value, &layer.joined}) add(*w, width, width);
      add(layer.wide, 4 * width, width), add(layer.narrow, width, 4 * width);
      add_vector(layer.wide_bias, 0, 4 * width), add_vector(layer.narrow_bias, 0, width);
      for (auto* const w : {&layer.gamma1, &layer.gamma2}) add_vector(*w, 1, width);
      for (auto* const w : {&layer.beta1, &layer.beta2}) add_vector(*w, 0, width);
    }
    adam_ = std::make_unique<xtape::nn::AdamW<float>>(all, xtape::nn::AdamWOptions{.learning_rate = 1e-4});
    weights_ = std::move(all);
    std::vector<std::size_t> words_read(texts * length), words_next(texts * length);
    for (std::size_t i = 0; i < words_read.size(); ++i)
      words_read[i] = i * i % words, words_next[i] = (i + 1) * (i + 1) % words;
    read_ = xtape::Indices(words_read), next_ = xtape::Indices(words_next);
    future_ = xtape::triu(xtape::full<float>({length, length}, -1e9f), 1);
  }

  void run() {
    const int before = xtape::num_threads();
    xtape::set_num_threads(threads_);
    adam_->zero_grad();
    loss().backward();
    adam_->step();
    xtape::set_num_threads(before);
  }
  std::vector<double> gradients() const {
    std::vector<double> all;
    for (const auto& w : weights_) all.insert(all.end(), w.grad().begin(), w.grad().end());
    return all;
  }

  xtape::Tensor<float> loss() const {
    xtape::Tensor<float> x = reshape(take(table_, read_, 0), {texts, length, width}) + places_;
    for (const Layer& layer : layers_) {
      x = x + attention(layer, layer_norm(x, layer.gamma1, layer.beta1));
      const auto h = gelu(linear(layer_norm(x, layer.gamma2, layer.beta2), layer.wide, layer.wide_bias));
      x = x + linear(h, layer.narrow, layer.narrow_bias);
    }
    return xtape::nn::cross_entropy(reshape(linear(x, output_), {texts * length, words}), next_);
  }

 private:
  static constexpr std::size_t texts = 16, length = 64, words = 65, width = 128, heads = 4;
  struct Layer {
    xtape::Tensor<float> query, key, value, joined, wide, wide_bias, narrow, narrow_bias, gamma1, beta1,
        gamma2, beta2;
  };

  /// x (texts, length, width), as is the result.
  xtape::Tensor<float> attention(const Layer& layer, const xtape::Tensor<float>& x) const {
    const auto of_heads = [&](const xtape::Tensor<float>& w) {
      return transpose(reshape(linear(x, w), {texts, length, heads, width / heads}), {0, 2, 1, 3});
    };
    const auto q = of_heads(layer.query), k = of_heads(layer.key), v = of_heads(layer.value);
    const float scale = 1 / std::sqrt(static_cast<float>(width / heads));
    const auto weights = softmax(matmul(q, transpose(k, {0, 1, 3, 2})) * scale + future_, -1);
    return linear(reshape(transpose(matmul(weights, v), {0, 2, 1, 3}), {texts, length, width}), layer.joined);
  }

  int threads_;
  xtape::Tensor<float> table_, places_, output_, future_;
  std::array<Layer, 4> layers_;
  std::vector<xtape::Tensor<float>> weights_;
  std::unique_ptr<xtape::nn::AdamW<float>> adam_;
  xtape::Indices read_{0}, next_{0};
};

}  // namespace bench
