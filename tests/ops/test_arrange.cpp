// Padding, repeating, rolling, axes and grids: values of all modes, what NumPy gives, and errors.
#include "../check_close.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

using X = Tensor<double>;

template <class F>
void check_error(const F& f, const char* text) {
  CHECK_THROWS_WITH_AS(f(), text, Error);
}

}  // namespace

TEST_CASE("pad with a number: widths for all axes, for both ends, for each axis") {
  const X x{{1.0, 2.0}};
  check_close(pad(x, 1), {{0.0, 0.0, 0.0, 0.0}, {0.0, 1.0, 2.0, 0.0}, {0.0, 0.0, 0.0, 0.0}}, 0);
  check_close(pad(x, {0, 1}), {{1.0, 2.0, 0.0}, {0.0, 0.0, 0.0}}, 0);
  check_close(pad(x, {{0, 0}, {1, 2}}, 7), {{7.0, 1.0, 2.0, 7.0, 7.0}}, 0);
  check_close(pad(x, {{1}, {0}}, 7), {{7.0, 7.0}, {1.0, 2.0}, {7.0, 7.0}}, 0);
  check_close(pad(X(3.0), 2), X(3.0), 0);
  check_close(pad(zeros<double>({0}), {1, 2}, 5), {5.0, 5.0, 5.0}, 0);
  const X padded = pad(X{-0.0, std::nan("")}, 1);
  CHECK(std::signbit(padded.data()[1]));
  check_error(
      [&] {
        pad(x, {{1, 1}, {0, 0}, {0, 0}});
      },
      "[pad] widths of shape (3, 2) are not pairs for the 2 axes of shape (1, 2): give (2, 2), {before, "
      "after} for all axes, or one number");
  check_error([&] { pad(x, -1); }, "[pad] the width -1 is negative: slice() makes tensors smaller");
  CHECK_THROWS_AS(pad(x, std::numeric_limits<std::ptrdiff_t>::max()), Error);
}

TEST_CASE("pad with elements of the tensor, also by more than there are") {
  const X x{1.0, 2.0, 3.0};
  check_close(pad(x, {2, 4}, PadMode::edge), {1.0, 1.0, 1.0, 2.0, 3.0, 3.0, 3.0, 3.0, 3.0}, 0);
  check_close(pad(x, {3, 4}, PadMode::reflect), {2.0, 3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0, 2.0, 3.0}, 0);
  check_close(pad(x, {4, 4}, PadMode::symmetric), {3.0, 3.0, 2.0, 1.0, 1.0, 2.0, 3.0, 3.0, 2.0, 1.0, 1.0}, 0);
  check_close(pad(x, {1, 5}, PadMode::wrap), {3.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0, 2.0}, 0);
  for (const PadMode mode : {PadMode::edge, PadMode::reflect, PadMode::symmetric, PadMode::wrap})
    check_close(pad(X{4.0}, 2, mode), {4.0, 4.0, 4.0, 4.0, 4.0}, 0);
  const auto leaf = parameter(x);
  check_close(grad(sum(pad(leaf, {2, 4}, PadMode::edge)), leaf), {3.0, 1.0, 5.0}, 0);
  check_error(
      [] {
        pad(zeros<double>({2, 0}), 1, PadMode::edge);
      },
      "[pad] axis 1 of shape (2, 0) has no element to repeat: pad with a number");
  CHECK(pad(zeros<double>({2, 0}), {{1, 0}, {0, 0}}, PadMode::wrap).shape() == Shape{3, 0});
}

TEST_CASE("repeat and tile") {
  const X x{{1.0, 2.0}, {3.0, 4.0}};
  check_close(repeat(x, 2), {1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0}, 0);
  check_close(repeat(x, 2, 0), {{1.0, 2.0}, {1.0, 2.0}, {3.0, 4.0}, {3.0, 4.0}}, 0);
  check_close(repeat(x, {1, 2}, -1), {{1.0, 2.0, 2.0}, {3.0, 4.0, 4.0}}, 0);
  check_close(repeat(x, std::vector<int>{0, 1}, 0), {{3.0, 4.0}}, 0);
  CHECK(repeat(x, 0, 1).shape() == Shape{2, 0});
  check_close(tile(x, 2), {{1.0, 2.0, 1.0, 2.0}, {3.0, 4.0, 3.0, 4.0}}, 0);
  check_close(tile(X{1.0, 2.0}, {2, 1, 2}), {{{1.0, 2.0, 1.0, 2.0}}, {{1.0, 2.0, 1.0, 2.0}}}, 0);
  CHECK(tile(x, {2, 0}).shape() == Shape{4, 0});
  const X deep = reshape(arange<double>(2), {1, 1, 1, 1, 1, 1, 1, 2});
  CHECK(tile(deep, 3).shape() == Shape{1, 1, 1, 1, 1, 1, 1, 6});
  CHECK(repeat(deep, 3, 0).shape() == Shape{3, 1, 1, 1, 1, 1, 1, 2});
  check_error([&] { repeat(x, -1, 0); }, "[repeat] -1 times is not possible");
  check_error(
      [&] {
        repeat(x, {1, 2, 3}, 0);
      },
      "[repeat] counts of shape (3,) are not one for each of the 2 along axis 0 of shape (2, 2)");
  check_error([&] { tile(x, {1, -2}); }, "[tile] -2 times is not possible");
  CHECK_THROWS_AS(repeat(x, 1, 2), Error);
  constexpr std::ptrdiff_t most = std::numeric_limits<std::ptrdiff_t>::max();
  CHECK_THROWS_AS(repeat(x, most, 0), Error);
  CHECK_THROWS_AS(repeat(x, {most, most}, 0), Error);
  CHECK_THROWS_AS(tile(zeros<double>({2, 0}), {most, 1}), Error);
}

