// Every operation checked by itself: right ones pass, a planted wrong rule is named and no other is blamed.
#include <cmath>
#include <sstream>

#include <autodiff/base/text.hpp>
#include "../check_close.hpp"
#include "../ops/op_table.hpp"

#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;

namespace {

/// x / (1 + |x|), whose derivative 1/(1 + |x|)² is multiplied by `factor`.
Tensor<double> softsign(const Tensor<double>& x, double factor = 1, const std::string& name = "softsign") {
  const Tensor<double> value = x.detach() / (1 + abs(x.detach()));
  return custom<double>(name, {x}, value, [x, factor](const Tensor<double>& g) {
    return std::vector<Tensor<double>>{factor * g / square(1 + abs(x.detach()))};
  });
}

std::vector<std::string> wrong(const AuditReport& report) {
  std::vector<std::string> names;
  for (const auto& row : report.rows)
    if (!row.passed) names.push_back(row.op);
  return names;
}

}  // namespace

TEST_CASE("every operation of the table passes an audit") {
  for (const OpRow& row : op_table()) {
    CAPTURE(row.id());
    bool checked = false;
    for (std::size_t set = 0; set < row.shapes.size(); ++set) {
      CAPTURE(set);
      Tensors x = sample(row, set);
      for (auto& one : x) one = parameter(one);
      if (!row.f(x).requires_grad() || row.f(x).is_leaf()) continue;  // nothing was recorded
      const AuditReport report = audit([&] { return row.f(x); });
      std::ostringstream text;
      text << report;
      CHECK_MESSAGE(report.passed, text.str());
      REQUIRE(!report.rows.empty());
      checked = checked || report.rows.back().checked;
    }
    CHECK(checked);
  }
  CHECK(Tape::current().size() == 0);
}

TEST_CASE("a wrong custom rule deep in a network is named, with its place and factor") {
  random::seed(7);
  std::vector<nn::Linear<double>> layers;
  for (int i = 0; i < 20; ++i) layers.emplace_back(6, 6);
  const Tensor<double> x = random::normal<double>({8, 6}), y = random::normal<double>({8, 6});
  const auto loss = [&](std::size_t wrong_layer, double factor) {
    return [&, wrong_layer, factor] {
      Tensor<double> h = x;
      for (std::size_t i = 0; i < layers.size(); ++i)
        h = softsign(layers[i](h), i == wrong_layer ? factor : 1);
      return nn::mse_loss(h, y);
    };
  };
  CHECK(audit(loss(20, 1)).passed);
  for (const double factor : {2.0, -1.0, 1.01, 0.0}) {
    const AuditReport report = audit(loss(11, factor));
    CAPTURE(factor);
    CHECK(!report.passed);
    REQUIRE(report.rows.size() == 41);
    CHECK(wrong(report) == std::vector<std::string>{"softsign"});
    const auto& row = report.rows[23];  // 11 layers of two operations, then linear and this one
    CHECK(!row.passed);
    CHECK(row.place == 24);
    CHECK(row.op == "softsign");
    CHECK(row.shapes == "(8, 6) -> (8, 6)");
    CHECK(row.error > 1e-3);
    CHECK(row.note == "its rule is wrong by the factor " + xtape::detail::number_text(factor));
    std::ostringstream text;
    text << report;
    CHECK(text.str().find(
              "41 operations, 1 with a wrong derivative\n  'softsign' at place 24, (8, 6) -> (8, 6): its "
              "rule is wrong by the factor") == 0);
  }
}

