// The checkers, tested on wrong derivatives: they must find each.
#include <cmath>
#include <sstream>

#include "../check_close.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

using Rule = std::function<Tensor<double>(const Tensor<double>& x, const Tensor<double>& g)>;

/// The function sin(x) + x², with this rule for its gradient.
auto with_rule(Rule rule) {
  return [rule](const Tensor<double>& x) {
    const Tensor<double> c = x.detach();
    return custom<double>("wrong", {x}, sin(c) + c * c, [x, rule](const Tensor<double>& g) {
      return std::vector<Tensor<double>>{rule(x, g)};
    });
  };
}

const Tensor<double> point{{0.3, -0.8}, {1.2, 2.1}};

std::string text(const GradientReport& report) {
  std::ostringstream out;
  out << report;
  return out.str();
}

}  // namespace

TEST_CASE("a right rule passes, at orders 1 and 2") {
  const auto f = with_rule([](const auto& x, const auto& g) { return g * (cos(x) + 2 * x); });
  for (const int order : {1, 2}) {
    const GradientReport report = check_gradients(f, point, {.order = order});
    CHECK_MESSAGE(report.passed, report);
    CHECK(report.compared == (order == 1 ? 16 : 32));
    CHECK(text(report).starts_with("gradients agree: "));
  }
}

TEST_CASE("wrong rules are caught with the default tolerances") {
  const std::vector<std::pair<std::string, Rule>> wrong{
      {"0.1 % off", [](const auto& x, const auto& g) { return 1.001 * g * (cos(x) + 2 * x); }},
      {"0.1 % below", [](const auto& x, const auto& g) { return 0.999 * g * (cos(x) + 2 * x); }},
      {"a missing term", [](const auto& x, const auto& g) { return g * cos(x) + 0 * x; }},
      {"a transposed result", [](const auto& x, const auto& g) { return transpose(g * (cos(x) + 2 * x)); }},
      {"a sign", [](const auto& x, const auto& g) { return -g * (cos(x) + 2 * x); }},
      {"zero", [](const auto& x, const auto& g) { return 0 * g * x; }},
      {"not a number", [](const auto& x, const auto& g) { return g * log(x); }},
  };
  for (const auto& entry : wrong) {
    CAPTURE(entry.first);
    const Rule& rule = entry.second;
    const GradientReport full = check_gradients(with_rule(rule), point);
    CHECK(!full.passed);
    CHECK(text(full).starts_with("gradients DIFFER"));
    const GradientReport projected = check_gradients(with_rule(rule), point, {.full_limit = 0});
    CHECK(!projected.passed);
  }
}

TEST_CASE("a rule that is right at first order and wrong at second is caught by order 2") {
  const auto f = with_rule([](const auto& x, const auto& g) { return g * (cos(x.detach()) + 2 * x); });
  CHECK(check_gradients(f, point).passed);
  const GradientReport report = check_gradients(f, point, {.order = 2});
  CHECK(!report.passed);
  CHECK(report.order == 2);
}

TEST_CASE("a rule that is wrong only where it is recorded is caught by order 2") {
  const auto f = with_rule([](const auto& x, const auto& g) {
    const Tensor<double> right = g * (cos(x) + 2 * x);
    return right.requires_grad() ? right + sin(x) : right;  // with the derivative of its own mistake
  });
  CHECK(check_gradients(f, point).passed);
  const GradientReport report = check_gradients(f, point, {.order = 2});
  CHECK(!report.passed);
  CHECK(report.order == 1);
  CHECK(report.note == "the gradient is right; wrong is the one that create_graph records");
}

