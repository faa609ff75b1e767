// What the user's rules may do while they run, and what they own while they are destroyed: drop handles
// (their own node's, too), record, replay, clear. Run with the address sanitizer, too.
#include <functional>
#include <memory>
#include <optional>
#include <thread>

#include "../check_close.hpp"

#include <autodiff/autodiff.hpp>

using namespace xtape;
using namespace xtape::test;

namespace {

using Many = std::vector<Tensor<double>>;

Tape& tape() { return Tape::current(); }

/// exp whose rule owns its own output.
std::shared_ptr<Tensor<double>> cyclic_exp(const Tensor<double>& x) {
  auto y = std::make_shared<Tensor<double>>();
  *y = custom<double>("my_exp", {x}, exp(x.detach()), [y](const auto& g) { return Many{g * *y}; });
  return y;
}

/// Does something when the last copy is destroyed, and not in copies and moves of the closure that owns it.
std::shared_ptr<void> at_end(std::function<void()> f) {
  return {nullptr, [f = std::move(f)](void*) { f(); }};
}

/// x, with a rule that owns `owned`.
Tensor<double> owning(const Tensor<double>& x, std::shared_ptr<void> owned) {
  return custom<double>("owning", {x}, x.detach(), [owned](const auto& g) { return Many{g}; });
}

}  // namespace

TEST_CASE("a rule that owns its own output is destroyed once") {
  const auto x = parameter<double>({0.5, 1.0});
  const auto expected = exp(x.detach());
  SUBCASE("the last handle is the rule's") {
    auto y = cyclic_exp(x);
    const Tensor<double> loss = sum(*y);
    y.reset();
    loss.backward();
    check_close(x.grad(), expected, 1e-15);
  }
  SUBCASE("several consumers") {
    auto y = cyclic_exp(x);
    const Tensor<double> loss = sum(*y) + sum(*y * 2.0) + sum(sin(*y));
    y.reset();
    loss.backward();
    check_close(x.grad(), expected * (3.0 + cos(expected)), 1e-14);
  }
  SUBCASE("it is the root, and nobody else holds it") {
    auto y = cyclic_exp(x);
    const Tensor<double>& root = *y;
    y.reset();  // the rule still owns it
    root.backward({.seed = ones<double>({2})});
    check_close(x.grad(), expected, 1e-15);
  }
  SUBCASE("a chain of them, and cycles through each other") {
    auto a = cyclic_exp(x);
    auto b = std::make_shared<Tensor<double>>();
    auto c = std::make_shared<Tensor<double>>();
    *b = custom<double>("b", {*a}, a->detach(), [a, b, c](const auto& g) { return Many{g}; });
    *c = custom<double>("c", {*b}, b->detach(), [a, b, c](const auto& g) { return Many{g}; });
    const Tensor<double> loss = sum(*c) + sum(*a);
    a.reset(), b.reset(), c.reset();
    loss.backward();
    check_close(x.grad(), 2 * expected, 1e-15);
  }
  SUBCASE("grad, retained, and consumed at last") {
    auto y = cyclic_exp(x);
    const Tensor<double> loss = sum(*y);
    y.reset();
    for (int i = 0; i < 3; ++i) check_close(grad(loss, x, {.retain_tape = true}), expected, 1e-15);
    loss.backward();
    check_close(x.grad(), expected, 1e-15);
  }
  SUBCASE("a rule that throws while its cycle is the only owner") {
    auto y = std::make_shared<Tensor<double>>();
    *y = custom<double>("throws", {x}, x.detach(), [y](const auto&) -> Many { throw Error("mine", "no"); });
    const Tensor<double> loss = sum(*y);
    y.reset();
    CHECK_THROWS_WITH_AS(loss.backward(), "[mine] no", Error);
    CHECK(!x.has_grad());
    tape().clear();
  }
  SUBCASE("never differentiated: clear() takes the cycle apart") {
    cyclic_exp(x);
    CHECK(tape().size() == 1);
    tape().clear();
  }
  SUBCASE("never differentiated, on a thread that ends") {
    std::thread([&] { cyclic_exp(x); }).join();
  }
  CHECK(tape().size() == 0);
}

