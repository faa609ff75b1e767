// The sums that collect adjoints, as operations.
#include "../tape/adjoint_sums.hpp"

#include <algorithm>

#include "../elementwise.hpp"
#include "../kernels/kernels.hpp"
#include "../layout.hpp"
#include "../reductions.hpp"
#include "reduction_ops.hpp"

namespace xtape::detail {

template <class T>
Tensor<T> sum_of_adjoints(const Tensor<T>& a, const Tensor<T>& b) {
  return a + b;
}

template <class T>
void SumTo<T>::compute(Target<T> y, const Tensor<T>& x) const {
  const std::size_t new_axes = x.rank() - to.size();
  unsigned mask = (1u << new_axes) - 1u;
  for (std::size_t i = 0; i < to.size(); ++i)
    if (to[i] == 1) mask |= 1u << (i + new_axes);
  if (!y.accumulate) std::fill_n(y.data, y.size, T(0));
  add_sum(y.data, x.data(), x.shape(), mask);
}

template <class T>
Tensor<T> sum_to_shape(const Tensor<T>& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  const std::size_t new_axes = x.rank() - shape.size();
  Axes axes;
  for (std::size_t i = 0; i < x.rank(); ++i)
    if (i < new_axes || shape[i - new_axes] == 1) axes.push_back(static_cast<std::ptrdiff_t>(i));
  return reshape(sum(x, axes), Dims(shape));
}

template <class T>
Tensor<T> widened(const Tensor<T>& x, const Shape& shape) {
  return broadcast_to(x, shape);
}

template <class T>
Tensor<T> Gradients<T>::adjoint_slope(const Tensor<T>& mask) {
  const Tensor<T> seed = mask * equal(adjoint, 0);
  if (adjoint.requires_grad() && contains(seed, 1)) {
    Pass pass(true, true, std::vector<Pass::Target>{{&node_, {}}});
    pass.replay(*adjoint.handle().node.get(), seed.handle());
    if (Handle& slope = pass.find(node_)->gradient; slope.value) return seed * Tensor<T>(std::move(slope));
  }
  return zeros<T>(adjoint.shape());
}

#define XTAPE_INSTANTIATE(T)                                              \
  template Tensor<T> sum_of_adjoints(const Tensor<T>&, const Tensor<T>&); \
  template void SumTo<T>::compute(Target<T>, const Tensor<T>&) const;     \
  template Tensor<T> sum_to_shape(const Tensor<T>&, const Shape&);        \
  template Tensor<T> widened(const Tensor<T>&, const Shape&);             \
  template Tensor<T> Gradients<T>::adjoint_slope(const Tensor<T>&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail
