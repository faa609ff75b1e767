// Derivatives of derivatives, and derivatives as functions.
#include <cmath>

#include "../check_close.hpp"

using namespace xtape;
using namespace xtape::test;

TEST_CASE("gradients of gradients, to the fourth order") {
  const auto x = parameter<double>({0.3, -0.7, 1.1});
  Tensor<double> y = sum(sin(x) * exp(x));  // the fourth derivative of eˣ sin x is −4 eˣ sin x
  for (int order = 0; order < 4; ++order) y = sum(grad(y, {x}, {.create_graph = true})[0]);
  check_close(y, sum(-4 * sin(x) * exp(x)).detach(), 1e-13);
  y = {};
  CHECK(Tape::current().size() == 0);
}

TEST_CASE(
    "the third derivative of every smooth elementwise operation agrees with differences of the second") {
  const Tensor<double> x{0.35, 0.6, 0.85};
  using F = std::function<Tensor<double>(const Tensor<double>&)>;
  const std::vector<std::pair<std::string, F>> functions{
#define XTAPE_F(f)                                    \
  {                                                   \
#f, [](const Tensor <double>& a) { return f(a); } \
  }
      XTAPE_F(exp),
      XTAPE_F(expm1),
      XTAPE_F(log),
      XTAPE_F(log1p),
      XTAPE_F(log2),
      XTAPE_F(log10),
      XTAPE_F(sqrt),
      XTAPE_F(cbrt),
      XTAPE_F(reciprocal),
      XTAPE_F(sin),
      XTAPE_F(cos),
      XTAPE_F(tan),
      XTAPE_F(asin),
      XTAPE_F(acos),
      XTAPE_F(atan),
      XTAPE_F(sinh),
      XTAPE_F(cosh),
      XTAPE_F(tanh),
      XTAPE_F(erf),
      XTAPE_F(sigmoid),
      XTAPE_F(log_sigmoid),
      XTAPE_F(softplus),
      XTAPE_F(gelu),
      XTAPE_F(silu),
      XTAPE_F(softmax),
      XTAPE_F(prod),
      XTAPE_F(logsumexp),
      XTAPE_F(norm),
      XTAPE_F(var),
#undef XTAPE_F
      {"pow", [](const Tensor<double>& a) { return pow(a, a) + pow(a, 2.5); }},
      {"atan2", [](const Tensor<double>& a) { return atan2(a, a * a + 1); }},
      {"divide", [](const Tensor<double>& a) { return a / (a * a + 1); }},
      {"matmul", [](const Tensor<double>& a) { return matmul(outer(a, a), outer(a, exp(a))); }},
      {"linear", [](const Tensor<double>& a) { return linear(outer(a, a), outer(a, a * a), exp(a)); }},
      {"map",
       [](const Tensor<double>& a) { return map([](auto s) { return exp(s) * sin(s) / (s + 2); }, a); }},
  };
  for (const auto& entry : functions) {
    CAPTURE(entry.first);
    const F& f = entry.second;
    const auto gradient = [&](const Tensor<double>& at) {
      const Tensor<double> y = f(at);
      const Tensor<double> weights = cos(arange<double>(static_cast<double>(y.size())) + 1);
      return grad(sum(flatten(y) * weights), at, {.create_graph = true});
    };
    const GradientReport report = check_gradients(gradient, x, {.order = 2});
    CHECK_MESSAGE(report.passed, report);
  }
}

TEST_CASE("create_graph leaves a recorded gradient in the leaves") {
  auto x = parameter<double>(2.0);
  (x * x * x).backward({.create_graph = true});
  const Tensor<double> first = x.grad();
  CHECK(first.requires_grad());
  x.zero_grad();
  first.backward();
  CHECK(x.grad().item() == 12);
}

