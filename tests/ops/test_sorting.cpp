// Sorting, positions, cumulative products and extremes, masks: values, ties, NaN, errors.
#include <algorithm>
#include <numeric>

#include "../check_close.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

void check_equal(const Indices& a, const Indices& b) {
  CHECK(a.shape() == b.shape());
  CHECK(std::ranges::equal(a.values(), b.values()));
}

}  // namespace

TEST_CASE("sort and argsort are stable, with NaN last, or first in descending order") {
  const Tensor<double> x{{3.0, 1.0, not_a_number, 1.0, 2.0}, {5.0, 5.0, -infinity, infinity, 0.0}};
  check_equal(argsort(x), {{1, 3, 4, 0, 2}, {2, 4, 0, 1, 3}});
  check_equal(argsort(x, 1, true), {{2, 0, 4, 1, 3}, {3, 0, 1, 4, 2}});
  check_equal(argsort(x, 0), {{0, 0, 1, 0, 1}, {1, 1, 0, 1, 0}});
  check_close(sort(x), {{1.0, 1.0, 2.0, 3.0, not_a_number}, {-infinity, 0.0, 5.0, 5.0, infinity}}, 0);
  check_close(sort(x, -1, true), {{not_a_number, 3.0, 2.0, 1.0, 1.0}, {infinity, 5.0, 5.0, 0.0, -infinity}},
              0);
  check_close(sort(x, 0), {{3.0, 1.0, -infinity, 1.0, 0.0}, {5.0, 5.0, not_a_number, infinity, 2.0}}, 0);
  check_equal(argsort(zeros<float>({2, 0})), Indices(xt::xarray<int>::from_shape({2, 0})));
}

TEST_CASE("the adjoint of a sorted element goes to where it was") {
  const auto x = parameter<double>({3.0, 1.0, 2.0});
  check_close(grad(sum(sort(x) * Tensor<double>{1.0, 10.0, 100.0}), x), {100.0, 1.0, 10.0}, 0);
  check_close(grad(sum(sort(x, 0, true) * Tensor<double>{1.0, 10.0, 100.0}), x), {1.0, 100.0, 10.0}, 0);
  check_close(grad(sum(square(topk(x, 2).values)), x), {6.0, 0.0, 4.0}, 0);
  check_close(hessian(
                  [](const auto& a) {
                    return sum(square(sort(a)) * Tensor<double>{1.0, 2.0, 3.0});
                  },
                  x),
              {{6.0, 0.0, 0.0}, {0.0, 2.0, 0.0}, {0.0, 0.0, 4.0}}, 0);
}

TEST_CASE("topk: the largest or smallest in order, of equal ones the first") {
  const Tensor<double> x{{3.0, 1.0, not_a_number, 1.0, 2.0}, {5.0, 4.0, 5.0, -1.0, 0.0}};
  const auto [values, indices] = topk(x, 3);
  check_close(values, {{not_a_number, 3.0, 2.0}, {5.0, 5.0, 4.0}}, 0);
  check_equal(indices, {{2, 0, 4}, {0, 2, 1}});
  const auto smallest = topk(x, 2, 1, false);
  check_close(smallest.values, {{1.0, 1.0}, {-1.0, 0.0}}, 0);
  check_equal(smallest.indices, {{1, 3}, {3, 4}});
  check_close(topk(x, 1, 0).values, {{5.0, 4.0, not_a_number, 1.0, 2.0}}, 0);
  CHECK(topk(x, 0).values.shape() == Shape{2, 0});
  CHECK_THROWS_WITH_AS(topk(x, 6), "[topk] axis 1 of shape (2, 5) has no 6 elements", Error);
  CHECK_THROWS_AS(topk(x, 1, 2), Error);
}

TEST_CASE("argmax and argmin: the first of equal elements, and of NaN") {
  const Tensor<double> x{{1.0, 5.0, 5.0}, {0.0, not_a_number, 7.0}, {-2.0, -2.0, 3.0}};
  check_equal(argmax(x, 1), {1, 1, 2});
  check_equal(argmin(x, 1), {0, 1, 0});
  check_equal(argmax(x, 0), {0, 1, 1});
  check_equal(argmin(x, 0, true), {{2, 1, 2}});
  check_equal(argmax(x), 4);
  check_equal(argmin(slice(x, 2)), 0);
  check_equal(argmax(slice(x.astype<float>(), 0)), 1);
  CHECK(argmax(zeros<double>({0, 3}), 1).shape() == Shape{0});
  CHECK_THROWS_WITH_AS(argmax(zeros<double>({0, 3}), 0),
                       "[argmax] axis 0 of shape (0, 3) has no element to choose", Error);
  CHECK_THROWS_WITH_AS(argmin(zeros<double>({0})), "[argmin] axis 0 of shape (0,) has no element to choose",
                       Error);
  CHECK_THROWS_AS(argmax(x, 2), Error);
  CHECK_THROWS_AS(sort(Tensor<double>(1.0)), Error);
}

