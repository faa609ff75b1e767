// Numbers as texts, the same in every locale.
#pragma once
#include <string>

namespace xtape::detail {

/// A number as a message shows it: "2", "0.5", "1e-08".
std::string number_text(double number);

/// The shortest text that is read as exactly this number.
std::string exact_text(double number);

enum class ReadNumber { good, none, out_of_range };
/// Reads a number as std::from_chars does, from the text between `at` and `end`: `at` is then behind it, or
/// stays where there is none. One that rounds to ∞, or to 0 without being 0, is out of range, and leaves x as
/// it is.
ReadNumber read_number(const char*& at, const char* end, double& x);

}  // namespace xtape::detail
