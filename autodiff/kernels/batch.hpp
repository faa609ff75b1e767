// The library of batches that the kernels are written with: xsimd, or what stands in for it.
#pragma once
#ifdef XTAPE_WITHOUT_XSIMD
#include "plain_batch.hpp"
#else
#include <xsimd/xsimd.hpp>
#endif