TEST_CASE("cummax and cummin: the adjoint goes to the last of equal elements, as in PyTorch") {
  const auto x = parameter<double>({1.0, 3.0, 2.0, 3.0, 5.0, 4.0});
  check_close(cummax(x, 0), {1.0, 3.0, 3.0, 3.0, 5.0, 5.0}, 0);
  check_close(grad(sum(cummax(x, 0)), x), {1.0, 2.0, 0.0, 1.0, 2.0, 0.0}, 0);
  check_close(cummin(-x, 0), {-1.0, -3.0, -3.0, -3.0, -5.0, -5.0}, 0);
  check_close(grad(sum(cummin(-x, 0)), x), {-1.0, -2.0, 0.0, -1.0, -2.0, 0.0}, 0);
  const auto gap = parameter<double>({1.0, not_a_number, 2.0, not_a_number});
  check_close(cummax(gap, 0), {1.0, not_a_number, not_a_number, not_a_number}, 0);
  check_close(grad(sum(cummin(gap, 0)), gap), {1.0, 2.0, 0.0, 1.0}, 0);
}

TEST_CASE("many lines are sorted, on as many threads as there are") {
  random::seed(5);
  for (const Shape& shape : {Shape{300, 401}, Shape{401, 300}, Shape{120'000}}) {
    const Tensor<float> x = random::normal<float>(shape);
    const Tensor<float> y = sort(x, 0);
    const std::size_t n = shape[0], inner = x.size() / n;
    bool ordered = true;
    for (std::size_t i = inner; i < x.size(); ++i) ordered &= y.data()[i - inner] <= y.data()[i];
    CHECK(ordered);
    check_close(sum(y, 0), sum(x, 0), 1e-3, 1e-3);
    check_close(slice(y, -1), max(x, 0), 0);
  }
}

TEST_CASE("the memory of a search is bounded by its array, however few lines that has") {
  const Tensor<double> x = random::uniform<double>({std::size_t{1} << 20});
  const auto bytes = static_cast<std::ptrdiff_t>(x.size() * sizeof(double));
  const auto peak = [](const auto& f) {
    reset_peak_memory();
    const std::ptrdiff_t before = memory_use().live;
    f();
    return memory_use().peak - before;
  };
  for (const Shape& shape : {Shape{x.size()}, Shape{x.size() / 2, 2}}) {
    const Tensor<double> lines = reshape(x, Dims(shape));
    CHECK(peak([&] { sort(lines, 0); }) < 4 * bytes);  // the result, its positions and as many to sort
    CHECK(peak([&] { cummax(lines, 0); }) < 3 * bytes);
    CHECK(peak([&] { argmax(lines, 0); }) < bytes);
  }
}

TEST_CASE("positions are found again at each call of a compiled function, and for each sample of a batch") {
  const auto order = compile([](const Tensor<double>& a) { return sum(sort(a) * arange<double>(3)); });
  const auto x = parameter<double>({3.0, 1.0, 2.0}), y = parameter<double>({1.0, 5.0, -1.0});
  check_close(order(x), Tensor<double>(8.0), 0);
  check_close(order(y), Tensor<double>(11.0), 0);
  check_close(grad(order(x), x), {2.0, 0.0, 1.0}, 0);
  check_close(grad(order(y), y), {1.0, 2.0, 0.0}, 0);
  const Tensor<double> rows{{3.0, 1.0, 2.0}, {0.0, 5.0, 4.0}};
  check_close(vmap([](const Tensor<double>& row) { return take(row, argmax(row)); })(rows), {3.0, 5.0}, 0);
  check_close(vmap([](const Tensor<double>& row) { return one_hot<double>(argmin(row), 3); })(rows),
              {{0.0, 1.0, 0.0}, {1.0, 0.0, 0.0}}, 0);
}

TEST_CASE("cumprod: zeros, to second order") {
  const auto x = parameter<double>({2.0, 0.0, 3.0, 0.0, 5.0});
  check_close(cumprod(x), {2.0, 0.0, 0.0, 0.0, 0.0}, 0);
  check_close(grad(sum(cumprod(x)), x), {1.0, 8.0, 0.0, 0.0, 0.0}, 0);
  // y = a, ab, abc: ∂²Σ/∂a∂b = 1 + c, ∂²/∂a∂c = b, ∂²/∂b∂c = a
  check_close(hessian([](const auto& a) { return sum(cumprod(a)); }, Tensor<double>{2.0, 0.0, 3.0}),
              {{0.0, 4.0, 0.0}, {4.0, 0.0, 2.0}, {0.0, 2.0, 0.0}}, 0);
  const auto third = [](const auto& a) {
    const auto h = hessian([](const auto& b) { return sum(cumprod(b)); }, a, {.create_graph = true});
    return slice(h, 0, 1);
  };
  check_close(grad(third(x), x), {0.0, 0.0, 1.0, 18.0, 0.0}, 0);  // 1 + c + cd + cde
  // What leaves the range on the way does not spoil what comes after it.
  check_close(cumprod(Tensor<float>{1e30f, 1e30f, 1e-30f}),
              {1e30f, std::numeric_limits<float>::infinity(), 1e30f}, 1e-6);
  CHECK_THROWS_AS(cumprod(x, 1), Error);
}

TEST_CASE("any and all, also of nothing") {
  const Tensor<double> x{{0.0, not_a_number}, {0.0, 0.0}};
  check_close(any(x, 1), {1.0, 0.0}, 0);
  check_close(all(x, 0, true), {{0.0, 0.0}}, 0);
  check_close(any(x), Tensor<double>(1.0), 0);
  check_close(any(zeros<double>({0, 2}), 0), {0.0, 0.0}, 0);
  check_close(all(zeros<double>({0, 2}), 0), {1.0, 1.0}, 0);
  CHECK_FALSE(all(parameter(x)).requires_grad());
  CHECK_THROWS_AS(any(x, 2), Error);
}

TEST_CASE("masks: what is not 0 holds, NaN among it; their results are constants") {
  const auto x = parameter<double>({0.0, -0.0, 2.0, not_a_number, -infinity});
  check_close(isnan(x), {0.0, 0.0, 0.0, 1.0, 0.0}, 0);
  check_close(isfinite(x), {1.0, 1.0, 1.0, 0.0, 0.0}, 0);
  check_close(!x, {1.0, 1.0, 0.0, 0.0, 0.0}, 0);
  check_close(x && Tensor<double>{1.0, 1.0, 0.0, 1.0, 3.0}, {0.0, 0.0, 0.0, 1.0, 1.0}, 0);
  check_close(x || xt::xarray<bool>{true, false, false, false, true}, {1.0, 0.0, 1.0, 1.0, 1.0}, 0);
  check_close(x > -1 && x < 1 && !isnan(x), {1.0, 1.0, 0.0, 0.0, 0.0}, 0);
  for (const Tensor<double>& mask : {isnan(x), isfinite(x), !x, x && x, x || 0, logical_not(x)})
    CHECK_FALSE(mask.requires_grad());
  const Tensor<double> filled = masked_fill(x, !isfinite(x), -1);
  check_close(filled, {0.0, -0.0, 2.0, -1.0, -1.0}, 0);
  check_close(grad(sum(filled), x), {1.0, 1.0, 1.0, 0.0, 0.0}, 0);
  check_close(map([](auto a) { return where(isnan(a) || !isfinite(a), 0, clip(a, 0, 1)); }, x),
              {0.0, 0.0, 1.0, 0.0, 0.0}, 0);
}

TEST_CASE("one_hot and the indices of triangles") {
  check_close(one_hot<float>({{2, 0}, {1, 1}}, 3),
              {{{0.0, 0.0, 1.0}, {1.0, 0.0, 0.0}}, {{0.0, 1.0, 0.0}, {0.0, 1.0, 0.0}}}, 0);
  check_close(one_hot<double>(1, 2), {0.0, 1.0}, 0);
  CHECK_THROWS_WITH_AS(one_hot<double>({0, 3}, 3),
                       "[one_hot] label 3 at 1 is not one of the 3 classes from 0", Error);
  CHECK_THROWS_AS(one_hot<double>({-1}, 3), Error);
  const auto [rows, columns] = tril_indices(3, -1);
  check_equal(rows, {1, 2, 2});
  check_equal(columns, {0, 0, 1});
  const MatrixIndices upper = triu_indices(2, 1, 4);
  check_equal(upper.rows, {0, 0, 0, 1, 1});
  check_equal(upper.columns, {1, 2, 3, 2, 3});
  CHECK(triu_indices(2, 5).rows.empty());
}
