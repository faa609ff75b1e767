// The same network trained three times: by hand, by the tape, and by nn. The three give the same numbers.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numbers>
#include <string>
#include <vector>

#include <nn/nn.hpp>

#include "../plot.hpp"
#include "../program.hpp"
#include "by_hand.hpp"

namespace {

using xtape::Tensor;

struct Options {
  int steps = 1000;
  double learning_rate = 0.5;
  std::size_t hidden = 8;
  std::uint64_t seed = 1;
  std::filesystem::path out = ".";
};

/// Points x (n, 2) in the plane, and the class of each, y (n, 1), 0 or 1.
struct Dataset {
  std::string name;
  Tensor<double> x, y;
};

Dataset exclusive_or() { return {"xor", {{0, 0}, {0, 1}, {1, 0}, {1, 1}}, {{0}, {1}, {1}, {0}}}; }

/// Two half circles that reach into each other, `n` points each, with noise.
Dataset two_moons(std::size_t n) {
  const Tensor<double> angle = xtape::random::uniform<double>({n, 1}, 0, std::numbers::pi);
  const Tensor<double> upper = xtape::concatenate({cos(angle), sin(angle)}, 1);
  const Tensor<double> lower = xtape::concatenate({1 - cos(angle), 0.5 - sin(angle)}, 1);
  const Tensor<double> x = xtape::concatenate({upper, lower});
  return {"two_moons", x + xtape::random::normal<double>(x.shape(), 0, 0.15),
          xtape::concatenate({xtape::zeros<double>({n, 1}), xtape::ones<double>({n, 1})})};
}

/// The weights that a training starts from and ends with.
struct Weights {
  Tensor<double> W1, b1, W2, b2;
};

Weights first_weights(std::size_t hidden) {
  return {xtape::random::normal<double>({hidden, 2}), xtape::zeros<double>({hidden}),
          xtape::random::normal<double>({1, hidden}, 0, 0.5), xtape::zeros<double>({1})};
}

struct Trained {
  Weights weights;
  std::vector<double> losses;  ///< before each step
};

Matrix rows(const Tensor<double>& m) {
  Matrix result;
  const auto width = static_cast<std::ptrdiff_t>(m.shape()[1]);
  for (const double* row = m.begin(); row != m.end(); row += width) result.emplace_back(row, row + width);
  return result;
}

Tensor<double> matrix(const Matrix& m) {
  std::vector<Tensor<double>> all;
  for (const std::vector<double>& row : m) all.emplace_back(row);
  return stack(all);
}

/// By hand: loops, see by_hand.hpp.
Trained by_hand(const Dataset& data, const Weights& start, const Options& o) {
  HandNetwork network{
      rows(start.W1), {start.b1.begin(), start.b1.end()}, rows(start.W2), {start.b2.begin(), start.b2.end()}};
  const Matrix x = rows(data.x);
  const std::vector<double> y(data.y.begin(), data.y.end());
  Trained result;
  for (int step = 0; step < o.steps; ++step)
    result.losses.push_back(network.train_step(x, y, o.learning_rate));
  result.weights = {matrix(network.W1), Tensor<double>(network.b1), matrix(network.W2),
                    Tensor<double>(network.b2)};
  return result;
}

/// By the tape: the forward pass alone is written, the gradients follow.
Trained by_tape(const Dataset& data, const Weights& start, const Options& o) {
  Tensor<double> W1 = parameter(start.W1), b1 = parameter(start.b1);
  Tensor<double> W2 = parameter(start.W2), b2 = parameter(start.b2);
  Trained result;
  for (int step = 0; step < o.steps; ++step) {
    const Tensor<double> a1 = tanh(matmul(data.x, transpose(W1)) + b1);
    const Tensor<double> a2 = sigmoid(matmul(a1, transpose(W2)) + b2);
    const Tensor<double> loss = -mean(data.y * log(a2) + (1 - data.y) * log(1 - a2));
    loss.backward();
    result.losses.push_back(loss.item());
    for (Tensor<double>* w : {&W1, &b1, &W2, &b2}) {
      w->assign(w->detach() - o.learning_rate * w->grad());
      w->zero_grad();
    }
  }
  result.weights = {W1, b1, W2, b2};
  return result;
}

/// By nn: layers, a loss, and an optimiser.
Trained by_nn(const Dataset& data, const Weights& start, const Options& o) {
  xtape::nn::Linear<double> hidden(2, o.hidden), output(o.hidden, 1);
  hidden.weight.assign(start.W1);
  output.weight.assign(start.W2);  // the biases start at 0 as they are
  xtape::nn::Sequential<double> model(hidden, xtape::nn::Tanh<double>(), output,
                                      xtape::nn::Sigmoid<double>());
  xtape::nn::SGD<double> sgd(model.parameters(), {.learning_rate = o.learning_rate});
  Trained result;
  for (int step = 0; step < o.steps; ++step) {
    sgd.zero_grad();
    const Tensor<double> loss = xtape::nn::binary_cross_entropy(model(data.x), data.y);
    loss.backward();
    sgd.step();
    result.losses.push_back(loss.item());
  }
  const std::vector<Tensor<double>> p = model.parameters();
  result.weights = {p[0], p[1], p[2], p[3]};
  return result;
}

/// The probability of class 1 at each point.
Tensor<double> probability(const Weights& w, const Tensor<double>& x) {
  const xtape::NoGrad no_grad;
  return sigmoid(linear(tanh(linear(x, w.W1, w.b1)), w.W2, w.b2));
}

/// The share of points on the right side of p = 0.5, in percent.
double accuracy(const Weights& w, const Dataset& data) {
  return 100 * mean(equal(probability(w, data.x) > 0.5, data.y)).item();
}

double largest_difference(const Weights& a, const Weights& b) {
  Tensor<double> largest(0.0);
  for (const auto& [p, q] : {std::pair(a.W1, b.W1), {a.b1, b.b1}, {a.W2, b.W2}, {a.b2, b.b2}})
    largest = xtape::maximum(largest, max(abs(p.detach() - q.detach())));  // NaN stays NaN
  return largest.item();
}

/// The probability as a coloured plane, the boundary p = 0.5 as a line, and the points.
void draw(const Dataset& data, const Weights& w, const std::filesystem::path& path) {
  constexpr std::size_t n = 121;
  const Tensor<double> low = min(data.x, 0) - 0.5, high = max(data.x, 0) + 0.5;
  std::vector<double> x, y;
  for (std::size_t row = 0; row < n; ++row)
    for (std::size_t column = 0; column < n; ++column) {
      const auto at = [&](int axis, std::size_t i) {
        const double from = low.data()[axis], to = high.data()[axis];
        return from + (to - from) * static_cast<double>(i) / (n - 1);
      };
      x.push_back(at(0, column));
      y.push_back(at(1, row));
    }
  const Tensor<double> p = probability(w, xtape::stack({Tensor<double>(x), Tensor<double>(y)}, 1));

  // What gnuplot would complain about is left out: a boundary outside of the picture, numbers that are none.
  const bool finite = std::all_of(p.begin(), p.end(), [](double at) { return std::isfinite(at); });
  const bool crossed = finite && min(p).item() < 0.5 && max(p).item() > 0.5;

  // The plane is as high as its range asks for; around it is room for axes, colours and names.
  constexpr int left = 85, right = 125, below = 65, above = 40, width = 550;
  const int height = static_cast<int>(width * (y.back() - y.front()) / (x.back() - x.front()));
  const auto share = [](int part, int of) { return std::to_string(static_cast<double>(part) / of); };
  const int across = left + width + right, down = below + height + above;
  examples::Plot plot(path, across, down);
  plot.command("set lmargin at screen " + share(left, across) + "\nset rmargin at screen " +
               share(left + width, across) + "\nset bmargin at screen " + share(below, down) +
               "\nset tmargin at screen " + share(below + height, down));
  plot.data("plane", {x, y, {p.begin(), p.end()}}, n);
  std::vector<std::vector<double>> zero(2), one(2);
  for (std::size_t i = 0; i < data.y.size(); ++i)
    for (const std::size_t axis : {0u, 1u})
      (data.y.data()[i] > 0.5 ? one : zero)[axis].push_back(data.x.data()[2 * i + axis]);
  plot.data("zero", zero);
  plot.data("one", one);
  std::string curves;
  if (finite) curves += "$plane using 1:2:3 with image notitle, ";
  if (crossed) {
    plot.command("set contour base\nset cntrparam levels discrete 0.5\nunset surface\nset table $boundary");
    plot.command("splot $plane using 1:2:3\nunset table\nunset contour\nset surface");
    curves += "$boundary using 1:2 with lines linewidth 2 linecolor rgb 'black' title 'p = 0.5', ";
  }
  plot.command(
      "set palette defined (0 '#9ecae1', 0.5 '#ffffff', 1 '#fdc9a5')\nset cbrange [0:1]\nunset grid");
  plot.command("set xrange [" + std::to_string(x.front()) + ":" + std::to_string(x.back()) +
               "]\nset yrange [" + std::to_string(y.front()) + ":" + std::to_string(y.back()) + "]");
  plot.command(
      "set xlabel 'x1'\nset ylabel 'x2'\nset cblabel 'probability of class 1'\nset key above samplen 2\nset "
      "tics front");
  plot.command("plot " + curves +
               "$zero using 1:2 with points linetype 1 pointtype 7 pointsize 1.2 title 'class 0', "
               "$one using 1:2 with points linetype 2 pointtype 9 pointsize 1.2 title 'class 1'");
  plot.write();
}

/// `fresh` are points of the same kind that are not trained on, if there are any.
void train(const Dataset& data, const Options& o, const Dataset* fresh = nullptr) {
  const Weights start = first_weights(o.hidden);
  std::printf("%s: %zu points, network 2-%zu-1, alpha = %g, %d steps on all points\n\n", data.name.c_str(),
              data.x.shape()[0], o.hidden, o.learning_rate, o.steps);
  const Trained hand = by_hand(data, start, o), tape = by_tape(data, start, o), nn = by_nn(data, start, o);
  std::printf("%6s %12s %12s %12s\n", "step", "by hand", "by tape", "by nn");
  const auto print_losses = [&](int step) {
    const auto i = static_cast<std::size_t>(step);
    std::printf("%6d %12.6f %12.6f %12.6f\n", step, hand.losses[i], tape.losses[i], nn.losses[i]);
  };
  for (int step = 0; step < o.steps - 1; step = std::max(1, 3 * step)) print_losses(step);
  print_losses(o.steps - 1);
  const double difference =
      largest_difference(hand.weights, tape.weights) + largest_difference(hand.weights, nn.weights);
  if (difference < 1e-12)
    std::printf("largest difference of any weight at the end: < 1e-12\n");
  else
    std::printf("largest difference of any weight at the end: %.1e\n", difference);
  std::printf("accuracy on these points: %.1f %%\n", accuracy(nn.weights, data));
  draw(data, nn.weights, o.out / (data.name + ".png"));
  if (fresh)
    std::printf("accuracy on %zu new points: %.1f %%\n", fresh->x.shape()[0], accuracy(nn.weights, *fresh));
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  examples::Program program("train_beginner",
                            "Trains a network on XOR and on two moons: by hand, by the tape, by nn.");
  program.option("--steps", o.steps, "of gradient descent", {.low = 1, .high = 100000});
  program.option("--learning-rate", o.learning_rate, "alpha", {.positive = true});
  program.option("--hidden", o.hidden, "hidden neurons", {.low = 1, .high = 1000});
  program.option("--seed", o.seed, "of points and first weights");
  program.out_option(o.out);
  return program.run(argc, argv, [&] {
    xtape::random::seed(o.seed);
    const Dataset moons = two_moons(100),
                  fresh = two_moons(500);  // before any weights, whose number may change
    train(exclusive_or(), o);
    std::printf("\n");
    train(moons, o, &fresh);
  });
}
