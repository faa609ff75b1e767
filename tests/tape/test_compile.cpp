// Compiled functions have the bits of the function itself, and its derivatives.
#include "../check_close.hpp"

#include <atomic>
#include <sstream>
#include <thread>

#include <autodiff/compile.hpp>
#include <nn/nn.hpp>

using namespace xtape;
using test::same_bits;

namespace {

/// Calls f and compiled f often enough for second and later traces, and compares values and gradients.
template <class T, class F, class... A>
void check_same(const F& f, const A&... x) {
  const auto compiled = compile(f);
  for (int k = 0; k < 5; ++k) {
    const Tensor<T> y = f(x...), z = compiled(x...);
    CHECK(same_bits(y.detach(), z.detach()));
    REQUIRE(y.requires_grad() == z.requires_grad());
    if (!y.requires_grad()) continue;
    const std::vector<Tensor<T>> leaves = compiled.template leaves<T>();
    const std::vector<Tensor<T>> expected = grad(y, leaves), got = grad(z, leaves);
    for (std::size_t i = 0; i < leaves.size(); ++i) CHECK(same_bits(expected[i], got[i]));
    if (y.size() != 1) continue;
    const auto [value, gradients] = compiled.value_and_grad(x...);
    CHECK(same_bits(value, y.detach()));
    REQUIRE(gradients.size() == leaves.size());
    for (std::size_t i = 0; i < leaves.size(); ++i) CHECK(same_bits(expected[i], gradients[i]));
  }
}

}  // namespace

TEST_CASE("a compiled function has the bits of the function") {
  random::seed(3);
  const auto W = parameter(random::normal<double>({3, 4})), b = parameter(random::normal<double>({3}));
  const auto x = random::normal<double>({5, 4});
  check_same<double>([&](const Tensor<double>& in) { return mean(square(tanh(linear(in, W, b)) - 0.5)); }, x);
  check_same<double>(
      [&](const Tensor<double>& in) {
        return sum(softmax(matmul(in, transpose(W)) + b, 1) * slice(in, xt::all(), xt::range(0, 3)));
      },
      x);
}

TEST_CASE_TEMPLATE("a map has the same bits in a compiled function, and on threads", T, float, double) {
  random::seed(5);
  const auto s = parameter(random::normal<T>({})), t = parameter(random::normal<T>({1})),
             u = parameter(random::normal<T>({})), v = parameter(random::normal<T>({})),
             w = parameter(random::normal<T>({}));
  const auto curve = [](auto a, auto b) { return exp(a) * sin(b) + a * a * b - b; };
  const auto shifted = [](auto a, auto b) { return a + b; };  // the adjoint itself is summed
  const auto of_many = [](auto a, auto p, auto q, auto r, auto m, auto n) {
    const auto c = a * p + q, d = tanh(c) * r - m * a;
    return where(c > d, sin(c * d + n), d * p / (1 + exp(-c))) + 0.5;
  };
  // Around tiles, the blocks and parts that sums go by, and where threads take part.
  for (const std::size_t n :
       std::vector<std::size_t>{0, 1, 2, 63, 64, 65, 1000, 1024, 1025, 5000, 16384, 16385, 140001}) {
    CAPTURE(n);
    const auto x = parameter(random::normal<T>({n})), row = parameter(random::normal<T>({3, 1}));
    const auto loss = [&](const Tensor<T>& in) {
      return sum(square(map(curve, in, s))) + sum(map(shifted, in, t)) + sum(in) * s +
             sum(map(of_many, in, s, t, u, v, w)) + sum(map(curve, in, in)) + sum(map(curve, in, row));
    };
    check_same<T>(loss, x);
    const auto gradients = [&] { return grad(loss(x), {x, s, t, u, v, w, row}); };
    const auto expected = gradients();
    const int before = num_threads();
    set_num_threads(2);
    const auto got = gradients();
    set_num_threads(before);
    for (std::size_t i = 0; i < got.size(); ++i) CHECK(same_bits(expected[i], got[i]));
    if (n == 0) continue;
    const auto plain = grad(sum(square(curve(x, s))) + sum(shifted(x, t)), {x, s, t}),
               mapped = grad(sum(square(map(curve, x, s))) + sum(map(shifted, x, t)), {x, s, t});
    for (std::size_t i = 0; i < plain.size(); ++i) {
      const T scale = 1 + std::abs(max(abs(plain[i])).item());
      CHECK(max(abs(plain[i] - mapped[i])).item() <= scale * 1e3 * std::numeric_limits<T>::epsilon());
    }
  }
}

