// Convolution against loops over their definitions, their layers, threads, and errors.
#include <limits>
#include <utility>

#include "../check_close.hpp"

#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;

namespace {

/// The definition, element by element. Its numbers are plain ones: tests are compiled without optimisation.
template <class T>
Tensor<T> plain_conv2d(const Tensor<T>& x, const Tensor<T>& w, const Tensor<T>& b, const Conv2dOptions& o) {
  const auto size = [](const Tensor<T>& a, std::size_t axis) {
    return static_cast<std::ptrdiff_t>(a.shape()[axis]);
  };
  const std::ptrdiff_t N = size(x, 0), in = size(x, 1), height = size(x, 2), width = size(x, 3),
                       out = size(w, 0), channels = size(w, 1), kh = size(w, 2), kw = size(w, 3);
  const auto [sy, sx] = o.stride;
  const auto [py, px] = o.padding;
  const auto [dy, dx] = o.dilation;
  const std::ptrdiff_t per_group = out / static_cast<std::ptrdiff_t>(o.groups),
                       rows = (height + 2 * py - dy * (kh - 1) - 1) / sy + 1,
                       columns = (width + 2 * px - dx * (kw - 1) - 1) / sx + 1;
  Tensor<T> y = Tensor<T>::uninitialized({N, out, rows, columns});
  T* at = y.mutable_data();
  const T *const from = x.data(), *const by = w.data();
  for (std::ptrdiff_t n = 0; n < N; ++n)
    for (std::ptrdiff_t f = 0; f < out; ++f)
      for (std::ptrdiff_t oy = 0; oy < rows; ++oy)
        for (std::ptrdiff_t ox = 0; ox < columns; ++ox) {
          double sum = static_cast<double>(b.data()[f]);
          for (std::ptrdiff_t c = 0; c < channels; ++c)
            for (std::ptrdiff_t ky = 0; ky < kh; ++ky)
              for (std::ptrdiff_t kx = 0; kx < kw; ++kx) {
                const std::ptrdiff_t iy = oy * sy + ky * dy - py, ix = ox * sx + kx * dx - px;
                if (iy < 0 || iy >= height || ix < 0 || ix >= width) continue;
                const std::ptrdiff_t plane = n * in + f / per_group * channels + c;
                sum += static_cast<double>(from[(plane * height + iy) * width + ix]) *
                       static_cast<double>(by[((f * channels + c) * kh + ky) * kw + kx]);
              }
          *at++ = static_cast<T>(sum);
        }
  return y;
}

/// The same of operations that are tested by themselves, for its gradients.
template <class T>
Tensor<T> composed_conv2d(const Tensor<T>& x, const Tensor<T>& w, const Conv2dOptions& o) {
  const Tensor<T> columns = unfold(x, {w.shape(2), w.shape(3)}, o.stride, o.padding, o.dilation);
  const auto groups = static_cast<std::ptrdiff_t>(o.groups);
  const Tensor<T> y =
      matmul(reshape(w, {groups, w.shape(0) / o.groups, -1}),
             reshape(columns, {x.shape(0), groups, columns.shape(1) / o.groups, columns.shape(2)}));
  return reshape(y, Dims(conv2d(x.detach(), w.detach(), o).shape()));
}

}  // namespace

TEST_CASE_TEMPLATE("conv2d is its definition, for strides, paddings and kernels of every relation", T, float,
                   double) {
  random::seed(3);
  const double rtol = sizeof(T) == 4 ? 1e-4 : 1e-12;
  for (const Conv2dOptions& options :
       {Conv2dOptions{}, Conv2dOptions{.stride = 2}, Conv2dOptions{.padding = 1},
        Conv2dOptions{.stride = {3, 1}, .padding = {0, 2}}, Conv2dOptions{.stride = {1, 4}, .padding = 5}})
    for (const Shape& kernel : {Shape{3, 2, 3, 3}, Shape{1, 2, 1, 1}, Shape{2, 2, 5, 2}, Shape{4, 2, 5, 7}}) {
      const Tensor<T> x = random::normal<T>({3, 2, 5, 7}), w = random::normal<T>(kernel),
                      b = random::normal<T>({kernel[0]});
      CAPTURE(kernel);
      check_close(conv2d(x, w, b, options), plain_conv2d(x, w, b, options), rtol, rtol);
      check_close(conv2d(x, w, options), plain_conv2d<T>(x, w, zeros<T>({kernel[0]}), options), rtol, rtol);
    }
}

