// GradBench's gmm, of ADBench (Srajer, Kukelova, Fitzgibbon, A benchmark of selected algorithmic
// differentiation tools, 2018): the logarithm of the posterior of a mixture of Gaussians, and its gradient.
// The formula is in
// ../gaussian_mixture.hpp, what is computed in ../tensor_mixture.hpp.
#include "../tensor_mixture.hpp"
#include "protocol.hpp"

namespace {

struct Input : bench::GaussianMixture {
  explicit Input(const gradbench::Json& json) {
    const auto numbers = [&](const char* name) {
      const auto all = gradbench::tensor(json.at(name));
      return std::vector<double>(all.begin(), all.end());
    };
    n = json.at("n"), d = json.at("d"), K = json.at("k"), m = json.at("m"), gamma = json.at("gamma");
    x = numbers("x"), alpha = numbers("alpha"), mu = numbers("mu"), q = numbers("q"), l = numbers("l");
  }
};

struct Objective {
  static constexpr auto name = "objective";
  bench::TensorMixture mixture;
  double value = 0;

  explicit Objective(const Input& input) : mixture(input) {}
  void run() { value = mixture.value(); }
  gradbench::Json result() const { return value; }
};

struct Jacobian {
  static constexpr auto name = "jacobian";
  bench::TensorMixture mixture;
  std::vector<xtape::Tensor<double>> gradient;  ///< by α, μ, q, l

  explicit Jacobian(const Input& input) : mixture(input) {}
  void run() { gradient = mixture.value_and_grad().second; }
  gradbench::Json result() const {
    using gradbench::list;
    return {{"alpha", list(gradient[0])},
            {"mu", list(gradient[1])},
            {"q", list(gradient[2])},
            {"l", list(gradient[3])}};
  }
};

}  // namespace

int main(int argc, char** argv) { return gradbench::tool<Input, Objective, Jacobian>(argc, argv); }
