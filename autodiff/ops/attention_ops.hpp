// The operation behind attention(), its gradient and its tangent. Each goes head by head and some rows of
// scores at a time; `decomposed` says the same with all scores at once.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "../elementwise.hpp"
#include "../kernels/gemm.hpp"
#include "../linalg.hpp"
#include "../reductions.hpp"
#include "layout_ops.hpp"
#include "matrix_product.hpp"

namespace xtape::detail {

/// What the three have in common. Their inputs are q, k, v, then a bias and a seed where there are such.
struct AttentionRule {
  std::size_t heads;  ///< side by side in a row; 0: one, and the scores have no axis for it
  bool causal, has_bias;
  double dropout, scale;
  bool operator==(const AttentionRule&) const = default;

  std::size_t inputs() const { return 3u + has_bias + (dropout > 0); }
  /// The axes of an input in front of its rows and features, or of a bias in front of the scores of a text.
  Shape leading(const Shape& x, bool is_bias) const {
    Shape all = x;
    all.resize(x.size() - std::min<std::size_t>(x.size(), is_bias && heads != 0 ? 3 : 2));
    return all;
  }
  /// Of the scores, for results with these leading axes.
  Shape scores(const Shape& batch, std::size_t L, std::size_t S) const {
    Shape shape = batch;
    if (heads != 0) shape.push_back(heads);
    shape.push_back(L);
    shape.push_back(S);
    return shape;
  }
};

/// A number in [0, 1) for each place of the scores, from a seed (2,) that random::uniform() drew: SplitMix64
/// (Steele et al., 2014) of the place's number. So the backward pass, and another thread, find the same.
template <class T>
class AttentionDropout {
 public:
  AttentionDropout(double dropout, const T* seed)
      : limit_(static_cast<std::uint64_t>(dropout * 0x1p32)), kept_(static_cast<T>(1 / (1 - dropout))) {
    for (std::size_t i = 0; i < 2; ++i)
      seed_ = seed_ << 32 | static_cast<std::uint64_t>(static_cast<double>(seed[i]) * 0x1p32);
  }
  /// y[i] *= what dropout makes of 1 in the place first + i of the scores.
  void multiply(T* y, std::size_t first, std::size_t n) const {
    for (std::size_t i = 0; i < n; ++i) {
      std::uint64_t z = seed_ + (first + i + 1) * 0x9e3779b97f4a7c15u;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
      y[i] *= (z ^ (z >> 31)) >> 32 < limit_ ? T(0) : kept_;
    }
  }

 private:
  std::uint64_t seed_ = 0, limit_;
  T kept_;
};

/// The sizes that follow from the shapes of q, k, v and the bias.
struct AttentionSizes {
  Shape batch;               ///< the leading axes of the result
  std::size_t heads, L, S;   ///< heads in a row, queries, keys
  std::size_t q_row, v_row;  ///< from row to row
  std::size_t D, E;          ///< features of a head in q and k, and in v

  template <class T>
  AttentionSizes(const AttentionRule& rule, std::span<const Tensor<T>> in)
      : heads(std::max<std::size_t>(1, rule.heads)),
        L(in[0].shape().end()[-2]),
        S(in[1].shape().end()[-2]),
        q_row(in[0].shape().back()),
        v_row(in[2].shape().back()),
        D(q_row / heads),
        E(v_row / heads),
        causal_(rule.causal) {
    for (std::size_t i = 0; i < 3u + rule.has_bias; ++i) widen(rule.leading(in[i].shape(), i == 3));
  }
  /// The batch is that of what else has leading axes, too: an adjoint, or tangents.
  void widen(const Shape& leading) { batch = broadcast(batch, leading, "attention"); }

  /// How many keys query i sees.
  std::size_t visible(std::size_t i) const { return causal_ ? i + 1 + S - L : S; }

