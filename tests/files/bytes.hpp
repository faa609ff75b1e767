// Bytes of numbers as files have them, on machines of either order.
#pragma once
#include <algorithm>
#include <bit>
#include <string>

namespace xtape::test {

template <class T>
std::string low_byte_first(T x) {
  std::string bytes(reinterpret_cast<const char*>(&x), sizeof x);
  if constexpr (std::endian::native == std::endian::big) std::reverse(bytes.begin(), bytes.end());
  return bytes;
}

}  // namespace xtape::test
