// Which elements of a program's results depend on which of its argument: the pattern of its Jacobian.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "program.hpp"

namespace xtape::detail {

/// Where the elements of a matrix may differ from 0, row by row: those of row i are in the columns
/// index[start[i]] to before index[start[i + 1]], in rising order.
struct Pattern {
  std::size_t columns = 0;
  std::vector<std::size_t> start{0};
  std::vector<std::uint32_t> index{};

  std::size_t rows() const { return start.size() - 1; }
  std::span<const std::uint32_t> row(std::size_t i) const {
    return {index.data() + start[i], start[i + 1] - start[i]};
  }
  void add_row(std::span<const std::uint32_t> of) {
    index.insert(index.end(), of.begin(), of.end());
    start.push_back(index.size());
  }
};

Pattern transposed(const Pattern& of);
/// A square pattern and its transpose in one.
Pattern symmetric(const Pattern& of);

/// Which elements of the argument each element of the first output depends on, or may depend on: row i of the
/// Jacobian has no others. No zero of a derivative that is one by chance counts. Elementwise operations
/// depend element by element. Any other is run on arrays of ones with NaN in half of the positions along an
/// axis, for each bit of the position: what is NaN then depends on one of them. So no operation has to say
/// how it is sparse; where it reads more than one position of an axis of more than 256, it counts as reading
/// all of them.
Pattern dependences(const Program& program);

}  // namespace xtape::detail
