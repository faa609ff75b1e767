// A Kalman filter follows a moving thing through noisy positions. How much the positions are off, and how
// much the thing accelerates, is not known: both follow from the data, as the numbers that make them most
// likely.
#include <algorithm>
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

constexpr double interval = 0.1;  ///< seconds between observations

/// The model: a state (position, velocity) of each of two axes, (4,1), moves with constant velocity but for
/// random accelerations; the positions are observed, (2,1), with noise.
struct Model {
  Tensor<double> F, G, H, Q, R;  ///< (4,4), (4,2) from accelerations to the state, (2,4), (4,4), (2,2)
  /// The logarithms of the deviation of an acceleration and of an observation.
  Model(const Tensor<double>& acceleration, const Tensor<double>& noise) {
    const double h = interval;
    F = {{1, h, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, h}, {0, 0, 0, 1}};
    G = {{h * h / 2, 0}, {h, 0}, {0, h * h / 2}, {0, h}};
    H = {{1, 0, 0, 0}, {0, 0, 1, 0}};
    Q = exp(2 * acceleration) * matmul(G, transpose(G));
    R = exp(2 * noise) * xtape::eye<double>(2);
  }
};

/// The filter, from the first of the observations (n,2) on, given the two logarithms.
struct Filter {
  Model m;
  Tensor<double> x, P;  ///< what is believed: the state and its covariance, (4,1), (4,4)
  Tensor<double> negative_log_likelihood{0.0};  ///< −log p of what was pushed

  Filter(const Tensor<double>& observed, const Tensor<double>& logarithms)
      : m(slice(logarithms, 0), slice(logarithms, 1)),
        x(matmul(transpose(m.H), unsqueeze(slice(observed, 0), 1))),
        P(diag(Tensor<double>{1, 10, 1, 10})) {}

  /// Observation t.
  void push(const Tensor<double>& observed, std::size_t t) {
    const Tensor<double> z = unsqueeze(slice(observed, static_cast<int>(t)), 1);
    x = matmul(m.F, x);
    P = matmul(matmul(m.F, P), transpose(m.F)) + m.Q;
    const Tensor<double> HP = matmul(m.H, P), S = matmul(HP, transpose(m.H)) + m.R;  // of the innovation e
    const Tensor<double> e = z - matmul(m.H, x), weighed = linalg::solve(S, xtape::concatenate({HP, e}, 1));
    const Tensor<double> gain = transpose(slice(weighed, xt::all(), xt::range(0, 4)));  // P Hᵀ S⁻¹
    x = x + matmul(gain, e);
    P = P - matmul(gain, HP);
    negative_log_likelihood =
        negative_log_likelihood +
        (0.5 * (sum(e * slice(weighed, xt::all(), xt::range(4, 5))) + linalg::slogdet(S).logabsdet) +
         std::log(2 * std::numbers::pi));
  }
};

struct Track {
  Tensor<double> positions, observed;  ///< (n,2)
};

Track simulate(std::size_t n, double acceleration, double noise) {
  const Model m(Tensor<double>(std::log(acceleration)), Tensor<double>(std::log(noise)));
  Tensor<double> x{{0}, {1}, {0}, {0.5}};
  std::vector<Tensor<double>> positions;
  for (std::size_t t = 0; t < n; ++t) {
    positions.push_back(flatten(matmul(m.H, x)));
    x = matmul(m.F, x) + matmul(m.G, xtape::random::normal<double>({2, 1}, 0, acceleration));
  }
  const Tensor<double> all = xtape::stack(positions);
  return {all, all + xtape::random::normal<double>(all.shape(), 0, noise)};
}

Tensor<double> negative_log_likelihood(const Tensor<double>& observed, const Tensor<double>& logarithms) {
  Filter filter(observed, logarithms);
  for (std::size_t t = 1; t < observed.shape(0); ++t) filter.push(observed, t);
  return filter.negative_log_likelihood;
}

/// The positions that the filter believes, (n,2).
Tensor<double> filtered(const Tensor<double>& observed, const Tensor<double>& logarithms) {
  Filter filter(observed, logarithms);
  std::vector<Tensor<double>> positions{slice(observed, 0)};
  for (std::size_t t = 1; t < observed.shape(0); ++t) {
    filter.push(observed, t);
    positions.push_back(flatten(matmul(filter.m.H, filter.x)));
  }
  return xtape::stack(positions);
}

double root_mean_square(const Tensor<double>& x) { return std::sqrt(mean(square(x)).item()); }

void draw(const Track& track, const Tensor<double>& estimate, const std::filesystem::path& path) {
  // The first part alone, where observations are told apart.
  const auto column = [](const Tensor<double>& t, int j) {
    const Tensor<double> c = slice(t, xt::range(0, std::min<std::size_t>(t.shape(0), 120)), j);
    return std::vector<double>(c.begin(), c.end());
  };
  examples::Plot plot(path, 760, 560);
  plot.data("truth", {column(track.positions, 0), column(track.positions, 1)});
  plot.data("filter", {column(estimate, 0), column(estimate, 1)});
  plot.data("observed", {column(track.observed, 0), column(track.observed, 1)});
  plot.command("set key top left\nset xlabel 'x in metres'\nset ylabel 'y in metres'");
  plot.command(
      "plot $observed with points linetype 1 pointtype 7 pointsize 0.5 title 'observed', "
      "$truth with lines linetype 7 linewidth 1.5 title 'truth', "
      "$filter with lines linetype 2 linewidth 2.5 dashtype 2 title 'filter'");
  plot.write();
}

struct Options {
  std::size_t steps = 500;
  std::uint64_t seed = 1;
  std::filesystem::path out = ".";
};

void run(const Options& o) {
  xtape::random::seed(o.seed);
  const Track track = simulate(o.steps, 2.0, 0.5);
  std::printf("%zu positions, one every %g s\n\n", o.steps, interval);

  // The filter is a program of some twenty small operations for each observation: recorded once, and run
  // again.
  const auto loss =
      xtape::compile([&](const Tensor<double>& p) { return negative_log_likelihood(track.observed, p); });
  const Tensor<double> start{0.0, 0.0};
  const auto found = xtape::minimize(loss, start);
  const Tensor<double> estimate = exp(found.x),
                       error = estimate * sqrt(diag(linalg::inv(hessian(loss, found.x))));
  std::printf("                   acceleration   noise\n");
  std::printf("true                       %.2f    %.2f\n", 2.0, 0.5);
  std::printf("start                      %.2f    %.2f\n", exp(start).data()[0], exp(start).data()[1]);
  std::printf("most likely                %.2f    %.2f\n", estimate.data()[0], estimate.data()[1]);
  std::printf("standard error             %.2f    %.2f\n", error.data()[0], error.data()[1]);

  const Tensor<double> best = filtered(track.observed, found.x);
  std::printf("\nroot mean square error of a coordinate in metres\n");
  std::printf("observations                         %.2f\n",
              root_mean_square(track.observed - track.positions));
  std::printf("filter with the numbers of the start %.2f\n",
              root_mean_square(filtered(track.observed, start) - track.positions));
  std::printf("filter with the most likely ones     %.2f\n", root_mean_square(best - track.positions));
  draw(track, best, o.out / "kalman_filter.svg");
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  examples::Program program("kalman_filter", "A Kalman filter whose noise is learned from the data.");
  program.option("--steps", o.steps, "positions that are observed", {.low = 20, .high = 100000});
  program.option("--seed", o.seed, "of the movement and of the noise");
  program.out_option(o.out);
  return program.run(argc, argv, [&] { run(o); });
}
