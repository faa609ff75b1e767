// Wrong gradients of which the arrays alone say what is wrong, and what is said then: each is named, and what
// is no mistake of these gets no hint.
#include <cmath>
#include <limits>

#include "hint_cases.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

/// The same for one array against another.
std::string hint(const Matrix& gradient, const Matrix& other,
                 const CompareOptions<double>& options = {.batch_size = 32}) {
  const auto table = compare_gradients<double>({{"W", gradient, other}}, options);
  return table.passed ? "passed" : table.rows[0].hint;
}

}  // namespace

TEST_CASE("without a context: factors, order, shape, NaN") {
  random::seed(5);
  const Matrix W = random::normal<double>({4, 4}), b = random::normal<double>({4}),
               wide = random::normal<double>({3, 5});
  struct Planted {
    Matrix gradient, other;
    std::string says;
  };
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  const std::vector<Planted> table{
      {W, -W, "the sign is reversed"},
      {W, 2 * W, "twice too large"},
      {W, W / 2, "half of the gradient"},
      {W, 32 * W,
       "32 times too large: a division by 32, that of a mean over the batch of 32, is missing in the "
       "formula; "
       "divide by 32"},
      {W, W / 32,
       "1/32 of the gradient: the formula divides by 32 once more than the trusted gradient does, as by a "
       "mean "
       "over the batch of 32 in place of the sum"},
      {W, W * 64, "2 · 32 times too large"},
      {W, W / 16, "2/32 of the gradient"},
      {W, W / 2, "or the trusted gradient was accumulated by two backward passes: zero_grad()"},
      {W, W / 3, "or the trusted gradient was accumulated by 3 backward passes: zero_grad()"},
      {W, W * 3.7, "the gradient times 3.7, in every element"},
      {W, W / -7, "a constant factor -0.142857 = 1/-7"},
      {W, transpose(W), "transposed: dW = δ aᵀ, not a δᵀ"},
      {W, -transpose(W), "transposed (dW = δ aᵀ, not a δᵀ); besides, the sign is reversed"},
      {wide, transpose(wide), "shapes (3, 5) and (5, 3) differ: transposed"},
      {wide, flip(wide, 0), "permuted: the same numbers in another order of the rows"},
      {wide, flip(wide, 1), "permuted: the same numbers in another order of the columns"},
      {wide, reshape(transpose(wide), {3, 5}),
       "permuted: the same numbers in another order; was it reshaped"},
      {b, flip(b), "permuted: the same numbers in another order"},
      {sum(wide, 0), wide, "one gradient for each of the 3 samples; sum them over the batch, axis 0"},
      {mean(wide, 0), wide, "one gradient for each of the 3 samples; average them over the batch, axis 0"},
      {b, unsqueeze(b, 0), "shapes (4,) and (1, 4) differ: the numbers are right; reshape them"},
      {W, wide, "shapes (4, 4) and (3, 5) differ"},
      {W, zeros<double>({4, 4}), "all zero"},
      {Matrix{{1.0, 2.0}, {3.0, 4.0}}, Matrix{{1.0, 2.0}, {nan, infinity}},
       "NaN first seen at index (1, 0) of the formula's gradient"},
      {Matrix{1.0, -infinity}, Matrix{1.0, 2.0}, "infinity first seen at index (1,) of the trusted gradient"},
      {Matrix{1.0, nan}, Matrix{infinity, nan},
       "NaN first seen at index (1,) of the trusted gradient, and infinity first seen at index (0,) of the "
       "formula's gradient: look for log(0)"},
      {1e300 * W, 3.7e300 * W, "the gradient times 3.7, in every element"},
      {W, Matrix(), "a gradient is empty"}};
  for (const Planted& p : table) {
    const std::string said = hint(p.gradient, p.other);
    CHECK_MESSAGE(contains(said, p.says), "'" << said << "' does not say '" << p.says << "'");
  }
  CHECK(contains(hint(W, W * 0.05, {.learning_rate = 0.05}), "multiplied by the learning rate 0.05"));
  CHECK(contains(hint(W, W * -0.05, {.learning_rate = 0.05}), "multiplied by −α"));
}

TEST_CASE("the bias alone, and the gradient of another row") {
  const Net net(Activation::sigmoid);
  const auto with = [&](std::size_t i, const Matrix& other) {
    auto pairs = net.pairs;
    pairs[i].other = other;
    return hint_of(compare_gradients<double>(pairs, {.batch_size = batch}), pairs[i].name);
  };
  const Matrix db = net.right.db[0];
  CHECK(
      contains(with(1, db / 6), "1/6 of the gradient, in the bias alone: δ is averaged over the batch of 6"));
  CHECK(contains(with(1, db * 6), "6 times too large, in the bias alone: δ is summed over the batch of 6"));
  CHECK(contains(with(1, -db), "the sign of the bias gradient alone is reversed"));
  CHECK(contains(with(1, 2 * db), "in the bias alone, twice too large"));
  CHECK(contains(with(1, net.right.db[1]), "this is the gradient of b2: the layers are shifted"));
  CHECK(contains(with(4, net.right.dW[1]), "this is the gradient of W2"));
  auto all = net.pairs;  // with the weights wrong too it is no matter of the bias
  all[0].other = all[0].other / 6;
  all[1].other = all[1].other / 6;
  CHECK(contains(hint_of(compare_gradients<double>(all, {.batch_size = batch}), "b1"),
                 "1/6 of the gradient: the formula divides by 6 once more than the trusted gradient does"));
}

