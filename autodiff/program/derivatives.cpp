// Derivatives of functions along directions: products, and what is linear computed once.
#include "../derivatives.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "../layout.hpp"
#include "../ops/layout_ops.hpp"
#include "../tape/forward.hpp"
#include "../tape/op.hpp"
#include "program.hpp"

namespace xtape::detail {

template <class T>
Tensor<T> variable(const Tensor<T>& x, const DerivativeOptions& options) {
  if (options.create_graph && x.requires_grad()) return view(x, x.shape());
  return Tensor<T>(Handle{x.handle().value, make_leaf(x.shape())});
}

namespace {

template <class T>
std::vector<Tensor<T>> variables(const std::vector<Tensor<T>>& x, const DerivativeOptions& options) {
  std::vector<Tensor<T>> leaves;
  for (const Tensor<T>& one : x) leaves.push_back(variable(one, options));
  return leaves;
}

/// Error unless there is a direction of the shape of each x.
template <class T>
void require_directions(const char* op, const std::vector<Tensor<T>>& x, const std::vector<Tensor<T>>& v) {
  if (x.size() != v.size())
    throw Error(op, std::to_string(v.size()) + " directions for " + std::to_string(x.size()) + " arguments");
  for (std::size_t i = 0; i < x.size(); ++i)
    if (!(v[i].shape() == x[i].shape()))
      throw Error(
          op, "the direction has the shape " + to_string(v[i].shape()) + ", x " + to_string(x[i].shape()));
}

/// The gradients of y, 0 for those that it does not depend on.
template <class T>
std::vector<Tensor<T>> gradients_or_zero(const Tensor<T>& y, const std::vector<Tensor<T>>& x,
                                         const BackwardOptions<T>& options) {
  if (y.requires_grad()) return grad(y, x, options);
  std::vector<Tensor<T>> g;
  for (const Tensor<T>& one : x) g.push_back(zeros<T>(one.shape()));
  return g;
}

/// {f(), its tangent} for the tangents of leaves.
template <class T, class F>
std::pair<Tensor<T>, Tensor<T>> carry_forward(const F& f, const std::vector<Tensor<T>>& leaves,
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

}  // namespace

template <class T>
std::pair<Tensor<T>, std::vector<Tensor<T>>> vjp(const Function<T>& f, const std::vector<Tensor<T>>& x,
                                                 const Tensor<T>& v, const DerivativeOptions& options) {
  const RecordingScope scope(true);
  const std::vector<Tensor<T>> leaves = variables(x, options);
  const Tensor<T> y = f(leaves);
  std::vector<Tensor<T>> products =
      gradients_or_zero(y, leaves, {.seed = v, .create_graph = options.create_graph});
  return {options.create_graph ? y : y.detach(), std::move(products)};
}

template <class T>
std::pair<Tensor<T>, Tensor<T>> jvp(const Function<T>& f, const std::vector<Tensor<T>>& x,
                                    const std::vector<Tensor<T>>& v, const DerivativeOptions& options) {
  require_directions("jvp", x, v);
  const RecordingScope scope(true);
  const std::vector<Tensor<T>> leaves = variables(x, options);
  return carry_forward<T>([&] { return f(leaves); }, leaves, v, options.create_graph);
}

template <class T>
std::pair<Tensor<T>, std::vector<Tensor<T>>> hvp(const Function<T>& f, const std::vector<Tensor<T>>& x,
                                                 const std::vector<Tensor<T>>& v,
                                                 const DerivativeOptions& options) {
  require_directions("hvp", x, v);
  const RecordingScope scope(true);
  const std::vector<Tensor<T>> leaves = variables(x, options);
  const Tensor<T> y = f(leaves);
  const std::vector<Tensor<T>> g = gradients_or_zero(y, leaves, {.create_graph = true});
  std::vector<Tensor<T>> products;
  if (g.size() == 1) {  // its direction is the seed
    products.push_back(
        gradient_or_zero(g[0], leaves[0], {.seed = v[0], .create_graph = options.create_graph}));
  } else {
    Tensor<T> slope(0);  // of y along all directions
    for (std::size_t i = 0; i < g.size(); ++i)
      slope = slope + sum(g[i] * (options.create_graph ? v[i] : v[i].detach()));
    products = gradients_or_zero(slope, leaves, {.create_graph = options.create_graph});
  }
  return {options.create_graph ? y : y.detach(), std::move(products)};
}

template <class T>
std::pair<Tensor<T>, std::function<Tensor<T>(const Tensor<T>&)>> linearize(
    const std::function<std::pair<Tensor<T>, Tensor<T>>(const Tensor<T>&)>& f, const Shape& shape) {
  auto program = std::make_shared<Program>(
      traced("linearize", "the function assigns a tensor, which would be done when it is linearised",
             [&](Trace& trace) {
               const auto [value, product] = f(Tensor<T>(trace.argument(shape, sizeof(T), false, false)));
               return std::array{value, product};
             }));
  // What does not depend on v is computed once.
  std::vector<char> depends(program->places.size(), false);
  depends[0] = true;
  for (const Step& step : program->steps) {
    for (const Input& input : step.inputs) depends[step.output] |= depends[input.place];
    if (step.base != Step::none) depends[step.output] |= depends[step.base];
  }
  const auto dependent = std::stable_partition(program->steps.begin(), program->steps.end(),
                                               [&](const Step& step) { return !depends[step.output]; });
  program->forward = static_cast<std::size_t>(dependent - program->steps.begin());
  const NoGrad no_grad;
  const std::vector<Handle> at = replay(*program, {}, program->forward);
  std::vector<std::pair<std::uint32_t, ValueRef>> given;
  for (std::size_t k = 0; k < program->forward; ++k)
    given.emplace_back(program->steps[k].output, at[program->steps[k].output].value);
  const Tensor<T> value(Handle{at[program->outputs[0].place].value, {}});
  const PoolVector<Kept> read = read_from_outside(*program, program->forward, program->steps.size());
  return {value, [program, given, read, shape](const Tensor<T>& v) {
            require_unchanged(read, "linearised function");
            if (!(v.shape() == shape))
              throw Error("linearize",
                          "the direction has the shape " + to_string(v.shape()) + ", x " + to_string(shape));
            const std::array arguments{v.handle()};
            return Tensor<T>(Handle(
                replay(*program, arguments, program->steps.size(), given, true)[program->outputs[1].place]));
          }};
}

#define XTAPE_INSTANTIATE(T)                                                                             \
  template Tensor<T> variable(const Tensor<T>&, const DerivativeOptions&);                               \
  template std::pair<Tensor<T>, std::vector<Tensor<T>>> vjp(                                             \
      const Function<T>&, const std::vector<Tensor<T>>&, const Tensor<T>&, const DerivativeOptions&);    \
  template std::pair<Tensor<T>, Tensor<T>> jvp(const Function<T>&, const std::vector<Tensor<T>>&,        \
                                               const std::vector<Tensor<T>>&, const DerivativeOptions&); \
  template std::pair<Tensor<T>, std::vector<Tensor<T>>> hvp(                                             \
      const Function<T>&, const std::vector<Tensor<T>>&, const std::vector<Tensor<T>>&,                  \
      const DerivativeOptions&);                                                                         \
  template std::pair<Tensor<T>, std::function<Tensor<T>(const Tensor<T>&)>> linearize(                   \
      const std::function<std::pair<Tensor<T>, Tensor<T>>(const Tensor<T>&)>&, const Shape&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail
