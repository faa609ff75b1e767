// The data set of handwritten digits: reading it, with errors that name line and column.
#pragma once
#include <stdexcept>
#include <string>
#include <vector>

#include <xtensor/xtensor.hpp>

namespace digits {

inline constexpr std::size_t pixels = 64;  // 8 × 8, row by row
inline constexpr std::size_t classes = 10;
inline constexpr int brightest = 16;  // pixel counts go from 0 to 16

/// "file:line:column: what is wrong"; line and column count from 1, column 0 means the whole line.
class DataError : public std::runtime_error {
 public:
  DataError(const std::string& file, std::size_t line, std::size_t column, const std::string& what);
};

struct Dataset {
  xt::xtensor<double, 2> images;  ///< (N, 64), scaled to 0 … 1
  std::vector<int> labels;        ///< N, 0 … 9
};

/// Reads a CSV file, plain or compressed by gzip: on each line 64 pixel counts and a label, no header.
/// Throws DataError for a file that cannot be read, is cut short or damaged, or holds anything else.
Dataset read(const std::string& path);

/// The images and labels at these places.
Dataset select(const Dataset& data, const std::vector<std::size_t>& places);

}  // namespace digits
