// custom, checkpoint and map: nodes made of the user's functions.
#include <cmath>
#include <optional>

#include "../check_close.hpp"

#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;

namespace {

double global_scale = 1;

Tensor<double> softsign(const Tensor<double>& x) {
  const Tensor<double> value = x.detach() / (1 + abs(x.detach()));
  return custom<double>("softsign", {x}, value, [x](const Tensor<double>& g) {
    return std::vector<Tensor<double>>{g / square(1 + abs(x))};
  });
}

}  // namespace

TEST_CASE("a custom operation uses the user's rule, to any order") {
  CHECK(check_gradients(softsign, Tensor<double>{0.5, -1.5, 2.0}, {.order = 2}).passed);
  const auto x = parameter<double>({1.0, -3.0});
  sum(softsign(x)).backward();
  check_close(x.grad(), {0.25, 1.0 / 16}, 1e-15);
  CHECK(Tape::current().size() == 0);
}

TEST_CASE("a custom value as a function of the inputs, which records nothing") {
  std::size_t nodes = 0;
  const auto f = [&](const Tensor<double>& x) {
    const auto y = custom<double>(
        "softsign", {x}, [](const auto& a) { return a / (1 + abs(a)); },
        [x](const auto& g) { return std::vector{g / square(1 + abs(x))}; });
    nodes = Tape::current().size();
    return y;
  };
  const auto x = parameter<double>({1.0, -3.0});
  const auto y = f(x);
  CHECK(nodes == 1);
  check_close(y, {0.5, -0.75}, 0);
  check_close(grad(sum(y), x), {0.25, 1.0 / 16}, 1e-15);
  CHECK(check_gradients(f, Tensor<double>{0.5, -1.5, 2.0}, {.order = 2}).passed);

  // One argument for each input in braces; a list as a list. What else the function reads is not recorded
  // either.
  const auto a = parameter<double>({2.0, 3.0}), b = parameter<double>({5.0, 7.0});
  const CustomRule<double> rule = [=](const auto& g) { return std::vector{g * b, g * a}; };
  const auto product = custom<double>(
      "product", {a, b}, [&](const auto& u, const auto& v) { return u * v + 0 * a; }, rule);
  const auto of_list = custom<double>(
      "product", std::vector{a, b}, [](const auto& list) { return list[0] * list[1]; }, rule);
  CHECK(Tape::current().size() == 2);
  check_close(product, of_list, 0);
  check_close(grad(sum(product * of_list), b), {40.0, 126.0}, 0);
  CHECK(check_gradients(
            [](const auto& u) {
              return custom<double>(
                  "exp", {u}, [](const auto& v) { return exp(v); },
                  [](const auto& g, const auto& value) { return std::vector{g * value}; });
            },
            Tensor<double>{0.5, -1.5}, {.order = 2})
            .passed);

  // Its operations are steps of a compiled function, and forward mode asks the rule.
  const auto compiled = compile([&](const Tensor<double>& u) { return f(u) * u; });
  for (const auto& u : {Tensor<double>{1.0, -3.0}, Tensor<double>{2.0, 0.5}, Tensor<double>{-1.0, 4.0}}) {
    check_close(compiled(u), f(u) * u, 0);
    const auto p = parameter(u);
    check_close(grad(sum(compiled(p)), p), grad(sum(f(p) * p), p), 1e-15);
    check_close(jvp(f, u, ones_like(u)).second, 1 / square(1 + abs(u)), 1e-15);
  }
  check_close(vmap(f)(Tensor<double>{{1.0, -3.0}, {0.0, 1.0}}), Tensor<double>{{0.5, -0.75}, {0.0, 0.5}}, 0);
}

