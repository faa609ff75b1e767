// The boundary to xtensor: any expression goes in, values and gradients come out without a copy.
#include <xtensor/xfixed.hpp>
#include <xtensor/xindex_view.hpp>
#include <xtensor/xio.hpp>
#include <xtensor/xmath.hpp>
#include <xtensor/xrandom.hpp>
#include <xtensor/xsort.hpp>
#include <xtensor/xtensor.hpp>
#include <xtensor/xview.hpp>

#include "../check_close.hpp"

using namespace xtape;
using namespace xtape::test;

TEST_CASE("tensors are built from containers, views, lazy expressions and other element types") {
  const xt::xarray<double> a{{1.0, 2.0, 3.0}, {4.0, 5.0, 6.0}};
  const xt::xtensor<float, 2> f = xt::cast<float>(a);
  const xt::xarray<int, xt::layout_type::column_major> columns{{1, 2, 3}, {4, 5, 6}};
  const Tensor<double> expected{{1.0, 2.0, 3.0}, {4.0, 5.0, 6.0}};
  check_close(Tensor<double>(a), expected, 0);
  check_close(Tensor<double>(f), expected, 0);
  check_close(Tensor<double>(columns), expected, 0);
  check_close(Tensor<double>(xt::exp(a) + 1), Tensor<double>(xt::xarray<double>(xt::exp(a) + 1)), 0);
  check_close(Tensor<double>(xt::transpose(a)), transpose(expected), 0);
  check_close(Tensor<double>(xt::view(a, xt::all(), xt::range(2, xt::placeholders::_, -1))),
              slice(expected, xt::all(), xt::range(2, xt::placeholders::_, -1)), 0);
  check_close(Tensor<double>(xt::sum(a, {0})), {5.0, 7.0, 9.0}, 0);
  check_close(Tensor<double>(xt::strided_view(a, {xt::ellipsis(), 1})), {2.0, 5.0}, 0);
  check_close(Tensor<double>(xt::xtensor_fixed<double, xt::xshape<2>>{1.0, 2.0}), {1.0, 2.0}, 0);
  check_close(Tensor<double>(a > 2.5), Tensor<double>{{0.0, 0.0, 1.0}, {1.0, 1.0, 1.0}}, 0);
  check_close(Tensor<double>(std::vector<float>{1, 2}), {1.0, 2.0}, 0);
  CHECK(Tensor<double>(xt::xarray<double>(3.0)).rank() == 0);
  CHECK(Tensor<double>(xt::xarray<double>(std::vector<std::size_t>{2, 0, 3})).shape() == Shape{2, 0, 3});
}

TEST_CASE("braces of any depth, also with one element") {
  CHECK(Tensor<double>(2.5).rank() == 0);
  CHECK(Tensor<double>{2.5}.shape() == Shape{1});
  CHECK(Tensor<double>{{1.0}, {2.0}}.shape() == Shape{2, 1});
  CHECK(Tensor<double>{{{1, 2}, {3, 4}, {5, 6}}}.shape() == Shape{1, 3, 2});
  CHECK(Tensor<double>{{}, {}}.shape() == Shape{2, 0});
  const auto w = parameter<float>({{1, 2}, {3, 4}});
  CHECK(w.value()(1, 0) == 3.0f);
}

TEST_CASE("the value is an adaptor on the same memory, and keeps it alive") {
  const Tensor<double> x{{1.0, 2.0}, {3.0, 4.0}};
  CHECK(x.value().data() == x.data());
  CHECK(x.value().data() == x.detach().value().data());
  const auto orphan = exp(x).value();  // the tensor is gone
  CHECK(orphan(1, 1) == doctest::Approx(std::exp(4.0)));
  CHECK(orphan.dimension() == 2);
  CHECK(orphan.shape() == x.value().shape());
  CHECK(xt::sum(x.value())() == 10);
  CHECK(xt::amax(x.value(), {1})(0) == 2);
  CHECK(xt::allclose(xt::view(x.value(), 1), xt::xarray<double>{3.0, 4.0}));
  const xt::xarray<double> copy = x.value() * 2;
  CHECK(copy(1, 0) == 6);
  double total = 0;
  for (double v : x.value()) total += v;
  CHECK(total == 10);

  const auto w = parameter(x);
  sum(w * w).backward();
  CHECK(w.grad().value().data() == w.grad().data());
  CHECK(w.grad().value()(0, 1) == 4);
}

