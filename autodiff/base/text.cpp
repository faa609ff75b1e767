// Numbers as texts.
#include "text.hpp"

#include <cerrno>
#include <charconv>
#include <cmath>
#include <string_view>
#include <system_error>
#include <version>

#include "../platform/system.hpp"

// libc++ has no std::from_chars for double, and says so by the lack of this number.
#if !defined(__cpp_lib_to_chars)
#define XTAPE_READ_BY_STRTOD
#endif

namespace xtape::detail {
namespace {

#ifdef XTAPE_READ_BY_STRTOD
const char* behind_digits(const char* at, const char* end) {
  while (at != end && *at >= '0' && *at <= '9') ++at;
  return at;
}

/// Whether the text begins with a word in lower case, whatever the case of its own letters.
bool begins_with(const char* at, const char* end, std::string_view word) {
  if (end - at < std::ssize(word)) return false;
  for (const char c : word)
    if ((*at++ | 0x20) != c) return false;
  return true;
}

/// Where the number ends that std::from_chars would read: strtod itself also takes spaces, + and 0x before
/// one.
const char* end_of_number(const char* const begin, const char* const end) {
  const char* at = begin;
  if (at != end && *at == '-') ++at;
  for (const std::string_view word : {"infinity", "inf", "nan"})
    if (begins_with(at, end, word)) return at + word.size();
  const char* const whole = at;
  at = behind_digits(at, end);
  std::ptrdiff_t digits = at - whole;
  if (at != end && *at == '.') {
    const char* const fraction = at + 1;
    at = behind_digits(fraction, end);
    digits += at - fraction;
  }
  if (digits == 0) return begin;
  if (at != end && (*at | 0x20) == 'e') {
    const char* exponent = at + 1;
    if (exponent != end && (*exponent == '+' || *exponent == '-')) ++exponent;
    const char* const last = behind_digits(exponent, end);
    if (last != exponent) at = last;
  }
  return at;
}
#endif

}  // namespace

std::string number_text(double number) {
  if (std::isnan(number)) return std::signbit(number) ? "-nan" : "nan";  // libc++ writes -nan(ind)
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, number, std::chars_format::general, 6).ptr};
}

std::string exact_text(double number) {
  if (std::isnan(number)) return number_text(number);
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, number).ptr};
}

ReadNumber read_number(const char*& at, const char* end, double& x) {
#ifdef XTAPE_READ_BY_STRTOD
  const char* const behind = end_of_number(at, end);
  if (behind == at) return ReadNumber::none;
  const std::string text(at, behind);
  at = behind;
  errno = 0;
  const double read = platform::read_double(text.c_str());
  if (errno == ERANGE && (read == 0 || std::isinf(read)))
    return ReadNumber::out_of_range;  // others are subnormal
  x = read;
#else
  const auto [behind, code] = std::from_chars(at, end, x);
  if (code == std::errc::invalid_argument) return ReadNumber::none;
  at = behind;
  if (code != std::errc()) return ReadNumber::out_of_range;
#endif
  return ReadNumber::good;
}

}  // namespace xtape::detail
