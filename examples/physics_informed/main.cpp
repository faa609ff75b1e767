// A network that is no fit to data, but the solution of Burgers' equation, u_t + u u_x = ν u_xx: what it is
// trained on is the equation itself, its start and its edges. The exact solution is known.
#include <cmath>
#include <cstdio>
#include <numbers>
#include <vector>

#include <nn/nn.hpp>

#include "../plot.hpp"
#include "../program.hpp"

namespace {

using xtape::Tensor;
constexpr double viscosity = 0.05;

/// Gauss and Hermite's points and weights for ∫ f(z) exp(−z²) dz: the eigenvalues of the matrix of the
/// polynomials' recurrence, and the first components of its eigenvectors (Golub and Welsch, 1969).
std::pair<std::vector<double>, std::vector<double>> gauss_hermite(std::size_t n) {
  Tensor<double> recurrence = xtape::zeros<double>({n, n});
  for (std::size_t i = 1; i < n; ++i)
    recurrence.mutable_data()[i * n + i - 1] = std::sqrt(static_cast<double>(i) / 2);
  const auto [values, vectors] = xtape::linalg::eigh(recurrence);  // of which the lower triangle is read
  const Tensor<double> weights = std::sqrt(std::numbers::pi) * square(slice(vectors, 0));
  return {{values.begin(), values.end()}, {weights.begin(), weights.end()}};
}

/// The solution from u(0, x) = −sin πx by the transformation of Cole and Hopf: a quotient of two integrals
/// (Basdevant and others, 1986).
double exact(double t, double x) {
  static const auto [points, weights] = gauss_hermite(60);
  if (t == 0) return -std::sin(std::numbers::pi * x);
  const double scale = std::sqrt(4 * viscosity * t);
  double above = 0, below = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const double at = std::numbers::pi * (x - scale * points[i]);
    const double weight = weights[i] * std::exp(-std::cos(at) / (2 * std::numbers::pi * viscosity));
    above -= weight * std::sin(at);
    below += weight;
  }
  return above / below;
}

/// u(t, x) of a network whose weights are a list: tanh layers, and a factor that makes u 0 at both edges and
/// −sin πx at t = 0, so that there is nothing to learn of them: t, x (n,1).
Tensor<double> network(const Tensor<double>& t, const Tensor<double>& x,
                       const std::vector<Tensor<double>>& weights) {
  Tensor<double> a = xtape::concatenate({2 * t - 1, x}, 1);
  for (std::size_t i = 0; i + 2 < weights.size(); i += 2) a = tanh(linear(a, weights[i], weights[i + 1]));
  const Tensor<double> free = linear(a, weights.end()[-2], weights.end()[-1]);
  return -sin(std::numbers::pi * x) + t * (1 - square(x)) * free;
}

/// u_t + u u_x − ν u_xx at the points, by derivatives of the network with respect to its inputs.
Tensor<double> residual(const Tensor<double>& t_points, const Tensor<double>& x_points,
                        const std::vector<Tensor<double>>& weights) {
  const Tensor<double> t = xtape::parameter(t_points), x = xtape::parameter(x_points);
  const Tensor<double> u = network(t, x, weights);
  const auto first =
      grad(sum(u), {t, x}, {.create_graph = true});  // each point's u depends on its own t and x alone
  const Tensor<double> u_xx = grad(sum(first[1]), x, {.create_graph = true});
  return first[0] + u * first[1] - viscosity * u_xx;
}

/// All points of a grid, as two columns.
std::pair<Tensor<double>, Tensor<double>> grid(std::size_t times, std::size_t places) {
  const Tensor<double> t = xtape::linspace<double>(0, 1, times), x = xtape::linspace<double>(-1, 1, places);
  const xtape::Shape all{times, places};
  return {reshape(broadcast_to(unsqueeze(t, 1), all), {-1, 1}),
          reshape(broadcast_to(unsqueeze(x, 0), all), {-1, 1})};
}

