// A user's program: compiled against an installed copy by pkg-config and by CMake.
#include <iostream>

#include <autodiff/autodiff.hpp>
#include <nn/nn.hpp>

int main() {
  const auto w = xtape::parameter<double>({{1.0, 2.0}, {3.0, 4.0}});
  xtape::sum(xtape::square(w)).backward();
  xtape::nn::Linear<float> layer(2, 3);
  const auto y = xtape::map([](auto a) { return exp(a) + 1; }, layer(xtape::ones<float>({1, 2})));
  bool caught = false;
  try {
    xtape::matmul(w, xtape::ones<double>({3, 3}));
  } catch (const xtape::Error&) { caught = true; }
  bool unrecorded = false;
  {
    const xtape::NoGrad no_grad;  // a flag of the library, also when this program hides its symbols
    unrecorded = !xtape::exp(w).requires_grad();
  }
  const bool right = caught && unrecorded && w.grad().value()(1, 1) == 8.0 && y.shape() == xtape::Shape{1, 3};
  std::cout << (right ? "consumer works with xtape " : "consumer is WRONG with xtape ") << xtape::version
            << '\n';
  return right ? 0 : 1;
}