TEST_CASE("the report names the worst input, index and both values") {
  const auto f = [](const std::vector<Tensor<double>>& x) {
    return custom<double>("wrong", {x[0], x[1]}, sum(x[0].detach()) + sum(square(x[1].detach())),
                          [x](const Tensor<double>& g) {
                            const Tensor<double> bump{{0.0, 0.0, 0.0}, {0.0, 0.0, 0.5}};
                            return std::vector<Tensor<double>>{g * ones<double>({2}), g * (2 * x[1] + bump)};
                          });
  };
  const GradientReport report =
      check_gradients(f, {Tensor<double>{1.0, 2.0}, Tensor<double>{{1.0, 2.0, 3.0}, {4.0, 5.0, 6.0}}});
  CHECK(!report.passed);
  CHECK(report.mismatches == 1);
  CHECK(report.worst.input == 1);
  CHECK(report.worst.index == "(1, 2)");
  CHECK(report.worst.analytic == doctest::Approx(12.5));
  CHECK(report.worst.numeric == doctest::Approx(12));
  CHECK(text(report).find("worst, order 1: input 1 at (1, 2), output (): analytic 12.5, numeric 1") !=
        std::string::npos);
}

TEST_CASE("0.1 % is found in a small gradient beside a large one") {
  const auto f = [](const std::vector<Tensor<double>>& x) {
    return custom<double>("wrong", {x[0], x[1]},
                          sum(1000 * square(x[0].detach())) + sum(square(x[1].detach())),
                          [x](const Tensor<double>& g) {
                            return std::vector<Tensor<double>>{g * 2000 * x[0], g * 2.002 * x[1]};
                          });
  };
  const GradientReport report = check_gradients(f, {Tensor<double>{1.0, 2.0}, Tensor<double>{0.5, 0.6}});
  CHECK(!report.passed);
  CHECK(report.factor == doctest::Approx(1.001).epsilon(1e-5));
}

TEST_CASE("kinks are named, and any value between the slopes passes there") {
  const Tensor<double> x{-1.0, 0.0, 2.0};
  const GradientReport report = check_gradients([](const auto& a) { return relu(a); }, x);
  CHECK(report.passed);
  REQUIRE(report.kinks.size() == 1);
  CHECK(report.kinks[0].index == "(1,)");
  CHECK(report.kinks[0].left == doctest::Approx(0));
  CHECK(report.kinks[0].right == doctest::Approx(1));
  CHECK(text(report).find("kink: input 0 at (1,), output (1,): slope 0 from the left, 1 from the right") !=
        std::string::npos);
  const auto beyond = [](const Tensor<double>& a) {
    return custom<double>("relu", {a}, relu(a.detach()), [a](const Tensor<double>& g) {
      return std::vector<Tensor<double>>{g * where(equal(a, 0), 2, a > 0)};
    });
  };
  CHECK(!check_gradients(beyond, x).passed);
}

TEST_CASE("a comparison in which everything is zero is called out and does not pass") {
  const GradientReport report =
      check_gradients([](const auto& a) { return sum(a.detach()); }, Tensor<double>{1.0, 2.0});
  CHECK(report.passed == false);
  const GradientReport zero = check_gradients([](const auto& a) { return 0 * a; }, Tensor<double>{1.0, 2.0});
  CHECK(!zero.passed);
  CHECK(zero.all_zero);
  CHECK(text(zero).find("every value compared is 0") != std::string::npos);
  CHECK(check_gradients([](const auto& a) { return 3 * a; }, Tensor<double>{1.0, 2.0}, {.order = 2}).passed);
}

