// The weights and the texts of a small transformer: 16 texts of 64 tokens, 4 layers of width 128 with 4
// heads, 0.81 million weights.
#pragma once
#include <cmath>
#include <cstddef>
#include <vector>

#include "data.hpp"

namespace bench {

struct TransformerData {
  static constexpr std::size_t texts = 16, length = 64, words = 65, width = 128, heads = 4, layers = 4;
  /// Of `weights`: the table of words, that of places, and the output come before the layers.
  enum Of { table, places, output, first_layer };
  enum OfLayer {
    queries,
    keys,
    values,
    joined,
    wide,
    narrow,
    wide_bias,
    narrow_bias,
    gamma1,
    beta1,
    gamma2,
    beta2,
    of_layer
  };

  struct Weight {
    std::vector<float> numbers;
    std::vector<std::size_t> shape;
  };
  std::vector<Weight> weights;
  std::vector<std::size_t> read, next;  ///< of each token: the word, and the one after it

  TransformerData() {
    xtape::random::seed(1);
    const auto add = [&](std::size_t rows, std::size_t columns) {
      weights.push_back({normal<float>(rows * columns, 1 / std::sqrt(double(columns))), {rows, columns}});
    };
    const auto add_vector = [&](std::size_t size, float all) {
      weights.push_back({std::vector<float>(size, all), {size}});
    };
    add(words, width), add(length, width), add(words, width);
    for (std::size_t layer = 0; layer < layers; ++layer) {
      for (int i = 0; i < 4; ++i) add(width, width);
      add(4 * width, width), add(width, 4 * width);
      add_vector(4 * width, 0), add_vector(width, 0);
      for (int i = 0; i < 2; ++i) add_vector(width, 1), add_vector(width, 0);
    }
    for (std::size_t i = 0; i < texts * length; ++i) {
      read.push_back(i * i % words);
      next.push_back((i + 1) * (i + 1) % words);
    }
  }
};

/// Queries, keys, values and an adjoint of the result, (1, length, width), for the same heads.
struct AttentionData {
  std::size_t length;
  std::vector<float> q, k, v, g;

  explicit AttentionData(std::size_t n) : length(n) {
    for (auto* const x : {&q, &k, &v, &g}) *x = normal<float>(n * TransformerData::width);
  }
  xtape::Dims shape() const { return {std::size_t(1), length, TransformerData::width}; }
};

}  // namespace bench
