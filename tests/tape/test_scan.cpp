// Scans against loops, and the schedule of their checkpoints against the optimum.
#include "../check_close.hpp"

#include <map>

#include <autodiff/program/schedule.hpp>

using namespace xtape;
using test::check_close;

namespace {

using Tensors = std::vector<Tensor<double>>;

template <class F>
std::pair<Tensors, Tensor<double>> loop(const F& step, Tensors carry, const Tensor<double>& xs) {
  Tensors ys;
  for (std::size_t t = 0; t < xs.shape()[0]; ++t) {
    auto [next, y] = step(carry, slice(xs, static_cast<int>(t)));
    carry = next;
    ys.push_back(y);
  }
  return {carry, stack(ys)};
}

/// The least number of steps to be computed again, by trying every place for the next checkpoint.
std::size_t least(std::size_t steps, std::size_t checkpoints) {
  static std::map<std::pair<std::size_t, std::size_t>, std::size_t> known;
  if (steps < 2) return 0;
  if (checkpoints == 1) return steps * (steps - 1) / 2;
  auto& best = known[{steps, checkpoints}];
  if (best != 0) return best;
  best = steps * steps;
  for (std::size_t m = 1; m < steps; ++m)
    best = std::min(best, m + least(m, checkpoints) + least(steps - m, checkpoints - 1));
  return best;
}

}  // namespace

TEST_CASE("a scan gives what a loop gives, forward and backward, to second order and in forward mode") {
  const auto W = parameter(sin(reshape(arange<double>(12.0), {4, 3}))),
             U = parameter(cos(reshape(arange<double>(16.0), {4, 4})) * 0.5),
             b = parameter(zeros<double>({4}));
  const auto xs = parameter(sin(reshape(arange<double>(42.0), {7, 2, 3}))),
             h0 = parameter(full<double>({2, 4}, 0.1));
  const auto c0 = parameter(full<double>({2, 4}, -0.2));
  const auto cell = [&](const Tensors& carry, const Tensor<double>& x) {
    const Tensor<double> h = tanh(linear(x, W, b) + linear(carry[0], U)), c = carry[1] * sigmoid(h) + h;
    return std::pair(Tensors{h, c}, h * c);
  };
  const Tensors leaves{W, U, b, xs, h0, c0};
  const auto loss = [](const std::pair<Tensors, Tensor<double>>& result) {
    return sum(sin(result.second)) + sum(result.first[0] * result.first[1]);
  };
  const auto looped = [&] { return loss(loop(cell, {h0, c0}, xs)); };
  const auto scanned = [&](std::size_t checkpoints) {
    return loss(scan(cell, Tensors{h0, c0}, xs, {.checkpoints = checkpoints}));
  };
  const Tensor<double> expected = looped().detach();
  const Tensors slopes = grad(looped(), leaves);
  for (const std::size_t k : std::vector<std::size_t>{0, 1, 2, 3, 7, 20}) {
    CAPTURE(k);
    const Tensor<double> y = scanned(k);
    check_close(y, expected, 1e-15, 0);
    CHECK(Tape::current().size() < 20);
    for (int again = 0; again < 2; ++again) {
      const Tensors got = grad(y, leaves, {.retain_tape = true});
      for (std::size_t i = 0; i < leaves.size(); ++i) check_close(got[i], slopes[i], 1e-13, 1e-14);
    }
    const auto second = [&](const Tensor<double>& of) {
      const Tensors g = grad(of, leaves, {.create_graph = true});
      return grad(sum(square(g[0])) + sum(g[3] * g[3]), leaves);
    };
    const Tensors h = second(scanned(k)), h_expected = second(looped());
    for (std::size_t i = 0; i < leaves.size(); ++i) check_close(h[i], h_expected[i], 1e-12, 1e-13);
  }
  const auto in_trace = compile([&](const Tensor<double>& in) {
    return loss(scan(cell, Tensors{h0.detach(), c0.detach()}, in));
  });
  const auto recorded = loss(scan(cell, Tensors{h0.detach(), c0.detach()}, xs));
  CHECK(test::same_bits(in_trace(xs).detach(), recorded.detach()));
  for (const Tensor<double>& leaf : {W, U, b, xs})
    CHECK(test::same_bits(grad(in_trace(xs), leaf), grad(recorded, leaf, {.retain_tape = true})));
  const Tensor<double> v = cos(xs.detach());
  const auto of_xs = [&](const Tensor<double>& in) { return scan(cell, Tensors{h0, c0}, in).second; };
  const auto loop_of_xs = [&](const Tensor<double>& in) { return loop(cell, {h0, c0}, in).second; };
  check_close(jvp(of_xs, xs, v).second, jvp(loop_of_xs, xs, v).second, 1e-14, 1e-15);
  const auto compiled = compile([&](const Tensor<double>& in) { return sum(of_xs(in)); });
  check_close(grad(compiled(xs), xs), grad(sum(loop_of_xs(xs)), xs), 1e-13, 1e-14);
  const Tensor<double> kept = checkpoint([&](const Tensor<double>& in) { return sum(of_xs(in)); }, xs);
  check_close(grad(kept, W), grad(sum(loop_of_xs(xs)), W), 1e-13, 1e-14);
  const NoGrad no_grad;
  CHECK(!scanned(0).requires_grad());
  check_close(scanned(0), expected, 1e-15, 0);
}

