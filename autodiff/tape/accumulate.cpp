// How what a rule gives is added to the adjoint of an input.
#include "../kernels/kernels.hpp"
#include "op.hpp"

namespace xtape::detail {

template <class T>
void Gradients<T>::add_same_shape(std::size_t i, Tensor<T> gradient) {
  Node& to = *node_.inputs()[i];
  Handle& slot = pass_.slot(to);
  if (!slot.value) {
    slot = std::move(gradient).release();
    return;
  }
  if (slot.value.unique() && !tracing) {
    add_in_place(reinterpret_cast<T*>(slot.value->data), gradient.data(), gradient.size());
  } else {
    const Tensor<T> before{Handle(slot)};
    slot = sum_of_adjoints(before, gradient).handle();
  }
}

template <class T>
void Gradients<T>::add_recorded(std::size_t i, const Tensor<T>& gradient) {
  Node& to = *node_.inputs()[i];
  const Tensor<T> contribution = sum_to_shape(gradient, to.shape());
  Handle& slot = pass_.slot(to);
  slot = slot.value ? sum_of_adjoints(Tensor<T>(Handle(slot)), contribution).handle() : contribution.handle();
}

template class Gradients<float>;
template class Gradients<double>;

}  // namespace xtape::detail