TEST_CASE("a custom rule may leave an input without a gradient, and its mistakes are named") {
  const auto x = parameter<double>({1.0, 2.0}), y = parameter<double>({3.0, 4.0});
  const auto with = [&](CustomRule<double> rule) {
    return sum(custom<double>("mine", {x, y}, x.detach() * y.detach(), rule));
  };
  with([&](const Tensor<double>& g) { return std::vector<Tensor<double>>{g * y, {}}; }).backward();
  check_close(x.grad(), {3.0, 4.0}, 0);
  CHECK(!y.has_grad());
  CHECK_THROWS_WITH_AS(
      with([](const Tensor<double>& g) { return std::vector<Tensor<double>>{g}; }).backward(),
      "[mine] the rule returned 1 gradients for 2 inputs", Error);
  CHECK_THROWS_WITH_AS(with([](const Tensor<double>& g) {
                         return std::vector<Tensor<double>>{g, sum(g)};
                       }).backward(),
                       "[mine] the rule returned a gradient of shape () for input 1 of shape (2,)", Error);
  check_close(x.grad(), {3.0, 4.0}, 0);  // a pass that threw changed nothing
  CHECK(!y.has_grad());
  CHECK(Tape::current().size() == 0);
}

TEST_CASE("a rule may ask for gradients itself; the recording of the running pass stays whole") {
  const auto x = parameter<double>(0.5);
  const Tensor<double> h = exp(x), cube = h * h * h;
  const Tensor<double> y = custom<double>("cube", {h}, cube.detach(), [&](const Tensor<double>& g) {
    return std::vector<Tensor<double>>{g * grad(cube, h)};
  });
  const Tensor<double> z = custom<double>("cube", {h}, cube.detach(), [&](const Tensor<double>& g) {
    const auto f = [](const Tensor<double>& a) { return a * a * a; };
    return std::vector<Tensor<double>>{g * value_and_grad(f)(h).second};
  });
  (y + z).backward();
  CHECK(x.grad().item() == doctest::Approx(6 * std::exp(1.5)).epsilon(1e-14));

  const auto w = parameter<double>(2.0);
  const Tensor<double> inner = w * w, outer = inner * inner;
  const Tensor<double> borrowed = custom<double>("borrowed", {w}, w.detach(), [&](const Tensor<double>& g) {
    return std::vector<Tensor<double>>{g * grad(outer, w)};
  });
  (borrowed + outer).backward();  // the rule's pass goes through outer, whose own adjoint waits meanwhile
  CHECK(w.grad().item() == 64);
}

TEST_CASE("a rule that asks for gradients leaves the adjoints that wait beside them alone") {
  const auto x = parameter<double>({0.5, 0.25});
  const Tensor<double> h = exp(x), hh = h * h, waits = sin(x), squares = sum(hh);
  Tensor<double> asked;
  const Tensor<double> y = custom<double>("asks", {waits}, waits * 2, [&](const Tensor<double>& g) {
    asked = grad(squares, x);
    return std::vector<Tensor<double>>{g * 2};
  });
  const Tensor<double> left = sum(waits), right = sum(y);
  (left + right)
      .backward();  // `waits` has an adjoint from the left when the rule runs, and lies between the two
  check_close(asked, 2 * exp(2 * x.detach()), 1e-14);
  check_close(x.grad(), 3 * cos(x.detach()), 1e-14);
}

TEST_CASE("checkpoint gives the same gradients with a smaller peak of live bytes") {
  random::seed(5);
  std::vector<nn::Linear<double>> layers;
  for (int i = 0; i < 16; ++i) layers.emplace_back(64, 64);
  const Tensor<double> x = random::normal<double>({256, 64});
  const auto segment = [&](std::size_t s) {
    return [&, s](const Tensor<double>& in) {
      Tensor<double> h = in;
      for (std::size_t i = 4 * s; i < 4 * s + 4; ++i) h = sigmoid(layers[i](tanh(h)));
      return h;
    };
  };
  const auto run = [&](bool keep_all) {
    for (auto& layer : layers) layer.zero_grad();
    reset_peak_memory();
    const auto before = memory_use().live;
    Tensor<double> h = x;
    for (std::size_t s = 0; s < 4; ++s) h = keep_all ? segment(s)(h) : checkpoint(segment(s), h);
    sum(square(h)).backward();
    std::vector<Tensor<double>> gradients;
    for (auto& layer : layers)
      for (auto& p : layer.parameters()) gradients.push_back(p.grad());
    return std::pair(gradients, memory_use().peak - before);
  };
  const auto [plain, plain_peak] = run(true);
  const auto [again, again_peak] = run(false);
  for (std::size_t i = 0; i < plain.size(); ++i) check_close(again[i], plain[i], 1e-14);
  CHECK(again_peak * 2 < plain_peak);
  MESSAGE("peak of live bytes: ", plain_peak, " without checkpoints, ", again_peak, " with");
  CHECK(Tape::current().size() == 0);
}

