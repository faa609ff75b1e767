// GradBench's llsq: a polynomial fitted to the sign function by least squares,
//
//     ½ Σ_i (sign t_i − Σ_j x_j t_i^j)²,  t_i = −1 + 2 i / (n − 1),
//
// and the gradient by its m coefficients. By Horner's rule: the plan of 2 m elementwise steps goes through
// the points tile by tile, and back.
#include "protocol.hpp"

namespace {

using xtape::Tensor;

struct Input {
  Tensor<double> x;  ///< (m)
  double n;
  explicit Input(const gradbench::Json& json) : x(gradbench::tensor(json.at("x"))), n(json.at("n")) {}
};

/// Half the sum of squares at the points t, (n), of the polynomial with the coefficients x.
auto half_squares(const Tensor<double>& x) {
  return xtape::compile([=](const Tensor<double>& t) {
    const auto coefficients = split(x, x.size());  // (1) each
    auto y = coefficients.back();
    for (std::size_t j = coefficients.size() - 1; j-- > 0;) y = y * t + coefficients[j];
    return 0.5 * sum(square((t > 0) - (t < 0) - y));
  });
}

/// In the run and an argument, so that it is no constant of what is compiled.
Tensor<double> points(double n) { return xtape::arange<double>(n) * 2 / (n - 1) - 1; }

struct Primal {
  static constexpr auto name = "primal";
  double n, value = 0;
  decltype(half_squares({})) f;

  explicit Primal(const Input& input) : n(input.n), f(half_squares(input.x)) { run(); }
  void run() { value = f(points(n)).item(); }
  gradbench::Json result() const { return value; }
};

struct Gradient {
  static constexpr auto name = "gradient";
  double n;
  decltype(half_squares({})) f;
  Tensor<double> gradient;

  explicit Gradient(const Input& input) : n(input.n), f(half_squares(parameter(input.x))) { run(); }
  void run() { gradient = f.value_and_grad(points(n)).second.front(); }
  gradbench::Json result() const { return gradbench::list(gradient); }
};

}  // namespace

int main(int argc, char** argv) { return gradbench::tool<Input, Primal, Gradient>(argc, argv); }
