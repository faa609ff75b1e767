// Which mistakes are looked for at which operation.
#include "collector.hpp"

namespace xtape::detail {

template <class T>
std::vector<Mistake<T>> Collector<T>::run() {
  if (!x_.defined() || !y_.defined()) return {};
  if (step_.operation->row_call && step_.inputs.size() == 1)
    add_slopes();
  else if (is_one_of({"multiply", "divide", "where", "maximum", "minimum", "pow", "hypot", "atan2"}, op_))
    add_products();
  if (step_.operation->row_call && !(x_.shape() == y_.shape())) add_reductions();
  if (op_ == "softmax") add_softmax();
  if (op_ == "softmax" || op_ == "sigmoid") add_errors();
  if (op_ == "log_softmax") add_log_softmax();
  if (op_ == "logsumexp")
    add_other("softmax", "the softmax that is the derivative of logsumexp is missing",
              [](const Tensor<T>& g, const Tensor<T>& x) { return broadcast_like(g, x); });
  if (op_ == "cross_entropy") add_cross_entropy();
  if (op_ == "binary_cross_entropy" || op_ == "binary_cross_entropy_with_logits") add_binary();
  if (op_ == "squared_difference" && of_.input == 0) add_squared_difference();
  if (op_ == "max" || op_ == "min") add_extreme();
  if (op_ == "max_pool2d") add_pool();
  if (op_ == "conv2d") add_convolution();
  if (op_ == "embedding" || op_ == "take" || op_ == "gather") add_rows();
  if (op_ == "matmul" && of_.input < 2) add_matmul();
  if (op_ == "add" || op_ == "subtract") add_branches();
  if (op_ == "norm") add_norm();
  if (op_ == "slice" || op_ == "transpose" || op_ == "reshape") add_layout();
  return std::move(all_);
}

template <class T>
void Collector<T>::add(const std::string& key, const std::string& text, Change change) {
  all_.push_back({op_ + "/" + key + "/" + std::to_string(of_.input), text, std::move(change)});
}

template <class T>
void Collector<T>::add_slope(const std::string& key, const std::string& text, const Tensor<T>& slope) {
  add(key, text, [slope](const Tensor<T>& g, const Tensor<T>&) { return g * slope; });
}

#define XTAPE_INSTANTIATE(T)                                                                     \
  template std::vector<Mistake<T>> Collector<T>::run();                                          \
  template void Collector<T>::add(const std::string&, const std::string&, Collector<T>::Change); \
  template void Collector<T>::add_slope(const std::string&, const std::string&, const Tensor<T>&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail
