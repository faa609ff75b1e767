// Trains, and writes what happened as one HTML page: the step-by-step example to walk through, and the
// gradient's way through 20 layers with and without the four remedies.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>

#include "../program.hpp"
#include "drawing.hpp"
#include "gradient_flow.hpp"
#include "network_trace.hpp"
#include "page_writer.hpp"

namespace {

using nlohmann::json;

/// The names of the quantities once, and their numbers at each training step.
json columns(const std::vector<Frame>& frames) {
  json names = json::array(), rows = json::array();
  for (const auto& [name, number] : frames.front()) names.push_back(name);
  for (const Frame& frame : frames) {
    json row = json::array();
    for (const auto& [name, number] : frame) row.push_back(number);
    rows.push_back(std::move(row));
  }
  return {{"names", names}, {"rows", rows}};
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

/// Each line of each step of the network's walk, with its numbers.
void print_walk(const json& steps, const Frame& frame) {
  for (const json& step : steps) {
    std::printf("%s\n", step["title"].get<std::string>().c_str());
    for (const json& line : step["lines"]) {
      std::string text;
      for (const json& part : line) text += (text.empty() ? "  " : " = ") + fill(part, frame);
      std::printf("%s\n", text.c_str());
    }
  }
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

void make_page(const std::filesystem::path& out, int training_steps, const FlowOptions& options) {
  const std::string folder = XTAPE_EXAMPLES_DIR "/visualize_backpropagation";
  const NetworkTrace trace = trace_network(training_steps);
  const json steps = json::parse(read_file(folder + "/steps.json"));
  // At once, for without Graphviz there is no page.
  const json drawings = {
      {"network", {{"wide", draw(network_dot("LR"))}, {"tall", draw(network_dot("TB"))}}},
      {"graph", {{"wide", draw(trace.recorded_graph[0])}, {"tall", draw(trace.recorded_graph[1])}}}};
  print_walk(steps["network"], trace.frames.front());
  std::printf("\nafter %d training steps: a2 = %s, J = %s\n", training_steps,
              shown(trace.frames.back().at("a2")).c_str(), shown(trace.frames.back().at("J")).c_str());

  const double factor = 0.2;
  const std::vector<double> vanishing = vanishing_example(factor, 4);
  std::printf("\na gradient through layers that each multiply by %g:", factor);
  for (const double gradient : vanishing) std::printf(" %g", gradient);
  std::printf("\n");

  const std::vector<GradientFlow> flows = measure_gradient_flow(options);
  print_flows(flows);
  const double guess = loss_of_share(options);
  std::printf("\nthe loss of always answering with the share of points inside: %.2f\n", guess);

  const std::filesystem::path page = out / "backpropagation.html";
  write_page(page, folder,
             {{"steps", steps},
              {"frames", columns(trace.frames)},
              {"drawings", drawings},
              {"vanishing", vanishing},
              {"flows", flows_as_json(flows)},
              {"guess", guess}});
  std::printf("wrote %s\n", page.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  std::filesystem::path out = ".";
  int training_steps = 200;
  FlowOptions flow;
  examples::Program program(
      "visualize_backpropagation",
      "Writes a page that walks through backpropagation, and shows the gradient's way through 20 layers.");
  program.option("--training-steps", training_steps, "of the small network", {.low = 1, .high = 10000});
  program.option("--flow-steps", flow.steps, "training steps of the deep networks",
                 {.low = 1, .high = 100000});
  program.option("--seed", flow.seed, "of the deep networks' points and first weights");
  program.out_option(out);
  return program.run(argc, argv, [&] {
    flow.every = std::max(1, flow.steps / 100);
    make_page(out, training_steps, flow);
  });
}