TEST_CASE_TEMPLATE("large batches, in tiles and by several threads: the same bits for any number", T, float,
                   double) {
  random::seed(4);
  const double rtol = sizeof(T) == 4 ? 1e-4 : 1e-12;
  // Tiles of several samples, of one, with a rest, and images above the size that is shared out.
  for (const auto& [images, kernel] : {std::pair{Shape{75, 1, 28, 28}, Shape{5, 1, 3, 3}},
                                       {Shape{33, 16, 14, 14}, Shape{8, 16, 3, 3}},
                                       {Shape{17, 8, 30, 30}, Shape{4, 8, 3, 3}},
                                       {Shape{2, 16, 60, 60}, Shape{40, 16, 3, 3}}}) {
    const Conv2dOptions options{.padding = 1};
    const Tensor<T> x = parameter(random::normal<T>(images)), w = parameter(random::normal<T>(kernel)),
                    b = parameter(random::normal<T>({kernel[0]}));
    const Tensor<T> probe = random::normal<T>({images[0], kernel[0], images[2], images[3]});
    const auto run = [&](int threads) {
      set_num_threads(threads);
      const Tensor<T> y = conv2d(x, w, b, options);
      auto all = grad(sum(y * probe), std::vector<Tensor<T>>{x, w, b});
      all.push_back(y.detach());
      return all;
    };
    const int before = num_threads();
    const auto one = run(1), three = run(3);
    CHECK(num_threads() == 3);
    set_num_threads(before);
    check_close(one[3], plain_conv2d(x, w, b, options), rtol, 10 * rtol);
    for (std::size_t i = 0; i < 4; ++i) check_close(three[i], one[i], 0);
    // The gradients are those of the composed operations.
    const Tensor<T> composed = matmul(reshape(w, {kernel[0], images[1] * 9}), unfold(x, 3, 1, 1));
    const auto expected =
        grad(sum(reshape(composed, Dims(probe.shape())) * probe), std::vector<Tensor<T>>{x, w});
    check_close(one[0], expected[0], rtol, 10 * rtol);
    check_close(one[1], expected[1], rtol, 1000 * rtol);
    check_close(one[2], sum(probe, {0, 2, 3}), rtol, 1000 * rtol);
  }
}

TEST_CASE_TEMPLATE("groups and dilation: values by the definition, gradients by composed operations", T,
                   float, double) {
  random::seed(5);
  const double rtol = sizeof(T) == 4 ? 1e-4 : 1e-12;
  struct Case {
    Shape x, w;
    Conv2dOptions options;
  };
  for (const Case& one : {
           Case{{2, 4, 7, 9},
                {6, 2, 3, 2},
                {.stride = {2, 1}, .padding = {1, 2}, .dilation = {2, 3}, .groups = 2}},
           Case{{3, 5, 8, 9}, {5, 1, 3, 3}, {.padding = 1, .groups = 5}},  // depthwise
           Case{{2, 11, 6, 5}, {33, 1, 2, 3}, {.padding = 1, .dilation = 2, .groups = 11}},
           Case{
               {2, 19, 9, 8}, {38, 1, 3, 2}, {.stride = 2, .padding = 1, .groups = 19}},  // with a multiplier
           Case{
               {2, 40, 12, 11}, {40, 20, 3, 3}, {.stride = {1, 3}, .padding = 2, .dilation = 2, .groups = 2}},
           Case{{2, 6, 9, 9}, {9, 2, 1, 1}, {.stride = 2, .groups = 3}},
           Case{{1, 3, 70, 90}, {70, 3, 7, 7}, {.stride = 2, .padding = 3}},  // several tiles of one image
           Case{{3, 24, 40, 33}, {24, 1, 5, 5}, {.stride = 3, .padding = 2, .dilation = 2, .groups = 24}},
           Case{{9, 70, 7, 7}, {90, 70, 3, 3}, {.padding = 1}},  // several images in a tile
           Case{{2, 20, 16, 12}, {24, 20, 1, 1}, {}},            // products as they are
       }) {
    CAPTURE(one.x);
    CAPTURE(one.w);
    const Tensor<T> x = parameter(random::normal<T>(one.x)), w = parameter(random::normal<T>(one.w)),
                    b = parameter(random::normal<T>({one.w[0]}));
    const Tensor<T> y = conv2d(x, w, b, one.options);
    check_close(y, plain_conv2d(x, w, b, one.options), 10 * rtol, 10 * rtol);
    const Tensor<T> probe = random::normal<T>(y.shape());
    const auto g = grad(sum(y * probe), {x, w, b});
    const auto expected = grad(sum(composed_conv2d(x, w, one.options) * probe), {x, w});
    check_close(g[0], expected[0], 10 * rtol, 10 * rtol);
    check_close(g[1], expected[1], 100 * rtol, 100 * rtol);
    check_close(g[2], sum(probe, {0, 2, 3}), 100 * rtol, 100 * rtol);
    // Added to what is there.
    const auto twice = grad(sum(conv2d(x, w, b, one.options) * probe) + sum(x) + sum(w), {x, w});
    check_close(twice[0], expected[0] + 1, 10 * rtol, 10 * rtol);
    check_close(twice[1], expected[1] + 1, 100 * rtol, 100 * rtol);
  }
}

