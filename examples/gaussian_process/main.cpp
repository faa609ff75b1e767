// A Gaussian process learns a curve from few points, and says how sure it is: its length scale, its amplitude
// and the noise are those that make the data most likely.
#include <cmath>
#include <cstdio>
#include <numbers>
#include <vector>

#include <nn/nn.hpp>

#include "../plot.hpp"
#include "../program.hpp"

namespace {

using xtape::Tensor;
namespace linalg = xtape::linalg;

/// What the kernel is made of, as logarithms, so that they may be any number.
struct Kernel {
  Tensor<double> amplitude, length, noise;  ///< of the curve, along x, of an observation
  explicit Kernel(const Tensor<double>& logarithms)
      : amplitude(exp(slice(logarithms, 0))),
        length(exp(slice(logarithms, 1))),
        noise(exp(slice(logarithms, 2))) {}

  /// k(a, b) = amplitude² exp(−|a − b|² / (2 length²)), of every pair: (points of a, points of b).
  Tensor<double> operator()(const Tensor<double>& a, const Tensor<double>& b) const {
    const Tensor<double> difference = (unsqueeze(a, 1) - unsqueeze(b, 0)) / length;
    return square(amplitude) * exp(-0.5 * square(difference));
  }
  /// L of L Lᵀ = K + noise² 1, the covariance of the observations at x.
  Tensor<double> factor(const Tensor<double>& x) const {
    return linalg::cholesky((*this)(x, x) + square(noise) * xtape::eye<double>(x.size()));
  }
};

/// −log p(y | x) = ½ yᵀ (K + noise² 1)⁻¹ y + ½ log |K + noise² 1| + n/2 log 2π; with L that is half the
/// square of L⁻¹ y, and the sum of log L_ii.
Tensor<double> negative_log_likelihood(const Tensor<double>& x, const Tensor<double>& y,
                                       const Tensor<double>& logarithms) {
  const Tensor<double> L = Kernel(logarithms).factor(x);
  return 0.5 * sum(square(linalg::solve_triangular(L, y))) + sum(log(diag(L))) +
         0.5 * static_cast<double>(x.size()) * std::log(2 * std::numbers::pi);
}

struct Prediction {
  Tensor<double> mean, deviation;
};

/// Of the curve at the points `at`: mean k(at, x) (K + noise² 1)⁻¹ y, variance k(at, at) − k(at, x)
/// (K + noise² 1)⁻¹ k(x, at).
Prediction predict(const Tensor<double>& x, const Tensor<double>& y, const Tensor<double>& at,
                   const Tensor<double>& logarithms) {
  const Kernel kernel(logarithms);
  const Tensor<double> L = kernel.factor(x), across = kernel(x, at);
  const Tensor<double> v = linalg::solve_triangular(L, across);
  return {matmul(transpose(across), linalg::cho_solve(L, y)),
          sqrt(square(kernel.amplitude) - sum(square(v), 0))};
}

Tensor<double> truth(const Tensor<double>& x) { return sin(2 * x) + 0.3 * x; }

void print_kernel(const char* when, const Tensor<double>& logarithms, double likelihood) {
  const Kernel k(logarithms);
  std::printf("%s  amplitude %.2f, length %.2f, noise %.3f: log likelihood %.1f\n", when, k.amplitude.item(),
              k.length.item(), k.noise.item(), likelihood);
}

void draw(const Tensor<double>& x, const Tensor<double>& y, const Tensor<double>& at, const Prediction& p,
          const std::filesystem::path& path) {
  const auto list = [](const Tensor<double>& t) { return std::vector<double>(t.begin(), t.end()); };
  examples::Plot plot(path, 900, 460);
  plot.data("curve", {list(at), list(truth(at)), list(p.mean), list(p.mean - 1.96 * p.deviation),
                      list(p.mean + 1.96 * p.deviation)});
  plot.data("points", {list(x), list(y)});
  plot.command("set key top left\nset xlabel 'x'\nset ylabel 'y'\nset xrange [0:8]");
  plot.command(
      "plot $curve using 1:4:5 with filledcurves linecolor rgb '#c8dcee' title '95 % of the curves', "
      "$curve using 1:2 with lines linetype 7 linewidth 1.5 title 'truth', "
      "$curve using 1:3 with lines linetype 2 linewidth 2.5 dashtype 2 title 'mean', "
      "$points using 1:2 with points linetype 1 pointtype 7 pointsize 0.7 title 'observed'");
  plot.write();
}

struct Options {
  std::size_t points = 40;
  std::uint64_t seed = 3;
  std::filesystem::path out = ".";
};

void run(const Options& o) {
  xtape::random::seed(o.seed);
  // Nothing is observed between 3 and 5, nor beyond 7.
  const Tensor<double> u = xtape::random::uniform<double>({o.points}, 0, 5), x = where(u > 3.0, u + 2, u);
  const Tensor<double> y = truth(x) + xtape::random::normal<double>({o.points}, 0, 0.1);
  std::printf("%zu observations of a curve, with noise of 0.1\n\n", o.points);

  const auto loss = [&](const Tensor<double>& p) { return negative_log_likelihood(x, y, p); };
  const Tensor<double> start{0.0, 1.0, -1.0};
  print_kernel("start", start, -loss(start).item());
  const auto found = xtape::minimize(loss, start);
  print_kernel("found", found.x, -found.value);
  std::printf("%s\n", found.converged ? "the gradient is 0: no kernel near it makes the data more likely"
                                      : found.message.c_str());
  // How well the data determine them: the inverse of the Hessian is the covariance of the logarithms.
  const Tensor<double> spread = sqrt(diag(linalg::inv(hessian(loss, found.x))));
  std::printf("standard deviation of the logarithms: %.2f, %.2f, %.2f\n\n", spread.data()[0],
              spread.data()[1], spread.data()[2]);

  const Tensor<double> at = xtape::linspace<double>(0, 8, 401);
  const Prediction p = predict(x, y, at, found.x);
  const Tensor<double> error = abs(p.mean - truth(at));
  std::printf("nothing was observed between 3 and 5, nor beyond 7\n");
  std::printf("  x   truth    mean  deviation\n");
  for (const double where_x : {1.0, 4.0, 6.0, 8.0}) {
    const auto i = static_cast<std::size_t>(where_x * 50);
    std::printf("%3.0f  %6.2f  %6.2f  %9.2f\n", where_x, truth(at).data()[i], p.mean.data()[i],
                p.deviation.data()[i]);
  }
  std::printf("\nthe curve is within two deviations at %.0f %% of the points\n",
              100 * mean(error < 2 * p.deviation).item());
  draw(x, y, at, p, o.out / "gaussian_process.svg");
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  examples::Program program("gaussian_process",
                            "A Gaussian process learns a curve, and says how sure it is.");
  program.option("--points", o.points, "that are observed", {.low = 5, .high = 1000});
  program.option("--seed", o.seed, "of points and noise");
  program.out_option(o.out);
  return program.run(argc, argv, [&] { run(o); });
}