TEST_CASE("jacobian and hessian have the shapes of output and input side by side") {
  const Tensor<double> x{{1.0, 2.0}, {3.0, 4.0}};
  const Tensor<double> J = jacobian([](const auto& a) { return sum(square(a), 0); }, x);
  CHECK(J.shape() == Shape{2, 2, 2});
  check_close(J, Tensor<double>{{{2.0, 0.0}, {6.0, 0.0}}, {{0.0, 4.0}, {0.0, 8.0}}}, 1e-15);

  const Tensor<double> A{{2.0, 1.0}, {0.0, 3.0}};
  const auto quadratic = [&](const Tensor<double>& v) { return dot(v, matmul(A, v)); };
  const Tensor<double> v{1.0, -2.0};
  check_close(hessian(quadratic, v), A + transpose(A), 1e-14);
  const auto [value, product] = hvp(quadratic, v, Tensor<double>{1.0, 1.0});
  CHECK(value.item() == 12);
  check_close(product, {5.0, 7.0}, 1e-14);

  const Tensor<double> constant = jacobian([](const auto&) { return Tensor<double>{1.0, 2.0}; }, x);
  check_close(constant, zeros<double>({2, 2, 2}), 0);
  check_close(hessian([](const auto& a) { return sum(a); }, v), zeros<double>({2, 2}), 0);
}

TEST_CASE("vjp and jvp multiply by the Jacobian from either side") {
  random::seed(3);
  const Tensor<double> W = random::normal<double>({3, 4}), x = random::normal<double>({4});
  const auto f = [&](const Tensor<double>& a) { return tanh(matmul(W, a)) * sum(a); };
  const Tensor<double> J = jacobian(f, x), u = random::normal<double>({3}), v = random::normal<double>({4});
  const auto [y1, left] = vjp(f, x, u);
  const auto [y2, right] = jvp(f, x, v);
  check_close(y1, f(x), 1e-15);
  check_close(y2, f(x), 1e-15);
  check_close(left, matmul(u, J), 1e-13);
  check_close(right, matmul(J, v), 1e-13);
  CHECK(Tape::current().size() == 0);
}

TEST_CASE("value_and_grad gives a tuple for several arguments and does not touch the arguments") {
  const auto w = parameter<double>({1.0, 2.0});
  const Tensor<double> b(3.0);
  const auto f = [](const Tensor<double>& p, const Tensor<double>& q) { return sum(p * p) * q; };
  const auto [value, gradients] = value_and_grad(f)(w, b);
  CHECK(value.item() == 15);
  check_close(std::get<0>(gradients), {6.0, 12.0}, 1e-15);
  CHECK(std::get<1>(gradients).item() == 5);
  CHECK(!w.has_grad());
  CHECK(!value.requires_grad());
  const auto [v1, g1] = value_and_grad([](const auto& p) { return sum(exp(p)); })(w);
  check_close(g1, exp(w), 1e-15);

  // connected to w when asked: d/dw Σ (2w)² = 8w
  const auto [v2, g2] =
      value_and_grad([](const auto& p) { return sum(square(p)); }, {.create_graph = true})(w);
  check_close(grad(sum(square(g2)), w), {8.0, 16.0}, 1e-14);
}

TEST_CASE("derivatives of a function that does not depend on its arguments are 0") {
  const auto x = parameter<double>({1.0, 2.0});
  const auto f = [](const auto&...) { return Tensor<double>(3.0); };
  const auto [value, gradients] = value_and_grad(f)(x, Tensor<double>(1.0));
  CHECK(value.item() == 3);
  check_close(std::get<0>(gradients), {0.0, 0.0}, 0);
  CHECK(std::get<1>(gradients).item() == 0);
  check_close(hvp(f, x, x.detach()).second, {0.0, 0.0}, 0);
  CHECK_THROWS_WITH_AS(hvp(f, x, Tensor<double>{1.0}), "[hvp] the direction has the shape (1,), x (2,)",
                       Error);
}

TEST_CASE("derivatives work inside a NoGrad scope, and inside each other") {
  const NoGrad scope;
  const Tensor<double> x(0.5);
  const auto f = [](const Tensor<double>& a) { return sin(a); };
  CHECK(value_and_grad(f)(x).second.item() == doctest::Approx(std::cos(0.5)).epsilon(1e-15));
  const auto df = [&](const Tensor<double>& a) {
    return value_and_grad(f, {.create_graph = true})(a).second;
  };
  CHECK(value_and_grad(df)(x).second.item() == doctest::Approx(-std::sin(0.5)).epsilon(1e-15));
  CHECK(hessian(f, x).item() == doctest::Approx(-std::sin(0.5)).epsilon(1e-15));
}