double relative_error(const std::vector<Tensor<double>>& weights) {
  const xtape::NoGrad off;
  const auto [t, x] = grid(21, 101);
  const Tensor<double> u = network(t, x, weights);
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < u.size(); ++i) {
    const double right = exact(t.data()[i], x.data()[i]);
    difference += std::pow(u.data()[i] - right, 2);
    size += right * right;
  }
  return std::sqrt(difference / size);
}

void draw(const std::vector<Tensor<double>>& weights, const std::filesystem::path& path) {
  const xtape::NoGrad off;
  examples::Plot plot(path, 900, 460);
  plot.command("set key top right\nset xlabel 'x'\nset ylabel 'u'\nset xrange [-1:1]\nset yrange [-1.1:1.1]");
  std::string command = "plot ";
  int type = 1;
  for (const double time : {0.0, 0.25, 0.5, 1.0}) {
    const Tensor<double> x = xtape::linspace<double>(-1, 1, 201), t = 0 * x + time;
    const Tensor<double> u = network(unsqueeze(t, 1), unsqueeze(x, 1), weights);
    std::vector<double> right;
    for (const double at : x) right.push_back(exact(time, at));
    const std::string name = "t" + std::to_string(static_cast<int>(100 * time)),
                      number = std::to_string(++type);
    char title[32];
    std::snprintf(title, sizeof title, "t = %g", time);
    plot.data(name, {{x.begin(), x.end()}, {u.begin(), u.end()}, right});
    command += "$" + name + " using 1:3 with lines linetype " + number + " linewidth 2 title 'exact, " +
               title + "', $" + name + " every 8 using 1:2 with points linetype " + number +
               " pointtype 6 pointsize 0.8 title 'network', ";
  }
  plot.command(command.substr(0, command.size() - 2));
  plot.write();
}

struct Options {
  std::size_t hidden = 20;
  int iterations = 600;
  std::uint64_t seed = 2;
  std::filesystem::path out = ".";
};

void run(const Options& o) {
  xtape::random::seed(o.seed);
  std::vector<Tensor<double>> weights;
  for (const auto& [in, out] :
       std::vector<std::pair<std::size_t, std::size_t>>{{2, o.hidden}, {o.hidden, o.hidden}, {o.hidden, 1}}) {
    const double spread = std::sqrt(2.0 / static_cast<double>(in + out));
    weights.push_back(xtape::random::normal<double>({out, in}, 0, spread));
    weights.push_back(xtape::zeros<double>({out}));
  }
  const auto [t, x] = grid(21, 41);
  std::printf("%zu points, and a network with two layers of %zu\n\n", t.size(), o.hidden);

  const auto loss = [t = t, x = x](const std::vector<Tensor<double>>& w) {
    return mean(square(residual(t, x, w)));
  };
  std::printf("iteration   mean square of the residual\n");
  xtape::MinimizeOptions<std::vector<Tensor<double>>> options;
  options.max_iterations = static_cast<std::size_t>(o.iterations);
  options.history = 30;
  options.callback = [&](const auto& i) {
    if (i.number % 100 == 0) std::printf("%9zu   %.1e\n", i.number, i.value);
    return true;
  };
  const auto found = xtape::minimize(loss, weights, options);
  const double before = relative_error(weights), now = relative_error(found.x);
  std::printf("\nerror against the exact solution, relative: %.2f before, %.1e now; below 1 %%: %s\n", before,
              now, now < 0.01 ? "yes" : "no");
  draw(found.x, o.out / "physics_informed.svg");
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  examples::Program program("physics_informed", "A network that solves Burgers' equation.");
  program.option("--width", o.hidden, "neurons of a layer", {.low = 1, .high = 1000});
  program.option("--iterations", o.iterations, "of L-BFGS", {.low = 1, .high = 100000});
  program.option("--seed", o.seed, "of the first weights");
  program.out_option(o.out);
  return program.run(argc, argv, [&] { run(o); });
}
