// The norm of all gradients, and changing them.
#include "../clip.hpp"

#include <cmath>
#include <string>

#include <autodiff/elementwise.hpp>
#include <autodiff/engine.hpp>

#include "norm.hpp"

namespace xtape::nn {
namespace {

template <class T>
void require_leaves(const char* op, const std::vector<Tensor<T>>& parameters, double max) {
  if (!(max >= 0)) throw Error(op, "the limit " + engine::number_text(max) + " is not at least 0");
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (!parameters[i].is_leaf())
      throw Error(op, "tensor " + std::to_string(i) + " is no parameter: make it with parameter()");
}

/// Writes each gradient g anew, as f(data, n) changes its elements. A gradient that somebody else holds is
/// replaced; all copies are made before the first change, as there may be no memory for one.
template <class T, class F>
void change_gradients(const std::vector<Tensor<T>>& parameters, const F& f) {
  for (Tensor<T> p : parameters)  // a handle
    if (p.has_grad() && engine::shares_gradient(p)) p.set_grad(p.grad().detach() + T(0));
  for (const Tensor<T>& p : parameters)
    if (p.has_grad()) f(p.grad().begin_update(), p.size());
}

}  // namespace

template <class T>
double clip_grad_norm(const std::vector<Tensor<T>>& parameters, double max) {
  require_leaves("clip_grad_norm", parameters, max);
  detail::Norm total;
  for (const Tensor<T>& p : parameters)
    if (p.has_grad()) total.add(p.grad());
  const double norm = total.value(), factor = max / (norm + 1e-6);
  if (!std::isfinite(norm) || factor >= 1) return norm;
  change_gradients(parameters,
                   [factor = static_cast<T>(factor)](T* g, std::size_t n) { engine::scale(g, n, factor); });
  return norm;
}

template <class T>
void clip_grad_value(const std::vector<Tensor<T>>& parameters, double max) {
  require_leaves("clip_grad_value", parameters, max);
  change_gradients(parameters, [limit = static_cast<T>(max)](T* g, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) g[i] = g[i] < -limit ? -limit : g[i] > limit ? limit : g[i];
  });
}

#define XTAPE_INSTANTIATE(T)                                             \
  template double clip_grad_norm(const std::vector<Tensor<T>>&, double); \
  template void clip_grad_value(const std::vector<Tensor<T>>&, double);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn
