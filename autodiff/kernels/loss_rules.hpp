// Rules of the losses of single elements, for nn; see elementwise_rules.hpp.
#pragma once
#include "elementwise_rules.hpp"

namespace xtape::detail::ops {

template <class T>
struct SquaredDifference {
  static constexpr const char* name = "squared_difference";
  static constexpr bool is_cheap = true;
  static constexpr std::array keeps{a_ | b_, a_ | b_};
  static auto value(auto a, auto b) { return square(a - b); }
  template <int I>
  static auto gradient(auto g, auto a, auto b, auto) {
    if constexpr (I == 0)
      return T(2) * g * (a - b);
    else
      return T(2) * g * (b - a);
  }
};

/// −(y ln p + (1 − y) ln(1 − p)), with the limits of PyTorch: logarithms end at −100, the denominator at
/// 1e-12.
template <class T>
struct BinaryCrossEntropy {
  static constexpr const char* name = "binary_cross_entropy";
  static constexpr std::array keeps{a_ | b_, a_};
  static auto value(auto p, auto y) {
    return -(y * maximum(log(p), T(-100)) + (T(1) - y) * maximum(log1p(-p), T(-100)));
  }
  template <int I>
  static auto gradient(auto g, auto p, auto y, auto) {
    if constexpr (I == 0)
      return g * (p - y) / maximum(p * (T(1) - p), T(1e-12));
    else
      return g * (maximum(log1p(-p), T(-100)) - maximum(log(p), T(-100)));
  }
};

template <class T>
struct BinaryCrossEntropyWithLogits {
  static constexpr const char* name = "binary_cross_entropy_with_logits";
  static constexpr std::array keeps{a_ | b_, a_};
  // z (1 − y) or −z y, so that an infinite logit on the right side costs nothing
  static auto value(auto z, auto y) {
    const auto wrong = where(z > T(0), T(1) - y, y);
    return where(equal(wrong, T(0)), T(0), abs(z) * wrong) + log1p(exp(-abs(z)));
  }
  template <int I>
  static auto gradient(auto g, auto z, auto y, auto) {
    if constexpr (I == 0)
      return g * (sigmoid(z) - y);
    else
      return -g * z;
  }
};

}  // namespace xtape::detail::ops