TEST_CASE("of two inputs one has a wrong gradient; a rule that throws is named too") {
  const auto a = parameter<double>({1.0, 2.0}), b = parameter<double>({3.0, -4.0});
  const auto with = [&](CustomRule<double> rule) {
    return audit([&] { return sum(exp(custom<double>("product", {a, b}, a.detach() * b.detach(), rule))); });
  };
  CHECK(with([&](const auto& g) { return std::vector<Tensor<double>>{g * b, g * a}; }).passed);
  const AuditReport swapped = with([&](const auto& g) { return std::vector<Tensor<double>>{g * a, g * b}; });
  CHECK(wrong(swapped) == std::vector<std::string>{"product"});
  CHECK(swapped.rows[0].note == "its rule is wrong");
  const AuditReport forgotten = with([&](const auto& g) { return std::vector<Tensor<double>>{g * b, {}}; });
  CHECK(wrong(forgotten) == std::vector<std::string>{"product"});
  const AuditReport few = with([&](const auto& g) { return std::vector<Tensor<double>>{g * b}; });
  CHECK(few.rows[0].note == "[product] the rule returned 1 gradients for 2 inputs");
  CHECK(few.rows[1].passed);
  const AuditReport none = with([&](const auto& g) {
    return std::vector<Tensor<double>>{g * std::nan(""), g * a};
  });
  CHECK(wrong(none) == std::vector<std::string>{"product"});
}

TEST_CASE("checkpoint, map, reshaped leaves, random numbers, and layers with a state") {
  random::seed(3);
  nn::Linear<double> layer(4, 4);
  const auto w = parameter(random::normal<double>({4, 4}));
  const Tensor<double> x = random::normal<double>({5, 4});
  const auto f = [&] {
    const Tensor<double> k = map([](auto a, auto b) { return a * b + sin(a); }, layer(x), 2.0);
    Tensor<double> h =
        checkpoint([&, k](const Tensor<double>& in) { return tanh(matmul(in, w)) * sum(k); }, sin(k));
    h = h * (random::uniform<double>({5, 4}) > 0.3);
    return sum(square(reshape(w, {2, 8}))) + logsumexp(batch_norm(h, ones<double>({4}), zeros<double>({4})));
  };
  const AuditReport report = audit(f);
  std::ostringstream text;
  text << report;
  CHECK_MESSAGE(report.passed, text.str());
  CHECK(std::ranges::count(report.rows, std::string("checkpoint"), &AuditReport::Row::op) == 1);
}

TEST_CASE("a kink is left out, and rounding is not called right") {
  const auto x = parameter<double>({0.0, 1.0, -1.0});
  const AuditReport report = audit([&] { return sum(relu(x)); });
  CHECK(report.passed);
  CHECK(report.rows[0].note == "without 1 of 3 elements, which are at a kink, not finite or too curved");
  const AuditReport wrong_elsewhere = audit([&] {
    return sum(custom<double>("kinked", {x}, relu(x.detach()), [&](const auto& g) {
      return std::vector<Tensor<double>>{2 * g * (x.detach() > 0)};
    }));
  });
  CHECK(wrong(wrong_elsewhere) == std::vector<std::string>{"kinked"});
  const auto far = parameter<double>({-5.0, -6.0});
  const AuditReport dead = audit([&] { return sum(relu(far)); });
  CHECK(dead.passed);
  CHECK(!dead.rows[0].checked);
}

TEST_CASE("what reads a constant that moves with the leaves is not checked, and never blamed") {
  const auto p = parameter<double>({0.5, -1.5, 2.0});
  const auto row = [](const AuditReport& report, const std::string& op) {
    return *std::ranges::find(report.rows, op, &AuditReport::Row::op);
  };
  const std::string note =
      "an input from detach() or NoGrad moves with the leaves, and its derivative is left out";
  const AuditReport detached = audit([&] { return sum(p * (p - mean(p)).detach()); });
  CHECK(detached.passed);
  CHECK(row(detached, "multiply").note == note);
  CHECK(!row(detached, "multiply").checked);
  CHECK(row(detached, "sum").checked);
  const AuditReport target = audit([&] {
    const Tensor<double> y = [&] {
      const NoGrad no_grad;
      return Tensor<double>(tanh(p));
    }();
    return sum(square(sin(p) - y));
  });
  CHECK(target.passed);
  CHECK(row(target, "subtract").note == note);
  CHECK(row(target, "sin").checked);
  const AuditReport straight_through = audit([&] { return sum(p + (sign(p) - p).detach()); });
  CHECK(straight_through.passed);
  CHECK(row(straight_through, "add").note == note);
}

