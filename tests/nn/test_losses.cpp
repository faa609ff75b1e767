// Losses: values, reductions, gradients, and what is refused.
#include <cmath>
#include <functional>

#include "../check_close.hpp"

#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;
using nn::Reduction;

TEST_CASE("losses and their reductions") {
  const auto a = parameter<double>({{1.0, 2.0}, {3.0, 5.0}});
  const Tensor<double> y{{1.0, 1.0}, {1.0, 1.0}};
  CHECK(nn::mse_loss(a, y).item() == doctest::Approx(21.0 / 4));
  CHECK(nn::mse_loss(a, y, Reduction::sum).item() == 21);
  CHECK(nn::mse_loss(a, y, Reduction::batch_mean).item() == 10.5);
  check_close(nn::mse_loss(a, y, Reduction::none), Tensor<double>{{0.0, 1.0}, {4.0, 16.0}}, 0);
  nn::half_squared_error(a, y).backward();
  check_close(a.grad(), (a - y).detach(), 0);
  check_close(nn::mse_loss(a, xt::xarray<double>{{1.0, 1.0}, {1.0, 1.0}}), nn::mse_loss(a, y), 0);
  CHECK_THROWS_WITH_AS(
      nn::mse_loss(a, Tensor<double>{1.0, 2.0, 3.0, 4.0}),
      "[mse_loss] shapes (2, 2) of the prediction and (4,) of the target differ: reshape the target", Error);
}

TEST_CASE("the recorded gradients of losses are the fused ones") {
  const Tensor<double> x{{0.1, -0.2, 0.5}, {1.0, 2.0, -1.0}}, y{{0.25, 0.5, 0.25}, {1.0, 0.0, 0.0}};
  using Loss = std::function<Tensor<double>(const Tensor<double>&, const Tensor<double>&, Reduction)>;
  for (const Reduction reduction : {Reduction::mean, Reduction::sum, Reduction::batch_mean, Reduction::none})
    for (const Loss& loss :
         {Loss([](auto&a, auto&b, Reduction r) { return nn::mse_loss(a, b, r); }),
          Loss([](auto&a, auto&b, Reduction r) { return nn::half_squared_error(a, b, r); }),
          Loss([](auto&a, auto&b, Reduction r) { return nn::binary_cross_entropy(sigmoid(a), b, r); }),
          Loss([](auto&a, auto&b, Reduction r) { return nn::binary_cross_entropy_with_logits(a, b, r); }),
          Loss([](auto&a, auto&, Reduction r) {
            return nn::cross_entropy(a, {2, 0}, r);
          }),
          Loss([](auto&a, auto&b, Reduction r) { return nn::cross_entropy(a, b, r); })}) {
      const Tensor<double> a = parameter(x), b = parameter(y), value = loss(a, b, reduction);
      const Tensor<double> seed = cos(value.detach() + 1);
      const std::vector<Tensor<double>> leaves{a, b};
      const auto fused = grad(value, leaves, {.seed = seed, .retain_tape = true});
      const auto recorded = grad(value, leaves, {.seed = seed, .create_graph = true});
      for (std::size_t i = 0; i < 2; ++i) check_close(recorded[i].detach(), fused[i], 1e-13, 1e-15);
    }
}

