// The elementwise operations by number.
#pragma once
#include <cstddef>

namespace xtape::detail {

/// In the order of their list.
enum class OpNumber : unsigned char {
#define XTAPE_UNARY(Op) Op,
#define XTAPE_BINARY XTAPE_UNARY
#define XTAPE_TERNARY XTAPE_UNARY
#include "elementwise_list.inc"
  count
};
inline constexpr auto op_count = static_cast<std::size_t>(OpNumber::count);

/// As an index into tables.
constexpr std::size_t index_of(OpNumber op) { return static_cast<std::size_t>(op); }

}  // namespace xtape::detail
