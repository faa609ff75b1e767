// Losses: values, reductions, gradients, and what is refused.
#include <cmath>
#include <functional>
#include <limits>
#include <map>

#include "../check_close.hpp"
#include "golden_nn.hpp"

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
  CHECK_THROWS_WITH_AS(nn::cross_entropy(Tensor<double>(1), Tensor<double>(1)),
                       "[cross_entropy] logits of shape () have no axis of classes", Error);
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

namespace {

Indices labels_of(const Tensor<double>& y) {
  std::vector<std::ptrdiff_t> all;
  for (const double label : y) all.push_back(static_cast<std::ptrdiff_t>(label));
  if (y.rank() == 1) return all;
  return xt::xarray<std::ptrdiff_t>(
      xt::adapt(all, std::vector<std::size_t>(y.shape().begin(), y.shape().end())));
}

using GoldenLoss = std::function<Tensor<double>(const Tensor<double>&, const Tensor<double>&, Reduction)>;

std::map<std::string, GoldenLoss> golden_losses() {
  const Tensor<double> weight{0.5, 2.0, 1.25, 0.1}, pos_weight{0.5, 3.0, 1.0, 2.0};
  const auto cross_entropy = [](nn::CrossEntropyOptions<double> options) {
    return [options](const auto& x, const auto& y, Reduction reduction) {
      auto o = options;
      o.reduction = reduction;
      return nn::cross_entropy(x, labels_of(y), o);
    };
  };
  return {
      {"cross_entropy", cross_entropy({})},
      {"cross_entropy/ignore_index", cross_entropy({.ignore_index = -1})},
      {"cross_entropy/weight", cross_entropy({.weight = weight})},
      {"cross_entropy/label_smoothing", cross_entropy({.label_smoothing = 0.2})},
      {"cross_entropy/all", cross_entropy({.ignore_index = -1, .label_smoothing = 0.3, .weight = weight})},
      {"binary_cross_entropy_with_logits/pos_weight",
       [=](const auto& x, const auto& y, Reduction r) {
         return nn::binary_cross_entropy_with_logits(x, y, {.pos_weight = pos_weight, .reduction = r});
       }},
      {"l1_loss", [](const auto& x, const auto& y, Reduction r) { return nn::l1_loss(x, y, r); }},
      {"huber_loss", [](const auto& x, const auto& y, Reduction r) { return nn::huber_loss(x, y, 1, r); }},
      {"huber_loss/delta",
       [](const auto& x, const auto& y, Reduction r) { return nn::huber_loss(x, y, 0.4, r); }},
      {"kl_div",
       [](const auto& x, const auto& y, Reduction r) { return nn::kl_div(log_softmax(x, 1), y, r); }},
  };
}

}  // namespace

TEST_CASE("losses and their options give PyTorch's values and derivatives, recorded, compiled and forward") {
  const std::map<std::string, Reduction> reductions{
      {"mean", Reduction::mean}, {"sum", Reduction::sum}, {"none", Reduction::none}};
  const auto all = golden_losses();
  const Json& rows = golden_nn().at("losses");
  CHECK(rows.size() == all.size());
  for (const auto& [id, f] : all) {
    const std::string& name = id;  // Clang 14 captures no binding
    const GoldenLoss& loss = f;
    CAPTURE(name);
    const Json& row = rows.at(name);
    const Tensor<double> y = tensor(row.at("y")), v = tensor(row.at("direction"));
    for (const auto& [text, which] : reductions) {
      const Reduction reduction = which;
      const std::string& kind = text;
      CAPTURE(kind);
      const Json& expected = row.at("reductions").at(kind);
      const auto x = parameter(tensor(row.at("x")));
      const Tensor<double> seed = tensor(expected.at("seed"));
      const auto of_x = [&](const Tensor<double>& in) { return loss(in, y, reduction); };
      const Tensor<double> value = of_x(x);
      check_close(value, tensor(expected.at("value")), 1e-13, 1e-15);
      const Tensor<double> first = grad(value, x, {.seed = seed, .create_graph = true});
      check_close(first.detach(), tensor(expected.at("first")), 1e-12, 1e-14);
      const Tensor<double> product = sum(first * v);
      const Tensor<double> second = product.requires_grad() ? grad(product, x) : zeros<double>(x.shape());
      check_close(second, tensor(expected.at("second")), 1e-12, 1e-14);
      const Tensor<double> along = sum(seed * jvp(of_x, x.detach(), v).second);
      check_close(along, sum(tensor(expected.at("first")) * v), 1e-12, 1e-13);
      const auto compiled = compile(of_x);
      const Tensor<double> again = compiled(x);
      check_close(again, value.detach(), 0);
      check_close(grad(again, x, {.seed = seed}), first.detach(), 1e-15, 1e-16);
    }
  }
}