TEST_CASE("maps of arrays that no cache holds, with few and with many steps between") {
  random::seed(6);
  constexpr std::size_t n = (1 << 21) + 100;
  const auto x = parameter(random::normal<float>({n}));
  const auto few = [](auto a) { return abs(a * 2 - 1) * a + square(a); };
  const auto many = [](auto a) {
    std::vector<decltype(a)> parts{a};
    for (int i = 0; i < 12; ++i) parts.push_back(parts.back() * a + 0.5f);
    decltype(a) total = parts[0];
    for (const auto& one : parts) total = total * 0.5f + one;
    return total;
  };
  const auto compare = [&](const auto& f) {
    const Tensor<float> y = map(f, x), z = f(x);
    CHECK(same_bits(y.detach(), z.detach()));
    const Tensor<float> got = grad(sum(y), x), expected = grad(sum(z), x);
    const float most = max(abs(expected)).item();
    CHECK(max(abs(got - expected)).item() <= 1e-5f * most);
    const auto compiled = compile([&](const Tensor<float>& in) { return sum(map(f, in)); });
    CHECK(same_bits(compiled.value_and_grad(x).second.front(), got));
  };
  for (const int threads : {1, 2}) {
    const int before = num_threads();
    set_num_threads(threads);
    compare(few);
    compare(many);
    set_num_threads(before);
  }
}

TEST_CASE("what is captured is read anew, and may be assigned between calls") {
  auto w = parameter<double>(Tensor<double>{1.0, 2.0});
  Tensor<double> offset{0.5, 0.5};
  const auto f = compile([&](const Tensor<double>& x) { return sum(x * w + offset); });
  const Tensor<double> x{3.0, 4.0};
  CHECK(f(x).item() == 12);
  w.assign(Tensor<double>{2.0, 0.0});
  CHECK(f(x).item() == 7);
  offset.assign(Tensor<double>{1.0, 0.0});
  CHECK(f(x).item() == 7);
  CHECK(f.value_and_grad(x).second.front().data()[1] == 4);
  CHECK(f.traces() == 3);  // the first, second and fourth call
}

TEST_CASE("shapes are traced one by one, and the least recently used make room") {
  const auto w = parameter<double>(Tensor<double>(2.0));
  const auto f = compile([&](const Tensor<double>& x) { return sum(square(x * w)); });
  for (std::size_t n = 1; n <= 1000; ++n) CHECK(f(ones<double>({n})).item() == 4.0 * static_cast<double>(n));
  CHECK(f.traces() == 1000);
  f(ones<double>({1000}));
  CHECK(f.traces() == 1001);  // its second call
  f(ones<double>({1}));
  CHECK(f.traces() == 1002);  // dropped meanwhile
  std::ostringstream text;
  text << f;
  CHECK(text.str().starts_with("compiled for 32 sets of shapes\n"));
}

TEST_CASE("random numbers are drawn anew, in the order of the function") {
  const auto w = parameter<double>(Tensor<double>(2.0));
  const auto noisy = [&](const Tensor<double>& x) {
    const auto a = random::normal<double>({3}), b = random::uniform<double>({3});
    return sum(square(x * w + a) *
               checkpoint([](const Tensor<double>& y) { return y * random::normal<double>({3}); }, b));
  };
  const auto compiled = compile(noisy);
  const Tensor<double> x{1.0, 2.0, 3.0};
  for (int k = 0; k < 5; ++k) {
    random::seed(static_cast<std::uint64_t>(k));
    const Tensor<double> y = noisy(x);
    const Tensor<double> g = grad(y, w, {.create_graph = true}), h = grad(g, w);
    const auto after = random::generator()();
    random::seed(static_cast<std::uint64_t>(k));
    const Tensor<double> z = compiled(x);
    const Tensor<double> cg = grad(z, w, {.create_graph = true}), ch = grad(cg, w);
    CHECK(random::generator()() == after);
    CHECK(same_bits(y.detach(), z.detach()));
    CHECK(same_bits(g.detach(), cg.detach()));
    CHECK(same_bits(h, ch));
  }
}

