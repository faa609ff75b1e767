// Attention and transformer blocks beyond PyTorch's numbers, which are among those of test_layers.cpp.
#include <string>
#include <vector>

#include <xtensor/xview.hpp>

#include "../check_close.hpp"
#include "../check_error.hpp"

#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;

namespace {

template <class T>
Tensor<T> rows(const Tensor<T>& x, std::size_t first, std::size_t last) {
  return slice(x, xt::ellipsis(), xt::range(first, last), xt::all());
}

}  // namespace

TEST_CASE("MultiheadAttention has PyTorch's names and shapes") {
  nn::TransformerBlock<float> block(8, 2);
  std::string names;
  for (const auto& [name, p] : block.named_parameters()) names += name + to_string(p.shape()) + " ";
  CHECK(names ==
        "self_attn.in_proj_weight(24, 8) self_attn.in_proj_bias(24,) self_attn.out_proj.weight(8, 8) "
        "self_attn.out_proj.bias(8,) linear1.weight(32, 8) linear1.bias(32,) linear2.weight(8, 32) "
        "linear2.bias(8,) norm1.weight(8,) norm1.bias(8,) norm2.weight(8,) norm2.bias(8,) ");
  CHECK(block.self_attn.describe() == "MultiheadAttention(8, 2, causal)");
}

TEST_CASE("a cache gives token by token, and in parts, what the whole text gives") {
  random::seed(1);
  const auto x = random::normal<double>({3, 7, 8});
  const auto check_parts = [&](auto& layer) {
    const auto whole = layer(x).detach();
    const NoGrad no_grad;
    for (const std::vector<std::size_t>& parts : {std::vector<std::size_t>(7, 1), {4, 1, 2}, {7}}) {
      nn::KeyValueCache<double> cache;
      std::size_t at = 0;
      for (const std::size_t n : parts) {
        check_close(layer(rows(x, at, at + n), cache), rows(whole, at, at + n), 1e-13, 1e-14);
        at += n;
        CHECK(cache.position == at);
        CHECK(cache.keys.shape() == Shape{3, at, 8});
      }
    }
  };
  for (const bool rotary : {false, true}) {
    CAPTURE(rotary);
    nn::TransformerBlock<double> block(8, 2, {.rotary = rotary});
    check_parts(block);
    nn::MultiheadAttention<double> attention(8, 2, {.causal = true, .rotary = rotary, .bias = false});
    check_parts(attention);
    // Fewer queries than keys are those of the last positions.
    check_close(attention(rows(x, 4, 7), x, x).detach(), rows(attention(x), 4, 7).detach(), 1e-13, 1e-14);
  }
}

TEST_CASE("a cache with a window forgets what is before it") {
  random::seed(2);
  nn::MultiheadAttention<double> attention(8, 2, {.causal = true, .rotary = true});
  const auto x = random::normal<double>({1, 9, 8});
  nn::KeyValueCache<double> cache{.window = 4};
  Tensor<double> last;
  for (std::size_t i = 0; i < 9; ++i) last = attention(rows(x, i, i + 1), cache).detach();
  CHECK(cache.keys.shape() == Shape{1, 4, 8});
  CHECK(cache.position == 9);
  // The last query sees 4 kept keys and its own; rotary positions count distances alone.
  check_close(last, rows(attention(rows(x, 4, 9)), 4, 5).detach(), 1e-12, 1e-13);
}

TEST_CASE("attention to another text, with a mask of its padding") {
  random::seed(3);
  nn::MultiheadAttention<double> attention(6, 3);
  const auto query = random::normal<double>({2, 4, 6}), text = random::normal<double>({2, 5, 6});
  const Tensor<double> mask = reshape(Tensor<double>{{1, 1, 1, 0, 0}, {1, 1, 1, 1, 1}}, {2, 1, 1, 5});
  const auto y = attention(query, text, text, mask);
  CHECK(y.shape() == Shape{2, 4, 6});
  const auto first = slice(text, xt::range(0, 1), xt::range(0, 3));
  check_close(slice(y, xt::range(0, 1)).detach(),
              attention(slice(query, xt::range(0, 1)), first, first).detach(), 1e-13, 1e-14);
}

TEST_CASE("dropout of a block is in training alone, and gradients reach every parameter") {
  random::seed(4);
  nn::TransformerBlock<float> block(8, 2, {.dropout = 0.3});
  const auto x = random::normal<float>({2, 5, 8});
  CHECK_FALSE(same_bits(block(x).detach(), block(x).detach()));
  sum(square(block(x))).backward();
  for (const auto& [path, p] : block.named_parameters()) {
    const std::string& name = path;  // Clang 14 captures no binding
    CAPTURE(name);
    CHECK(norm(p.grad()).item() > 0);
  }
  block.eval();
  CHECK(same_bits(block(x).detach(), block(x).detach()));
}

TEST_CASE("a compiled step of a block gives the bits of the block") {
  random::seed(5);
  nn::TransformerBlock<float> block(8, 2, {.rotary = true});
  const auto loss = [&](const Tensor<float>& x) { return mean(square(block(x))); };
  const auto compiled = compile(loss);
  for (int call = 0; call < 3; ++call) {
    const auto x = random::normal<float>({2, 5, 8});
    const auto [value, gradients] = compiled.value_and_grad(x);
    block.zero_grad();
    const auto expected = loss(x);
    expected.backward();
    CHECK(same_bits(value, expected.detach()));
    std::size_t i = 0;
    for (const auto& leaf : compiled.leaves()) CHECK(same_bits(gradients[i++], leaf.grad()));
    CHECK(i == block.parameters().size());
  }
}

TEST_CASE("errors of MultiheadAttention, TransformerBlock and RMSNorm") {
  using Attention = nn::MultiheadAttention<double>;
  using Block = nn::TransformerBlock<double>;
  check_error([] { Attention(8, 3); }, {"[MultiheadAttention]", "8 does not divide into 3 heads"});
  check_error([] { Attention(8, 0); }, {"into 0 heads"});
  check_error([] { Attention(6, 2, {.rotary = true}); }, {"3 features"});
  check_error([] { Attention(8, 2, {.dropout = 1}); }, {"dropout 1"});
  check_error([] { Block(8, 2, {.activation = nullptr}); }, {"[TransformerBlock]", "activation"});
  Attention attention(8, 2);
  check_error([&] { attention(zeros<double>({2, 3, 7})); }, {"(2, 3, 7)"});
  nn::KeyValueCache<double> cache;
  attention(zeros<double>({2, 3, 8}), cache);
  check_error([&] { attention(zeros<double>({1, 1, 8}), cache); }, {"(1, 1, 8)", "(2, 3, 8)", "empty cache"});
  check_error([&] { attention(zeros<double>({1, 8}), cache); }, {"(1, 8)", "empty cache"});
  CHECK(cache.position == 3);
  nn::RMSNorm<double> norm(3);
  check_error([&] { norm(zeros<double>({3, 2})); }, {"[RMSNorm]", "(3, 2)", "(…, 3)"});
  check_error([] { nn::RMSNorm<double>(0); }, {"0 features"});
}