TEST_CASE("xtensor expressions mix into operations on either side") {
  const xt::xarray<double> a{1.0, 2.0};
  const auto x = parameter<double>({3.0, 4.0});
  check_close(x + a, {4.0, 6.0}, 0);
  check_close(a - x, {-2.0, -2.0}, 0);
  check_close((a + 1) * x, {6.0, 12.0}, 0);
  check_close(x / a, {3.0, 2.0}, 0);
  check_close(maximum(a * 3, x), {3.0, 6.0}, 0);
  check_close(pow(x, a), {3.0, 16.0}, 1e-15);
  check_close(where(a > 1.5, x, 0), {0.0, 4.0}, 0);
  const xt::xarray<double> A{{1.0, 2.0}, {3.0, 4.0}};
  check_close(matmul(A, x), {11.0, 25.0}, 0);
  check_close(matmul(x, A), {15.0, 22.0}, 0);
  check_close(dot(x, a * 2), Tensor<double>(22.0), 0);
  check_close(outer(a, x), Tensor<double>{{3.0, 4.0}, {6.0, 8.0}}, 0);
  check_close(linear(x, A), {11.0, 25.0}, 0);
  check_close(linear(x, A, a), {12.0, 27.0}, 0);
  check_close(take(x, {{0, 1}, {1, 0}}, 0), Tensor<double>{{3.0, 4.0}, {4.0, 3.0}}, 0);
  CHECK(split(x, std::vector<int>{1})[1].item() == 4);
  CHECK(split(x, {1}).size() == 2);
  sum(a * x).backward();
  check_close(x.grad(), {1.0, 2.0}, 0);
}

TEST_CASE("split into a known number, unbind, and flatten of some axes") {
  const auto x = parameter(reshape(arange<double>(24), {2, 3, 4}));
  const auto [low, high] = split<2>(x, -1);
  check_close(low, slice(x, xt::ellipsis(), xt::range(0, 2)), 0);
  check_close(high, slice(x, xt::ellipsis(), xt::range(2, 4)), 0);
  CHECK(split<2>(x)[1].shape() == Shape{1, 3, 4});
  check_close(grad(sum(high * high), x),
              reshape(where(fmod(arange<double>(24), 4) < 2, 0.0, 2 * arange<double>(24)), {2, 3, 4}), 0);

  for (const std::ptrdiff_t axis : {0, 1, 2, -1, -2}) {
    const auto parts = unbind(x, axis);
    CHECK(parts.size() == x.shape(axis));
    check_close(stack(parts, axis), x, 0);
    check_close(grad(sum(parts[1]), x), grad(sum(take(x, 1, axis)), x), 0);
  }
  CHECK(unbind(zeros<float>({0, 3})).empty());

  CHECK(flatten(x, 1).shape() == Shape{2, 12});
  CHECK(flatten(x, 0, 1).shape() == Shape{6, 4});
  CHECK(flatten(x, 0, -2).shape() == Shape{6, 4});
  CHECK(flatten(x, -1).shape() == x.shape());
  CHECK(flatten(x, 0).shape() == flatten(x).shape());
  CHECK(flatten(zeros<float>({2, 0, 3}), 1).shape() == Shape{2, 0});
  CHECK(flatten(x.detach(), 1).data() == x.data());  // no copy
  check_close(grad(sum(flatten(x, 1) * flatten(x, 1)), x), 2 * x, 0);
}

