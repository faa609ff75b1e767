// L-BFGS beside liblbfgs on the test functions of Moré, Garbow and Hillstrom, and the other minimisers.
//
// All take f and its gradient from the tape, the same start, ten pairs, and end when no component of the
// gradient is above 1e-8. What is counted is not time but evaluations, which is what a costly f takes.
//
// `minimisers --evaluate` answers another program instead (minimisers_scipy.py): first the problems, a line
// of JSON, then to each line {"problem": i, "x": [..]} the residuals r there and their Jacobian J.
#include <cmath>
#include <cstdio>
#include <iostream>
#include <string>

#include <autodiff/autodiff.hpp>
#include <nlohmann/json.hpp>
#include <nn/minimize.hpp>

#include "../tests/nn/more_garbow_hillstrom.hpp"

#ifdef XTAPE_LIBLBFGS
#include <lbfgs.h>
#endif

namespace {

using namespace xtape;
using test::SumOfSquares;

struct Result {
  std::size_t iterations = 0, evaluations = 0;
  double value = 0;
};

constexpr double tolerance = 1e-8;

Result with_xtape(const SumOfSquares& problem, Minimizer method) {
  const auto f = [&](const auto& x) { return squared_norm(problem.residuals(x)); };
  const auto found = minimize(f, Tensor<double>(problem.start),
                              {.method = method, .history = 10, .gradient_tolerance = tolerance});
  return {found.iterations, found.evaluations, found.value};
}

Result with_least_squares(const SumOfSquares& problem) {
  const auto found =
      least_squares(problem.residuals, Tensor<double>(problem.start), {.gradient_tolerance = tolerance});
  return {found.iterations, found.evaluations, 2 * found.value};
}

#ifdef XTAPE_LIBLBFGS
struct Peer {
  const SumOfSquares& problem;
  Result result;
};

lbfgsfloatval_t evaluate(void* instance, const lbfgsfloatval_t* x, lbfgsfloatval_t* g, int n,
                         lbfgsfloatval_t) {
  Peer& peer = *static_cast<Peer*>(instance);
  ++peer.result.evaluations;
  const auto size = static_cast<std::size_t>(n);
  const auto f = [&](const Tensor<double>& at) { return squared_norm(peer.problem.residuals(at)); };
  const auto [value, gradient] = value_and_grad(f)(Tensor<double>::from_data({x, size}, {size}));
  std::copy(gradient.begin(), gradient.end(), g);
  return value.item();
}

int stop_as_xtape_does(void* instance, const lbfgsfloatval_t*, const lbfgsfloatval_t* g, lbfgsfloatval_t,
                       lbfgsfloatval_t, lbfgsfloatval_t, lbfgsfloatval_t, int n, int iteration, int) {
  static_cast<Peer*>(instance)->result.iterations = static_cast<std::size_t>(iteration);
  double largest = 0;
  for (int i = 0; i < n; ++i) largest = std::max(largest, std::abs(g[i]));
  return largest <= tolerance;
}

Result with_liblbfgs(const SumOfSquares& problem) {
  Peer peer{problem, {}};
  const int n = static_cast<int>(problem.start.size());
  lbfgs_parameter_t parameters;
  lbfgs_parameter_init(&parameters);  // the search of Moré and Thuente, with the same constants as xtape's
  parameters.m = 10;
  parameters.epsilon = 1e-300;
  parameters.max_iterations = 10000;
  lbfgsfloatval_t* const x = lbfgs_malloc(n);  // of a multiple of 16 elements, for its vectors
  std::copy(problem.start.begin(), problem.start.end(), x);
  lbfgs(n, x, &peer.result.value, evaluate, stop_as_xtape_does, &peer, &parameters);
  lbfgs_free(x);
  return peer.result;
}
#endif

void print(const Result& result, const SumOfSquares& problem) {
  std::printf(" | %6zu %6zu %8.1e", result.iterations, result.evaluations, problem.distance(result.value));
}

void answer() {
  const std::vector<SumOfSquares> problems = test::more_garbow_hillstrom();
  nlohmann::json list = nlohmann::json::array();
  for (const SumOfSquares& problem : problems)
    list.push_back({{"number", problem.number},
                    {"name", problem.name},
                    {"start", problem.start},
                    {"minima", problem.minima}});
  std::cout << list.dump() << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    const nlohmann::json asked = nlohmann::json::parse(line);
    const SumOfSquares& problem = problems.at(asked.at("problem").get<std::size_t>());
    const auto numbers = asked.at("x").get<std::vector<double>>();
    const Tensor<double> x(numbers), r = problem.residuals(x), J = jacobian(problem.residuals, x);
    const std::vector<double> values(r.begin(), r.end()), rows(J.begin(), J.end());
    std::cout << nlohmann::json{{"r", values}, {"J", rows}}.dump() << std::endl;
  }
}

}  // namespace

int main(int arguments, char** argument) {
  if (arguments == 2 && std::string(argument[1]) == "--evaluate") return answer(), 0;
  std::printf(
      "iterations, evaluations of f and its gradient (least_squares: of the residuals), error of f\n\n%-35s",
      "");
  for (const char* name : {"L-BFGS", "liblbfgs", "Newton-CG", "Levenberg-Marquardt"})
    if (std::string(name) != "liblbfgs"
#ifdef XTAPE_LIBLBFGS
        || true
#endif
    )
      std::printf(" | %22s", name);
  std::printf("\n");
  std::size_t ours = 0, theirs = 0, fewer = 0, more = 0;
  for (const SumOfSquares& problem : test::more_garbow_hillstrom()) {
    std::printf("%2d %-32s", problem.number, problem.name.c_str());
    const Result lbfgs = with_xtape(problem, Minimizer::lbfgs);
    print(lbfgs, problem);
#ifdef XTAPE_LIBLBFGS
    const Result peer = with_liblbfgs(problem);
    print(peer, problem);
    if (problem.distance(lbfgs.value) <= 1e-5 && problem.distance(peer.value) <= 1e-5) {
      ours += lbfgs.evaluations;
      theirs += peer.evaluations;
      fewer += lbfgs.evaluations < peer.evaluations;
      more += lbfgs.evaluations > peer.evaluations;
    }
#endif
    print(with_xtape(problem, Minimizer::newton_cg), problem);
    print(with_least_squares(problem), problem);
    std::printf("\n");
  }
  if (theirs > 0)
    std::printf(
        "\nwhere both reach a minimum, xtape takes %zu evaluations and liblbfgs %zu; fewer in %zu rows, more "
        "in %zu\n",
        ours, theirs, fewer, more);
}
