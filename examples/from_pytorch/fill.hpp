// First weights by a formula, so that both languages start from the same ones without a file.
#pragma once
#include <cmath>
#include <string>

#include <nn/nn.hpp>

inline void fill(xtape::nn::Module<double>& model) {
  for (auto& [name, p] : model.named_parameters()) {
    if (name.find("bias") != std::string::npos) {
      p.assign(zeros_like(p));
    } else if (p.rank() > 1) {  // a norm's weight stays 1
      const auto count = static_cast<double>(p.size()), rows = static_cast<double>(p.shape(0));
      const auto values = reshape(sin(square(xtape::arange<double>(count))), p.shape());
      p.assign(values * std::sqrt(rows / count));
    }
  }
}