TEST_CASE("steps that leave nearly all out, or are nearly all padding, take no memory for it") {
  const std::ptrdiff_t far = std::ptrdiff_t{1} << 30;
  const auto x = parameter(random::normal<double>({2, 2, 3, 5})),
             w = parameter(random::normal<double>({4, 2, 2, 2})),
             depthwise = parameter(random::normal<double>({4, 1, 2, 2}));
  for (const Conv2dOptions& options :
       {Conv2dOptions{.stride = far, .padding = far},
        Conv2dOptions{.padding = {far, 1}, .dilation = {2 * far - 2, 3}},
        Conv2dOptions{.stride = {far, 1}, .padding = {far - 1, 0}, .dilation = {3, far / 4 > 1 ? 2 : 1}}})
    for (const std::size_t groups : {1u, 2u}) {
      Conv2dOptions o = options;
      o.groups = groups;
      const auto& weight = groups == 1 ? w : depthwise;
      const Tensor<double> y = conv2d(x, weight, o), probe = random::normal<double>(y.shape());
      const auto g = grad(sum(y * probe), {x, weight});
      const Tensor<double> composed = composed_conv2d(x, weight, o);
      const auto expected = grad(sum(composed * probe), {x, weight});
      check_close(y, composed, 1e-13, 1e-13);
      check_close(g[0], expected[0], 1e-13, 1e-13);
      check_close(g[1], expected[1], 1e-13, 1e-13);
    }
}

TEST_CASE("memory of a convolution: tiles, not the columns of a batch") {
  const auto x = random::normal<float>({16, 32, 64, 64}), w = random::normal<float>({8, 32, 3, 3});
  reset_peak_memory();
  const std::ptrdiff_t before = memory_use().live;
  const Tensor<float> y = conv2d(x, w, {.padding = 1});
  // Those of one image would be 9 · 32 · 64 · 64 · 4 bytes, 4.7 MB; those of all 75 MB.
  CHECK(memory_use().peak - before - static_cast<std::ptrdiff_t>(y.size() * sizeof(float)) < 16 << 20);
}

TEST_CASE("long rows are cut: memory, the same bits for any number of threads, steps and groups") {
  random::seed(14);
  const int before = num_threads();
  struct Case {
    Shape x, w;
    Conv2dOptions options;
  };
  for (const Case& one : {Case{{8, 16, 1, 20000}, {16, 16, 1, 3}, {.padding = {0, 1}}},
                          Case{{1, 40, 5, 4001}, {24, 40, 3, 5}, {.stride = 2, .padding = 1}},
                          Case{{2, 36, 5, 3000}, {9, 12, 2, 3}, {.stride = {3, 5}, .groups = 3}},
                          Case{{1, 30, 7, 7000}, {60, 1, 5, 3}, {.stride = {1, 2}, .groups = 30}},
                          Case{{1, 30, 7, 7000}, {30, 1, 2, 3}, {.dilation = {3, 40}, .groups = 30}},
                          Case{{2, 16, 1, 9000}, {16, 16, 1, 3}, {.dilation = {1, 4000}}}}) {
    CAPTURE(one.x);
    CAPTURE(one.w);
    const auto x = parameter(random::normal<float>(one.x)), w = parameter(random::normal<float>(one.w));
    const Tensor<float> like = composed_conv2d(x, w, one.options),
                        probe = random::normal<float>(like.shape());
    auto expected = grad(sum(like * probe), {x, w});
    expected.push_back(like.detach());
    const auto run = [&](int threads) {
      set_num_threads(threads);
      const auto within_memory = [&](const auto& results, std::size_t size) {
        reset_peak_memory();
        const std::ptrdiff_t live = memory_use().live;
        const auto kept = results();
        // Some tiles and where things are in them; rows for all slots would be 4 to 20 MB. Tiles are
        // the larger the wider vectors are: with AVX-512 2.3 MB.
        CHECK(memory_use().peak - live <
              static_cast<std::ptrdiff_t>(size * sizeof(float)) + ((threads == 1 ? 3 : 16) << 20));
        return kept;
      };
      const auto y = within_memory([&] { return conv2d(x, w, one.options); }, like.size());
      auto all = within_memory([&] { return grad(y, {x, w}, {.seed = probe}); }, x.size() + w.size());
      all.push_back(y.detach());
      return all;
    };
    const auto alone = run(1), shared = run(4);
    set_num_threads(before);
    for (std::size_t i = 0; i < 3; ++i) {
      check_close(alone[i], expected[i], 1e-4, i == 1 ? 1e-1 : 1e-3);
      check_close(shared[i], alone[i], 0);
    }
  }
}

