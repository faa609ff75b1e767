// The entry of minimize(): f and its derivatives by the tape.
#include "../minimize.hpp"

#include <memory>

#include <autodiff/elementwise.hpp>
#include <autodiff/grad.hpp>
#include <autodiff/reductions.hpp>
#include <autodiff/tape.hpp>

#include "descend.hpp"
#include "newton_cg.hpp"
#include "problem.hpp"

namespace xtape::nn::minimizing {
namespace {

/// v → H v from the recorded gradient g: H v is the gradient of Σ gᵢ vᵢ. The same as hvp(), with f and its
/// gradient computed once.
template <class T>
auto hessian_product(const Unknowns<T>& unknowns, TensorList<T> leaves, TensorList<T> gradient) {
  return [&unknowns, leaves = std::move(leaves), gradient = std::move(gradient)](const std::vector<T>& v) {
    const EnableGrad recorded;
    const TensorList<T> directions = unknowns.tensors(v);
    Tensor<T> along;
    for (std::size_t k = 0; k < gradient.size(); ++k)
      if (gradient[k].requires_grad()) {
        const Tensor<T> part = sum(gradient[k] * directions[k]);
        along = along.defined() ? along + part : part;
      }
    if (!along.defined()) return std::vector<T>(v.size());  // f is linear
    return unknowns.flat(grad(along, leaves, {.retain_tape = true}));
  };
}

template <class T>
Point<T> value_and_gradient(const TensorFunction<T>& f, const Unknowns<T>& unknowns, std::vector<T> x,
                            bool second_order, bool is_first) {
  const EnableGrad recorded;
  const TensorList<T> leaves = leaves_of(unknowns.tensors(x));
  const Tensor<T> y = f(leaves);
  if (!y.defined()) throw Error("minimize", "f returns a tensor without a value");
  if (y.size() != 1)
    throw Error("minimize",
                "f returns the shape " + to_string(y.shape()) +
                    ", and a function to be minimised gives one element: take its sum() or mean(); "
                    "for residuals there is least_squares()");
  Point<T> point;
  point.x = std::move(x);
  point.value = static_cast<double>(y.item());
  if (!y.requires_grad()) {
    if (is_first)
      throw Error("minimize",
                  "f does not depend on x: it must compute with the tensors that it is given, outside of "
                  "NoGrad, and without detach(), item() and data()");
    point.gradient.resize(unknowns.size());
    point.hessian_product = [](const std::vector<T>& v) { return std::vector<T>(v.size()); };
    return point;
  }
  TensorList<T> gradient = grad(y, leaves, {.create_graph = second_order});
  point.gradient = unknowns.flat(gradient);
  if (second_order) point.hessian_product = hessian_product(unknowns, leaves, std::move(gradient));
  return point;
}

template <class T>
Minimum<TensorList<T>> minimum(const TensorFunction<T>& f, const TensorList<T>& x0,
                               const MinimizeOptions<TensorList<T>>& options) {
  const Unknowns<T> unknowns("minimize", x0);
  Run<T> run;
  set_up(run, "minimize", unknowns, options);
  const bool newton = options.method == Minimizer::newton_cg;
  bool is_first = true;
  run.function = [&](std::vector<T> x) {
    return value_and_gradient(f, unknowns, std::move(x), newton, std::exchange(is_first, false));
  };
  std::vector<T> start = unknowns.flat(x0);
  run.bounds.project(start, start);
  Point<T> at = run.evaluate(std::move(start));
  if (newton) {
    at = newton_cg(run, std::move(at));
  } else {
    const bool lbfgs = options.method == Minimizer::lbfgs;
    Pairs<T> pairs(lbfgs ? options.history : 0);
    LineSearch search = options.line_search;
    if (!lbfgs && search == LineSearch::strong_wolfe) search = LineSearch::backtracking;
    // Without a search, and in steps of Barzilai and Borwein, f may rise for long.
    if (!lbfgs || search == LineSearch::none) run.patience = 500;
    at = descend(run, std::move(at), {.line_search = search, .barzilai = !lbfgs}, pairs);
  }
  Minimum<TensorList<T>> result;
  fill(result, run, unknowns, at, options.progress);
  return result;
}

}  // namespace
}  // namespace xtape::nn::minimizing

namespace xtape::nn::detail {

template <class T>
Minimum<TensorList<T>> minimize(const TensorFunction<T>& f, const TensorList<T>& x0,
                                const MinimizeOptions<TensorList<T>>& options) {
  return minimizing::minimum(f, x0, options);
}

#define XTAPE_INSTANTIATE(T)                                                               \
  template Minimum<TensorList<T>> minimize(const TensorFunction<T>&, const TensorList<T>&, \
                                           const MinimizeOptions<TensorList<T>>&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn::detail
