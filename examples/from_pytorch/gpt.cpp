#include <cstdio>
#include <set>
#include <string>

#include <nn/nn.hpp>

#include "fill.hpp"

using namespace xtape;

struct Block : nn::Module<double> {
  std::size_t heads;
  nn::LayerNorm<double> norm1, norm2;
  nn::Linear<double> qkv, project;
  nn::Sequential<double> mlp;

  Block(std::size_t width, std::size_t heads_)
      : heads(heads_),
        norm1(width),
        norm2(width),
        qkv(width, 3 * width),
        project(width, width),
        mlp(nn::Linear<double>(width, 4 * width), nn::GELU<double>(), nn::Linear<double>(4 * width, width)) {}

  Tensor<double> forward(const Tensor<double>& x) override {
    const auto [q, k, v] = split<3>(qkv(norm1(x)), -1);
    const auto y = x + project(attention(q, k, v, {.causal = true, .heads = heads}));
    return y + mlp(norm2(y));
  }
  void members(nn::Members<double>& m) override {
    m.module("norm1", norm1);
    m.module("norm2", norm2);
    m.module("qkv", qkv);
    m.module("project", project);
    m.module("mlp", mlp);
  }
};

struct GPT : nn::Module<double> {
  nn::Embedding<double> letters, places;
  nn::Sequential<double> blocks;
  nn::LayerNorm<double> norm;
  nn::Linear<double> head;

  GPT(std::size_t count, std::size_t steps, std::size_t width, std::size_t heads, int layers)
      : letters(count, width), places(steps, width), norm(width), head(width, count, false) {
    for (int i = 0; i < layers; ++i) blocks.add(Block(width, heads));
  }

  Tensor<double> forward(const Tensor<double>& tokens) override {
    const auto x = letters(tokens) + places(xt::arange(tokens.shape(1)));
    return head(norm(blocks(x)));
  }
  void members(nn::Members<double>& m) override {
    m.module("letters", letters);
    m.module("places", places);
    m.module("blocks", blocks);
    m.module("norm", norm);
    m.module("head", head);
  }
};

int main() {
  // Five lines of sixteen letters; each letter is to be told from those before it.
  const std::string text =
      "to be or not to be that is the question: whether tis nobler in the mind to suffer";
  const std::set<char> alphabet(text.begin(), text.end());
  std::vector<std::ptrdiff_t> tokens;
  for (const char c : text) tokens.push_back(std::distance(alphabet.begin(), alphabet.find(c)));
  const auto x = reshape(Tensor<double>(std::vector(tokens.begin(), tokens.end() - 1)), {5, 16});
  const Indices y = std::vector(tokens.begin() + 1, tokens.end());

  GPT model(alphabet.size(), 16, 32, 4, 2);
  fill(model);
  nn::AdamW<double> optimizer(model.parameters(), {.learning_rate = 3e-3, .weight_decay = 0.1});
  for (int step = 0; step < 40; ++step) {
    optimizer.zero_grad();
    const auto loss = nn::cross_entropy(reshape(model(x), {80, -1}), y);
    loss.backward();
    optimizer.step();
    std::printf("%.15g\n", loss.item());
  }
}