TEST_CASE("unfold and fold are each other's transpose") {
  const Tensor<double> x = random::normal<double>({2, 3, 5, 4});
  const Tensor<double> columns = unfold(x, {3, 2}, {2, 1}, {1, 0});
  CHECK(columns.shape() == Shape{2, 18, 9});
  const Tensor<double> c = random::normal<double>(columns.shape());
  check_close(sum(columns * c), sum(x * fold(c, {5, 4}, {3, 2}, {2, 1}, {1, 0})), 1e-13);
  check_close(unfold(Tensor<double>(xt::xarray<double>{{{{1, 2}, {3, 4}}}}), 2, 1, 1),
              xt::xarray<double>{{{0, 0, 0, 0, 1, 2, 0, 3, 4},
                                  {0, 0, 0, 1, 2, 0, 3, 4, 0},
                                  {0, 1, 2, 0, 3, 4, 0, 0, 0},
                                  {1, 2, 0, 3, 4, 0, 0, 0, 0}}},
              0);
}

TEST_CASE("gradients of conv2d: of some inputs only, several times the same, accumulated, of batch 0") {
  const Tensor<double> x = random::normal<double>({2, 1, 4, 4}), w = random::normal<double>({1, 1, 2, 2});
  const auto wp = parameter(w), xp = parameter(x);
  check_close(grad(sum(conv2d(x, wp)), wp), grad(sum(conv2d(xp, wp)), wp), 1e-14);
  check_close(grad(sum(conv2d(xp, w)), xp), grad(sum(conv2d(xp, wp)), xp), 1e-14);
  CHECK(
      check_gradients([&](const auto& in) { return conv2d(conv2d(in, w), w) * conv2d(in, w, {.stride = 2}); },
                      random::normal<double>({1, 1, 3, 3}), {.order = 2})
          .passed);
  CHECK(check_gradients([&](const auto& in) { return conv2d(in, in); }, w, {.order = 2}).passed);
  const Tensor<double> y = sum(conv2d(xp, wp));
  y.backward({.retain_tape = true});
  const Tensor<double> once = wp.grad() + 0;
  y.backward();
  check_close(wp.grad(), 2 * once, 1e-14);

  const auto empty = parameter(zeros<float>({0, 2, 5, 5})), v = parameter(ones<float>({3, 2, 3, 3})),
             b = parameter(ones<float>({3}));
  const auto nothing = conv2d(empty, v, b);
  CHECK(nothing.shape() == Shape{0, 3, 3, 3});
  const auto g = grad(sum(nothing), std::vector<Tensor<float>>{empty, v, b});
  CHECK(g[0].shape() == empty.shape());
  check_close(g[1], zeros<float>({3, 2, 3, 3}), 0);
  check_close(g[2], zeros<float>({3}), 0);
  CHECK(conv2d(zeros<float>({2, 0, 3, 3}), zeros<float>({1, 0, 2, 2})).shape() == Shape{2, 1, 2, 2});
  CHECK(max_pool2d(empty, 2).shape() == Shape{0, 2, 2, 2});
}

