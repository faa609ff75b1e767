// The model and the text of examples/train_text.
#include <cmath>
#include <sstream>

#include "../check_close.hpp"

#include "../../examples/train_text/model.hpp"
#include "../../examples/train_text/text.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

/// Logits (L, 20) of the characters of a text given one by one, after the first few at once.
Tensor<float> one_by_one(GPT& model, const std::vector<int>& text, std::size_t window, std::size_t at_once) {
  auto caches = model.caches(window);
  const auto middle = text.begin() + static_cast<std::ptrdiff_t>(at_once);
  std::vector<Tensor<float>> parts{model(Indices(std::vector(text.begin(), middle)), caches)};
  for (auto next = middle; next != text.end(); ++next)
    parts.push_back(model(Indices(std::vector{*next}), caches));
  return concatenate(parts, 0);
}

std::vector<int> some_text(int length) {
  std::vector<int> text;
  for (int i = 0; i < length; ++i) text.push_back(i * i % 20);
  return text;
}

}  // namespace

TEST_CASE("a text that is written by the cache has the logits of the whole text") {
  random::seed(3);
  GPT model(20, {.layers = 3, .width = 24, .heads = 3});
  // Larger weights than at the start, so that characters matter to those behind them.
  for (Tensor<float> p : model.parameters())
    if (p.rank() == 2) p.assign(random::normal<float>(p.shape(), 0, 0.3F));
  model.eval();
  const NoGrad no_grad;
  const std::vector<int> text = some_text(30);
  const Tensor<float> whole = model(Indices(text));
  for (const std::size_t at_once : {1UL, 7UL, 30UL})
    check_close(one_by_one(model, text, 30, at_once), whole, 1e-5, 1e-5);
  std::vector<int> other = text;
  other[0] = 1 - other[0];
  CHECK(max(abs(model(Indices(other)) - whole)).item() > 0.1);  // or the comparison would say little

  // Positions are relative, and a block sees its window: that of one block has the logits of its text alone.
  GPT block(20, {.layers = 1, .width = 24, .heads = 3});
  block.eval();
  const Tensor<float> last = slice(one_by_one(block, text, 8, 1), -1);
  check_close(last, slice(block(Indices(std::vector(text.end() - 8, text.end()))), -1), 1e-5);
}

TEST_CASE("at first the loss of the GPT is the logarithm of the number of characters") {
  random::seed(4);
  GPT model(20, {});
  const std::vector<int> text = some_text(65);
  const Windows windows({text.begin(), text.end()}, {0, 3, 32}, 32);
  CHECK(windows.x.shape() == Shape{3, 32});
  CHECK(windows.x[33] == text[4]);
  CHECK(windows.y[32 + 1] == text[5]);
  CHECK(windows.y[95] == text[64]);
  const double loss = nn::cross_entropy(reshape(model(windows.x), {96, 20}), windows.y).item();
  CHECK(loss == doctest::Approx(std::log(20)).epsilon(0.05));
}

TEST_CASE("an alphabet has the bytes of a text, and comes back from a note") {
  const Alphabet alphabet("\xc3\xa9t\xc3\xa9\n");
  CHECK(alphabet.size() == 4);
  CHECK(alphabet.codes() == "10 116 169 195 ");
  CHECK(alphabet.numbers("t\n\xc3") == std::vector<std::ptrdiff_t>{1, 0, 3});
  CHECK_THROWS_WITH(alphabet.numbers("tx"), "'tx' has a character that the model's text lacks");
  std::istringstream note(alphabet.codes());
  CHECK(Alphabet::of_codes(note) == alphabet);
}
