// What plans hold in memory, and what operations make there.
#include "../check_close.hpp"

#include <functional>
#include <sstream>

#include <autodiff/compile.hpp>

using namespace xtape;
using test::same_bits;

namespace {

/// {bytes of the plan, with those of the gradients; the peak of a forward and backward pass on the tape}
std::pair<std::size_t, std::size_t> memory_of(const std::function<Tensor<double>()>& f) {
  f().backward();
  reset_peak_memory();
  const std::ptrdiff_t before = memory_use().live;
  f().backward();
  const std::ptrdiff_t peak = memory_use().peak - before;
  const auto compiled = compile(f);
  const auto [value, gradients] = compiled.value_and_grad();
  CHECK(same_bits(value, f().detach()));
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    bytes += gradients[i].size() * sizeof(double);
    CHECK(same_bits(2.0 * gradients[i], compiled.leaves()[i].grad()));  // of two passes
  }
  std::ostringstream text;
  text << compiled;
  std::istringstream of_plan(text.str().substr(text.str().rfind("calls, ") + 7));
  std::size_t number = 0;
  of_plan >> number;
  return {bytes + number, static_cast<std::size_t>(peak)};
}

}  // namespace

TEST_CASE("a plan holds less than the tape at its peak") {
  random::seed(2);
  const auto x = parameter(random::normal<double>({20000}));
  const auto [chain, chain_peak] = memory_of([&] {
    Tensor<double> y = x;
    for (int i = 0; i < 30; ++i) y = i % 3 == 0 ? sin(y) : i % 3 == 1 ? y * 1.5 + 0.1 : tanh(y);
    return sum(y);
  });
  CHECK(4 * chain <= 3 * chain_peak);
  // What gelu gives is computed again from what its own gradient keeps, and needs no memory in between.
  const auto rows = random::normal<double>({40, 8, 64});
  const auto wide = parameter(random::normal<double>({256, 64}) / 8.0),
             narrow = parameter(random::normal<double>({64, 256}) / 16.0),
             b = parameter(zeros<double>({256})), gamma = parameter(ones<double>({64})),
             beta = parameter(zeros<double>({64}));
  const auto [blocks, blocks_peak] = memory_of([&] {
    Tensor<double> y = rows;
    for (int i = 0; i < 3; ++i) y = y + linear(gelu(linear(layer_norm(y, gamma, beta), wide, b)), narrow);
    return mean(square(y));
  });
  CHECK(4 * blocks <= 3 * blocks_peak);
  const auto images = random::normal<double>({8, 3, 16, 16});
  const auto kernels = parameter(random::normal<double>({8, 3, 3, 3})),
             out = parameter(random::normal<double>({5, 392}));
  const auto [convolution, convolution_peak] = memory_of([&] {
    const auto maps = max_pool2d(relu(conv2d(images, kernels)), 2);
    return sum(square(linear(reshape(maps, {8, -1}), out)));
  });
  CHECK(convolution <= convolution_peak);
}

TEST_CASE("an operation that is composed of others for some numbers has memory of its own for them") {
  // The length of numbers whose squares are below the normal range takes the way of the largest.
  const auto tiny = parameter(1e-200 * cos(arange<double>(3000.0)));
  const auto length = compile([](const Tensor<double>& a) {
    return norm(a * 2) + sum(norm(reshape(a, {3, 1000}), 1));
  });
  const Tensor<double> expected = norm(tiny * 2) + sum(norm(reshape(tiny, {3, 1000}), 1));
  for (int call = 0; call < 3; ++call) CHECK(same_bits(length(tiny).detach(), expected.detach()));
  CHECK(same_bits(grad(length(tiny), tiny), grad(expected, tiny)));
}
