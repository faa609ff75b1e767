// Transformers: attention with its projections, and the block that models are made of.
#pragma once
#include <functional>

#include <autodiff/attention.hpp>
#include <autodiff/elementwise.hpp>

#include "layers.hpp"
#include "normalization.hpp"

namespace xtape::nn {

/// Keys and values of the positions that an attention has seen, for a text that is written token by token: a
/// layer is then given the new positions alone. One for each attention of a model.
template <class T>
struct KeyValueCache {
  Tensor<T> keys{}, values{};  ///< (…, positions, width), the last ones that were seen; empty at first
  std::size_t position = 0;    ///< of the next one
  std::size_t window = 0;      ///< how many are kept at most; 0: all
};

/// Settings of MultiheadAttention.
struct MultiheadAttentionOptions {
  bool causal = false;  ///< as in AttentionOptions
  bool rotary = false;  ///< queries and keys get rotary_embedding(): positions need no table of their own
  double dropout = 0;   ///< of the weights of attention, in training
  bool bias = true;
};

/// attention() of several heads, with linear projections of queries, keys, values and of the result
/// (Vaswani et al., 2017). Parameters have PyTorch's names: in_proj_weight (3·width, width), which holds
/// those of queries, keys and values one below the other, in_proj_bias (3·width), out_proj.weight and
/// out_proj.bias. They start as init::xavier_uniform, the biases at 0. Error where heads do not divide width.
template <class T>
class MultiheadAttention : public Module<T> {
 public:
  MultiheadAttention(std::size_t width, std::size_t heads, const MultiheadAttentionOptions& options = {});
  /// Of x (…, L, width) to itself.
  Tensor<T> forward(const Tensor<T>& x) override { return attend(x, x, x, {}); }
  using Module<T>::operator();
  /// Of queries (…, L, width) to keys and values (…, S, width). The mask is as in AttentionOptions, where
  /// scores are (…, heads, L, S): 1 where a query sees a key, the opposite of PyTorch's key_padding_mask.
  Tensor<T> operator()(const Tensor<T>& query, const Tensor<T>& key, const Tensor<T>& value,
                       const Tensor<T>& mask = {}) {
    return this->observed([&] { return attend(query, key, value, mask); });
  }
  /// Of the positions x (…, L, width), which follow those of the cache, to those and to themselves, and into
  /// the cache. Where it is causal, the positions of a text at once or one by one give what forward() gives
  /// for all of them. For sampling: what is in the cache is a constant, so no gradient goes back to it.
  Tensor<T> operator()(const Tensor<T>& x, KeyValueCache<T>& cache) {
    return this->observed([&] { return attend(x, cache); });
  }
  void members(Members<T>& m) override;
  std::string describe() const override;

  Tensor<T> in_proj_weight;
  Tensor<T> in_proj_bias;  ///< empty without biases
  Linear<T> out_proj;

 private:
  Tensor<T> project(const Tensor<T>& x, std::size_t part) const;
  Tensor<T> turned(const Tensor<T>& x, std::size_t first) const;
  Tensor<T> joined(const Tensor<T>& q, const Tensor<T>& k, const Tensor<T>& v, const Tensor<T>& mask);
  Tensor<T> attend(const Tensor<T>& query, const Tensor<T>& key, const Tensor<T>& value,
                   const Tensor<T>& mask);
  Tensor<T> attend(const Tensor<T>& x, KeyValueCache<T>& cache);

  std::size_t heads_;
  MultiheadAttentionOptions options_;
};

/// Settings of TransformerBlock.
template <class T>
struct TransformerBlockOptions {
  bool causal = true;
  bool rotary = false;          ///< as in MultiheadAttentionOptions
  std::size_t feedforward = 0;  ///< width between linear1 and linear2; 0: 4 · width
  double dropout = 0;      ///< of attention's weights, after attention, and twice in the feedforward part
  bool norm_first = true;  ///< false: the norms come after the sums, as in the first paper
  std::function<Tensor<T>(const Tensor<T>&)> activation = [](const Tensor<T>& x) { return gelu(x); };
};

/// Attention and a feedforward part, each with a residual sum and a norm: with norm_first
/// x ← x + self_attn(norm1(x)), x ← x + linear2(gelu(linear1(norm2(x)))), for x (…, L, width). Members have
/// the names of PyTorch's TransformerEncoderLayer, whose weights it takes; that one's defaults are
/// {.causal = false, .feedforward = 2048, .dropout = 0.1, .norm_first = false} and relu.
template <class T>
class TransformerBlock : public Module<T> {
 public:
  TransformerBlock(std::size_t width, std::size_t heads, const TransformerBlockOptions<T>& options = {});
  Tensor<T> forward(const Tensor<T>& x) override { return run(x, nullptr); }
  using Module<T>::operator();
  /// Of positions that follow those of the cache: see MultiheadAttention.
  Tensor<T> operator()(const Tensor<T>& x, KeyValueCache<T>& cache) {
    return this->observed([&] { return run(x, &cache); });
  }
  void members(Members<T>& m) override;
  std::string describe() const override;

  MultiheadAttention<T> self_attn;
  Linear<T> linear1, linear2;
  LayerNorm<T> norm1, norm2;

 private:
  Tensor<T> run(const Tensor<T>& x, KeyValueCache<T>* cache);

  Dropout<T> dropout_;
  bool norm_first_;
  std::function<Tensor<T>(const Tensor<T>&)> activation_;
};

}  // namespace xtape::nn