TEST_CASE("gradients of any order, and within") {
  const auto w = parameter<double>(Tensor<double>{0.3, -0.4});
  const auto f = [&](const Tensor<double>& x) { return sum(sin(x * w) * exp(w)); };
  const auto compiled = compile(f);
  const auto x = parameter<double>(Tensor<double>{0.7, 1.1});
  const auto third = [&](const auto& function) {
    const Tensor<double> y = function(x);
    const Tensor<double> g = grad(y, x, {.create_graph = true});
    const Tensor<double> h = grad(sum(g * g), w, {.create_graph = true});
    return grad(sum(h), x);
  };
  for (int k = 0; k < 3; ++k) test::check_close(third(compiled), third(f), 1e-14, 1e-14);
  const auto slope = compile([&](const Tensor<double>& at) {
    const auto v = parameter<double>(Tensor<double>{0.1, 0.2});
    return grad(f(at), w, {.create_graph = true}) * 2 + v.detach();
  });
  for (int k = 0; k < 3; ++k)
    test::check_close(slope(x), grad(f(x), w) * 2 + Tensor<double>{0.1, 0.2}, 1e-15, 1e-15);
  test::check_close(grad(sum(slope(x)), x), grad(sum(grad(f(x), w, {.create_graph = true}) * 2), x), 1e-14,
                    1e-14);
  // In another compiled function, in a checkpoint, in forward mode.
  const auto outer = compile([&](const Tensor<double>& at) { return square(compiled(at)); });
  CHECK(same_bits(outer(x).detach(), square(f(x)).detach()));
  const auto [value, gradients] = outer.value_and_grad(x);
  CHECK(same_bits(gradients[1], grad(square(f(x)), x)));
  const auto through = compile([&](const Tensor<double>& at) {
    const auto [y, g] = compiled.value_and_grad(at);
    return y + sum(g.front());
  });
  CHECK(through(x).item() == doctest::Approx((f(x) + sum(grad(f(x), w))).item()));
  const Tensor<double> kept = checkpoint([&](const Tensor<double>& at) { return compiled(at); }, x);
  CHECK(same_bits(grad(kept, w), grad(f(x), w)));
  const Tensor<double> v{1.0, -2.0};
  test::check_close(jvp(compiled, x, v).second, jvp(f, x, v).second, 1e-15, 1e-15);
  test::check_close(hvp(compiled, x, v).second, hvp(f, x, v).second, 1e-14, 1e-14);
}

TEST_CASE("a call is a node: two of them, retained, after an assignment") {
  auto w = parameter<double>(Tensor<double>{0.5, 1.5});
  const auto f = compile([&](const Tensor<double>& x) { return sum(exp(x * w)); });
  const Tensor<double> a{0.1, 0.2}, b{0.3, 0.4};
  const Tensor<double> both = f(a) + f(b);
  CHECK(Tape::current().size() == 3);
  const Tensor<double> expected = exp(a * w.detach()) * a + exp(b * w.detach()) * b;
  test::check_close(grad(both, w, {.retain_tape = true}), expected, 1e-15, 1e-15);
  test::check_close(grad(both, w), expected, 1e-15, 1e-15);
  const auto squares = compile([&](const Tensor<double>& x) { return sum(x * square(w)); });
  const Tensor<double> late = squares(a);
  w.assign(Tensor<double>{1.0, 1.0});
  CHECK_THROWS_WITH_AS(late.backward(), doctest::Contains("was assigned"), Error);
}

TEST_CASE("several results, no arguments, lists, two element types") {
  const auto w = parameter<double>(Tensor<double>{1.0, 2.0});
  const auto parts = [&](const Tensor<double>& x) {
    return std::vector<Tensor<double>>{x * w, sum(w), exp(x)};
  };
  const auto compiled = compile(parts);
  const auto x = parameter<double>(Tensor<double>{0.5, 0.25});
  const auto loss = [](const std::vector<Tensor<double>>& y) { return sum(y[0]) * y[1] + sum(y[2]); };
  for (int k = 0; k < 3; ++k) {
    CHECK(same_bits(loss(compiled(x)).detach(), loss(parts(x)).detach()));
    CHECK(same_bits(grad(loss(compiled(x)), w), grad(loss(parts(x)), w)));
  }
  const auto regular = compile([&] { return sum(square(w)); });
  CHECK(regular().item() == 5);
  CHECK(regular.value_and_grad().second.front().data()[1] == 4);
  CHECK(regular.backward().item() == 5);
  CHECK(w.grad().data()[1] == 4);
  const auto narrow = compile([](const Tensor<float>& in) { return sum(in.astype<double>()); });
  CHECK(narrow(Tensor<float>{1.0, 2.0}).item() == 3);
}

