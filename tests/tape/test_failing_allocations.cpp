// Memory that is refused, at each allocation in turn: nothing is lost or left on the tape, nothing is half
// changed, and the same program then runs and gives the same bits.
#include "../ops/op_table.hpp"
#include "failing_allocations.hpp"

using namespace xtape;
using namespace xtape::test;

TEST_CASE("every operation, its gradient and its second derivative") {
  for (const OpRow& row : op_table()) {
    const Tensors values =
        sample(row, row.shapes.size() / 2);  // one of each is enough: what fails is the allocation
    check_program(row.id(), [&] {
      Tensors x;
      for (const auto& value : values) x.push_back(parameter(value));
      Result result;
      const Tensor<double> y = sum(row.f(x));
      result.add(y);
      if (!y.requires_grad()) return result;
      y.backward({.retain_tape = true});
      for (const auto& one : x)
        if (one.has_grad()) result.add(one.grad());
      if (row.order == 2) {
        Tensor<double> squares = 0;
        for (const auto& g : grad(y, x, {.create_graph = true})) squares = squares + sum(g * g);
        if (squares.requires_grad())
          for (const auto& g : grad(squares, x)) result.add(g);
      }
      return result;
    });
  }
}

TEST_CASE("a recording of several chunks, with handles into it") {
  check_program("chain", [] {
    const auto x = parameter<double>({0.5, 0.25});
    std::vector<Tensor<double>> y{x};
    for (int i = 0; i < 1500; ++i) y.push_back(y.back() * 1.001);
    sum(y.back() + y[700]).backward();
    Result result;
    result.add(x.grad());
    return result;
  });
}

TEST_CASE("functions of the user's: map, custom, checkpoint, one in another") {
  check_program("map", [] {
    const auto x = parameter<double>({0.5, 0.25, 2.0}), y = parameter<double>({1.5});
    const auto z = map([](auto a, auto b) { return sin(a) * b + exp(a * b); }, x, y);
    const auto g = grad(sum(z), {x, y}, {.create_graph = true});
    Result result;
    for (const auto& one : grad(sum(g[0]) * sum(g[1]), {x, y})) result.add(one);
    return result;
  });
  check_program("custom and checkpoint", [] {
    random::seed(7);
    const auto x = parameter<double>({0.5, 0.25}), w = parameter<double>({3.0, 4.0});
    const auto cube = [](const Tensor<double>& in) {
      return custom<double>("cube", {in}, in * in * in,
                            [in](const Tensor<double>& g) { return std::vector{g * 3 * in * in}; });
    };
    const auto y = checkpoint(
        [&](const Tensor<double>& in) { return cube(in) * w + in * random::normal<double>({2}); }, x);
    const Tensor<double> total = sum(checkpoint([&](const Tensor<double>& in) { return cube(in); }, y * w));
    total.backward();
    Result result;
    result.add(x.grad());
    result.add(w.grad());
    return result;
  });
}

TEST_CASE("maps whose formulas the thread has no programs of") {
  int calls = 0;
  const auto program = [&] {
    const auto x = parameter<double>({0.5, 0.25, 2.0}), y = parameter<double>({1.5});
    const double limit = 100 + calls++;  // of which programs are, unlike of operands
    sum(map([=](auto a, auto b) { return sin(a) * b + clamp(a * b, -limit, limit); }, x, y)).backward();
    Result result;
    result.add(x.grad());
    result.add(y.grad());
    return result;
  };
  const Result expected = program();
  const auto fill = [&] {  // with as many as are kept
    for (int k = 0; k < 20; ++k)
      if (!(program() == expected)) return "it gives another result when it runs again";
    return static_cast<const char*>(nullptr);
  };
  REQUIRE(!fill());
  refuse_each("new formulas", [&](std::size_t n, FailingHeap::Calls which, bool& refused) -> const char* {
    const auto result = run_without(n, which, program, refused);
    return result && !(*result == expected) ? "it gave another result" : fill();
  });
}

TEST_CASE("a rule that asks for a gradient of the recording around it, and goes on without") {
  check_program("nested", [] {
    const auto x = parameter<double>({0.5, 0.25});
    const Tensor<double> inner = exp(x) * x, a = sin(inner), b = cos(inner) * a, squares = sum(inner * inner);
    const Tensor<double> outer = custom<double>("asks", {b}, b * 2, [&](const Tensor<double>& g) {
      try {
        (void)grad(squares, x);
      } catch (const std::bad_alloc&) {}
      return std::vector{g * 2};
    });
    (sum(a) + sum(outer)).backward();
    Result result;
    result.add(x.grad());
    return result;
  });
}

TEST_CASE("threads that share the work") {
  const int threads = num_threads();
  set_num_threads(2);
  random::seed(3);
  const auto x = random::normal<double>({16, 4, 14, 14}), w = random::normal<double>({16, 4, 3, 3});
  check_program("convolution, pooling, reductions and products", [&] {
    const auto weights = parameter(w), images = parameter(x);
    const Tensor<double> y = max_pool2d(conv2d(images, weights, {.padding = 1}), 2);
    const Tensor<double> rows = reshape(y, {16, -1});
    (sum(matmul(rows, transpose(rows))) + sum(logsumexp(images)) + sum(exp(images))).backward();
    Result result;
    result.add(weights.grad());
    result.add(images.grad());
    return result;
  });
  set_num_threads(threads);
}