TEST_CASE("a carry of one tensor; what passes through; random numbers") {
  const auto xs = parameter(arange<double>(1.0, 6.0, 1.0));
  const auto [total, sums] = scan(
      [](const Tensor<double>& s, const Tensor<double>& x) {
        const Tensor<double> next = s + x;
        return std::pair(next, next);
      },
      Tensor<double>(0.0), xs);
  CHECK(total.item() == 15);
  check_close(sums, cumsum(xs), 0, 0);
  check_close(grad(sum(square(sums)), xs), grad(sum(square(cumsum(xs))), xs), 1e-15, 0);
  const auto [same, ones_] =
      scan([](const Tensor<double>& s, const Tensor<double>& x) { return std::pair(s, x); }, xs, xs);
  check_close(same, xs, 0, 0);
  check_close(ones_, xs, 0, 0);
  const auto [constant, threes] = scan(
      [](const Tensor<double>&, const Tensor<double>&) {
        return std::pair(Tensor<double>(2.0), Tensor<double>{3.0, 3.0});
      },
      Tensor<double>(0.0), xs);
  CHECK(constant.item() == 2);
  CHECK(threes.shape() == Shape{5, 2});
  const auto noisy = [](const Tensor<double>& s, const Tensor<double>& x) {
    const Tensor<double> next = s * random::uniform<double>({}) + x;
    return std::pair(next, next);
  };
  random::seed(3);
  const Tensor<double> a = scan(noisy, Tensor<double>(0.0), xs).second;
  const Tensor<double> ga = grad(sum(a), xs, {.create_graph = true});
  random::seed(3);
  const auto as_loop = [&](const Tensors& s, const Tensor<double>& x) {
    const auto [next, y] = noisy(s[0], x);
    return std::pair(Tensors{next}, y);
  };
  const Tensor<double> b = loop(as_loop, {Tensor<double>(0.0)}, xs).second;
  check_close(a, b, 0, 0);
  check_close(ga, grad(sum(b), xs), 1e-15, 0);
  CHECK_THROWS_WITH_AS(scan(noisy, Tensor<double>(0.0), xs, {.checkpoints = 2}),
                       doctest::Contains("random numbers"), Error);
}

TEST_CASE("checkpoints: at most so many carries, and as few steps again as is possible") {
  const auto w = parameter<double>(Tensor<double>(0.9));
  const auto step = [&](const Tensor<double>& s, const Tensor<double>& x) {
    const Tensor<double> next = sin(s * w) + x;
    return std::pair(next, next);
  };
  for (const std::size_t n : std::vector<std::size_t>{1, 2, 3, 10, 37, 100}) {
    const Tensor<double> xs = cos(arange<double>(static_cast<double>(n)));
    const Tensor<double> expected = grad(sum(scan(step, Tensor<double>(0.1), xs).second), w);
    for (const std::size_t k : std::vector<std::size_t>{1, 2, 3, 4, 8, 40}) {
      CAPTURE(n);
      CAPTURE(k);
      const Tensor<double> y = sum(scan(step, Tensor<double>(0.1), xs, {.checkpoints = k}).second);
      CHECK(grad(y, w).item() == expected.item());
      CHECK(detail::scan_counts().most_kept <= k);
      CHECK(detail::scan_counts().steps == least(n, k));
      CHECK(detail::recomputed_steps(n, k) == least(n, k));
    }
  }
}

