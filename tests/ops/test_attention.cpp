// attention() beyond the rows of the table: long ones, what no query sees, dropout, threads, memory, errors;
// and what rotary positions are for.
#include <cmath>
#include <limits>
#include <numbers>
#include <string>
#include <vector>

#include <xtensor/xview.hpp>

#include "../check_close.hpp"
#include "../check_error.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// By matrix products and softmax, all scores at once.
template <class T>
Tensor<T> by_products(const Tensor<T>& q, const Tensor<T>& k, const Tensor<T>& v, const Tensor<T>& bias) {
  const T scale = 1 / std::sqrt(static_cast<T>(q.shape(-1)));
  return matmul(softmax(matmul(q, transpose(k, {0, 2, 1})) * scale + bias, -1), v);
}

template <class T>
Tensor<T> causal_bias(std::size_t L, std::size_t S) {
  return triu(full<T>({L, S}, T(-1e30)), static_cast<std::ptrdiff_t>(S - L) + 1);
}

template <class T>
std::vector<Tensor<T>> leaves(std::initializer_list<Shape> shapes) {
  std::vector<Tensor<T>> all;
  for (const Shape& shape : shapes) all.push_back(parameter(random::normal<T>(shape)));
  return all;
}

template <class T>
void check_long(std::size_t L, std::size_t S, double tolerance) {
  CAPTURE(L);
  CAPTURE(S);
  const auto x = leaves<T>({{2, L, 8}, {2, S, 8}, {2, S, 5}});
  const Tensor<T> seed = random::normal<T>({2, L, 5});
  for (const bool causal : {false, true}) {
    const Tensor<T> bias = causal ? causal_bias<T>(L, S) : zeros<T>({L, S});
    const Tensor<T> y = attention(x[0], x[1], x[2], {.causal = causal});
    const Tensor<T> expected = by_products(x[0], x[1], x[2], bias);
    check_close(y.detach(), expected.detach(), tolerance, tolerance);
    const auto g = grad(y, x, {.seed = seed}), h = grad(expected, x, {.seed = seed});
    for (std::size_t i = 0; i < 3; ++i) check_close(g[i], h[i], 20 * tolerance, 20 * tolerance);
  }
}

}  // namespace

TEST_CASE("attention over many blocks of rows is that of products, forward and backward") {
  random::seed(1);
  using Lengths = std::pair<std::size_t, std::size_t>;
  for (const auto& [L, S] : {Lengths{64, 64}, {65, 130}, {300, 300}, {1, 70}, {17, 1200}}) {
    check_long<double>(L, S, 1e-13);
    check_long<float>(L, S, 3e-6);
  }
}

TEST_CASE("heads side by side are those of a tensor with an axis of heads") {
  random::seed(2);
  const auto x = leaves<double>({{2, 5, 12}, {2, 7, 12}, {2, 7, 6}});
  const auto split = [](const auto& t) {
    return transpose(reshape(t, {t.shape(0), t.shape(1), 3, t.shape(2) / 3}), {0, 2, 1, 3});
  };
  const auto y = attention(x[0], x[1], x[2], {.heads = 3});
  const auto heads = attention(split(x[0]), split(x[1]), split(x[2]));
  const auto joined = reshape(transpose(heads, {0, 2, 1, 3}), {2, 5, 6});
  check_close(y.detach(), joined.detach(), 1e-15, 1e-15);
  const auto g = grad(sum(sin(y)), x), h = grad(sum(sin(joined)), x);
  for (std::size_t i = 0; i < 3; ++i) check_close(g[i], h[i], 1e-14, 1e-15);
}

TEST_CASE("a query that sees no key gives 0, and its gradients are finite, to second order") {
  random::seed(3);
  const auto x = leaves<double>({{1, 3, 2}, {1, 4, 2}, {1, 4, 2}});
  const Tensor<double> mask{{1, 1, 0, 1}, {0, 0, 0, 0}, {0, 0, 1, 0}};
  const auto y = attention(x[0], x[1], x[2], {.mask = mask});
  check_close(slice(y, 0, 1).detach(), zeros<double>({2}), 0);
  check_close(slice(y, 0, 2).detach(), slice(x[2], 0, 2).detach(), 0);  // one key has all of the weight
  for (const auto& g : grad(sum(square(y)), x))
    for (const double e : g.value()) CHECK(std::isfinite(e));
  const auto f = [&](const std::vector<Tensor<double>>& in) {
    return attention(in[0], in[1], in[2], {.mask = mask});
  };
  const auto report = check_gradients(f, x, {.order = 2});
  CHECK_MESSAGE(report.passed, report);
  // A bias of −∞ masks as well.
  const auto hidden = where(mask, 0, -infinity);
  CHECK(same_bits(y.detach(), attention(x[0], x[1], x[2], {.bias = hidden}).detach()));
}

