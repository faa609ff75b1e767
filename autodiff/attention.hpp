// Attention of queries to keys, as one node, and rotary positions.
#pragma once
#include <cstddef>
#include <type_traits>

#include "tensor.hpp"

namespace xtape {

/// Settings of attention().
template <class T>
struct AttentionOptions {
  /// Query i sees the keys up to its own position. The L queries are the last L of S positions: with L = S
  /// those before and itself, with L = 1 all keys, as for a text that is written token by token.
  bool causal = false;
  /// Where it is 0 a query does not see a key; else it is 1. It broadcasts to the scores (…, L, S): (L, S),
  /// or (B, 1, 1, S) for texts of different lengths. Not differentiated. While a function is traced its
  /// numbers are not known, and all but 0 count as 1.
  Tensor<T> mask = {};
  /// In this share of the places a weight is set to 0, and the others are multiplied by 1 / (1 − dropout).
  double dropout = 0;
  /// What is added to the scores before softmax; it broadcasts as the mask does. Differentiated: its gradient
  /// takes memory for all scores.
  Tensor<T> bias = {};
  /// Not 0: q is (…, L, heads·D), k (…, S, heads·D), v (…, S, heads·E) and the result (…, L, heads·E), each
  /// head beside the others as linear() gives them: nothing is transposed. Scores are (…, heads, L, S).
  std::size_t heads = 0;
  double scale = 0;  ///< of q · k; 0: 1 / √D
};

/// softmax(scale q kᵀ + bias) v, scaled dot-product attention (Vaswani et al., 2017), of q (…, L, D),
/// k (…, S, D) and v (…, S, E), mostly (batch, heads, length, features); leading axes broadcast. It gives
/// (…, L, E). A query that sees no key gives 0.
///
/// Rows of scores are computed some at a time and again in the backward pass, so it takes memory for L + S
/// rows, not for L · S scores, and the half that `causal` masks is skipped. With P the weights, rows that sum
/// to 1, and dP = g vᵀ: dS = P (dP − Σ P dP) along the row, dq = scale dS k, dk = scale dSᵀ q, dv = Pᵀ g.
/// Gradients of gradients, and forward mode over them, take memory for all scores.
///
/// The random places of `dropout` are those of random::uniform(): drawn anew at each call, the same when a
/// checkpoint runs it again. Errors: shapes that do not agree, no keys, more queries than keys where it is
/// causal, a mask of other numbers than 0 and 1, and a dropout outside [0, 1).
template <class T>
Tensor<T> attention(const Tensor<T>& q, const Tensor<std::type_identity_t<T>>& k,
                    const Tensor<std::type_identity_t<T>>& v,
                    const AttentionOptions<std::type_identity_t<T>>& options = {});

/// Settings of rotary_embedding().
struct RotaryOptions {
  std::size_t first = 0;  ///< the position of the first row
  std::size_t heads = 0;  ///< as in AttentionOptions: not 0 where x is (…, L, heads·D)
  double base = 10000;
};

/// Rotary positions (Su et al., 2021), for queries and keys x (…, L, D) of even D: row p turns the pair of
/// features i and i + D/2 by the angle (first + p) base^(−2i/D), so that q · k depends on the distance of
/// their rows alone. The pairs are those of GPT-NeoX and of Llama in Hugging Face's files. Linear: the
/// derivative turns back. Error for an odd D, and for a base that is not positive.
template <class T>
Tensor<T> rotary_embedding(const Tensor<T>& x, const RotaryOptions& options = {});

}  // namespace xtape
