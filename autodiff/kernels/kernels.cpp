// The choice of the architecture whose kernels run.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <type_traits>

#include "../error.hpp"
#include "../version.hpp"
#include "kernel_table.hpp"

#ifndef XTAPE_WITHOUT_XSIMD
#include <xsimd/xsimd.hpp>
#endif

namespace xtape::detail {

namespace {

// The build says for which architectures it has tables: XTAPE_HAS_avx2 and the like; -Dkernels chooses them.
#ifdef XTAPE_WITHOUT_XSIMD
constexpr std::array names{"generic"};
constexpr const char* allowed = "this build has generic alone";

template <class T>
std::array<const Kernels<T>*, 3> tables_of_machine() {
  return {&table<arch::generic, T>()};
}
#elif defined(__aarch64__)
constexpr std::array names{"neon", "generic"};
constexpr const char* allowed = "it may be generic or neon";

template <class T>
std::array<const Kernels<T>*, 3> tables_of_machine() {
  std::array<const Kernels<T>*, 3> tables{&table<arch::neon, T>()};  // every such processor has it
#ifdef XTAPE_HAS_generic
  tables[1] = &table<arch::generic, T>();
#endif
  return tables;
}
#else
constexpr std::array names{"avx512", "avx2", "sse2"};
constexpr const char* allowed = "it may be sse2, avx2 or avx512";

template <class Wanted>
struct IsWanted {
  template <class Arch>
  bool operator()(Arch) const {
    return std::is_same_v<Arch, Wanted>;
  }
};

template <class Arch>
[[maybe_unused]] bool machine_has() {
  return xsimd::dispatch<xsimd::arch_list<Arch, xsimd::sse2> >(IsWanted<Arch>{})();
}

/// By the order of the names, null where this build or this machine has no such kernels.
template <class T>
std::array<const Kernels<T>*, 3> tables_of_machine() {
  std::array<const Kernels<T>*, 3> tables{};
#ifdef XTAPE_HAS_avx512
  if (machine_has<xsimd::avx512bw>()) tables[0] = &table<arch::avx512, T>();
#endif
#ifdef XTAPE_HAS_avx2
  if (machine_has<xsimd::fma3<xsimd::avx2> >()) tables[1] = &table<arch::avx2, T>();
#endif
#ifdef XTAPE_HAS_sse2
  tables[2] = &table<arch::sse2, T>();
#endif
  return tables;
}
#endif

}  // namespace

template <class T>
AvailableKernels<T> available_kernels() {
  AvailableKernels<T> all;
  for (const Kernels<T>* const table : tables_of_machine<T>())
    if (table) all.tables[all.count++] = table;
  return all;
}

template <class T>
const Kernels<T>& choose_kernels() {
  const char* const given = std::getenv("XTAPE_ARCH");
  const std::string limit = given ? given : "";
  const auto highest = limit.empty() ? names.begin() : std::find(names.begin(), names.end(), limit);
  if (highest == names.end())
    throw Error("XTAPE_ARCH", "the environment variable is \"" + limit + "\": " + allowed);
  const auto tables = tables_of_machine<T>();
  for (auto i = static_cast<std::size_t>(highest - names.begin()); i < tables.size(); ++i)
    if (tables[i]) {
      chosen_kernels<T>.store(tables[i], std::memory_order_release);
      return *tables[i];
    }
  throw Error("XTAPE_ARCH", "this build has no kernels that this machine can run" +
                                (limit.empty() ? "" : " within " + limit) +
                                ": configure it with -Dkernels=all");
}

template AvailableKernels<float> available_kernels();
template AvailableKernels<double> available_kernels();
template const Kernels<float>& choose_kernels();
template const Kernels<double>& choose_kernels();

}  // namespace xtape::detail

namespace xtape {
const char* kernel_architecture() { return detail::kernels<float>().arch; }
}  // namespace xtape