TEST_CASE("options of cross_entropy: labels of any rank, what is ignored, and what is refused") {
  const double infinity = std::numeric_limits<double>::infinity(), nan = std::nan("");
  const Tensor<double> z = random::normal<double>({2, 3, 4});
  const xt::xarray<int> labels{{1, 0, 2}, {3, 3, 0}};
  const Tensor<double> rows = nn::cross_entropy(z, labels, Reduction::none);
  CHECK(rows.shape() == Shape{2, 3});
  check_close(nn::cross_entropy(slice(z, 1, 2), 0, Reduction::none), slice(rows, 1, 2), 0);
  check_close(nn::cross_entropy(z, labels, Reduction::batch_mean), sum(rows) / 2, 1e-15);
  check_close(nn::cross_entropy(z, labels, {.reduction = Reduction::batch_mean}), sum(rows) / 2, 1e-15);
  check_close(nn::cross_entropy(z, one_hot<double>(labels, 4), Reduction::none), rows, 1e-14);
  check_close(nn::cross_entropy(z, labels, {}), mean(rows), 1e-15);

  // A row that is ignored may hold anything.
  const auto filled = parameter<double>({{0.5, 1.5}, {nan, infinity}, {0.5, 2.5}});
  const Tensor<double> loss = nn::cross_entropy(filled, {1, -100, 0}, {.ignore_index = -100});
  check_close(loss, nn::cross_entropy(Tensor<double>{{0.5, 1.5}, {0.5, 2.5}}, {1, 0}), 1e-15);
  CHECK_THROWS_WITH_AS(nn::cross_entropy(filled, {1, -1, 0}, {.ignore_index = -100}),
                       "[cross_entropy] label -1 at 1 is not one of the 2 classes from 0", Error);
  CHECK_THROWS_WITH_AS(nn::cross_entropy(filled, {2, 2, 2}, {.ignore_index = 2}),
                       "[cross_entropy] all of the 3 labels are 2, the ignore_index, so that there is no "
                       "mean: leave the batch out",
                       Error);
  CHECK(nn::cross_entropy(filled, {2, 2, 2}, {.ignore_index = 2, .reduction = Reduction::sum}).item() == 0);
  // In a program the labels of a call decide.
  const auto compiled = compile([](const Tensor<double>& x, const Indices& y) {
    return nn::cross_entropy(x, y, {.ignore_index = -100});
  });
  const Tensor<double> logits{{1, 2}, {3, 5}, {2, 1}};
  for (const Indices& y : {Indices{0, 1, -100}, Indices{-100, 1, 1}})
    check_close(compiled(logits, y), nn::cross_entropy(logits, y, {.ignore_index = -100}), 0);
  CHECK_THROWS_AS(compiled(logits, Indices{-100, -100, -100}), Error);
  // The weight of a class may be learned.
  CHECK(
      check_gradients(
          [&](const auto& w) { return nn::cross_entropy(z, labels, {.label_smoothing = 0.1, .weight = w}); },
          Tensor<double>{1, 2, 0.5, 3}, {.order = 2})
          .passed);

  CHECK_THROWS_WITH_AS(
      nn::cross_entropy(transpose(z, {0, 2, 1}), labels),
      "[cross_entropy] labels of shape (2, 3) for logits of shape (2, 4, 3): one label for "
      "each row is needed, and rows are along the last axis: move that of the classes there, "
      "by moveaxis",
      Error);
  CHECK_THROWS_WITH_AS(
      nn::cross_entropy(z, labels, {.weight = Tensor<double>{1, 2, 3}}),
      "[cross_entropy] a weight of shape (3,) for logits of shape (2, 3, 4): it must be (4,)", Error);
  CHECK_THROWS_WITH_AS(nn::cross_entropy(z, labels, {.label_smoothing = 1.5}),
                       "[cross_entropy] the label smoothing 1.5 is not in [0, 1]", Error);
}

