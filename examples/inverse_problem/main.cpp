// The parameters of a differential equation from measurements, with error bars: how fast hares breed and are
// eaten, and lynx die and feed, from noisy counts of both.
#include <cmath>
#include <cstdio>
#include <vector>

#include <nn/nn.hpp>

#include "../plot.hpp"
#include "../program.hpp"

namespace {

using xtape::Tensor;
namespace linalg = xtape::linalg;

/// Lotka and Volterra's equation for u = (prey, predators): p[0] births of prey, p[1] prey eaten, p[2] deaths
/// of predators, p[3] predators fed.
Tensor<double> change(double, const Tensor<double>& u, const Tensor<double>& p) {
  const Tensor<double> prey = slice(u, 0), predators = slice(u, 1), met = prey * predators;
  return xtape::stack({slice(p, 0) * prey - slice(p, 1) * met, slice(p, 3) * met - slice(p, 2) * predators});
}

/// The unknowns: the four rates and the two numbers at the beginning, as logarithms, so that they stay
/// positive. (times, 2): the logarithms of both numbers.
Tensor<double> model(const Tensor<double>& logarithms, const Tensor<double>& times) {
  const Tensor<double> all = exp(logarithms);
  const auto rates = slice(all, xt::range(0, 4)), first = slice(all, xt::range(4, 6));
  return log(xtape::odeint(change, first, times, rates, {.rtol = 1e-8, .atol = 1e-10, .adjoint = false}));
}

void draw(const Tensor<double>& times, const Tensor<double>& observed, const Tensor<double>& estimate,
          const std::filesystem::path& path) {
  const auto list = [](const Tensor<double>& t) { return std::vector<double>(t.begin(), t.end()); };
  const auto column = [&](const Tensor<double>& t, int j) { return list(slice(t, xt::all(), j)); };
  const Tensor<double> fine = xtape::linspace<double>(0, 20, 401), curve = exp(model(estimate, fine));
  examples::Plot plot(path, 900, 460);
  plot.data("curve", {list(fine), column(curve, 0), column(curve, 1)});
  plot.data("points", {list(times), column(observed, 0), column(observed, 1)});
  plot.command(
      "set key above\nset xlabel 'time in years'\nset ylabel 'number in thousands'\nset yrange [0:*]");
  plot.command(
      "plot $points using 1:2 with points linetype 2 pointtype 7 pointsize 0.7 title 'prey, counted', "
      "$curve using 1:2 with lines linetype 2 linewidth 2 title 'prey, fitted', "
      "$points using 1:3 with points linetype 7 pointtype 5 pointsize 0.7 title 'predators, counted', "
      "$curve using 1:3 with lines linetype 7 linewidth 2 title 'predators, fitted'");
  plot.write();
}

struct Options {
  double noise = 0.1;
  std::uint64_t seed = 5;
  std::filesystem::path out = ".";
};

void run(const Options& o) {
  xtape::random::seed(o.seed);
  const Tensor<double> truth{0.9, 0.3, 1.1, 0.25, 4.0, 2.0}, times = xtape::linspace<double>(0, 20, 41);
  const Tensor<double> counted =
      model(log(truth), times) + xtape::random::normal<double>({41, 2}, 0, o.noise);
  std::printf("41 counts of prey and predators over 20 years, each off by about %g %%\n\n", 100 * o.noise);

  const auto residuals = [&](const Tensor<double>& p) { return flatten(model(p, times) - counted); };
  const Tensor<double> start = log(Tensor<double>{1.0, 0.5, 1.0, 0.5, 3.0, 3.0});
  const auto found = xtape::least_squares(residuals, start);

  // Of residuals with deviation s, the covariance of the unknowns is s² (JᵀJ)⁻¹: the inverse of the
  // Gauss-Newton matrix. s follows from what the fit leaves.
  const Tensor<double> J = jacobian(residuals, found.x);
  const double left = 2 * found.value / (82 - 6);
  const Tensor<double> error = sqrt(left * diag(linalg::inv(matmul(transpose(J), J))));
  const char* names[] = {"births of prey", "prey eaten",    "deaths of predators",
                         "predators fed",  "prey at first", "predators at first"};
  std::printf("                       true  start  found  95 %% within\n");
  for (std::size_t i = 0; i < 6; ++i) {
    const double value = std::exp(found.x.data()[i]), by = std::exp(1.96 * error.data()[i]);
    std::printf("%-20s  %5.2f  %5.2f  %5.2f  %.2f to %.2f\n", names[i], truth.data()[i],
                std::exp(start.data()[i]), value, value / by, value * by);
  }
  std::printf("\nnoise that the fit leaves: %.1f %%\n", 100 * std::sqrt(left));
  const Tensor<double> outside = abs(found.x - log(truth)) > 1.96 * error;
  std::printf("true values outside of their interval: %.0f of 6\n", sum(outside).item());
  std::printf("%s in %zu steps\n", found.converged ? "converged" : "not converged", found.iterations);
  draw(times, exp(counted), found.x, o.out / "inverse_problem.svg");
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  examples::Program program("inverse_problem", "The parameters of a differential equation, with error bars.");
  program.option("--noise", o.noise, "of a count, relative to it", {.positive = true});
  program.option("--seed", o.seed, "of the noise");
  program.out_option(o.out);
  return program.run(argc, argv, [&] { run(o); });
}