TEST_CASE("at 0 the norm and the standard deviation have the derivative 0") {
  const auto x = parameter<double>({{0.5, 0.5}, {1.0, 3.0}});
  check_close(grad(sum(xtape::std(x, 1)), x), Tensor<double>{{0.0, 0.0}, {-0.5, 0.5}}, 1e-15);
  const auto zero = parameter(zeros<double>({3}));
  check_close(grad(norm(zero), zero), {0.0, 0.0, 0.0}, 0);
  CHECK(std::isnan(xtape::std(Tensor<double>{1.0, std::nan("")}).item()));
  CHECK(norm(Tensor<double>{3e200, 4e200}).item() == doctest::Approx(5e200));
  CHECK(norm(Tensor<double>{3e-200, 4e-200}).item() == doctest::Approx(5e-200));
}

TEST_CASE("to_dot draws each node and leaf once") {
  const auto x = parameter<double>({1.0, 2.0});
  const Tensor<double> h = x * x, y = sum(h + h);
  const std::string text = to_dot(y);
  CHECK(text.starts_with("digraph tape {"));
  CHECK(text.find("label=\"sum\\n()\"") != std::string::npos);
  CHECK(text.find("label=\"leaf\\n(2,)\"") != std::string::npos);
  std::size_t boxes = 0, arrows = 0;
  for (std::size_t at = 0; (at = text.find("shape=box", at)) != std::string::npos; ++at) ++boxes;
  for (std::size_t at = 0; (at = text.find(" -> ", at)) != std::string::npos; ++at) ++arrows;
  CHECK(boxes == 3);
  CHECK(arrows == 5);
  CHECK(to_dot(Tensor<double>(1.0)).find("constant") != std::string::npos);
}

TEST_CASE("to_dot writes names above the operations, and draws in the direction that is asked for") {
  const auto w = parameter<double>({1.0, 2.0});
  const Tensor<double> h = square(w), y = sum(h);
  const std::string text = to_dot(y, {{"w", w}, {"the \"h\"", h}, {"constant", Tensor<double>(1.0)}}, "TB");
  CHECK(text.find("rankdir=TB;") != std::string::npos);
  CHECK(text.find("label=\"w\\nleaf\\n(2,)\"") != std::string::npos);
  CHECK(text.find("label=\"the \\\"h\\\"\\nsquare\\n(2,)\"") != std::string::npos);
  CHECK(text.find("label=\"sum\\n()\"") != std::string::npos);
  CHECK(text.find("\"constant") == std::string::npos);
  CHECK(to_dot(y).find("rankdir=LR;") != std::string::npos);
}

TEST_CASE("jacobian by columns, by rows, and by the fewer of them") {
  const auto f = [](const Tensor<double>& x) { return outer(sin(x), exp(x) * x) * sum(x); };
  const auto x = parameter<double>({0.3, -0.5, 0.8});
  const Tensor<double> rows = jacobian(f, x, {.mode = Mode::reverse}),
                       columns = jacobian(f, x, {.mode = Mode::forward});
  CHECK(rows.shape() == Shape{3, 3, 3});
  check_close(columns, rows, 1e-14);
  int runs = 0;
  const auto counted = [&](const Tensor<double>& a) { return ++runs, f(a); };
  check_close(jacobian(counted, x), rows, 1e-14);
  CHECK(runs == 4);  // 3 inputs, 9 outputs
  const auto summed = [&](const Tensor<double>& a) { return sum(f(a), {0, 1}, true); };
  check_close(jacobian(summed, x), sum(rows, {0, 1}, true), 1e-13);
  const auto slope = [&](Mode mode) {
    return grad(sum(square(jacobian(f, x, {.create_graph = true, .mode = mode}))), x);
  };
  check_close(slope(Mode::forward), slope(Mode::reverse), 1e-12);
}