TEST_CASE("numbers of any type where tensors are made") {  // warnings are errors here
  const std::size_t n = 3;
  const Tensor<float> x = zeros<float>({n, 1});
  check_close(arange<float>(x.size()), {0.0f, 1.0f, 2.0f}, 0);
  check_close(arange<double>(n, 0, -1.5), {3.0, 1.5}, 0);
  check_close(arange<float>(1, n), {1.0f, 2.0f}, 0);
  check_close(linspace<float>(0, n, 4), {0.0f, 1.0f, 2.0f, 3.0f}, 0);
  check_close(full<float>({2}, n), {3.0f, 3.0f}, 0);
  check_close(full_like(x, 0.5), Tensor<float>{{0.5f}, {0.5f}, {0.5f}}, 0);
}

TEST_CASE("a const tensor is a handle as any other: gradient and value change through it") {
  const auto w = parameter<double>({1.0, 2.0});
  const auto same = w;
  sum(w * w).backward();
  same.zero_grad();
  CHECK(!w.has_grad());
  same.set_grad(Tensor<double>{3.0, 4.0});
  check_close(w.grad(), {3.0, 4.0}, 0);
  same.assign({5.0, 6.0});
  check_close(w, {5.0, 6.0}, 0);
}

TEST_CASE("shapes are containers of integers, like xtensor's") {
  const Tensor<double> x = zeros<double>({2, 3});
  CHECK(x.shape() == Shape{2, 3});
  CHECK(x.shape() == std::vector<std::size_t>{2, 3});
  CHECK(x.shape() == std::array<int, 2>{2, 3});
  CHECK(x.shape() == x.value().shape());
  CHECK(x.shape().size() == 2);
  CHECK(x.shape()[1] == 3);
  const std::vector<std::size_t> dims = x.shape();
  CHECK(zeros<float>(dims).size() == 6);
  const int n = 4;
  const std::size_t m = 2;
  CHECK(ones<double>({n, 1}).size() == 4);
  CHECK(ones<double>({m, m}).size() == 4);
  CHECK(xt::xarray<double>(xt::zeros<double>(x.shape())).size() == 6);
  CHECK(xt::xarray<double>::from_shape(std::vector<std::size_t>(x.shape())).size() == 6);
}

TEST_CASE("an index beyond a shape is an error, and shape(i) counts negative ones from the end") {
  const Tensor<double> x = zeros<double>({2, 3}), scalar(1.0);
  CHECK(x.shape(0) == 2);
  CHECK(x.shape(1) == 3);
  CHECK(x.shape(-1) == 3);
  CHECK(x.shape(-2) == 2);
  CHECK(x.shape().back() == 3);
  CHECK_THROWS_WITH_AS(x.shape(2), doctest::Contains("[shape] axis 2 "), Error);
  CHECK_THROWS_AS(x.shape(-3), Error);
  CHECK_THROWS_AS(scalar.shape(0), Error);
  CHECK_THROWS_AS(scalar.shape(-1), Error);
  const int last = -1;
  CHECK_THROWS_WITH_AS(x.shape()[static_cast<std::size_t>(last)],
                       doctest::Contains("[shape] index -1 is out of range for (2, 3)"), Error);
  CHECK_THROWS_WITH_AS(x.shape()[2], doctest::Contains("[shape] index 2 is out of range for (2, 3)"), Error);
  CHECK_THROWS_AS(scalar.shape()[0], Error);
  CHECK_THROWS_AS(scalar.shape().front(), Error);
  CHECK_THROWS_AS(scalar.shape().back(), Error);
  CHECK_THROWS_AS((Dims{1, 2}[2] = 3), Error);
  CHECK_THROWS_AS(Axes{}.back(), Error);
}

template <class X, class Y>
concept assigns = requires(X&& x, Y&& y) {
  std::forward<X>(x) = std::forward<Y>(y);
};

