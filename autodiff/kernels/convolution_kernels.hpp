// The kernel of convolutions: products with a matrix that is not written, but read by offsets.
#pragma once
#include <utility>

#include "batch_functions.hpp"
#include "kernel_table.hpp"

namespace xtape::detail {

/// The arguments of Kernels::indexed_gemm, but for those that its tiles differ in.
template <class T>
struct IndexedProduct {
  const T* x;
  const std::ptrdiff_t *c_row, *a_row;
  std::size_t c_panel, panel;
};

/// f(0), f(1), … of constants: what an index of a loop reaches may stay in memory, also where the compiler
/// unrolls the loop.
template <std::size_t n, class F>
[[gnu::always_inline]] inline void with_constants(const F& f) {
  [&]<std::size_t... I>(std::index_sequence<I...>) { (f(std::integral_constant<std::size_t, I>()), ...); }
  (std::make_index_sequence<n>());
}

/// C += A B for `rows` rows and `panels` batches, all of them in registers. The sum of these K is added to C
/// at the end: in sequence with what C has, a long sum would lose digits. By itself: inlined into loops, the
/// compiler would keep addresses in memory.
template <class B, bool by_lane, std::size_t rows, std::size_t panels, class T>
[[gnu::noinline]] void indexed_tile(T* C, std::size_t K, const IndexedProduct<T>& p, std::size_t row,
                                    const std::ptrdiff_t* column, const T* right) {
  constexpr std::size_t W = B::size;
  const std::size_t panel = p.panel, c_panel = p.c_panel;
  const T* from[rows];
  T* to[rows];
  B sum[rows][panels];
  with_constants<rows>([&](auto r) {
    from[r] = p.x + p.a_row[row + r];
    to[r] = C + p.c_row[row + r];
    with_constants<panels>([&](auto j) { sum[r][j] = B(T(0)); });
  });
  for (std::size_t k = 0; k < K; ++k, right += W) {
    const std::ptrdiff_t at = column[k];
    B b[panels];
    with_constants<panels>([&](auto j) { b[j] = B::load_unaligned(right + j * panel); });
    with_constants<rows>([&](auto r) {
      B a;
      if constexpr (by_lane)
        a = B::load_unaligned(from[r] + at);
      else
        a = B(from[r][at]);
      with_constants<panels>([&](auto j) { sum[r][j] = xsimd::fma(a, b[j], sum[r][j]); });
    });
  }
  with_constants<rows>([&](auto r) {
    with_constants<panels>([&](auto j) {
      T* const c = to[r] + j * c_panel;
      (B::load_unaligned(c) + sum[r][j]).store_unaligned(c);
    });
  });
}

/// How many rows and panels fit into registers, beside those of B and a number of A; of eight sums at least,
/// since two begin in a cycle, and each takes four.
#if XSIMD_WITH_NEON64  // 32 registers, of which compilers load several numbers of A at once into some
template <class B>
inline constexpr std::size_t indexed_panels = 4;
template <class B, std::size_t panels>
inline constexpr std::size_t indexed_rows = panels == 1   ? 8
                                            : panels == 4 ? 5
                                                          : 6;
#else
template <class B>
inline constexpr std::size_t indexed_panels = sizeof(B) == 64 ? 4 : 2;
template <class B, std::size_t panels>
inline constexpr std::size_t indexed_rows = panels == 1 ? 8 : 6;
#endif
/// For how much of K these panels stay in the first-level cache.
template <class B>
inline constexpr std::size_t indexed_depth = 16384 / sizeof(B) / indexed_panels<B>;

/// Tiles of `rows` rows, and of one less where that leaves a smaller rest.
template <class B, bool by_lane, std::size_t panels, std::size_t rows, class T>
void indexed_rows_of(T* C, std::size_t row, std::size_t M, std::size_t K, const IndexedProduct<T>& p,
                     const std::ptrdiff_t* column, const T* right) {
  if constexpr (rows > 0) {
    const std::size_t left = M - row, tiles = (left + rows - 1) / rows, missing = tiles * rows - left;
    const std::size_t end = row + (missing < tiles ? tiles - missing : left / rows) * rows;
    for (; row < end; row += rows) indexed_tile<B, by_lane, rows, panels>(C, K, p, row, column, right);
    if (row < M) indexed_rows_of<B, by_lane, panels, rows - 1>(C, row, M, K, p, column, right);
  }
}

template <class B, bool by_lane, std::size_t panels, class T>
void indexed_panels_of(T* C, std::size_t M, std::size_t K, std::size_t count, const IndexedProduct<T>& p,
                       const std::ptrdiff_t* column, const T* right) {
  if constexpr (panels > 0) {
    std::size_t j = 0;
    for (; j + panels <= count; j += panels)
      indexed_rows_of<B, by_lane, panels, indexed_rows<B, panels> >(C + j * p.c_panel, 0, M, K, p, column,
                                                                    right + j * p.panel);
    if (j < count)
      indexed_panels_of<B, by_lane, panels - 1>(C + j * p.c_panel, M, K, count - j, p, column,
                                                right + j * p.panel);
  }
}

template <class B, class T>
void indexed_gemm(T* C, const std::ptrdiff_t* c_row, std::size_t c_panel, std::size_t M, std::size_t K,
                  std::size_t panels, const T* x, const std::ptrdiff_t* a_row, const std::ptrdiff_t* a_column,
                  bool by_lane, const T* right, std::size_t panel) {
  constexpr std::size_t most = indexed_depth<B>;
  const IndexedProduct<T> p{x, c_row, a_row, c_panel, panel};
  for (std::size_t k = 0; k < K; k += most) {
    const std::size_t some = K - k < most ? K - k : most;
    if (by_lane)
      indexed_panels_of<B, true, 1>(C, M, some, panels, p, a_column + k, right + k * B::size);
    else
      indexed_panels_of<B, false, indexed_panels<B> >(C, M, some, panels, p, a_column + k,
                                                      right + k * B::size);
  }
}

}  // namespace xtape::detail
