// A file that uses the namespaces of xtensor and of this library: a name that exists in both means, for
// tensors, ours.
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#include <xtensor/xbuilder.hpp>
#include <xtensor/xcomplex.hpp>
#include <xtensor/xeval.hpp>
#include <xtensor/xindex_view.hpp>
#include <xtensor/xio.hpp>
#include <xtensor/xmanipulation.hpp>
#include <xtensor/xmasked_view.hpp>
#include <xtensor/xmath.hpp>
#include <xtensor/xnorm.hpp>
#include <xtensor/xpad.hpp>
#include <xtensor/xrandom.hpp>
#include <xtensor/xrepeat.hpp>
#include <xtensor/xset_operation.hpp>
#include <xtensor/xsort.hpp>
#include <xtensor/xstrided_view.hpp>
#include <xtensor/xtensor.hpp>
#include <xtensor/xvectorize.hpp>
#include <xtensor/xview.hpp>

#include "../check_close.hpp"

using namespace xt;
using namespace xtape;
using namespace xtape::test;

namespace {

using X = Tensor<double>;
using Parts = std::vector<X>;

/// The same call with an lvalue, a constant and a temporary, which templates of `E&&` would each take.
template <class Result = X, class F>
void each(F call) {
  X x{{0.25, 0.5}, {0.75, 0.125}};
  const X constant = x;
  static_assert(std::is_same_v<decltype(call(x)), Result>);
  static_assert(std::is_same_v<decltype(call(constant)), Result>);
  static_assert(std::is_same_v<decltype(call(X(x))), Result>);
  call(x), call(constant), call(X(x));
}

/// The same for pairs, mixed with numbers and xtensor's expressions.
template <class F>
void each_pair(F call) {
  const X constant{{0.5, 0.25}, {0.5, 0.5}};
  const xt::xarray<double> array{{0.5, 0.25}, {0.5, 0.5}};
  each([&](auto&& x) { return call(std::forward<decltype(x)>(x), constant); });
  each([&](auto&& x) { return call(constant, std::forward<decltype(x)>(x)); });
  each([&](auto&& x) { return call(std::forward<decltype(x)>(x), X(constant)); });
  each([&](auto&& x) { return call(std::forward<decltype(x)>(x), array); });
  each([&](auto&& x) { return call(array + 0, std::forward<decltype(x)>(x)); });
  each([&](auto&& x) { return call(std::forward<decltype(x)>(x), 2); });
  each([&](auto&& x) { return call(2.0, std::forward<decltype(x)>(x)); });
}

#define FORWARDED std::forward<decltype(x)>(x)
#define EACH(...) each([&](auto&& x) { return __VA_ARGS__; })
#define EACH_PAIR(...) each_pair([](auto&& a, auto&& b) { return __VA_ARGS__; })
#define A_AND_B std::forward<decltype(a)>(a), std::forward<decltype(b)>(b)
#define REDUCED(f)                                         \
  EACH(f(FORWARDED));                                      \
  EACH(f(FORWARDED, 0));                                   \
  EACH(f(FORWARDED, -1, true));                            \
  EACH(f(FORWARDED, {0, 1}));                              \
  EACH(f(FORWARDED, {1}, true));                           \
  EACH(f(FORWARDED, std::vector<int>{1}));                 \
  EACH(f(FORWARDED, std::array<std::size_t, 1>{1}, true)); \
  EACH(f(FORWARDED, Axes{0, 1}));                          \
  EACH(f(FORWARDED, axes));                                \
  EACH(f(FORWARDED, constant_axes, keepdims))

}  // namespace

