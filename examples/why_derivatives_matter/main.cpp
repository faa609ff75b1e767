// What a derivative says about a weight, and how to get it: by the chain rule, by differences, by the tape.
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <autodiff/autodiff.hpp>

#include "../plot.hpp"
#include "../program.hpp"

namespace {

using xtape::Tensor;

// One neuron with one weight: z = w x, a = σ(z), J = ½ (a − y)².
constexpr double x = 1.0, y = 0.8;

Tensor<double> cost(const Tensor<double>& w) { return 0.5 * square(sigmoid(w * x) - y); }

/// The same in plain numbers, and J'(w) by the chain rule: dJ/da · da/dz · dz/dw.
double cost_by_hand(double w) {
  const double a = 1 / (1 + std::exp(-w * x));
  return 0.5 * (a - y) * (a - y);
}
double derivative_by_hand(double w) {
  const double a = 1 / (1 + std::exp(-w * x));
  return (a - y) * (a * (1 - a)) * x;
}

/// J'(w) from the tape.
double derivative(double w) { return value_and_grad(cost)(Tensor<double>(w)).second.item(); }

void chain_rule() {
  const auto w = xtape::parameter<double>(0.5);
  const Tensor<double> z = w * x, a = sigmoid(z), J = 0.5 * square(a - y);
  std::printf("1. The chain rule, at w = %.1f\n\n", w.item());
  std::printf("x = %.1f  y = %.1f  z = %.3f  a = %.4f  J = %.5f\n", x, y, z.item(), a.item(), J.item());
  const double dJ_da = a.item() - y, da_dz = a.item() * (1 - a.item()), dz_dw = x;
  std::printf("by hand: dJ/da * da/dz * dz/dw = %.4f * %.4f * %.1f = %.5f\n", dJ_da, da_dz, dz_dw,
              dJ_da * da_dz * dz_dw);
  J.backward();
  std::printf("by tape: dJ/dw = %.5f\n", w.grad().item());
}

void prediction() {
  const double w = 0.5, J = cost_by_hand(w), slope = derivative(w);
  const double curvature = xtape::hessian(cost, Tensor<double>(w)).item();
  std::printf("\n2. A derivative predicts: J(w + h) is nearly J(w) + J'(w) h, at w = %.1f\n\n", w);
  std::printf("%8s %11s %11s %12s %12s\n", "h", "J(w + h)", "predicted", "error", "error / h^2");
  for (const double h : {1.0, 0.1, -0.1, 0.01, 0.001}) {
    const double actual = cost_by_hand(w + h), predicted = J + slope * h, error = actual - predicted;
    std::printf("%8g %11.7f %11.7f %12.1e %12.4f\n", h, actual, predicted, error, error / (h * h));
  }
  std::printf("half of the second derivative: %.4f\n", curvature / 2);
}

void sign_and_size() {
  std::printf("\n3. Sign and size\n\n%6s %9s %10s  %s\n", "w", "J", "J'", "what to do with w");
  for (const double w : {-8.0, -4.0, 0.0, 1.0, std::log(4.0), 2.0, 6.0}) {
    const double slope = derivative(w);
    const char* advice = std::abs(slope) < 1e-12 ? "leave it" : slope < 0 ? "raise it" : "lower it";
    std::printf("%6.4g %9.5f %10.5f  %s\n", w, cost_by_hand(w), std::abs(slope) < 1e-12 ? 0.0 : slope,
                advice);
  }
}

/// w := w − α J'(w), from w = −1: the weights on the way.
std::vector<double> descend(double learning_rate, int steps) {
  std::vector<double> path{-1};
  for (int step = 0; step < steps; ++step)
    path.push_back(path.back() - learning_rate * derivative(path.back()));
  return path;
}

void walk_downhill(const std::filesystem::path& out) {
  const int steps = 20;
  const std::vector<double> rates{1, 10, 200};
  std::printf("\n4. A walk downhill: w := w - alpha J'(w), from w = -1; the lowest point is w = %.4f\n\n%5s",
              std::log(4.0), "step");
  std::vector<std::vector<double>> paths;
  for (const double rate : rates) {
    std::printf("   alpha = %3g: w        J", rate);
    paths.push_back(descend(rate, steps));
  }
  std::printf("\n");
  for (const std::size_t step : {0u, 1u, 2u, 3u, 5u, 10u, 20u}) {
    std::printf("%5zu", step);
    for (const auto& path : paths) std::printf(" %16.4f %8.5f", path[step], cost_by_hand(path[step]));
    std::printf("\n");
  }

  examples::Plot plot(out / "downhill.svg", 760, 460);
  std::vector<double> w, J, step_w, step_J, tangent_w, tangent_J;
  for (double at = -2; at <= 4.5; at += 0.05) {
    w.push_back(at);
    J.push_back(cost_by_hand(at));
  }
  for (std::size_t i = 0; i <= 5; ++i) {
    step_w.push_back(paths[1][i]);
    step_J.push_back(cost_by_hand(paths[1][i]));
  }
  for (const double h : {-1.0, 1.2}) {
    tangent_w.push_back(step_w[0] + h);
    tangent_J.push_back(step_J[0] + derivative(step_w[0]) * h);
  }
  plot.data("cost", {w, J});
  plot.data("steps", {step_w, step_J});
  plot.data("tangent", {tangent_w, tangent_J});
  plot.command("set xlabel 'weight w'\nset ylabel 'cost J(w)'\nset xrange [-2:4.5]\nset yrange [0:0.28]");
  plot.command(
      "plot $cost with lines linetype 1 title 'J(w)', "
      "$tangent with lines linetype 2 dashtype 2 title 'slope at the start', "
      "$steps with linespoints linetype 3 title 'steps with α = 10'");
  plot.write();
}

/// The root of the mean square, over weights from −2 to 2, of what an estimate of J'(w) is off by, relative
/// to the size of J'.
double relative_error(const std::function<double(double)>& estimate) {
  double error = 0, size = 0;
  for (int i = 0; i <= 400; ++i) {
    const double w = -2 + 0.01 * i, exact = derivative_by_hand(w);
    error += std::pow(estimate(w) - exact, 2);
    size += exact * exact;
  }
  return std::sqrt(error / size);
}

void differences(const std::filesystem::path& out) {
  std::printf(
      "\n5. Differences: the relative error of J' for each step h, over 401 weights from -2 to 2\n\n");
  std::printf("%8s %14s %14s\n", "h", "forward", "central");
  std::vector<double> h, forward, central;
  for (int exponent = -1; exponent >= -14; --exponent) {
    const double step = std::pow(10, exponent);
    h.push_back(step);
    forward.push_back(
        relative_error([&](double w) { return (cost_by_hand(w + step) - cost_by_hand(w)) / step; }));
    central.push_back(relative_error(
        [&](double w) { return (cost_by_hand(w + step) - cost_by_hand(w - step)) / (2 * step); }));
    std::printf("%8.0e %14.1e %14.1e\n", step, forward.back(), central.back());
  }
  const double epsilon = std::numeric_limits<double>::epsilon();
  std::printf(
      "rounding and truncation balance near h = sqrt(epsilon) = %.1e forward, cbrt(epsilon) = %.1e central\n",
      std::sqrt(epsilon), std::cbrt(epsilon));
  const double tape = relative_error(derivative);
  std::printf("tape: %s 1e-15, and no step to choose\n", tape < 1e-15 ? "error below" : "error above");

  examples::Plot plot(out / "difference_errors.svg", 760, 460);
  plot.data("errors", {h, forward, central, std::vector<double>(h.size(), tape)});
  plot.command(
      "set logscale xy\nunset mxtics\nunset mytics\nset format '%.0e'\nset xlabel 'step h'\nset ylabel "
      "'relative error of the "
      "derivative'");
  plot.command("set xrange [1e-14:1e-1]\nset yrange [1e-17:10]\nset ytics 1e-16,100\nset key top center");
  plot.command(
      "plot $errors using 1:2 with linespoints linetype 2 title 'forward: (J(w + h) − J(w)) / h', "
      "$errors using 1:3 with linespoints linetype 1 title 'central: (J(w + h) − J(w − h)) / 2h', "
      "$errors using 1:4 with lines linetype 3 dashtype 2 title 'tape'");
  plot.write();
}

/// A network of two layers with the numbers of the document's step-by-step example.
Tensor<double> network_cost(const std::vector<Tensor<double>>& weights) {
  const Tensor<double> inputs{{1.0, 0.5}};
  const Tensor<double> a1 = sigmoid(linear(inputs, weights[0], weights[1]));
  const Tensor<double> a2 = sigmoid(linear(a1, weights[2], weights[3]));
  return 0.5 * sum(square(a2 - y));
}

/// The sigmoid with a mistake in its derivative: a instead of a (1 − a).
Tensor<double> wrong_sigmoid(const Tensor<double>& z) {
  const Tensor<double> a = sigmoid(z.detach());
  return xtape::custom<double>("wrong sigmoid", {z}, a,
                               [a](const Tensor<double>& g) { return std::vector<Tensor<double>>{g * a}; });
}

void check_and_nudge() {
  const std::vector<Tensor<double>> weights{{{0.4, 0.1}, {0.1, 0.2}}, {0.05, 0.1}, {{0.95, 0.8}}, {-0.451}};
  std::printf("\n6. Differences as a check of the tape, on a network 2-2-1\n\n");
  std::cout << check_gradients(network_cost, weights);
  std::printf("\nthe same check of a sigmoid of 3 numbers, whose derivative is wrong:\n");
  std::cout << check_gradients(wrong_sigmoid, Tensor<double>{-1.0, 0.0, 2.0});

  std::vector<Tensor<double>> leaves;
  for (const Tensor<double>& one : weights) leaves.push_back(xtape::parameter(one));
  const Tensor<double> J = network_cost(leaves);
  const std::vector<Tensor<double>> gradients = grad(J, leaves);
  const double h = 0.01;
  const char* names[] = {"W1", "b1", "W2", "b2"};
  std::printf("\n7. One weight nudged by h = %.2f, the others left alone; J = %.5f\n\n", h, J.item());
  std::printf("%-9s %7s %10s %14s %14s\n", "weight", "value", "dJ/dw", "dJ/dw h", "change of J");
  for (std::size_t i = 0; i < weights.size(); ++i)
    for (std::size_t j = 0; j < weights[i].size(); ++j) {
      std::vector<Tensor<double>> nudged = weights;
      std::vector<double> values(weights[i].begin(), weights[i].end());
      values[j] += h;
      nudged[i] = reshape(Tensor<double>(values), weights[i].shape());
      const std::size_t columns = weights[i].rank() == 2 ? weights[i].shape()[1] : 1;
      std::string name = names[i] + ("[" + std::to_string(j / columns));
      if (weights[i].rank() == 2) name += "," + std::to_string(j % columns);
      name += "]";
      const double slope = gradients[i].data()[j], change = network_cost(nudged).item() - J.item();
      std::printf("%-9s %7.3f %10.5f %14.6f %14.6f\n", name.c_str(), weights[i].data()[j], slope, slope * h,
                  change);
    }
}

}  // namespace

int main(int argc, char** argv) {
  std::filesystem::path out = ".";
  examples::Program program("why_derivatives_matter",
                            "What a derivative says about a weight; numerical and analytic derivatives.");
  program.out_option(out);
  return program.run(argc, argv, [&] {
    chain_rule();
    prediction();
    sign_and_size();
    walk_downhill(out);
    differences(out);
    check_and_nudge();
  });
}