TEST_CASE("cross-entropies: integer and one-hot labels agree, and extremes stay finite") {
  const auto z = parameter<double>({{1.0, -2.0, 0.5}, {1000.0, 0.0, -1000.0}});
  const std::vector<int> labels{2, 0};
  const Tensor<double> rows{{0.0, 0.0, 1.0}, {1.0, 0.0, 0.0}};
  const Tensor<double> from_labels = nn::cross_entropy(z, labels, Reduction::none);
  check_close(nn::cross_entropy(z, rows, Reduction::none), from_labels, 1e-14);
  check_close(nn::cross_entropy(z, xt::xarray<double>(rows.value()), Reduction::none), from_labels, 1e-14);
  check_close(nn::cross_entropy(z, xt::xarray<int>{{0, 0, 1}, {1, 0, 0}}, Reduction::none), from_labels,
              1e-14);
  check_close(nn::cross_entropy(z, xt::xarray<std::size_t>{2, 0}, Reduction::none), from_labels, 1e-14);
  CHECK(from_labels.value()(1) == 0);
  const auto g = grad(nn::cross_entropy(z, labels), z);
  check_close(g, (softmax(z, 1) - rows).detach() / 2, 1e-14, 1e-16);
  CHECK(check_gradients([&](const auto& in) { return nn::cross_entropy(in, labels, Reduction::none); },
                        Tensor<double>{{0.1, -0.2, 0.5}, {1.0, 2.0, -1.0}}, {.order = 2})
            .passed);
  // An impossible class that does not occur costs nothing; one that occurs costs everything.
  const auto never = parameter<double>({{0.0, -std::numeric_limits<double>::infinity(), 1.0}});
  const Tensor<double> third{{0.0, 0.0, 1.0}}, second{{0.0, 1.0, 0.0}};
  const Tensor<double> cost = nn::cross_entropy(never, third);
  CHECK(cost.item() == doctest::Approx(nn::cross_entropy(never, std::vector<int>{2}).item()).epsilon(1e-15));
  check_close(grad(cost, never), (softmax(never, 1) - third).detach(), 1e-15);
  CHECK(nn::cross_entropy(never, second).item() == std::numeric_limits<double>::infinity());
  CHECK_THROWS_WITH_AS(
      nn::cross_entropy(z, Tensor<double>{2, 0}),
      doctest::Contains("[cross_entropy] the target of shape (2,) holds no rows: give class labels"), Error);
  CHECK_THROWS_WITH_AS(nn::cross_entropy(Tensor<double>{1, 2}, Tensor<double>{0, 1}),
                       "[cross_entropy] logits of shape (2,) are not (N, C)", Error);
  CHECK_THROWS_WITH_AS(nn::cross_entropy(z, {2, 3}),
                       "[cross_entropy] label 3 at 1 is not one of the 3 classes from 0", Error);
  CHECK_THROWS_WITH_AS(nn::cross_entropy(z, {-1, 0}),
                       "[cross_entropy] label -1 at 0 is not one of the 3 classes from 0", Error);
  CHECK_THROWS_WITH_AS(
      nn::cross_entropy(z, {1}),
      "[cross_entropy] labels of shape (1,) for logits of shape (2, 3): one label for each row is needed",
      Error);

  const double infinity = std::numeric_limits<double>::infinity();  // a masked class
  const auto masked = parameter<double>({{-infinity, 0.0, 0.0}});
  check_close(grad(nn::cross_entropy(masked, {1}), masked), Tensor<double>{{0.0, -0.5, 0.5}}, 1e-15);

  const auto logits = parameter<double>({0.0, 1000.0, -1000.0, 1000.0, -1000.0});
  const Tensor<double> target{1.0, 1.0, 0.0, 0.0, 1.0};
  check_close(nn::binary_cross_entropy_with_logits(logits, target, Reduction::none),
              {std::log(2.0), 0.0, 0.0, 1000.0, 1000.0}, 1e-15);
  check_close(grad(nn::binary_cross_entropy_with_logits(logits, target, Reduction::sum), logits),
              {-0.5, 0.0, 0.0, 1.0, -1.0}, 1e-15);
  const auto p = parameter<double>({0.0, 1.0, 0.25});
  const Tensor<double> loss = nn::binary_cross_entropy(p, {0.0, 1.0, 1.0}, Reduction::none);
  check_close(loss, {0.0, 0.0, -std::log(0.25)}, 1e-15);
  check_close(grad(sum(loss), p), {0.0, 0.0, -4.0}, 1e-15);
  CHECK(check_gradients(
            [](const std::vector<Tensor<double>>& x) {
              return nn::binary_cross_entropy(sigmoid(x[0]), sigmoid(x[1]));
            },
            {Tensor<double>{0.3, -1.0}, Tensor<double>{0.5, 1.0}}, {.order = 2})
            .passed);
  CHECK(check_gradients(
            [](const std::vector<Tensor<double>>& x) {
              return nn::binary_cross_entropy_with_logits(x[0], x[1]);
            },
            {Tensor<double>{0.3, -1.0}, Tensor<double>{0.5, 1.0}}, {.order = 2})
            .passed);
}

TEST_CASE("labels of two axes are one-hot rows only where they have the shape of the logits") {
  const Tensor<double> z = zeros<double>({6, 5});
  CHECK_THROWS_WITH_AS(
      nn::cross_entropy(z, xt::xarray<int>{{0, 1, 2}, {3, 4, 0}}),
      "[cross_entropy] labels of shape (2, 3) for logits of shape (6, 5): one label for each "
      "row is needed: reshape them to (6,)",
      Error);
  CHECK_THROWS_WITH_AS(
      nn::cross_entropy(z, xt::xarray<int>(xt::zeros<int>({6, 1}))),
      "[cross_entropy] labels of shape (6, 1) for logits of shape (6, 5): one label for each "
      "row is needed: reshape them to (6,)",
      Error);
  CHECK_THROWS_WITH_AS(
      nn::cross_entropy(z, xt::xarray<int>{{0, 1, 0}, {1, 0, 0}}),
      "[cross_entropy] labels of shape (2, 3) for logits of shape (6, 5): one label for each "
      "row is needed: reshape them to (6,)",
      Error);
  const Tensor<double> square = zeros<double>({2, 3});
  CHECK_THROWS_WITH_AS(
      nn::cross_entropy(square, xt::xarray<int>{{1, 0, 0}, {0, 1, 2}}),
      "[cross_entropy] row 1 of the integers of shape (2, 3) is not one-hot: give one label for "
      "each row of the logits, or a distribution as floating-point numbers",
      Error);
  CHECK(nn::cross_entropy(square, xt::xarray<int>{{1, 0, 0}, {0, 0, 1}}).item() ==
        doctest::Approx(std::log(3.0)));
}
