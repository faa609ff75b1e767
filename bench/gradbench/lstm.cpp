// GradBench's lstm, of ADBench (Srajer, Kukelova, Fitzgibbon, A benchmark of selected algorithmic
// differentiation tools, 2018): how well l layers of b cells predict the next of c characters, and the
// gradient. Weights are numbers for each cell, and the gates take turns: forget (0) and output (2) read what
// comes in, input (1) and change (3) the state,
//
//     cell = cell σ(w0 in + b0) + σ(w1 hidden + b1) tanh(w3 hidden + b3),  hidden = σ(w2 in + b2) tanh(cell),
//
// where `in` is the hidden state of the layer below, or the character times a weight. With y = last hidden ·
// weight + bias the loss is the mean over (c − 1) b of −next (y − ln(2 + Σ exp y)).
//
// A layer reads that below at the same step only, so the layers are computed one after the other: the gates
// of what comes in for all steps at once, the rest by a scan.
#include "protocol.hpp"

namespace {

using xtape::Tensor;

struct Input {
  Tensor<double> main, extra, state, sequence;  ///< (2 l, 4 b), (3, b), (2 l, b), (c, b)
  explicit Input(const gradbench::Json& json)
      : main(gradbench::tensor(json.at("main_params"))),
        extra(gradbench::tensor(json.at("extra_params"))),
        state(gradbench::tensor(json.at("state"))),
        sequence(gradbench::tensor(json.at("sequence"))) {}
};

/// Gates by their number above; all is (b).
struct Layer {
  std::vector<Tensor<double>> w, b;
  Tensor<double> hidden, cell;  ///< in the beginning
};

class Network {
 public:
  explicit Network(const Input& input)
      : extra_(parameter(input.extra)),
        read_(slice(input.sequence, xt::range(0, -1))),
        next_(slice(input.sequence, xt::range(1, xt::placeholders::_))) {
    for (std::size_t i = 0; i < input.main.shape(0); i += 2)
      layers_.push_back({leaves(slice(input.main, i)), leaves(slice(input.main, i + 1)),
                         slice(input.state, i), slice(input.state, i + 1)});
  }

  Tensor<double> loss() const {
    using namespace xtape;
    auto in = read_ * slice(extra_, 0);  // (c − 1, b), as all that is `in`
    for (const Layer& layer : layers_) {
      const auto &w = layer.w, &b = layer.b;
      const auto step = [&](const std::vector<Tensor<double>>& carry, const Tensor<double>& gates) {
        const auto &hidden = carry[0], &cell = carry[1];
        const auto change = sigmoid(w[1] * hidden + b[1]) * tanh(w[3] * hidden + b[3]);
        const auto next_cell = cell * slice(gates, 0) + change;
        const auto next_hidden = slice(gates, 1) * tanh(next_cell);
        return std::pair{std::vector{next_hidden, next_cell}, next_hidden};
      };
      const auto gates = stack({sigmoid(w[0] * in + b[0]), sigmoid(w[2] * in + b[2])}, 1);  // (c − 1, 2, b)
      in = scan(step, std::vector{layer.hidden, layer.cell}, gates).second;
    }
    const auto y = in * slice(extra_, 1) + slice(extra_, 2);
    return -mean(next_ * (y - log(2 + sum(exp(y), 1, true))));
  }

  /// By main and extra, (8 l b + 3 b).
  Tensor<double> gradient() const {
    std::vector<Tensor<double>> in_order;
    for (const Layer& layer : layers_)
      for (const auto& gates : {layer.w, layer.b})
        in_order.insert(in_order.end(), gates.begin(), gates.end());
    in_order.push_back(extra_);
    auto gradients = grad(loss(), in_order);
    gradients.back() = flatten(gradients.back());
    return concatenate(gradients);
  }

 private:
  /// The numbers of four gates as leaves: a scan takes no tensor that is recorded already, such as their
  /// slices.
  static std::vector<Tensor<double>> leaves(const Tensor<double>& gates) {
    auto parts = split(gates, 4);
    for (auto& part : parts) part = parameter(part);
    return parts;
  }

  Tensor<double> extra_, read_, next_;  ///< (3, b); (c − 1, b): the characters, and those that follow them
  std::vector<Layer> layers_;
};

struct Objective {
  static constexpr auto name = "objective";
  Network network;
  double value = 0;

  explicit Objective(const Input& input) : network(input) {}
  void run() {
    const xtape::NoGrad scope;
    value = network.loss().item();
  }
  gradbench::Json result() const { return value; }
};

struct Jacobian {
  static constexpr auto name = "jacobian";
  Network network;
  Tensor<double> gradient;

  explicit Jacobian(const Input& input) : network(input) {}
  void run() { gradient = network.gradient(); }
  gradbench::Json result() const { return gradbench::list(gradient); }
};

}  // namespace

int main(int argc, char** argv) { return gradbench::tool<Input, Objective, Jacobian>(argc, argv); }
