// The sums that collect adjoints, as operations.
#include "../tape/adjoint_sums.hpp"

#include <algorithm>

#include "../derivation/code.hpp"
#include "../elementwise.hpp"
#include "../kernels/kernels.hpp"
#include "../layout.hpp"
#include "../platform/compiler.hpp"
#include "../reductions.hpp"
#include "layout_ops.hpp"
#include "reduction_ops.hpp"

namespace xtape::detail {

template <class T>
Tensor<T> sum_of_adjoints(const Tensor<T>& a, const Tensor<T>& b) {
  return a + b;
}

template <class T>
SumTo<T> SumTo<T>::of(const Shape& from, const Shape& to) {
  const std::size_t new_axes = from.size() - to.size();
  unsigned mask = (1u << new_axes) - 1u;
  for (std::size_t i = 0; i < to.size(); ++i)
    if (to[i] == 1) mask |= 1u << (i + new_axes);
  return {to, mask};
}

template <class T>
void SumTo<T>::compute(Target<T> y, const Tensor<T>& x) const {
  if (!y.accumulate) std::fill_n(y.data, y.size, T(0));
  add_sum(y.data, x.data(), x.shape(), mask);
}

template <class T>
Tensor<T> SumTo<T>::decomposed(const Tensor<T>& x) const {
  return reshape(apply<T>(Sum<T>{mask, false}, x), Dims(to));
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
Tensor<T> reshape_to(const Tensor<T>& x, const Shape& shape) {
  return view(x, shape);
}

template <class T>
Tensor<T> repeated(const Tensor<T>& x, std::size_t n) {
  return broadcast_to(unsqueeze(x, 0), with_batch({n}, x.shape()));
}

namespace {

/// Row b of an array of indices.
struct RowOfIndices {
  std::size_t b;
  using Inputs = std::tuple<Indices>;
  static constexpr const char* name = "row";
  static constexpr bool gives_integers = true;
  bool operator==(const RowOfIndices&) const = default;
  void code(Code& to) const {
    to.read(static_cast<std::ptrdiff_t>(b * element_count(to.shape(), name)), row_major_strides(to.shape()));
  }

  Shape shape(const Shape& x) const {
    Shape row = x;
    row.erase(0);
    return row;
  }
  void compute(Target<double> y, const Indices& x) const {
    std::copy_n(x.data() + b * y.size, y.size, reinterpret_cast<std::ptrdiff_t*>(y.data));
  }
};

}  // namespace

Handle row_of(const Handle& x, std::size_t b) {
  if (x.value->item_size == sizeof(float))
    return slice(Tensor<float>(Handle(x)), static_cast<int>(b)).release();
  if (!x.value->integers) return slice(Tensor<double>(Handle(x)), static_cast<int>(b)).release();
  const RowOfIndices op{b};
  return perform_here<double>(op, std::array{&x}, op.shape(x.value->shape)).release();
}

template <class T>
Tensor<T> stack_rows(const std::vector<Tensor<T>>& rows) {
  return stack(rows);
}

namespace {

/// How deep the limits of adjoint_slope() are, one within another.
XTAPE_THREAD_LOCAL int limits = 0;

/// One of them that is worked out.
class LimitWithin {
 public:
  LimitWithin() { ++limits; }
  ~LimitWithin() { --limits; }
  LimitWithin(const LimitWithin&) = delete;
  LimitWithin& operator=(const LimitWithin&) = delete;
};

}  // namespace

template <class T>
Tensor<T> Gradients<T>::adjoint_slope(const Tensor<T>& mask) {
  // Each limit asks for those of the lengths after it, and in a trace any length may be 0: so often, or
  // without an end, that limits of limits of limits are left out. They are 0 unless three lengths in a chain
  // are.
  constexpr int deepest = 2;
  const Tensor<T> seed = mask * equal(adjoint, 0);
  if (adjoint.requires_grad() && contains(seed, 1) && limits < deepest) {
    const LimitWithin within;
    Pass pass(true, true, std::vector<Pass::Target>{{&node_, {}}});
    pass.replay(*adjoint.handle().node.get(), seed.handle());
    if (Handle& slope = pass.find(node_)->gradient; slope.value) return seed * Tensor<T>(std::move(slope));
  }
  return zeros<T>(adjoint.shape());
}

#define XTAPE_INSTANTIATE(T)                                              \
  template Tensor<T> sum_of_adjoints(const Tensor<T>&, const Tensor<T>&); \
  template struct SumTo<T>;                                               \
  template Tensor<T> sum_to_shape(const Tensor<T>&, const Shape&);        \
  template Tensor<T> widened(const Tensor<T>&, const Shape&);             \
  template Tensor<T> reshape_to(const Tensor<T>&, const Shape&);          \
  template Tensor<T> repeated(const Tensor<T>&, std::size_t);             \
  template Tensor<T> stack_rows(const std::vector<Tensor<T>>&);           \
  template Tensor<T> Gradients<T>::adjoint_slope(const Tensor<T>&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail
