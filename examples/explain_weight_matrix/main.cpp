// One training step of a network 3-4-2: what each entry of each weight matrix received, and from which
// samples.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include <nn/nn.hpp>

#include "../plot.hpp"
#include "../program.hpp"

namespace {

using xtape::Tensor;

/// Element (row, column) of a matrix.
double at(const Tensor<double>& m, std::size_t row, std::size_t column) {
  return m.data()[row * m.shape()[1] + column];
}

/// A weight matrix in one step: W (out, in), the errors δ (samples, out) behind it, and what came in, a
/// (samples, in).
struct Layer {
  std::string name;
  Tensor<double> W, delta, a, gradient;
};

void print_matrix(const std::string& title, const Tensor<double>& m) {
  std::printf("%s, shape %s\n", title.c_str(), xtape::to_string(m.shape()).c_str());
  for (std::size_t i = 0; i < m.shape()[0]; ++i) {
    for (std::size_t j = 0; j < m.shape()[1]; ++j) std::printf(" %9.5f", at(m, i, j));
    std::printf("\n");
  }
}

/// Each entry's gradient, term by term, and its update.
void explain(const Layer& layer, double learning_rate) {
  const std::size_t samples = layer.delta.shape()[0];
  std::printf("\n%s: gradient of entry (i, j) = sum over the samples of delta[i] * a[j]\n\n%-8s",
              layer.name.c_str(), "(i, j)");
  for (std::size_t n = 0; n < samples; ++n) std::printf(" %6s sample %zu %6s", "", n + 1, "");
  std::printf(" %10s %10s %8s    %s\n", "gradient", "update", "old", "new");
  for (std::size_t i = 0; i < layer.W.shape()[0]; ++i)
    for (std::size_t j = 0; j < layer.W.shape()[1]; ++j) {
      std::printf("(%zu, %zu)  ", i, j);
      double gradient = 0;
      for (std::size_t n = 0; n < samples; ++n) {
        const double delta = at(layer.delta, n, i), a = at(layer.a, n, j);
        std::printf(" %9.5f * %8.5f ", delta, a);
        gradient += delta * a;
      }
      const double old = at(layer.W, i, j), update = -learning_rate * gradient;
      std::printf(" %10.5f %10.5f %8.4f -> %.4f\n", gradient, update, old, old + update);
    }
}

/// A heat map that needs no colour: the more ink the larger, in quarters of the largest entry, and the sign
/// in front.
void heat_map(const Layer& layer) {
  double largest = 0;
  for (const double g : layer.gradient) largest = std::max(largest, std::abs(g));
  std::printf("\n%s: gradient as a map; the largest entry is %.5f\n\n", layer.name.c_str(), largest);
  const char* shades[] = {"····", "░░░░", "▒▒▒▒", "▓▓▓▓", "████"};
  for (std::size_t i = 0; i < layer.W.shape()[0]; ++i) {
    std::printf("to %zu  ", i);
    for (std::size_t j = 0; j < layer.W.shape()[1]; ++j) {
      const double g = at(layer.gradient, i, j);
      std::printf("  %c%s", g < 0 ? '-' : '+',
                  shades[static_cast<int>(std::round(4 * std::abs(g) / largest))]);
    }
    std::printf("\n");
  }
  std::printf("from  ");
  for (std::size_t j = 0; j < layer.W.shape()[1]; ++j) std::printf("  %-5zu", j);
  std::printf("\n");
}

/// Adds the entries of a matrix as a block of columns: column, row, value.
void add_matrix(examples::Plot& plot, const std::string& name, const Tensor<double>& m) {
  std::vector<double> column, row, value;
  for (std::size_t i = 0; i < m.shape()[0]; ++i)
    for (std::size_t j = 0; j < m.shape()[1]; ++j) {
      column.push_back(static_cast<double>(j));
      row.push_back(static_cast<double>(i));
      value.push_back(at(m, i, j));
    }
  plot.data(name, {column, row, value});
}

/// The old values, the gradient and the new values beside each other, blue below 0 and red above. Old and new
/// share one scale of colour, so that what changes colour has changed.
void draw(const Layer& layer, const Tensor<double>& updated, const std::filesystem::path& path) {
  const std::size_t rows = layer.W.shape()[0], columns = layer.W.shape()[1];
  const int height = 155 + 55 * static_cast<int>(rows);
  examples::Plot plot(path, 1000, height);
  plot.command("set multiplot layout 1,3 margins 0.05,0.98," + std::to_string(100.0 / height) + "," +
               std::to_string(1 - 45.0 / height) + " spacing 0.05");
  plot.command(
      "set palette defined (-1 '#2166ac', 0 '#ffffff', 1 '#b2182b')\nunset colorbox\nunset key\nunset grid");
  plot.command(
      "set xrange [-0.5:" + std::to_string(columns) + "-0.5]\nset yrange [" + std::to_string(rows) +
      "-0.5:-0.5]\nset tics 1 scale 0\nset border 0\nset xlabel 'from j'\nset ylabel 'to i' offset 1");
  const std::vector<std::pair<std::string, Tensor<double>>> panels{
      {"old " + layer.name, layer.W},
      {"gradient of " + layer.name, layer.gradient},
      {"new " + layer.name, updated}};
  const auto largest = [](const Tensor<double>& m) { return max(abs(m)).item(); };
  const double weights = std::max(largest(layer.W), largest(updated)), gradient = largest(layer.gradient);
  for (std::size_t k = 0; k < panels.size(); ++k) {
    const auto& [title, matrix] = panels[k];
    const std::string block = "panel" + std::to_string(k),
                      limit = std::to_string(1.6 * (k == 1 ? gradient : weights));
    if (k + 1 == panels.size())
      plot.command(
          "set label 1 'blue: below 0, red: above 0, white: 0; one scale of colour for old and new, another "
          "for the gradient' at screen 0.5,0.05 center textcolor rgb '#444444'");
    add_matrix(plot, block, matrix);
    plot.command("set title '" + title + "'\nset cbrange [-" + limit + ":" + limit + "]");
    plot.command("plot $" + block + " using 1:2:(0.47):(0.47):3 with boxxyerror fillstyle solid noborder " +
                 "linecolor palette, $" + block + " using 1:2:(sprintf('%.4f', $3)) with labels font ',13'");
  }
  plot.command("unset multiplot");
  plot.write();
}

/// What the shapes say about a product, or xtape's error.
template <class Product>
void try_product(const char* text, Product product) {
  try {
    std::printf("%-22s shape %s\n", text, xtape::to_string(product().shape()).c_str());
  } catch (const xtape::Error& error) { std::printf("%-22s %s\n", text, error.what()); }
}

void transposes(const Layer& layer1, const Layer& layer2) {
  const Tensor<double>&delta = layer1.delta, &a = layer1.a;
  std::printf("\nAll entries at once, for W1 of shape %s, delta1 %s and x %s\n\n",
              xtape::to_string(layer1.W.shape()).c_str(), xtape::to_string(delta.shape()).c_str(),
              xtape::to_string(a.shape()).c_str());
  const double difference = max(abs(matmul(transpose(delta), a) - layer1.gradient)).item();
  std::printf("largest difference of transpose(delta1) x and the sums above: %s 1e-15\n",
              difference < 1e-15 ? "below" : "above");
  try_product("transpose(delta1) x:", [&] { return matmul(transpose(delta), a); });
  try_product("transpose(x) delta1:", [&] { return matmul(transpose(a), delta); });
  try_product("delta1 transpose(x):", [&] { return matmul(delta, transpose(a)); });
  try_product("delta2 W2:", [&] { return matmul(layer2.delta, layer2.W); });
  try_product("delta2 transpose(W2):", [&] { return matmul(layer2.delta, transpose(layer2.W)); });

  // A square matrix hides the mistake: both products have its shape.
  const Tensor<double> d{{0.1, -0.2}, {0.3, 0.0}}, in{{1.0, 2.0}, {0.0, 1.0}};
  std::printf("\nA layer 2-2 takes either product without a word:\n");
  print_matrix("transpose(delta) a", matmul(transpose(d), in));
  print_matrix("transpose(a) delta", matmul(transpose(in), d));
}

void run(double learning_rate, const std::filesystem::path& out) {
  const Tensor<double> x{{1.0, 0.5, 0.0}, {0.0, 1.0, -1.0}, {0.5, 0.0, 1.0}},
      y{{1.0, 0.0}, {0.0, 1.0}, {1.0, 1.0}};
  auto W1 = xtape::parameter<double>({{0.2, -0.4, 0.1}, {0.5, 0.3, -0.2}, {-0.3, 0.1, 0.4}, {0.1, 0.2, 0.3}});
  auto W2 = xtape::parameter<double>({{0.3, -0.2, 0.5, 0.1}, {-0.4, 0.6, 0.2, -0.1}});
  const auto b1 = xtape::parameter<double>({0.1, -0.1, 0.0, 0.2}),
             b2 = xtape::parameter<double>({0.05, -0.05});

  const Tensor<double> z1 = linear(x, W1, b1), a1 = sigmoid(z1), z2 = linear(a1, W2, b2), a2 = sigmoid(z2);
  const Tensor<double> J = xtape::nn::half_squared_error(a2, y);
  std::printf("network 3-4-2, sigmoid, half squared error summed over 3 samples, alpha = %g\n",
              learning_rate);
  std::printf("J = %.5f before the step\n\n", J.item());
  const std::vector<Tensor<double>> g = grad(J, {z1, z2, W1, W2, b1, b2});
  const Layer layer1{"W1", W1.detach(), g[0], x, g[2]}, layer2{"W2", W2.detach(), g[1], a1.detach(), g[3]};
  print_matrix("x", x);
  print_matrix("delta1 = dJ/dz1", layer1.delta);
  print_matrix("a1", layer2.a);
  print_matrix("delta2 = dJ/dz2", layer2.delta);

  for (const Layer& layer : {layer1, layer2}) {
    explain(layer, learning_rate);
    heat_map(layer);
    draw(layer, layer.W - learning_rate * layer.gradient, out / (layer.name + ".svg"));
  }
  print_matrix("\nb1 has a = 1 in every sample: its gradient is the sum of delta1", unsqueeze(g[4], 0));

  transposes(layer1, layer2);

  const auto step = [&](const Tensor<double>& w, const Tensor<double>& gradient) {
    return w.detach() - learning_rate * gradient;
  };
  const Tensor<double> after =
      sigmoid(linear(sigmoid(linear(x, step(W1, g[2]), step(b1, g[4]))), step(W2, g[3]), step(b2, g[5])));
  std::printf("\nJ = %.5f after the step\n", xtape::nn::half_squared_error(after, y).item());
}

}  // namespace

int main(int argc, char** argv) {
  std::filesystem::path out = ".";
  double learning_rate = 0.5;
  examples::Program program("explain_weight_matrix",
                            "What each entry of each weight matrix receives in one training step.");
  program.option("--learning-rate", learning_rate, "alpha, of the update", {.positive = true});
  program.out_option(out);
  return program.run(argc, argv, [&] { run(learning_rate, out); });
}