TEST_CASE("forward mode ends where the reverse mode does, and goes through the functions of the user") {
  const Tensor<double> x{0.4, -1.2}, v{1.0, 0.5};
  const auto along = [&](const auto& f) { return jvp(f, x, v).second; };
  check_close(along([](const auto& a) { return a * sigmoid(a).detach(); }), sigmoid(x) * v, 1e-15);
  check_close(along([](const auto& a) {
                const NoGrad off;
                return exp(a);
              }),
              zeros<double>({2}), 0);
  check_close(along([](const auto& a) {
                return Tensor<double>({1.0, 2.0}) + 0 * a.detach();
              }),
              zeros<double>({2}), 0);
  check_close(along([](const auto& a) { return map([](auto s) { return s * sin(s); }, a); }),
              (sin(x) + x * cos(x)) * v, 1e-15);
  check_close(along([](const auto& a) { return checkpoint([](const auto& b) { return exp(b) * b; }, a); }),
              exp(x) * (x + 1) * v, 1e-15);
  const Tensor<double> captured = parameter(x);
  check_close(
      jvp([&](const auto& a) { return checkpoint([&](const auto& b) { return b * a; }, captured); }, x, v)
          .second,
      x * v, 1e-15);
  const auto cube = [](const auto& a) {
    return custom<double>("cube", {a}, a.detach() * square(a.detach()),
                          [a](const auto& g) { return std::vector<Tensor<double>>{3 * g * square(a)}; });
  };
  check_close(along(cube), 3 * square(x) * v, 1e-15);
  const auto hidden = [](const auto& a) {
    return custom<double>("hidden", {a}, a.detach(), [](const auto& g) {
      return std::vector<Tensor<double>>{Tensor<double>(g.value() * 2.0)};
    });
  };
  for (const Tensor<double>& direction : {v, Tensor<double>{1.0, -1.0}})
    CHECK_THROWS_WITH_AS(jvp(hidden, x, direction),
                         doctest::Contains("'hidden' is not made of recorded operations"), Error);
  // one of two rules, and one that is recorded by way of what it has captured
  const auto half = [](const auto& a) {
    return custom<double>("half", {a, 2.0 * a}, a.detach(), [](const auto& g) {
      return std::vector<Tensor<double>>{g * 2.0, Tensor<double>(g.value() * 3.0)};
    });
  };
  CHECK_THROWS_WITH_AS(along(half), doctest::Contains("'half' is not made of recorded operations"), Error);
  const auto captures = [](const auto& a) {
    return custom<double>("captures", {a}, a.detach(), [a](const auto& g) {
      return std::vector<Tensor<double>>{Tensor<double>(g.value()) * a};
    });
  };
  CHECK_THROWS_WITH_AS(along(captures), doctest::Contains("'captures' is not made of recorded operations"),
                       Error);
  const auto narrow = [](const auto& a) {
    return custom<double>("narrow", {a}, a.detach(),
                          [](const auto& g) { return std::vector<Tensor<double>>{sum(g)}; });
  };
  CHECK_THROWS_WITH_AS(along(narrow), doctest::Contains("[narrow] the rule returned a gradient of shape ()"),
                       Error);
  // automatic: fewer inputs than outputs, but no forward mode
  check_close(jacobian(
                  [&](const auto& a) {
                    return hidden(concatenate({a, a}, 0));
                  },
                  x),
              2 * concatenate({eye<double>(2), eye<double>(2)}, 0), 0);
  // in another element type, and with a direction that is recorded itself
  check_close(along([](const auto& a) { return exp(a.template astype<float>()).template astype<double>(); }),
              exp(x) * v, 1e-6);
  const Tensor<double> direction = parameter(v);
  const auto product =
      jvp([](const auto& a) { return square(a); }, parameter(x), direction, {.create_graph = true}).second;
  check_close(grad(sum(product), direction), 2 * x, 1e-15);
}

