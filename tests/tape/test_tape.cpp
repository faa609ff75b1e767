// The tape: what is recorded, what is replayed, and what memory is held. These tests count; none measures
// time.
#include <cmath>
#include <optional>
#include <thread>

#include "../check_close.hpp"
#include "../resident_memory.hpp"
#include "sanitizers.hpp"

#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;

namespace {

Tape& tape() { return Tape::current(); }

}  // namespace

TEST_CASE("the headers carry the project's version") {
  CHECK(std::string(xtape::version) == XTAPE_PROJECT_VERSION);
}

TEST_CASE("only what depends on a leaf is recorded") {
  const Tensor<double> c{1.0, 2.0};
  const Tensor<double> d = exp(c) + c;
  CHECK(tape().size() == 0);
  CHECK(!d.requires_grad());
  const auto x = parameter<double>({1.0, 2.0});
  CHECK(tape().size() == 0);
  const Tensor<double> y = x * c;
  CHECK(tape().size() == 1);
  CHECK(y.requires_grad());
  CHECK(!y.is_leaf());
  CHECK(x.is_leaf());
  CHECK(!y.detach().requires_grad());
}

TEST_CASE("shared and diamond-shaped graphs, and a tensor used many times") {
  const auto x = parameter<double>(3.0);
  const Tensor<double> a = x * x, b = sin(a), c = a * b, y = c + a + x + x;
  y.backward();
  const double v = 9;
  CHECK(x.grad().item() == doctest::Approx(6 * (std::sin(v) + v * std::cos(v) + 1) + 2).epsilon(1e-14));

  const auto w = parameter<double>(1.0);
  Tensor<double> sum = w;
  for (int i = 0; i < 99; ++i) sum = sum + w;
  sum.backward();
  CHECK(w.grad().item() == 100);
}

TEST_CASE("several outputs add up in the leaves until zero_grad") {
  auto x = parameter<double>({1.0, 2.0, 3.0});
  const Tensor<double> shared = square(x);
  const Tensor<double> y1 = sum(shared), y2 = sum(exp(shared * 0.1));
  y1.backward({.retain_tape = true});
  check_close(x.grad(), {2.0, 4.0, 6.0}, 1e-15);
  const Tensor<double> first = x.grad();
  y2.backward();
  check_close(first, {2.0, 4.0, 6.0}, 1e-15);  // a gradient that was taken does not change later
  for (int i = 0; i < 3; ++i)
    CHECK(x.grad().value()(i) ==
          doctest::Approx(2.0 * (i + 1) * (1 + 0.1 * std::exp(0.1 * (i + 1) * (i + 1)))).epsilon(1e-14));
  x.zero_grad();
  CHECK(!x.has_grad());
}

TEST_CASE("gradients of two leaves never share memory") {
  auto a = parameter<double>({1.0, 2.0}), b = parameter<double>({3.0, 4.0});
  sum(a + b).backward();
  a.grad().assign(Tensor<double>{7.0, 7.0});
  check_close(b.grad(), {1.0, 1.0}, 0);
  const Tensor<double> seed{5.0, 6.0};
  a.zero_grad();
  (a + 0).backward({.seed = seed});
  a.grad().assign(Tensor<double>{0.0, 0.0});
  check_close(seed, {5.0, 6.0}, 0);
}

TEST_CASE("leaves made before, between and after recorded operations") {
  const auto a = parameter<double>(2.0);
  Tensor<double> y = a * 3;
  const auto b = parameter<double>(5.0);
  y = y * b;
  const auto c = parameter<double>(7.0);
  y = y + c * a;
  y.backward();
  CHECK(a.grad().item() == 22);
  CHECK(b.grad().item() == 6);
  CHECK(c.grad().item() == 2);
}

