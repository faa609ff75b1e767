// GradBench's lse: the logarithm of a sum of exponentials, ln Σ exp x_i, and its gradient.
#include "protocol.hpp"

namespace {

using xtape::Tensor;

struct Input {
  Tensor<double> x;  ///< (n)
  explicit Input(const gradbench::Json& json) : x(gradbench::tensor(json.at("x"))) {}
};

struct Primal {
  static constexpr auto name = "primal";
  Tensor<double> x;
  double value = 0;

  explicit Primal(const Input& input) : x(input.x) {}
  void run() { value = logsumexp(x).item(); }
  gradbench::Json result() const { return value; }
};

struct Gradient {
  static constexpr auto name = "gradient";
  Tensor<double> x, gradient;

  explicit Gradient(const Input& input) : x(parameter(input.x)) {}
  void run() { gradient = grad(logsumexp(x), x); }
  gradbench::Json result() const { return gradbench::list(gradient); }
};

}  // namespace

int main(int argc, char** argv) { return gradbench::tool<Input, Primal, Gradient>(argc, argv); }