TEST_CASE("a mask of padding is one key less") {
  random::seed(4);
  const auto x = leaves<double>({{2, 2, 3, 4}, {2, 2, 5, 4}, {2, 2, 5, 4}});
  const Tensor<double> mask = reshape(Tensor<double>{{1, 1, 1, 0, 0}, {1, 1, 1, 1, 1}}, {2, 1, 1, 5});
  const auto y = attention(x[0], x[1], x[2], {.mask = mask});
  const auto cut = [](const auto& t) { return slice(t, 0, xt::all(), xt::range(0, 3)); };
  check_close(slice(y, 0).detach(), attention(slice(x[0], 0), cut(x[1]), cut(x[2])).detach(), 1e-15, 1e-16);
  check_close(slice(y, 1).detach(), attention(slice(x[0], 1), slice(x[1], 1), slice(x[2], 1)).detach(), 1e-15,
              1e-16);
}

TEST_CASE("dropout: its share, its mean, and its gradients to second order") {
  random::seed(5);
  const std::size_t n = 400;
  // With queries of 0 the weights are equal, and with values of 1 the result is the share that is left.
  const auto zero = zeros<double>({1, n, 2}), one = ones<double>({1, n, 1});
  const auto y = attention(zero, zero, one, {.dropout = 0.25});
  CHECK(mean(y).item() == doctest::Approx(1).epsilon(0.01));
  const double spread = xtape::std(y).item();  // of a mean of n independent factors 0 or 4/3
  CHECK(spread == doctest::Approx(std::sqrt(0.25 / 0.75 / static_cast<double>(n))).epsilon(0.15));
  CHECK_FALSE(same_bits(y, attention(zero, zero, one, {.dropout = 0.25})));

  const auto x = leaves<double>({{2, 4, 3}, {2, 5, 3}, {2, 5, 2}});
  const auto same_places = [](const std::vector<Tensor<double>>& in) {
    random::seed(6);
    return attention(in[0], in[1], in[2], {.dropout = 0.4});
  };
  CHECK(check_gradients(same_places, x, {.order = 2}).passed);
  const auto tangent = jvp(
      [&](const Tensor<double>& q) {
        return same_places({q, x[1], x[2]});
      },
      x[0].detach(), ones<double>({2, 4, 3}));
  const double h = 1e-5;
  const auto up = same_places({x[0].detach() + h, x[1], x[2]}),
             down = same_places({x[0].detach() - h, x[1], x[2]});
  check_close(tangent.second.detach(), ((up - down) / (2 * h)).detach(), 1e-7, 1e-9);
}

TEST_CASE("dropout is drawn anew by what is compiled, and again by a checkpoint") {
  random::seed(7);
  const auto x = leaves<float>({{2, 6, 4}, {2, 6, 4}, {2, 6, 4}});
  const auto f = [](const Tensor<float>& q, const Tensor<float>& k, const Tensor<float>& v) {
    return attention(q, k, v, {.causal = true, .dropout = 0.5, .heads = 2});
  };
  const auto compiled = compile(f);
  for (int call = 0; call < 3; ++call) {
    random::seed(8 + static_cast<std::uint64_t>(call));
    const auto expected = f(x[0], x[1], x[2]);
    random::seed(8 + static_cast<std::uint64_t>(call));
    const auto got = compiled(x[0], x[1], x[2]);
    CHECK(same_bits(expected.detach(), got.detach()));
    const auto g = grad(sum(expected), x), h = grad(sum(got), x);
    for (std::size_t i = 0; i < 3; ++i) CHECK(same_bits(g[i], h[i]));
  }
  random::seed(9);
  const auto direct = grad(sum(square(f(x[0], x[1], x[2]))), x);
  random::seed(9);
  const auto again = grad(sum(square(checkpoint(f, x[0], x[1], x[2]))), x);
  for (std::size_t i = 0; i < 3; ++i) check_close(direct[i], again[i], 1e-5, 1e-6);
}

TEST_CASE("the same bits for any number of threads") {
  random::seed(10);
  const auto x = leaves<float>({{2, 3, 200, 16}, {2, 3, 200, 16}, {2, 3, 200, 16}});
  const int before = num_threads();
  std::vector<Tensor<float>> first;
  for (const int threads : {1, 2, 3}) {
    set_num_threads(threads);
    const auto y = attention(x[0], x[1], x[2], {.causal = true});
    auto all = grad(sum(square(y)), x);
    all.push_back(y.detach());
    if (first.empty()) first = all;
    for (std::size_t i = 0; i < all.size(); ++i) CHECK(same_bits(all[i], first[i]));
  }
  set_num_threads(before);
}