TEST_CASE("a rule that is given its output needs no cycle, and is right to second order") {
  const auto my_exp = [](const Tensor<double>& x) {
    return custom<double>("my_exp", {x}, exp(x.detach()),
                          [](const auto& g, const auto& y) { return Many{g * y}; });
  };
  CHECK(check_gradients(my_exp, Tensor<double>{0.5, -1.5, 2.0}, {.order = 2}).passed);
  const auto x = parameter<double>({0.5, -1.0});
  {
    const Tensor<double> y = my_exp(x);
    CHECK(tape().size() == 1);
  }
  CHECK(tape().size() == 0);
  sum(my_exp(x)).backward();
  check_close(x.grad(), exp(x.detach()), 1e-15);
  check_close(hessian([&](const auto& a) { return sum(my_exp(my_exp(a))); }, x),
              hessian([](const auto& a) { return sum(exp(exp(a))); }, x), 1e-13);

  const Many inputs(40, x);  // more than a node has bits for
  const auto product = [](const Many& in) {
    Tensor<double> value = ones<double>({2});
    for (const auto& one : in) value = value * one.detach();
    return custom<double>("product", in, value, [in](const Tensor<double>& g, const Tensor<double>& y) {
      Many gradients;
      for (const auto& one : in) gradients.push_back(g * y / one);
      return gradients;
    });
  };
  check_close(grad(sum(product(inputs)), x), 40 * pow(x.detach(), 39), 1e-12);
  const auto g = grad(sum(product(inputs)), x, {.create_graph = true});
  check_close(grad(sum(g), x), 40 * 39 * pow(x.detach(), 38), 1e-12);

  const auto assigned = parameter<double>({1.0, 2.0});  // the value may be one that changed before
  Tensor<double> value = assigned.detach() * 1;
  value.assign(value.value() * 2);
  sum(custom<double>("twice", {assigned}, value, [](const auto&, const auto& y) {
    return Many{y};
  })).backward();
  check_close(assigned.grad(), {2.0, 4.0}, 0);
  CHECK(tape().size() == 0);
}

TEST_CASE("a rule may drop the last handle of its node, of the output, and of what was asked for") {
  auto x = parameter<double>({1.0, 2.0});
  const Tensor<double> leaf = x;
  Tensor<double> own, loss;
  Many asked{x, parameter<double>(1.0)};
  own = custom<double>("drops", {x}, x.detach() * 3, [&](const auto& g) {
    own = loss = x = {};
    asked.clear();
    return Many{g * 3};
  });
  const auto g = [&] {
    loss = sum(own);
    return grad(loss, asked);
  }();
  check_close(g[0], {3.0, 3.0}, 0);
  CHECK(g[1].item() == 0);
  x = leaf;
  own = custom<double>("drops", {x}, x.detach() * 3, [&](const auto& s) {
    own = loss = x = {};
    return Many{s * 3};
  });
  loss = sum(own);
  loss.backward();
  check_close(leaf.grad(), {3.0, 3.0}, 0);
  CHECK(tape().size() == 0);
}

TEST_CASE("a nested pass whose rule drops the output of that pass") {
  const auto x = parameter<double>({1.0, 2.0});
  const Tensor<double> y = custom<double>("outer", {x}, x.detach(), [&](const auto& g) {
    const EnableGrad recording;
    Tensor<double> inner, loss;
    inner = custom<double>("inner", {x}, x.detach() * 5, [&](const auto& s) {
      inner = loss = {};
      return Many{s * 5};
    });
    loss = sum(exp(x * 0.0) + inner);
    return Many{g * grad(loss, x)};
  });
  sum(y + exp(x)).backward();
  check_close(x.grad(), 5 + exp(x.detach()), 1e-15);
  CHECK(tape().size() == 0);
}

TEST_CASE("a rule may call backward(), and finds its gradient; that of the pass around it comes on top") {
  const auto x = parameter<double>({1.0, 2.0});
  Tensor<double> within;
  const Tensor<double> y = custom<double>("outer", {x}, x.detach(), [&](const auto& g) {
    const EnableGrad recording;
    sum(x * 3).backward();
    within = x.grad() * 1;
    return Many{g};
  });
  const Tensor<double> first = sum(y), later = sum(x * 10);  // x has an adjoint when the rule runs
  (first + later).backward();
  check_close(within, {3.0, 3.0}, 0);
  check_close(x.grad(), {14.0, 14.0}, 0);
}

