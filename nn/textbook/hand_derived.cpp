// Steps 1 to 5, each as its formula. A single sample is a batch of one row until the results are handed out.
#include "../hand_derived.hpp"

#include <cmath>
#include <string>
#include <utility>

#include <autodiff/elementwise.hpp>
#include <autodiff/engine.hpp>
#include <autodiff/layout.hpp>
#include <autodiff/linalg.hpp>
#include <autodiff/reductions.hpp>

namespace xtape::nn::hand {
namespace {

/// Says which function was called and how it names what it was given.
struct Names {
  const char* function;
  std::string of(const char* quantity, std::size_t layer) const {
    return quantity + std::to_string(layer + 1);
  }
  /// "a1 of shape (8, 4)"; the input is x.
  std::string input(std::size_t layer) const { return layer == 0 ? "x" : of("a", layer - 1); }
};

template <class T>
std::string with_shape(const std::string& name, const Tensor<T>& tensor) {
  return name + " of shape " + to_string(tensor.shape());
}

template <class T>
void require_shapes(const Names& names, const Tensor<T>& x, const Tensor<T>& y,
                    const std::vector<Layer<T>>& layers) {
  const auto fail = [&](const std::string& text) { throw Error(names.function, text); };
  if (layers.empty()) fail("there are no layers");
  if (x.rank() != 1 && x.rank() != 2)
    fail(with_shape("x", x) + ": it must be (N, in) for a batch, or (in,) for one sample");
  Shape input = x.shape();
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const Tensor<T>&W = layers[l].W, &b = layers[l].b;
    const std::string W_text = with_shape(names.of("W", l), W);
    if (W.rank() != 2) fail(W_text + ": it must be (out, in)");
    if (W.shape()[1] != input.back())
      fail(W_text + " does not take " + names.input(l) + " of shape " + to_string(input) + ": its columns, " +
           std::to_string(W.shape()[1]) + ", must be the features, " + std::to_string(input.back()) +
           (W.shape()[0] == input.back() ? "; is it transposed?" : ""));
    if (!(b.shape() == Shape{W.shape()[0]}))
      fail(with_shape(names.of("b", l), b) + " for " + W_text + ": it must be (" +
           std::to_string(W.shape()[0]) + ",)");
    input.back() = W.shape()[0];
  }
  if (!(y.shape() == input))
    fail(with_shape("y", y) + " for the output " + names.of("a", layers.size() - 1) + " of shape " +
         to_string(input) + ": they must be the same" + (y.size() == x.shape()[0] ? "; reshape y" : ""));
}

template <class T>
void require_loss(const Names& names, const Tensor<T>& y, Activation output, Loss loss) {
  if (loss == Loss::binary_cross_entropy && output != Activation::sigmoid)
    throw Error(names.function,
                std::string("binary cross-entropy needs probabilities, and the output's activation is ") +
                    to_string(output) + ": make it Activation::sigmoid");
  if (loss != Loss::softmax_cross_entropy) return;
  const std::size_t C = y.shape().back();
  for (std::size_t i = 0; i < y.size(); i += C) {
    double total = 0;
    for (std::size_t k = 0; k < C; ++k) total += static_cast<double>(y.data()[i + k]);
    if (!(std::abs(total - 1) < 1e-5))
      throw Error(names.function, "row " + std::to_string(i / C) + " of y sums to " +
                                      engine::number_text(total) +
                                      ": the softmax cross-entropy takes one-hot rows");
  }
}

/// 1/s, what the sum of the losses of N rows and `outputs` columns is divided by.
template <class T>
T divisor(const Names& names, Loss loss, std::optional<Reduction> reduction, std::size_t N,
          std::size_t outputs) {
  const bool of_rows = loss == Loss::softmax_cross_entropy;
  switch (reduction.value_or(loss == Loss::half_squared_error ? Reduction::sum : Reduction::mean)) {
    case Reduction::sum:
      return T(1);
    case Reduction::batch_mean:
      return static_cast<T>(N);
    case Reduction::mean:
      return static_cast<T>(of_rows ? N : N * outputs);
    case Reduction::none:
      break;
  }
  throw Error(names.function, "the reduction must be mean, sum or batch_mean: J is one number");
}

template <class T>
Tensor<T> loss_value(Loss loss, const Tensor<T>& z, const Tensor<T>& a, const Tensor<T>& y, T n) {
  // As in PyTorch, logarithms of the binary cross-entropy end at −100.
  const auto ln = [](const Tensor<T>& p) { return maximum(log(p), T(-100)); };
  switch (loss) {
    case Loss::half_squared_error:
      return sum(T(0.5) * square(a - y)) / n;
    case Loss::mean_squared_error:
      return sum(square(a - y)) / n;
    case Loss::binary_cross_entropy:
      return -sum(y * ln(a) + (1 - y) * ln(1 - a)) / n;
    case Loss::softmax_cross_entropy:  // 0 ln 0 = 0
      return -sum(where(equal(y, T(0)), T(0), y * log_softmax(z, 1))) / n;
  }
  throw Error("hand", "the loss is none of those of Loss");
}

/// Step 1: dJ/da.
template <class T>
Tensor<T> output_error(Loss loss, const Tensor<T>& a, const Tensor<T>& y, T n) {
  switch (loss) {
    case Loss::half_squared_error:
      return (a - y) / n;
    case Loss::mean_squared_error:
      return 2 * (a - y) / n;
    case Loss::binary_cross_entropy:  // −y/a + (1 − y)/(1 − a), over one denominator that stays above 0
      return (a - y) / maximum(a * (1 - a), T(1e-12)) / n;
    case Loss::softmax_cross_entropy:  // 0 where y is, also for an a that has underflowed
      return -where(equal(y, T(0)), T(0), y / a) / n;
  }
  throw Error("hand", "the loss is none of those of Loss");
}

/// Step 2: δ of the output layer.
template <class T>
Tensor<T> output_delta(Loss loss, Activation g, const Tensor<T>& error, const Tensor<T>& z,
                       const Tensor<T>& a, const Tensor<T>& y, T n) {
  // With its own activation a cross-entropy leaves the difference alone: dJ/da · a (1 − a) = a − y for the
  // sigmoid, and Σ_k dJ/da_k · a_k (1[k = i] − a_i) = a_i − y_i for the softmax.
  if (loss == Loss::binary_cross_entropy || loss == Loss::softmax_cross_entropy) return (a - y) / n;
  return error * derivative(g, z, a);
}

template <class T>
Layers<T> backpropagate(const Names& names, const Tensor<T>& x, const Tensor<T>& y,
                        const std::vector<Layer<T>>& given, Loss loss, std::optional<Reduction> reduction) {
  require_shapes(names, x, y, given);
  require_loss(names, y, given.back().activation, loss);
  const std::size_t L = given.size();
  const bool one_sample = x.rank() == 1;
  const auto rows = [&](const Tensor<T>& t) { return one_sample ? unsqueeze(t.detach(), 0) : t.detach(); };
  const Tensor<T> input = rows(x), target = rows(y);
  const T n = divisor<T>(names, loss, reduction, target.shape()[0], target.shape()[1]);

  Layers<T> r{x.detach(), y.detach(), given, {}, {}, {}, {}, {}, {}, {}};
  for (Layer<T>& layer : r.layers) layer = {layer.W.detach(), layer.b.detach(), layer.activation};
  r.error.resize(L), r.delta.resize(L), r.dW.resize(L), r.db.resize(L);

  // Forward: z = W a + b, a = g(z).
  for (std::size_t l = 0; l < L; ++l) {
    const Layer<T>& layer = r.layers[l];
    const bool is_softmax = l + 1 == L && loss == Loss::softmax_cross_entropy;
    r.z.push_back(matmul(l == 0 ? input : r.a[l - 1], transpose(layer.W)) + layer.b);
    r.a.push_back(is_softmax ? softmax(r.z[l], 1) : activate(layer.activation, r.z[l]));
  }
  r.J = loss_value(loss, r.z.back(), r.a.back(), target, n);

  r.error.back() = output_error(loss, r.a.back(), target, n);
  r.delta.back() =
      output_delta(loss, r.layers.back().activation, r.error.back(), r.z.back(), r.a.back(), target, n);
  // Step 3: error = Wᵀ δ of the layer above, δ = error · g'(z).
  for (std::size_t l = L - 1; l-- > 0;) {
    r.error[l] = matmul(r.delta[l + 1], r.layers[l + 1].W);
    r.delta[l] = r.error[l] * derivative(r.layers[l].activation, r.z[l], r.a[l]);
  }
  // Step 4: dW = δ aᵀ, db = δ, summed over the batch.
  for (std::size_t l = 0; l < L; ++l) {
    r.dW[l] = matmul(transpose(r.delta[l]), l == 0 ? input : r.a[l - 1]);
    r.db[l] = sum(r.delta[l], 0);
  }
  if (one_sample)
    for (auto* quantity : {&r.z, &r.a, &r.error, &r.delta})
      for (Tensor<T>& t : *quantity) t = squeeze(t, 0);
  return r;
}

}  // namespace