TEST_CASE("l1, Huber, KL and pos_weight: corners, recorded targets, and what is refused") {
  const auto a = parameter<double>({0.0, 2.0, -3.0, 1.0});
  const Tensor<double> target{0.0, 1.0, 0.0, 1.5};
  CHECK(nn::l1_loss(a, target).item() == 4.5 / 4);
  check_close(grad(nn::l1_loss(a, target, Reduction::sum), a), {0.0, 1.0, -1.0, -1.0}, 0);
  check_close(nn::huber_loss(a, target, 1, Reduction::none), {0.0, 0.5, 2.5, 0.125}, 1e-15);
  check_close(grad(nn::huber_loss(a, target, 1, Reduction::sum), a), {0.0, 1.0, -1.0, -0.5}, 0);
  CHECK_THROWS_WITH_AS(nn::huber_loss(a, target, 0), "[huber_loss] delta 0 is not positive", Error);
  CHECK_THROWS_AS(nn::l1_loss(a, Tensor<double>{1.0}), Error);
  CHECK_THROWS_AS(nn::kl_div(a, Tensor<double>{1.0}), Error);
  const Tensor<double> p{{0.5, 0.5}, {1.0, 0.0}}, q{{0.25, 0.75}, {0.5, 0.5}};
  CHECK(nn::kl_div(log(q), p, Reduction::batch_mean).item() ==
        doctest::Approx((0.5 * std::log(2.0) + 0.5 * std::log(2.0 / 3) + std::log(2.0)) / 2));
  for (const auto& loss : {std::function<Tensor<double>(const std::vector<Tensor<double>>&)>(
                               [](const auto& x) { return nn::kl_div(x[0], sigmoid(x[1])); }),
                           {[](const auto& x) {
                             return nn::binary_cross_entropy_with_logits(x[0], sigmoid(x[1]),
                                                                         {.pos_weight = exp(x[1])});
                           }},
                           {[](const auto& x) { return nn::huber_loss(x[0], x[1], 0.7); }}})
    CHECK(
        check_gradients(loss, {Tensor<double>{0.3, -1.0, 0.2}, Tensor<double>{0.5, 1.0, -1.5}}, {.order = 2})
            .passed);
  const Tensor<double> z{{1.0, -2.0}}, y{{1.0, 0.0}};
  check_close(nn::binary_cross_entropy_with_logits(z, y, {}), nn::binary_cross_entropy_with_logits(z, y), 0);
  check_close(nn::binary_cross_entropy_with_logits(z, y, {.reduction = Reduction::sum}),
              nn::binary_cross_entropy_with_logits(z, y, Reduction::sum), 0);
  CHECK_THROWS_WITH_AS(nn::binary_cross_entropy_with_logits(z, y, {.pos_weight = Tensor<double>{1, 2, 3}}),
                       doctest::Contains("(3,)"), Error);
  CHECK_THROWS_WITH_AS(nn::binary_cross_entropy_with_logits(z, y, {.pos_weight = ones<double>({3, 2})}),
                       "[binary_cross_entropy_with_logits] a pos_weight of shape (3, 2) does not broadcast "
                       "to the shape (1, 2) "
                       "of the logits",
                       Error);
}
