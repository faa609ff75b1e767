// How files store numbers: the types of safetensors and of NumPy, and what they are as float or double.
#pragma once
#include <bit>
#include <cstddef>
#include <functional>
#include <span>
#include <string_view>

namespace xtape::nn::detail {

struct NumberFormat {
  enum class Kind { floating, integer, natural, boolean };
  std::string_view name;   ///< in safetensors
  std::string_view numpy;  ///< in .npy, after the byte order; empty where NumPy has no such type
  Kind kind;
  unsigned bytes;
  unsigned exponent = 0;  ///< its bits in a floating format: after the sign, before the mantissa
};

/// The format whose name, or numpy, is this; null where none is.
const NumberFormat* find_format(std::string_view NumberFormat::*which, std::string_view name);
/// That of float or double.
template <class T>
const NumberFormat& format_of();

/// Fills `to` with what read(buffer, bytes) gives, piece by piece. A number beyond T is infinite, and one
/// between two of T goes to the nearest even one; but integers count and name things, and are not to become
/// others: the result is the index of the first one that T does not have, or to.size().
template <class T>
std::size_t decode(const NumberFormat& format, std::endian order, std::span<T> to,
                   const std::function<void(char*, std::size_t)>& read);

/// Gives write(buffer, bytes) the numbers in a floating format, with the low byte first, piece by piece. Each
/// is rounded once, to the nearest even one; those beyond the largest are infinite, and NaN stays NaN.
template <class T>
void encode(const NumberFormat& format, std::span<const T> from,
            const std::function<void(const char*, std::size_t)>& write);

}  // namespace xtape::nn::detail
