// Pooling against loops over its definition, and its derivatives.
#include <limits>

#include "../check_close.hpp"

#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;

TEST_CASE_TEMPLATE("pooling: extremes, ties, padding that is never the largest", T, float, double) {
  const T infinity = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  const auto x = parameter(Tensor<T>(xt::xarray<T>{{{{-5, -5, 1, 2}, {-5, -7, 2, 2}}}}));
  const Tensor<T> y = max_pool2d(x, 2);
  check_close(y, Tensor<T>(xt::xarray<T>{{{{-5, 2}}}}), 0);
  const T third = T(1) / 3;
  for (const bool recorded : {false, true})
    check_close(grad(sum(y), x, {.retain_tape = true, .create_graph = recorded}),
                Tensor<T>(xt::xarray<T>{{{{third, third, 0, third}, {third, 0, third, third}}}}), 1e-6);
  check_close(max_pool2d(x, 2, 2, 1), Tensor<T>(xt::xarray<T>{{{{-5, 1, 2}, {-5, 2, 2}}}}), 0);
  check_close(avg_pool2d(x, 2, 2, 1), Tensor<T>(xt::xarray<T>{{{{-1.25, -1, 0.5}, {-1.25, -1.25, 0.5}}}}),
              1e-6);
  check_close(
      max_pool2d(Tensor<T>(xt::xarray<T>{{{{1, nan}, {2, 3}, {infinity, 1}, {-infinity, -infinity}}}}),
                 {2, 1}),
      Tensor<T>(xt::xarray<T>{{{{2, nan}, {infinity, 1}}}}), 0);
  check_close(max_pool2d(full<T>({1, 1, 1, 1}, -infinity), 1), full<T>({1, 1, 1, 1}, -infinity), 0);

  // The padding takes no part of the gradient of a window with nothing but −∞.
  const auto lowest = parameter(full<T>({1, 1, 2, 2}, -infinity));
  for (const bool recorded : {false, true})
    check_close(grad(sum(max_pool2d(lowest, 2, 2, 1)), lowest, {.create_graph = recorded}),
                ones<T>({1, 1, 2, 2}), 0);

  // Large enough to be shared out, to three threads that have memory of their own.
  const int before = num_threads();
  set_num_threads(3);
  const auto big = parameter(random::normal<T>({80, 5, 33, 31}));
  const Tensor<T> pooled = max_pool2d(big, 3, 2, 1);
  check_close(pooled,
              reshape(max(unfold(reshape(big + 100, {400, 1, 33, 31}), 3, 2, 1), 1), {80, 5, 17, 16}) - 100,
              1e-4, 1e-4);
  const Tensor<T> probe = random::normal<T>(pooled.shape());
  check_close(grad(sum(pooled * probe), big),
              grad(sum(max_pool2d(big, 3, 2, 1) * probe), big, {.create_graph = true}), 1e-5, 1e-5);
  set_num_threads(before);
}

TEST_CASE_TEMPLATE("pooling of all kernels, strides and paddings: as over the columns of the windows", T,
                   float, double) {
  random::seed(12);
  const T infinity = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  Tensor<T> values = random::normal<T>({2, 3, 6, 7});
  values = where(values > T(0.8), round(values), values);  // ties
  values = where(values > T(2.5), infinity, where(values < T(-2.2), -infinity, values));
  for (const bool has_nan : {false, true})
    for (const std::size_t kh : {1u, 2u, 3u, 4u})
      for (const std::size_t kw : {kh, std::size_t{5}})
        for (const std::size_t stride : {1u, 2u, 3u})
          for (std::size_t padding = 0; padding <= std::min<std::size_t>(kh, kw) / 2; ++padding) {
            CAPTURE(kh);
            CAPTURE(kw);
            CAPTURE(stride);
            CAPTURE(padding);
            const Size2 kernel{kh, kw};
            const auto x = parameter(has_nan ? where(values > T(1.9), nan, values) : values);
            const auto columns = [&](const Tensor<T>& a) {
              return unfold(reshape(a, {6, 1, 6, 7}), kernel, stride, padding);
            };
            const auto largest = max_pool2d(x, kernel, stride, padding);
            const auto inside = columns(ones_like(x)) > T(0);
            check_close(largest, reshape(max(where(inside, columns(x), -infinity), 1), largest.shape()), 0);
            const auto probe = random::normal<T>(largest.shape());
            check_close(grad(largest, x, {.seed = probe, .retain_tape = true}),
                        grad(largest, x, {.seed = probe, .create_graph = true}), 1e-5, 1e-5);

            const auto finite = parameter(where(abs(values) < infinity, values, 0));
            const auto mean_of = avg_pool2d(finite, kernel, stride, padding);
            const auto same = reshape(mean(columns(finite), 1), largest.shape());
            check_close(mean_of, same, 1e-5, 1e-5);
            check_close(grad(mean_of, finite, {.seed = probe}), grad(same, finite, {.seed = probe}), 1e-5,
                        1e-5);
          }
}

TEST_CASE("max_pool2d: the Hessian is the same in forward mode over reverse mode") {
  random::seed(6);
  const Tensor<double> x = random::normal<double>({1, 2, 3, 4}), v = random::normal<double>({1, 2, 3, 4});
  const auto f = [](const Tensor<double>& a) { return sum(pow(max_pool2d(a, 2, 1), 3)); };
  const auto slope = [&](const Tensor<double>& a) {
    return vjp(f, a, Tensor<double>(1.0), {.create_graph = true}).second;
  };
  check_close(jvp(slope, x, v).second, hvp(f, x, v).second, 1e-13, 1e-13);
}