TEST_CASE("modules in evaluation mode are another function") {
  random::seed(1);
  nn::Sequential<double> model(nn::Linear<double>(2, 4), nn::Dropout<double>(0.5), nn::Linear<double>(4, 1));
  const auto f = compile([&](const Tensor<double>& x) { return model(x); });
  const Tensor<double> x{{1.0, 2.0}};
  f(x);
  model.eval();
  const Tensor<double> expected = model(x);
  CHECK(same_bits(f(x).detach(), expected.detach()));
  model.train();
  f(x);
  model.eval();
  const std::size_t traces = f.traces();
  CHECK(same_bits(f(x).detach(), expected.detach()));
  CHECK(f.traces() == traces + 1);  // finds the plan of before
  CHECK(same_bits(f(x).detach(), expected.detach()));
}

TEST_CASE("rules of one's own and checkpoints, to second order, in compiled functions and in batches") {
  const auto x = parameter<double>(Tensor<double>{0.3, 0.4}),
             scale = parameter<double>(Tensor<double>{1.5, 2.0});
  const auto by_checkpoint = [&](const Tensor<double>& a) {
    return sum(a * checkpoint([&](const Tensor<double>& b) { return exp(sin(b)) * scale; }, a));
  };
  const auto by_rule = [&](const Tensor<double>& a) {
    return sum(a * custom<double>("exp", {a}, exp(a.detach()),
                                  [](const auto& g, const auto& y) { return std::vector{g * y}; }));
  };
  const auto noisy = [&](const Tensor<double>& a) {
    return sum(
        a * checkpoint([&](const Tensor<double>& b) { return b * random::normal<double>({2}); }, square(a)));
  };
  const Tensor<double> v{1.0, -2.0};
  const auto check = [&](const auto& f) {
    const auto compiled = compile(f);
    for (int k = 0; k < 3; ++k) {
      random::seed(3);
      const Tensor<double> expected = hvp(f, x, v).second;
      random::seed(3);
      test::check_close(hvp(compiled, x, v).second, expected, 1e-14, 1e-14);
    }
    const Tensor<double> samples = parameter<double>(Tensor<double>{{0.1, 0.2}, {0.3, 0.4}, {0.5, 0.6}});
    random::seed(4);
    Tensor<double> looped = 0;
    for (int i = 0; i < 3; ++i) looped = looped + square(f(slice(samples, i)));
    random::seed(4);
    const Tensor<double> batched = sum(square(vmap(f)(samples)));
    test::check_close(batched, looped, 1e-14, 0);
    test::check_close(grad(batched, samples), grad(looped, samples), 1e-14, 1e-14);
  };
  check(by_checkpoint);
  check(by_rule);
  check(noisy);
  const Tensor<double> many = parameter<double>(cos(arange<double>(10.0)));
  const auto wide = [&](const Tensor<double>& a) {
    return checkpoint([&](const Tensor<double>& b) { return b * random::normal<double>({10}) * exp(many); },
                      a);
  };
  for (const Mode mode : {Mode::forward, Mode::reverse}) {
    random::seed(1);
    const Tensor<double> y = wide(ones<double>({10}));
    random::seed(1);
    const Tensor<double> J = jacobian(wide, ones<double>({10}), {.mode = mode});
    test::check_close(sum(J, 1), y.detach(), 1e-14, 1e-14);
  }
  const auto both = [&](Mode mode) {
    const auto f = [&](const Tensor<double>& a) {
      return a * checkpoint([&](const Tensor<double>& b) { return exp(sin(b) * many); }, a);
    };
    return grad(sum(square(jacobian(f, many * 1, {.create_graph = true, .mode = mode}))), many);
  };
  test::check_close(both(Mode::forward), both(Mode::reverse), 1e-12, 1e-12);
}