 private:
  bool causal_;
};

/// Rows of a bias that broadcasts to the scores.
template <class T>
class AttentionBias {
 public:
  AttentionBias(const AttentionSizes& sizes, const AttentionRule& rule, const Tensor<T>& bias)
      : AttentionBias(rule.scores(sizes.batch, sizes.L, sizes.S), bias) {}
  /// y (n) += row i of head `head`.
  void add_to(T* y, std::size_t head, std::size_t i, std::size_t n) const {
    const T* const from = data_ + walk_.offsets(head)[0] + static_cast<std::ptrdiff_t>(i) * row_;
    kernels<T>().scale(y, true, n, from, column_, T(1));
  }

 private:
  AttentionBias(const Shape& scores, const Tensor<T>& bias)
      : AttentionBias(scores, broadcast_strides(bias.shape(), scores), bias) {}
  AttentionBias(const Shape& scores, const Dims& strides, const Tensor<T>& bias)
      : data_(bias.data()),
        row_(strides.end()[-2]),
        column_(strides.end()[-1]),
        walk_(batch_of(scores), {Dims(std::span(strides.begin(), strides.end() - 2))}) {}

  const T* data_;
  std::ptrdiff_t row_, column_;
  Walk<1> walk_;  ///< over the heads
};

/// The heads of an attention in memory, and rows of their weights.
template <class T>
class AttentionHeads : public AttentionSizes {
 public:
  AttentionHeads(const AttentionRule& rule, std::span<const Tensor<T>> in, const AttentionSizes& sizes)
      : AttentionSizes(sizes),
        rule_(rule),
        count_(element_count(batch, "attention") * heads),
        // Weights of a block of rows stay in the second-level cache.
        block_(std::clamp<std::size_t>((std::size_t(1) << 15) / std::max<std::size_t>(1, S), 16, 64)),
        walk_(of_heads(batch, heads),
              {steps(in[0], L * q_row, D), steps(in[1], S * q_row, D), steps(in[2], S * v_row, E)}) {
    for (std::size_t i = 0; i < 3; ++i) data_[i] = in[i].data();
    if (rule.dropout > 0) seed_ = in[rule.inputs() - 1].data();
    if (rule.has_bias) bias_.emplace(*this, rule, in[3]);
  }

  /// Head i of all: q (L, D), k (S, D) and v (S, E), rows q_row and v_row apart.
  struct Head {
    std::size_t number;
    const T *q, *k, *v;
  };
  Head head(std::size_t i) const {
    const auto at = walk_.offsets(i);
    return {i, data_[0] + at[0], data_[1] + at[1], data_[2] + at[2]};
  }
  /// The same for another array whose leading axes broadcast to the batch: `matrix` elements for each of it.
  Walk<1> walk_over(const Tensor<T>& x, std::size_t matrix, std::size_t features) const {
    return {of_heads(batch, heads), {steps(x, matrix, features)}};
  }
  /// Where head i begins in an array (batch…, rows, heads·features).
  std::size_t start(std::size_t i, std::size_t rows, std::size_t features) const {
    return (i / heads * rows * heads + i % heads) * features;
  }

