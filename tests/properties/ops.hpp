// The operations of random programs as functions; ops.inc is their list.
#pragma once
#include "program.hpp"

namespace xtape::properties {

enum class Form {
  unary,
  binary,
  same,
  alike,
  axis,
  axes,
  reshape,
  unsqueeze,
  permute,
  widen,
  matrix,
  diagonal,
  plane,
  stack,
  join,
  cut,
  take,
  take_flat,
  gather,
  scatter,
  matmul,
  dot,
  outer,
  linear,
  attention,
  square,
  regular,
  system,
  columns,
  rows,
  image,
  fold,
  convolution,
  grouped
};

template <class X>
using Operands = std::array<const X*, 3>;
template <class X>
using Function = X (*)(const Operands<X>&, const Parameters&);

struct Row {
  Form form;
  std::string text;  ///< the expression
  std::string repair;
  bool elementwise = false, planted = false;
  Function<Tensor<double>> guard;
};

const std::vector<Row>& rows();
/// The row with this expression.
std::size_t row_of(const std::string& text);

/// One for each row; null where it does not take X, a tensor or a symbol of map().
template <class X>
const std::vector<Function<X>>& functions();

/// The least distance of two elements.
Tensor<double> spread(const Tensor<double>& x);

}  // namespace xtape::properties
