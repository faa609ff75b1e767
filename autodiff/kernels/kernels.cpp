// The choice of the architecture whose kernels run.
#include <cstdlib>
#include <string>
#include <type_traits>

#include "../error.hpp"
#include "../version.hpp"
#include "kernel_table.hpp"

#if !defined(XTAPE_WITHOUT_XSIMD) && (defined(__x86_64__) || defined(__i386__))
#define XTAPE_X86_KERNELS
#include <xsimd/xsimd.hpp>
#endif

namespace xtape::detail {

namespace {

#ifdef XTAPE_X86_KERNELS
constexpr const char* limits[] = {"avx512", "avx2", "sse2"};

/// What xsimd::dispatch calls with the best architecture of a list that the machine has.
template <class T>
struct TableOf {
  template <class Arch>
  const Kernels<T>* operator()(Arch) const {
    if constexpr (std::is_same_v<Arch, xsimd::avx512bw>)
      return &table<arch::avx512, T>();
    else if constexpr (std::is_same_v<Arch, xsimd::fma3<xsimd::avx2>>)
      return &table<arch::avx2, T>();
    else
      return &table<arch::sse2, T>();
  }
};

template <class T, class... Arch>
const Kernels<T>* best_of(xsimd::arch_list<Arch...>) {
  return xsimd::dispatch<xsimd::arch_list<Arch...>>(TableOf<T>{})();
}

template <class T>
const Kernels<T>* best_within(const std::string& limit) {
  using xsimd::arch_list, xsimd::avx512bw, xsimd::sse2;
  using avx2 = xsimd::fma3<xsimd::avx2>;
  if (limit.empty() || limit == "avx512") return best_of<T>(arch_list<avx512bw, avx2, sse2>{});
  if (limit == "avx2") return best_of<T>(arch_list<avx2, sse2>{});
  if (limit == "sse2") return best_of<T>(arch_list<sse2>{});
  throw Error("XTAPE_ARCH", "the environment variable is \"" + limit + "\": it may be sse2, avx2 or avx512");
}
#else
constexpr const char* limits[] = {"generic"};

template <class T>
const Kernels<T>* best_within(const std::string& limit) {
  if (limit.empty() || limit == limits[0]) return &table<arch::generic, T>();
  throw Error("XTAPE_ARCH", "the environment variable is \"" + limit + "\": this build has generic alone");
}
#endif

}  // namespace

template <class T>
AvailableKernels<T> available_kernels() {
  AvailableKernels<T> all;
  for (const char* const limit : limits) {
    const Kernels<T>* const best = best_within<T>(limit);
    if (all.count == 0 || all.tables[all.count - 1] != best) all.tables[all.count++] = best;
  }
  return all;
}

template <class T>
const Kernels<T>& choose_kernels() {
  const char* const limit = std::getenv("XTAPE_ARCH");
  const Kernels<T>* const best = best_within<T>(limit ? limit : "");
  chosen_kernels<T>.store(best, std::memory_order_release);
  return *best;
}

template AvailableKernels<float> available_kernels();
template AvailableKernels<double> available_kernels();
template const Kernels<float>& choose_kernels();
template const Kernels<double>& choose_kernels();

}  // namespace xtape::detail

namespace xtape {
const char* kernel_architecture() { return detail::kernels<float>().arch; }
}  // namespace xtape
