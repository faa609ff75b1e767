// A GPT: a transformer that gives, for each character of a text, logits of the one that comes next.
#pragma once
#include <nn/nn.hpp>

struct GPTOptions {
  std::size_t layers = 4, width = 128, heads = 4;
  double dropout = 0.1;
};

/// Characters, numbered from 0, as Indices (…, L), to logits (…, L, characters).
class GPT : public xtape::nn::Module<float> {
 public:
  template <class T>
  using Tensor = xtape::Tensor<T>;
  using Caches = std::vector<xtape::nn::KeyValueCache<float>>;

  GPT(std::size_t characters, const GPTOptions& options)
      : letters_(characters, options.width), norm_(options.width), head_(options.width, characters, false) {
    blocks_.reserve(options.layers);
    for (std::size_t i = 0; i < options.layers; ++i)
      blocks_.emplace_back(options.width, options.heads,
                           xtape::nn::TransformerBlockOptions<float>{
                               .causal = true, .rotary = true, .dropout = options.dropout});
    // As in GPT-2: at first all characters are about as likely, and the loss is the logarithm of their
    // number.
    for (Tensor<float> p : parameters())
      if (p.rank() == 2) p.assign(xtape::random::normal<float>(p.shape(), 0, 0.02F));
  }

  Tensor<float> forward(const Tensor<float>& characters) override { return logits(letters_(characters)); }
  using Module::operator();
  Tensor<float> operator()(const xtape::Indices& characters) {
    return observed([&] { return logits(letters_(characters)); });
  }
  /// Of characters that follow those that the caches have seen, one for each block.
  Tensor<float> operator()(const xtape::Indices& characters, Caches& caches) {
    return observed([&] { return logits(letters_(characters), &caches); });
  }
  /// Empty caches, of the keys and values before a character in its window.
  Caches caches(std::size_t window) const {
    return Caches(blocks_.size(), xtape::nn::KeyValueCache<float>{.window = window - 1});
  }

  void members(xtape::nn::Members<float>& m) override {
    m.module("letters", letters_);
    for (std::size_t i = 0; i < blocks_.size(); ++i) m.module("blocks." + std::to_string(i), blocks_[i]);
    m.module("norm", norm_);
    m.module("head", head_);
  }

 private:
  Tensor<float> logits(Tensor<float> x, Caches* caches = nullptr) {
    for (std::size_t i = 0; i < blocks_.size(); ++i) x = caches ? blocks_[i](x, (*caches)[i]) : blocks_[i](x);
    return head_(norm_(x));
  }

  xtape::nn::Embedding<float> letters_;
  std::vector<xtape::nn::TransformerBlock<float>> blocks_;
  xtape::nn::LayerNorm<float> norm_;
  xtape::nn::Linear<float> head_;
};
