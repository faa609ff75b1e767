// See ops.hpp.
#include "ops.hpp"

#include <algorithm>

#include <xtensor/xadapt.hpp>

#include <nn/losses.hpp>

namespace xtape::properties {
namespace {

const std::string positive = "sigmoid(a) + 0.5", unit = "sin(a) * 0.8";

/// The positions of gather and scatter_add; other operations have indices without a shape, or none.
Indices shaped_indices(const Parameters& with) {
  if (with.index.empty() || with.shape.empty()) return with.index;
  return xt::adapt(with.index, std::vector<std::size_t>(with.shape.begin(), with.shape.end()));
}

std::string without_parentheses(const std::string& text) { return text.substr(1, text.size() - 2); }

}  // namespace

// What the expressions of ops.inc call the operands and parameters.
#define NAMES                                                                                 \
  using T [[maybe_unused]] = typename X::value_type;                                          \
  [[maybe_unused]] const X &a = *in[0], &b = *in[1], &c = *in[2];                             \
  [[maybe_unused]] const long axis = with.axis, k = with.k, low = with.low, high = with.high; \
  [[maybe_unused]] const long step = with.step;                                               \
  [[maybe_unused]] const bool keep = with.keep;                                               \
  [[maybe_unused]] const T scale = static_cast<T>(with.scale);                                \
  [[maybe_unused]] const Axes axes(with.axes);                                                \
  [[maybe_unused]] const Dims shape(with.shape), sizes = shape;                               \
  [[maybe_unused]] const Indices index(with.index);                                           \
  [[maybe_unused]] const Indices positions = shaped_indices(with)

const std::vector<Row>& rows() {
  using X = Tensor<double>;
  static const std::vector<Row> all = [] {
    std::vector<Row> list;
#define ROW(is_elementwise, is_planted, form, condition, repair, expression)                        \
  list.push_back({Form::form, without_parentheses(#expression), repair, is_elementwise, is_planted, \
                  [](const Operands<X>& in, const Parameters& with) -> X {                          \
                    NAMES;                                                                          \
                    [[maybe_unused]] const X nothing = 1;                                           \
                    return condition;                                                               \
                  }});
#define ELEMENTWISE(name, form, guard, repair, expression, torch) \
  ROW(true, false, form, guard, repair, expression)
#define PLANTED(form, guard, repair, expression, torch) ROW(false, true, form, guard, repair, expression)
#define OP(form, guard, repair, expression, torch) ROW(false, false, form, guard, repair, expression)
#include "ops.inc"
    return list;
  }();
  return all;
}

std::size_t row_of(const std::string& text) {
  const auto found = std::ranges::find(rows(), text, &Row::text);
  if (found == rows().end()) throw std::logic_error("no row " + text + " in ops.inc");
  return static_cast<std::size_t>(found - rows().begin());
}

#define FUNCTION(expression)                                              \
  list.push_back([](const Operands<X>& in, const Parameters& with) -> X { \
    NAMES;                                                                \
    return expression;                                                    \
  });

template <class X>
const std::vector<Function<X>>& functions() {
  static const std::vector<Function<X>> all = [] {
    std::vector<Function<X>> list;
#define OP(form, guard, repair, expression, torch) FUNCTION(expression)
#include "ops.inc"
    return list;
  }();
  return all;
}

namespace {
template <class X>
std::vector<Function<X>> elementwise_functions() {
  std::vector<Function<X>> list;
#define ELEMENTWISE(name, form, guard, repair, expression, torch) FUNCTION(expression)
#define OP(form, guard, repair, expression, torch) list.push_back(nullptr);
#include "ops.inc"
  return list;
}
}  // namespace

template <>
const std::vector<Function<Symbol<float>>>& functions() {
  static const auto all = elementwise_functions<Symbol<float>>();
  return all;
}
template <>
const std::vector<Function<Symbol<double>>>& functions() {
  static const auto all = elementwise_functions<Symbol<double>>();
  return all;
}
template const std::vector<Function<Tensor<float>>>& functions();
template const std::vector<Function<Tensor<double>>>& functions();

Tensor<double> spread(const Tensor<double>& x) {
  std::vector<double> sorted(x.begin(), x.end());
  std::ranges::sort(sorted);
  double least = 1;
  for (std::size_t i = 1; i < sorted.size(); ++i) least = std::min(least, sorted[i] - sorted[i - 1]);
  return least;
}

}  // namespace xtape::properties
