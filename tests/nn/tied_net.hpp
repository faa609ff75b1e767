// A model with a shared weight and running statistics, and what whole models are compared by.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "../check_close.hpp"

#include <nn/nn.hpp>

namespace xtape::test {

using Named = std::vector<std::pair<std::string, Tensor<double>>>;

/// Features and a head, which share a weight with a third layer.
struct Net : nn::Module<double> {
  nn::Sequential<double> features{nn::Linear<double>(3, 4), nn::Tanh<double>(), nn::BatchNorm1d<double>(4)};
  nn::Linear<double> middle{4, 4}, tied{4, 4, false}, head{4, 2};
  Net() { tied.weight = middle.weight; }
  Tensor<double> forward(const Tensor<double>& x) override { return head(tied(tanh(middle(features(x))))); }
  void members(nn::Members<double>& m) override {
    m.module("features", features);
    m.module("middle", middle);
    m.module("tied", tied);
    m.module("head", head);
  }
};

inline const void* elements(const Tensor<double>& x) { return x.handle().value.get(); }

/// Values of all parameters and buffers, to compare with.
inline std::vector<Tensor<double>> values_of(nn::Module<double>& model) {
  std::vector<Tensor<double>> all;
  for (const auto& [name, x] : model.state_dict()) all.emplace_back(x.value());
  return all;
}

inline void check_values(nn::Module<double>& model, const std::vector<Tensor<double>>& expected) {
  const auto all = model.state_dict();
  REQUIRE(all.size() == expected.size());
  for (std::size_t i = 0; i < all.size(); ++i) check_close(all[i].second, expected[i], 0);
}

inline const nn::LossFunction<double> squared_error = [](const auto& y, const auto& batch) {
  return nn::mse_loss(y, batch.targets);
};

}  // namespace xtape::test
