// The rows. test_ops.cpp fails when a function of the public headers has none.
#include "op_table.hpp"

#include <random>

#include <xtensor/xview.hpp>

namespace xtape::test {
namespace {

using Tensor = xtape::Tensor<double>;

/// Ranks 0 to 4, size 1, empty.
const Sets any_shape{{{}}, {{1}}, {{3}}, {{2, 3}}, {{2, 1, 3}}, {{2, 1, 2, 2}}, {{0}}, {{2, 0}}};

/// Equal shapes, and broadcasting to the left, to the right and both ways.
const Sets broadcasting{
    {{}, {}},      {{3}, {3}},      {{}, {3}},        {{2, 3}, {}},     {{3}, {2, 3}},
    {{2, 3}, {3}}, {{2, 1}, {3}},   {{1, 3}, {2, 1}}, {{1}, {2, 2, 2}}, {{2, 1, 2, 1}, {3, 1, 2}},
    {{0}, {1}},    {{2, 0}, {1, 1}}};

const Sets matrices{{{1, 1}}, {{2, 3}}, {{3, 2}}, {{3, 3}}, {{0, 2}}, {{2, 0}}};

/// The lines of elementwise.inc, and what is called in another way.
void add_elementwise(std::vector<OpRow>& rows) {
  using Call = Tensor (*)(const Tensor&, const Tensor&);
  const auto add = [&](const std::string& id, const Sets& shapes, Call guard, Call f) {
    const std::size_t slash = id.find('/', id.starts_with("operator/") ? 9 : 0);
    const std::string variant = slash == std::string::npos ? "" : id.substr(slash + 1);
    const auto on_list = [](Call call) { return [call](const Tensors& x) { return call(x[0], x.back()); }; };
    rows.push_back({id.substr(0, slash), variant, on_list(f), shapes, {{-4, 4}}, 2, on_list(guard)});
  };
  const Sets &unary = any_shape, &binary = broadcasting;
#define CALL(expression)                                                             \
  []([[maybe_unused]] const Tensor& a, [[maybe_unused]] const Tensor& b) -> Tensor { \
    [[maybe_unused]] const Tensor nothing = 1;                                       \
    return expression;                                                               \
  }
#define ELEMENTWISE(name, form, guard, repair, expression, torch) \
  add(name, form, CALL(guard), CALL(expression));
#define VARIANT(name, form, guard, expression, torch) add(name, form, CALL(guard), CALL(expression));
#include "elementwise.inc"
#undef CALL
  rows.push_back(row("where", "expression",
                     [](const Tensors& x) {
                       const xt::xarray<bool> mask{{true, false, true}, {false, false, true}};
                       return where(mask, x[0] * x[0], 1.5);
                     },
                     {{{2, 3}}, {{3}}, {{}}, {{2, 1}}}));
  rows.push_back(row(
      "map", "", [](const Tensors& x) { return map([](auto a) { return exp(a) * sin(a) + a * a; }, x[0]); },
      any_shape));
  rows.push_back(row(
      "map", "two",
      [](const Tensors& x) {
        return map([](auto p, auto q) { return where(p > q, p * tanh(q), 2 * q - p / 3) * sigmoid(p); }, x[0],
                   x[1]);
      },
      broadcasting));
}

void add_reductions(std::vector<OpRow>& rows) {
  const Sets with_axis_1{{{2, 3}}, {{1, 1}}, {{3, 1}}, {{2, 3, 2}}, {{2, 2, 1, 2}}, {{0, 2}}};
  const Sets not_empty{{{}}, {{1}}, {{3}}, {{2, 3}}, {{2, 1, 3}}, {{2, 1, 2, 2}}};
  const auto add = [&](const char* op, auto all, auto axis, auto keep, Range range, bool empty) {
    rows.push_back(
        row(op, "", [all](const Tensors& x) { return all(x[0]); }, empty ? any_shape : not_empty, {range}));
    rows.push_back(
        row(op, "axis", [axis](const Tensors& x) { return axis(x[0], Axes(1)); }, with_axis_1, {range}));
    rows.push_back(row(op, "negative axis", [axis](const Tensors& x) { return axis(x[0], Axes(-1)); },
                       {{{3}}, {{2, 3}}, {{2, 1, 3}}, {{2, 2, 1, 2}}}, {range}));
    rows.push_back(row(op, "axes",
                       [keep](const Tensors& x) {
                         return keep(x[0], Axes{0, 2}) * x[0];
                       },
                       {{{2, 3, 2}}, {{1, 2, 1}}, {{2, 2, 2, 2}}}, {range}));
  };
#define XTAPE_REDUCTION(name, range, empty)                      \
  add(                                                           \
      #name, [](const Tensor& x) { return name(x); },            \
      [](const Tensor& x, const Axes& a) { return name(x, a); }, \
      [](const Tensor& x, const Axes& a) { return name(x, a, true); }, range, empty)
  XTAPE_REDUCTION(sum, Range{}, true);
  XTAPE_REDUCTION(mean, Range{}, true);
  XTAPE_REDUCTION(prod, Range{}, true);
  XTAPE_REDUCTION(max, Range{}, false);
  XTAPE_REDUCTION(min, Range{}, false);
  XTAPE_REDUCTION(logsumexp, Range{}, true);
  XTAPE_REDUCTION(norm, Range{}, true);
  XTAPE_REDUCTION(squared_norm, Range{}, true);
#undef XTAPE_REDUCTION
  rows.push_back(row(
      "var", "", [](const Tensors& x) { return var(x[0]); }, any_shape));
  rows.push_back(row("var", "axes",
                     [](const Tensors& x) {
                       return var(x[0], {0, 1}, true, 1) * x[0];
                     },
                     {{{2, 3}}, {{2, 3, 2}}}));
  rows.push_back(row(
      "std", "", [](const Tensors& x) { return xtape::std(x[0]); }, any_shape));
  rows.push_back(row("std", "axes", [](const Tensors& x) { return xtape::std(x[0], -1, false, 1); },
                     {{{2, 3}}, {{4}}, {{2, 2, 3}}}));
  rows.push_back(row("var", "axes apart",
                     [](const Tensors& x) {
                       return var(x[0], {0, 2}, true) * x[0];
                     },
                     {{{2, 3, 2}}, {{3, 1, 2}}}));
  const Sets rank_1_up{{{1}}, {{4}}, {{2, 3}}, {{2, 1, 3}}, {{2, 1, 2, 2}}, {{2, 0}}, {{0, 2}}};
  rows.push_back(row(
      "softmax", "", [](const Tensors& x) { return softmax(x[0]) * x[0]; }, rank_1_up));
  rows.push_back(row(
      "softmax", "axis", [](const Tensors& x) { return softmax(x[0], 0) * x[0]; }, rank_1_up));
  rows.push_back(row(
      "log_softmax", "", [](const Tensors& x) { return log_softmax(x[0], -1); }, rank_1_up));
  rows.push_back(row(
      "log_softmax", "axis", [](const Tensors& x) { return log_softmax(x[0], 0); }, rank_1_up));
  rows.push_back(row(
      "cumsum", "", [](const Tensors& x) { return cumsum(x[0]) * cumsum(x[0]); }, any_shape));
  rows.push_back(row(
      "cumsum", "axis", [](const Tensors& x) { return cumsum(x[0], 0) * x[0]; }, rank_1_up));
  rows.push_back(row(
      "cumprod", "", [](const Tensors& x) { return cumprod(x[0]); }, any_shape));
  rows.push_back(row(
      "cumprod", "axis", [](const Tensors& x) { return cumprod(x[0], 0) * x[0]; }, rank_1_up));
  rows.push_back(row(
      "any", "", [](const Tensors& x) { return any(x[0] > 1) * x[0] * x[0]; }, any_shape));
  rows.push_back(row(
      "any", "axes", [](const Tensors& x) { return any(x[0] > 1, -1, true) * square(x[0]); }, rank_1_up));
  rows.push_back(row(
      "all", "", [](const Tensors& x) { return square(x[0]) + all(x[0] > -3) * x[0]; }, any_shape));
  rows.push_back(row(
      "all", "axes", [](const Tensors& x) { return all(x[0] > -1, 0, true) * square(x[0]); }, rank_1_up));
}

void add_products(std::vector<OpRow>& rows) {
  const Sets numpy_rules{
      {{3}, {3}},       {{2, 3}, {3}},       {{3}, {3, 2}},       {{2, 3}, {3, 4}},
      {{1, 1}, {1, 1}}, {{2, 2, 3}, {3, 2}}, {{2, 3}, {2, 3, 2}}, {{2, 1, 2, 3}, {3, 3, 1}},
      {{3}, {2, 3, 2}}, {{2, 2, 3}, {3}},    {{0, 3}, {3, 2}},    {{2, 0}, {0, 3}},
      {{9, 8}, {8, 7}}};
  rows.push_back(row(
      "matmul", "", [](const Tensors& x) { return matmul(x[0], x[1]); }, numpy_rules));
  rows.push_back(row(
      "dot", "", [](const Tensors& x) { return dot(x[0], x[1]); },
      {{{3}, {3}}, {{2, 3}, {3}}, {{2, 3}, {3, 2}}, {{}, {2, 2}}, {{2, 3}, {2, 3, 2}}, {{3}, {2, 3, 1}}}));
  rows.push_back(row("outer", "", [](const Tensors& x) { return outer(x[0], x[1]); },
                     {{{3}, {2}}, {{}, {2}}, {{2, 2}, {3}}, {{0}, {2}}}));
  rows.push_back(row("linear", "", [](const Tensors& x) { return linear(x[0], x[1], x[2]); },
                     {{{2, 3}, {4, 3}, {4}},
                      {{3}, {2, 3}, {2}},
                      {{2, 2, 3}, {1, 3}, {1}},
                      {{0, 3}, {2, 3}, {2}},
                      {{1, 1}, {1, 1}, {1}},
                      {{6, 9}, {8, 9}, {8}}}));
  rows.push_back(row("linear", "no bias", [](const Tensors& x) { return linear(x[0], x[1]); },
                     {{{2, 3}, {4, 3}}, {{3}, {2, 3}}, {{2, 2, 3}, {1, 3}}}));
}

void add_normalization(std::vector<OpRow>& rows) {
  rows.push_back(row("batch_norm", "", [](const Tensors& x) { return square(batch_norm(x[0], x[1], x[2])); },
                     {{{4, 3}, {3}, {3}}, {{7, 1}, {1}, {1}}, {{5, 21}, {21}, {21}}, {{4, 0}, {0}, {0}}}));
  rows.push_back(row("layer_norm", "", [](const Tensors& x) { return square(layer_norm(x[0], x[1], x[2])); },
                     {{{4, 3}, {3}, {3}},
                      {{5}, {5}, {5}},
                      {{2, 2, 4}, {4}, {4}},
                      {{2, 21}, {21}, {21}},
                      {{0, 3}, {3}, {3}}}));
}

void add_convolution(std::vector<OpRow>& rows) {
  rows.push_back(row("unfold", "", [](const Tensors& x) { return square(unfold(x[0], 2)); },
                     {{{2, 2, 3, 4}}, {{1, 1, 2, 2}}, {{0, 2, 3, 3}}}));
  rows.push_back(row("unfold", "steps",
                     [](const Tensors& x) {
                       return square(unfold(x[0], {2, 3}, {2, 1}, {0, 2}));
                     },
                     {{{2, 3, 5, 4}}, {{1, 1, 2, 1}}}));
  rows.push_back(row("fold", "",
                     [](const Tensors& x) {
                       return square(fold(x[0], {3, 4}, 2));
                     },
                     {{{2, 8, 6}}, {{1, 4, 6}}, {{0, 4, 6}}}));
  rows.push_back(row("fold", "steps",
                     [](const Tensors& x) {
                       return square(fold(x[0], {5, 4}, {2, 3}, {2, 1}, {0, 2}));
                     },
                     {{{2, 6, 12}}}));
  rows.push_back(row("unfold", "dilation",
                     [](const Tensors& x) {
                       return square(unfold(x[0], {2, 3}, {2, 1}, {0, 2}, {1, 2}));
                     },
                     {{{2, 3, 5, 4}}, {{1, 1, 2, 1}}}));
  rows.push_back(row("fold", "dilation",
                     [](const Tensors& x) {
                       return square(fold(x[0], {5, 4}, {2, 3}, {2, 1}, {0, 2}, {1, 2}));
                     },
                     {{{2, 6, 8}}}));
  rows.push_back(row(
      "conv2d", "dilation",
      [](const Tensors& x) {
        return square(conv2d(x[0], x[1], x[2], {.stride = {1, 2}, .padding = {1, 2}, .dilation = {2, 3}}));
      },
      {{{2, 2, 5, 6}, {3, 2, 2, 3}, {3}}, {{1, 1, 1, 3}, {1, 1, 2, 1}, {1}}}));
  rows.push_back(
      row("conv2d", "groups",
          [](const Tensors& x) {
            return square(
                conv2d(x[0], x[1], x[2], {.stride = {2, 1}, .padding = 1, .dilation = {1, 2}, .groups = 2}));
          },
          {{{2, 4, 5, 4}, {6, 2, 2, 3}, {6}},
           {{1, 2, 3, 3}, {2, 1, 1, 2}, {2}},
           {{0, 2, 3, 3}, {2, 1, 1, 2}, {2}}}));
  rows.push_back(row(
      "conv2d", "depthwise",
      [](const Tensors& x) { return square(conv2d(x[0], x[1], {.stride = 2, .padding = 1, .groups = 3})); },
      {{{2, 3, 4, 5}, {3, 1, 3, 3}}, {{1, 3, 4, 3}, {6, 1, 2, 3}}}));
  rows.push_back(row("conv2d", "", [](const Tensors& x) { return square(conv2d(x[0], x[1], x[2])); },
                     {{{2, 3, 5, 4}, {2, 3, 3, 2}, {2}},
                      {{1, 1, 1, 1}, {1, 1, 1, 1}, {1}},
                      {{3, 2, 4, 5}, {3, 2, 1, 1}, {3}},
                      {{2, 2, 3, 4}, {2, 2, 3, 4}, {2}},
                      {{0, 2, 3, 3}, {2, 2, 2, 2}, {2}}}));
  rows.push_back(
      row("conv2d", "no bias",
          [](const Tensors& x) {
            return square(conv2d(x[0], x[1], {.stride = 2, .padding = {1, 2}}));
          },
          {{{2, 2, 5, 4}, {3, 2, 3, 3}}, {{1, 1, 1, 1}, {1, 1, 3, 5}}, {{2, 1, 6, 7}, {2, 1, 3, 2}}}));
  const Sets images{{{2, 2, 4, 6}}, {{1, 1, 5, 5}}, {{3, 1, 3, 4}}, {{0, 2, 3, 3}}};
  rows.push_back(row(
      "max_pool2d", "", [](const Tensors& x) { return square(max_pool2d(x[0], 2)); }, images));
  rows.push_back(row(
      "max_pool2d", "overlapping",
      [](const Tensors& x) {
        return square(max_pool2d(x[0], {3, 2}, {1, 2}, 1));
      },
      images));
  rows.push_back(row(
      "avg_pool2d", "", [](const Tensors& x) { return square(avg_pool2d(x[0], 2)); }, images));
  rows.push_back(row(
      "avg_pool2d", "overlapping",
      [](const Tensors& x) {
        return square(avg_pool2d(x[0], {3, 2}, {1, 2}, 1));
      },
      images));
}

void add_layout(std::vector<OpRow>& rows) {
  using xt::placeholders::_;
  // Products make the second order say something about operations that only move elements.
  rows.push_back(row("reshape", "",
                     [](const Tensors& x) {
                       return square(reshape(x[0], {-1, 2}));
                     },
                     {{{4}}, {{2, 3}}, {{2, 1, 2, 2}}}));
  rows.push_back(row(
      "flatten", "", [](const Tensors& x) { return square(flatten(x[0])); }, any_shape));
  rows.push_back(row("flatten", "axes", [](const Tensors& x) { return square(flatten(x[0], -2)); },
                     {{{2, 3}}, {{2, 2, 3}}, {{2, 0}}, {{2, 1, 2, 2}}}));
  rows.push_back(row(
      "squeeze", "", [](const Tensors& x) { return square(squeeze(x[0])); }, any_shape));
  rows.push_back(row("squeeze", "axis", [](const Tensors& x) { return square(squeeze(x[0], -2)); },
                     {{{2, 1, 3}}, {{1, 1}}}));
  rows.push_back(row(
      "unsqueeze", "", [](const Tensors& x) { return square(unsqueeze(x[0], -1)); }, any_shape));
  rows.push_back(row(
      "transpose", "", [](const Tensors& x) { return square(transpose(x[0])); }, any_shape));
  rows.push_back(row("transpose", "permutation",
                     [](const Tensors& x) {
                       return square(transpose(x[0], {1, -1, 0}));
                     },
                     {{{2, 3, 2}}, {{2, 1, 3}}, {{1, 0, 2}}}));
  rows.push_back(row("broadcast_to", "",
                     [](const Tensors& x) {
                       return square(broadcast_to(x[0], {2, 3, 2}));
                     },
                     {{{}}, {{2}}, {{3, 1}}, {{2, 1, 2}}, {{2, 3, 2}}}));
  rows.push_back(row("concatenate", "",
                     [](const Tensors& x) {
                       return square(concatenate({x[0], x[1], x[0]}, -1));
                     },
                     {{{2}, {3}}, {{2, 3}, {2, 1}}, {{2, 0}, {2, 2}}, {{2, 1, 2}, {2, 1, 3}}}));
  rows.push_back(row("stack", "",
                     [](const Tensors& x) {
                       return square(stack({x[0], x[1]}, 1));
                     },
                     {{{2}, {2}}, {{2, 3}, {2, 3}}, {{0, 2}, {0, 2}}}));
  rows.push_back(row("split", "",
                     [](const Tensors& x) {
                       const auto parts = split(x[0], 2, 0);
                       return parts[0] * parts[1];
                     },
                     {{{4}}, {{2, 3}}, {{4, 1, 2}}, {{0, 2}}}));
  rows.push_back(row("split", "indices",
                     [](const Tensors& x) {
                       const auto parts = split(x[0], {1, 3}, -1);
                       return sum(parts[0]) * sum(parts[1]) + sum(square(parts[2]));
                     },
                     {{{4}}, {{2, 3}}, {{2, 1, 5}}}));
  rows.push_back(row("split", "known",
                     [](const Tensors& x) {
                       const auto [a, b] = split<2>(x[0], -1);
                       return a * b;
                     },
                     {{{4}}, {{3, 2}}, {{2, 1, 2}}, {{0, 2}}}));
  rows.push_back(row("unbind", "",
                     [](const Tensors& x) {
                       const auto parts = unbind(x[0], -1);
                       return parts[0] * parts[1];
                     },
                     {{{2}}, {{3, 2}}, {{2, 1, 2}}, {{0, 2}}}));
  rows.push_back(row("slice", "",
                     [](const Tensors& x) { return square(slice(x[0], xt::range(0, 2), xt::newaxis(), -1)); },
                     {{{2, 3}}, {{3, 1}}, {{2, 2, 3}}}));
  rows.push_back(row("slice", "steps",
                     [](const Tensors& x) {
                       return square(slice(x[0], {xt::ellipsis(), xt::range(_, _, -2)}));
                     },
                     {{{5}}, {{2, 4}}, {{1, 2, 3}}, {{1}}}));
  rows.push_back(row(
      "flip", "", [](const Tensors& x) { return flip(x[0]) * x[0]; }, any_shape));
  rows.push_back(row("flip", "axis", [](const Tensors& x) { return flip(x[0], 0) * x[0]; },
                     {{{3}}, {{2, 3}}, {{2, 1, 2}}}));
  rows.push_back(row(
      "tril", "", [](const Tensors& x) { return square(tril(x[0])); }, matrices));
  rows.push_back(row(
      "triu", "", [](const Tensors& x) { return square(triu(x[0], 1)); }, matrices));
  rows.push_back(row("triu", "batch", [](const Tensors& x) { return square(triu(x[0], -1)); },
                     {{{2, 3, 3}}, {{2, 2, 3, 2}}}));
  rows.push_back(row("diag", "", [](const Tensors& x) { return square(diag(x[0])); },
                     {{{3}}, {{1}}, {{2, 3}}, {{3, 2}}, {{0}}, {{0, 0}}}));
  rows.push_back(row("diag", "off", [](const Tensors& x) { return square(diag(x[0], -1)); },
                     {{{3}}, {{1}}, {{2, 3}}, {{3, 2}}}));
  rows.push_back(
      row("trace", "", [](const Tensors& x) { return square(trace(x[0], 1)); }, {{{2, 3}}, {{3, 3}}}));
}

void add_indexing(std::vector<OpRow>& rows) {
  rows.push_back(row("take", "",
                     [](const Tensors& x) {
                       return square(take(x[0], xt::xarray<int>{{0, -1}, {1, 1}}, 1));
                     },
                     {{{2, 3}}, {{1, 2}}, {{2, 2, 3}}, {{0, 2}}}));
  rows.push_back(row("take", "flat",
                     [](const Tensors& x) {
                       return square(take(x[0], {2, 0, 2}));
                     },
                     {{{3}}, {{2, 3}}, {{2, 1, 2}}}));
  rows.push_back(row("gather", "",
                     [](const Tensors& x) {
                       return square(gather(x[0], xt::xarray<std::size_t>{{0, 2}, {1, 1}}, 1));
                     },
                     {{{2, 3}}, {{2, 4}}}));
  rows.push_back(row("gather", "ranks",
                     [](const Tensors& x) {
                       std::vector<std::size_t> shape = x[0].shape();
                       shape.back() = 2;
                       return square(gather(x[0], xt::ones<int>(shape), -1)) * sum(x[0]);
                     },
                     {{{3}}, {{1, 2}}, {{2, 2, 2}}, {{2, 1, 2, 3}}, {{0, 2}}}));
  rows.push_back(row("gather", "axis 0",
                     [](const Tensors& x) {
                       return square(gather(x[0], xt::xarray<long>{{0, -1}}, 0));
                     },
                     {{{2, 2}}, {{3, 2}}}));
  rows.push_back(row("scatter_add", "",
                     [](const Tensors& x) {
                       return square(scatter_add(x[0], xt::xarray<int>{{0, 2}, {1, 1}}, x[1], 1));
                     },
                     {{{2, 3}, {2, 2}}, {{2, 4}, {2, 2}}}));
  rows.push_back(row("scatter_add", "ranks",
                     [](const Tensors& x) {
                       const std::vector<std::size_t> shape = x[1].shape();
                       return square(scatter_add(x[0], xt::ones<int>(shape), x[1], 0));
                     },
                     {{{3}, {2}}, {{2}, {0}}, {{2, 2, 2}, {3, 2, 2}}, {{2, 1, 2, 1}, {1, 1, 2, 1}}}));
}

}  // namespace

const std::vector<OpRow>& op_table() {
  static const std::vector<OpRow> rows = [] {
    std::vector<OpRow> all;
    add_elementwise(all);
    add_reductions(all);
    add_products(all);
    add_linalg(all);
    add_normalization(all);
    add_attention(all);
    add_convolution(all);
    add_layout(all);
    add_indexing(all);
    add_sorting_and_arranging(all);
    return all;
  }();
  return rows;
}

Tensors sample(const OpRow& row, std::size_t shape_set) {
  std::mt19937_64 engine(std::hash<std::string>()(row.id()) + shape_set);
  Tensors inputs, again;  // which elements are to be drawn: not 0
  for (const Shape& shape : row.shapes[shape_set]) {
    inputs.push_back(zeros<double>(shape));
    again.push_back(ones<double>(shape));
  }
  for (bool drawn = true; drawn;) {
    drawn = false;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const Range range = row.ranges.size() == 1 ? row.ranges[0] : row.ranges[i];
      for (std::size_t k = 0; k < inputs[i].size(); ++k) {
        if (again[i].data()[k] == 0) continue;
        drawn = true;
        inputs[i].mutable_data()[k] =
            range.low + (range.high - range.low) * static_cast<double>(engine() >> 11) * 0x1p-53;
      }
    }
    if (!row.guard) break;
    // The gradient of an input counts the results that it is broadcast to and whose guard does not hold.
    const Tensor fails = row.guard(inputs) < 0.02;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const Tensor x = parameter(inputs[i]);
      again[i] = grad(sum((x - x.detach()) * fails), {x})[0];
    }
  }
  return inputs;
}

}  // namespace xtape::test