TEST_CASE("loops and branches of the user's code are recorded as they run") {
  for (double start : {0.3, 1.7}) {
    const auto x = parameter<double>(start);
    Tensor<double> y = x;
    int rounds = 0;
    while (y.item() < 10) {
      y = y.item() < 1 ? y + 1 : y * y;
      ++rounds;
    }
    y.backward();
    double value = start, derivative = 1;
    for (int i = 0; i < rounds; ++i) {
      derivative *= value < 1 ? 1 : 2 * value;
      value = value < 1 ? value + 1 : value * value;
    }
    CHECK(x.grad().item() == doctest::Approx(derivative).epsilon(1e-14));
  }
}

TEST_CASE("handles move, copy, and outlive the recording") {
  const auto x = parameter<double>({1.0, 2.0});
  Tensor<double> kept;
  {
    Tensor<double> a = x * 2;
    Tensor<double> moved = std::move(a);
    CHECK(!a.defined());
    Tensor<double> copy = moved;
    a = copy;
    const Tensor<double>& self = a;
    a = self;
    kept = sum(a * copy);
  }
  kept.backward();
  check_close(x.grad(), {8.0, 16.0}, 1e-15);
  CHECK(kept.item() == 20);
  tape().clear();
  CHECK(kept.item() == 20);
  CHECK(tape().size() == 0);
}

TEST_CASE("NoGrad scopes nest, and detach cuts") {
  const auto x = parameter<double>(2.0);
  {
    const NoGrad outer;
    CHECK(!(x * x).requires_grad());
    {
      const NoGrad inner;
      CHECK(!(x * x).requires_grad());
    }
    CHECK(!(x * x).requires_grad());
    CHECK(!reshape(x, {}).requires_grad());  // elsewhere x itself, as nothing changes
    CHECK(!logsumexp(x).requires_grad());
  }
  const Tensor<double> y = x * x.detach();
  y.backward();
  CHECK(x.grad().item() == 2);
}

TEST_CASE("a function that throws while it records leaves nothing behind") {
  const auto x = parameter<double>({1.0, 2.0});
  const auto f = [&] {
    const Tensor<double> a = exp(x);
    const NoGrad scope;
    const Tensor<double> b = a * x;
    return matmul(b, Tensor<double>{1.0, 2.0, 3.0});
  };
  CHECK_THROWS_AS(f(), Error);
  CHECK(tape().size() == 0);
  CHECK((x * x).requires_grad());  // the scope was left
}

TEST_CASE("a forward pass that is dropped leaves the tape and memory as they were") {
  const auto x = parameter<double>(random::normal<double>({64, 64}));
  const auto before = memory_use().live;
  {
    Tensor<double> y = x;
    for (int i = 0; i < 50; ++i) y = tanh(matmul(y, x));
    CHECK(tape().size() == 100);
    CHECK(tape().bytes() > 50 * 64 * 64 * sizeof(double));
  }
  CHECK(tape().size() == 0);
  CHECK(tape().bytes() == 0);
  CHECK(memory_use().live <= before + (1 << 16) + 256);  // one spare chunk of the arena
}

TEST_CASE("a handle to the middle keeps what it needs and no more") {
  const auto x = parameter<double>(0.5);
  Tensor<double> middle;
  {
    Tensor<double> y = x;
    for (int i = 0; i < 10; ++i) {
      y = sin(y);
      if (i == 4) middle = y;
    }
    CHECK(tape().size() == 10);
  }
  CHECK(tape().size() == 5);
  middle.backward();
  CHECK(x.has_grad());
  CHECK(tape().size() == 0);
}

TEST_CASE("interior values are released as soon as no rule needs them") {
  constexpr std::ptrdiff_t bytes = 1000 * 1000 * sizeof(double);
  const auto x = parameter<double>(ones<double>({1000, 1000}));
  reset_peak_memory();
  const auto before = memory_use().live;
  Tensor<double> y = x;
  for (int i = 0; i < 20; ++i) y = y + 1.0;  // addition keeps nothing
  CHECK(memory_use().live - before < 2 * bytes);
  CHECK(memory_use().peak - before < 3 * bytes);
  y = sum(y);
  y.backward();
  // sum keeps nothing either, and one adjoint is alive at a time besides the gradient of x
  CHECK(memory_use().peak - before < 3 * bytes);
  CHECK(memory_use().live - before < 2 * bytes);
}

