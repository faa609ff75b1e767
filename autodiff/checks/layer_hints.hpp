// Hypotheses about a wrong derivation: mistakes made on purpose in backpropagation through the given layers.
// Not for users' programs.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "gradient_hints.hpp"

namespace xtape::detail {

/// The layers of a CompareOptions, and what follows from them rightly.
template <class T>
class LayerHints {
 public:
  /// Error when the shapes of the layers do not fit.
  explicit LayerHints(const CompareOptions<T>& options);

  /// The mistake that makes `other` of the row `name`; "" when there is none, when no layer has such a row,
  /// and when the layers do not lead to `gradient` in the first place.
  std::string hint(const std::string& name, const Tensor<T>& gradient, const Tensor<T>& other,
                   const Tolerance& tolerance) const;

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

  std::vector<Mistake> mistakes(std::size_t row_layer) const;
  void add_derivatives(std::vector<Mistake>& list, std::size_t first, std::size_t last,
                       const std::string& where) const;
  void add_matrices(std::vector<Mistake>& list, std::size_t l) const;
  /// δ of layer `to` when `mistake` is made; none where it cannot be made.
  std::optional<Tensor<T>> wrong_delta(const Mistake& mistake, std::size_t to) const;
  /// Other arrays than the right ones in dW = δ aᵀ or db = δ of layer l, with what to say.
  std::vector<std::pair<std::string, Tensor<T>>> wrong_products(std::size_t l, bool of_bias) const;
  Tensor<T> product(const Tensor<T>& delta, std::size_t l, bool of_bias) const;
  std::string number(std::size_t l) const { return std::to_string(l + 1); }

  const CompareOptions<T>& options_;
  std::vector<Tensor<T>> input_, z_, a_, W_, slope_;  ///< slope: g'(z)
  std::vector<Tensor<T>> error_, delta_;              ///< error_.back() may be undefined
  std::vector<Factor> factors_;
};

}  // namespace xtape::detail