TEST_CASE("a leaf that the function makes is not moved, and the operation is checked without it") {
  const auto p = parameter<double>({0.5, -1.5, 2.0});
  const auto f = [&](double factor) {
    return audit([&, factor] {
      const auto inner = parameter<double>({1.0, 2.0, 3.0});
      return sum(custom<double>(
          "product", {p, inner}, p.detach() * inner.detach(), [&, inner, factor](const auto& g) {
            return std::vector<Tensor<double>>{factor * g * inner.detach(), g * p.detach()};
          }));
    });
  };
  CHECK(f(1).passed);
  CHECK(f(1).rows[0].checked);
  CHECK(wrong(f(2)) == std::vector<std::string>{"product"});
}

TEST_CASE("a frozen leaf counts as a constant, and one of −∞ as what does not move") {
  auto p = parameter<double>({0.5, -1.5, 2.0}), q = parameter<double>({1.0, 2.0, 3.0});
  q.set_requires_grad(false);
  CHECK(audit([&] { return sum(square(p * q)); }).passed);
  const Tensor<double> hidden{0, -std::numeric_limits<double>::infinity(), 0};
  const AuditReport masked = audit([&] { return sum(square(softmax(p + hidden))); });
  CHECK(masked.passed);
  CHECK(std::ranges::all_of(masked.rows, &AuditReport::Row::checked));
}

TEST_CASE("a function whose values change from call to call is refused") {
  const auto p = parameter<double>({0.5, -1.5, 2.0});
  double calls = 0;
  CHECK_THROWS_WITH_AS(
      audit([&] { return sum(exp(p * ++calls)); }),
      doctest::Contains("[audit] operation 1, 'multiply', gave another value at a second call "
                        "with the same leaves: take out of the function what changes"),
      Error);
}

