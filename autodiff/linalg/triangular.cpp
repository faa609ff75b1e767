// What factorisations have in common, whoever computes them: triangular systems, and the gradient of one.
#include <algorithm>

#include "../base/pool_vector.hpp"
#include "../kernels/gemm.hpp"
#include "lapack.hpp"

namespace xtape::detail::lapack {
namespace {

// Up to so many multiplications loops solve a triangle. Measured on one core of an EPYC with AVX2, in ns, for
// n and k of 8 and 1, 8 and 8, 16 and 2, 16 and 8: loops 58, 129, 187, 457, with a unit diagonal 35, 91, 141,
// 392, CBLAS with both 103, 127, 195, 216.
constexpr std::size_t plain_solve_work = 512;

/// The same by loops over rows of B, for small matrices: the others take longer to begin.
template <class T>
void substitute(bool lower, bool transpose, bool unit, std::size_t n, std::size_t k, const T* a, T* b) {
  const std::size_t row = transpose ? 1 : n, column = transpose ? n : 1;
  const bool forward = lower != transpose;
  for (std::size_t step = 0; step < n; ++step) {
    const std::size_t i = forward ? step : n - 1 - step;
    T* const from = b + i * k;
    if (!unit)
      for (std::size_t c = 0; c < k; ++c) from[c] /= a[i * (n + 1)];
    for (std::size_t left = step + 1; left < n; ++left) {  // rows do not wait for each other
      const std::size_t j = forward ? left : n - 1 - left;
      const T factor = a[j * row + i * column];
      T* const to = b + j * k;
      for (std::size_t c = 0; c < k; ++c) to[c] -= factor * from[c];
    }
  }
}

}  // namespace

template <class T>
void cholesky_gradient(std::size_t n, const T* l, T* g) {
  // Murray 2016, figure 5: blocks of columns from the last to the first; R is left of the diagonal block D, B
  // below R, C below D. All of g above the diagonal stays what it is.
  constexpr std::size_t block = 64;
  const std::size_t most = std::min(n, block);
  PoolVector<T> diagonal(most * most), both(most * most), inner(most * most), turned(most * n);
  for (std::size_t end = n; end > 0;) {
    const std::size_t begin = (end - 1) / block * block, size = end - begin, below = n - end;
    const T *R = l + begin * n, *D = R + begin, *B = l + end * n, *C = B + begin;
    T *gR = g + begin * n, *gD = gR + begin, *gB = g + end * n, *gC = gB + begin;
    for (std::size_t i = 0; i < size; ++i) std::copy_n(D + i * n, size, diagonal.data() + i * size);
    // X D⁻¹, whose transpose is D⁻ᵀ Xᵀ, for X (columns,size): that transpose, (size,columns), is over `x`.
    const auto solve = [&](std::size_t columns, T* x) {
      solve_triangular(true, true, false, size, columns, diagonal.data(), x);
    };
    if (below != 0) {
      for (std::size_t i = 0; i < below; ++i)
        for (std::size_t j = 0; j < size; ++j) turned[j * below + i] = -gC[i * n + j];
      solve(below, turned.data());
      // With −gC for a while, products are added.
      gemm_rows(false, false, size, size, below, turned.data(), below, C, n, false, both.data(), size);
      for (std::size_t i = 0; i < size; ++i)
        for (std::size_t j = 0; j <= i; ++j) gD[i * n + j] += both[i * size + j];
      gemm_rows(true, false, below, begin, size, turned.data(), below, R, n, true, gB, n);
      gemm_rows(false, false, size, begin, below, turned.data(), below, B, n, true, gR, n);
      for (std::size_t i = 0; i < below; ++i)
        for (std::size_t j = 0; j < size; ++j) gC[i * n + j] = -turned[j * below + i];
    }
    // Of the block itself: with P = half_lower(Dᵀ gD), S = D⁻ᵀ P D⁻¹, both halves of S + Sᵀ in the lower one.
    // What is above the diagonal of gD does not count, even where it is NaN.
    for (std::size_t i = 0; i < size; ++i) {
      std::copy_n(gD + i * n, i + 1, inner.data() + i * size);
      std::fill_n(inner.data() + i * size + i + 1, size - i - 1, T(0));
    }
    gemm_rows(true, false, size, size, size, diagonal.data(), size, inner.data(), size, false, both.data(),
              size);
    for (std::size_t i = 0; i < size; ++i) {
      both[i * size + i] /= 2;
      for (std::size_t j = i + 1; j < size; ++j) both[i * size + j] = 0;
    }
    solve(size, both.data());
    for (std::size_t i = 0; i < size; ++i)
      for (std::size_t j = 0; j < size; ++j) inner[j * size + i] = both[i * size + j];
    solve(size, inner.data());  // Sᵀ
    for (std::size_t i = 0; i < size; ++i)
      for (std::size_t j = 0; j <= i; ++j) {
        gD[i * n + j] = i == j ? inner[i * size + i] : inner[i * size + j] + inner[j * size + i];
        both[i * size + j] = both[j * size + i] = -gD[i * n + j] * (i == j ? 2 : 1);
      }
    gemm_rows(false, false, size, begin, size, both.data(), size, R, n, true, gR, n);
    end = begin;
  }
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < i; ++j) g[j * n + i] = g[i * n + j] /= 2;
}

template <class T>
void lu_solve(bool transpose, std::size_t n, std::size_t k, const T* factors, T* b) {
  // Aᵀ = P L U, in memory Uᵀ below and Lᵀ above the diagonal: A = Uᵀ Lᵀ Pᵀ.
  const auto exchange = [&](std::size_t i) {
    const auto with = static_cast<std::size_t>(factors[n * n + i]);
    if (with != i) std::swap_ranges(b + i * k, b + (i + 1) * k, b + with * k);
  };
  if (transpose) {
    for (std::size_t i = 0; i < n; ++i) exchange(i);
    solve_triangular(false, true, true, n, k, factors, b);
    solve_triangular(true, true, false, n, k, factors, b);
  } else {
    solve_triangular(true, false, false, n, k, factors, b);
    solve_triangular(false, false, true, n, k, factors, b);
    for (std::size_t i = n; i-- > 0;) exchange(i);
  }
}

template <class T>
void solve_triangular(bool lower, bool transpose, bool unit, std::size_t n, std::size_t k, const T* a, T* b) {
  if (n * n * k <= plain_solve_work) return substitute(lower, transpose, unit, n, k, a, b);
  solve_large_triangular(lower, transpose, unit, n, k, a, b);
}

#define XTAPE_INSTANTIATE(T)                                            \
  template void cholesky_gradient(std::size_t, const T*, T*);           \
  template void lu_solve(bool, std::size_t, std::size_t, const T*, T*); \
  template void solve_triangular(bool, bool, bool, std::size_t, std::size_t, const T*, T*);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail::lapack
