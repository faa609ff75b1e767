// One row for each operation: how to call it, on what, and how smooth it is. Tests run over these rows.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include <autodiff/autodiff.hpp>

namespace xtape::test {

using Tensors = std::vector<Tensor<double>>;

/// Where an input is sampled: away from kinks and poles.
struct Range {
  double low = -2, high = 2;
};

struct OpRow {
  std::string op;       ///< the name in the public header
  std::string variant;  ///< tells rows of one op apart
  std::function<Tensor<double>(const Tensors&)> f;
  std::vector<std::vector<Shape>> shapes;                 ///< each a set of input shapes to check
  std::vector<Range> ranges;                              ///< one for each input, or one for all
  int order = 2;                                          ///< up to which it is checked
  std::function<Tensor<double>(const Tensors&)> guard{};  ///< inputs are drawn where it is above a margin
  bool is_lapack = false;  ///< of linear algebra, whose extremes are in test_linalg_extremes.cpp

  std::string id() const { return variant.empty() ? op : op + "/" + variant; }
};

using Sets = std::vector<std::vector<Shape>>;

inline OpRow row(const char* op, const char* variant, std::function<Tensor<double>(const Tensors&)> f,
                 Sets shapes, std::vector<Range> ranges = {{}}, int order = 2) {
  return {op, variant, std::move(f), std::move(shapes), std::move(ranges), order};
}

/// The rows of attention.hpp.
void add_attention(std::vector<OpRow>& rows);
/// The rows of sorting.hpp, masks.hpp and arrange.hpp, and what makes indices.
void add_sorting_and_arranging(std::vector<OpRow>& rows);

const std::vector<OpRow>& op_table();
/// Adds the rows of linear algebra: op_table_linalg.cpp.
void add_linalg(std::vector<OpRow>& rows);

/// Inputs of a row for one of its shape sets, the same at every call.
Tensors sample(const OpRow& row, std::size_t shape_set);

}  // namespace xtape::test
