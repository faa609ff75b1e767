// Projections around attention(), and the order of a block.
#include "../transformer.hpp"

#include <autodiff/engine.hpp>
#include <autodiff/layout.hpp>
#include <autodiff/linalg.hpp>

#include "../init.hpp"

namespace xtape::nn {

namespace {

/// Of x and the keys in a cache only the number of positions differs.
void require_same_texts(Shape x, const Shape& keys) {
  const Shape given = x;
  if (x.size() == keys.size()) x[x.size() - 2] = keys[keys.size() - 2];
  if (!(x == keys))
    throw Error("MultiheadAttention", "x of shape " + to_string(given) +
                                          " does not follow the keys of shape " + to_string(keys) +
                                          " in the cache: begin other texts with an empty cache");
}

}  // namespace

template <class T>
MultiheadAttention<T>::MultiheadAttention(std::size_t width, std::size_t heads,
                                          const MultiheadAttentionOptions& options)
    : out_proj(width, width, options.bias), heads_(heads), options_(options) {
  if (heads == 0 || width % heads != 0)
    throw Error("MultiheadAttention", "a width of " + std::to_string(width) + " does not divide into " +
                                          std::to_string(heads) + " heads");
  if (options.rotary && width / heads % 2 != 0)
    throw Error("MultiheadAttention",
                "rotary positions turn pairs, and a head has " + std::to_string(width / heads) + " features");
  if (!(options.dropout >= 0 && options.dropout < 1))
    throw Error("MultiheadAttention",
                "dropout " + engine::number_text(options.dropout) + " is not in [0, 1)");
  in_proj_weight = parameter(init::xavier_uniform<T>({3 * width, width}));
  if (options.bias) in_proj_bias = parameter(init::zeros<T>({3 * width}));
}

/// Part 0, 1 or 2 of the rows of in_proj: queries, keys, values. Three products of a third each, as it takes
/// less to cut the weights than to cut their product with all of x.
template <class T>
Tensor<T> MultiheadAttention<T>::project(const Tensor<T>& x, std::size_t part) const {
  const std::size_t width = in_proj_weight.shape()[1];
  const auto rows = xt::range(part * width, (part + 1) * width);
  const Tensor<T> weight = slice(in_proj_weight, rows);
  return in_proj_bias.defined() ? linear(x, weight, slice(in_proj_bias, rows)) : linear(x, weight);
}

template <class T>
Tensor<T> MultiheadAttention<T>::turned(const Tensor<T>& x, std::size_t first) const {
  return options_.rotary ? rotary_embedding(x, {.first = first, .heads = heads_}) : x;
}

template <class T>
Tensor<T> MultiheadAttention<T>::joined(const Tensor<T>& q, const Tensor<T>& k, const Tensor<T>& v,
                                        const Tensor<T>& mask) {
  return out_proj(attention(q, k, v,
                            {.causal = options_.causal,
                             .mask = mask,
                             .dropout = this->training() ? options_.dropout : 0,
                             .heads = heads_}));
}

template <class T>
Tensor<T> MultiheadAttention<T>::attend(const Tensor<T>& query, const Tensor<T>& key, const Tensor<T>& value,
                                        const Tensor<T>& mask) {
  // Causal queries are those of the last positions.
  const std::size_t L = query.shape(-2), S = key.shape(-2), first = options_.causal && L < S ? S - L : 0;
  return joined(turned(project(query, 0), first), turned(project(key, 1), 0), project(value, 2), mask);
}

template <class T>
Tensor<T> MultiheadAttention<T>::attend(const Tensor<T>& x, KeyValueCache<T>& cache) {
  // Here x is mostly one row, and its product takes less to cut than the weights.
  const auto parts = split<3>(
      in_proj_bias.defined() ? linear(x, in_proj_weight, in_proj_bias) : linear(x, in_proj_weight), -1);
  if (cache.keys.defined()) require_same_texts(x.shape(), cache.keys.shape());
  Tensor<T> k = turned(parts[1], cache.position), v = parts[2];
  const std::size_t added = x.shape(-2);
  if (cache.keys.defined()) {
    k = concatenate({cache.keys, k}, -2);
    v = concatenate({cache.values, v}, -2);
  }
  const Tensor<T> y = joined(turned(parts[0], cache.position), k, v, {});
  if (const std::size_t n = k.shape(-2); cache.window != 0 && n > cache.window) {
    const auto last = xt::range(n - cache.window, n);
    k = slice(k, xt::ellipsis(), last, xt::all());
    v = slice(v, xt::ellipsis(), last, xt::all());
  }
  cache.keys = k.detach();
  cache.values = v.detach();
  cache.position += added;
  return y;
}

template <class T>
void MultiheadAttention<T>::members(Members<T>& m) {
  m.parameter("in_proj_weight", in_proj_weight);
  if (in_proj_bias.defined()) m.parameter("in_proj_bias", in_proj_bias);
  m.module("out_proj", out_proj);
}

template <class T>
std::string MultiheadAttention<T>::describe() const {
  return "MultiheadAttention(" + std::to_string(in_proj_weight.shape()[1]) + ", " + std::to_string(heads_) +
         (options_.causal ? ", causal" : "") + (options_.rotary ? ", rotary)" : ")");
}

template <class T>
TransformerBlock<T>::TransformerBlock(std::size_t width, std::size_t heads,
                                      const TransformerBlockOptions<T>& options)
    : self_attn(width, heads,
                {.causal = options.causal, .rotary = options.rotary, .dropout = options.dropout}),
      linear1(width, options.feedforward != 0 ? options.feedforward : 4 * width),
      linear2(options.feedforward != 0 ? options.feedforward : 4 * width, width),
      norm1(width),
      norm2(width),
      dropout_(options.dropout),
      norm_first_(options.norm_first),
      activation_(options.activation) {
  if (!activation_) throw Error("TransformerBlock", "the activation is no function");
}

template <class T>
Tensor<T> TransformerBlock<T>::run(const Tensor<T>& x, KeyValueCache<T>* cache) {
  const auto attend = [&](const Tensor<T>& h) { return cache ? self_attn(h, *cache) : self_attn(h); };
  const auto feedforward = [&](const Tensor<T>& h) { return linear2(dropout_(activation_(linear1(h)))); };
  if (norm_first_) {
    const Tensor<T> h = x + dropout_(attend(norm1(x)));
    return h + dropout_(feedforward(norm2(h)));
  }
  const Tensor<T> h = norm1(x + dropout_(attend(x)));
  return norm2(h + dropout_(feedforward(h)));
}

template <class T>
void TransformerBlock<T>::members(Members<T>& m) {
  m.module("self_attn", self_attn);
  m.module("linear1", linear1);
  m.module("linear2", linear2);
  m.module("norm1", norm1);
  m.module("norm2", norm2);
  m.module("dropout", dropout_);
}

template <class T>
std::string TransformerBlock<T>::describe() const {
  return "TransformerBlock(" + std::to_string(linear2.weight.shape()[0]) + ")";
}

#define XTAPE_INSTANTIATE(T)            \
  template class MultiheadAttention<T>; \
  template class TransformerBlock<T>;
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn
