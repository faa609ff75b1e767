// By the bits of IEEE 754, whose small formats differ in how many are of the exponent.
#include "number_formats.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

namespace xtape::nn::detail {
namespace {

using enum NumberFormat::Kind;
constexpr NumberFormat number_formats[] = {
    {"F32", "f4", floating, 4, 8}, {"F64", "f8", floating, 8, 11},  {"F16", "f2", floating, 2, 5},
    {"BF16", "", floating, 2, 8},  {"F8_E5M2", "", floating, 1, 5}, {"F8_E4M3", "", floating, 1, 4},
    {"I8", "i1", integer, 1},      {"I16", "i2", integer, 2},       {"I32", "i4", integer, 4},
    {"I64", "i8", integer, 8},     {"U8", "u1", natural, 1},        {"U16", "u2", natural, 2},
    {"U32", "u4", natural, 4},     {"U64", "u8", natural, 8},       {"BOOL", "b1", boolean, 1}};
constexpr std::size_t piece = 1 << 14;  // bytes

/// f(place) with the place of the format in the list, a constant, so that loops are compiled for each format.
template <class F>
void with_constant(const NumberFormat& format, const F& f) {
  const auto number = static_cast<std::size_t>(&format - number_formats);
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    ((I == number ? f(std::integral_constant<std::size_t, I>()) : void()), ...);
  }
  (std::make_index_sequence<std::size(number_formats)>());
}

constexpr unsigned mantissa_bits(const NumberFormat& format) {
  return 8 * format.bytes - 1 - format.exponent;
}
constexpr int bias(const NumberFormat& format) { return (1 << (format.exponent - 1)) - 1; }

/// Of at most 16 bits. They become those of a float whose exponent has the bias of `format`; a product mends
/// that, and makes subnormal numbers normal.
float widened(std::uint64_t bits, const NumberFormat& format) {
  const unsigned mantissa = mantissa_bits(format), sign = 8 * format.bytes - 1;
  const auto magnitude = static_cast<std::uint32_t>(bits & ((1u << sign) - 1));
  const std::uint32_t shifted = magnitude << (23 - mantissa);
  // F8_E4M3 has no infinity, and one NaN: https://arxiv.org/abs/2209.05433
  const bool is_special =
      format.exponent == 4 ? magnitude == 0x7f : magnitude >> mantissa == (1u << format.exponent) - 1;
  const float value = is_special ? std::bit_cast<float>(shifted | 0x7f800000u)
                                 : std::bit_cast<float>(shifted) * std::ldexp(1.0f, 127 - bias(format));
  return bits >> sign != 0 ? -value : value;
}

/// To at most 16 bits. The addition rounds: of the bits that are dropped, or of numbers whose last bit is
/// that of the smallest subnormal one. A carry goes into the exponent, up to infinity.
std::uint64_t narrowed(double x, const NumberFormat& format) {
  const unsigned mantissa = mantissa_bits(format), dropped = 52 - mantissa;
  const std::uint64_t one = 1, infinite = ((one << format.exponent) - 1) << mantissa;
  const double size = std::fabs(x);
  std::uint64_t bits = std::bit_cast<std::uint64_t>(size);
  if (std::isnan(x)) {
    bits = infinite | one << (mantissa - 1);
  } else if (size < std::ldexp(1.0, 1 - bias(format))) {
    const double last = std::ldexp(1.0, 53 - bias(format) - static_cast<int>(mantissa));
    bits = std::bit_cast<std::uint64_t>(size + last) - std::bit_cast<std::uint64_t>(last);
  } else {
    bits -= static_cast<std::uint64_t>(1023 - bias(format)) << 52;
    bits = std::min((bits + (one << (dropped - 1)) - 1 + (bits >> dropped & 1)) >> dropped, infinite);
  }
  return bits | static_cast<std::uint64_t>(std::signbit(x)) << (8 * format.bytes - 1);
}

template <class T>
std::uint64_t stored(T x, const NumberFormat& format) {
  if (format.bytes == 8) return std::bit_cast<std::uint64_t>(static_cast<double>(x));
  if (format.bytes == 4) return std::bit_cast<std::uint32_t>(static_cast<float>(x));
  return narrowed(static_cast<double>(x), format);
}

/// Whether T has this integer, of which this is the distance from 0.
template <class T>
bool is_exact(std::uint64_t magnitude) {
  const int first = static_cast<int>(std::bit_width(magnitude)),
            last = std::countr_zero(magnitude | 1ull << 63);
  return first - last <= std::numeric_limits<T>::digits;
}

template <std::size_t bytes>
std::uint64_t bits_at(const char* at, std::endian order) {
  std::uint64_t low_first = 0, high_first = 0;
  for (std::size_t b = 0; b < bytes; ++b) {
    const std::uint64_t byte = static_cast<unsigned char>(at[b]);
    low_first |= byte << 8 * b;
    high_first = high_first << 8 | byte;
  }
  return order == std::endian::little ? low_first : high_first;
}

template <class T>
bool convert(std::uint64_t bits, const NumberFormat& format, T& to) {
  switch (format.kind) {
    case floating:
      to = static_cast<T>(format.bytes == 8   ? std::bit_cast<double>(bits)
                          : format.bytes == 4 ? std::bit_cast<float>(static_cast<std::uint32_t>(bits))
                                              : widened(bits, format));
      return true;
    case boolean:
      to = bits != 0;
      return true;
    case natural:
      to = static_cast<T>(bits);
      return is_exact<T>(bits);
    case integer:
      break;
  }
  const unsigned unused = 64 - 8 * format.bytes;
  const std::int64_t number = static_cast<std::int64_t>(bits << unused) >> unused;  // with the sign
  to = static_cast<T>(number);
  return is_exact<T>(number < 0 ? -static_cast<std::uint64_t>(number) : static_cast<std::uint64_t>(number));
}

}  // namespace

