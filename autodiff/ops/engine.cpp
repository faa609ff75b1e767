// What engine.hpp offers of kernels and of the tape.
#include "../engine.hpp"

#include "../kernels/gemm.hpp"
#include "../kernels/kernel_table.hpp"
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

template <class T>
void sgd_update(T* w, T* velocity, const T* g, std::size_t n, const SgdStep<T>& step) {
  kernels<T>().sgd(w, velocity, g, n, step);
}

template <class T>
void adam_update(T* w, T* mean, T* square, const T* g, std::size_t n, const AdamStep<T>& step) {
  kernels<T>().adam(w, mean, square, g, n, step);
}

template <class T>
void rmsprop_update(T* w, T* square, T* mean, T* velocity, const T* g, std::size_t n,
                    const RmspropStep<T>& step) {
  kernels<T>().rmsprop(w, square, mean, velocity, g, n, step);
}

template <class T>
void adagrad_update(T* w, T* square, const T* g, std::size_t n, const AdagradStep<T>& step) {
  kernels<T>().adagrad(w, square, g, n, step);
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
  template T sum_of_squares(const T*, std::size_t);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::engine