TEST_CASE("10,000 training steps leave memory flat, also with a loss that outlives its step") {
  for (const bool outer_loss : {false, true}) {
    random::seed(1);
    nn::Sequential<float> model(nn::Linear<float>(2, 8), nn::Sigmoid<float>(), nn::Linear<float>(8, 1));
    nn::SGD<float> sgd(model.parameters());
    const Tensor<float> x = random::normal<float>({4, 2}), y = random::normal<float>({4, 1});
    Tensor<float> last;
    std::ptrdiff_t live = 0;
    std::size_t heap_calls = 0, resident = 0;
    for (int step = 0; step < 10000; ++step) {
      sgd.zero_grad();
      Tensor<float> loss = nn::mse_loss(model(x), y);
      loss.backward();
      sgd.step();
      if (outer_loss) last = loss;
      if (step == 1000) {
        live = memory_use().live;
        heap_calls = memory_use().heap_calls;
        resident = resident_kilobytes();
      }
    }
    CHECK(memory_use().live <= live + (1 << 17));
    if (!address_sanitizer) {  // it keeps released blocks, and the pool hands them to it
      CHECK(memory_use().heap_calls <= heap_calls + 2);
      CHECK(resident_kilobytes() <= resident + 512);
    }
    CHECK(tape().size() == 0);
  }
}

TEST_CASE("a chain of 1,000,000 operations records, replays and is released, one visit each") {
  const auto x = parameter<double>({0.1, 0.2});
  const auto before = memory_use().live;
  {
    Tensor<double> y = x;
    for (int i = 0; i < 1000000; ++i) y = y * 1.000001;
    CHECK(tape().size() == 1000000);
    CHECK((memory_use().live - before) / 1000000 <= 400);
    sum(y).backward();
    CHECK(tape().rules_run() == 1000001);
    CHECK(tape().size() == 0);
    CHECK(x.grad().value()(0) == doctest::Approx(std::exp(1000000 * std::log(1.000001))).epsilon(1e-9));
  }
  {
    Tensor<double> y = x;
    for (int i = 0; i < 1000000; ++i) y = y * 1.000001;  // dropped from its end, without a replay
  }
  CHECK(tape().size() == 0);
  CHECK(memory_use().live <= before + (1 << 17));
}

TEST_CASE("a diamond of 60 levels, 2^60 paths, costs 60 visits") {
  const auto x = parameter<double>(1.0);
  Tensor<double> y = x;
  for (int i = 0; i < 60; ++i) y = y + y;
  y.backward();
  CHECK(tape().rules_run() == 60);
  CHECK(x.grad().item() == std::pow(2.0, 60));
}

TEST_CASE("a pass visits only what the output depends on") {
  const auto x = parameter<double>(1.0), z = parameter<double>(2.0);
  Tensor<double> other = z;
  for (int i = 0; i < 100; ++i) other = sin(other);
  const Tensor<double> y = exp(x * 2);
  Tensor<double> later = z;
  for (int i = 0; i < 100; ++i) later = sin(later);
  y.backward();
  CHECK(tape().rules_run() == 2);
  CHECK(!z.has_grad());
  CHECK(tape().size() == 200);

  // grad() runs no rule that its inputs do not need
  const Tensor<double> both = exp(x) * other;
  const auto g = grad(both, {x}, {.retain_tape = true});
  CHECK(tape().rules_run() == 2);
  CHECK(g[0].item() == doctest::Approx(both.item()));
  CHECK(!x.grad().requires_grad());
}

