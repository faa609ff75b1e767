// A neural ordinary differential equation learns the motion of a pendulum: du/dt = f(u), where f is a small
// network. Written with operations, a loss of its own by map(), and a custom derivative: the adjoint
// equation.
#include <cmath>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include <nn/nn.hpp>

#include "../plot.hpp"
#include "../program.hpp"

namespace {

using xtape::Tensor;

/// Tensors that move together: the points u, or also the adjoints.
using State = std::vector<Tensor<double>>;
using Field = std::function<State(const State&)>;

constexpr double interval = 0.2;  ///< seconds between observations
constexpr int substeps = 2;       ///< steps of the solver from one to the next

/// One step of the classical Runge-Kutta method for ds/dt = f(s), in the operations of numbers or tensors.
State runge_kutta_step(const Field& f, const State& s, double h) {
  const auto moved = [&](const State& slope, double by) {
    State result;
    for (std::size_t i = 0; i < s.size(); ++i) result.push_back(s[i] + by * slope[i]);
    return result;
  };
  const State k1 = f(s), k2 = f(moved(k1, h / 2)), k3 = f(moved(k2, h / 2)), k4 = f(moved(k3, h));
  State result;
  for (std::size_t i = 0; i < s.size(); ++i)
    result.push_back(s[i] + (h / 6) * (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i]));
  return result;
}

/// The state after so many seconds; a negative number goes backward in time.
State solve(const Field& f, State s, double seconds) {
  for (int step = 0; step < substeps; ++step) s = runge_kutta_step(f, s, seconds / substeps);
  return s;
}

template <class F>
auto without_recording(F f) {
  const xtape::NoGrad no_grad;
  return f();
}

/// What moves the pendulum in truth: u = (angle, velocity), with gravity and friction. u (n, 2).
Tensor<double> pendulum(const Tensor<double>& u) {
  const std::vector<Tensor<double>> columns = xtape::split(u, 2, 1);
  return xtape::concatenate({columns[1], -4.0 * sin(columns[0]) - 0.3 * columns[1]}, 1);
}

/// The network in its place: f(u) = W2 tanh(W1 u + b1) + b2. weights = {W1, b1, W2, b2}.
Tensor<double> network(const Tensor<double>& u, const State& weights) {
  return linear(tanh(linear(u, weights[0], weights[1])), weights[2], weights[3]);
}

/// The next points, recorded operation by operation: the tape keeps every stage of every step.
Tensor<double> next_by_tape(const Tensor<double>& u, const State& weights) {
  return solve([&](const State& s) { return State{network(s[0], weights)}; }, {u}, interval)[0];
}

/// The same as one node that keeps u at the end alone. Its rule solves the adjoint equation backward in time:
/// with a = dJ/du, da/dt = −aᵀ ∂f/∂u, and what a weight w receives, dJ/dw, grows by aᵀ ∂f/∂w (Pontryagin;
/// Chen et al., 2018). u is solved backward beside them, as ∂f/∂u needs it.
Tensor<double> next_by_adjoint(const Tensor<double>& u, const State& weights) {
  const Tensor<double> end = without_recording([&] { return next_by_tape(u, weights); });
  const auto rule = [weights, end](const Tensor<double>& g) {
    const Field adjoint = [&](const State& s) {  // s = {u, a, dJ/dW1, dJ/db1, dJ/dW2, dJ/db2}
      using T = Tensor<double>;
      const auto along_a = [&](const T& at, const T& W1, const T& b1, const T& W2, const T& b2) {
        return sum(s[1] * network(at, {W1, b1, W2, b2}));
      };
      // The number aᵀ f itself is not wanted, only its gradients: aᵀ ∂f/∂u, and aᵀ ∂f/∂w of each weight.
      const auto [du, dW1, db1, dW2, db2] =
          xtape::value_and_grad(along_a)(s[0], weights[0], weights[1], weights[2], weights[3]).second;
      return State{network(s[0], weights), -du, -dW1, -db1, -dW2, -db2};
    };
    return without_recording([&] {
      State s{end, g};
      for (const Tensor<double>& w : weights) s.push_back(xtape::zeros<double>(w.shape()));
      s = solve(adjoint, s, -interval);
      return State(s.begin() + 1, s.end());  // the gradients of u, W1, b1, W2, b2
    });
  };
  return xtape::custom<double>("adjoint", {u, weights[0], weights[1], weights[2], weights[3]}, end, rule);
}

