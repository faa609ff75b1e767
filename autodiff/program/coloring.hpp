// Which columns of a sparse matrix can share a direction: colourings, for direct recovery. See Gebremedhin,
// Manne and Pothen, "What color is your Jacobian?", SIAM Review 47, 2005.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "sparsity.hpp"

namespace xtape::detail {

struct Coloring {
  std::vector<std::uint32_t> of;  ///< the colour of each column
  std::size_t count = 0;          ///< of colours
};

/// Each column with a colour of its own.
Coloring unit_coloring(std::size_t columns);
/// No row has two columns of one colour: a product with the sum of the unit vectors of a colour holds each
/// element.
Coloring column_coloring(const Pattern& pattern);
/// For a symmetric pattern: of (i, j) and (j, i) at least one is alone in its row with its column's colour.
/// Neighbours differ, and each path of four has three colours.
Coloring star_coloring(const Pattern& pattern);

}  // namespace xtape::detail