TEST_CASE("forward mode: random numbers, products that share, exceptions, and passes within passes") {
  const Tensor<double> x{0.4, -1.2};
  Tensor<double> v{1.0, 0.5};
  const auto noisy = [](const Tensor<double>& a) {
    return concatenate({a, a}, 0) * random::uniform<double>({4});
  };
  const auto drawn = [&](Mode mode) {
    random::seed(5);
    const Tensor<double> matrix = jacobian(noisy, x, {.mode = mode});
    return concatenate({flatten(matrix), random::uniform<double>({1})}, 0);
  };
  check_close(drawn(Mode::forward), drawn(Mode::reverse), 0);

  const Tensor<double> product = jvp([](const auto& a) { return a + 1.0; }, x, v).second;
  v.assign(zeros<double>({2}));
  check_close(product, Tensor<double>{1.0, 0.5}, 0);

  random::seed(6);
  int runs = 0;
  const auto throws = [&](const Tensor<double>& a) {
    if (++runs == 2) throw Error("f", "the second run");
    return a * random::uniform<double>({2});
  };
  CHECK_THROWS_AS(jvp([&](const auto& a) { return checkpoint(throws, a); }, x, v), Error);
  const Tensor<double> after = random::uniform<double>({1});
  random::seed(6);
  random::uniform<double>({2});
  check_close(after, random::uniform<double>({1}), 0);
  check_close(jvp([](const auto& a) { return a * a; }, x, ones<double>({2})).second, 2 * x, 0);  // as before

  // the outer variable within the inner function, and a rule that takes a product itself
  const auto outer_product = [&](const Tensor<double>& a) {
    return jvp([&](const auto& b) { return sum(square(a) * b * b); }, x, ones<double>({2}),
               {.create_graph = true})
        .second;
  };
  check_close(jvp(outer_product, x, Tensor<double>{1.0, 0.0}).second, Tensor<double>(4 * 0.4 * 0.4), 1e-14);
  const auto within = [](const Tensor<double>& a) {
    return custom<double>("within", {a}, exp(a.detach()), [a](const auto& g) {
      return std::vector<Tensor<double>>{
          g * jvp([](const auto& b) { return exp(b); }, a.detach(), ones<double>({2})).second};
    });
  };
  check_close(jvp(within, x, ones<double>({2})).second, exp(x), 1e-15);

  // at the origin of a length the limit is that of the reverse mode
  const Tensor<double> nothing = zeros<double>({2}), one = ones<double>({2});
  const auto squared = [](const auto& a) { return square(norm(a)); };
  check_close(hvp(squared, nothing, one).second, 2 * one, 0);
  const auto slope = [&](const Tensor<double>& a) { return grad(squared(a), a, {.create_graph = true}); };
  check_close(jvp(slope, nothing, one).second, 2 * one, 0);
}

TEST_CASE("three passes, each within a rule of the one around it, reach one leaf") {
  const auto w = parameter<double>({2.0});
  const auto nested = [&](const auto& self, int depth) -> Tensor<double> {
    if (depth == 0) return square(w);
    return custom<double>("nested", {w}, square(w.detach()), [&, depth](const auto& g) {
      const EnableGrad on;
      sum(w * self(self, depth - 1)).backward();
      return std::vector<Tensor<double>>{2 * g * w.detach()};
    });
  };
  sum(w * nested(nested, 2)).backward();
  // each pass adds w² + 2 w² = 12, three times
  check_close(w.grad(), Tensor<double>{36.0}, 1e-14);
}