TEST_CASE("a function that returns its argument or a captured tensor, inside checkpoint and map") {
  const auto x = parameter<double>(3.0);
  const Tensor<double> h = x * 2;
  CHECK(grad(checkpoint([](const auto& a) { return a; }, h) + h, x, {.retain_tape = true}).item() == 4);
  CHECK(grad(checkpoint([](const auto& a) { return a; }, x) * x, x).item() == 6);
  CHECK(grad(checkpoint([&](const auto&) { return h; }, x) + h, x, {.retain_tape = true}).item() == 4);
  const Tensor<double> two = 2.0;  // nothing but what the innermost function returns has a gradient
  const auto inner = [&](const auto& a) { return a * checkpoint([&](const auto&) { return x; }, a); };
  CHECK(grad(checkpoint(inner, two), x).item() == 2);
  const auto g = grad(map([](auto a) { return a; }, x) * x, x, {.create_graph = true});
  CHECK(g.item() == 6);
  CHECK(grad(g, x).item() == 2);
  const auto row = parameter<double>({1.0, 2.0});  // f ignores its widest argument
  const Tensor<double> wide = map([](auto a, auto) { return a * a; }, x, row);
  CHECK(grad(sum(wide), x, {.create_graph = true}).item() == 12);
}

TEST_CASE("checkpoint refuses captured values that were assigned since, other shapes, empty tensors") {
  auto w = parameter<double>({1.0, 2.0});
  const auto x = parameter<double>({3.0, 4.0});
  const Tensor<double> y = checkpoint([&](const auto& a) { return sum(exp(a * w)); }, x);
  w.assign(w.value() * 2);
  CHECK_THROWS_WITH_AS(y.backward(),
                       doctest::Contains("[checkpoint] a value of shape (2,) that the function captured"),
                       Error);
  CHECK(!x.has_grad());
  int calls = 0;
  const Tensor<double> z = checkpoint([&](const auto& a) { return calls++ == 0 ? a * 1 : sum(a); }, x);
  CHECK_THROWS_WITH_AS(sum(z).backward(),
                       doctest::Contains("[checkpoint] the function gave the shape (2,) at first"), Error);
  CHECK_THROWS_WITH_AS(checkpoint([](const auto&) { return Tensor<double>(1.0); }, Tensor<double>()),
                       doctest::Contains("[Tensor] the tensor is empty"), Error);
  CHECK(Tape::current().size() == 2);  // y and z, whose rules have not succeeded
}

TEST_CASE("a rule may catch an error of its own pass, and drop handles, without harm") {
  const auto x = parameter<double>(2.0);
  std::optional<Tensor<double>> held = exp(x);
  const Tensor<double> y = custom<double>("careful", {x}, x.detach(), [&](const Tensor<double>& g) {
    held.reset();
    try {
      grad(Tensor<double>{1.0, 2.0}, x);
    } catch (const Error&) {}
    try {
      custom<double>("inner", {x}, x.detach(), {});
      vjp([](const auto& a) { return a * a; }, g, Tensor<double>{1.0, 2.0});
    } catch (const Error&) {}
    return std::vector<Tensor<double>>{g * 5};
  });
  (exp(y) + y).backward();
  CHECK(x.grad().item() == doctest::Approx(5 * std::exp(2.0) + 5));
  CHECK(Tape::current().size() == 0);
}