  /// W (rows, n) = the weights of n keys for the rows first, … of q; scaled (rows, D) is to be scale · q.
  void weights(T* W, T* scaled, const Head& head, std::size_t first, std::size_t rows, std::size_t n) const {
    for (std::size_t i = 0; i < rows; ++i)
      kernels<T>().scale(scaled + i * D, false, D, head.q + (first + i) * q_row, 1,
                         static_cast<T>(rule_.scale));
    gemm_rows(false, true, rows, n, D, scaled, D, head.k, q_row, false, W, n);
    for (std::size_t i = 0; i < rows; ++i) {
      T* const row = W + i * n;
      const std::size_t seen = visible(first + i);
      if (bias_) bias_->add_to(row, head.number, first + i, seen);
      const bool sees_none = bias_ && kernels<T>().max(row, seen) == -std::numeric_limits<T>::infinity();
      if (!sees_none) kernels<T>().softmax(row, row, seen, 1, 1);
      std::fill(row + (sees_none ? 0 : seen), row + n, T(0));
    }
  }
  /// dP (rows, n) becomes dS, from the weights W.
  void through_softmax(T* dP, const T* W, std::size_t first, std::size_t rows, std::size_t n) const {
    for (std::size_t i = 0; i < rows; ++i) {
      T* const row = dP + i * n;
      const std::size_t seen = visible(first + i);
      kernels<T>().softmax_gradient(row, false, row, W + i * n, seen, 1, 1);
      std::fill(row + seen, row + n, T(0));
    }
  }
  /// Adds rows of the bias to scores.
  void add_bias(T* scores, const Head& head, std::size_t first, std::size_t rows, std::size_t n) const {
    for (std::size_t i = 0; i < rows; ++i)
      bias_->add_to(scores + i * n, head.number, first + i, visible(first + i));
  }
  /// Multiplies rows of weights, or of their adjoints, by what dropout makes of 1.
  void drop(T* W, const Head& head, std::size_t first, std::size_t rows, std::size_t n) const {
    if (!seed_) return;
    const AttentionDropout<T> dropout(rule_.dropout, seed_);
    for (std::size_t i = 0; i < rows; ++i) dropout.multiply(W + i * n, (head.number * L + first + i) * S, n);
  }

  /// f(head, first, rows, keys, scaled, W) for all blocks of rows, of which none sees more than so many keys;
  /// scaled is memory for (rows, D), W for `arrays` times (rows, keys). Blocks that are not independent go
  /// one after the other in a head.
  template <class F>
  void each(std::size_t arrays, bool independent, const F& f) const {
    const std::size_t blocks = quotient_up(L, block_), tasks = independent ? count_ * blocks : count_;
    // Tasks do not touch each other's results, so memory and groups may follow the number of threads.
    const std::size_t most = num_threads() == 1 ? 1 : 4 * static_cast<std::size_t>(num_threads());
    const std::size_t groups = std::min(tasks, most), memory = block_ * (arrays * S + D);
    PoolVector<T> scratch(groups * memory);
    const SerialBlas serial;
    parallel_for(groups, [&](std::size_t group) {
      for (std::size_t t = group * tasks / groups; t < (group + 1) * tasks / groups; ++t) {
        const Head one = head(independent ? t / blocks : t);
        const std::size_t from = independent ? t % blocks : 0, to = independent ? from + 1 : blocks;
        for (std::size_t b = from; b < to; ++b) {
          const std::size_t first = b * block_, rows = std::min(block_, L - first);
          T* const own = &scratch[group * memory];
          f(one, first, rows, visible(first + rows - 1), own, own + block_ * D);
        }
      }
    });
  }

 private:
  static Shape of_heads(Shape batch, std::size_t heads) {
    batch.push_back(heads);
    return batch;
  }
  Dims steps(const Tensor<T>& x, std::size_t matrix, std::size_t head) const {
    Dims all = broadcast_strides(batch_of(x.shape()), batch);
    for (auto& s : all) s *= static_cast<std::ptrdiff_t>(matrix);
    all.push_back(static_cast<std::ptrdiff_t>(head));
    return all;
  }