TEST_CASE("roll: by any number of places, along one axis, several or all elements") {
  const X x{{1.0, 2.0, 3.0}, {4.0, 5.0, 6.0}};
  check_close(roll(x, 1), {{6.0, 1.0, 2.0}, {3.0, 4.0, 5.0}}, 0);
  check_close(roll(x, -7, 1), {{2.0, 3.0, 1.0}, {5.0, 6.0, 4.0}}, 0);
  check_close(roll(x, {1, 1}, {0, -1}), {{6.0, 4.0, 5.0}, {3.0, 1.0, 2.0}}, 0);
  check_close(roll(x, 3, 1), x, 0);
  CHECK(roll(zeros<double>({0, 2}), 1, 0).shape() == Shape{0, 2});
  check_error([&] { roll(x, {1, 2}, {0}); }, "[roll] 2 shifts do not belong to 1 axes");
  CHECK_THROWS_AS(roll(x, 1, 2), Error);
}

TEST_CASE("axes by NumPy's names") {
  const X x = reshape(arange<double>(24), {2, 3, 4});
  check_close(swapaxes(x, 0, -1), transpose(x), 0);
  check_close(moveaxis(x, 0, -1), transpose(x, {1, 2, 0}), 0);
  check_close(moveaxis(x, {2, 0}, {0, 1}), transpose(x, {2, 0, 1}), 0);
  check_close(expand_dims(x, 1), unsqueeze(x, 1), 0);
  check_error([&] { moveaxis(x, {0, 1}, {0}); }, "[moveaxis] 2 axes do not have 1 places");
  CHECK_THROWS_AS(moveaxis(x, {0, 0}, {0, 1}), Error);
  CHECK_THROWS_AS(swapaxes(x, 0, 3), Error);
}

TEST_CASE("what has nothing to do gives the tensor, but a constant under NoGrad") {
  const auto x = parameter<double>({1.0, 2.0});
  const auto all = [&] {
    return std::vector<X>{pad(x, 0),  pad(x, 0, PadMode::edge), roll(x, 0), roll(x, 2, 0),
                          tile(x, 1), repeat(x, 1, 0)};
  };
  for (const X& y : all()) {
    CHECK(y.requires_grad());
    check_close(y, x, 0);
  }
  const NoGrad no_grad;
  for (const X& y : all()) CHECK_FALSE(y.requires_grad());
}

TEST_CASE("vstack, hstack and meshgrid") {
  check_close(vstack({X{1.0, 2.0}, X{3.0, 4.0}}), {{1.0, 2.0}, {3.0, 4.0}}, 0);
  check_close(vstack({X(1.0), X{{2.0}, {3.0}}}), {{1.0}, {2.0}, {3.0}}, 0);
  check_close(hstack({X(1.0), X{2.0, 3.0}}), {1.0, 2.0, 3.0}, 0);
  check_close(hstack({X{{1.0}, {2.0}}, X{{3.0, 4.0}, {5.0, 6.0}}}), {{1.0, 3.0, 4.0}, {2.0, 5.0, 6.0}}, 0);
  CHECK_THROWS_AS(vstack({X{1.0}, X{1.0, 2.0}}), Error);
  CHECK_THROWS_AS(hstack(std::vector<X>{}), Error);
  const X u{1.0, 2.0, 3.0}, v{4.0, 5.0};
  const auto xy = meshgrid({u, v});
  check_close(xy[0], {{1.0, 2.0, 3.0}, {1.0, 2.0, 3.0}}, 0);
  check_close(xy[1], {{4.0, 4.0, 4.0}, {5.0, 5.0, 5.0}}, 0);
  const auto ij = meshgrid({u, v}, GridIndexing::ij);
  check_close(ij[0], transpose(xy[0]), 0);
  check_close(ij[1], transpose(xy[1]), 0);
  CHECK(meshgrid({u, v, X(1.0)})[2].shape() == Shape{2, 3, 1});
  CHECK(meshgrid({u})[0].shape() == Shape{3});
  CHECK(meshgrid(std::vector<X>{}).empty());
  check_error([&] { meshgrid({xy[0]}); }, "[meshgrid] shape (2, 3) is not a vector");
}
