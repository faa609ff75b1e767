// Mistakes in what selects: maximum, pooling, convolution, norm.
#include "collector.hpp"

namespace xtape::detail {

template <class T>
void Collector<T>::add_extreme() {
  add("to all", "the gradient of " + op_ + " is passed to all elements, and not to the one that is chosen",
      [x = x_](const Tensor<T>& g, const Tensor<T>&) { return broadcast_like(g, x); });
}

template <class T>
void Collector<T>::add_pool() {
  const std::size_t h = x_.shape()[2] / y_.shape()[2], w = x_.shape()[3] / y_.shape()[3];
  if (h * y_.shape()[2] != x_.shape()[2] || w * y_.shape()[3] != x_.shape()[3]) return;
  const Shape up{y_.shape()[0], y_.shape()[1], y_.shape()[2], 1, y_.shape()[3], 1},
      wide{y_.shape()[0], y_.shape()[1], y_.shape()[2], h, y_.shape()[3], w};
  const auto repeated = [up, wide, shape = x_.shape()](const Tensor<T>& g) {
    return reshape(broadcast_to(reshape(g, Dims(up)), wide), Dims(shape));
  };
  add("to all",
      "the gradient of the pooling is passed to all elements of the window, and not to the largest alone",
      [repeated](const Tensor<T>& g, const Tensor<T>&) { return repeated(g); });
  add("mean",
      "the gradient of the pooling is shared out over the window, as by average pooling, and not passed to "
      "the largest alone",
      [repeated, n = static_cast<T>(h * w)](const Tensor<T>& g, const Tensor<T>&) {
        return repeated(g) / n;
      });
  add("first",
      "the gradient of the pooling is passed to the first element of each window, and not to the largest",
      [repeated, up, wide, shape = x_.shape(), h, w](const Tensor<T>& g, const Tensor<T>&) {
        std::vector<T> mask(h * w, T(0));
        mask[0] = 1;
        const Tensor<T> one =
            broadcast_to(reshape(Tensor<T>(mask),
                                 Dims{std::size_t{1}, std::size_t{1}, std::size_t{1}, h, std::size_t{1}, w}),
                         wide);
        return repeated(g) * reshape(one, Dims(shape));
      });
}

template <class T>
void Collector<T>::add_convolution() {
  const std::size_t other = 1 - of_.input;
  if (of_.input > 1) return;
  const Tensor<T> operand = graph_.value(step_.inputs[other].place);
  if (!operand.defined()) return;
  const auto with = [&](const char* key, const std::string& text, const Tensor<T>& wrong) {
    add(key, text, [g_ = graph_ptr(), e = edge_, other, wrong](const Tensor<T>& g, const Tensor<T>&) {
      return g_->contribution_with(e, g, {{other, wrong.handle()}});
    });
  };
  if (of_.input == 0) {
    const Tensor<T> turned = flip(flip(operand, 2), 3);
    with("flipped",
         "the kernel is not flipped in the gradient of the convolution's input: it is a convolution with the "
         "kernel turned by 180°",
         turned);
    with("flipped h", "the kernel is flipped along one axis alone", flip(operand, 2));
    with("flipped w", "the kernel is flipped along one axis alone", flip(operand, 3));
    with("transposed",
         "the kernel is transposed, height and width swapped, in the gradient of the convolution's input",
         operand.shape()[2] == operand.shape()[3] ? transpose(operand, {0, 1, 3, 2}) : operand);
    if (operand.shape()[0] == operand.shape()[1])
      with("channels",
           "the channels of the kernel, in and out, are not swapped in the gradient of the convolution's "
           "input",
           transpose(operand, {1, 0, 2, 3}));
  } else {
    add("flipped", "the gradient of the kernel is flipped: turned by 180°",
        [](const Tensor<T>&, const Tensor<T>& c) { return flip(flip(c, 2), 3); });
    if (x_.shape()[2] == x_.shape()[3])
      add("transposed", "the gradient of the kernel is transposed, height and width swapped",
          [](const Tensor<T>&, const Tensor<T>& c) {
            return transpose(c, {0, 1, 3, 2});
          });
    with("flipped input", "the input is flipped in the gradient of the kernel", flip(flip(operand, 2), 3));
    for (const bool last : {false, true})
      add(last ? "last" : "first",
          std::string("the gradient of the kernel takes the ") + (last ? "last" : "first") + " sample alone",
          [g_ = graph_ptr(), e = edge_, last](const Tensor<T>& g, const Tensor<T>&) {
            const std::size_t n = g.shape()[0];
            const Tensor<T> row = reshape(arange<T>(static_cast<T>(n)),
                                          Dims{n, std::size_t{1}, std::size_t{1}, std::size_t{1}});
            return g_->contribution_with(e, g * equal(row, last ? static_cast<T>(n - 1) : T(0)), {});
          });
  }
}

template <class T>
void Collector<T>::add_norm() {
  add("no division", "the division by the norm is missing: x is used, and not x / ‖x‖",
      [x = x_](const Tensor<T>& g, const Tensor<T>&) { return broadcast_like(g, x) * x; });
  add("squared", "the derivative of ‖x‖² is used, 2x, and the operation is ‖x‖",
      [x = x_](const Tensor<T>& g, const Tensor<T>&) { return 2 * broadcast_like(g, x) * x; });
  add("ones", "the derivative of the norm is missing",
      [x = x_](const Tensor<T>& g, const Tensor<T>&) { return broadcast_like(g, x); });
}

#define XTAPE_INSTANTIATE(T)                     \
  template void Collector<T>::add_extreme();     \
  template void Collector<T>::add_pool();        \
  template void Collector<T>::add_convolution(); \
  template void Collector<T>::add_norm();
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail
