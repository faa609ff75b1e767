// What derivatives.hpp needs of forward mode.
#include "../derivatives.hpp"

#include <utility>

#include "../tape/forward.hpp"

namespace xtape::detail {

template <class T>
std::pair<Tensor<T>, Tensor<T>> carry_forward(const std::function<Tensor<T>()>& f,
                                              const std::vector<Tensor<T>>& leaves,
                                              const std::vector<Tensor<T>>& tangents, bool create_graph) {
  Tensor<T> y;
  Handle tangent;
  {
    ForwardPass pass(create_graph);
    for (std::size_t i = 0; i < leaves.size(); ++i)
      pass.begin_with(leaves[i].handle(),
                      create_graph ? tangents[i].handle() : tangents[i].detach().handle());
    y = f();
    if (const Handle* const found = pass.find(y.handle().node.get())) tangent = *found;
  }
  const bool shared =
      tangent.value && !tangent.node && !tangent.value.unique();  // with the direction, as of x + 1
  Tensor<T> product = tangent.value ? Tensor<T>(std::move(tangent)) : zeros<T>(y.shape());
  return {create_graph ? y : y.detach(), shared ? product * T(1) : product};
}

#define XTAPE_INSTANTIATE(T)                                                                \
  template std::pair<Tensor<T>, Tensor<T>> carry_forward(const std::function<Tensor<T>()>&, \
                                                         const std::vector<Tensor<T>>&,     \
                                                         const std::vector<Tensor<T>>&, bool);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail
