// What the figures depend on: machine, libraries, compiler.
#pragma once
#include <string>
#include <utility>
#include <vector>

namespace bench {

/// Names and values, in the order of printing.
std::vector<std::pair<std::string, std::string>> environment();

}  // namespace bench