TEST_CASE("errors name shapes") {
  const Tensor<double> x = zeros<double>({2, 3, 5, 5}), w = zeros<double>({4, 3, 3, 3}),
                       b = zeros<double>({4});
  CHECK_THROWS_WITH_AS(conv2d(zeros<double>({5, 5}), w),
                       "[conv2d] x of shape (5, 5) is not (N, C, H, W): reshape it", Error);
  CHECK_THROWS_WITH_AS(conv2d(x, b), "[conv2d] weight of shape (4,): it must be (out, C / groups, kh, kw)",
                       Error);
  CHECK_THROWS_WITH_AS(
      conv2d(x, zeros<double>({4, 2, 3, 3})),
      "[conv2d] x of shape (2, 3, 5, 5) has 3 channels, and the weight of shape (4, 2, 3, 3) takes 2", Error);
  CHECK_THROWS_WITH_AS(conv2d(x, w, zeros<double>({3})),
                       "[conv2d] bias of shape (3,) for a weight of shape (4, 3, 3, 3): it must be (4,)",
                       Error);
  CHECK_THROWS_WITH_AS(
      conv2d(x, zeros<double>({4, 3, 8, 3}), {.padding = 1}),
      "[conv2d] x of shape (2, 3, 5, 5) with a padding of (1, 1) is smaller than the kernel (8, 3)", Error);
  CHECK_THROWS_WITH_AS(conv2d(x, w, {.stride = {1, 0}}),
                       "[conv2d] a stride of (1, 0) must be positive and below 2^31", Error);
  CHECK_THROWS_WITH_AS(conv2d(x, w, {.padding = -1}),
                       "[conv2d] a padding of (-1, -1) must be 0 or more and below 2^31", Error);
  CHECK_THROWS_WITH_AS(conv2d(x, w, {.dilation = 0}),
                       "[conv2d] a dilation of (0, 0) must be positive and below 2^31", Error);
  CHECK_THROWS_WITH_AS(
      conv2d(x, w, {.dilation = 3}),
      "[conv2d] x of shape (2, 3, 5, 5) with a padding of (0, 0) is smaller than the kernel (3, "
      "3) with a dilation of (3, 3)",
      Error);
  for (const std::size_t groups : {0u, 2u})
    CHECK_THROWS_WITH_AS(conv2d(x, w, {.groups = groups}),
                         doctest::Contains("do not divide the channels of x of shape (2, 3, 5, 5) and of the "
                                           "weight of shape (4, 3, 3, 3)"),
                         Error);
  CHECK_THROWS_WITH_AS(
      conv2d(x, zeros<double>({3, 3, 3, 3}), {.groups = 3}),
      "[conv2d] x of shape (2, 3, 5, 5) has 3 channels, and the weight of shape (3, 3, 3, 3) "
      "takes 3 groups of 3",
      Error);
  CHECK_THROWS_WITH_AS(unfold(x, 0), "[unfold] a kernel of (0, 0) must be positive and below 2^31", Error);
  CHECK_THROWS_WITH_AS(unfold(x, 1, std::size_t{1} << 40),
                       "[unfold] a stride of (1099511627776, 1099511627776) must be positive and below 2^31",
                       Error);
  CHECK_THROWS_WITH_AS(fold(x, 5, 2),
                       doctest::Contains("[fold] columns of shape (2, 3, 5, 5) are not (N, C·4, 16)"), Error);
  CHECK_THROWS_WITH_AS(max_pool2d(x, 2, 2, 2),
                       "[max_pool2d] a padding of (2, 2) is more than half the kernel (2, 2)", Error);
  CHECK_THROWS_WITH_AS(
      max_pool2d(x, 6),
      "[max_pool2d] x of shape (2, 3, 5, 5) with a padding of (0, 0) is smaller than the kernel (6, 6)",
      Error);
  CHECK_THROWS_WITH_AS(max_pool2d(zeros<double>({2, 1, 0, 4}), 2, 2, 1),
                       "[max_pool2d] images of shape (2, 1, 0, 4) have no elements to pool", Error);
  // Sizes whose product wraps round 64 bits, and windows that are nearly all padding.
  CHECK_THROWS_WITH_AS(
      unfold(ones<float>({1, 16, 1, 1}), std::ptrdiff_t{1} << 30, 1, std::ptrdiff_t{1} << 29),
      doctest::Contains("has more elements than this machine can address"), Error);
  CHECK(unfold(ones<float>({1, 1, 0, 3}), Size2{1 << 20, 1}, 1, Size2{1 << 19, 0}).size() == 3 << 20);
  const Size2 vast{std::ptrdiff_t{1} << 30, std::ptrdiff_t{1} << 30}, half{vast.height / 2, vast.width / 2};
  check_close(max_pool2d(reshape(Tensor<double>{-3.0, 5.0, 1.0}, {1, 1, 1, 3}), vast, half, half),
              zeros<double>({1, 1, 1, 1}) + 5, 0);
  CHECK_THROWS_WITH_AS(avg_pool2d(b, 2), "[avg_pool2d] x of shape (4,) is not (N, C, H, W): reshape it",
                       Error);
  CHECK(nn::Conv2d<float>(2, 5, {3, 1}).describe() == "Conv2d(2, 5, 3x1)");
  CHECK(nn::MaxPool2d<float>(Size2{2, 3}).describe() == "MaxPool2d(2x3)");
  CHECK_THROWS_WITH_AS(nn::Conv2d<float>(0, 2, 3), "[Conv2d] 0 channels in and 2 out: both must be positive",
                       Error);
  CHECK_THROWS_WITH_AS(nn::Conv2d<float>(1, 2, 3, {.stride = 0}),
                       "[Conv2d] kernel, stride and dilation must be positive, the padding 0 or more", Error);
  CHECK_THROWS_WITH_AS(nn::Conv2d<float>(1, 2, 3, {.dilation = 0}),
                       "[Conv2d] kernel, stride and dilation must be positive, the padding 0 or more", Error);
  CHECK_THROWS_WITH_AS(nn::Conv2d<float>(4, 6, 3, {.groups = 4}),
                       "[Conv2d] groups of 4 do not divide 4 channels in and 6 out", Error);
  nn::Conv2d<double> grouped(6, 9, 3, {.padding = 2, .dilation = 2, .groups = 3});
  CHECK(grouped.weight.shape() == Shape{9, 2, 3, 3});
  CHECK(grouped.describe() == "Conv2d(6, 9, 3x3, 3 groups)");
  CHECK(grouped(ones<double>({2, 6, 5, 5})).shape() == Shape{2, 9, 5, 5});
  CHECK_THROWS_WITH_AS(nn::Flatten<float>()(Tensor<float>(1)), "[Flatten] x of shape () has no first axis",
                       Error);
}

