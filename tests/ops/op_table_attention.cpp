// The rows of attention.
#include "op_table.hpp"

namespace xtape::test {

using Tensor = xtape::Tensor<double>;

void add_attention(std::vector<OpRow>& rows) {
  const Sets plain{{{2, 3}, {4, 3}, {4, 2}},
                   {{1, 1}, {1, 1}, {1, 1}},
                   {{2, 1, 3, 2}, {3, 5, 2}, {1, 1, 5, 3}},
                   {{2, 2, 2, 3}, {2, 2, 3, 3}, {2, 2, 3, 1}},
                   {{0, 3}, {2, 3}, {2, 2}},
                   {{2, 0}, {3, 0}, {3, 2}},
                   {{0, 2, 3}, {0, 2, 3}, {0, 2, 2}}};
  const Sets causal{{{3, 2}, {3, 2}, {3, 2}},
                    {{1, 2}, {4, 2}, {4, 3}},
                    {{2, 2, 3}, {2, 5, 3}, {2, 5, 2}},
                    {{19, 2}, {19, 2}, {19, 1}}};
  rows.push_back(row(
      "attention", "", [](const Tensors& x) { return attention(x[0], x[1], x[2]); }, plain));
  rows.push_back(row(
      "attention", "causal",
      [](const Tensors& x) { return attention(x[0], x[1], x[2], {.causal = true, .scale = 0.7}); }, causal));
  rows.push_back(row("attention", "bias",
                     [](const Tensors& x) {
                       const Tensor seen{{1, 0, 1, 1}};
                       return attention(x[0], x[1], x[2], {.mask = seen, .bias = x[3]});
                     },
                     {{{2, 3}, {4, 3}, {4, 2}, {2, 4}},
                      {{2, 1, 3, 2}, {2, 2, 4, 2}, {2, 2, 4, 2}, {2, 1, 1, 4}},
                      {{2, 3, 2}, {4, 2}, {4, 2}, {}}}));
  rows.push_back(row("attention", "heads",
                     [](const Tensors& x) {
                       return attention(x[0], x[1], x[2], {.causal = true, .bias = x[3], .heads = 2});
                     },
                     {{{3, 4}, {3, 4}, {3, 2}, {2, 3, 3}},
                      {{2, 2, 2}, {2, 4, 2}, {2, 4, 4}, {2, 2, 1, 4}},
                      {{3, 2, 4}, {2, 4}, {1, 2, 2}, {2, 2}}}));
  rows.push_back(row("rotary_embedding", "", [](const Tensors& x) { return square(rotary_embedding(x[0])); },
                     {{{3, 2}}, {{2, 4, 6}}, {{0, 2}}, {{2, 0}}}));
  rows.push_back(row(
      "rotary_embedding", "heads",
      [](const Tensors& x) { return square(rotary_embedding(x[0], {.first = 5, .heads = 2, .base = 100})); },
      {{{2, 4}}, {{2, 3, 8}}}));
}

}  // namespace xtape::test
