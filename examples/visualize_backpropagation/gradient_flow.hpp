// How the gradient fares in a network of 20 layers: plain sigmoid, and each of the document's four remedies.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

/// The norms of one training.
struct GradientFlow {
  std::string name;
  std::string what;          ///< how it differs from the plain network, with its first values
  std::vector<int> steps{};  ///< training steps before which the rest was measured
  std::vector<std::vector<double>> log_norms{};  ///< log10 ‖dJ/dW‖ of each layer, at each of the steps
  std::vector<double> loss{};                    ///< at each of the steps
};

struct FlowOptions {
  std::size_t layers = 20;
  std::size_t width = 16;      ///< units of a hidden layer
  std::size_t points = 64;     ///< one batch, the same in every step
  double learning_rate = 0.1;  ///< of plain gradient descent
  int steps = 500;
  int every = 5;           ///< steps between two measurements
  std::uint64_t seed = 1;  ///< of the points and of every network's first weights
};

/// Trains the network without remedy and with each of the four on the same points: which of them lie in a
/// circle.
std::vector<GradientFlow> measure_gradient_flow(const FlowOptions& options);

/// The loss of always answering with the share of points within the circle, which is the least that an answer
/// can have that is the same for every point.
double loss_of_share(const FlowOptions& options);

/// The document's example of vanishing: the gradient through 1, 2, … layers that each multiply by `factor`.
std::vector<double> vanishing_example(double factor, int layers);
