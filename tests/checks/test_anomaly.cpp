// DetectAnomaly: the operation where the first NaN or infinity began, and what stays whole when it throws.
#include <limits>
#include <sstream>
#include <thread>

#include "../check_close.hpp"

#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
const double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// What f() throws under the scope.
template <class F>
Anomaly anomaly_of(F&& f, AnomalyOptions options = {}) {
  const DetectAnomaly scope(options);
  try {
    f();
  } catch (const AnomalyError& error) { return error.anomaly; }
  FAIL("nothing was found");
  return {};
}

}  // namespace

TEST_CASE_TEMPLATE("forward: the operation, its element and the shapes that went in", T, float, double) {
  const auto x = parameter<T>({{1.0, 2.0, 3.0}, {4.0, 0.0, -1.0}});
  const DetectAnomaly scope;
  CHECK_THROWS_WITH_AS(
      mean(square(log(x))),
      "[log] forward gave -inf at (1, 1) of its result (2, 3), from inputs (2, 3): what went "
      "in was finite, so it began here",
      AnomalyError);
  CHECK(Tape::current().size() == 0);
  mean(square(x)).backward();  // the tape and the scope go on
  CHECK(x.has_grad());
}

TEST_CASE("forward: operations that are not recorded are seen too, each kind of them") {
  const Tensor<double> zero(0.0), x{1.0, 0.0};
  CHECK(anomaly_of([&] { zero / zero; }).op == "divide");
  CHECK_THROWS_WITH_AS(
      [&] {
        const DetectAnomaly scope;
        zero / zero;
      }(),
      "[divide] forward gave nan at () of its result (), from inputs (), (): what went in was finite, so it "
      "began here",
      AnomalyError);
  const auto w = parameter<double>({1.0, 0.0});
  CHECK(anomaly_of([&] {
          const NoGrad no_grad;
          1.0 / w;
        }).op == "divide");
  CHECK(anomaly_of([&] { map([](auto t) { return 1.0 / t; }, x); }).op == "map");
  CHECK(anomaly_of([&] { custom<double>("mine", {w}, {1.0, not_a_number}, {}); }).op == "mine");
  CHECK(anomaly_of([&] { checkpoint([](const Tensor<double>& t) { return log(t); }, w); }).op == "log");
  CHECK(anomaly_of([&] {
          batch_norm(Tensor<double>{{0}, {0}, {0}, {0}, {1}}, {1e308}, {0.0});
        }).op == "batch_norm");
  const Anomaly joined = anomaly_of([&] { concatenate({x, Tensor<double>{1.0, infinity, not_a_number}}); });
  CHECK(joined.op == "concatenate");
  CHECK(joined.inputs == "(2,), (3,)");
  CHECK(joined.index == Shape{3});
  CHECK(joined.bad_before == "input 1 was inf at (1,)");
  CHECK(!joined.began_here());
  const Anomaly view = anomaly_of([&] { reshape(Tensor<double>{1.0, 2.0, 3.0, not_a_number}, {2, 2}); });
  CHECK(view.op == "reshape");
  CHECK(view.index == Shape{1, 1});
  CHECK(std::isnan(view.value));
}

TEST_CASE("forward: data that is bad already is told from what an operation makes") {
  const auto W = parameter<double>({{1.0, 2.0}});
  const DetectAnomaly scope;
  CHECK_THROWS_WITH_AS(
      linear(Tensor<double>{{1.0, not_a_number}}, W),
      "[matmul] forward gave nan at (0, 0) of its result (1, 1), from inputs (1, 2), (1, 2): "
      "input 0 was nan at (0, 1), so it began before",
      AnomalyError);
}

TEST_CASE("backward: the rule, the input whose gradient it is, and nothing half changed") {
  auto a = parameter<double>({4.0, 0.0}), b = parameter<double>({1.0, 1.0});
  sum(a * b).backward();
  const Tensor<double> before_a = a.grad(), before_b = b.grad();
  const Tensor<double> copy_a = before_a + 0.0, copy_b = before_b + 0.0;
  {
    const Tensor<double> root = sqrt(a);
    const Tensor<double> loss = sum(root * b + b);
    const DetectAnomaly scope;
    CHECK_THROWS_WITH_AS(
        loss.backward(),
        "[sqrt] backward gave inf at (1,) of the gradient (2,) of input 0, from inputs (2,): "
        "what went in was finite, so it began here",
        AnomalyError);
    check_close(a.grad(), copy_a, 0);
    check_close(b.grad(), copy_b, 0);
  }
  CHECK(Tape::current().size() == 0);
  a.zero_grad();
  sum(a * a).backward();
  check_close(a.grad(), {8.0, 0.0}, 0);
}