TEST_CASE("what a rule owns may do anything in its destructor") {
  auto x = parameter<double>({1.0, 2.0});
  const auto w = parameter<double>({3.0, 4.0});
  std::optional<Tensor<double>> other, held;
  int runs = 0;
  const std::vector<std::function<void()>> actions{
      [&] { other.reset(); },
      [&] { tape().clear(); },
      [&] { grad(*other, w, {.retain_tape = true}); },
      [&] { other->backward(); },
      [&] { held = exp(x) * 2; },
      [&] {  // enough nodes for several chunks, dropped and kept
        for (int i = 0; i < 3000; ++i) held = exp(x * 1);
      },
      [&] { grad(*other + sum(exp(x)), std::vector<Tensor<double>>{w}); },
      [&] {
        std::thread([&] { held.reset(); }).join();
        held = x * 2;
      },
  };
  for (std::size_t way = 0; way < 5; ++way)
    for (const auto& action : actions) {
      other = sum(w * w);
      held = x * 4;
      runs = 0;
      x.zero_grad();
      const auto end = [&] {
        return at_end([&] {
          ++runs;
          try {
            action();
          } catch (const Error&) {}  // where `other` was cleared or consumed before
        });
      };
      {
        Tensor<double> y = exp(owning(exp(x), end()));
        y = y + owning(x, end());
        const Tensor<double> z = sum(y);
        y = {};
        if (way == 0) z.backward();
        if (way == 1) grad(z, x);
        if (way == 2) tape().clear();
        if (way == 3) {
          const auto g = grad(z, x, {.create_graph = true});
          sum(g).backward();
        }
        // way 4: the handles are dropped
      }
      if (way == 0) check_close(x.grad(), exp(exp(x.detach()) + x.detach()) + 1, 1e-14);
      CHECK(runs == 2);
      other.reset();
      held.reset();
      CHECK(tape().size() == 0);
    }
}

TEST_CASE("destructors that act when another thread has dropped the handle, and when their thread ends") {
  const auto x = parameter<double>({1.0, 2.0});
  int runs = 0;
  std::optional<Tensor<double>> y = owning(exp(x), at_end([&] {
                                             ++runs;
                                             grad(sum(exp(x) * x), x);
                                           }));
  const Tensor<double> later = exp(x);
  std::thread([&] { y.reset(); }).join();
  CHECK(tape().size() == 1);
  CHECK(runs == 1);
  Tensor<double> survivor;
  std::thread([&] {
    survivor = owning(x, at_end([&] {
                        ++runs;
                        tape().clear();
                        survivor = exp(x);
                      }));
  }).join();
  CHECK(runs == 2);
  CHECK(survivor.detach().size() == 2);
}

TEST_CASE("clear() within a rule takes effect when the pass has ended") {
  const auto x = parameter<double>({1.0, 2.0});
  const Tensor<double> other = exp(x);
  const Tensor<double> y = custom<double>("clears", {exp(x)}, x.detach(), [&](const auto& g) {
    tape().clear();
    return Many{g};
  });
  sum(y).backward({.retain_tape = true});
  check_close(x.grad(), exp(x.detach()), 1e-15);
  CHECK(tape().size() == 0);
  CHECK_THROWS_WITH_AS(sum(other).backward(), doctest::Contains("was consumed by"), Error);
}

TEST_CASE("a checkpoint whose function drops the tensor that was recorded last") {
  const auto x = parameter<double>({1.0, 2.0});
  std::optional<Tensor<double>> last;
  int calls = 0;
  const Tensor<double> y = sum(checkpoint(
      [&](const auto& a) {
        if (++calls == 2) last.reset();
        return exp(a);
      },
      x));
  last = exp(x);
  y.backward();
  check_close(x.grad(), exp(x.detach()), 1e-15);
  CHECK(tape().size() == 0);
}

TEST_CASE("EnableGrad records within NoGrad, within a rule, and within a checkpoint; scopes nest") {
  const auto x = parameter<double>({1.0, 2.0});
  CHECK(is_recording());
  {
    const NoGrad off;
    CHECK(!is_recording());
    {
      const EnableGrad on;
      CHECK(is_recording());
      CHECK((x * x).requires_grad());
      const NoGrad again;
      CHECK(!(x * x).requires_grad());
    }
    CHECK(!is_recording());
  }
  CHECK(is_recording());
  const Tensor<double> y = custom<double>("by grad", {x}, exp(x.detach()), [&](const auto& g) {
    CHECK(!is_recording());
    const EnableGrad on;
    return Many{grad(exp(x), x, {.seed = g})};
  });
  sum(y).backward();
  check_close(x.grad(), exp(x.detach()), 1e-15);
  const Tensor<double> constant{1.0, 2.0};
  const auto f = [&](const auto& a) {
    const EnableGrad on;
    return a * exp(x);
  };
  check_close(grad(sum(checkpoint(f, constant)), x), constant * exp(x.detach()), 1e-15);
}

TEST_CASE("a hundred thousand rules that own the node before them are destroyed without recursion") {
  const auto x = parameter<double>(1.0);
  for (const bool cleared : {false, true}) {
    Tensor<double> y = x;
    for (int i = 0; i < 100000; ++i)
      y = custom<double>("link", {x}, y.detach(), [y](const auto& g) { return Many{g}; });
    CHECK(tape().size() == 100000);
    if (cleared) tape().clear();
    y = {};
    CHECK(tape().size() == 0);
  }
}
