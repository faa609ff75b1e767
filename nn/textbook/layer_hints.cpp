// Hypotheses about a wrong derivation: mistakes made on purpose in backpropagation through the given layers,
// in formulas of values.
#include <functional>
#include <optional>
#include <utility>

#include <autodiff/compare_gradients.hpp>
#include <autodiff/elementwise.hpp>
#include <autodiff/indexing.hpp>
#include <autodiff/layout.hpp>
#include <autodiff/linalg.hpp>
#include <autodiff/reductions.hpp>

#include "../textbook.hpp"

namespace xtape::nn::hand {
namespace {

constexpr Activation activations[]{Activation::sigmoid, Activation::tanh, Activation::relu};

const char* derivative_text(Activation g) {
  switch (g) {
    case Activation::identity:
      return "1";
    case Activation::sigmoid:
      return "a (1 - a)";
    case Activation::tanh:
      return "1 - a²";
    case Activation::relu:
      return "1 where z > 0, else 0";
  }
  return "";
}

template <class T>
Tensor<T> as_rows(const Tensor<T>& x) {
  return x.rank() == 1 ? unsqueeze(x.detach(), 0) : x.detach();
}

/// The layers of a derivation, and what follows from them rightly.
template <class T>
class LayerHints : public DerivationHints<T> {
 public:
  using typename DerivationHints<T>::Role;

  /// Error when the shapes of the layers do not fit.
  explicit LayerHints(const DerivationContext<T>& context);

  Role role(const std::string& row) const override;
  std::size_t output_size() const override { return z_.back().size(); }
  /// Also "" when no layer has such a row, and when the layers do not lead to `gradient` in the first place.
  std::string hint(const std::string& row, const Tensor<T>& gradient, const Tensor<T>& other,
                   const CompareOptions<T>& options) const override;

 private:
  /// Where one formula of the derivation is replaced by a wrong one, and what to say of it. Layers count from
  /// 0.
  struct Mistake {
    std::string text;
    std::size_t first, last;  ///< the layers in which it is made
    /// g'(z) of layer l; null: the right one.
    std::function<Tensor<T>(std::size_t l)> derivative{};
    /// dJ/da of layer l, from δ of layer l + 1; null: the right one.
    std::function<Tensor<T>(std::size_t l, const Tensor<T>& delta)> error{};
  };

  std::vector<Mistake> mistakes(std::size_t row_layer, double learning_rate) const;
  void add_derivatives(std::vector<Mistake>& list, std::size_t first, std::size_t last,
                       const std::string& where) const;
  void add_matrices(std::vector<Mistake>& list, std::size_t l, double learning_rate) const;
  /// δ of layer `to` when `mistake` is made; none where it cannot be made.
  std::optional<Tensor<T>> wrong_delta(const Mistake& mistake, std::size_t to) const;
  /// Other arrays than the right ones in dW = δ aᵀ or db = δ of layer l, with what to say.
  std::vector<std::pair<std::string, Tensor<T>>> wrong_products(std::size_t l, bool of_bias) const;
  Tensor<T> product(const Tensor<T>& delta, std::size_t l, bool of_bias) const;
  std::string number(std::size_t l) const { return std::to_string(l + 1); }

