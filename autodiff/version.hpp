// Version: the same as in meson.build, and the kernels that were chosen for this machine.
#pragma once

#define XTAPE_VERSION "0.2.0"

namespace xtape {

/// The version of the headers, "major.minor.patch".
inline constexpr const char* version = XTAPE_VERSION;

/// The instruction set of the kernels in use, for instance "avx2": the best that the machine has, or that the
/// environment variable XTAPE_ARCH (sse2, avx2, avx512; on 64-bit Arm generic, neon) allows, or "generic" in
/// a build without xsimd and on other processors. Error for another word in it.
const char* kernel_architecture();

}  // namespace xtape
