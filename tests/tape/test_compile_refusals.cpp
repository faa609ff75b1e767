// What a trace refuses, what it finds changed, and what is assigned.
#include "../check_close.hpp"

#include <fstream>
#include <sstream>

#include <autodiff/compile.hpp>
#include <nn/nn.hpp>

using namespace xtape;
using test::same_bits;

TEST_CASE("what a trace refuses, by name") {
  const auto w = parameter<double>(Tensor<double>{1.0, 2.0});
  const Tensor<double> x{0.5, 0.25};
  const auto refuses = [&](const char* text, const auto& f) {
    const auto compiled = compile(f);
    CHECK_THROWS_WITH_AS(compiled(x), doctest::Contains(text), Error);
    CHECK_THROWS_AS(compiled(x), Error);
    CHECK(Tape::current().size() == 0);
  };
  refuses("[compile] item() reads", [](const Tensor<double>& in) { return sum(in).item() > 0 ? in : -in; });
  refuses("[compile] value() reads", [](const Tensor<double>& in) { return in * in.value()(0); });
  refuses("[compile] parameter() reads", [](const Tensor<double>& in) { return parameter(in) * 2; });
  refuses("[compile] data() reads", [](const Tensor<double>& in) { return in * in.data()[0]; });
  refuses("[compile] item() reads", [&](const Tensor<double>& in) { return in * sum(w).item(); });
  refuses("[backward]", [&](const Tensor<double>& in) {
    sum(in * w).backward();
    return in;
  });
  refuses("[random::generator]",
          [](const Tensor<double>& in) { return in * static_cast<double>(random::generator()()); });
  refuses("[compile] begin_update() reads", [&](const Tensor<double>& in) {
    auto copy = w;
    copy.begin_update();
    return in;
  });
  {
    const Tensor<double> recorded = w * 2;
    const auto compiled = compile([&](const Tensor<double>& in) { return in * recorded; });
    CHECK_THROWS_WITH_AS(compiled(x),
                         doctest::Contains("that was recorded by 'multiply': pass it as an argument"), Error);
  }
  Tensor<double> kept;
  const auto leaks = compile([&](const Tensor<double>& in) { return kept = in * 2; });
  leaks(x);
  CHECK_THROWS_WITH_AS(kept.data(), doctest::Contains("from a trace that is over"), Error);
  CHECK_THROWS_WITH_AS(kept + 1, doctest::Contains("from a trace that is over"), Error);
}

TEST_CASE("what changes from call to call is found, and named") {
  const Tensor<double> x{0.5, 0.25};
  const auto finds = [&](const char* text, const auto& f, int calls = 2) {
    const auto compiled = compile(f);
    for (int k = 1; k < calls; ++k) compiled(x);
    CHECK_THROWS_WITH_AS(compiled(x), doctest::Contains(text), Error);
  };
  double factor = 1;
  finds("'multiply' has other numbers", [&](const Tensor<double>& in) { return in * ++factor; });
  int n = 0;
  finds("it takes 2 operations, and took 1", [&](const Tensor<double>& in) {
    Tensor<double> y = in;
    for (int k = 0; k <= n; ++k) y = sin(y);
    ++n;
    return y;
  });
  n = 1;
  finds("where it computed 'sin' it computes 'cos' now",
        [&](const Tensor<double>& in) { return n++ % 2 ? sin(in) : cos(in); });
  Tensor<double> state{1.0, 1.0};
  finds("reads another tensor from outside", [&](const Tensor<double>& in) {
    const Tensor<double> y = in * state;
    state = Tensor<double>(xt::xarray<double>{2.0, 2.0});
    return y;
  });
  std::ptrdiff_t axis = 0;
  finds("'softmax' has another number, index or axis",
        [&](const Tensor<double>& in) { return softmax(outer(in, in), axis++); });
  int calls = 0;  // seen by the traces of the first, second and fourth call
  finds(
      "'multiply' has other numbers",
      [&](const Tensor<double>& in) { return in * (calls++ < 2 ? 1.0 : 2.0); }, 4);
}

