// Sums that are long, far from 0, or of one number many times over: what rounding must not do to them.
#include <cmath>

#include <nn/nn.hpp>

#include "../check_close.hpp"

using namespace xtape;
using namespace xtape::test;

TEST_CASE_TEMPLATE("a mean is a sum divided, not multiplied by a rounded reciprocal", T, float, double) {
  for (const std::size_t n : {1u, 3u, 7u, 41u, 47u, 49u, 55u, 61u, 98u, 1000u}) {
    CAPTURE(n);
    const Tensor<T> column = ones<T>({n, 1}), row = ones<T>({1, n}), cube = ones<T>({n, 1, 1, n});
    CHECK(mean(column).item() == 1);
    CHECK(mean(column, 0).item() == 1);
    CHECK(mean(row, {0, 1}, true).item() == 1);
    check_close(mean(cube, 0), ones<T>({1, 1, n}), 0);
    check_close(mean(cube, -1), ones<T>({n, 1, 1}), 0);
    CHECK(mean(cube, {0, 2, 3}).item() == 1);
    const Tensor<T> zero = zeros<T>({n, 1});
    CHECK(nn::mse_loss(column, zero).item() == 1);
    CHECK(nn::mse_loss(row, transpose(zero), nn::Reduction::batch_mean).item() == static_cast<T>(n));
    CHECK(nn::mse_loss(column, zero, nn::Reduction::batch_mean).item() == 1);
    CHECK(nn::half_squared_error(column, zero, nn::Reduction::mean).item() == T(0.5));
    const Tensor<T> certain = broadcast_to(Tensor<T>{{T(0), T(1)}}, {n, 2}).detach();
    CHECK(nn::accuracy(certain, std::vector<int>(n, 1)) == 1);
    const Tensor<T> x = parameter(column);
    mean(x).backward({.seed = Tensor<T>(static_cast<T>(n))});
    check_close(x.grad(), column, 0);
  }
  check_close(avg_pool2d(ones<T>({1, 1, 7, 7}), 7), ones<T>({1, 1, 1, 1}), 0);
  CHECK(var(Tensor<T>{1, 3, 5}).item() == static_cast<T>(8) / 3);
}