  const AttentionRule& rule_;
  std::size_t count_, block_;  ///< heads of the whole batch; rows of a block
  Walk<3> walk_;
  const T *data_[3] = {}, *seed_ = nullptr;
  std::optional<AttentionBias<T>> bias_;
};

/// 0 where dropout sets a weight to 0, and else what it multiplies by, of the shape of the scores.
template <class T>
struct AttentionDropoutMask {
  Shape to;
  double dropout;
  static constexpr const char* name = "attention_dropout";
  bool operator==(const AttentionDropoutMask&) const = default;
  Shape shape(const Shape&) const { return to; }
  void compute(Target<T> y, const Tensor<T>& seed) const {
    std::fill_n(y.data, y.size, T(1));
    AttentionDropout<T>(dropout, seed.data()).multiply(y.data, 0, y.size);
  }
};

/// The same for all heads at once: q, k and v as (batch…, [heads,] rows, features).
template <class T>
class AttentionFormula {
 public:
  AttentionFormula(const AttentionRule& rule, std::span<const Tensor<T>> in)
      : rule_(rule), q(split(in[0])), k(split(in[1])), v(split(in[2])) {
    const AttentionSizes sizes(rule, in);
    constexpr T none = -std::numeric_limits<T>::infinity();
    Tensor<T> S = product_nt(q, k) * static_cast<T>(rule.scale);
    if (rule.has_bias) S = S + in[3];
    if (rule.causal) {
      Tensor<T> hidden = zeros<T>({sizes.L, sizes.S});
      for (std::size_t i = 0; i < sizes.L; ++i) {
        T* const row = hidden.mutable_data() + i * sizes.S;
        std::fill(row + sizes.visible(i), row + sizes.S, none);
      }
      S = S + hidden;
    }
    if (rule.has_bias) {  // a row of −∞ has weights of 0
      const Tensor<T> hidden = equal(S, none);
      P = where(hidden, T(0), softmax(where(hidden, std::numeric_limits<T>::lowest(), S), -1));
    } else {
      P = softmax(S, -1);
    }
    if (rule.dropout > 0)
      factors_ = apply<T>(AttentionDropoutMask<T>{rule.scores(sizes.batch, sizes.L, sizes.S), rule.dropout},
                          in[rule.inputs() - 1]);
  }

  /// What dropout makes of weights.
  Tensor<T> dropped(const Tensor<T>& weights) const {
    return factors_.defined() ? weights * factors_ : weights;
  }
  /// dS from dP, and the tangent of P from that of S: the matrix between them is symmetric.
  Tensor<T> through_softmax(const Tensor<T>& dP) const { return P * (dP - sum(P * dP, -1, true)); }
  /// (…, rows, heads·features) as (…, heads, rows, features).
  Tensor<T> split(const Tensor<T>& x) const {
    if (rule_.heads == 0) return x;
    Shape to = x.shape();
    to.back() /= rule_.heads;
    to.push_back(to.back());
    to.end()[-2] = rule_.heads;
    return swapped(reshape(x, Dims(to)));
  }
  Tensor<T> joined(const Tensor<T>& x) const {
    if (rule_.heads == 0) return x;
    const Tensor<T> y = swapped(x);
    Shape to = y.shape();
    to.end()[-2] *= to.back();
    to.erase(to.size() - 1);
    return reshape(y, Dims(to));
  }

 private:
  /// The axes of heads and rows change places.
  static Tensor<T> swapped(const Tensor<T>& x) {
    Axes order;
    for (std::size_t i = 0; i < x.rank(); ++i) order.push_back(static_cast<std::ptrdiff_t>(i));
    std::swap(order[x.rank() - 3], order[x.rank() - 2]);
    return transpose(x, order);
  }

  const AttentionRule& rule_;
  Tensor<T> factors_;

 public:
  Tensor<T> q, k, v, P;  ///< P: the weights (batch…, [heads,] L, S) before dropout
};

/// `op` for a batch: its inputs broadcast, biases to the scores. `rank` is that of an input without the
/// batch. The places of dropout are those of each sample: one after the other.
template <class T, class Op>
Tensor<T> lift_attention(const Op& op, std::span<const Handle* const> inputs,
                         const std::vector<char>& batched, const Shape& shape, std::size_t rank,
                         std::initializer_list<std::size_t> biases) {
  if (op.dropout > 0) return lift_each<T>(op, inputs, batched, shape);
  std::vector<Tensor<T>> all;
  std::vector<const Handle*> pointers;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const bool is_bias = std::find(biases.begin(), biases.end(), i) != biases.end();
    all.push_back(aligned<T>(*inputs[i], batched[i], rank + (is_bias && op.heads != 0)));
  }
  for (const Tensor<T>& one : all) pointers.push_back(&one.handle());
  return perform_here<T>(op, pointers, shape);
}

}  // namespace xtape::detail