TEST_CASE("right needs evidence: far leaves, a single wrong element, outputs of many sizes") {
  const auto far = parameter<double>({1e8, -2e8, 3e8});
  CHECK(audit([&] { return sum(square(far)); }).rows[0].checked);
  const auto square_by = [](const Tensor<double>& x, double factor) {
    return custom<double>("square_by", {x}, square(x.detach()), [x, factor](const Tensor<double>& g) {
      return std::vector<Tensor<double>>{factor * 2 * g * x.detach()};
    });
  };
  CHECK(wrong(audit([&] { return sum(square_by(far, 1.001)); })) == std::vector<std::string>{"square_by"});
  const auto tiny = parameter<double>({1e-9, 2e-9});
  const AuditReport curved = audit([&] { return sum(log(tiny)); });
  CHECK(curved.rows[0].checked);
  CHECK(curved.rows[0].note == "");
  const AuditReport rounded = audit([&] { return sum((tiny + 1e12) * 1.0); });
  CHECK(!rounded.rows[0].checked);

  random::seed(5);
  const auto many = parameter(random::normal<double>({300'000}));
  const auto one_wrong = [](const Tensor<double>& x, std::size_t place) {
    return custom<double>("exp", {x}, exp(x.detach()), [x, place](const Tensor<double>& g) {
      Tensor<double> d = g * exp(x.detach());
      d.mutable_data()[place] *= 1.5;
      return std::vector<Tensor<double>>{d};
    });
  };
  CHECK(wrong(audit([&] { return sum(one_wrong(many, 123'456)); })) == std::vector<std::string>{"exp"});
  const auto mixed = parameter(arange<double>(-8, 9));
  for (const std::size_t place : {0u, 8u, 16u}) {
    CAPTURE(place);
    CHECK(wrong(audit([&] { return sum(one_wrong(mixed, place)); })) == std::vector<std::string>{"exp"});
  }
  const auto wide = parameter(arange<double>(-20, 21));
  const AuditReport hidden = audit([&] { return sum(one_wrong(wide, 0)); });
  CHECK(hidden.rows[0].note ==
        "without 22 of 41 elements, whose moves are as small as the rounding of the largest values");
}

TEST_CASE("steep waves are not blamed for a step that is too wide") {
  const auto x = parameter<double>({0.1, 0.2, 0.3});
  for (const double frequency : {1e2, 1e4, 1e6}) {
    CAPTURE(frequency);
    const AuditReport report = audit([&] { return sum(sin(frequency * x)); });
    CHECK(report.passed);
    CHECK(report.rows[1].checked);
  }
}

TEST_CASE("an audit leaves leaves, gradients, generator and other recordings as they were") {
  random::seed(9);
  const Tensor<double> start = random::normal<double>({3});
  const auto x = parameter(start);
  sum(square(x)).backward();
  const Tensor<double> before = sum(exp(x) * x);
  const std::size_t size = Tape::current().size();
  const auto f = [&] { return sum(sin(x) * before * random::normal<double>({3})); };
  std::mt19937_64 generator = random::generator();
  CHECK(audit(f).passed);
  CHECK(Tape::current().size() == size);
  check_close(x, start, 0);
  check_close(x.grad(), 2 * start, 0);
  f();
  std::mt19937_64 now = std::exchange(random::generator(), generator);
  f(), f();
  CHECK(now == random::generator());
  CHECK_NOTHROW(before.backward());
  check_close(x.grad(), 2 * start + (1 + start) * exp(start), 1e-14);

  int calls = 0;
  CHECK_THROWS_AS(audit([&]() -> Tensor<double> {
                    if (++calls == 2) throw Error("mine", "no");
                    return sum(exp(x));
                  }),
                  Error);
  check_close(x, start, 0);
  CHECK(Tape::current().size() == 0);
}

TEST_CASE("what cannot be audited is an error that says why") {
  const auto x = parameter<double>({1.0, 2.0});
  const auto f = [&] { return sum(exp(x)); };
  {
    const NoGrad no_grad;
    CHECK_THROWS_WITH_AS(audit(f), "[audit] nothing is recorded inside NoGrad: audit outside of it", Error);
  }
  const Tensor<double> recorded = f();
  CHECK_THROWS_WITH_AS(
      audit([&] { return recorded; }),
      doctest::Contains("[audit] the function recorded nothing that leads to its result: compute the "
                        "loss inside of it"),
      Error);
  CHECK_THROWS_WITH_AS(audit([] { return Tensor<double>(1.0); }), doctest::Contains("recorded nothing"),
                       Error);
  int calls = 0;
  CHECK_THROWS_WITH_AS(
      audit([&] { return calls++ == 0 ? sum(exp(x)) : sum(sin(x)); }),
      "[audit] the function recorded 'exp' of shape (2,) as its operation 1 at first, and 'sin' of "
      "shape (2,) at a later call: it must do the same at each call, whatever the values",
      Error);
  CHECK_THROWS_WITH_AS(audit(f, {.directions = 0}), "[audit] there must be at least one direction", Error);
  const auto y = parameter<float>({1.0f, 2.0f});
  const auto g = [&] { return sum(exp(y) * y); };
  CHECK_THROWS_WITH_AS(audit(g), doctest::Contains("[audit] differences in float are too coarse"), Error);
  CHECK(audit(g, {.step = 1e-2, .rtol = 1e-2}).passed);
  CHECK(!audit(
             [&] {
               return sum(custom<float>("half", {y}, exp(y.detach()), [&](const auto& d) {
                 return std::vector<Tensor<float>>{d * exp(y.detach()) / 2};
               }));
             },
             {.step = 1e-2, .rtol = 1e-2})
             .passed);
}