TEST_CASE("layers: a small network of convolutions learns which half of an image is bright") {
  random::seed(5);
  nn::Sequential<float> model(nn::Conv2d<float>(1, 4, 3, {.padding = 1}), nn::ReLU<float>(),
                              nn::MaxPool2d<float>(2),
                              nn::Conv2d<float>(4, 3, {3, 1}, {.stride = {1, 2}, .bias = false}),
                              nn::Flatten<float>(), nn::Linear<float>(12, 2));
  std::vector<std::string> names;
  for (const auto& [name, value] : model.named_parameters()) names.push_back(name);
  CHECK(names == std::vector<std::string>{"0.weight", "0.bias", "3.weight", "5.weight", "5.bias"});
  CHECK(nn::MaxPool2d<float>(2, 1)(ones<float>({1, 1, 3, 3})).shape() == Shape{1, 1, 2, 2});
  CHECK(nn::Flatten<float>()(ones<float>({0, 2, 3})).shape() == Shape{0, 6});
  CHECK(nn::Flatten<float>()(ones<float>({4})).shape() == Shape{4, 1});
  CHECK(var(nn::Conv2d<double>(50, 60, 3).weight).item() == doctest::Approx(2.0 / 450).epsilon(0.02));
  CHECK(var(nn::Conv2d<double>(500, 300, 3, {.groups = 50}).weight).item() ==
        doctest::Approx(2.0 / 90).epsilon(0.02));

  Tensor<float> x = random::uniform<float>({32, 1, 8, 8}, 0, 1);
  std::vector<int> labels;
  for (std::size_t n = 0; n < 32; ++n) {
    labels.push_back(static_cast<int>(n % 2));
    float* half = x.mutable_data() + n * 64 + (n % 2) * 32;
    for (std::size_t i = 0; i < 32; ++i) half[i] += 0.5f;
  }
  nn::Adam<float> adam(model.parameters(), {.learning_rate = 0.01});
  for (int step = 0; step < 60; ++step) {
    adam.zero_grad();
    nn::cross_entropy(model(x), labels).backward();
    adam.step();
  }
  CHECK(nn::cross_entropy(model(x), labels).item() < 0.1f);
}
