// The norm of all gradients, and writing them anew.
#include "../clip.hpp"

#include <cmath>
#include <string>

#include <autodiff/base/text.hpp>
#include <autodiff/elementwise.hpp>

#include "norm.hpp"

namespace xtape::nn {
namespace {

/// The parameters that have a gradient, after the checks.
template <class T>
std::vector<Tensor<T>> with_gradient(const char* op, const std::vector<Tensor<T>>& parameters, double max) {
  if (!(max >= 0)) throw Error(op, "the limit " + xtape::detail::number_text(max) + " is not at least 0");
  std::vector<Tensor<T>> result;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (!parameters[i].is_leaf())
      throw Error(op, "tensor " + std::to_string(i) + " is no parameter: make it with parameter()");
    if (parameters[i].has_grad()) result.push_back(parameters[i]);
  }
  return result;
}

/// Gives each parameter f(its gradient), or where one cannot be had, none of them.
template <class T, class F>
void set_gradients(std::vector<Tensor<T>> parameters, const F& f) {
  std::vector<Tensor<T>> gradients;
  for (const Tensor<T>& p : parameters) gradients.push_back(f(p.grad().detach()));
  for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i].set_grad(gradients[i]);
}

}  // namespace

template <class T>
double clip_grad_norm(const std::vector<Tensor<T>>& parameters, double max) {
  std::vector<Tensor<T>> clipped = with_gradient("clip_grad_norm", parameters, max);
  detail::Norm total;
  for (const Tensor<T>& p : clipped) total.add(p.grad());
  const double norm = total.value(), factor = max / (norm + 1e-6);
  if (!std::isfinite(norm) || factor >= 1) return norm;
  set_gradients(clipped, [&](const Tensor<T>& g) { return g * static_cast<T>(factor); });
  return norm;
}

template <class T>
void clip_grad_value(const std::vector<Tensor<T>>& parameters, double max) {
  const T limit = static_cast<T>(max);
  set_gradients(with_gradient("clip_grad_value", parameters, max),
                [&](const Tensor<T>& g) { return clamp(g, -limit, limit); });
}

#define XTAPE_INSTANTIATE(T)                                             \
  template double clip_grad_norm(const std::vector<Tensor<T>>&, double); \
  template void clip_grad_value(const std::vector<Tensor<T>>&, double);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn
