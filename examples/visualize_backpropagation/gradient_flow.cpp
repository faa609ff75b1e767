// The trainings whose gradients the page's second half shows.
#include "gradient_flow.hpp"

#include <cmath>
#include <functional>

#include <nn/nn.hpp>

using xtape::Shape;
using xtape::Tensor;

namespace {

/// What distinguishes the networks.
struct Remedy {
  const char* name;
  const char* what;
  std::function<Tensor<double>(const Shape&)> first_weights;
  bool relu = false;
  bool residual = false;
  bool batch_norm = false;
};

Tensor<double> small_normal(const Shape& shape) { return xtape::random::normal<double>(shape, 0, 0.1); }

const std::vector<Remedy> remedies = {
    {.name = "Sigmoid", .what = "no remedy; weights from N(0, 0.1²)", .first_weights = small_normal},
    {.name = "ReLU",
     .what = "max(z, 0) instead of σ(z); weights from N(0, 2/n), He's for ReLU",
     .first_weights = xtape::nn::init::he_normal<double>,
     .relu = true},
    {.name = "Xavier",
     .what = "weights from N(0, 4² · 2/(n + m)): Xavier's, 4 times as wide because σ′ is at most 1/4",
     .first_weights = [](const Shape& shape) { return 4 * xtape::nn::init::xavier_normal<double>(shape); }},
    {.name = "Residual",
     .what = "each hidden layer gives x + σ(W x + b); weights from N(0, 0.1²)",
     .first_weights = small_normal,
     .residual = true},
    {.name = "Batch norm",
     .what = "z is normalised over the batch before σ; weights from N(0, 0.1²)",
     .first_weights = small_normal,
     .batch_norm = true},
};

/// Dense layers 2-n-…-n-1; the last one gives a logit.
class DeepNetwork : public xtape::nn::Module<double> {
 public:
  DeepNetwork(const Remedy& remedy, std::size_t layers, std::size_t width) : remedy_(remedy) {
    for (std::size_t l = 0; l < layers; ++l) {
      const bool last = l + 1 == layers;
      dense_.emplace_back(l == 0 ? 2 : width, last ? 1 : width);
      dense_[l].weight.assign(remedy.first_weights(dense_[l].weight.shape()));
      if (!remedy.batch_norm || last) continue;
      gamma_.push_back(xtape::parameter(xtape::ones<double>({width})));
      beta_.push_back(xtape::parameter(xtape::zeros<double>({width})));
    }
  }

  Tensor<double> forward(const Tensor<double>& points) override {
    Tensor<double> x = points;
    for (std::size_t l = 0; l + 1 < dense_.size(); ++l) {
      Tensor<double> z = dense_[l](x);
      if (remedy_.batch_norm) z = xtape::batch_norm(z, gamma_[l], beta_[l]);
      const Tensor<double> a = remedy_.relu ? relu(z) : sigmoid(z);
      x = remedy_.residual && l > 0 ? x + a : a;
    }
    return dense_.back()(x);
  }

  void members(xtape::nn::Members<double>& m) override {
    for (std::size_t l = 0; l < dense_.size(); ++l) m.module(std::to_string(l + 1), dense_[l]);
    for (std::size_t l = 0; l < gamma_.size(); ++l) {
      m.parameter("gamma" + std::to_string(l + 1), gamma_[l]);
      m.parameter("beta" + std::to_string(l + 1), beta_[l]);
    }
  }

  /// log10 ‖dJ/dW‖, layer by layer; −∞ where no gradient arrives.
  std::vector<double> log_norms() const {
    std::vector<double> result;
    for (const auto& layer : dense_) result.push_back(std::log10(norm(layer.weight.grad()).item()));
    return result;
  }

 private:
  Remedy remedy_;
  std::vector<xtape::nn::Linear<double>> dense_;
  std::vector<Tensor<double>> gamma_, beta_;
};

struct Data {
  Tensor<double> x;       ///< (points, 2), in the square from −1 to 1
  Tensor<double> inside;  ///< (points, 1), 1 within the circle
};

/// The same points in every call: it starts with the seed.
Data circle(const FlowOptions& o) {
  xtape::random::seed(o.seed);
  const Tensor<double> x = xtape::random::uniform<double>({o.points, 2}, -1, 1);
  return {x, sum(square(x), 1, true) < 0.6};
}

}  // namespace

std::vector<GradientFlow> measure_gradient_flow(const FlowOptions& o) {
  std::vector<GradientFlow> result;
  for (const Remedy& remedy : remedies) {
    const auto [x, inside] = circle(o);
    DeepNetwork network(remedy, o.layers, o.width);
    xtape::nn::SGD<double> sgd(network.parameters(), {.learning_rate = o.learning_rate});
    GradientFlow flow{.name = remedy.name, .what = remedy.what};
    for (int step = 0; step <= o.steps; ++step) {
      sgd.zero_grad();
      const Tensor<double> loss = xtape::nn::binary_cross_entropy_with_logits(network(x), inside);
      loss.backward();
      if (step % o.every == 0) {
        flow.steps.push_back(step);
        flow.log_norms.push_back(network.log_norms());
        flow.loss.push_back(loss.item());
      }
      sgd.step();
    }
    result.push_back(std::move(flow));
  }
  return result;
}

double loss_of_share(const FlowOptions& o) {
  const Tensor<double> inside = circle(o).inside;
  const Tensor<double> share = xtape::full<double>(inside.shape(), mean(inside).item());
  return xtape::nn::binary_cross_entropy(share, inside).item();
}

std::vector<double> vanishing_example(double factor, int layers) {
  const Tensor<double> x = xtape::parameter<double>(1.0);
  Tensor<double> y = x;
  std::vector<double> gradients;
  for (int layer = 0; layer < layers; ++layer) {
    y = y * factor;
    gradients.push_back(grad(y, x, {.retain_tape = true}).item());
  }
  return gradients;
}
