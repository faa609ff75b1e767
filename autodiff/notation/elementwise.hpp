// How elementwise operations are written.
#pragma once
#include "../kernels/op_number.hpp"
#include "term.hpp"

namespace xtape::detail {

/// The operation with the numbers that it carries, on x.
Term elementwise_term(OpNumber op, double p, double q, const std::vector<Term>& x, const Shape& shape);

}  // namespace xtape::detail