TEST_CASE("memory: checkpoints keep carries, not what the steps computed") {
  const auto w = parameter(full<double>({1000}, 0.5));
  const auto step = [&](const Tensor<double>& s, const Tensor<double>& x) {
    const Tensor<double> next = tanh(exp(sin(s * w)) * x);
    return std::pair(next, sum(next));
  };
  const auto xs = cos(arange<double>(100.0));
  const auto live = [&](std::size_t checkpoints) {
    const std::ptrdiff_t before = memory_use().live;
    const auto [carry, ys] = scan(step, full<double>({1000}, 0.1), xs, {.checkpoints = checkpoints});
    return memory_use().live - before;
  };
  CHECK(live(5) * 20 < live(0));
}

TEST_CASE("what a scan refuses") {
  const auto x = arange<double>(3.0);
  const auto refuses = [&](const char* text, const auto& step, const Tensor<double>& xs) {
    CHECK_THROWS_WITH_AS(scan(step, Tensor<double>(0.0), xs), doctest::Contains(text), Error);
  };
  const auto keeps = [](const Tensor<double>& s, const Tensor<double>& in) { return std::pair(s, in); };
  refuses("xs of shape () has no axis of steps", keeps, Tensor<double>(1.0));
  refuses("has no step", keeps, zeros<double>({0, 2}));
  refuses(
      "the carry changes its shape from () to (2,)",
      [](const Tensor<double>&, const Tensor<double>& in) {
        return std::pair(Tensor<double>{1.0, 2.0}, in);
      },
      x);
  refuses(
      "[scan] item() reads",
      [](const Tensor<double>& s, const Tensor<double>& in) { return std::pair(in.item() > 0 ? s : -s, in); },
      x);
  const Tensor<double> recorded = parameter<double>(Tensor<double>(2.0)) * 2;
  refuses(
      "make it part of the carry",
      [&](const Tensor<double>& s, const Tensor<double>& in) { return std::pair(s * recorded, in); }, x);
  const auto narrow = parameter<float>(Tensor<float>(2.0f));
  refuses(
      "is of another element type",
      [&](const Tensor<double>& c, const Tensor<double>& in) {
        return std::pair(c * narrow.astype<double>(), in);
      },
      x);
  auto w = parameter<double>(Tensor<double>(2.0));
  const Tensor<double> y =
      scan([&](const Tensor<double>& s, const Tensor<double>& in) { return std::pair(s * w + in, s); },
           Tensor<double>(1.0), x)
          .first;
  w.assign(Tensor<double>(3.0));
  CHECK_THROWS_WITH_AS(y.backward(), doctest::Contains("was assigned"), Error);
}

TEST_CASE("a scan keeps the traces of its step, and knows what it reads") {
  const auto xs = parameter(sin(reshape(arange<double>(12.0), {4, 3})));
  std::size_t runs = 0;
  ScanTraces<double> traces;
  const auto decay = [&](const Tensor<double>& rate, const Tensor<double>& in) {
    const auto step = [&](const Tensors& carry, const Tensor<double>& x) {
      ++runs;
      const Tensor<double> next = rate * carry[0] + x;
      return std::pair(Tensors{next}, next * next);
    };
    const std::array reads{rate};
    const Tensors start{zeros<double>({3})};
    const auto kept = scan(traces, step, start, in, reads);
    const std::size_t before = runs;
    const auto fresh = scan(step, start, in);
    runs = before;
    CHECK(test::same_bits(kept.second.detach(), fresh.second.detach()));
    if (kept.second.requires_grad())
      CHECK(test::same_bits(grad(sum(kept.second), in), grad(sum(fresh.second), in)));
    return kept.second;
  };
  const auto rate = parameter<double>(0.5), other = parameter<double>(0.25);
  decay(rate, xs), decay(rate, xs);
  CHECK(runs == 1);
  auto assigned = rate;
  assigned.assign(Tensor<double>(0.75));  // are read anew
  decay(rate, xs);
  CHECK(runs == 1);
  decay(other, xs);
  CHECK(runs == 2);
  decay(rate, parameter(slice(xs.detach(), xt::range(0, 2))));  // another number of steps
  CHECK(runs == 2);
  {
    const NoGrad no_grad;
    decay(rate, xs);
  }
  CHECK(runs == 3);
  const auto hidden = [&](const Tensors& carry, const Tensor<double>& x) {
    return std::pair(Tensors{carry[0] * other}, x);
  };
  const std::array reads{rate};
  ScanTraces<double> of_hidden;
  CHECK_THROWS_WITH_AS(scan(of_hidden, hidden, Tensors{zeros<double>({3})}, xs, reads),
                       doctest::Contains("[scan] the step reads a tensor of shape ()"), Error);
}
