// See environment.hpp.
#include "environment.hpp"

#include <fstream>

#include <autodiff/autodiff.hpp>
#include <autodiff/platform/compiler.hpp>
#if __has_include(<xtensor/core/xtensor_config.hpp>)
#include <xtensor/core/xtensor_config.hpp>
#else
#include <xtensor/xtensor_config.hpp>
#endif

#include "torch_peers.hpp"
#include "tuned_peers.hpp"

// Only OpenBLAS has these.
extern "C" {
char* openblas_get_config(void) XTAPE_WEAK;
char* openblas_get_corename(void) XTAPE_WEAK;
}

namespace bench {
namespace {

std::string cpu() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(": ") + 2);
  return "unknown";
}

std::string blas() {
  if (!openblas_get_config || !openblas_get_corename) return "unknown";
  return std::string(openblas_get_config()) + ", kernels " + openblas_get_corename();
}

std::string compiler() {
#ifdef __clang__
  return __VERSION__;
#else
  return "GCC " __VERSION__;
#endif
}

}  // namespace

std::vector<std::pair<std::string, std::string>> environment() {
  const std::string torch = torch_peers::version();
  const auto part = [](int number) { return std::to_string(number); };
  return {{"CPU", cpu()},
          {"instruction set", xtape::kernel_architecture()},
          {"BLAS", blas()},
          {"threads", std::to_string(xtape::num_threads())},
          {"compiler", compiler()},
          {"hand-written, tuned", tuned_peers::chosen().flags},
          {"xtape", xtape::version},
          {"xtensor", part(XTENSOR_VERSION_MAJOR) + "." + part(XTENSOR_VERSION_MINOR) + "." +
                          part(XTENSOR_VERSION_PATCH)},
          {"LibTorch", torch.empty() ? "absent" : torch}};
}

}  // namespace bench
