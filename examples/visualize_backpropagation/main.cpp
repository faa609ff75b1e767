// Trains, and writes what happened as HTML pages: the textbook's network to walk through, before and after
// training, and the gradient's way through 20 layers with and without the four remedies.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <stdexcept>

#include <autodiff/autodiff.hpp>
#include <autodiff/derivation.hpp>

#include "../program.hpp"
#include "gradient_flow.hpp"
#include "page_writer.hpp"

namespace {

using nlohmann::json;
using xtape::Derivation, xtape::Tensor;

/// The document's 2-2-1 network on x = [1, 0.5], y = 0.8. It leaves the weights open: with these, all its
/// numbers come out as it prints them.
struct Network {
  Tensor<double> x{{1.0, 0.5}}, y{{0.8}};
  Tensor<double> W1 = xtape::parameter<double>({{0.4, 0.1}, {0.1, 0.2}}),
                 b1 = xtape::parameter<double>({0.05, 0.1});
  Tensor<double> W2 = xtape::parameter<double>({{0.95, 0.8}}), b2 = xtape::parameter<double>({-0.451});
  Tensor<double> a2{}, e{}, q{}, J{};

  void forward() {
    a2 = sigmoid(linear(sigmoid(linear(x, W1, b1)), W2, b2));
    e = a2 - y, q = square(e), J = 0.5 * q;
  }
  Derivation derive() const {
    return derivation(
        J,
        {{"x", x}, {"y", y}, {"W1", W1}, {"b1", b1}, {"W2", W2}, {"b2", b2}, {"e", e}, {"q", q}, {"J", J}});
  }
  /// Gradient descent: W := W − α dJ/dW.
  void update(double alpha) {
    for (Tensor<double>* const w : {&W1, &b1, &W2, &b2}) w->zero_grad();
    J.backward();
    for (Tensor<double>* const w : {&W1, &b1, &W2, &b2}) w->assign(w->detach() - alpha * w->grad());
  }
};

/// Three digits after the point, as in the document, or two digits and an exponent below 0.001.
std::string shown(double number) {
  char text[32];
  std::snprintf(text, sizeof text, number != 0 && std::abs(number) < 0.001 ? "%.1e" : "%.3f", number);
  return text;
}
/// Rows, one after the other.
std::string shown(const std::vector<double>& values, std::size_t columns) {
  std::string text;
  for (std::size_t i = 0; i < values.size(); ++i)
    text += (i == 0 ? "" : i % columns == 0 ? "; " : ", ") + shown(values[i]);
  return values.size() == 1 ? text : "[" + text + "]";
}

/// Each formula with its numbers.
void print(const Derivation& derivation) {
  for (const xtape::DerivationLine& line : derivation.lines()) {
    const std::string formula = line.formula.empty() ? "" : " = " + line.formula;
    const std::size_t columns = line.shape.empty() ? 1 : line.shape[line.shape.size() - 1];
    std::printf("  %s%s = %s\n", line.name.c_str(), formula.c_str(), shown(line.values, columns).c_str());
  }
}

void write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  if (!(file << text << std::flush)) throw std::runtime_error(path.string() + " cannot be written");
  std::printf("wrote %s\n", path.c_str());
}

void walk_through(const std::filesystem::path& out, int training_steps) {
  Network network;
  network.forward();
  const Derivation first = network.derive();
  print(first);
  write(out / "first_step.html", first.html("Backpropagation: the first training step"));
  for (int step = 0; step < training_steps; ++step) {
    network.update(0.1);
    if (step == 0)
      std::printf("after the update: W2 - 0.1 dJ/dW2 = %s\n",
                  shown({network.W2.begin(), network.W2.end()}, 2).c_str());
    network.forward();
  }
  std::printf("\nafter %d training steps: a2 = %s, J = %s\n", training_steps,
              shown(network.a2.item()).c_str(), shown(network.J.item()).c_str());
  write(out / "last_step.html", network.derive().html("Backpropagation: the last training step"));
}

/// Rounded to more digits than are shown; null for −∞.
json rounded(double number) { return std::isfinite(number) ? json(std::round(number * 1e6) / 1e6) : json(); }

json flows_as_json(const std::vector<GradientFlow>& flows) {
  json result = json::array();
  for (const GradientFlow& flow : flows) {
    json norms = json::array(), loss = json::array();
    for (const std::vector<double>& layers : flow.log_norms) {
      json row = json::array();
      for (const double norm : layers) row.push_back(rounded(norm));
      norms.push_back(std::move(row));
    }
    for (const double l : flow.loss) loss.push_back(rounded(l));
    result.push_back(
        {{"name", flow.name}, {"what", flow.what}, {"steps", flow.steps}, {"norms", norms}, {"loss", loss}});
  }
  return result;
}

void print_flows(const std::vector<GradientFlow>& flows) {
  const std::size_t layers = flows.front().log_norms.front().size();
  for (const std::size_t at : {std::size_t{0}, flows.front().steps.size() - 1}) {
    std::printf("\nlog10 of the gradient's norm in a network of %zu layers, and the loss, after %d steps\n",
                layers, flows.front().steps[at]);
    std::printf("%-11s%8s%9s%8s\n", "", "layer 1", ("layer " + std::to_string(layers)).c_str(), "loss");
    for (const GradientFlow& flow : flows)
      std::printf("%-11s%8.1f%9.1f%8.2f\n", flow.name.c_str(), flow.log_norms[at].front(),
                  flow.log_norms[at].back(), flow.loss[at]);
  }
}

void show_gradient_flow(const std::filesystem::path& out, const FlowOptions& options) {
  const double factor = 0.2;
  const std::vector<double> vanishing = vanishing_example(factor, 4);
  std::printf("\na gradient through layers that each multiply by %g:", factor);
  for (const double gradient : vanishing) std::printf(" %g", gradient);
  std::printf("\n");

  const std::vector<GradientFlow> flows = measure_gradient_flow(options);
  print_flows(flows);
  const double guess = loss_of_share(options);
  std::printf("\nthe loss of always answering with the share of points inside: %.2f\n", guess);

  write(out / "backpropagation.html",
        page(XTAPE_EXAMPLES_DIR "/visualize_backpropagation",
             {{"vanishing", vanishing}, {"flows", flows_as_json(flows)}, {"guess", guess}}));
}

}  // namespace

int main(int argc, char** argv) {
  std::filesystem::path out = ".";
  int training_steps = 200;
  FlowOptions flow;
  examples::Program program(
      "visualize_backpropagation",
      "Writes pages that walk through backpropagation, and show the gradient's way through 20 layers.");
  program.option("--training-steps", training_steps, "of the small network", {.low = 1, .high = 10000});
  program.option("--flow-steps", flow.steps, "training steps of the deep networks",
                 {.low = 1, .high = 100000});
  program.option("--seed", flow.seed, "of the deep networks' points and first weights");
  program.out_option(out);
  return program.run(argc, argv, [&] {
    flow.every = std::max(1, flow.steps / 100);
    walk_through(out, training_steps);
    show_gradient_flow(out, flow);
  });
}
