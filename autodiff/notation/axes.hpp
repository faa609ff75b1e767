// How sums over axes, slices and the like are written.
#pragma once
#include "term.hpp"

namespace xtape::detail {

/// function over the masked axes of x: Σ₀ x. None where all are.
Term over_axes(const char* name, const Term& x, unsigned mask, const Shape& shape);
/// x[1:3, 0]: the elements from `offset` on, `strides` apart, of an array of the shape of x.
Term slice_term(const std::string& name, const Term& x, std::ptrdiff_t offset, const Dims& strides,
                const Shape& shape);
/// 0, but x, of the shape `from`, at [1:3, 0]: the transpose of slice_term().
Term put_term(const std::string& name, const Term& x, const Shape& from, std::ptrdiff_t offset,
              const Dims& strides, const Shape& shape);
/// [a; b]: one below the other.
Term below_each_other(const std::vector<Term>& parts, const Shape& shape);
/// The same elements under another shape: not written where that differs in axes of size 1 alone.
Term reshaped(const Term& x, const Shape& shape);
Term permuted(const Term& x, const Axes& permutation, const Shape& shape);
/// function of the elements up to each place along an axis: cumsum₀(x).
Term cumulative(const std::string& name, const Term& x, std::size_t axis);
/// The rows of x that are named.
Term rows_term(const char* name, const Term& x, const Term& indices, const Shape& shape);
/// 0, with the rows of x added where they are named.
Term scatter_term(const Term& x, const Term& indices, const Shape& shape);

}  // namespace xtape::detail
