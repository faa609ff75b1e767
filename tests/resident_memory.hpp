// The memory that the process occupies, as Linux says it.
#pragma once
#include <cstddef>
#include <fstream>
#include <limits>
#include <string>

namespace xtape::test {

/// In kilobytes; 0 on systems that do not say it in this way.
inline std::size_t resident_kilobytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word; status.ignore(std::numeric_limits<std::streamsize>::max(), '\n'))
    if (std::size_t kilobytes = 0; word == "VmRSS:" && status >> kilobytes) return kilobytes;
  return 0;
}

}  // namespace xtape::test
