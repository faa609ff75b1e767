// What engine.hpp offers of kernels and of the tape.
#include "../engine.hpp"

#include "../kernels/gemm.hpp"
#include "../kernels/kernels.hpp"
#include "../tape/backward.hpp"
#include "../tape/op.hpp"

namespace xtape::engine {

using detail::kernels;

bool reaches_leaves(const Pass& pass) { return !pass.leaves().empty(); }
void note_mode_change() { detail::mode_changes.fetch_add(1, std::memory_order_relaxed); }
std::size_t multiply_adds() { return detail::multiply_adds; }

template <class T>
bool shares_gradient(const Tensor<T>& leaf) {
  const Handle& gradient = static_cast<const detail::Leaf*>(leaf.handle().node.get())->grad;
  return gradient.node || !gradient.value.unique();
}

template <class T>
bool contains(const Tensor<T>& x, std::type_identity_t<T> number) {
  return detail::contains(x, number);
}

namespace {

/// f(first, size) for parts of n elements of a parameter: several arrays are read and written, which takes as
/// long as elementwise work on four times as many.
template <class F>
void each_part(std::size_t n, const F& f) {
  detail::for_blocks(n, 4 * n, [&](std::size_t first, std::size_t last) { f(first, last - first); });
}

/// Where the part begins in an array that may not be there.
template <class T>
T* part_of(T* x, std::size_t first) {
  return x ? x + first : nullptr;
}

}  // namespace

template <class T>
void sgd_update(T* w, T* velocity, const T* g, std::size_t n, const SgdStep<T>& step) {
  each_part(n, [&](std::size_t i, std::size_t size) {
    kernels<T>().sgd(w + i, part_of(velocity, i), g + i, size, step);
  });
}

template <class T>
void adam_update(T* w, T* mean, T* square, const T* g, std::size_t n, const AdamStep<T>& step) {
  each_part(n, [&](std::size_t i, std::size_t size) {
    kernels<T>().adam(w + i, mean + i, square + i, g + i, size, step);
  });
}

template <class T>
void rmsprop_update(T* w, T* square, T* mean, T* velocity, const T* g, std::size_t n,
                    const RmspropStep<T>& step) {
  each_part(n, [&](std::size_t i, std::size_t size) {
    kernels<T>().rmsprop(w + i, square + i, part_of(mean, i), part_of(velocity, i), g + i, size, step);
  });
}

template <class T>
void adagrad_update(T* w, T* square, const T* g, std::size_t n, const AdagradStep<T>& step) {
  each_part(n, [&](std::size_t i, std::size_t size) {
    kernels<T>().adagrad(w + i, square + i, g + i, size, step);
  });
}

template <class T>
void scale(T* x, std::size_t n, std::type_identity_t<T> factor) {
  detail::for_blocks(n, n, [&](std::size_t first, std::size_t last) {
    kernels<T>().scale(x + first, false, last - first, x + first, 1, factor);
  });
}

template <class T>
T sum_of_squares(const T* x, std::size_t n) {
  return kernels<T>().sum_of_squares(x, n);
}

#define XTAPE_INSTANTIATE(T)                                                                  \
  template bool shares_gradient(const Tensor<T>&);                                            \
  template bool contains(const Tensor<T>&, T);                                                \
  template void sgd_update(T*, T*, const T*, std::size_t, const SgdStep<T>&);                 \
  template void adam_update(T*, T*, T*, const T*, std::size_t, const AdamStep<T>&);           \
  template void rmsprop_update(T*, T*, T*, T*, const T*, std::size_t, const RmspropStep<T>&); \
  template void adagrad_update(T*, T*, const T*, std::size_t, const AdagradStep<T>&);         \
  template void scale(T*, std::size_t, T);                                                    \
  template T sum_of_squares(const T*, std::size_t);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::engine