TEST_CASE("the step fits the size of the input, however large or small") {
  const auto check = [](const auto& f, double x, int order = 2) {
    CAPTURE(x);
    for (const std::size_t full_limit : {10'000u, 0u}) {  // entry by entry, and along a direction
      const GradientReport report =
          check_gradients(f, Tensor<double>{x, 1.5 * x}, {.order = order, .full_limit = full_limit});
      CHECK_MESSAGE(report.passed, report);
    }
  };
  for (const double x : {1e-8, 1e-3, 1.0, 1e3, 1e8, 1e11, 1e15}) {
    check([](const auto& a) { return square(a); }, x);
    check([](const auto& a) { return sum(a * a * a); }, x);
    check([](const auto& a) { return sqrt(a); }, x, 1);
    check([](const auto& a) { return log(a); }, x, 1);
    check([](const auto& a) { return a + 1; }, x);
  }
  check([](const auto& a) { return sin(a); }, 1e8);  // here a step that grows with x would be too wide
  check([](const auto& a) { return exp(a); }, 30.0);
  check([](const auto& a) { return 1 / a; }, 1e-8, 1);
}

TEST_CASE("a wrong gradient is found at large and small inputs, too") {
  for (const double x : {1e-3, 1.0, 1e3, 1e8}) {
    CAPTURE(x);
    for (const double factor : {1.0015, 0.5, -1.0, 0.0}) {
      const auto f = [factor](const Tensor<double>& a) {
        return custom<double>("wrong", {a}, square(a.detach()), [a, factor](const Tensor<double>& g) {
          return std::vector<Tensor<double>>{g * 2 * factor * a};
        });
      };
      const GradientReport report = check_gradients(f, Tensor<double>{x, 1.5 * x}, {.atol = 1e-8});
      CHECK_MESSAGE(!report.passed, report);
      CHECK(text(report).starts_with("gradients DIFFER"));
    }
  }
}

TEST_CASE("where rounding hides the difference at every step, the report says so") {
  const auto f = [](const auto& a) { return sum(a) + 1e18; };
  const GradientReport report = check_gradients(f, Tensor<double>{1.0, 2.0});
  CHECK(!report.passed);
  CHECK(report.mismatches == 0);
  CHECK(report.unresolved == 2);
  CHECK(text(report).starts_with(
      "gradients UNKNOWN: 2 compared, 0 outside of the tolerance, 2 too coarse to tell"));
}

TEST_CASE("functions of several inputs take them as a list or one by one") {
  const Tensor<double> x{1.0, 2.0}, y{0.5, -1.0};
  CHECK(check_gradients([](const auto& in) { return sum(in[0] * in[1]); }, {x, y}).passed);
  CHECK(check_gradients<double>([](const auto& in) { return sum(in[0] * in[1]); }, {x, y}).passed);
  CHECK(check_gradients([](auto in) { return sum(in[0] * in[1]); }, std::vector{x, y}, {.order = 2}).passed);
  CHECK(check_gradients([](const auto& a, const auto& b) { return sum(a * b); }, {x, y}).passed);
  CHECK(
      check_gradients([](Tensor<double> a, const Tensor<double>& b, auto c) { return a * b + c; }, {x, y, x})
          .passed);
  CHECK(check_gradients([](const std::vector<Tensor<double>>& in) { return exp(in[0]); }, {x}).passed);
  CHECK_THROWS_WITH_AS(check_gradients([](const auto& a, const auto& b) { return a * b; }, {x, y, x}),
                       doctest::Contains("[check_gradients] f does not take 3 tensors"), Error);
}

TEST_CASE("large inputs are compared along random directions") {
  random::seed(2);
  const Tensor<double> A = random::normal<double>({60, 60}), B = random::normal<double>({60, 60});
  const GradientReport report =
      check_gradients([](const std::vector<Tensor<double>>& x) { return tanh(matmul(x[0], x[1]) * 0.1); },
                      {A, B}, {.order = 2});
  CHECK_MESSAGE(report.passed, report);
  CHECK(report.compared == 64);
  const auto transposed = [](const std::vector<Tensor<double>>& x) {
    return custom<double>(
        "matmul", {x[0], x[1]}, matmul(x[0].detach(), x[1].detach()), [x](const Tensor<double>& g) {
          return std::vector<Tensor<double>>{matmul(g, transpose(x[1])), matmul(g, transpose(x[0]))};
        });
  };
  const GradientReport wrong = check_gradients(transposed, {A, B});
  CHECK(!wrong.passed);
  CHECK(wrong.worst.input == 1);
}

TEST_CASE("float needs a step, and functions whose shape depends on values are refused") {
  CHECK_THROWS_WITH_AS(check_gradients([](const auto& a) { return exp(a); }, Tensor<float>{1.0f}),
                       doctest::Contains("[check_gradients] differences in float are too coarse"), Error);
  CHECK(check_gradients([](const auto& a) { return exp(a); }, Tensor<float>{1.0f, 0.5f},
                        {.step = 1e-3, .atol = 1e-3, .rtol = 1e-2})
            .passed);
  int calls = 0;
  CHECK_THROWS_WITH_AS(
      check_gradients([&](const auto& a) { return calls++ == 0 ? sum(a) : a * 1; }, Tensor<double>{1.0, 2.0}),
      doctest::Contains("[check_gradients] f returned shape ()"), Error);
}

TEST_CASE("compare_gradients: differences, cosines, shapes and factors") {
  const auto W = parameter<double>({{1.0, 2.0}, {3.0, 4.0}}), b = parameter<double>({1.0, 2.0});
  (sum(square(W)) + sum(b * b * b)).backward();
  const Tensor<double> right = 2 * W.detach();
  const auto table = compare_gradients<double>({{"W", W.grad(), right},
                                                {"half", W.grad(), right * 2},
                                                {"batch", W.grad(), right / 32},
                                                {"sign", W.grad(), -right},
                                                {"other", W.grad(), right + 1},
                                                {"shape", W.grad(), b.grad()},
                                                {"expression", b.grad(), 3 * xt::square(b.value())},
                                                {"nan", b.grad(), Tensor<double>{1.0, std::nan("")}}},
                                               {.batch_size = 32});
  CHECK(!table.passed);
  const auto& rows = table.rows;
  REQUIRE(rows.size() == 8);
  CHECK(rows[0].name == "W");
  CHECK(rows[0].passed);
  CHECK(rows[0].max_abs_difference == 0);
  CHECK(rows[0].cosine == doctest::Approx(1));
  CHECK(rows[0].hint.empty());
  CHECK(rows[1].hint.find("twice too large") == 0);
  CHECK(rows[2].hint.find("1/32 of the gradient") == 0);
  CHECK(rows[3].hint.find("the sign is reversed") == 0);
  CHECK(rows[3].cosine == doctest::Approx(-1));
  CHECK(rows[4].hint.empty());
  CHECK(rows[4].max_abs_difference == 1);
  CHECK(rows[4].max_rel_difference == doctest::Approx(1.0 / 9));
  CHECK(rows[5].hint == "shapes (2, 2) and (2,) differ");
  CHECK(rows[6].passed);
  CHECK(!rows[7].passed);
  const double infinity = std::numeric_limits<double>::infinity();
  const Tensor<double> A{{1.0, 2.0}, {3.0, 4.0}};
  const auto more =
      compare_gradients<double>({{"inf", Tensor<double>{1.0, 2.0}, Tensor<double>{infinity, 2.0}},
                                 {"inf", Tensor<double>{infinity}, Tensor<double>{infinity}},
                                 {"turned", A, transpose(A)},
                                 {"turned", ones<double>({2, 3}), ones<double>({3, 2})}});
  CHECK(!more.rows[0].passed);
  CHECK(!more.rows[1].passed);
  CHECK(more.rows[2].hint == "transposed: dW = δ aᵀ, not a δᵀ");
  CHECK(more.rows[3].hint.find("shapes (2, 3) and (3, 2) differ: transposed") == 0);

  for (const double size : {1e300, 1e-300}) {  // the squares are beyond the range of double
    const auto extremes = compare_gradients<double>(
        {{"same", size * A, size * A}, {"other", size * A, Tensor<double>{{3.0, 4.0}, {1.0, 2.0}}}});
    CHECK(extremes.rows[0].cosine == doctest::Approx(1));
    CHECK(extremes.rows[1].cosine == doctest::Approx(22.0 / 30));
  }

  std::ostringstream out;
  out << table;
  CHECK(out.str().find("DIFFERS: the sign is reversed") != std::string::npos);
}