TEST_CASE("statistics are stored once a call, and read after they were") {
  Tensor<double> mean{0.0, 0.0};
  const auto w = parameter<double>(Tensor<double>{1.0, 2.0});
  const auto f = compile([&](const Tensor<double>& x) {
    mean.assign(0.5 * mean + 0.5 * (x * w).detach());
    return sum(x * w * mean);
  });
  Tensor<double> same{0.0, 0.0};
  const Tensor<double> x{1.0, 3.0};
  for (int k = 0; k < 5; ++k) {
    same.assign(0.5 * same + 0.5 * (x * w).detach());
    const Tensor<double> y = f(x);
    CHECK(y.item() == sum(x * w * same).item());
    CHECK(same_bits(mean, same));
    const Tensor<double> g = grad(y, w, {.create_graph = true});
    CHECK(same_bits(g.detach(), x * same));
    CHECK(same_bits(mean, same));
  }
  const auto made = compile([](const Tensor<double>& in) {
    Tensor<double> own = zeros<double>({2});
    own.assign(in);
    return own;
  });
  CHECK_THROWS_WITH_AS(made(x), doctest::Contains("only those from outside are"), Error);
}

TEST_CASE("what is assigned while others need it") {
  const auto w = parameter<double>(Tensor<double>{0.5, 0.7});
  Tensor<double> s{3.0, 4.0};
  const auto late = compile([&](const Tensor<double>& a) {
    const Tensor<double> y = sum(w * a * s);
    s.assign(s * 0.5);
    return y;
  });
  CHECK_THROWS_WITH_AS(late.value_and_grad(Tensor<double>{1.0, 1.0}), doctest::Contains("was assigned"),
                       Error);
  Tensor<double> c{1.0, 2.0};
  const auto p = parameter<double>(Tensor<double>{1.0, 1.0});
  const auto squares = compile([&](const Tensor<double>& a) { return sum(square(a + c)); });
  const Tensor<double> z = squares(p);
  c.assign(Tensor<double>{10.0, 10.0});
  CHECK_THROWS_WITH_AS(grad(z, p, {.create_graph = true}), doctest::Contains("was assigned"), Error);
  const auto exponential = compile([](const Tensor<double>& a) { return sum(exp(a)) * exp(a); });
  const Tensor<double> y = exponential(p);
  Tensor<double> alias = y.detach();
  alias.assign(Tensor<double>{0.0, 0.0});
  CHECK_THROWS_WITH_AS(grad(y, p, {.seed = Tensor<double>{1.0, 1.0}}), doctest::Contains("was assigned"),
                       Error);
  Tensor<double> own{1.0, 2.0};
  const auto doubles = compile([&](const Tensor<double>& a) {
    own.assign(own * 2);
    return a * 1.0;
  });
  CHECK_THROWS_WITH_AS(doubles(own), doctest::Contains("shares its elements"), Error);
  CHECK(doubles(Tensor<double>{1.0, 1.0}).data()[0] == 1);
  const auto viewed = compile([&](const Tensor<double>& a) {
    const Tensor<double> v = reshape(own, {2, 1});
    own.assign(a);
    return sum(v * a);
  });
  CHECK_THROWS_WITH_AS(viewed(Tensor<double>{5.0, 7.0}), doctest::Contains("a view of it was made"), Error);
  auto q = parameter<double>(Tensor<double>{1.0, 2.0});
  const auto [value, J] = linearize([](const auto& a) { return a * a; }, q);
  const auto v = parameter<double>(Tensor<double>{1.0, 1.0});
  test::check_close(grad(sum(J(v) * v), v), Tensor<double>{4.0, 8.0}, 0, 0);
  q.assign(Tensor<double>{50.0, 50.0});
  CHECK_THROWS_WITH_AS(J(v), doctest::Contains("was assigned"), Error);
}

TEST_CASE("program.md shows a program as it is printed") {
  const auto W1 = parameter(zeros<double>({2, 2})), b1 = parameter(zeros<double>({2})),
             W2 = parameter(zeros<double>({1, 2})), b2 = parameter(zeros<double>({1}));
  const auto loss = compile([&](const Tensor<double>& x, const Tensor<double>& y) {
    return nn::mse_loss(sigmoid(linear(sigmoid(linear(x, W1, b1)), W2, b2)), y);
  });
  loss.value_and_grad(ones<double>({1, 2}), ones<double>({1, 1}));
  std::ostringstream printed;
  printed << loss;
  std::ifstream file(XTAPE_SOURCE_DIR "/autodiff/program.md");
  const std::string page(std::istreambuf_iterator<char>(file), {});
  CHECK(page.find("```\n" + printed.str() + "```\n") != std::string::npos);
}