TEST_CASE("a checkpoint that returns a captured leaf unchanged gives it its gradient") {
  const auto w = parameter<double>(Tensor<double>{0.5});
  const Tensor<double> x{1.0, 2.0};
  const auto returned = [&](const Tensor<double>& a) {
    return checkpoint([&](const auto&) { return w; }, a);
  };
  const auto weighted = [&](const Tensor<double>& a) { return sum(a * returned(a)); };
  check_same<double>(returned, x);
  check_same<double>(weighted, x);
  check_same<double>([&](const Tensor<double>& a) { return checkpoint(weighted, a); }, x);
  test::check_close(compile(weighted).value_and_grad(x).second.at(0), {3.0}, 0, 0);
  const auto step = [&](const Tensor<double>& h, const Tensor<double>& a) {
    return std::pair{h + weighted(a), a};
  };
  const Tensor<double> rows{{1.0, 2.0}, {3.0, 4.0}};
  test::check_close(grad(scan(step, Tensor<double>(0.0), rows).first, w), {10.0}, 0, 0);
}

TEST_CASE("one function for several kinds of arguments, and by several threads at once") {
  const auto total = compile([](const auto&... all) { return (all + ...); });
  const Tensor<double> a{1.0}, b{10.0}, c{100.0};
  CHECK(total(a, b).item() == 11);
  CHECK(total(a, b, c).item() == 111);
  CHECK(total(a, b).item() == 11);
  const auto f = compile([](const auto& x) { return std::vector{sum(sin(x)), sum(x)}; });
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (std::size_t n = 1; n <= 4; ++n)
    threads.emplace_back([&, n] {
      for (int k = 0; k < 300; ++k) {
        const auto y = f(ones<double>({n}));
        wrong += y.size() != 2 || y[1].item() != static_cast<double>(n);
      }
    });
  for (std::thread& t : threads) t.join();
  CHECK(wrong == 0);
}

TEST_CASE(
    "after a change was found, the function is traced anew; arguments with gradients; results in other "
    "traces") {
  double k = 1;
  const auto f = compile([&](const Tensor<double>& a) { return a * k; });
  const Tensor<double> one{1.0};
  CHECK(f(one).item() == 1);
  k = 2;
  CHECK_THROWS_AS(f(one), Error);
  CHECK(f(one).item() == 2);
  const auto x = parameter<double>(Tensor<double>{0.3, 0.4});
  const auto squares = compile([](const Tensor<double>& a) { return sum(a * a); });
  CHECK_THROWS_WITH_AS(squares.backward(x), doctest::Contains("take value_and_grad()"), Error);
  const auto outer = compile([&](const Tensor<double>& a) { return squares.backward(a); });
  CHECK_THROWS_AS(outer(x.detach()), Error);
  const auto two = compile([](const Tensor<double>& a) { return std::vector{a * 2, sum(a)}; });
  const auto product = [&](const Tensor<double>& a) {
    const auto y = two(a);
    return y[0] * y[1];
  };
  test::check_close(jvp(product, x, Tensor<double>{1.0, 0.0}).second, Tensor<double>{2.0, 0.8}, 1e-15, 0);
  test::check_close(compile(product)(x), product(x), 0, 0);
  test::check_close(vmap(product)(reshape(x, {1, 2})), reshape(product(x), {1, 2}), 0, 0);
  const auto watched = compile([](const Tensor<double>& a) {
    const DetectAnomaly anomaly;
    return sum(log(a));
  });
  CHECK_THROWS_WITH_AS(watched(x), doctest::Contains("[compile] data() reads"), Error);
  Tensor<double> kept;
  Indices kept_indices;
  const auto keeps = compile([&](const Tensor<double>& a, const Indices& i) {
    kept = a;
    kept_indices = i;
    return sum(take(a, i, 0));
  });
  keeps(x, Indices{0, 1});
  auto w = parameter<double>(Tensor<double>{1.0, 1.0});
  CHECK_THROWS_WITH_AS(w.assign(kept), doctest::Contains("a trace that is over"), Error);
  CHECK_THROWS_WITH_AS(squares(kept), doctest::Contains("a trace that is over"), Error);
  CHECK_THROWS_WITH_AS(take(w, kept_indices, 0), doctest::Contains("a trace that is over"), Error);
  const auto p = parameter<double>(Tensor<double>(3.0));
  const auto times = [](const auto& a, const auto& b) { return a * b; };
  for (const bool graph : {false, true})
    CHECK(jvp(times, {p, p}, {Tensor<double>(1.0), Tensor<double>(0.0)}, {.create_graph = graph})
              .second.item() == 3);
}
