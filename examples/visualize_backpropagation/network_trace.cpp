// Values and gradients come from the tape; nothing is derived by hand here.
#include "network_trace.hpp"

#include <cmath>
#include <cstdio>
#include <utility>

#include <nn/nn.hpp>

using xtape::Tensor;

namespace {

/// Adds the elements of a tensor: name for one element, name1, name2 for a vector, name11, name12 … for a
/// matrix.
void add(Frame& frame, const std::string& name, const Tensor<double>& tensor) {
  const bool is_matrix = name == "W1" || name == "dW1" || name == "uW1";
  for (std::size_t i = 0; i < tensor.size(); ++i) {
    std::string index = std::to_string(i + 1);
    if (is_matrix) index = std::to_string(i / 2 + 1) + std::to_string(i % 2 + 1);
    frame[tensor.size() == 1 ? name : name + index] = tensor.data()[i];
  }
}

/// The tape's drawing with places for values and gradients below the names; vectors are columns.
std::string with_values(std::string dot) {
  const std::pair<std::string, std::string> lines[] = {
      {"W1", "{W111}  {W112}\\n{W121}  {W122}\\n∂ {dW111}  {dW112}\\n∂ {dW121}  {dW122}"},
      {"b1", "{b11}\\n{b12}\\n∂ {db11}\\n∂ {db12}"},
      {"z1", "{z11}\\n{z12}\\n∂ {dz11}\\n∂ {dz12}"},
      {"a1", "{a11}\\n{a12}\\n∂ {da11}\\n∂ {da12}"},
      {"W2", "{W21}  {W22}\\n∂ {dW21}  {dW22}"},
      {"b2", "{b2}\\n∂ {db2}"},
      {"z2", "{z2}\\n∂ {dz2}"},
      {"a2", "{a2}\\n∂ {da2}"},
      {"e", "{e}\\n∂ {de}"},
      {"q", "{q}\\n∂ {dq}"},
      {"J", "{J}\\n∂ {dJ}"}};
  for (const auto& [name, text] : lines) {
    const std::string head = "label=\"" + name + "\\n";
    const std::size_t at = dot.find(head);
    if (at != std::string::npos) dot.insert(at + head.size(), text + "\\n");
  }
  return dot;
}

}  // namespace

NetworkTrace trace_network(int training_steps) {
  const Tensor<double> x{{1.0, 0.5}}, y{{0.8}};
  const double alpha = 0.1;
  // The document leaves the weights open: with these, all its numbers come out as it prints them.
  const auto W1 = xtape::parameter<double>({{0.4, 0.1}, {0.1, 0.2}}),
             b1 = xtape::parameter<double>({0.05, 0.1});
  const auto W2 = xtape::parameter<double>({{0.95, 0.8}}), b2 = xtape::parameter<double>({-0.451});
  const std::vector<std::pair<std::string, Tensor<double>>> parameters = {
      {"W1", W1}, {"b1", b1}, {"W2", W2}, {"b2", b2}};
  xtape::nn::SGD<double> sgd({W1, b1, W2, b2}, {.learning_rate = alpha});

  NetworkTrace trace;
  for (int step = 0; step <= training_steps; ++step) {
    const Tensor<double> z1 = linear(x, W1, b1), a1 = sigmoid(z1);
    const Tensor<double> z2 = linear(a1, W2, b2), a2 = sigmoid(z2);
    const Tensor<double> e = a2 - y, q = square(e), J = 0.5 * q;

    Frame frame{{"x1", 1.0}, {"x2", 0.5}, {"y", y.item()}, {"alpha", alpha}};
    std::vector<std::pair<std::string, Tensor<double>>> recorded = parameters;
    for (const auto& item :
         {std::pair("z1", z1), {"a1", a1}, {"z2", z2}, {"a2", a2}, {"e", e}, {"q", q}, {"J", J}})
      recorded.emplace_back(item);
    std::vector<Tensor<double>> tensors;
    for (const auto& [name, tensor] : recorded) tensors.push_back(tensor);
    const std::vector<Tensor<double>> gradients = grad(J, tensors, {.retain_tape = true});
    for (std::size_t i = 0; i < recorded.size(); ++i) {
      add(frame, recorded[i].first, tensors[i]);
      add(frame, "d" + recorded[i].first, gradients[i]);
    }
    // σ′ of single layers, as products with a vector of ones.
    const auto slope = [](const Tensor<double>& z) {
      return vjp([](const Tensor<double>& at) { return sigmoid(at); }, z.detach(),
                 xtape::ones<double>(z.shape()))
          .second;
    };
    add(frame, "s1", slope(z1));
    add(frame, "s2", slope(z2));

    if (step == 0) {
      trace.recorded_graph[0] = with_values(to_dot(J, recorded, "LR"));
      trace.recorded_graph[1] = to_dot(J, recorded, "TB");
    }
    sgd.zero_grad();
    J.backward();
    sgd.step();
    for (const auto& [name, tensor] : parameters) add(frame, "u" + name, tensor);
    trace.frames.push_back(std::move(frame));
  }
  return trace;
}

std::string shown(double number) {
  char digits[32];
  const bool small = number != 0 && std::abs(number) < 0.001;
  std::snprintf(digits, sizeof digits, small ? "%.1e" : "%.3f", std::abs(number));
  std::string text = digits;
  if (small) {  // 4.2e-05 is shown as 4.2e−5
    const std::size_t e = text.find('e');
    text = text.substr(0, e) + "e−" + std::to_string(std::stoi(text.substr(e + 2)));
  }
  return (std::signbit(number) && number != 0 ? "−" : "") + text;
}

std::string fill(const std::string& text, const Frame& frame) {
  std::string result;
  std::size_t at = 0;
  for (std::size_t open; (open = text.find('{', at)) != std::string::npos;) {
    const std::size_t close = text.find('}', open);
    result += text.substr(at, open - at) + shown(frame.at(text.substr(open + 1, close - open - 1)));
    at = close + 1;
  }
  return result + text.substr(at);
}
