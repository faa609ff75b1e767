// Numbers as texts, the same in every locale.
#pragma once
#include <string>

namespace xtape::detail {

/// A number as a message shows it: "2", "0.5", "1e-08".
std::string number_text(double number);

/// The shortest text that is read as exactly this number.
std::string exact_text(double number);

}  // namespace xtape::detail