template <class T>
std::vector<LayerUpdate<T>> Layers<T>::updates(T alpha) const {
  std::vector<LayerUpdate<T>> result;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const Tensor<T> change_W = -alpha * dW[l], change_b = -alpha * db[l];
    result.push_back({change_W, change_b, layers[l].W + change_W, layers[l].b + change_b});
  }
  return result;
}

template <class T>
CompareOptions<T> Layers<T>::compare_options() const {
  CompareOptions<T> options;
  options.batch_size = x.rank() == 1 ? 1 : x.shape()[0];
  options.derivation = layer_hints(context());
  return options;
}

template <class T>
DerivationContext<T> Layers<T>::context() const {
  DerivationContext<T> context{.dJ_da = error.back(), .output_delta = delta.back()};
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const std::string number = std::to_string(l + 1);
    context.layers.push_back(
        {"W" + number, "b" + number, l == 0 ? x : a[l - 1], z[l], a[l], layers[l].activation, layers[l].W});
  }
  return context;
}

template <class T>
Layers<T> layers(const Tensor<T>& x, const Tensor<std::type_identity_t<T>>& y,
                 const std::vector<Layer<std::type_identity_t<T>>>& layers, Loss loss,
                 std::optional<Reduction> reduction) {
  return backpropagate<T>({"layers"}, x, y, layers, loss, reduction);
}

