// What derivatives.hpp needs of forward mode.
#include "../derivatives.hpp"

#include "../tape/forward.hpp"

namespace xtape::detail {

template <class T>
std::pair<Tensor<T>, Tensor<T>> carry_forward(const std::function<Tensor<T>()>& f,
                                              const std::vector<Tensor<T>>& leaves,
                                              const std::vector<Tensor<T>>& tangents, bool create_graph) {
  ForwardPass pass(create_graph);
  for (std::size_t i = 0; i < leaves.size(); ++i)
    pass.begin_with(leaves[i].handle(), create_graph ? tangents[i].handle() : tangents[i].detach().handle());
  const Tensor<T> y = f();
  const Handle* const tangent = pass.find(y.handle().node.get());
  return {create_graph ? y : y.detach(), tangent ? Tensor<T>(Handle(*tangent)) : zeros<T>(y.shape())};
}

#define XTAPE_INSTANTIATE(T)                                                                \
  template std::pair<Tensor<T>, Tensor<T>> carry_forward(const std::function<Tensor<T>()>&, \
                                                         const std::vector<Tensor<T>>&,     \
                                                         const std::vector<Tensor<T>>&, bool);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail
