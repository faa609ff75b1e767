// Embedding: a table of learned rows.
#pragma once
#include <concepts>

#include <autodiff/indexing.hpp>

#include "module.hpp"

namespace xtape::nn {

/// The rows of a table for integers, such as words: indices of any shape give (…, features). The weight
/// (count, features) starts normally distributed with variance 1, as in PyTorch. A row that is used several
/// times gets the sum of the gradients. Error for 0 rows or features, and for an index that is not one of
/// 0 … count − 1.
template <class T>
class Embedding : public Module<T> {
 public:
  Embedding(std::size_t count, std::size_t features);
  using Module<T>::operator();
  template <std::convertible_to<Indices> I>
  Tensor<T> operator()(const I& indices) {
    return this->observed([&] { return rows(indices); });
  }
  /// The same for a tensor of whole numbers, which gets no gradient. Error for another number.
  Tensor<T> forward(const Tensor<T>& x) override;
  void members(Members<T>& m) override { m.parameter("weight", weight); }
  std::string describe() const override {
    return "Embedding(" + std::to_string(weight.shape()[0]) + ", " + std::to_string(weight.shape()[1]) + ")";
  }

  Tensor<T> weight;

 private:
  Tensor<T> rows(const Indices& indices);
};

}  // namespace xtape::nn
