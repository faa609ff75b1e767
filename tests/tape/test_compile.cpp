// Compiled functions: the bits of the function itself, and what a trace refuses.
#include "../check_close.hpp"

#include <sstream>

#include <autodiff/compile.hpp>
#include <nn/nn.hpp>

using namespace xtape;

namespace {

template <class T>
bool same_bits(const Tensor<T>& a, const Tensor<T>& b) {
  return a.shape() == b.shape() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

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
  check_same<double>([&](const Tensor<double>& in) { return sum(softmax(matmul(in, transpose(W)) + b, 1) * slice(in, xt::all(), xt::range(0, 3))); }, x);
}