TEST_CASE("a trusted gradient that was accumulated is blamed, and not the formula") {
  const Net net(Activation::tanh);
  const auto loss = [&net] {
    Matrix a = net.x;
    for (const auto& layer : net.layers) a = tanh(linear(a, layer.W, layer.b));
    return nn::half_squared_error(a, net.y);
  };
  CompareOptions<double> with_loss{.batch_size = batch};
  with_loss.loss = loss;
  for (const auto& options : {net.options, with_loss})
    for (const int times : {2, 3, int(batch)}) {
      auto pairs = net.pairs;
      for (auto& pair : pairs) pair.gradient = times * pair.gradient;
      const auto table = compare_gradients<double>(pairs, options);
      const std::string count = std::to_string(times);
      for (const auto& row : table.rows)
        check_hint(
            table, row.name,
            {"the trusted gradient is " + count + " times what the loss gives, and the formula's is right",
             "accumulated by " + count + " backward passes", "zero_grad()"});
      // The formula is wrong, too: first things first.
      pairs[0].other = transpose(pairs[0].other);
      const auto both = compare_gradients<double>(pairs, options);
      check_hint(both, "W1",
                 {"the trusted gradient is " + count + " times what the loss gives", "zero_grad()"});
      CHECK(!contains(hint_of(both, "W1"), "is right"));
    }
  auto halved = net.pairs;
  halved[0].gradient = halved[0].gradient / 2;
  const auto table = compare_gradients<double>(halved, with_loss);
  check_hint(table, "W1", {"the trusted gradient is 0.5 times what the loss gives", "another loss"});
  CHECK(!contains(hint_of(table, "W1"), "zero_grad"));
}

TEST_CASE(
    "factors of the batch and the outputs: those of one mistake come first, and say nothing of the loss") {
  random::seed(32);
  const auto text = [](std::size_t n, std::size_t outputs, double value) {
    const auto r =
        nn::hand::layers(random::normal<double>({n, 3}), random::normal<double>({n, outputs}),
                         {{random::normal<double>({outputs, 3}), zeros<double>({outputs}), Activation::tanh}},
                         Loss::mean_squared_error);
    for (const auto& factor : usual_factors(r.compare_options()))
      if (std::abs(factor.value - value) < 1e-12) return factor.text;
    return std::string("none");
  };
  CHECK(text(6, 4, 24).find("24 times too large: a division by 24, that of a mean over all 24 elements") ==
        0);
  CHECK(text(6, 4, 4).find(
            "4 times too large: a division by 4, that of a mean over the 4 outputs of a sample") == 0);
  CHECK(text(6, 4, 1.0 / 4).find("1/4 of the gradient: the formula divides by 4 once more") == 0);
  const std::string both = text(6, 2, 12);  // N · out and 2 · N
  CHECK(both.find(
            "12 times too large: a division by 12, that of a mean over all 12 elements of the output") == 0);
  CHECK(contains(both, "; or 2 · 6 times too large"));
  const std::string twice = text(6, 2, 2);  // 2 and out
  CHECK(twice.find("twice too large: a ½") == 0);
  CHECK(contains(twice,
                 "; or 2 times too large: a division by 2, that of a mean over the 2 outputs of a sample"));
  for (const double value :
       {6.0, 1.0 / 6, 12.0, 1.0 / 12, 3.0, 1.0 / 3, 24.0, 1.0 / 24, 4.0, 0.25, 0.5, 2.0}) {
    CHECK(text(6, 4, value) != "none");
    for (const char* const claim : {"the loss sums", "the loss takes", "the loss has", "the loss does"})
      CHECK_MESSAGE(!contains(text(6, 4, value), claim), text(6, 4, value));
  }
  // From the loss the search knows more.
  const Net net(Activation::sigmoid, 5);
  auto pairs = net.pairs;
  pairs[0].other = 5 * pairs[0].other;
  pairs[2].other = pairs[2].other / 30;
  const auto table = compare_gradients<double>(pairs, net.options);
  check_hint(table, "W1", {"off by the factor 5", "the division by 5", "outputs"});
  check_hint(table, "W2", {"off by the factor 0.0333333", "divided by 30", "elements"});
}

TEST_CASE("few numbers fit by chance: what counts as evidence") {
  CHECK(hint(Matrix{2.0}, Matrix{7.4}).empty());  // any factor fits one number
  CHECK(contains(hint(Matrix{2.0}, Matrix{-2.0}), "the sign is reversed"));
  CHECK(hint(Matrix{2.0, 0.0}, Matrix{7.4, 0.0}).empty());
  CHECK(contains(hint(Matrix{2.0, 1.0}, Matrix{7.4, 3.7}), "times 3.7"));
  const auto in_float = [](const Tensor<float>& a, const Tensor<float>& b) {
    return compare_gradients<float>({{"W", a, b}}, {.batch_size = 32}).rows[0].hint;
  };
  CHECK(in_float({2.0f}, {-2.0f}).empty());  // to 1e-4 hundreds of hypotheses would find one that fits
  CHECK(contains(in_float({2.0f, 1.0f}, {-2.0f, -1.0f}), "the sign is reversed"));
  CHECK(in_float({2.0f, 1.0f}, {7.4f, 3.7f}).empty());
  CHECK(contains(in_float({2.0f, 1.0f, 3.0f}, {7.4f, 3.7f, 11.1f}), "times 3.7"));
  CHECK(compare_gradients<double>({{"none", zeros<double>({0, 3}), zeros<double>({0, 3})}}).passed);
  CHECK(contains(hint(zeros<double>({0, 3}), zeros<double>({3, 0})), "shapes (0, 3) and (3, 0) differ"));
}
