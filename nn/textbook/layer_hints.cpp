// The layers of a derivation as a loss, from parameters that hold the context's numbers: what the mistakes
// are looked for in.
#include <limits>
#include <utility>

#include <autodiff/compare_gradients.hpp>
#include <autodiff/elementwise.hpp>
#include <autodiff/indexing.hpp>
#include <autodiff/layout.hpp>
#include <autodiff/linalg.hpp>
#include <autodiff/reductions.hpp>

#include "apply.hpp"

namespace xtape::nn::hand {
namespace {

template <class T>
Tensor<T> as_rows(const Tensor<T>& x) {
  return x.rank() == 1 ? unsqueeze(x.detach(), 0) : x.detach();
}

/// b of z = input Wᵀ + b. What rounding leaves where there is no bias is 0: ReLU has another derivative at
/// 1e-17 than at 0.
template <class T>
Tensor<T> bias_of(const Tensor<T>& z, const Tensor<T>& input, const Tensor<T>& W) {
  const Tensor<T> product = matmul(input, transpose(W));
  const Tensor<T> b = slice(z, 0) - slice(product, 0);
  const Tensor<T> rounding = T(16) * std::numeric_limits<T>::epsilon() * max(abs(product), 0);
  return where(abs(b) > rounding, b, T(0));
}

template <class T>
class LayerHints : public DerivationHints<T> {
 public:
  using typename DerivationHints<T>::Role;

  /// Error when the shapes of the layers do not fit.
  explicit LayerHints(const DerivationContext<T>& context);

  Role role(const std::string& row) const override;
  std::size_t output_size() const override { return factor_.size(); }
  Tensor<T> parameter(const std::string& row) const override;
  Tensor<T> loss() const override;

 private:
  struct Dense {
    std::string weight, bias;  ///< the names of the rows
    Activation activation;
    Tensor<T> W, b;  ///< parameters
  };
  std::vector<Dense> layers_;
  Tensor<T> input_;
  Tensor<T> factor_;              ///< of the output in the linear form
  bool is_of_activated_ = false;  ///< a is the output; else z
};

template <class T>
LayerHints<T>::LayerHints(const DerivationContext<T>& context) {
  const auto require = [](bool holds, std::size_t l, const std::string& text) {
    if (!holds) throw Error("layer_hints", "layer " + std::to_string(l + 1) + ": " + text);
  };
  if (context.layers.empty()) throw Error("layer_hints", "there are no layers");
  const std::size_t last = context.layers.size() - 1;
  Tensor<T> z, a;
  for (std::size_t l = 0; l <= last; ++l) {
    const LayerContext<T>& layer = context.layers[l];
    require(layer.input.defined() && layer.z.defined() && layer.W.defined(), l, "give its input, z and W");
    const Tensor<T> input = as_rows(layer.input);
    const Shape below = l == 0 ? input.shape() : z.shape();
    z = as_rows(layer.z);
    const Shape &x = input.shape(), &W = layer.W.shape();
    require(W.size() == 2 && x.size() == 2 && z.shape() == Shape{x[0], W[0]} && x[1] == W[1], l,
            "input of shape " + to_string(layer.input.shape()) + ", z of shape " +
                to_string(layer.z.shape()) + " and W of shape " + to_string(W) +
                " do not fit: z = W input + b, with W (out, in)");
    a = layer.a.defined() ? as_rows(layer.a) : activate(layer.activation, z);
    require(a.shape() == z.shape(), l,
            "a of shape " + to_string(a.shape()) + " is not that of z, " + to_string(z.shape()));
    require(x == below, l,
            "input of shape " + to_string(x) + " is not that of the layer before, " + to_string(below));
    if (l == 0) input_ = input;
    layers_.push_back({layer.weight, layer.bias, layer.activation, xtape::parameter<T>(layer.W.detach()),
                       xtape::parameter<T>(bias_of(z, input, layer.W.detach()))});
  }
  require(context.dJ_da.defined() || context.output_delta.defined(), last, "give dJ_da or output_delta");
  for (const Tensor<T>& given : {context.dJ_da, context.output_delta})
    require(!given.defined() || as_rows(given).shape() == z.shape(), last,
            "dJ_da and output_delta must have the shape of its z, " + to_string(z.shape()));
  // With both given, dJ_da where it leads to output_delta: then the last activation is in the loss, too, and
  // mistakes in its derivative are found. Of a softmax, whose derivative is no product, there is only δ.
  is_of_activated_ = context.dJ_da.defined();
  if (context.dJ_da.defined() && context.output_delta.defined()) {
    const Tensor<T> delta = as_rows(context.dJ_da) * derivative(layers_[last].activation, z, a);
    is_of_activated_ = tolerance_of(CompareOptions<T>{}).same(delta, as_rows(context.output_delta));
  }
  factor_ = as_rows(is_of_activated_ ? context.dJ_da : context.output_delta);
}

template <class T>
Tensor<T> LayerHints<T>::loss() const {
  Tensor<T> a = input_;
  for (const Dense& layer : layers_) {
    const Tensor<T> z = linear(a, layer.W, layer.b);
    a = &layer == &layers_.back() && !is_of_activated_ ? z : textbook::apply(layer.activation, z);
  }
  return sum(factor_ * a);
}

template <class T>
Tensor<T> LayerHints<T>::parameter(const std::string& row) const {
  if (row.empty()) return {};
  for (const Dense& layer : layers_) {
    if (layer.weight == row) return layer.W;
    if (layer.bias == row) return layer.b;
  }
  return {};
}

template <class T>
auto LayerHints<T>::role(const std::string& row) const -> Role {
  for (const Dense& layer : layers_) {
    if (layer.weight == row) return Role::weight;
    if (layer.bias == row) return Role::bias;
  }
  return Role::unknown;
}

}  // namespace

template <class T>
std::shared_ptr<const DerivationHints<T>> layer_hints(const DerivationContext<T>& context) {
  const NoGrad no_grad;
  return std::make_shared<LayerHints<T>>(context);
}

template std::shared_ptr<const DerivationHints<float>> layer_hints(const DerivationContext<float>&);
template std::shared_ptr<const DerivationHints<double>> layer_hints(const DerivationContext<double>&);

}  // namespace xtape::nn::hand