TEST_CASE("map reads globals anew at each call") {
  global_scale = 2;
  const auto f = [](auto a) { return a * global_scale; };
  CHECK(map(f, Tensor<double>(1.0)).item() == 2);
  global_scale = 3;
  CHECK(map(f, Tensor<double>(1.0)).item() == 3);
}

TEST_CASE("map: all orders are of the function that the first call saw") {
  const auto x = parameter<double>({0.5, -1.0});
  double captured = 1, limit = 0.25;
  global_scale = 2;
  int calls = 0;
  const auto f = [&](auto a, auto b) {
    ++calls;
    return where(a > limit, exp(a * global_scale) * captured,
                 clamp(a, -3, limit) * leaky_relu(b, captured / 4)) +
           elu(b, 0.5) + pow(a, 3) * maximum(b, 0.1) + 7;
  };
  const Tensor<double> b = parameter<double>({{1.0, -2.0}, {3.0, 0.5}});
  const auto derivatives = [&](const Tensor<double>& y, auto&& between) {
    between();
    const auto first = grad(sum(square(y)), {x, b}, {.create_graph = true});
    between();
    return std::pair(first, grad(sum(sin(first[0])) + sum(square(first[1])), {x, b}));
  };
  const auto expected = derivatives(f(x, b), [] {});
  calls = 0;
  const auto actual = derivatives(map(f, x, b), [&] { global_scale += 1, captured += 1, limit -= 1; });
  CHECK(calls == 1);
  for (std::size_t i = 0; i < 2; ++i) {
    check_close(actual.first[i], expected.first[i], 1e-14);
    check_close(actual.second[i], expected.second[i], 1e-13);
  }
  const Tensor<double> number = map([](auto a) { return decltype(a)(2.5); }, x);
  check_close(grad(sum(number), x, {.create_graph = true}), {0.0, 0.0}, 0);
}

TEST_CASE("checkpoint: captured leaves, targets, higher orders, random numbers") {
  const auto w = parameter<double>({0.5, -0.4}), x = parameter<double>({1.0, 2.0});
  const auto f = [&](const Tensor<double>& a) { return sum(tanh(a * w)); };
  const auto expected = grad(f(x), {x, w});
  const auto actual = grad(checkpoint(f, x), {x, w});
  check_close(actual[0], expected[0], 1e-15);
  check_close(actual[1], expected[1], 1e-15);
  const Tensor<double> constant{1.0, 2.0};  // only the captured leaf needs a gradient
  check_close(grad(checkpoint(f, constant), w), expected[1], 1e-15);
  const Tensor<double> h = square(x);  // a captured tensor of the outer recording
  const auto outer = [&](bool on) {
    const auto g = [&](const Tensor<double>& a) { return sum(a * h * w); };
    return grad(on ? checkpoint(g, x) : g(x), {x, w}, {.retain_tape = true});
  };
  check_close(outer(true)[0], outer(false)[0], 1e-15);
  check_close(outer(true)[1], outer(false)[1], 1e-15);

  CHECK(check_gradients(
            [&](const auto& a) { return checkpoint([](const auto& b) { return sin(b) * exp(b); }, a); },
            constant, {.order = 2})
            .passed);
  CHECK(!checkpoint([](const auto& a) { return exp(a); }, constant).requires_grad());

  random::seed(11);
  const auto dropout = [](const Tensor<double>& a) { return a * (random::uniform<double>(a.shape()) > 0.5); };
  const auto many = parameter<double>(ones<double>({100}));
  const Tensor<double> y = checkpoint(dropout, many);
  check_close(grad(y, many, {.seed = ones<double>({100})}), y, 0);  // the same mask both times
}