const NumberFormat* find_format(std::string_view NumberFormat::*which, std::string_view name) {
  const auto found = std::ranges::find(number_formats, name, which);
  return name.empty() || found == std::end(number_formats) ? nullptr : found;
}

template <class T>
const NumberFormat& format_of() {
  return number_formats[sizeof(T) == 4 ? 0 : 1];
}

template <class T>
std::size_t decode(const NumberFormat& format, std::endian order, std::span<T> to,
                   const std::function<void(char*, std::size_t)>& read) {
  std::array<char, piece> buffer;
  const std::size_t width = format.bytes;
  if (&format == &format_of<T>() && order == std::endian::native) {
    read(reinterpret_cast<char*>(to.data()), to.size_bytes());
    return to.size();
  }
  std::size_t inexact = to.size();
  for (std::size_t done = 0; done < to.size();) {
    const std::size_t n = std::min(piece / width, to.size() - done);
    read(buffer.data(), n * width);
    with_constant(format, [&](auto place) {
      constexpr NumberFormat known = number_formats[place()];
      for (std::size_t i = 0; i < n; ++i)
        if (!convert(bits_at<known.bytes>(buffer.data() + i * known.bytes, order), known, to[done + i]))
          inexact = std::min(inexact, done + i);
    });
    done += n;
  }
  return inexact;
}

template <class T>
void encode(const NumberFormat& format, std::span<const T> from,
            const std::function<void(const char*, std::size_t)>& write) {
  std::array<char, piece> buffer;
  const std::size_t width = format.bytes;
  if (&format == &format_of<T>() && std::endian::native == std::endian::little)
    return write(reinterpret_cast<const char*>(from.data()), from.size_bytes());
  for (std::size_t done = 0; done < from.size();) {
    const std::size_t n = std::min(piece / width, from.size() - done);
    with_constant(format, [&](auto place) {
      constexpr NumberFormat known = number_formats[place()];
      for (std::size_t i = 0; i < n; ++i) {
        const std::uint64_t bits = stored(from[done + i], known);
        for (std::size_t b = 0; b < known.bytes; ++b)
          buffer[i * known.bytes + b] = static_cast<char>(bits >> 8 * b);
      }
    });
    write(buffer.data(), n * width);
    done += n;
  }
}

#define XTAPE_INSTANTIATE(T)                                                   \
  template const NumberFormat& format_of<T>();                                 \
  template std::size_t decode(const NumberFormat&, std::endian, std::span<T>,  \
                              const std::function<void(char*, std::size_t)>&); \
  template void encode(const NumberFormat&, std::span<const T>,                \
                       const std::function<void(const char*, std::size_t)>&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn::detail