/// A loss that grows like a square for small residuals and like the residual itself for large ones, so that
/// outliers do not rule: √(1 + ((a − y) / s)²) − 1, the pseudo-Huber loss. One node, whatever the formula.
Tensor<double> robust_loss(const Tensor<double>& prediction, const Tensor<double>& observed) {
  return mean(map(
      [](auto a, auto y) {
        const auto r = (a - y) / 0.1;
        return sqrt(1 + r * r) - 1;
      },
      prediction, observed));
}

/// `count` points of a trajectory, each so many seconds after the one before, from u0 (1, 2) on: (count, 2).
Tensor<double> trajectory(const Field& f, const Tensor<double>& u0, std::size_t count,
                          double seconds = interval) {
  return without_recording([&] {
    State points{u0};
    while (points.size() < count) points.push_back(solve(f, {points.back()}, seconds)[0]);
    return xtape::concatenate(points);
  });
}

struct Options {
  int steps = 600;
  std::size_t hidden = 16;
  std::uint64_t seed = 3;
  std::string method = "adjoint";
  std::filesystem::path out = ".";
};

using Next = Tensor<double> (*)(const Tensor<double>&, const State&);

/// From every observation, the next `horizon` ones are predicted, all at once as rows of a batch.
Tensor<double> loss_of(const Tensor<double>& observed, const State& weights, Next next) {
  constexpr std::ptrdiff_t horizon = 5;
  const auto starts = static_cast<std::ptrdiff_t>(observed.shape()[0]) - horizon;
  Tensor<double> u = slice(observed, xt::range(0, starts), xt::all()), loss = 0.0;
  for (std::ptrdiff_t k = 1; k <= horizon; ++k) {
    u = next(u, weights);
    loss = loss + robust_loss(u, slice(observed, xt::range(k, starts + k), xt::all()));
  }
  return loss / static_cast<double>(horizon);
}

void check_rules(const Tensor<double>& observed, const State& weights) {
  const auto f = [](const State& in) { return next_by_adjoint(in[0], {in[1], in[2], in[3], in[4]}); };
  State inputs{slice(observed, xt::range(0, 3), xt::all())};
  inputs.insert(inputs.end(), weights.begin(), weights.end());
  std::cout << "the adjoint rule against differences:\n" << check_gradients(f, inputs);

  std::vector<xtape::GradientPair<double>> pairs;
  const Tensor<double> tape_loss = loss_of(observed, weights, next_by_tape);
  const std::size_t tape_nodes = xtape::Tape::current().size();
  const State tape = grad(tape_loss, weights);
  const Tensor<double> adjoint_loss = loss_of(observed, weights, next_by_adjoint);
  const std::size_t adjoint_nodes = xtape::Tape::current().size();
  const State adjoint = grad(adjoint_loss, weights);
  const char* names[] = {"dJ/dW1", "dJ/db1", "dJ/dW2", "dJ/db2"};
  for (std::size_t i = 0; i < weights.size(); ++i) pairs.push_back({names[i], adjoint[i], tape[i]});
  std::cout << "\nand against the tape's derivative of the solver itself:\n"
            << compare_gradients<double>(pairs, {.rtol = 1e-2});
  std::printf("\nnodes on the tape for one loss: %zu recorded in full, %zu with the adjoint\n", tape_nodes,
              adjoint_nodes);
}

double root_mean_square(const Tensor<double>& x) { return std::sqrt(mean(square(x)).item()); }

std::vector<double> column(const Tensor<double>& m, std::ptrdiff_t j) {
  const Tensor<double> c = slice(m, xt::all(), j);
  return {c.begin(), c.end()};
}

