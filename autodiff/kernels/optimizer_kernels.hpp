// Kernels of optimisers: each step is one pass over a parameter and what the optimiser keeps of it.
#pragma once
#include "batch_functions.hpp"
#include "kernel_table.hpp"

namespace xtape::detail {

template <class B, class T>
void sgd(T* w, T* v, const T* g, std::size_t n, const engine::SgdStep<T>& step) {
  const B zero(T(0));
  for (std::size_t i = 0; i < n; i += B::size) {
    const std::size_t left = n - i;
    const B weight = load(w + i, left, zero);
    B d = load(g + i, left, zero) + step.decay * weight;
    if (v) {
      const B velocity = step.momentum * load(v + i, left, zero) + d;
      store(v + i, left, velocity);
      d = step.nesterov ? d + step.momentum * velocity : velocity;
    }
    store(w + i, left, B(weight - step.rate * d));
  }
}

template <class B, class T>
void adam(T* w, T* m, T* v, const T* g, std::size_t n, const engine::AdamStep<T>& step) {
  const B zero(T(0));
  for (std::size_t i = 0; i < n; i += B::size) {
    const std::size_t left = n - i;
    const B weight = load(w + i, left, zero);
    const B d = load(g + i, left, zero) + step.decay * weight;
    const B mean = step.beta1 * load(m + i, left, zero) + step.one_minus_beta1 * d;
    const B square = step.beta2 * load(v + i, left, zero) + step.one_minus_beta2 * d * d;
    store(m + i, left, mean);
    store(v + i, left, square);
    const B denominator = xsimd::sqrt(square) * step.root + step.epsilon;
    store(w + i, left, B(step.shrink * weight - step.rate * mean / denominator));
  }
}

template <class B, class T>
void rmsprop(T* w, T* square, T* m, T* v, const T* g, std::size_t n, const engine::RmspropStep<T>& step) {
  const B zero(T(0));
  for (std::size_t i = 0; i < n; i += B::size) {
    const std::size_t left = n - i;
    const B weight = load(w + i, left, zero);
    const B d = load(g + i, left, zero) + step.decay * weight;
    B variance = step.alpha * load(square + i, left, zero) + step.one_minus_alpha * d * d;
    store(square + i, left, variance);
    if (m) {
      const B mean = step.alpha * load(m + i, left, zero) + step.one_minus_alpha * d;
      store(m + i, left, mean);
      variance = ops::maximum(B(variance - mean * mean), zero);  // rounding may pass 0
    }
    B move = d / (xsimd::sqrt(variance) + step.epsilon);
    if (v) {
      move += step.momentum * load(v + i, left, zero);
      store(v + i, left, move);
    }
    store(w + i, left, B(weight - step.rate * move));
  }
}

template <class B, class T>
void adagrad(T* w, T* square, const T* g, std::size_t n, const engine::AdagradStep<T>& step) {
  const B zero(T(0));
  for (std::size_t i = 0; i < n; i += B::size) {
    const std::size_t left = n - i;
    const B weight = load(w + i, left, zero);
    const B d = load(g + i, left, zero) + step.decay * weight;
    const B sum = load(square + i, left, zero) + d * d;
    store(square + i, left, sum);
    store(w + i, left, B(weight - step.rate * d / (xsimd::sqrt(sum) + step.epsilon)));
  }
}

}  // namespace xtape::detail