TEST_CASE("grad leaves the leaves alone, takes interior tensors, and is 0 where nothing depends") {
  const auto x = parameter<double>(2.0), unused = parameter<double>({1.0, 1.0});
  const Tensor<double> h = x * x, y = h * h;
  const auto g = grad(y, {h, x, unused, h}, {.retain_tape = true});
  REQUIRE(g.size() == 4);
  CHECK(g[0].item() == 8);
  CHECK(g[1].item() == 32);
  check_close(g[2], {0.0, 0.0}, 0);
  CHECK(g[3].item() == 8);
  CHECK(!x.has_grad());
  CHECK(grad(y, y, {.retain_tape = true}).item() == 1);
}

TEST_CASE("a target's own rule does not run, and the recording below it stays") {
  const auto z = parameter<double>({{1.0, 2.0}, {0.5, -1.0}});
  const Tensor<double> rows = nn::cross_entropy(z, {1, 0}, nn::Reduction::none);
  check_close(grad(sum(rows), rows), {1.0, 1.0}, 0);
  CHECK(tape().rules_run() == 1);
  sum(rows).backward();
  CHECK(z.has_grad());
  CHECK(tape().size() == 0);
}

TEST_CASE("zero_grad lets go of a recording that create_graph left in the leaves") {
  auto x = parameter<double>(2.0);
  (x * x * x).backward({.create_graph = true});
  CHECK(tape().size() != 0);
  x.zero_grad();
  CHECK(tape().size() == 0);
}

TEST_CASE("100,000 inputs of one operation, and of grad(), some of them twice") {
  const std::size_t n = 100000;
  std::vector<Tensor<double>> parts;
  for (std::size_t i = 0; i < n; ++i) parts.push_back(parameter<double>(static_cast<double>(i)));
  sum(square(stack(parts))).backward();
  for (std::size_t i = 0; i < n; i += 1111) CHECK(parts[i].grad().item() == 2.0 * double(i));

  std::vector<Tensor<double>> asked = parts;
  asked.insert(asked.end(), parts.begin(), parts.begin() + 10);
  asked.push_back(parameter<double>({1.0, 2.0}));
  const auto joined = concatenate(std::vector<Tensor<double>>(3, stack(parts)), 0);
  const auto g = grad(sum(joined), asked);
  REQUIRE(g.size() == n + 11);
  for (std::size_t i = 0; i < n + 10; ++i) REQUIRE(g[i].item() == 3);
  check_close(g.back(), {0.0, 0.0}, 0);
  g[0].detach().assign(Tensor<double>(7.0));  // no two share memory
  CHECK(g[n].item() == 3);
  const auto second = grad(sum(square(stack(parts))), parts, {.create_graph = true});
  CHECK(grad(second[n - 1], parts[n - 1]).item() == 2);
}

TEST_CASE("threads record at once, each on its own tape, and share leaves as constants of the moment") {
  const auto w = parameter<double>({1.0, 2.0, 3.0});
  std::vector<double> results(4);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < results.size(); ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        const Tensor<double> loss = sum(square(w * static_cast<double>(t + 1)));
        results[t] = grad(loss, w).value()(2);
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (std::size_t t = 0; t < results.size(); ++t) CHECK(results[t] == 6.0 * double((t + 1) * (t + 1)));
  CHECK(tape().size() == 0);
  CHECK(!w.has_grad());
}

TEST_CASE(
    "handles that another thread drops are released here, and those that outlive their thread stay "
    "readable") {
  const auto x = parameter<double>(1.0);
  std::optional<Tensor<double>> y = sin(exp(x));
  CHECK(tape().size() == 2);
  std::thread([&] { y.reset(); }).join();
  CHECK(tape().size() == 0);

  Tensor<double> survivor;
  std::thread([&] { survivor = exp(x); }).join();
  CHECK(survivor.item() == doctest::Approx(std::exp(1.0)));
  const Tensor<double> copy = survivor;
  CHECK_THROWS_WITH_AS(survivor.backward(),
                       doctest::Contains("[backward] the tensor was recorded by another thread"), Error);
  survivor = {};
  CHECK(copy.detach().item() > 2);
}
