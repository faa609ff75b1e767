// The minimisers on the test functions of Moré, Garbow and Hillstrom, with their defaults and one tolerance
// for all.
#include <cmath>
#include <cstdio>
#include <map>
#include <set>

#include "../check_close.hpp"
#include "more_garbow_hillstrom.hpp"

#include <nn/minimize.hpp>

using namespace xtape;
using namespace xtape::test;

namespace {

struct Cell {
  std::size_t iterations, evaluations;
  double error;
  bool converged;
  std::string message;
};

template <class M>
Cell cell(const M& found, double value, const SumOfSquares& problem) {
  return {found.iterations, found.evaluations, problem.distance(value), found.converged, found.message};
}

using Row = std::map<std::string, Cell>;

Row solve(const SumOfSquares& problem) {
  const Tensor<double> x0(problem.start);
  const auto f = [&](const auto& x) { return squared_norm(problem.residuals(x)); };
  const auto lbfgs = minimize(f, x0), newton = minimize(f, x0, {.method = Minimizer::newton_cg});
  const auto marquardt = least_squares(problem.residuals, x0);
  return {{"lbfgs", cell(lbfgs, lbfgs.value, problem)},
          {"newton_cg", cell(newton, newton.value, problem)},
          {"least_squares", cell(marquardt, 2 * marquardt.value, problem)}};
}

}  // namespace

TEST_CASE("35 functions: a known minimum is reached, but for those that are named here") {
  // At Watson's 12 unknowns f is so flat that the gradient is below 1e-8 at 5e-9 as at 5e-10; Meyer's needs
  // unknowns of which one is a million times another, and Newton's trust region is round.
  const std::set<std::string> missed{"Watson, 12 lbfgs", "Watson, 12 newton_cg", "Watson, 12 least_squares",
                                     "Meyer newton_cg"};
  const auto problems = more_garbow_hillstrom();
  std::set<int> numbers;
  std::printf("%-34s%25s%27s%27s\n", "iterations, evaluations, error", "lbfgs", "newton_cg", "least_squares");
  for (const SumOfSquares& problem : problems) {
    numbers.insert(problem.number);
    const Row row = solve(problem);
    std::printf("%2d %-32s", problem.number, problem.name.c_str());
    for (const char* method : {"lbfgs", "newton_cg", "least_squares"}) {
      const Cell& c = row.at(method);
      std::printf("  %6zu %6zu  %9.1e", c.iterations, c.evaluations, c.error);
      const std::string name = problem.name + " " + method;
      CAPTURE(name);
      CAPTURE(c.message);
      CAPTURE(c.error);
      if (missed.contains(name)) {
        WARN(c.error > 1e-5);  // else it need not be named
      } else {
        CHECK(c.error <= 1e-5);
        // Where f has lost more digits than a minimiser expects, which differs between compilers, it may end
        // because f no longer falls; but not because it has gone on for too long.
        const bool is_at_the_noise = c.message.starts_with("no step along the direction decreases f");
        CHECK((c.converged || is_at_the_noise));
      }
    }
    std::printf("\n");
  }
  CHECK(numbers.size() == 35);
}

TEST_CASE("Newton-CG goes on by the gradient where f is rounded more coarsely than its last digit") {
  // At the minimum of Osborne's first function the exponentials leave f some 100 times its last digit. From
  // starts that differ in the last digits, one in seven once ended there with a gradient above the tolerance.
  for (const SumOfSquares& problem : more_garbow_hillstrom()) {
    if (problem.name != "Osborne 1") continue;
    const auto f = [&](const auto& x) { return squared_norm(problem.residuals(x)); };
    std::size_t converged = 0;
    for (int k = 0; k < 60; ++k) {
      const Tensor<double> x0(problem.start);
      const auto start = x0 * (1 + 1e-13 * k * sin(1.0 + 7.0 * k + arange<double>(5)));
      const auto found = minimize(f, start, {.method = Minimizer::newton_cg});
      CHECK(problem.distance(found.value) <= 1e-5);
      converged += found.converged;
    }
    CHECK(converged >= 57);
  }
}

TEST_CASE("the residuals have the derivatives that the tape says") {
  for (const SumOfSquares& problem : more_garbow_hillstrom()) {
    CAPTURE(problem.name);
    if (problem.name == "Meyer" || problem.name == "Helical valley")
      continue;  // 1e9, and a jump at the start
    const auto report = check_gradients(problem.residuals, Tensor<double>(problem.start));
    CHECK_MESSAGE(report.passed, report);
  }
}