TEST_CASE_TEMPLATE("one number many times over: the variance is 0, and it is normalised to 0", T, float,
                   double) {
  for (const T value : {T(1e6), T(0.1), T(20240101), T(-1e-30), T(3e33), T(7)})
    for (const std::size_t n : {2u, 3u, 7u, 63u, 1000u, 4099u})
      for (const std::size_t columns : {1u, 5u, 70u}) {
        CAPTURE(value);
        CAPTURE(n);
        CAPTURE(columns);
        const Tensor<T> x = full<T>({n, columns}, value), nothing = zeros<T>({n, columns});
        const Tensor<T> one = ones<T>({columns}), zero = zeros<T>({columns});
        check_close(var(x, 0), zero, 0);
        CHECK(var(x).item() == 0);
        check_close(stddev(x, 0), zero, 0);
        check_close(variance(transpose(x), 1), zero, 0);
        Moments<T> moments;
        check_close(batch_norm(x, one, zero, T(1e-5), &moments), nothing, 0);
        check_close(moments.mean, full<T>({columns}, value), 0);
        check_close(moments.variance, zero, 0);
        check_close(layer_norm(transpose(x), ones<T>({n}), zeros<T>({n})), transpose(nothing), 0);
        const nn::Dataset<T> data(x);
        const nn::Standardizer<T> standardizer(data);
        check_close(standardizer(data).inputs, nothing, 0);
      }
  // So many that blocks of them are shared out.
  CHECK(var(full<T>({300'001}, T(0.1))).item() == 0);
  check_close(var(full<T>({70'001, 3}, T(1e6)), 0), zeros<T>({3}), 0);
  CHECK(var(full<T>({61, 70, 61}, T(0.1)), {0, 2}).data()[3] == 0);
}

TEST_CASE("a column whose mean the type cannot hold, next to others") {
  // Days as numbers such as 20240101, in float: the numbers next to it are 2 away.
  const std::size_t n = 30;  // so that the mean is not an even number
  Tensor<float> x = zeros<float>({n, 2});
  Tensor<double> exact = zeros<double>({n, 2});
  for (std::size_t i = 0; i < n; ++i) {
    x.mutable_data()[2 * i] = static_cast<float>(20240101 + i);
    x.mutable_data()[2 * i + 1] = std::sin(static_cast<float>(i));
    for (std::size_t j = 2 * i; j < 2 * i + 2; ++j)
      exact.mutable_data()[j] = static_cast<double>(x.data()[j]);
  }
  const auto narrow = [](const Tensor<double>& y) { return Tensor<float>(xt::cast<float>(y.value())); };
  const Tensor<double> normal = (exact - mean(exact, 0)) / sqrt(var(exact, 0) + 1e-5);
  const Tensor<float> one = ones<float>({2}), zero = zeros<float>({2});
  check_close(batch_norm(x, one, zero), narrow(normal), 1e-5f, 1e-5f);
  check_close(layer_norm(transpose(x), ones<float>({n}), zeros<float>({n})), narrow(transpose(normal)), 1e-5f,
              1e-5f);
  check_close(var(x, 0), narrow(var(exact, 0)), 1e-6f);
  // and the gradients; the weights are not around 0, and go with x, since what the mean lacks counts times
  // their sum, and times that of their products with x
  const Tensor<double> weights = cos(exact * 3) + 2 + normal;
  const auto gradient = [&](auto y, const auto& leaf, const auto& w, bool recorded) {
    return grad(sum(y * w), leaf, {.create_graph = recorded}).detach();
  };
  // of x, gamma and beta; a layer's lines are the columns
  const auto gradients = [&](bool batch, const auto& values, const auto& w, bool recorded) {
    using Leaf = std::decay_t<decltype(values)>;
    const Leaf leaf = parameter(batch ? values : transpose(values)), factors = batch ? w : transpose(w);
    const std::size_t features = leaf.shape()[1];
    const Leaf gamma = parameter(ones<typename Leaf::value_type>({features})), beta = parameter(0 * gamma);
    const Leaf y = batch ? batch_norm(leaf, gamma, beta) : layer_norm(leaf, gamma, beta);
    return grad(sum(y * factors), {leaf, gamma, beta}, {.create_graph = recorded});
  };
  for (const bool recorded : {false, true}) {
    const Tensor<float> a = parameter(x), w = narrow(weights);
    const Tensor<double> b = parameter(exact);
    for (const bool batch : {true, false}) {
      CAPTURE(batch);
      const auto expected = gradients(batch, exact, weights, false);
      const auto actual = gradients(batch, x, w, recorded);
      for (std::size_t i = 0; i < 3; ++i) check_close(actual[i].detach(), narrow(expected[i]), 1e-4f, 1e-5f);
    }
    check_close(gradient(square(var(a, 0)) / 1000, a, zero + 1, recorded),
                narrow(gradient(square(var(b, 0)) / 1000, b, ones<double>({2}), false)), 1e-5f, 1e-5f);
  }
}

TEST_CASE("variances over an axis between others, with means that the type cannot hold") {
  const std::size_t n = 31;
  Tensor<float> x = zeros<float>({3, n, 2});
  for (std::size_t k = 0; k < x.size(); ++k)
    x.mutable_data()[k] =
        static_cast<float>(20240101 + k / 2 % n + 400'000 * (k / 2 / n) + 10'000'000 * (k % 2));
  const Tensor<double> exact(xt::cast<double>(x.value()));
  const auto gradient = [](const auto& values, bool recorded) {
    const auto leaf = parameter(values);
    return grad(sum(square(var(leaf, 1))), leaf, {.create_graph = recorded}).detach();
  };
  const Tensor<float> expected(xt::cast<float>(gradient(exact, false).value()));
  for (const bool recorded : {false, true}) check_close(gradient(x, recorded), expected, 1e-5f, 1e-3f);
}

TEST_CASE("the variance of large tensors, in blocks, is that of all") {
  random::seed(5);
  const Tensor<double> x = parameter(random::normal<double>({150'000, 2}, 3, 2));
  const auto composed = [](const Tensor<double>& a, auto... axes) {
    return mean(square(a - mean(a, axes..., true)), axes...);
  };
  check_close(var(x, 0).detach(), composed(x, 0).detach(), 1e-12);
  check_close(grad(sum(square(var(x, 0))), x), grad(sum(square(composed(x, 0))), x), 1e-10, 1e-16);
  const Tensor<double> flat = flatten(x);
  check_close(var(flat).detach(), composed(flat, 0).detach(), 1e-12);
}

TEST_CASE("cumulative sums of 20 million float ones are right, as are their gradients") {
  const std::size_t n = 20'000'000;
  const Tensor<float> x = parameter(ones<float>({n}));
  const Tensor<float> y = cumsum(x);
  CHECK(y.data()[n - 1] == 20'000'000);
  CHECK(y.data()[16'777'299] == 16'777'300);
  slice(y, xt::range(n - 1, n)).backward({.seed = ones<float>({1}), .retain_tape = true});
  CHECK(x.grad().data()[0] == 1);
  sum(y).backward();
  CHECK(x.grad().data()[0] == 20'000'001);
}

TEST_CASE("long sums in sequence keep their digits along either axis") {
  const std::size_t n = 300'000;
  for (const bool along : {true, false}) {
    const Tensor<float> x = full<float>(along ? Shape{2, n} : Shape{n, 2}, 0.1f);
    const Tensor<float> y = cumsum(x, along ? 1 : 0);
    const double exact = static_cast<double>(0.1f) * static_cast<double>(n);
    CHECK(y.data()[y.size() - 1] == static_cast<float>(exact));
  }
  const std::size_t all = 20'000'000;
  const Tensor<float> many = ones<float>({all});
  CHECK(dot(many, many).item() == 20'000'000);
  CHECK(norm(many, 0).item() == std::sqrt(20'000'000.0f));
  CHECK(sum(reshape(many, {all / 2, 1, 2}), {0, 2}).item() == 20'000'000);
  CHECK(sum(reshape(many, {all / 2, 2}), 0).data()[0] == 10'000'000);
  CHECK(softmax(zeros<float>({all})).data()[7] == 1 / 20'000'000.0f);
  const Tensor<float> column = reshape(many, {all, 1}), one = ones<float>({1, 1});
  CHECK(matmul(transpose(column), column).item() == 20'000'000);
  const Tensor<float> bias = parameter(zeros<float>({1}));
  linear(column, one, bias).backward({.seed = column});
  CHECK(bias.grad().item() == 20'000'000);
}

TEST_CASE_TEMPLATE("a row times a matrix is a row of the product, and so is a column", T, float, double) {
  random::seed(5);
  const double precise = 100 * std::numeric_limits<T>::epsilon();
  for (const std::size_t K : {70UL, 5000UL}) {  // the second is beyond what is left to gemv
    const auto a = random::normal<T>({3, K}), b = random::normal<T>({K, 40});
    const auto whole = matmul(a, b);
    const auto close = [&](const Tensor<T>& x, const Tensor<T>& y, double terms = 1) {
      check_close(x, y, precise, precise * std::sqrt(terms * static_cast<double>(K)));
    };
    const auto row = parameter<T>(slice(a, xt::range(1, 2))),
               column = parameter<T>(slice(b, xt::all(), xt::range(7, 8)));
    const Tensor<T> y = matmul(row, b), z = matmul(a, column), t = linear(row, transpose(b).detach());
    close(y, slice(whole, xt::range(1, 2)));
    close(t, y);
    close(linear(transpose(column), a), transpose(z));
    close(z, slice(whole, xt::all(), xt::range(7, 8)));
    for (int times = 1; times <= 2; ++times) {  // the second adds to the gradients
      sum(matmul(row, b) * y.detach()).backward();
      sum(matmul(a, column) * z.detach()).backward();
      // Sums of 40 and of 3 products, each with the rounding of a sum of K.
      close(row.grad(), static_cast<T>(times) * slice(matmul(whole, transpose(b)), xt::range(1, 2)), 40);
      close(column.grad(),
            static_cast<T>(times) * slice(matmul(transpose(a), whole), xt::all(), xt::range(7, 8)), 3);
    }
  }
}

TEST_CASE("adding at one place many times loses nothing") {
  const std::size_t n = 20'000'000;
  const Tensor<float> table = parameter(zeros<float>({2, 1}));
  const Tensor<float> y = take(table, std::vector<int>(n, 1), 0);
  y.backward({.seed = ones<float>({n, 1})});
  CHECK(table.grad().data()[1] == 20'000'000);
  const Tensor<float> x = scatter_add(zeros<float>({3}), std::vector<int>(n, 2), ones<float>({n}), 0);
  CHECK(x.data()[2] == 20'000'000);
}
