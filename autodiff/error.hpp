// Error: the one exception type, with messages of the form "[op] what is wrong: hint".
#pragma once
#include <stdexcept>
#include <string>

#include "platform/compiler.hpp"

namespace xtape {

/// Every error that a caller can cause. The text names the operation in brackets, the shapes or
/// values that do not fit and, where it is known, the fix. A call that throws changes no value and no
/// gradient.
class XTAPE_EXPORT Error : public std::invalid_argument {
 public:
  Error(const std::string& op, const std::string& what) : std::invalid_argument("[" + op + "] " + what) {}
};

}  // namespace xtape
