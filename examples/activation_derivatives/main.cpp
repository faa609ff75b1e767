// The activations and their derivatives: key values, curves, and what becomes of a product of derivatives
// over layers.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include <autodiff/autodiff.hpp>

#include "../plot.hpp"
#include "../program.hpp"

namespace {

using xtape::Tensor;

struct Activation {
  std::string name;
  std::function<Tensor<double>(const Tensor<double>&)> function;
};

const std::vector<Activation> activations{
    {"sigmoid", [](const auto& z) { return sigmoid(z); }},
    {"tanh", [](const auto& z) { return tanh(z); }},
    {"relu", [](const auto& z) { return relu(z); }},
    {"leaky_relu", [](const auto& z) { return leaky_relu(z); }},
    {"elu", [](const auto& z) { return elu(z); }},
    {"gelu", [](const auto& z) { return gelu(z); }},
    {"silu", [](const auto& z) { return silu(z); }},
    {"softplus", [](const auto& z) { return softplus(z); }},
    {"log_sigmoid", [](const auto& z) { return log_sigmoid(z); }},
    {"identity", [](const auto& z) { return z * 1.0; }},
};

/// g(z) and g'(z) at many places: vᵀ D with v = 1, where the matrix D of derivatives is diagonal because g
/// works element by element.
std::pair<Tensor<double>, Tensor<double>> value_and_derivative(const Activation& g, const Tensor<double>& z) {
  return vjp(g.function, z, xtape::ones<double>(z.shape()));
}

void key_values() {
  const Tensor<double> z{0.0, 1.0, 3.0};
  const auto [a, d] = value_and_derivative(activations[0], z);
  std::printf("1. The sigmoid's key values\n\n");
  std::printf("at z = %g: derivative = %.2f\n", z.data()[0], d.data()[0]);
  std::printf("at z = %g: derivative = %.4f\n", z.data()[1], d.data()[1]);
  std::printf("at z = %g: derivative = %.3f\n", z.data()[2], d.data()[2]);
  const double s = a.data()[1];
  std::printf("\nsigmoid(1.0) = %.4f\n", s);
  std::printf("sigmoid_derivative(1.0) = %.4f * (1 - %.4f) = %.4f\n", s, s, s * (1 - s));
}

void table() {
  const Tensor<double> z{-3.0, -1.0, 0.0, 1.0, 3.0};
  std::printf("\n2. All activations: values, and below them the derivatives\n\n%-12s", "z");
  for (const double at : z) std::printf("%9g", at);
  std::printf("\n");
  for (const Activation& g : activations) {
    const auto [a, d] = value_and_derivative(g, z);
    std::printf("%-12s", g.name.c_str());
    for (const double value : a) std::printf("%9.4f", value);
    std::printf("\n%-12s", "");
    for (const double value : d) std::printf("%9.4f", value);
    std::printf("\n");
  }
}

/// One small picture for each activation: g, and g' dashed.
void draw_activations(const std::filesystem::path& out) {
  const Tensor<double> z = xtape::arange<double>(-5, 5.005, 0.01);
  std::printf("\n3. The range of each derivative for z from -5 to 5\n\n");
  examples::Plot plot(out / "activations.svg", 900, 1150);
  plot.command("set multiplot layout 5,2 margins 0.06,0.98,0.04,0.97 spacing 0.07,0.05");
  plot.command(
      "set xrange [-5:5]\nset yrange [-1.6:2.6]\nset ytics 1\nset xzeroaxis linecolor rgb '#999999'");
  plot.command("set key top left Left reverse\nset label 1 'z' at graph 1.01,0.36");
  for (const Activation& g : activations) {
    const auto [a, d] = value_and_derivative(g, z);
    const auto [least, greatest] = std::minmax_element(d.begin(), d.end());
    std::printf("%-12s %7.3f to %5.3f\n", g.name.c_str(), *least, *greatest);
    std::vector<double> at, value, derivative;
    for (std::size_t i = 0; i < z.size(); ++i) {
      const double jump = i == 0 ? 0 : std::abs(d.data()[i] - d.data()[i - 1]);
      if (jump > 0.5) {  // a point that is none: no line leads over it
        at.push_back(z.data()[i]);
        value.push_back(a.data()[i]);
        derivative.push_back(std::nan(""));
      }
      at.push_back(z.data()[i]);
      value.push_back(a.data()[i]);
      derivative.push_back(d.data()[i]);
    }
    plot.data(g.name, {at, value, derivative});
    plot.command("plot $" + g.name + " using 1:2 with lines linetype 1 title '" + g.name + "', $" + g.name +
                 " using 1:3 with lines linetype 2 dashtype 2 title 'derivative'");
  }
  plot.command("unset multiplot");
  plot.write();
}

/// d(a of layer k) / d(a0) for k = 1 … layers in a chain a ← g(a): the product of the derivatives g'(z) so
/// far.
std::vector<double> products(const Activation& g, double a0, int layers) {
  const auto start = xtape::parameter<double>(a0);
  std::vector<double> result;
  Tensor<double> a = start;
  for (int k = 1; k <= layers; ++k) {
    a = g.function(a);
    result.push_back(grad(a, start, {.retain_tape = true}).item());
  }
  return result;
}

void document_chain() {
  std::printf("\n4. Four layers that multiply by 0.2 each, as in the document\n\n");
  double gradient = 1;
  for (int layer = 1; layer <= 4; ++layer) {
    const double before = gradient;
    gradient *= 0.2;
    if (layer == 1) std::printf("Layer %d gradient = %g\n", layer, gradient);
    if (layer > 1) std::printf("Layer %d gradient = %g * 0.2 = %g\n", layer, before, gradient);
  }
}

void shrinking(const std::filesystem::path& out) {
  const int layers = 20;
  examples::Plot plot(out / "shrinking.svg", 900, 520);
  plot.command("set multiplot layout 1,2 margins 0.11,0.80,0.13,0.92 spacing 0.07");
  plot.command(
      "set logscale y\nunset mytics\nset yrange [1e-14:10]\nset format y '%.0e'\nset xrange [1:20]\nset "
      "xlabel 'layers'");
  for (const double a0 : {1.0, -1.0}) {
    std::printf("\n%d. The product of the derivatives of a chain a := g(a) that starts at %g\n\n",
                a0 > 0 ? 5 : 6, a0);
    std::printf("%-12s %9s %9s %9s %9s\n", "layers", "1", "5", "10", "20");
    const std::string side = a0 > 0 ? "positive" : "negative";
    std::string curves;
    for (std::size_t i = 0; i < activations.size(); ++i) {
      const std::vector<double> product = products(activations[i], a0, layers);
      std::printf("%-12s %9.2g %9.2g %9.2g %9.2g\n", activations[i].name.c_str(), product[0], product[4],
                  product[9], product[19]);
      std::vector<double> layer, size;
      for (std::size_t k = 0; k < product.size(); ++k) {
        layer.push_back(static_cast<double>(k + 1));
        size.push_back(std::abs(product[k]));
      }
      const std::string block = activations[i].name + "_" + side;
      plot.data(block, {layer, size});
      curves += (i ? ", $" : "plot $") + block + " with linespoints linetype " + std::to_string(i % 8 + 1) +
                " dashtype " + (i < 8 ? "1" : "2") +  // there are 8 colours
                " pointtype " + std::to_string(i + 4) + " title '" + activations[i].name + "'";
    }
    plot.command("set title 'start at " + std::string(a0 > 0 ? "1" : "−1") + "'");
    plot.command(a0 > 0 ? "unset key\nset ylabel 'product of the derivatives'"
                        : "set key at screen 0.99,0.9\nset format y ''\nunset ylabel");
    plot.command(curves);
  }
  plot.command("unset multiplot");
  plot.write();
}

}  // namespace

int main(int argc, char** argv) {
  std::filesystem::path out = ".";
  examples::Program program("activation_derivatives",
                            "Activations, their derivatives, and products of derivatives over layers.");
  program.out_option(out);
  return program.run(argc, argv, [&] {
    key_values();
    table();
    draw_activations(out);
    document_chain();
    shrinking(out);
  });
}
