// The rows of sorting, masks, arranging, and what makes indices.
#include "op_table.hpp"

namespace xtape::test {
namespace {

using Tensor = xtape::Tensor<double>;

const Sets any_shape{{{}}, {{1}}, {{3}}, {{2, 3}}, {{2, 1, 3}}, {{2, 1, 2, 2}}, {{0}}, {{2, 0}}};
const Sets rank_1_up{{{1}}, {{4}}, {{2, 3}}, {{2, 1, 3}}, {{2, 1, 2, 2}}, {{2, 0}}, {{0, 2}}};
const Sets rank_2_up{{{1, 1}}, {{2, 3}}, {{3, 2}}, {{2, 1, 3}}, {{2, 1, 2, 2}}, {{2, 0}}};
const Sets not_empty{{{1}}, {{4}}, {{2, 3}}, {{3, 2, 2}}};

/// Products make the second order say something about operations that only move elements.
void add_sorting(std::vector<OpRow>& rows) {
  rows.push_back(row(
      "sort", "", [](const Tensors& x) { return sort(x[0]) * x[0]; }, rank_1_up));
  rows.push_back(row(
      "sort", "descending", [](const Tensors& x) { return sort(x[0], 0, true) * x[0]; }, rank_1_up));
  rows.push_back(row(
      "argsort", "", [](const Tensors& x) { return square(gather(x[0], argsort(x[0]), -1)); }, rank_1_up));
  rows.push_back(row(
      "argsort", "descending",
      [](const Tensors& x) { return square(gather(x[0], argsort(x[0], 0, true), 0)); }, rank_1_up));
  rows.push_back(row("topk", "",
                     [](const Tensors& x) {
                       const auto [values, indices] = topk(x[0], 2);
                       return values * gather(x[0] * x[0], indices, -1);
                     },
                     {{{3}}, {{2, 4}}, {{2, 2, 2}}, {{0, 2}}}));
  rows.push_back(row("topk", "smallest",
                     [](const Tensors& x) { return square(topk(x[0], 1, 0, false).values); },
                     {{{3}}, {{2, 4}}, {{2, 2, 2}}, {{2, 0}}}));
  rows.push_back(row(
      "argmax", "", [](const Tensors& x) { return take(x[0], argmax(x[0])) * x[0]; }, not_empty));
  rows.push_back(row(
      "argmax", "axis", [](const Tensors& x) { return square(gather(x[0], argmax(x[0], 0, true), 0)); },
      not_empty));
  rows.push_back(row(
      "argmin", "", [](const Tensors& x) { return take(x[0], argmin(x[0])) * x[0]; }, not_empty));
  rows.push_back(row(
      "argmin", "axis", [](const Tensors& x) { return take(x[0], argmin(x[0], -1), -1) * sum(x[0]); },
      not_empty));
  rows.push_back(row(
      "cummax", "", [](const Tensors& x) { return cummax(x[0], -1) * x[0]; }, rank_1_up));
  rows.push_back(row(
      "cummin", "", [](const Tensors& x) { return cummin(x[0], 0) * x[0]; }, rank_1_up));
}

void add_indices(std::vector<OpRow>& rows) {
  rows.push_back(row("one_hot", "",
                     [](const Tensors& x) {
                       return one_hot<double>({{2, 0}, {1, 1}}, 3) * square(x[0]);
                     },
                     {{{}}, {{3}}, {{2, 1}}, {{2, 2, 3}}}));
  rows.push_back(row(
      "one_hot", "argmax",
      [](const Tensors& x) { return one_hot<double>(argmax(x[0], -1), x[0].shape(-1)) * x[0] * x[0]; },
      not_empty));
  const auto places = [](const MatrixIndices& at, std::ptrdiff_t columns) {
    std::vector<std::ptrdiff_t> flat;
    for (std::size_t i = 0; i < at.rows.size(); ++i) flat.push_back(at.rows[i] * columns + at.columns[i]);
    return Indices(flat);
  };
  rows.push_back(row("tril_indices", "",
                     [places](const Tensors& x) { return square(take(x[0], places(tril_indices(2), 2))); },
                     {{{2, 2}}}));
  rows.push_back(
      row("triu_indices", "",
          [places](const Tensors& x) { return square(take(x[0], places(triu_indices(2, 1, 3), 3))); },
          {{{2, 3}}}));
}

void add_masks(std::vector<OpRow>& rows) {
  rows.push_back(row(
      "isnan", "", [](const Tensors& x) { return x[0] * x[0] * (1 + isnan(x[0])); }, any_shape));
  rows.push_back(row(
      "isfinite", "", [](const Tensors& x) { return x[0] * x[0] * isfinite(x[0]); }, any_shape));
  rows.push_back(row(
      "logical_not", "", [](const Tensors& x) { return x[0] * x[0] * logical_not(x[0] > 0); }, any_shape));
  rows.push_back(row(
      "operator!", "", [](const Tensors& x) { return x[0] * x[0] + !(x[0] > 0); }, any_shape));
  const Sets pairs{{{}, {3}}, {{2, 3}, {2, 3}}, {{2, 1}, {3}}, {{0}, {1}}};
  const auto add = [&](const char* op, auto f) {
    rows.push_back(row(
        op, "", [f](const Tensors& x) { return square(x[0] + x[1]) * f(x[0] > 0, x[1] > -1); }, pairs));
  };
  add("logical_and", [](const Tensor& a, const Tensor& b) { return 2 + logical_and(a, b); });
  add("logical_or", [](const Tensor& a, const Tensor& b) { return 2 + logical_or(a, b); });
  add("operator&&", [](const Tensor& a, const Tensor& b) { return 2 + (a && b); });
  add("operator||", [](const Tensor& a, const Tensor& b) { return 2 + (a || b); });
  rows.push_back(row(
      "masked_fill", "", [](const Tensors& x) { return square(masked_fill(x[0], x[1] > 0, 1.5)) + x[1]; },
      pairs));
}

void add_arranging(std::vector<OpRow>& rows) {
  rows.push_back(row(
      "pad", "", [](const Tensors& x) { return square(pad(x[0], 1)); }, any_shape));
  rows.push_back(row("pad", "pairs",
                     [](const Tensors& x) {
                       return square(pad(x[0], {{1, 0}, {0, 2}}, 0.5));
                     },
                     {{{2, 3}}, {{1, 1}}, {{0, 2}}}));
  for (const auto& [name, mode] : {std::pair{"edge", PadMode::edge},
                                   {"reflect", PadMode::reflect},
                                   {"symmetric", PadMode::symmetric},
                                   {"wrap", PadMode::wrap}})
    rows.push_back(row("pad", name,
                       [by = mode](const Tensors& x) {
                         return square(pad(x[0], {1, 2}, by));
                       },
                       {{{3}}, {{3, 4}}}));
  rows.push_back(row(
      "repeat", "", [](const Tensors& x) { return square(repeat(x[0], 2)); }, any_shape));
  rows.push_back(row(
      "repeat", "axis", [](const Tensors& x) { return square(repeat(x[0], 3, -1)); }, rank_1_up));
  rows.push_back(row("repeat", "counts",
                     [](const Tensors& x) {
                       return square(repeat(x[0], {2, 0, 1}, 0));
                     },
                     {{{3}}, {{3, 2}}, {{3, 1, 2}}}));
  rows.push_back(row(
      "tile", "", [](const Tensors& x) { return square(tile(x[0], 2)); }, any_shape));
  rows.push_back(row(
      "tile", "axes",
      [](const Tensors& x) {
        return square(tile(x[0], {2, 1, 3}));
      },
      any_shape));
  rows.push_back(row(
      "roll", "", [](const Tensors& x) { return roll(x[0], 1) * x[0]; }, any_shape));
  rows.push_back(row(
      "roll", "axis", [](const Tensors& x) { return roll(x[0], -1, 0) * x[0]; }, rank_1_up));
  rows.push_back(row(
      "roll", "axes",
      [](const Tensors& x) {
        return roll(x[0], {1, -2}, {0, -1}) * x[0];
      },
      rank_2_up));
  rows.push_back(row(
      "expand_dims", "", [](const Tensors& x) { return square(expand_dims(x[0], -1)); }, any_shape));
  rows.push_back(row(
      "swapaxes", "", [](const Tensors& x) { return square(swapaxes(x[0], 0, -1)); }, rank_2_up));
  rows.push_back(row(
      "moveaxis", "", [](const Tensors& x) { return square(moveaxis(x[0], 0, -1)); }, rank_2_up));
  rows.push_back(row("moveaxis", "axes",
                     [](const Tensors& x) {
                       return square(moveaxis(x[0], {0, 2}, {-1, 0}));
                     },
                     {{{2, 1, 3}}, {{2, 1, 2, 2}}}));
  rows.push_back(row("vstack", "",
                     [](const Tensors& x) {
                       return square(vstack({x[0], x[1], x[0]}));
                     },
                     {{{}, {1}}, {{3}, {3}}, {{3}, {2, 3}}, {{1, 2}, {2, 2}}, {{2, 1, 2}, {1, 1, 2}}}));
  rows.push_back(row("hstack", "",
                     [](const Tensors& x) {
                       return square(hstack({x[0], x[1], x[0]}));
                     },
                     {{{}, {1}}, {{3}, {2}}, {{2, 1}, {2, 2}}, {{2, 1, 2}, {2, 2, 2}}}));
  rows.push_back(row("meshgrid", "",
                     [](const Tensors& x) {
                       const auto grid = meshgrid({x[0], x[1]});
                       return grid[0] * square(grid[1]);
                     },
                     {{{2}, {3}}, {{}, {2}}, {{1}, {1}}, {{0}, {2}}}));
  rows.push_back(row("meshgrid", "ij",
                     [](const Tensors& x) {
                       const auto grid = meshgrid({x[0], x[1], x[0]}, GridIndexing::ij);
                       return grid[0] * square(grid[1]) + grid[2];
                     },
                     {{{2}, {3}}, {{1}, {2}}}));
}

}  // namespace

void add_sorting_and_arranging(std::vector<OpRow>& rows) {
  add_sorting(rows);
  add_indices(rows);
  add_masks(rows);
  add_arranging(rows);
}

}  // namespace xtape::test
