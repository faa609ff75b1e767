// Which library of tuned_peers.hpp a run compares with.
#include <cstdlib>
#include <string_view>

#include <autodiff/version.hpp>

#include "tuned_peers.hpp"

namespace tuned_peers {

const Library& chosen() {
#ifdef XTAPE_TUNED_avx2
  const bool limited = std::getenv("XTAPE_ARCH") != nullptr;
  if (limited && std::string_view(xtape::kernel_architecture()) == "avx2") return avx2();
#endif
  return native();
}

}  // namespace tuned_peers