TEST_CASE("products of functions of several arguments") {
  const auto x = sin(arange<double>(3.0)), w = cos(arange<double>(3.0)), u = arange<double>(3.0) - 1.5;
  const auto f = [](const auto& a, const auto& b) { return sum(exp(a) * square(b)) * a; };
  const auto joined = [&](const Tensor<double>& both) { return f(slice(both, 0), slice(both, 1)); };
  const Tensor<double> both = stack(std::vector<Tensor<double>>{x, w}), v = sin(both * 3);
  const Tensor<double> vx = slice(v, 0), vw = slice(v, 1);
  check_close(jvp(f, {x, w}, {vx, vw}).second, jvp(joined, both, v).second, 1e-14);
  const auto [y, products] = vjp(f, {x, w}, u);
  check_close(stack(products), vjp(joined, both, u).second, 1e-14);
  check_close(y, f(x, w), 0);
  const auto loss = [&](const auto& a, const auto& b) { return sum(sin(f(a, b))); };
  const auto joined_loss = [&](const Tensor<double>& all) { return sum(sin(joined(all))); };
  check_close(stack(hvp(loss, {x, w}, {vx, vw}).second), hvp(joined_loss, both, v).second, 1e-13);
  const auto p = parameter(x), q = parameter(w);
  const auto product = [&](bool one) {  // along a direction that depends on x
    const Tensor<double> along = sin(p * 2);
    const DerivativeOptions graph{.create_graph = true};
    const auto of_first = [&](const auto& a) { return loss(a, q); };
    return sum(one ? hvp(of_first, p, along, graph).second
                   : hvp(loss, {p, q}, {along, zeros<double>({3})}, graph).second[0]);
  };
  check_close(grad(product(false), p), grad(product(true), p), 1e-12);
  const auto of_list = [](const std::vector<Tensor<double>>& list) { return list[0] * list[1]; };
  check_close(jvp(of_list, {x, w}, {vx, vw}).second, vx * w + x * vw, 1e-15);
  CHECK_THROWS_WITH_AS(jvp(f, {x, w}, {vx}), "[jvp] 1 directions for 2 arguments", Error);
  CHECK_THROWS_WITH_AS(hvp(loss, {x, w}, {vx, Tensor<double>(1.0)}),
                       "[hvp] the direction has the shape (), x (3,)", Error);
}

TEST_CASE("a linearised function runs once, and is applied many times") {
  int runs = 0;
  const auto x = sin(arange<double>(5.0));
  const auto f = [&](const auto& a) {
    ++runs;
    return softmax(exp(a) * cumsum(a, 0), 0);
  };
  const auto [value, J] = linearize(f, x);
  CHECK(runs == 1);
  check_close(value, f(x), 0);
  for (int k = 0; k < 3; ++k) {
    const Tensor<double> v = cos(arange<double>(5.0) * (k + 1));
    check_close(J(v), jvp(f, x, v).second, 1e-15);
  }
  CHECK(runs == 5);
  CHECK_THROWS_WITH_AS(J(Tensor<double>(1.0)), "[linearize] the direction has the shape (), x (5,)", Error);
}

TEST_CASE("Jacobians of many rows and columns run the function once or twice, and agree") {
  const auto A = sin(reshape(arange<double>(2100.0), {70, 30}));
  const auto x = cos(arange<double>(30.0));
  int runs = 0;
  const auto f = [&](const auto& a) {
    ++runs;
    return tanh(matmul(A, a)) + sum(square(a));
  };
  const Tensor<double> columns = jacobian(f, x);
  CHECK(runs == 2);
  const Tensor<double> rows = jacobian(f, x, {.mode = Mode::reverse});
  CHECK(runs == 3);
  const Tensor<double> expected = unsqueeze(1 - square(tanh(matmul(A, x))), 1) * A + 2 * x;
  check_close(columns, expected, 1e-13);
  check_close(rows, expected, 1e-13);
  // A function that reads numbers on its way is taken column by column.
  const auto branch = [&](const auto& a) { return sum(a).item() > -100 ? matmul(A, a) : a; };
  check_close(jacobian(branch, x), A, 1e-15);
  const auto loss = [&](const auto& a) { return sum(exp(a)) + sum(square(matmul(A, a))); };
  check_close(hessian(loss, x), diag(exp(x)) + 2 * matmul(transpose(A), A), 1e-12);
}

TEST_CASE("a variance of one number has no slope, whatever is batched") {
  const auto x = parameter(cos(arange<double>(9.0)));
  const auto f = [](const Tensor<double>& a) { return sum(sin(var(squared_norm(a) / 8) - a)); };
  const Tensor<double> expected = sin(x) * eye<double>(9);
  for (const Mode mode : {Mode::forward, Mode::reverse})
    check_close(hessian(f, x, {.mode = mode}), expected.detach(), 1e-13, 1e-13);
}
