// The library of batches that the kernels are written with: xsimd, or what stands in for it.
#pragma once
#ifdef XTAPE_WITHOUT_XSIMD
#include "plain_batch.hpp"
#else
#include <xsimd/xsimd.hpp>
#if XSIMD_WITH_NEON64
// Quotients and square roots of floats: of 32-bit Arm xsimd 8 has approximations here, too, though 64-bit Arm
// has the instructions.
namespace xsimd::kernel {
template <>
inline batch<float, neon64> div(const batch<float, neon64>& a, const batch<float, neon64>& b,
                                requires_arch<neon>) noexcept {
  return vdivq_f32(a, b);
}
template <>
inline batch<float, neon64> sqrt(const batch<float, neon64>& x, requires_arch<neon>) noexcept {
  return vsqrtq_f32(x);
}
}  // namespace xsimd::kernel
#endif
#endif