/// Angle over time, and velocity over angle: the two fields' curves from u0 on, and the observations.
void draw(const Field& truth, const Field& fit, const Tensor<double>& u0, std::size_t intervals,
          const Tensor<double>& observed, const std::filesystem::path& path) {
  constexpr std::size_t finer = 8;  // points of a curve to an interval, so that it is drawn round
  examples::Plot plot(path, 1000, 480);
  const auto add = [&](const std::string& name, const Tensor<double>& points, double seconds) {
    std::vector<double> time;
    for (std::size_t i = 0; i < points.shape()[0]; ++i) time.push_back(seconds * static_cast<double>(i));
    plot.data(name, {time, column(points, 0), column(points, 1)});
  };
  add("truth", trajectory(truth, u0, finer * intervals + 1, interval / finer), interval / finer);
  add("fit", trajectory(fit, u0, finer * intervals + 1, interval / finer), interval / finer);
  add("observed", observed, interval);
  const std::string end = std::to_string(interval * static_cast<double>(observed.shape()[0] - 1));
  plot.command("set multiplot layout 1,2 margins 0.08,0.98,0.13,0.86 spacing 0.08");
  plot.command("set key above\nset xlabel 'time in seconds'\nset ylabel 'angle in radians' offset 1");
  const std::string curves = " with lines linetype 7 linewidth 1.5 title 'truth', $fit using ";
  const auto panel = [&](const std::string& columns) {
    plot.command("plot $truth using " + columns + curves + columns +
                 " with lines linetype 2 linewidth 2.5 dashtype 2 title 'fit', $observed using " + columns +
                 " with points linetype 1 pointtype 7 pointsize 0.6 title 'observed'");
  };
  plot.command(
      "set arrow 1 from " + end + ", graph 0 to " + end +
      ", graph 1 nohead linecolor rgb '#666666' linewidth 2\nset label 1 'observed until here ' at " + end +
      ", graph 0.96 right textcolor rgb '#444444'");
  panel("1:2");
  plot.command(
      "unset arrow 1\nunset label 1\nset xlabel 'angle in radians'\nset ylabel 'velocity in radians per "
      "second'");
  panel("2:3");
  plot.command("unset multiplot");
  plot.write();
}

void run(const Options& o) {
  xtape::random::seed(o.seed);
  const std::size_t seen = 51, all = 76;
  const Tensor<double> u0{{2.0, 0.0}};
  const Field true_field = [](const State& s) { return State{pendulum(s[0])}; };
  const Tensor<double> truth = trajectory(true_field, u0, all);
  const Tensor<double> noise = xtape::random::normal<double>({seen, 2}, 0, 0.02);
  const Tensor<double> outliers = (xtape::random::uniform<double>({seen, 2}) > 0.94) * 0.8;
  const Tensor<double> observed =
      slice(truth, xt::range(0, static_cast<std::ptrdiff_t>(seen)), xt::all()) + noise + outliers;
  std::printf("a pendulum: %zu observations in %g s with noise, %g of %zu numbers are outliers\n\n", seen,
              interval * static_cast<double>(seen - 1), sum(outliers > 0).item(), outliers.size());

  xtape::nn::Linear<double> first(2, o.hidden), second(o.hidden, 2);
  const State weights{first.weight, first.bias, second.weight, second.bias};
  check_rules(observed, weights);

  const Next next = o.method == "adjoint" ? next_by_adjoint : next_by_tape;
  xtape::nn::Adam<double> adam(weights, {.learning_rate = 0.02});
  xtape::nn::CosineLR schedule(adam, {.steps = static_cast<std::size_t>(o.steps)});  // to come to rest
  std::printf("\nstep   loss\n");
  for (int step = 0;; ++step) {
    adam.zero_grad();
    const Tensor<double> loss = loss_of(observed, weights, next);
    if (step % 100 == 0 || step == o.steps) std::printf("%4d  %.3f\n", step, loss.item());
    if (step == o.steps) break;  // that was the loss after the last step
    loss.backward();
    adam.step();
    schedule.step();
  }

  const Field fitted_field = [&](const State& s) { return State{network(s[0], weights)}; };
  const xtape::Indices at_end{static_cast<std::ptrdiff_t>(seen)};
  const State error = split(trajectory(fitted_field, u0, all) - truth, at_end), still = split(truth, at_end);
  std::printf(
      "\nroot mean square error, from the first point on, of the fit and of a pendulum that hangs still\n");
  std::printf("over the %g s that were seen: %.2f and %.2f\n", interval * static_cast<double>(seen - 1),
              root_mean_square(error[0]), root_mean_square(still[0]));
  std::printf("over the %g s that follow:    %.2f and %.2f\n", interval * static_cast<double>(all - seen),
              root_mean_square(error[1]), root_mean_square(still[1]));
  draw(true_field, fitted_field, u0, all - 1, observed, o.out / "fit.svg");
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  examples::Program program("custom_model",
                            "A neural differential equation learns the motion of a pendulum.");
  program.option("--steps", o.steps, "of Adam", {.low = 1, .high = 100000});
  program.option("--hidden", o.hidden, "hidden neurons", {.low = 1, .high = 1000});
  program.option("--method", o.method, "adjoint, or tape: how gradients pass through the solver",
                 {.words = {"adjoint", "tape"}});
  program.option("--seed", o.seed, "of noise and first weights");
  program.out_option(o.out);
  return program.run(argc, argv, [&] { run(o); });
}