TEST_CASE("backward: kept values, constants, seeds and the other ways to differentiate") {
  const auto x = parameter<double>({1.0, 0.0});
  const Tensor<double> y = sum(log(x));  // recorded outside: the scope sees the backward pass alone
  const Anomaly anomaly = anomaly_of([&] { y.backward(); });
  CHECK(anomaly.op == "log");
  CHECK(anomaly.is_backward);
  CHECK(anomaly.began_here());
  CHECK(!x.has_grad());

  const auto one = parameter<double>({1.0, 1.0});
  const Tensor<double> product = sum(one * Tensor<double>{1.0, not_a_number});
  const Anomaly kept = anomaly_of([&] { product.backward(); });
  CHECK(kept.op == "multiply");
  CHECK(kept.bad_before == "input 1 was nan at (1,)");
  CHECK(kept.inputs == "(2,), (2,)");

  const Anomaly seed = anomaly_of([&] { (one * 2.0).backward({.seed = {infinity, 1.0}}); });
  CHECK(seed.bad_before == "the adjoint was inf at (0,)");

  CHECK(anomaly_of([&] { grad(sum(sqrt(x)), x); }).op == "sqrt");
  CHECK(anomaly_of([&] { grad(sum(sqrt(x)), {x}, {.create_graph = true}); }).op == "sqrt");
  CHECK(anomaly_of([&] {
          sum(checkpoint([](const Tensor<double>& t) { return sqrt(t); }, x)).backward();
        }).op == "sqrt");
  CHECK(anomaly_of([&] {
          sum(custom<double>("mine", {x}, {1.0, 1.0}, [&](const Tensor<double>& g) {
            return std::vector{g / x.detach()};
          })).backward();
        }).op == "mine");
  CHECK(!x.has_grad());
}

TEST_CASE("what a rule masks on its way is no anomaly") {
  const auto x = parameter<double>({0.0, 3.0, 4.0});
  const DetectAnomaly scope;
  const Tensor<double> zero = parameter<double>({0.0, 0.0});
  grad(norm(zero), {zero}, {.create_graph = true});
  grad(sum(pow(x, 2.0)), {x}, {.create_graph = true});
  grad(sum(where(x > 0, x, 0 * x)), {x}, {.create_graph = true});
}

TEST_CASE("infinities may be left out, for masks") {
  const auto z = parameter<double>({{1.0, -infinity, 2.0}});
  CHECK(anomaly_of([&] { z * 1.0; }).op == "multiply");
  const DetectAnomaly scope({.infinity = false});
  sum(softmax(z * 1.0, 1)).backward();
  CHECK_THROWS_AS(z - z, AnomalyError);
}

TEST_CASE("empty and large arrays, ends of the range, scopes and threads") {
  {
    const DetectAnomaly scope;
    exp(Tensor<double>(zeros<double>({0, 3})));
    CHECK((Tensor<float>(std::numeric_limits<float>::max()) * 1.0f).item() > 0);
    CHECK((Tensor<double>(std::numeric_limits<double>::denorm_min()) * 1.0).item() > 0);
    std::thread([] { log(Tensor<double>(0.0)); }).join();
    Profile profile;  // both see what happens, in either order
    CHECK_THROWS_AS(log(Tensor<double>(0.0)), AnomalyError);
    exp(Tensor<double>(0.0));
    CHECK(profile.rows().size() == 2);
  }
  log(Tensor<double>(0.0));
  Tensor<double> large = ones<double>({3, 1000});
  large.mutable_data()[2500] = -1;
  CHECK(anomaly_of([&] { sqrt(large); }).index == Shape{2, 500});
}

TEST_CASE("a training loop that breaks names the operation that began it") {
  random::seed(3);
  nn::Sequential<double> model(nn::Linear<double>(2, 4), nn::Sigmoid<double>(), nn::Linear<double>(4, 1));
  const Tensor<double> x{{1.0, 0.5}};
  const Anomaly anomaly = anomaly_of([&] { mean(log(0.0 * model(x))).backward(); });
  CHECK(anomaly.op == "log");
  CHECK(anomaly.inputs == "(1, 1)");
  for (const auto& p : model.parameters()) CHECK(!p.has_grad());
}