/// In a template, for what does not compile is not an error in there.
template <class X>
void check_assignments() {
  static_assert(assigns<X&, X> && assigns<X&, const X&> && assigns<X&, double> &&
                assigns<X&, xt::xarray<double>>);
  // slice(y, 0) = 1.0; transpose(x) = y; y.grad() = g; model(x) = y
  static_assert(!assigns<X, X> && !assigns<X, const X&> && !assigns<X, double> &&
                !assigns<X, xt::xarray<double>>);
  static_assert(!assigns<const X, X> && !assigns<const X&, double>);
  static_assert(requires(X & x) {
    x += 1;
    x -= x;
    x *= xt::xarray<double>(2.0);
    x /= 2.0f;
  });
  static_assert(!requires(X x) { std::move(x) += 1; });
  static_assert(!requires(X x) { transpose(x) -= x; });
  static_assert(!requires(X x) { slice(x, 0) *= 2; });
  static_assert(!requires(const X x) { x /= 2; });
  static_assert(!requires(X x) { x.value()(0) = 1.0; });
  static_assert(!requires(X x) { *x.value().begin() = 1.0; });
  static_assert(!requires(X x) { x.value().flat(0) = 1.0; });
  static_assert(!requires(X x) { x.value().data()[0] = 1.0; });
  static_assert(!requires(X x) { x.grad().value()(0) = 1.0; });
  static_assert(!requires(X x) { x.item() = 1.0; });
  static_assert(std::is_nothrow_move_constructible_v<X> && std::is_copy_constructible_v<X>);
}

TEST_CASE("what cannot change anything does not compile") { check_assignments<Tensor<double>>(); }

TEST_CASE("x op= y rebinds x, and changes no value") {
  auto x = parameter<double>({1.0, 2.0});
  const Tensor<double> before = x;
  x += 1;
  x *= x;
  x -= xt::xarray<double>{1.0, 1.0};
  x /= Tensor<double>{{2.0}, {4.0}};
  check_close(x, Tensor<double>{{1.5, 4.0}, {0.75, 2.0}}, 1e-15);
  check_close(before, {1.0, 2.0}, 0);
  sum(x).backward();
  check_close(before.grad(), {3.0, 4.5}, 1e-15);
  const auto f = map(
      [](auto u) {
        u *= 2;
        u += u;
        return u;
      },
      before);
  check_close(f, {4.0, 8.0}, 0);
}

TEST_CASE("from_data copies numbers that lie row by row") {
  std::vector<double> numbers{1, 2, 3, 4, 5, 6};
  const auto x = Tensor<double>::from_data(numbers, {2, 3});
  numbers[0] = 7;
  check_close(x, Tensor<double>{{1.0, 2.0, 3.0}, {4.0, 5.0, 6.0}}, 0);
  const float array[] = {1, 2};
  CHECK(Tensor<float>::from_data(array, {2, 1}).shape() == Shape{2, 1});
  CHECK(Tensor<float>::from_data({}, {0, 3}).size() == 0);
  CHECK(Tensor<double>::from_data(std::span(numbers).first(1), {}).item() == 7);
  CHECK_THROWS_WITH_AS(Tensor<double>::from_data(numbers, {4}),
                       doctest::Contains("[from_data] 6 numbers do not fill shape (4,)"), Error);
}

TEST_CASE("astype converts elements, and gradients back") {
  const auto x = parameter<double>({0.1, 2.0});
  const Tensor<float> f = x.astype<float>();
  CHECK(f.data()[0] == 0.1f);
  CHECK(x.astype<double>().data() == x.data());
  CHECK(Tensor<double>{1.0}.astype<float>().requires_grad() == false);
  const auto w = parameter<float>({3.0f, 4.0f});
  sum(square(f) * w).backward();  // reaches leaves of both types
  check_close(x.grad(), {2 * 3.0 * 0.1f, 16.0}, 1e-6);
  CHECK(w.grad().data()[1] == 4);
  sum(square(x.astype<float>()) * w).backward();  // adds to both
  CHECK(x.grad().data()[1] == 32);
  CHECK(w.grad().data()[1] == 8);
  const auto g =
      grad(sum((x.astype<float>() * x.astype<float>()).astype<double>() * x), x, {.create_graph = true});
  check_close(g, {0.03, 12.0}, 1e-6);
  check_close(grad(sum(g), x), {0.6, 12.0}, 1e-6);
  {
    const NoGrad no_grad;
    CHECK(!x.astype<float>().requires_grad());
    CHECK(!x.astype<double>().requires_grad());
  }
  CHECK_THROWS_WITH_AS(audit([&] { return sum(x.astype<float>().astype<double>()); }),
                       doctest::Contains("[audit] 'astype' computes in another element type"), Error);
}