TEST_CASE("elementwise functions of both namespaces") {
  EACH(exp(FORWARDED));
  EACH(expm1(FORWARDED));
  EACH(log(FORWARDED));
  EACH(log1p(FORWARDED));
  EACH(log2(FORWARDED));
  EACH(log10(FORWARDED));
  EACH(square(FORWARDED));
  EACH(sqrt(FORWARDED));
  EACH(cbrt(FORWARDED));
  EACH(reciprocal(FORWARDED));
  EACH(abs(FORWARDED));
  EACH(sign(FORWARDED));
  EACH(sin(FORWARDED));
  EACH(cos(FORWARDED));
  EACH(tan(FORWARDED));
  EACH(asin(FORWARDED));
  EACH(acos(FORWARDED));
  EACH(atan(FORWARDED));
  EACH(sinh(FORWARDED));
  EACH(cosh(FORWARDED));
  EACH(tanh(FORWARDED));
  EACH(erf(FORWARDED));
  EACH(erfc(FORWARDED));
  EACH(erfinv(FORWARDED));
  EACH(lgamma(FORWARDED));
  EACH(digamma(FORWARDED));
  EACH(polygamma(1, FORWARDED));
  EACH(asinh(FORWARDED));
  EACH(acosh(FORWARDED));
  EACH(atanh(FORWARDED));
  EACH(floor(FORWARDED));
  EACH(ceil(FORWARDED));
  EACH(round(FORWARDED));
  EACH(isnan(FORWARDED));
  EACH(isfinite(FORWARDED));
  EACH(!FORWARDED);
  EACH(logical_not(FORWARDED));
  EACH(masked_fill(FORWARDED, x > 0.3, 1));
  EACH(clip(FORWARDED, 0, 0.5));
  EACH(clip(FORWARDED, 0.1, 0.5));
  EACH_PAIR(fmod(A_AND_B));
  EACH_PAIR(logical_and(A_AND_B));
  EACH_PAIR(logical_or(A_AND_B));
  EACH_PAIR(std::forward<decltype(a)>(a) && std::forward<decltype(b)>(b));
  EACH_PAIR(std::forward<decltype(a)>(a) || std::forward<decltype(b)>(b));
  EACH(sigmoid(FORWARDED));
  EACH(relu(FORWARDED));
  EACH(clamp(FORWARDED, 0.1, 0.2));
  EACH(-FORWARDED);
  EACH_PAIR(pow(A_AND_B));
  EACH_PAIR(atan2(A_AND_B));
  EACH_PAIR(hypot(A_AND_B));
  EACH_PAIR(maximum(A_AND_B));
  EACH_PAIR(minimum(A_AND_B));
  EACH_PAIR(equal(A_AND_B));
  EACH_PAIR(
      where(std::forward<decltype(a)>(a) > 0.3, std::forward<decltype(a)>(a), std::forward<decltype(b)>(b)));
  EACH_PAIR(std::forward<decltype(a)>(a) + std::forward<decltype(b)>(b));
  EACH_PAIR(std::forward<decltype(a)>(a) - std::forward<decltype(b)>(b));
  EACH_PAIR(std::forward<decltype(a)>(a) * std::forward<decltype(b)>(b));
  EACH_PAIR(std::forward<decltype(a)>(a) / std::forward<decltype(b)>(b));
  EACH_PAIR(std::forward<decltype(a)>(a) < std::forward<decltype(b)>(b));
  EACH_PAIR(std::forward<decltype(a)>(a) >= std::forward<decltype(b)>(b));
}

TEST_CASE("reductions of both namespaces") {
  Axes axes{0};
  const Axes constant_axes{-1};
  bool keepdims = true;
  REDUCED(sum);
  REDUCED(mean);
  REDUCED(prod);
  REDUCED(max);
  REDUCED(min);
  REDUCED(var);
  REDUCED(variance);
  REDUCED(stddev);
  REDUCED(norm);
  REDUCED(logsumexp);
  REDUCED(any);
  REDUCED(all);
  EACH(cumprod(FORWARDED));
  EACH(cumprod(FORWARDED, 0));
  EACH(cummax(FORWARDED, 0));
  EACH(cummin(FORWARDED, -1));
  EACH(cumsum(FORWARDED));
  EACH(cumsum(FORWARDED, 0));
  EACH(cumsum(FORWARDED, -1));
  EACH(var(FORWARDED, 0, false, 1));
  EACH(variance(FORWARDED, 0, false, 1));
  EACH(stddev(FORWARDED, {0, 1}, true, 1));
  EACH(softmax(FORWARDED, 0));
}

