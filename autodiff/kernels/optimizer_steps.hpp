// The coefficients of optimisers' steps, for kernels and for engine.hpp.
#pragma once

namespace xtape::engine {

/// The coefficients of one step of gradient descent; see nn::SGD.
template <class T>
struct SgdStep {
  T rate, momentum, decay;
  bool nesterov;
};

/// The coefficients of one step of Adam with the corrections of the bias in `rate` and `root`; see nn::Adam.
/// `decay` is added to the gradient, `shrink` multiplies the weight (nn::AdamW).
template <class T>
struct AdamStep {
  T rate, root, beta1, beta2, one_minus_beta1, one_minus_beta2, epsilon, decay, shrink;
};

/// The coefficients of one step of RMSprop; see nn::RMSprop.
template <class T>
struct RmspropStep {
  T rate, alpha, one_minus_alpha, epsilon, momentum, decay;
};

/// The coefficients of one step of Adagrad; see nn::Adagrad.
template <class T>
struct AdagradStep {
  T rate, epsilon, decay;
};

}  // namespace xtape::engine