TEST_CASE("filled like another, and equal distances") {
  const auto x = parameter<float>({{1.0f, 2.0f}, {3.0f, 4.0f}});
  CHECK(sum(zeros_like(x)).item() == 0);
  CHECK(sum(ones_like(x)).item() == 4);
  CHECK(sum(full_like(x, 2.5)).item() == 10);
  CHECK(full_like(x, 1).shape() == x.shape());
  CHECK(!ones_like(x).requires_grad());
  check_close(linspace<double>(0, 1, 5), {0.0, 0.25, 0.5, 0.75, 1.0}, 0);
  check_close(linspace<double>(1, -1, 3), {1.0, 0.0, -1.0}, 0);
  CHECK(linspace<double>(0, 0.3, 4).data()[3] == 0.3);
  check_close(linspace<double>(2, 7, 1), {2.0}, 0);
  CHECK(linspace<double>(2, 7, 0).size() == 0);
}

TEST_CASE("filled tensors") {
  check_close(full<double>({2}, 7), {7.0, 7.0}, 0);
  check_close(eye<double>(2), Tensor<double>{{1.0, 0.0}, {0.0, 1.0}}, 0);
  check_close(arange<double>(0, 1, 0.25), {0.0, 0.25, 0.5, 0.75}, 0);
  check_close(arange<double>(3, 0, -1), {3.0, 2.0, 1.0}, 0);
  CHECK(arange<float>(5).size() == 5);
  CHECK(arange<double>(3, 0, 1).size() == 0);
}

TEST_CASE("random numbers are the same bits on every machine") {
  random::seed(7);
  check_close(random::normal<double>({4}),
              {0x1.9765fb74c31bfp+0, -0x1.0cb45202c73d6p-1, 0x1.8e3ca64978f4cp-2, -0x1.417743bf70936p-2}, 0);
  check_close(random::normal<float>({4}), {0x1.09d0f6p-1f, 0x1.7f808cp-3f, 0x1.88cb7cp+0f, -0x1.1ab636p+0f},
              0);
  check_close(random::uniform<double>({2}), {0x1.075471dcf9bd4p-2, 0x1.6f91557a5c239p-1}, 0);
}

TEST_CASE("random numbers are reproducible and distributed as they say") {
  random::seed(42);
  const Tensor<double> a = random::normal<double>({1000}, 2, 3);
  random::seed(42);
  check_close(random::normal<double>({1000}, 2, 3), a, 0);
  const Tensor<double> n = random::normal<double>({100001}, 2, 3),
                       u = random::uniform<double>({100000}, -1, 3);
  CHECK(mean(n).item() == doctest::Approx(2).epsilon(0.02));
  CHECK(xtape::std(n).item() == doctest::Approx(3).epsilon(0.02));
  CHECK(mean(u).item() == doctest::Approx(1).epsilon(0.02));
  CHECK(min(u).item() >= -1);
  CHECK(max(u).item() < 3);
  CHECK(var(u).item() == doctest::Approx(16.0 / 12).epsilon(0.02));
  auto order = random::permutation(100);
  CHECK(!std::is_sorted(order.begin(), order.end()));
  std::sort(order.begin(), order.end());
  for (std::size_t i = 0; i < order.size(); ++i) CHECK(order[i] == i);
}

TEST_CASE("printing shows values, shape, and whether it requires a gradient") {
  const auto text = [](const auto& t) {
    std::ostringstream out;
    out << t;
    return out.str();
  };
  CHECK(text(Tensor<double>{1.5, 2.0}) == "Tensor<double>({ 1.5,  2. }, shape (2,))");
  CHECK(text(parameter<float>(2.0)) == "Tensor<float>( 2., shape (), requires grad)");
  CHECK(text(zeros<double>({0, 2})) == "Tensor<double>(shape (0, 2))");
  CHECK(text(Tensor<double>()) == "Tensor<double>(empty)");
}