template <class T>
TwoLayer<T> two_layer(const Tensor<T>& x, const Tensor<std::type_identity_t<T>>& y,
                      const Tensor<std::type_identity_t<T>>& W1, const Tensor<std::type_identity_t<T>>& b1,
                      const Tensor<std::type_identity_t<T>>& W2, const Tensor<std::type_identity_t<T>>& b2,
                      Activation activation, Loss loss, const Options& options) {
  const std::vector<Layer<T>> both{{W1, b1, activation},
                                   {W2, b2, options.output_activation.value_or(activation)}};
  const Layers<T> s = backpropagate<T>({"two_layer"}, x, y, both, loss, options.reduction);
  return {s.z[0],     s.a[0],     s.z[1],  s.a[1],  s.J,     s.error[1], s.delta[1],
          s.error[0], s.delta[0], s.dW[1], s.dW[0], s.db[1], s.db[0],    s};
}

template <class T>
TwoLayerUpdate<T> TwoLayer<T>::updates(T alpha) const {
  const std::vector<LayerUpdate<T>> u = steps.updates(alpha);
  return {u[1].change_W, u[0].change_W, u[1].change_b, u[0].change_b, u[1].W, u[0].W, u[1].b, u[0].b};
}

#define XTAPE_INSTANTIATE(T)                                                                             \
  template struct Layers<T>;                                                                             \
  template struct TwoLayer<T>;                                                                           \
  template Layers<T> layers(const Tensor<T>&, const Tensor<T>&, const std::vector<Layer<T>>&, Loss,      \
                            std::optional<Reduction>);                                                   \
  template TwoLayer<T> two_layer(const Tensor<T>&, const Tensor<T>&, const Tensor<T>&, const Tensor<T>&, \
                                 const Tensor<T>&, const Tensor<T>&, Activation, Loss, const Options&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn::hand
