// Newton's method with conjugate gradients within a trust region. Not for users' programs.
#pragma once
#include "run.hpp"

namespace xtape::nn::minimizing {

/// From `at` on until the run ends; its points have a hessian_product. Returns the lowest.
template <class T>
Point<T> newton_cg(Run<T>& run, Point<T> at);

}  // namespace xtape::nn::minimizing