TEST_CASE("functions of layout of both namespaces") {
  Axes axes{1, 0};
  Shape shape{4, 1};
  EACH(reshape(FORWARDED, {4, 1}));
  EACH(reshape(FORWARDED, {-1}));
  EACH(reshape(FORWARDED, shape));
  EACH(flatten(FORWARDED));
  EACH(flatten(FORWARDED, 1));
  EACH(flatten(FORWARDED, 0, -1));
  EACH(squeeze(FORWARDED));
  EACH(squeeze(reshape(FORWARDED, {4, 1}), 1));
  EACH(squeeze(reshape(FORWARDED, {4, 1}), std::size_t(1)));
  EACH(squeeze(reshape(FORWARDED, {1, 4, 1}), {0, 2}));
  EACH(squeeze(reshape(FORWARDED, {4, 1}), std::vector<int>{-1}));
  EACH(unsqueeze(FORWARDED, 0));
  EACH(transpose(FORWARDED));
  EACH(transpose(FORWARDED, {1, 0}));
  EACH(transpose(FORWARDED, axes));
  EACH(transpose(FORWARDED, std::vector<std::size_t>{1, 0}));
  EACH(broadcast_to(FORWARDED, {2, 2, 2}));
  EACH(concatenate({FORWARDED, X{{1.0, 2.0}}}));
  EACH(concatenate({FORWARDED, X{{1.0, 2.0}}}, 0));
  EACH(concatenate(Parts{FORWARDED}, 1));
  EACH(stack({X(x), FORWARDED}));
  EACH(stack({X(x), FORWARDED}, -1));
  EACH(stack(Parts{FORWARDED}));
  each<Parts>([](auto&& x) { return split(FORWARDED, 2); });
  each<Parts>([](auto&& x) { return split(FORWARDED, std::size_t(2)); });
  each<Parts>([](auto&& x) { return split(FORWARDED, std::size_t(2), 1); });
  each<Parts>([](auto&& x) { return split(FORWARDED, 1, -1); });
  each<Parts>([](auto&& x) { return split(FORWARDED, {1, 2}, 1); });
  each<Parts>([](auto&& x) { return split(FORWARDED, std::vector<int>{1}, 1); });
  each<Parts>([](auto&& x) { return split(FORWARDED, std::size_t(2), std::size_t(1)); });
  each<Parts>([](auto&& x) { return split(FORWARDED, {1}); });
  each<std::array<X, 2>>([](auto&& x) { return split<2>(FORWARDED); });
  each<std::array<X, 2>>([](auto&& x) { return split<2>(FORWARDED, -1); });
  each<Parts>([](auto&& x) { return unbind(FORWARDED, 1); });
  EACH(slice(FORWARDED, xt::all(), 1));
  EACH(slice(FORWARDED, range(0, 1), newaxis()));
  EACH(flip(FORWARDED));
  EACH(flip(FORWARDED, 0));
  EACH(flip(FORWARDED, std::size_t(1)));
  EACH(flip(FORWARDED, {0, 1}));
  EACH(tril(FORWARDED));
  EACH(tril(FORWARDED, 1));
  EACH(tril(FORWARDED, std::size_t(1)));
  EACH(tril(FORWARDED, std::ptrdiff_t(-1)));
  EACH(triu(FORWARDED, -1));
  EACH(diag(FORWARDED));
  EACH(diag(FORWARDED, 1));
  EACH(trace(FORWARDED));
  EACH(trace(FORWARDED, 1));
  EACH(pad(FORWARDED, 1));
  EACH(pad(FORWARDED, std::size_t(1)));
  EACH(pad(FORWARDED, {1, 2}, 0.5));
  EACH(pad(FORWARDED, {{1, 0}, {0, 2}}));
  EACH(pad(FORWARDED, {{1, 0}, {0, 2}}, 3));
  EACH(pad(FORWARDED, 1, PadMode::edge));
  EACH(repeat(FORWARDED, 2));
  EACH(repeat(FORWARDED, 2, 0));
  EACH(repeat(FORWARDED, std::size_t(2), std::size_t(1)));
  EACH(repeat(FORWARDED, std::ptrdiff_t(2), 1));
  EACH(repeat(FORWARDED, {1, 2}, 0));
  EACH(repeat(FORWARDED, std::vector<std::size_t>{1, 2}, 1));
  EACH(tile(FORWARDED, 2));
  EACH(tile(FORWARDED, std::size_t(2)));
  EACH(tile(FORWARDED, {2, 1}));
  EACH(tile(FORWARDED, std::vector<int>{2, 1}));
  EACH(roll(FORWARDED, 1));
  EACH(roll(FORWARDED, std::ptrdiff_t(1)));
  EACH(roll(FORWARDED, 1, 0));
  EACH(roll(FORWARDED, std::ptrdiff_t(1), std::ptrdiff_t(0)));
  EACH(roll(FORWARDED, {1, 1}, {0, 1}));
  EACH(expand_dims(FORWARDED, 0));
  EACH(expand_dims(FORWARDED, std::size_t(1)));
  EACH(expand_dims(FORWARDED, -1));
  EACH(swapaxes(FORWARDED, 0, 1));
  EACH(swapaxes(FORWARDED, std::ptrdiff_t(0), std::size_t(1)));
  EACH(moveaxis(FORWARDED, 0, 1));
  EACH(moveaxis(FORWARDED, std::size_t(0), std::ptrdiff_t(-1)));
  EACH(moveaxis(FORWARDED, {0, 1}, {1, 0}));
  EACH(vstack({FORWARDED, X{{1.0, 2.0}}}));
  EACH(hstack(Parts{FORWARDED}));
  each<Parts>([](auto&& x) { return meshgrid({slice(FORWARDED, 0), slice(x, 1)}); });
  EACH(sort(FORWARDED));
  EACH(sort(FORWARDED, 0));
  EACH(sort(FORWARDED, -1, true));
  EACH(topk(FORWARDED, 1).values);
  each<Indices>([](auto&& x) { return argsort(FORWARDED); });
  each<Indices>([](auto&& x) { return argsort(FORWARDED, std::ptrdiff_t(0)); });
  each<Indices>([](auto&& x) { return argmax(FORWARDED); });
  each<Indices>([](auto&& x) { return argmax(FORWARDED, 0); });
  each<Indices>([](auto&& x) { return argmin(FORWARDED, std::ptrdiff_t(-1), true); });
  EACH(take(FORWARDED, {0, 1}, 0));
  EACH(gather(FORWARDED, {{0, 1}}, 0));
  EACH(matmul(FORWARDED, FORWARDED));
  EACH(dot(FORWARDED, FORWARDED));
  EACH(outer(FORWARDED, FORWARDED));
  EACH(map([](auto u) { return exp(u) + sqrt(u) + maximum(u, 1.0); }, FORWARDED));
}