TEST_CASE("map is one node that keeps its arguments only, whatever the lambda does") {
  const auto x = parameter<double>(random::normal<double>({1000}));
  const double scale = 3;
  const auto f = [scale](auto a, auto b) {
    return where(a > b, sin(a) * scale, maximum(a, 0.5) + pow(b, 2) / (1 + exp(-a))) - clamp(b, -1, 1);
  };
  const Tensor<double> y = random::normal<double>({1000});
  const Tensor<double> z = map(f, x, y);
  CHECK(Tape::current().size() == 1);
  check_close(z, f(x, y), 1e-14);
  const Tensor<double> seed = cos(y);
  check_close(grad(z, x, {.seed = seed}), grad(f(x, y), x, {.seed = seed}), 1e-13);
}

TEST_CASE("map: broadcasting, numbers, constants, empty tensors, arguments passed through") {
  const auto row = parameter<double>({1.0, 2.0, 3.0}), column = parameter<double>({{1.0}, {2.0}}),
             one = parameter<double>(0.5);
  const auto f = [](auto a, auto b, auto c) { return a * b + c; };
  const Tensor<double> y = map(f, row, column, one);
  CHECK(y.shape() == Shape{2, 3});
  const auto fused = grad(sum(square(y)), {row, column, one});
  const auto plain = grad(sum(square(f(row, column, one))), {row, column, one});
  for (std::size_t i = 0; i < 3; ++i) check_close(fused[i], plain[i], 1e-14);

  check_close(grad(sum(map([](auto a) { return a; }, row)), row), {1.0, 1.0, 1.0}, 0);
  check_close(map([](auto a) { return decltype(a)(2.5); }, row), {2.5, 2.5, 2.5}, 0);
  CHECK(map([](auto a) { return exp(a); }, zeros<double>({0, 2})).shape() == Shape{0, 2});
  check_close(map([](auto a, auto b) { return a - b; }, row, 1), {0.0, 1.0, 2.0}, 0);
  CHECK_THROWS_WITH_AS(map([](auto a, auto b) { return a + b; }, row, Tensor<double>{1.0, 2.0}),
                       doctest::Contains("[map] shapes (3,) and (2,) do not broadcast"), Error);
}

TEST_CASE("map: adjoints that are passed on, borrowed, and then added to") {
  const auto x = parameter<double>({0.5, -1.0, 2.0});
  const auto same = [&](const auto& f) { check_close(grad(sum(map(f, x)), x), grad(sum(f(x)), x), 1e-14); };
  same([](auto a) {
    const auto t = sin(a);
    return t + exp(t);
  });
  same([](auto a) {
    const auto t = sin(a), u = exp(a);
    return (t + u) + (u + t) * t;
  });
  same([](auto a) {
    const auto t = exp(a);
    return (t + t) - (t - a) * (a + t);
  });
}

TEST_CASE("map: operations on numbers alone, and symbols of a call around this one") {
  const auto x = parameter<double>({0.5, -1.0});
  const auto f = [](auto a) { return a * exp(decltype(a)(0.5)) + atan2(decltype(a)(1.0), decltype(a)(2.0)); };
  check_close(map(f, x), f(x), 1e-15);
  check_close(grad(sum(map(f, x)), x), full<double>({2}, std::exp(0.5)), 1e-15);

  const auto nested = [&]<class A>(A a) {
    const auto inner = [&](auto b) {
      if constexpr (std::is_same_v<A, decltype(b)>)
        return b + a;
      else
        return b;
    };
    map(inner, x);
    return a;
  };
  CHECK_THROWS_WITH_AS(map(nested, x),
                       "[map] symbols of two calls of map are mixed: capture tensors as arguments", Error);
}

TEST_CASE("map: more intermediates at once than fit into the memory of a tile") {
  const auto f = [](auto a) {
    std::vector<decltype(a)> parts;
    for (int i = 1; i <= 60; ++i) parts.push_back(sin(a * i));
    decltype(a) total = parts[0] * parts[59];
    for (std::size_t i = 1; i < 30; ++i) total = total * 0.5 + parts[i] * parts[59 - i];
    return total;
  };
  const auto x = parameter(random::normal<double>({3000}));
  check_close(map(f, x), f(x), 1e-12, 1e-13);
  check_close(grad(sum(map(f, x)), x), grad(sum(f(x)), x), 1e-11, 1e-11);
}
