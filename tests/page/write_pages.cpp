// Writes the pages that test_page.mjs looks at, beside those of the example: write_pages FOLDER.
#include <cmath>
#include <fstream>
#include <memory>
#include <string>

#include <autodiff/autodiff.hpp>
#include <autodiff/derivation.hpp>
#include <nn/nn.hpp>

using namespace xtape;

namespace {

Dims dims(std::initializer_list<std::size_t> sizes) {
  Dims all;
  for (const std::size_t size : sizes) all.push_back(static_cast<std::ptrdiff_t>(size));
  return all;
}

/// Multi-head attention on x (batch, length, width).
class Attention : public nn::Module<double> {
 public:
  Attention(std::size_t width, std::size_t heads)
      : query_(width, width),
        key_(width, width),
        value_(width, width),
        output_(width, width),
        heads_(heads) {}

  Tensor<double> forward(const Tensor<double>& x) override {
    const std::size_t n = x.shape()[0], length = x.shape()[1], width = x.shape()[2], size = width / heads_;
    const auto of_heads = [&](const Tensor<double>& y) {
      return transpose(reshape(y, dims({n, length, heads_, size})), {0, 2, 1, 3});
    };
    const auto q = of_heads(query_(x)), k = of_heads(key_(x)), v = of_heads(value_(x));
    const auto p = softmax(matmul(q, transpose(k, {0, 1, 3, 2})) / std::sqrt(static_cast<double>(size)), -1);
    return output_(reshape(transpose(matmul(p, v), {0, 2, 1, 3}), dims({n, length, width})));
  }
  void members(nn::Members<double>& m) override {
    m.module("query", query_);
    m.module("key", key_);
    m.module("value", value_);
    m.module("output", output_);
  }

 private:
  nn::Linear<double> query_, key_, value_, output_;
  std::size_t heads_;
};

class Block : public nn::Module<double> {
 public:
  Block(std::size_t width, std::size_t heads)
      : norm1_(width),
        attention_(width, heads),
        norm2_(width),
        up_(width, 4 * width),
        down_(4 * width, width) {}

  Tensor<double> forward(const Tensor<double>& x) override {
    const Tensor<double> y = x + attention_(norm1_(x));
    return y + down_(gelu(up_(norm2_(y))));
  }
  void members(nn::Members<double>& m) override {
    m.module("norm1", norm1_);
    m.module("attention", attention_);
    m.module("norm2", norm2_);
    m.module("up", up_);
    m.module("down", down_);
  }

 private:
  nn::LayerNorm<double> norm1_;
  Attention attention_;
  nn::LayerNorm<double> norm2_;
  nn::Linear<double> up_, down_;
};

Derivation transformer_block() {
  random::seed(1);
  nn::Sequential<double> net(Block(64, 4), nn::Linear<double>(64, 10));
  auto names = net.named_parameters();
  names.emplace_back("x", random::normal<double>({2, 16, 64}, 0, 1));
  const Tensor<double> z = net(names.back().second);
  return derivation(mean(square(z)), names);
}

Derivation convolutions() {
  random::seed(2);
  nn::Sequential<double> net(nn::Conv2d<double>(1, 4, 3), nn::ReLU<double>(), nn::MaxPool2d<double>(2),
                             nn::Conv2d<double>(4, 8, 3), nn::ReLU<double>(), nn::Flatten<double>(),
                             nn::Linear<double>(72, 10));
  auto names = net.named_parameters();
  names.emplace_back("images", random::normal<double>({4, 1, 12, 12}, 0, 1));
  const Indices labels{3, 1, 4, 9};
  return derivation(nn::cross_entropy(net(names.back().second), labels), names);
}

/// The recording does not keep what a sum was computed from.
Derivation unknown_values() { return derivation(sum(parameter<double>({1.0, 2.0}) + 1.0)); }

Derivation odd_names() {
  const auto a = parameter<double>({{1.0, 2.0}, {3.0, -1e-9}}), b = parameter<double>({1e300, -2.0});
  return derivation(sum(matmul(a, b)), {{"</script><b>\"'&", a}, {"<!--é", b}});
}

}  // namespace

int main(int, char** argv) {
  const auto write = [&](const std::string& name, const Derivation& derivation, const std::string& title) {
    std::ofstream(std::string(argv[1]) + "/" + name + ".html") << derivation.html(title);
  };
  write("block", transformer_block(), "A transformer block");
  write("convolutions", convolutions(), "Convolutions");
  write("unknown", unknown_values(), "Unknown");
  write("odd", odd_names(), "Odd <names> & \"titles\"");
}