TEST_CASE("memory is linear in the length, forward, backward and in forward mode") {
  const auto peak = [](std::size_t n) {
    random::seed(11);
    const auto x = leaves<float>({{1, n, 16}, {1, n, 16}, {1, n, 16}});
    reset_peak_memory();
    const std::ptrdiff_t before = memory_use().live;
    grad(sum(attention(x[0], x[1], x[2], {.causal = true})), x);
    jvp([&](const Tensor<float>& q) { return attention(q, x[1], x[2]); }, x[0].detach(),
        ones<float>({1, n, 16}));
    return static_cast<std::size_t>(memory_use().peak - before);
  };
  const std::size_t rows = 4096 * 16 * sizeof(float), used = peak(4096);
  CHECK(used < 32 * rows);  // all scores would be 256 times as much
  CHECK(used < 5 * peak(1024));
}

TEST_CASE("rotary positions turn, keep lengths, and leave to products the distance alone") {
  random::seed(12);
  const auto q = random::normal<double>({1, 8}), k = random::normal<double>({1, 8});
  const auto product_at = [&](std::size_t i, std::size_t j) {
    return sum(rotary_embedding(q, {.first = i}) * rotary_embedding(k, {.first = j})).item();
  };
  CHECK(product_at(3, 1) == doctest::Approx(product_at(1002, 1000)).epsilon(1e-10));
  CHECK(product_at(3, 1) != doctest::Approx(product_at(3, 2)).epsilon(1e-3));
  const auto x = random::normal<double>({2, 6, 8});
  const auto y = rotary_embedding(x);
  check_close(sum(square(y), -1), sum(square(x), -1), 1e-14);
  check_close(slice(y, xt::all(), xt::range(2, 6)),
              rotary_embedding(slice(x, xt::all(), xt::range(2, 6)), {.first = 2}), 1e-15);
  // Row 1 turns its first pair, features 0 and 4, by 1, and its second by 1 / 10.
  const auto one = rotary_embedding(Tensor<double>{{0, 0, 0, 0, 0, 0, 0, 0}, {1, 2, 0, 0, 0, 0, 0, 0}});
  CHECK(one.value()(1, 0) == doctest::Approx(std::cos(1.0)));
  CHECK(one.value()(1, 4) == doctest::Approx(std::sin(1.0)));
  CHECK(one.value()(1, 1) == doctest::Approx(2 * std::cos(0.1)));
  CHECK(one.value()(1, 5) == doctest::Approx(2 * std::sin(0.1)));
  const auto heads = rotary_embedding(reshape(x, {2, 6, 8}), {.heads = 2});
  const auto second = slice(heads, xt::all(), xt::all(), xt::range(4, 8));
  check_close(second, rotary_embedding(slice(x, xt::all(), xt::all(), xt::range(4, 8))), 1e-15);
}

TEST_CASE("errors of attention and rotary_embedding name the shapes") {
  const auto t = [](const Shape& shape) { return zeros<double>(shape); };
  check_error([&] { attention(t({3}), t({2, 3}), t({2, 3})); }, {"(3,)", "an axis of positions"});
  check_error([&] { attention(t({2, 3}), t({2, 4}), t({2, 3})); }, {"features 3 of q and 4 of k differ"});
  check_error([&] { attention(t({2, 3}), t({4, 3}), t({5, 3})); }, {"4 keys and 5 values"});
  check_error([&] { attention(t({2, 3}), t({0, 3}), t({0, 3})); }, {"there are no keys"});
  check_error(
      [&] {
        attention(t({2, 2, 3}), t({3, 2, 3}), t({2, 3}));
      },
      {"(2,)", "(3,)", "do not broadcast"});
  check_error(
      [&] {
        attention(t({2, 3}), t({4, 3}), t({4, 3}), {.heads = 2});
      },
      {"do not divide into 2 heads"});
  check_error(
      [&] {
        attention(t({4, 3}), t({2, 3}), t({2, 3}), {.causal = true});
      },
      {"more of them than keys"});
  check_error(
      [&] {
        attention(t({2, 3}), t({4, 3}), t({4, 3}), {.mask = t({2, 3})});
      },
      {"mask of shape (2, 3)", "(2, 4)"});
  check_error(
      [&] {
        attention(t({2, 3}), t({4, 3}), t({4, 3}), {.bias = t({3, 2, 4})});
      },
      {"bias of shape (3, 2, 4)"});
  check_error(
      [&] {
        attention(t({2, 3}), t({4, 3}), t({4, 3}), {.mask = full<double>({2, 4}, -infinity)});
      },
      {"the mask holds -inf", "bias"});
  check_error(
      [&] {
        attention(t({2, 3}), t({4, 3}), t({4, 3}), {.dropout = 1});
      },
      {"dropout 1 is not in [0, 1)"});
  check_error([&] { rotary_embedding(t({2, 3})); }, {"(2, 3)", "even number"});
  check_error([&] { rotary_embedding(t({2, 6}), {.heads = 2}); }, {"2 times"});
  check_error([&] { rotary_embedding(t({2, 4}), {.base = 0}); }, {"base 0"});
}