  std::vector<LayerContext<T>> layers_;
  std::vector<Tensor<T>> input_, z_, a_, W_, slope_;  ///< slope: g'(z)
  std::vector<Tensor<T>> error_, delta_;              ///< error_.back() may be undefined
};

template <class T>
LayerHints<T>::LayerHints(const DerivationContext<T>& context) : layers_(context.layers) {
  const auto require = [](bool holds, std::size_t l, const std::string& text) {
    if (!holds) throw Error("layer_hints", "layer " + std::to_string(l + 1) + ": " + text);
  };
  const std::size_t L = layers_.size();
  for (std::size_t l = 0; l < L; ++l) {
    const LayerContext<T>& layer = layers_[l];
    require(layer.input.defined() && layer.z.defined() && layer.W.defined(), l, "give its input, z and W");
    input_.push_back(as_rows(layer.input));
    z_.push_back(as_rows(layer.z));
    a_.push_back(layer.a.defined() ? as_rows(layer.a) : activate(layer.activation, z_[l]));
    W_.push_back(layer.W.detach());
    const Shape &x = input_[l].shape(), &z = z_[l].shape(), &W = W_[l].shape();
    require(W.size() == 2 && x.size() == 2 && z == Shape{x[0], W[0]} && x[1] == W[1], l,
            "input of shape " + to_string(layer.input.shape()) + ", z of shape " +
                to_string(layer.z.shape()) + " and W of shape " + to_string(W) +
                " do not fit: z = W input + b, with W (out, in)");
    require(a_[l].shape() == z, l,
            "a of shape " + to_string(a_[l].shape()) + " is not that of z, " + to_string(z));
    require(l == 0 || x == z_[l - 1].shape(), l,
            "input of shape " + to_string(x) + " is not that of the layer before, " +
                to_string(z_[l ? l - 1 : 0].shape()));
    slope_.push_back(derivative(layer.activation, z_[l], a_[l]));
  }
  error_.resize(L);
  delta_.resize(L);
  if (context.dJ_da.defined()) error_.back() = as_rows(context.dJ_da);
  require(context.dJ_da.defined() || context.output_delta.defined(), L - 1, "give dJ_da or output_delta");
  for (const Tensor<T>& given : {context.dJ_da, context.output_delta})
    require(!given.defined() || as_rows(given).shape() == z_.back().shape(), L - 1,
            "dJ_da and output_delta must have the shape of its z, " + to_string(z_.back().shape()));
  delta_.back() =
      context.output_delta.defined() ? as_rows(context.output_delta) : error_.back() * slope_.back();
  for (std::size_t l = L - 1; l-- > 0;) {
    error_[l] = matmul(delta_[l + 1], W_[l + 1]);
    delta_[l] = error_[l] * slope_[l];
  }
}

template <class T>
Tensor<T> LayerHints<T>::product(const Tensor<T>& delta, std::size_t l, bool of_bias) const {
  return of_bias ? sum(delta, 0) : matmul(transpose(delta), input_[l]);
}

template <class T>
void LayerHints<T>::add_derivatives(std::vector<Mistake>& list, std::size_t first, std::size_t last,
                                    const std::string& where) const {
  const auto add = [&](const std::string& text, auto f) { list.push_back({text + where, first, last, f}); };
  const auto g = [this](std::size_t l) { return layers_[l].activation; };
  const std::string own = to_string(g(last));

  add("the derivative g'(z) is missing: δ is the error times g'(z)",
      [this](std::size_t l) { return ones<T>(z_[l].shape()); });
  add("the derivative is taken at a in place of z: δ needs g'(z), not g'(a)",
      [this, g](std::size_t l) { return derivative(g(l), a_[l], activate(g(l), a_[l])); });
  add("the derivative " + std::string(derivative_text(g(last))) + " of " + own +
          " is given z in place of a = g(z)",
      [this, g](std::size_t l) { return derivative(g(l), z_[l], z_[l]); });
  add("the derivative g'(z) is multiplied in twice; with cross-entropy, a − y is δ already",
      [this](std::size_t l) { return square(slope_[l]); });
  add("the error is multiplied by a = g(z) in place of its derivative g'(z)",
      [this](std::size_t l) { return a_[l]; });
  for (const Activation h : activations) {
    if (h == g(last)) continue;
    add("the derivative of " + std::string(to_string(h)) + " is used, and the activation is " + own,
        [this, h](std::size_t l) { return derivative(h, z_[l], activate(h, z_[l])); });
    if (h != Activation::relu)
      add("the formula " + std::string(derivative_text(h)) + " of " + to_string(h) +
              " is used with a, and the activation is " + own,
          [this, h](std::size_t l) { return derivative(h, z_[l], a_[l]); });
  }
  // Elsewhere than at 0 these two are right, and then they are no hypothesis: hint() passes over them.
  add("correct except where ReLU is at 0: relu'(0) is 0, and the formula has 1 there (z >= 0 in place of z > "
      "0)",
      [this, g](std::size_t l) { return g(l) == Activation::relu ? z_[l] >= T(0) : slope_[l]; });
  add("correct except where ReLU is at 0: relu'(0) is 0, and the formula has ½ there",
      [this, g](std::size_t l) {
        return g(l) == Activation::relu ? T(0.5) * ((z_[l] >= T(0)) + (z_[l] > T(0))) : slope_[l];
      });
}

// The error of layer l is W δ of the layer above, by another matrix than its W.
template <class T>
void LayerHints<T>::add_matrices(std::vector<Mistake>& list, std::size_t l, double learning_rate) const {
  const std::string above = "W" + number(l + 1);
  const std::string needs = ": the error of layer " + number(l) + " is " + above + "ᵀ δ" + number(l + 1);
  const Shape& right = W_[l + 1].shape();
  const auto add = [&](const std::string& text, const Tensor<T>& M) {
    if (M.shape() == right)
      list.push_back(
          {text + needs, l, l, {}, [M](std::size_t, const Tensor<T>& delta) { return matmul(delta, M); }});
  };
  add(above + " is not transposed", transpose(W_[l + 1]));
  for (std::size_t k = 0; k < W_.size(); ++k) {
    if (k == l + 1) continue;
    add("the error is propagated through W" + number(k) + " in place of " + above, W_[k]);
    add("the error is propagated through W" + number(k) + ", not transposed, in place of " + above,
        transpose(W_[k]));
  }
  if (learning_rate > 0)
    add(above +
            " is updated before the error is propagated through it: compute all gradients first, then update",
        W_[l + 1] - static_cast<T>(learning_rate) * product(delta_[l + 1], l + 1, false));
}

template <class T>
std::vector<typename LayerHints<T>::Mistake> LayerHints<T>::mistakes(std::size_t row_layer,
                                                                     double learning_rate) const {
  std::vector<Mistake> list;
  const std::size_t L = W_.size();
  for (std::size_t l = row_layer; l < L; ++l) add_derivatives(list, l, l, "; layer " + number(l));
  if (row_layer + 1 < L)
    add_derivatives(list, row_layer, L - 1, "; in every layer from " + number(row_layer) + " on");
  if (row_layer + 2 < L)
    add_derivatives(list, row_layer, L - 2, "; in every hidden layer from " + number(row_layer) + " on");
  for (std::size_t l = row_layer; l + 1 < L; ++l) add_matrices(list, l, learning_rate);
  if (row_layer + 2 < L)
    list.push_back({"no W is transposed: the error of a layer is Wᵀ δ of the next",
                    row_layer,
                    L - 2,
                    {},
                    [this](std::size_t l, const Tensor<T>& delta) {
                      const Tensor<T>& W = W_[l + 1];
                      return matmul(delta, W.shape()[0] == W.shape()[1] ? transpose(W) : W);
                    }});
  return list;
}

template <class T>
std::optional<Tensor<T>> LayerHints<T>::wrong_delta(const Mistake& mistake, std::size_t to) const {
  Tensor<T> delta;
  for (std::size_t l = mistake.last + 1; l-- > to;) {
    const bool is_wrong = l >= mistake.first;
    Tensor<T> error = error_[l];
    if (l != mistake.last || mistake.error) {
      const Tensor<T>& above = l == mistake.last ? delta_[l + 1] : delta;
      error = is_wrong && mistake.error ? mistake.error(l, above) : matmul(above, W_[l + 1]);
    }
    if (!error.defined()) return {};
    delta = error * (is_wrong && mistake.derivative ? mistake.derivative(l) : slope_[l]);
  }
  return delta;
}

template <class T>
std::vector<std::pair<std::string, Tensor<T>>> LayerHints<T>::wrong_products(std::size_t l,
                                                                             bool of_bias) const {
  std::vector<std::pair<std::string, Tensor<T>>> list;
  const std::size_t N = z_[l].shape()[0];
  const auto row = [&](const Tensor<T>& x, std::size_t i) { return take(x, std::vector<std::size_t>{i}, 0); };
  const auto of = [&](const Tensor<T>& delta, const Tensor<T>& input) {
    return of_bias ? sum(delta, 0) : matmul(transpose(delta), input);
  };
  if (N > 1) {
    list.emplace_back("only the first sample of the batch is in it: sum over all " + std::to_string(N),
                      of(row(delta_[l], 0), row(input_[l], 0)));
    list.emplace_back("only the last sample of the batch is in it: add up (+=) over all " + std::to_string(N),
                      of(row(delta_[l], N - 1), row(input_[l], N - 1)));
  }
  for (std::size_t k = 0; k < W_.size(); ++k)
    if (k != l && delta_[k].shape() == delta_[l].shape())
      list.emplace_back("δ" + number(k) + " is used in place of δ" + number(l), of(delta_[k], input_[l]));
  if (of_bias) return list;
  const std::string right = l == 0 ? "x" : "a" + number(l - 1);
  const auto add_input = [&](const std::string& name, const Tensor<T>& x) {
    if (x.shape() == input_[l].shape())
      list.emplace_back(name + " is used in place of " + right + ": dW" + number(l) + " = δ" + number(l) +
                            " " + right + "ᵀ",
                        of(delta_[l], x));
  };
  if (l > 0) add_input("z" + number(l - 1), z_[l - 1]);
  for (std::size_t k = 0; k < W_.size(); ++k)
    if (k + 1 != l) add_input("a" + number(k), a_[k]);
  if (l > 0) add_input("x", input_[0]);
  return list;
}

template <class T>
auto LayerHints<T>::role(const std::string& row) const -> Role {
  for (const LayerContext<T>& layer : layers_) {
    if (layer.weight == row) return Role::weight;
    if (layer.bias == row) return Role::bias;
  }
  return Role::unknown;
}

template <class T>
std::string LayerHints<T>::hint(const std::string& name, const Tensor<T>& gradient, const Tensor<T>& other,
                                const CompareOptions<T>& options) const {
  const Tolerance tolerance = tolerance_of(options);
  std::size_t l = 0;
  while (l < W_.size() && layers_[l].weight != name && layers_[l].bias != name) ++l;
  if (l == W_.size() || name.empty() || !tolerance.is_evidence(other)) return {};
  const bool of_bias = layers_[l].bias == name;
  if (!(gradient.shape() == other.shape()) || !tolerance.same(gradient, product(delta_[l], l, of_bias)))
    return {};

  const Tensor<T> turned = gradient.rank() == 2 ? transpose(gradient) : gradient;
  const std::vector<UsualFactor> factors = usual_factors(options);
  std::string with_factor;  // told when no mistake alone explains the numbers
  const auto explains = [&](const Tensor<T>& wrong, const std::string& text) {
    if (tolerance.same(wrong, gradient) || tolerance.same(wrong, turned)) return false;
    if (tolerance.same(other, wrong)) return true;
    for (const UsualFactor& factor : factors)
      if (with_factor.empty() && !tolerance.same(gradient, wrong, factor.value) &&
          tolerance.same(other, wrong, factor.value))
        with_factor = text + "; besides, " + factor.text;
    return false;
  };
  for (const Mistake& mistake : mistakes(l, options.learning_rate))
    if (const auto delta = wrong_delta(mistake, l);
        delta && explains(product(*delta, l, of_bias), mistake.text))
      return mistake.text;
  for (const auto& [text, wrong] : wrong_products(l, of_bias))
    if (explains(wrong, text)) return text;
  return with_factor;
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
