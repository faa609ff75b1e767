// The choice of the architecture whose kernels run.
#include <cstdlib>
#include <string>

#include <xsimd/xsimd.hpp>

#include "error.hpp"
#include "kernel_table.hpp"
#include "version.hpp"

namespace xtape::detail {

template <class T>
AvailableKernels<T> available_kernels() {
  AvailableKernels<T> all;
#if defined(__x86_64__) || defined(__i386__)
  const unsigned best = xsimd::available_architectures().best;
  if (best >= xsimd::avx512bw::version()) all.tables[all.count++] = &table<arch::avx512, T>();
  if (best >= xsimd::fma3<xsimd::avx2>::version()) all.tables[all.count++] = &table<arch::avx2, T>();
  all.tables[all.count++] = &table<arch::sse2, T>();
#else
  all.tables[all.count++] = &table<arch::generic, T>();
#endif
  return all;
}

template <class T>
const Kernels<T>& choose_kernels() {
  const AvailableKernels<T> all = available_kernels<T>();
  const char* const limit = std::getenv("XTAPE_ARCH");
  if (!limit || !*limit) return *all.tables[0];
  const std::string names[] = {"avx512", "avx2", "sse2"};
  bool allowed = false;
  for (const std::string& name : names) {
    allowed |= name == limit;
    if (!allowed) continue;
    for (std::size_t i = 0; i < all.count; ++i)
      if (name == all.tables[i]->arch) return *all.tables[i];
  }
  if (!allowed)
    throw Error("XTAPE_ARCH",
                "the environment variable is \"" + std::string(limit) + "\": it may be sse2, avx2 or avx512");
  return *all.tables[0];
}

template AvailableKernels<float> available_kernels();
template AvailableKernels<double> available_kernels();
template const Kernels<float>& choose_kernels();
template const Kernels<double>& choose_kernels();

}  // namespace xtape::detail

namespace xtape {
const char* kernel_architecture() { return detail::kernels<float>().arch; }
}  // namespace xtape
